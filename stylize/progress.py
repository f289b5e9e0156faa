"""A progress bar for one song, with the time left and the real-time factor; only on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from stylize.web.pace import Clock, Course, Pace


class SongProgress(Progress):
    """Shows how far a song is, on stderr, and disappears at its end; moves by the clock where no report comes.

    Args:
        name: of the song.
        seconds: its duration.
        pace: what songs before it took; learns what this one does.
        hidden: show nothing.
        clock: seconds that only ever grow.
    """

    def __init__(
        self, name: str, seconds: float, pace: Pace, hidden: bool = False, clock: Clock = time.monotonic
    ) -> None:
        console = Console(stderr=True)
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]:.0f} s left, {task.fields[factor]:.1f}x real time"),
            console=console,
            transient=True,
            disable=hidden or not console.is_terminal,
        )
        self._seconds, self._pace = seconds, pace
        self._course = Course(pace.expect(seconds), clock)
        self.add_task(name, total=1.0, left=self._course.left, factor=0.0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is None:
            self._pace.learn(self._seconds, self._course.elapsed)

    def report(self, seconds: float) -> None:
        """So many seconds of the song are done."""
        self._course.report(min(1.0, seconds / self._seconds))

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is shown, several times a second."""
        for task in self.tasks:
            task.completed = self._course.progress
            task.fields["left"] = self._course.left
            task.fields["factor"] = self._seconds * task.completed / max(self._course.elapsed, 1e-9)
        yield from super().get_renderables()
