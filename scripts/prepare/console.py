"""Bars and tables of the sub-commands."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import rich.progress
from rich.console import Console
from rich.markup import escape
from rich.table import Table

T = TypeVar("T")


def track(items: Iterable[T], text: str, total: int) -> Iterator[T]:
    """Go through items with a bar."""
    with progress_bar() as progress:
        yield from progress.track(items, total, description=text)


def progress_bar() -> rich.progress.Progress:
    """A bar on stderr where that is a terminal."""
    hidden = not sys.stderr.isatty()
    return rich.progress.Progress(console=Console(stderr=True), transient=True, disable=hidden)


def show_progress(text: str, counts: Iterator[tuple[int, int]]) -> None:
    """Go through (finished, all) pairs with a bar; what can be wrong with the request shows before it appears."""
    finished, total = next(counts)
    with progress_bar() as progress:
        bar = progress.add_task(text, total=total, completed=finished)
        for finished, _ in counts:
            progress.update(bar, completed=finished)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], total: Sequence[object]) -> None:
    """A table with a last row apart; numbers are on the right."""
    table = Table()
    for column, cell in zip(columns, total, strict=True):
        table.add_column(column, justify="right" if isinstance(cell, int | float) else "left")
    for row in rows:
        table.add_row(*map(_text, row))
    table.add_section()
    table.add_row(*map(_text, total))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _text(cell: object) -> str:
    return f"{cell:.1f}" if isinstance(cell, float) else escape(str(cell))
