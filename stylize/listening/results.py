"""All that a trial's answers say, as data: for tables, plots and dashboards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import UserError
from stylize.listening.methods import HIDDEN, PAIRED
from stylize.listening.ratings import Preference, Rating, preferences_of, ratings_of
from stylize.listening.screening import Screened, screen_listeners
from stylize.listening.statistics import (
    LEVEL,
    LISTENER,
    Difference,
    PairedResult,
    Summary,
    compare_pairs,
    compare_systems,
    enough_to_differ,
    min_adjusted_p,
    summarize,
)
from stylize.listening.store import read_answers, trial_of
from stylize.listening.trial import Trial


@dataclass(frozen=True)
class Results:
    """What a listening test has found.

    Args:
        trial: the test.
        ratings: that count.
        preferences: that count.
        screened: listeners who were left out.
        summaries: of each system for each question.
        differences: between every two systems.
        pairs: of paired comparisons.
        listeners: who have answered anything, those left out among them.
        unit: of differences and pairs: listener or rating.
    """

    trial: Trial
    ratings: tuple[Rating, ...]
    preferences: tuple[Preference, ...]
    screened: tuple[Screened, ...]
    summaries: tuple[Summary, ...]
    differences: tuple[Difference, ...]
    pairs: tuple[PairedResult, ...]
    listeners: int
    unit: str

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
    """Read all answers to a trial and evaluate them.

    Args:
        trial: as read from its folder.
        answers: the server's file; None, or one that is not there while CSV files are given, for none.
        webmushra: CSV files of webMUSHRA.
        unit: see :func:`stylize.listening.statistics.compare_systems`.

    Raises:
        UserError: files that cannot be read; no answers at all; another unit.
    """
    from stylize.listening.webmushra import read_csv

    if answers is not None and answers.is_file() and trial_of(answers) not in (None, trial.id):
        raise UserError(f"{answers} belongs to another trial; choose another file with --answers")
    own = [] if answers is None or (webmushra and not answers.is_file()) else read_answers(answers)
    ratings, preferences = ratings_of(trial, own), preferences_of(trial, own)
    for path in webmushra:
        more_ratings, more_preferences = read_csv(path, trial)
        ratings += more_ratings
        preferences += more_preferences
    return evaluate(trial, ratings, preferences, unit)


def evaluate(
    trial: Trial, ratings: Sequence[Rating], preferences: Sequence[Preference], unit: str = LISTENER
) -> Results:
    """Screen, summarize and compare; systems stand in the order of the trial.

    Raises:
        UserError: no such unit.
    """
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
