"""Statistics of ratings: post-screening (BS.1534-3), means with bootstrap intervals, tests of differences."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stylize.evaluate.metrics.statistics import binomial_p, holm, mean_interval, signed_rank_p, wilson_interval
from stylize.listening.methods import MID_ANCHOR, PAIRED, REFERENCE
from stylize.listening.store import Answer
from stylize.listening.trial import Trial
from stylize_core.errors import UserError

LISTENER, RATING = "listener", "rating"
UNITS = (LISTENER, RATING)
"""What is compared: one mean or vote of each listener, or each rating or choice on its own."""
RESAMPLES = 10000
LEVEL = 0.05
"""Differences of smaller p are called significant."""


GOOD_ENOUGH = 90.0
"""The hidden reference must get this, and the mid anchor no more."""
MAX_FAILURES = 0.15
"""In at most this part of the items may a listener fail."""


@dataclass(frozen=True)
class Rating:
    """A listener's rating of a system's sound, from 0 to 100."""

    listener: str
    song: str
    question: str
    system: str
    value: float


@dataclass(frozen=True)
class Preference:
    """A listener's choice between the sounds of two systems."""

    listener: str
    song: str
    question: str
    preferred: str
    other: str


def ratings_of(trial: Trial, answers: Iterable[Answer]) -> list[Rating]:
    """The ratings among answers; those to screens that the trial does not have are left out."""
    return [
        Rating(
            str(answer.listener),
            trial.screen[answer.screen].song,
            trial.screen[answer.screen].question,
            trial.stimulus[answer.stimulus].system,
            float(answer.value),
        )
        for answer in answers
        if trial.method != PAIRED and answer.screen in trial.screen
    ]


def preferences_of(trial: Trial, answers: Iterable[Answer]) -> list[Preference]:
    """The choices among answers."""
    preferences = []
    for answer in answers:
        screen = trial.screen.get(answer.screen)
        if trial.method == PAIRED and screen is not None:
            (other,) = (identity for identity in screen.stimuli if identity != answer.stimulus)
            preferred, rest = (trial.stimulus[identity].system for identity in (answer.stimulus, other))
            preferences.append(Preference(str(answer.listener), screen.song, screen.question, preferred, rest))
    return preferences


@dataclass(frozen=True)
class Screened:
    """A listener who was left out, and why."""

    listener: str
    reason: str


def screen_listeners(ratings: Sequence[Rating]) -> tuple[list[Rating], list[Screened]]:
    """The ratings that stay, and who is left out by BS.1534-3, section 4.1.2 (post-screening).

    Out is who rates the hidden reference below 90 in more than 15 % of the items, or the mid-range anchor above 90 in
    more than 15 % of them. An item is a song of which the listener has rated that sound. Tests without a hidden
    reference (BS.2132, paired comparison) have no such rule, and nobody is left out of them.
    """
    screened = []
    for listener in dict.fromkeys(rating.listener for rating in ratings):
        own = [rating for rating in ratings if rating.listener == listener]
        references = [rating.value for rating in own if rating.system == REFERENCE]
        anchors = [rating.value for rating in own if rating.system == MID_ANCHOR]
        low = sum(value < GOOD_ENOUGH for value in references)
        high = sum(value > GOOD_ENOUGH for value in anchors)
        reasons = []
        if low > MAX_FAILURES * len(references):
            reasons.append(f"hidden reference below {GOOD_ENOUGH:g} in {low} of {len(references)} items")
        if high > MAX_FAILURES * len(anchors):
            reasons.append(f"7 kHz anchor above {GOOD_ENOUGH:g} in {high} of {len(anchors)} items")
        if reasons:
            screened.append(Screened(listener, "; ".join(reasons)))
    out = {entry.listener for entry in screened}
    return [rating for rating in ratings if rating.listener not in out], screened


@dataclass(frozen=True)
class Summary:
    """How a system was rated."""

    question: str  # what was asked
    system: str  # name
    mean: float  # of all ratings
    median: float  # of all ratings
    low: float | None  # lower end of the 95 % bootstrap interval of the mean; None where one listener alone rated
    high: float | None  # its upper end
    listeners: int  # who rated it
    songs: int  # of which it was rated
    ratings: int  # how many there are


@dataclass(frozen=True)
class Difference:
    """Two systems compared."""

    question: str  # what was asked
    first: str  # a system
    second: str  # another one
    difference: float  # mean of first minus second, over the pairs
    pairs: int  # how many there are
    p: float  # of the Wilcoxon signed-rank test, two-sided
    adjusted: float  # by Holm's method, over all pairs of systems of the question


@dataclass(frozen=True)
class PairedResult:
    """How often one system was preferred to another."""

    question: str  # what was asked
    first: str  # a system
    second: str  # another one
    wins: int  # how often the first was chosen
    choices: int  # how many there were
    low: float  # lower end of Wilson's 95 % interval of the share; by listener it counts listeners, not choices
    high: float  # its upper end
    votes_for: int  # how many votes were for the first
    votes: int  # by listener one for each who preferred either, by rating one for each choice
    p: float  # of the two-sided binomial test of the votes against one half
    adjusted: float  # by Holm's method, over all pairs of systems of the question
    listeners: int  # who chose

    @property
    def share(self) -> float:
        """The part of the choices that the first system won."""
        return self.wins / self.choices


