"""File names in texts and pictures."""

from __future__ import annotations


def readable(text: str) -> str:
    """The same text, in which bytes of a file name that are no UTF-8 are escapes, the same that JSON has."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
