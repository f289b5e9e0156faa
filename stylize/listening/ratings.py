"""Answers with what they were about: the listener, the song, the question and the system."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stylize.listening.methods import PAIRED
from stylize.listening.store import Answer
from stylize.listening.trial import Trial


@dataclass(frozen=True)
class Rating:
    """A listener's rating of a system's sound.

    Args:
        listener: who.
        song: name of the song.
        question: what was asked.
        system: whose sound.
        value: 0 to 100.
    """

    listener: str
    song: str
    question: str
    system: str
    value: float


@dataclass(frozen=True)
class Preference:
    """A listener's choice between the sounds of two systems.

    Args:
        listener: who.
        song: name of the song.
        question: what was asked.
        preferred: the system that was chosen.
        other: the system that was not.
    """

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
