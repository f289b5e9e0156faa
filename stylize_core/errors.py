"""The one exception that means "the user can fix this"."""

from __future__ import annotations


class UserError(Exception):
    """A problem in what the user gave, said in one line: what was got, what was expected, what to do.

    Command-line programs print it as ``error: ...`` on stderr and exit with code 2. Anything else that
    escapes is a bug of ours.
    """
