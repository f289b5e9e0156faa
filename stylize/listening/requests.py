"""What browsers send, of which nothing is believed before it was checked here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stylize.json_requests import RefusedError
from stylize.listening.methods import HIGHEST, LOWEST, PAIRED
from stylize.listening.store import CHOICE, Answer, Listener
from stylize.listening.trial import Trial

MOST_BYTES = 2048
"""Of a request's body; an answer has about 150."""
MOST_SEQUENCE = 2**53 - 1
"""The largest whole number that JavaScript counts to."""
FIRST_PLACES = 3
"""Places before the first screen: welcome, level, training."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")


def parse_token(header: str | None) -> str:
    """The token in `Authorization: Bearer TOKEN`.

    Raises:
        RefusedError: none, or nothing that could be one.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not _TOKEN.fullmatch(token):
        raise RefusedError(401, "no valid listener token was sent")
    return token


def parse_answer(values: Mapping[str, Any], trial: Trial, listener: Listener) -> Answer:
    """An answer to something that the trial asks.

    Raises:
        RefusedError: fields missing, unknown, of a wrong type or out of range; screens and sounds that do not exist.
    """
    _check_fields(values, ("screen", "stimulus", "value", "sequence"))
    screen_id, stimulus = _text(values, "screen"), _text(values, "stimulus")
    screen = trial.screen.get(screen_id)
    if screen is None:
        raise RefusedError(404, "the trial has no such screen")
    if stimulus not in screen.stimuli:
        raise RefusedError(404, "the screen has no such sound")
    sequence = _number(values, "sequence", 0, MOST_SEQUENCE)
    if trial.method == PAIRED:
        return Answer(listener.number, screen.id, CHOICE, stimulus, _number(values, "value", 1, 1), sequence)
    value = _number(values, "value", LOWEST, HIGHEST)
    return Answer(listener.number, screen.id, stimulus, stimulus, value, sequence)


def parse_place(values: Mapping[str, Any], trial: Trial) -> int:
    """How far a listener has come: welcome, level, training, the screens, the end.

    Raises:
        RefusedError: a field missing, unknown, of a wrong type or out of range.
    """
    _check_fields(values, ("place",))
    return _number(values, "place", 0, FIRST_PLACES + len(trial.screens))


def _check_fields(values: Mapping[str, Any], names: tuple[str, ...]) -> None:
    if set(values) != set(names):
        raise RefusedError(400, f"expected the fields {', '.join(names)} and no other")


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values[name]
    if not isinstance(value, str) or not 0 < len(value) <= 64:
        raise RefusedError(400, f"{name} must be a short text")
    return value


def _number(values: Mapping[str, Any], name: str, lowest: int, highest: int) -> int:
    value = values[name]
    if type(value) is not int or not lowest <= value <= highest:  # a bool is an int, and not meant
        raise RefusedError(400, f"{name} must be a whole number from {lowest} to {highest}")
    return value
