"""File names in texts and pictures."""

from __future__ import annotations


def readable(text: str) -> str:
    """The same text, in which bytes of a file name that are no UTF-8 are escapes, the same that JSON has."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: object) -> str:
    """A name for one line of a terminal: what would end the line or command the terminal is escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in readable(str(text)))
