"""The one exception that means "the user can fix this"."""

from __future__ import annotations


class UserError(Exception):
    """A problem that the user can fix, in one line: what was got, what was expected, what to do; exit code 2."""
