"""Progress of one song: what work costs on this machine, the time left, and a bar for terminals."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

Clock = Callable[[], float]

FIRST_COST = 0.5
"""Seconds of work for a second of music, as long as none was measured."""
OVERHEAD_SECONDS = 4.0
"""What every song takes besides, as seconds of music: reading the style, pictures, the second format."""
REMEMBERED = 5
_EASE_FROM = 0.9


class Pace:
    """What work costs on this machine: the median of the last songs."""

    def __init__(self) -> None:
        self._costs: deque[float] = deque(maxlen=REMEMBERED)

    def expect(self, seconds: float) -> float:
        """Seconds that work on so much music will take."""
        return statistics.median(tuple(self._costs) or (FIRST_COST,)) * (seconds + OVERHEAD_SECONDS)

    def learn(self, seconds: float, took: float) -> None:
        """Work on so much music took so long."""
        self._costs.append(took / (seconds + OVERHEAD_SECONDS))


class Course:
    """The work on one song: it advances by the clock toward the expected end, which every report corrects.

    What is shown never goes back and does not stand still: from 90 % on it comes ever nearer to 100 %.
    """

    def __init__(self, expected: float, clock: Clock = time.monotonic) -> None:
        self._expected, self._clock = max(expected, 1e-3), clock
        self._began = clock()
        self._shown = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return self._clock() - self._began

    def report(self, share: float) -> None:
        """So much of the work is done."""
        if share > 0:
            self._expected = max(self.elapsed / share, 1e-3)

    @property
    def progress(self) -> float:
        """The share that is done, as far as one can tell, in [0, 1)."""
        share = self.elapsed / self._expected
        if share > _EASE_FROM:
            rest = 1 - _EASE_FROM
            share = 1 - rest * math.exp((_EASE_FROM - share) / rest)
        self._shown = max(self._shown, min(share, 0.999))
        return self._shown

    @property
    def left(self) -> float:
        """Seconds that are left, as far as one can tell."""
        return self._expected * (1 - self.progress)


class SongProgress(Progress):
    """Progress bar of a song on stderr, which disappears at its end and advances by the clock between reports.

    `pace` predicts the duration of the work, and learns from it.
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
