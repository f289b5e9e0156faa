"""A progress bar for one song, with the real-time factor; only on a terminal."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class SongProgress:
    """Shows how far a song is, on stderr, and disappears at its end.

    Args:
        name: of the song.
        seconds: its duration.
    """

    def __init__(self, name: str, seconds: float) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[factor]:.1f}x real time"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(name, total=seconds, factor=0.0)
        self._started = time.perf_counter()

    def __enter__(self) -> SongProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, seconds: float) -> None:
        """So many seconds of the song are done."""
        factor = seconds / max(time.perf_counter() - self._started, 1e-9)
        self._progress.update(self._task, completed=seconds, factor=factor)
