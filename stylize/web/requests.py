"""Requests of browsers to the server of the page, validated."""

from __future__ import annotations

import dataclasses
import re
import secrets
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException

from stylize_core.plain import show

MAX_BYTES = 4096
"""Of a request for a job; one that names every style has about 300."""
MAX_NAME = 100
"""Characters of a file's name that are kept."""
MAX_WEIGHT = 1e9
COOKIE = "stylize-visitor"
"""Tells the songs of one browser from those of another; it is set with the page."""
_IDENTITY = re.compile(r"[A-Za-z0-9_-]{32}")


@dataclass(frozen=True)
class StyleRequest:
    """A job: a song, and either weights of styles or an example of the style."""

    song: str
    strength: Any  # a number; text that reads like one is refused
    to: Mapping[str, Any] | None = None
    like: str | None = None

    def __post_init__(self) -> None:
        if (self.to is None) == (self.like is None):
            raise ValueError("expected either to or like")
        weights = [(name, weight, MAX_WEIGHT) for name, weight in (self.to or {}).items()]
        for name, number, largest in [("strength", self.strength, 1.0), *weights]:
            if type(number) not in (int, float) or not 0 <= number <= largest:
                raise ValueError(f"{name} must be a number from 0 to {largest:g}, got {show(number)}")

    def normalized(self, styles: Collection[str]) -> StyleRequest:
        """The same with weights that add up to 1, without those that add nothing; `styles` are the known ones."""
        if self.to is None:
            return self
        for name in self.to:
            if name not in styles:
                known = ", ".join(styles)
                raise HTTPException(422, f"unknown style {display_name(name)!r}; this model knows: {known}")
        total = sum(self.to.values())
        if total <= 1e-6:
            raise HTTPException(422, "no style is chosen; give at least one of them a weight above 0")
        shares = {name: weight / total for name, weight in self.to.items() if weight / total > 1e-6}
        return dataclasses.replace(self, to=shares)

    @property
    def mixture(self) -> str | None:
        """The mixture, as `--to` takes it."""
        return None if self.to is None else ",".join(f"{name}:{weight!r}" for name, weight in self.to.items())


def new_id() -> str:
    """An id that cannot be guessed, of a song, a job or a visitor."""
    return secrets.token_urlsafe(24)


def read_visitor(cookies: Mapping[str, str]) -> str:
    """Whose request it is. Any browser may choose its own name; it knows no other's."""
    value = cookies.get(COOKIE, "")
    if not _IDENTITY.fullmatch(value):
        raise HTTPException(403, "the cookie of this page is missing; allow cookies for it and load it again")
    return value


def display_name(value: str | None) -> str:
    """A file's name for people: no folder, nothing unprintable. It never becomes the name of a file here."""
    last = re.split(r"[/\\]", value or "")[-1]
    visible = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in last)
    name = " ".join(visible.split())
    if len(name) > MAX_NAME:
        stem, dot, suffix = name.rpartition(".")
        keep = dot + suffix if dot and len(suffix) <= 5 else ""
        name = (stem or name)[: MAX_NAME - len(keep)] + keep
    return name or "song"
