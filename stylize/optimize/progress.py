"""How far an optimization is, with every loss: a bar on a terminal, else a line at every tenth; on stderr."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from stylize.optimize.command import describe_losses, describe_place
from stylize.optimize.reporter import Place, Reporter

if TYPE_CHECKING:
    from stylize.optimize.engine import Step


class _Counter:
    """Which part of all iterations is done."""

    def __init__(self, iterations: int) -> None:
        self._iterations = iterations

    def part(self, place: Place, step: Step) -> float:
        maps = place.blocks * place.channels
        done = (place.block - 1) * place.channels + place.channel - 1
        return (done + min(step.iteration / self._iterations, 1.0)) / maps


class LineReporter(Reporter):
    """A line at every tenth.

    Args:
        iterations: for each map.
    """

    def __init__(self, iterations: int) -> None:
        self._counter, self._iterations, self._tenths = _Counter(iterations), iterations, 0

    def __enter__(self) -> LineReporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def note(self, text: str) -> None:
        """Print it; what comes after it begins anew."""
        self._tenths = 0
        print(text, file=sys.stderr, flush=True)

    def step(self, place: Place, step: Step) -> None:
        """Print a line if another tenth is done."""
        tenths = int(self._counter.part(place, step) * 10 + 1e-9)
        if tenths > self._tenths:
            self._tenths = tenths
            where = f"iteration {step.iteration} of {self._iterations}{describe_place(place)}"
            print(f"{tenths * 10:3d} %: {where}: {describe_losses(step)}", file=sys.stderr, flush=True)


class BarReporter(Reporter):
    """A bar, which disappears at the end.

    Args:
        iterations: for each map.
        console: the terminal.
    """

    def __init__(self, iterations: int, console: Console) -> None:
        self._counter, self._console = _Counter(iterations), console
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}", markup=False),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=1.0, losses="")

    def __enter__(self) -> BarReporter:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """Print it above the bar."""
        self._console.print(text, markup=False, highlight=False)

    def step(self, place: Place, step: Step) -> None:
        """Move the bar."""
        self._progress.update(
            self._task,
            completed=self._counter.part(place, step),
            description=describe_place(place).removeprefix(" in "),
            losses=describe_losses(step),
        )


def choose_reporter(iterations: int) -> LineReporter | BarReporter:
    """A bar on a terminal, else lines; for runs with so many iterations for each map."""
    console = Console(stderr=True)
    return BarReporter(iterations, console) if console.is_terminal else LineReporter(iterations)