def summarize(ratings: Sequence[Rating]) -> list[Summary]:
    """Mean, median and interval of each system for each question, in the order of first appearance."""
    groups: dict[tuple[str, str], list[Rating]] = {}
    for rating in ratings:
        groups.setdefault((rating.question, rating.system), []).append(rating)
    summaries = []
    for (question, system), rows in groups.items():
        values = [row.value for row in rows]
        place = {listener: number for number, listener in enumerate(dict.fromkeys(row.listener for row in rows))}
        low = high = None
        if len(place) > 1:  # values of one listener are no independent draws
            low, high = mean_interval(values, [place[row.listener] for row in rows], resamples=RESAMPLES)
        mean, median = statistics.fmean(values), statistics.median(values)
        songs = len({row.song for row in rows})
        summaries.append(Summary(question, system, mean, median, low, high, len(place), songs, len(rows)))
    return summaries


def compare_systems(ratings: Sequence[Rating], unit: str = LISTENER) -> list[Difference]:
    """Every two systems, for each question, by Wilcoxon's signed-rank test with Holm's correction.

    `unit` `listener` pairs the mean of each listener over the songs rated for both systems, which tests whether other
    listeners would agree; `rating` pairs single ratings as if ratings of one listener were independent, and finds more.
    """
    _check_unit(unit)
    results = []
    for question in dict.fromkeys(rating.question for rating in ratings):
        rows = [rating for rating in ratings if rating.question == question]
        systems = list(dict.fromkeys(row.system for row in rows))
        values = {(row.listener, row.song, row.system): row.value for row in rows}
        found = []
        for first, second in itertools.combinations(systems, 2):
            differences = _differences(values, first, second, unit)
            if differences:
                found.append((first, second, differences, signed_rank_p(differences)))
        adjusted = holm([p for *_, p in found])
        results += [
            Difference(question, first, second, statistics.fmean(differences), len(differences), p, holm_p)
            for (first, second, differences, p), holm_p in zip(found, adjusted, strict=True)
        ]
    return results


def _differences(values: dict[tuple[str, str, str], float], first: str, second: str, unit: str) -> list[float]:
    of_listener: dict[str, list[float]] = {}
    for (listener, song, system), value in values.items():
        if system == first and (listener, song, second) in values:
            of_listener.setdefault(listener, []).append(value - values[listener, song, second])
    if unit == LISTENER:
        return [statistics.fmean(differences) for differences in of_listener.values()]
    return [difference for differences in of_listener.values() for difference in differences]


def compare_pairs(
    preferences: Sequence[Preference], unit: str = LISTENER, systems: Sequence[str] = ()
) -> list[PairedResult]:
    """Every two systems that were compared directly, by the binomial test with Holm's correction.

    `unit` `listener` gives each listener one vote, by the majority of the choices; `rating` treats choices of one
    listener as independent. Results are in the order of `systems`; others follow by name.
    """
    _check_unit(unit)
    place = {name: index for index, name in enumerate(systems)}
    groups: dict[tuple[str, str, str], list[Preference]] = {}
    for row in preferences:
        first, second = sorted((row.preferred, row.other), key=lambda name: (place.get(name, len(place)), name))
        groups.setdefault((row.question, first, second), []).append(row)
    results = []
    for question in dict.fromkeys(row.question for row in preferences):
        keys = sorted(
            (key for key in groups if key[0] == question),
            key=lambda key: [(place.get(name, len(place)), name) for name in key[1:]],
        )
        votes = [_votes(groups[key], key[1], unit) for key in keys]
        p_values = [binomial_p(votes_for, count) for votes_for, count in votes]
        for key, (votes_for, count), p, adjusted in zip(keys, votes, p_values, holm(p_values), strict=True):
            rows = groups[key]
            wins, listeners = sum(row.preferred == key[1] for row in rows), len({row.listener for row in rows})
            low, high = wilson_interval(wins / len(rows), listeners if unit == LISTENER else len(rows))
            results.append(PairedResult(*key, wins, len(rows), low, high, votes_for, count, p, adjusted, listeners))
    return results


def _votes(rows: Sequence[Preference], system: str, unit: str) -> tuple[int, int]:
    """How many votes were for a system, and how many there were; who chose both equally often has none."""
    if unit == RATING:
        return sum(row.preferred == system for row in rows), len(rows)
    leaning: dict[str, int] = {}
    for row in rows:
        leaning[row.listener] = leaning.get(row.listener, 0) + (1 if row.preferred == system else -1)
    decided = [value for value in leaning.values() if value]
    return sum(value > 0 for value in decided), len(decided)


def min_adjusted_p(count: int, comparisons: int) -> float:
    """The smallest p that so many pairs or votes can reach after Holm's correction, when all of them agree."""
    return min(1.0, comparisons * 2.0 ** (1 - count))


def enough_to_differ(comparisons: int) -> int:
    """How many pairs or votes it takes before any of so many comparisons can be significant."""
    return next(count for count in itertools.count(1) if min_adjusted_p(count, comparisons) < LEVEL)


def _check_unit(unit: str) -> None:
    if unit not in UNITS:
        raise UserError(f"got --unit {unit}; expected {' or '.join(UNITS)}")
