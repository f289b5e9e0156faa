"""Names of files and styles in messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


def readable(text: str) -> str:
    """The text with bytes of file names that are no UTF-8 escaped as in JSON."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: object) -> str:
    """The text for one line of a terminal, with control characters escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in readable(str(text)))


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean jazz?` where a known name is close, in capitals or not; else empty."""
    folded = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f"; did you mean {folded[close[0]]}?" if close else ""


def not_there(path: Path) -> str:
    """Why nothing is at a path."""
    return f"{path} is a broken link to {path.readlink()}" if path.is_symlink() else f"{path} does not exist"
