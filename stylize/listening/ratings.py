"""Answers with what they were about, and whose count: BS.1534-3 leaves out assessors after a MUSHRA test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stylize.listening.methods import MID_ANCHOR, PAIRED, REFERENCE
from stylize.listening.store import Answer
from stylize.listening.trial import Trial

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
