"""Plots of the losses and validation metrics of training runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stylize.evaluate.figures import save_figure
from stylize_core.errors import UserError
from stylize_core.plain import one_line, parse_json, read_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = list[tuple[int, float]]
"""Steps and values."""

SMOOTHED = 9
"""Width of the running median of a loss."""


def plot_runs(runs: Sequence[Path], output: Path, only: Sequence[str] = ()) -> int:
    """Draw a panel for each recorded name and a line for each run; returns the number of panels."""
    if len(set(runs)) < len(runs):
        raise UserError("the same run is named twice; name each once")
    curves = {str(run): read_curves(run) for run in runs}
    names = list(dict.fromkeys(name for of_run in curves.values() for name in of_run))
    chosen = [name for name in names if not only or name.startswith(tuple(only))]
    if not chosen:
        raise UserError(f"no panel begins with {' or '.join(only)}; there are: {', '.join(names)}")
    draw(output, sorted(chosen, key=lambda name: not name.startswith("valid/")), curves)
    return len(chosen)


def read_curves(run: Path) -> dict[str, Curve]:
    """The recorded metrics of a run, by name; raises UserError for a missing, broken or empty file."""
    path = run / "metrics.jsonl"
    if not path.is_file():
        raise UserError(f"{run} has no metrics.jsonl: expected the folder of a training run")
    curves: dict[str, Curve] = {}
    try:
        lines = read_lines(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({one_line(error)})") from None
    for number, line in enumerate(lines, 1):
        try:
            record = parse_json(line)
            step = int(record.pop("step"))
            values = {str(name): float(value) for name, value in record.items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UserError(f"line {number} of {path} is no record of a training; remove it") from None
        for name, value in values.items():
            curves.setdefault(name, []).append((step, value))
    if not curves:
        raise UserError(f"{path} is empty: the run has recorded nothing yet")
    return curves


def running_median(curve: Curve, width: int = SMOOTHED) -> Curve:
    """Running median of odd width, narrower at the ends."""
    half = width // 2
    values = [value for _, value in curve]
    return [
        (step, statistics.median(values[max(0, place - half) : place + half + 1]))
        for place, (step, _) in enumerate(curve)
    ]


def draw(path: Path, names: list[str], curves: dict[str, dict[str, Curve]]) -> None:
    """Write the picture."""
    from matplotlib.figure import Figure

    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.4 * rows + 0.4), dpi=100, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for name, axis in zip(names, axes, strict=False):
        for number, (run, of_run) in enumerate(curves.items()):
            _draw_curve(axis, of_run.get(name, []), f"C{number}", run, smooth=not name.startswith("valid/"))
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    for axis in list(axes):
        axis.set_axis_off()
    if len(curves) > 1:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8)
    figure.supxlabel("step", fontsize=8)
    save_figure(figure, path)


def _draw_curve(axis: Axes, curve: Curve, color: str, label: str, smooth: bool) -> None:
    steps = [step for step, _ in curve]
    values = [value for _, value in curve]
    if smooth:
        axis.plot(steps, values, color=color, alpha=0.25, linewidth=0.6)
        values = [value for _, value in running_median(curve)]
    axis.plot(steps, values, color=color, linewidth=1.4, marker=None if smooth else ".", label=label)
