"""Methods of listening tests, their questions, and the order in which one listener meets them.

Multiple stimuli without a given reference (ITU-R BS.2132-0), MUSHRA (ITU-R BS.1534-3), paired comparison.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stylize_core.errors import UserError
from stylize_core.names import readable

MULTIPLE_STIMULI, MUSHRA, PAIRED = "multiple-stimuli", "mushra", "ab"
METHODS = (MULTIPLE_STIMULI, MUSHRA, PAIRED)

LOWEST, HIGHEST = 0, 100
"""Ends of the rating scale."""
MAX_STIMULI = 12
"""On one screen; BS.1534-3 advises against more, since a listener cannot compare them."""
REFERENCE, LOW_ANCHOR, MID_ANCHOR = "reference", "anchor-3.5kHz", "anchor-7kHz"
"""What MUSHRA hides among the systems."""
HIDDEN = (REFERENCE, LOW_ANCHOR, MID_ANCHOR)


@dataclass(frozen=True)
class Question:
    """What a listener is asked."""

    name: str  # short, as in tables
    title: str  # one line; `{style}` is the style of the song
    text: str  # what it means, in a sentence
    labels: tuple[str, ...]  # of the five equal parts of the scale, from its lower end; none for a choice between two
    needs: tuple[str, ...]  # what is played beside: `original`, `style`


QUESTIONS = {
    question.name: question
    for question in (
        Question(
            "content",
            "How much of the original song is kept?",
            "Melody, harmony and rhythm count here; instruments and sound do not.",
            ("another song", "a little", "half", "most of it", "the same song"),
            ("original",),
        ),
        Question(
            "style",
            "How well does it match the style {style}?",
            "Instruments, sound and manner of playing count here; which song is played does not.",
            ("not at all", "a little", "partly", "mostly", "completely"),
            ("style",),
        ),
        Question(
            "quality",
            "How good is the sound quality?",
            "Noise, buzzing, warbling, muffled or broken sound count here; whether you like the music does not.",
            ("bad", "poor", "fair", "good", "excellent"),
            (),
        ),
        Question(
            "preference",
            "Which one is the better version of the song in the style {style}?",
            "Think of all of it: the song, the style and the sound.",
            (),
            ("original", "style"),
        ),
    )
}
FIDELITY = Question(
    "quality",
    "How good is the sound quality, compared with the reference?",
    "Any difference from the reference counts. One of the sounds is the reference itself: give it 100.",
    ("bad", "poor", "fair", "good", "excellent"),
    (),
)
"""What MUSHRA asks: basic audio quality."""
SAMENESS = Question("preference", "Which one sounds better?", "Think of all that you hear.", (), ())
"""What a pair is asked for where there is no style."""

DEFAULT_QUESTIONS = {MULTIPLE_STIMULI: ("content", "style", "quality"), MUSHRA: ("quality",), PAIRED: ("preference",)}


def question_of(method: str, name: str, has_style: bool = True) -> Question:
    """The wording of a question in a method."""
    if method == MUSHRA:
        return FIDELITY
    if name == "preference" and not has_style:
        return SAMENESS
    return QUESTIONS[name]


def check_questions(method: str, names: Sequence[str]) -> tuple[str, ...]:
    """The questions that are asked, those of the method where none are given."""
    if method not in METHODS:
        raise UserError(f"unknown method {method!r}; expected {', '.join(METHODS)}")
    allowed = tuple(QUESTIONS) if method == PAIRED else DEFAULT_QUESTIONS[method]
    for name in names:
        if name not in allowed:
            raise UserError(f"{method} cannot ask the question {name!r}; it asks {', '.join(allowed)}")
    if len(set(names)) < len(names):
        raise UserError(f"a question stands twice in {','.join(names)}; give each once")
    return tuple(names) or DEFAULT_QUESTIONS[method]


def pairs_of(systems: Sequence[str]) -> list[tuple[str, str]]:
    """Every two systems, in order."""
    return list(itertools.combinations(systems, 2))


def shuffled(items: Iterable[str], *key: object) -> list[str]:
    """Items in an order that depends on the key alone, whatever their order was, on every machine and version.

    Sorted by SHA-256 of the key and the item, so that every order is equally likely over the keys.
    """
    prefix = "/".join(map(str, key))
    return sorted(items, key=lambda item: hashlib.sha256(readable(f"{prefix}/{item}").encode()).digest())
