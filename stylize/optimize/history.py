"""The losses of a run, iteration by iteration: as a CSV file, as curves, and as a run of Weights & Biases."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.atomic import atomic_write

if TYPE_CHECKING:
    from stylize.optimize.engine import Step

PLACE = ("block", "channel", "iteration", "evaluations", "seconds", "total")
"""The columns of the CSV file before the terms of the loss."""


@dataclass(frozen=True)
class HistoryRow:
    """One iteration.

    Args:
        block: number of the block of the recording, from 1.
        channel: number of the channel, from 1.
        step: what the optimizer says of it; its terms are relative losses before their weights.
    """

    block: int
    channel: int
    step: Step


@dataclass
class History:
    """All iterations of a run, in order.

    Args:
        rows: blocks in order, within them channels, within them iterations.
    """

    rows: list[HistoryRow] = field(default_factory=list)

    def add(self, block: int, channel: int, step: Step) -> None:
        """Append an iteration."""
        self.rows.append(HistoryRow(block, channel, step))

    @property
    def terms(self) -> list[str]:
        """Names of all terms of the loss, in order of their first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row.step.terms))

    def write_csv(self, path: Path) -> None:
        """Write one line for each iteration, with the columns of `PLACE` and one for each term.

        Raises:
            UserError: the disk is full or fails.
        """
        terms = self.terms
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*PLACE, *terms])
        for row in self.rows:
            step = row.step
            numbers = [step.total, *(step.terms.get(name, "") for name in terms)]
            place = [row.block, row.channel, step.iteration, step.evaluations, f"{step.seconds:.3f}"]
            writer.writerow([*place, *(f"{number:.8g}" if number != "" else "" for number in numbers)])
        with atomic_write(path) as stream:
            stream.write(text.getvalue().encode())

    def save_curves(self, path: Path) -> None:
        """Draw the total and each term over the iterations, on a logarithmic scale; blocks stand side by side.

        Raises:
            UserError: the disk is full or fails.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 6), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        curves = {"total": [row.step.total for row in self.rows]}
        for name in self.terms:
            if "/" not in name:  # those of the layers are in the CSV file
                curves[name] = [row.step.terms.get(name, float("nan")) for row in self.rows]
        for name, values in curves.items():
            shown = [value if value > 0 else float("nan") for value in values]
            axes.plot(shown, label=name, linewidth=2.5 if name == "total" else 1.2)
        for index, (row, following) in enumerate(zip(self.rows, self.rows[1:], strict=False), start=1):
            if (row.block, row.channel) != (following.block, following.channel):
                axes.axvline(index - 0.5, color="0.8", linewidth=0.8)
        axes.set_yscale("log")
        axes.set_xlabel("iteration, blocks and channels side by side")
        axes.set_ylabel("loss, each term before its weight")
        axes.grid(True, alpha=0.3)
        axes.legend()
        with atomic_write(path) as stream:
            canvas.print_png(stream)


class WandbRun:
    """A run of Weights & Biases; `online` without a key or a connection is offline.

    Args:
        mode: offline or online.
        name: of the run.
        config: plain values, stored with it.

    Attributes:
        place: a clause that says where the run goes.
    """

    def __init__(self, mode: str, name: str, config: Mapping[str, Any]) -> None:
        from training.wandb_run import open_wandb_run

        self._run, self.place = open_wandb_run(
            "auto" if mode == "online" else mode, name=name, config=dict(config)
        )

    def log(self, row: HistoryRow) -> None:
        """Record an iteration."""
        if self._run is None:
            return
        step = row.step
        place = {"block": row.block, "channel": row.channel, "iteration": step.iteration, "seconds": step.seconds}
        self._run.log({**place, "total": step.total, **step.terms})

    def close(self) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish()
