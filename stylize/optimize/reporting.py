"""Progress of a run on stderr, and its history as CSV and curves."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from stylize.evaluate.figures import save_figure
from stylize_core.atomic import atomic_write

COLUMNS = ("block", "channel", "iteration", "evaluations", "seconds", "total")
"""Those of the CSV file before the terms of the loss."""


@dataclass(frozen=True)
class Place:
    """Which block and channel is being optimized; both count from 1."""

    block: int = 1
    blocks: int = 1
    channel: int = 1
    channels: int = 1

    def describe(self) -> str:
        """Block and channel, where there are several: ` in block 2 of 5, channel 1 of 2`."""
        parts = []
        if self.blocks > 1:
            parts.append(f"block {self.block} of {self.blocks}")
        if self.channels > 1:
            parts.append(f"channel {self.channel} of {self.channels}")
        return f" in {', '.join(parts)}" if parts else ""


@dataclass(frozen=True)
class Step:
    """Where an optimization stands."""

    iteration: int  # 0 is the init
    evaluations: int  # of the objective up to here
    seconds: float  # since the beginning
    total: float  # the loss
    terms: dict[str, float]  # of the loss, see :class:`stylize.optimize.objective.LossReport`

    def describe(self) -> str:
        """The total and every term; those of single layers are in the history."""
        losses = {"total": self.total} | {name: value for name, value in self.terms.items() if "/" not in name}
        return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in losses.items())


class Reporter:
    """Interface that a run reports to; this one discards everything."""

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def note(self, text: str) -> None:
        """A line about the run."""

    def step(self, place: Place, step: Step) -> None:
        """An iteration is done."""


def _part_done(place: Place, step: Step, iterations: int) -> float:
    """Which part of all iterations is done."""
    done = (place.block - 1) * place.channels + place.channel - 1
    return (done + min(step.iteration / iterations, 1.0)) / (place.blocks * place.channels)


class LineReporter(Reporter):
    """A line at every tenth."""

    def __init__(self, iterations: int) -> None:
        self._iterations, self._tenths = iterations, 0

    def note(self, text: str) -> None:
        """Print it; what comes after it begins anew."""
        self._tenths = 0
        print(text, file=sys.stderr, flush=True)

    def step(self, place: Place, step: Step) -> None:
        """Print a line if another tenth is done."""
        tenths = int(_part_done(place, step, self._iterations) * 10 + 1e-9)
        if tenths > self._tenths:
            self._tenths = tenths
            where = f"iteration {step.iteration} of {self._iterations}{place.describe()}"
            print(f"{tenths * 10:3d} %: {where}: {step.describe()}", file=sys.stderr, flush=True)


class BarReporter(Reporter):
    """A bar, which disappears at the end."""

    def __init__(self, iterations: int, console: Console) -> None:
        self._iterations, self._console = iterations, console
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

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """Print it above the bar."""
        self._console.print(text, markup=False, highlight=False)

    def step(self, place: Place, step: Step) -> None:
        """Move the bar."""
        done, where = _part_done(place, step, self._iterations), place.describe().removeprefix(" in ")
        self._progress.update(self._task, completed=done, description=where, losses=step.describe())


def choose_reporter(iterations: int) -> Reporter:
    """A bar on a terminal, else lines; for runs with so many iterations for each block and channel."""
    console = Console(stderr=True)
    return BarReporter(iterations, console) if console.is_terminal else LineReporter(iterations)


class HistoryRow(NamedTuple):
    """One iteration of a block and channel."""

    place: Place
    step: Step


@dataclass
class History:
    """All iterations of a run: blocks in order, within them channels, within them iterations."""

    rows: list[HistoryRow] = field(default_factory=list)

    @property
    def terms(self) -> list[str]:
        """Names of all terms of the loss, in order of their first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row.step.terms))

    def write_csv(self, path: Path) -> None:
        """Write one line for each iteration, with `COLUMNS` and one column for each term."""
        terms = self.terms
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*COLUMNS, *terms])
        for row in self.rows:
            place, step = row
            numbers = [step.total, *(step.terms.get(name, "") for name in terms)]
            position = [place.block, place.channel, step.iteration, step.evaluations, f"{step.seconds:.3f}"]
            writer.writerow([*position, *(f"{number:.8g}" if number != "" else "" for number in numbers)])
        with atomic_write(path) as stream:
            stream.write(text.getvalue().encode())

    def save_curves(self, path: Path) -> None:
        """Draw the total and each term over the iterations, on a logarithmic scale; blocks stand side by side."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 6), dpi=100, layout="constrained")
        axes = figure.add_subplot()
        curves = {"total": [row.step.total for row in self.rows]}
        for name in self.terms:
            if "/" not in name:  # those of the layers are in the CSV file
                curves[name] = [row.step.terms.get(name, float("nan")) for row in self.rows]
        for name, values in curves.items():
            shown = [value if value > 0 else float("nan") for value in values]
            axes.plot(shown, label=name, linewidth=2.5 if name == "total" else 1.2)
        for index, (row, following) in enumerate(zip(self.rows, self.rows[1:], strict=False), start=1):
            if row.place != following.place:
                axes.axvline(index - 0.5, color="0.8", linewidth=0.8)
        axes.set_yscale("log")
        axes.set_xlabel("iteration, blocks and channels side by side")
        axes.set_ylabel("loss, each term before its weight")
        axes.grid(True, alpha=0.3)
        axes.legend()
        save_figure(figure, path)
