"""Results of a trial as data, for tables, plots and dashboards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stylize.listening.methods import HIDDEN, PAIRED
from stylize.listening.statistics import (
    LEVEL,
    LISTENER,
    Difference,
    PairedResult,
    Preference,
    Rating,
    Screened,
    Summary,
    compare_pairs,
    compare_systems,
    enough_to_differ,
    min_adjusted_p,
    preferences_of,
    ratings_of,
    screen_listeners,
    summarize,
)
from stylize.listening.store import read_answers
from stylize.listening.trial import Trial


@dataclass(frozen=True)
class Results:
    """Results of a listening test."""

    trial: Trial
    ratings: tuple[Rating, ...]  # that count
    preferences: tuple[Preference, ...]
    screened: tuple[Screened, ...]  # listeners who were left out
    summaries: tuple[Summary, ...]  # of each system for each question
    differences: tuple[Difference, ...]  # between every two systems
    pairs: tuple[PairedResult, ...]  # of paired comparisons
    listeners: int  # who have answered anything, those left out among them
    unit: str  # of differences and pairs: listener or rating

    @property
    def caution(self) -> str | None:
        """One line where so few have answered that no difference could be significant; None otherwise."""
        most: dict[str, list[int]] = {}
        for row in self.differences:
            most.setdefault(row.question, []).append(row.pairs)
        for pair in self.pairs:
            most.setdefault(pair.question, []).append(pair.votes)
        # The question with the best chance: where none can differ there, none can anywhere.
        counts = min(most.values(), key=lambda each: min_adjusted_p(max(each), len(each)), default=[])
        if not counts or min_adjusted_p(max(counts), len(counts)) < LEVEL:
            return None
        units = "listeners" if self.unit == LISTENER else "ratings"
        enough = enough_to_differ(len(counts))
        compared, advice = (
            ("1 comparison", "") if len(counts) == 1 else (f"{len(counts)} comparisons", ", or fewer systems")
        )
        return (
            f"No difference could be significant: with {max(counts)} {units} and {compared} p (Holm) cannot come below "
            f"{min_adjusted_p(max(counts), len(counts)):.2g}; it takes {enough} {units}{advice}."
        )


def read_results(trial: Trial, answers: Path | None, webmushra: Sequence[Path] = (), unit: str = LISTENER) -> Results:
    """Read all answers to a trial, of the server's file and CSV files of webMUSHRA, and evaluate them.

    The server's file may be None, or missing where CSV files are given.
    """
    from stylize.listening.webmushra import read_csv

    skipped = answers is None or (webmushra and not answers.is_file())
    own = [] if skipped or answers is None else read_answers(answers, trial.id)
    ratings = [*ratings_of(trial, own), *(rating for path in webmushra for rating in read_csv(path, trial))]
    return evaluate(trial, ratings, preferences_of(trial, own), unit)


def evaluate(
    trial: Trial, ratings: Sequence[Rating], preferences: Sequence[Preference], unit: str = LISTENER
) -> Results:
    """Screen, summarize and compare by `unit`; systems stand in the order of the trial."""
    place = {system.name: index for index, system in enumerate(trial.systems)}
    asked = {name: index for index, name in enumerate(trial.questions)}
    ordered = sorted(ratings, key=lambda rating: (asked.get(rating.question, 0), place.get(rating.system, 0)))
    kept, screened = screen_listeners(ordered)
    # Reference and anchors are there to judge the listeners, and take no part in the comparison.
    compared = compare_systems([rating for rating in kept if rating.system not in HIDDEN], unit)
    return Results(
        trial=trial,
        ratings=tuple(kept),
        preferences=tuple(preferences),
        screened=tuple(screened),
        summaries=tuple(summarize(kept)),
        differences=tuple(compared),
        pairs=tuple(compare_pairs(preferences, unit, list(place))) if trial.method == PAIRED else (),
        listeners=len({row.listener for row in ratings} | {row.listener for row in preferences}),
        unit=unit,
    )
