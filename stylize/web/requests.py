"""What browsers send, of which nothing is believed before it was checked here."""

from __future__ import annotations

import math
import re
import secrets
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from stylize.json_requests import RefusedError

MOST_BYTES = 4096
"""Of a request for a job; one that names every style has about 300."""
MOST_NAME = 100
"""Characters of a file's name that are kept."""
COOKIE = "stylize-visitor"
"""Tells the songs of one browser from those of another; it is set with the page."""
_IDENTITY = re.compile(r"[A-Za-z0-9_-]{32}")


@dataclass(frozen=True)
class StyleRequest:
    """What is asked for.

    Args:
        song: id of the song.
        weights: of the styles, adding up to 1; empty where `like` is given.
        like: id of a song in the wanted style.
        strength: from 0 to 1.
    """

    song: str
    weights: Mapping[str, float]
    like: str | None
    strength: float

    @property
    def to(self) -> str | None:
        """The mixture, as `--to` takes it."""
        return ",".join(f"{name}:{weight!r}" for name, weight in self.weights.items()) or None


def parse_identity(value: object) -> str:
    """An id of a song or a job.

    Raises:
        RefusedError: nothing that could be one.
    """
    if not isinstance(value, str) or not _IDENTITY.fullmatch(value):
        raise RefusedError(404, "there is no such file here (any more); choose the song again")
    return value


def new_identity() -> str:
    """An id that cannot be guessed, of a song, a job or a visitor."""
    return secrets.token_urlsafe(24)


def parse_visitor(cookies: Mapping[str, str]) -> str:
    """Whose request it is. Any browser may choose its own name; it knows no other's.

    Raises:
        RefusedError: no cookie, or nothing that could be ours.
    """
    value = cookies.get(COOKIE, "")
    if not _IDENTITY.fullmatch(value):
        raise RefusedError(403, "the cookie of this page is missing; allow cookies for it and load it again")
    return value


def parse_name(value: str | None) -> str:
    """A file's name for people: no folder, nothing unprintable. It never becomes the name of a file here."""
    last = re.split(r"[/\\]", value or "")[-1]
    printable = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in last)
    name = " ".join(printable.split())
    if len(name) > MOST_NAME:
        stem, dot, suffix = name.rpartition(".")
        keep = dot + suffix if dot and len(suffix) <= 5 else ""
        name = (stem or name)[: MOST_NAME - len(keep)] + keep
    return name or "song"


def parse_style(values: Mapping[str, Any], styles: Collection[str]) -> StyleRequest:
    """Read a request for a job.

    Args:
        values: `song`, `strength`, and either `to` (a weight of at least 0 for each style) or `like`.
        styles: those that the model knows.

    Raises:
        RefusedError: fields missing, unknown, of a wrong type or out of range; unknown styles.
    """
    if set(values) not in ({"song", "strength", "to"}, {"song", "strength", "like"}):
        raise RefusedError(400, "expected the fields song, strength, and either to or like")
    strength = _number(values["strength"], "strength")
    if strength > 1.0:
        raise RefusedError(400, f"got the strength {strength:g}; expected a number from 0 to 1")
    song = parse_identity(values["song"])
    if "like" in values:
        return StyleRequest(song, {}, parse_identity(values["like"]), strength)
    return StyleRequest(song, _parse_weights(values["to"], styles), None, strength)


def _parse_weights(given: Any, styles: Collection[str]) -> dict[str, float]:
    if not isinstance(given, dict):
        raise RefusedError(400, "expected a weight for each style")
    for name in given:
        if name not in styles:
            raise RefusedError(422, f"unknown style {parse_name(name)!r}; this model knows: {', '.join(styles)}")
    weights = {name: weight for name in given if (weight := _number(given[name], name)) > 0}
    total = sum(weights.values())
    if not 1e-6 < total < 1e6:
        raise RefusedError(422, "no style is chosen; give at least one of them a weight above 0")
    shares = {name: weight / total for name, weight in weights.items()}
    return {name: share for name, share in shares.items() if share > 1e-6}


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusedError(400, f"{name} must be a number")
    if isinstance(value, int) and abs(value) > 10**9:  # whole numbers of JSON have no largest one, floats do
        raise RefusedError(400, f"{name} is out of range")
    if not math.isfinite(value) or value < 0:
        raise RefusedError(400, f"{name} must be a number that is not negative")
    return float(value)
