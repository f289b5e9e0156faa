"""Results as pictures: every rating as a dot, means with their intervals; shares of preferences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stylize.evaluate.figures import save_figure
from stylize.listening.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOT, MEAN = "#7aa6a2", "#1f4e4a"


def save_plots(results: Results, output: Path) -> list[Path]:
    """One PNG for each question that was answered, `ratings_QUESTION.png` or `pairs_QUESTION.png`."""
    paths = []
    for question in results.trial.questions:
        if any(row.question == question for row in results.summaries):
            paths.append(_plot_ratings(results, question, output / f"ratings_{question}.png"))
        if any(row.question == question for row in results.pairs):
            paths.append(_plot_pairs(results, question, output / f"pairs_{question}.png"))
    return paths


def _plot_ratings(results: Results, question: str, path: Path) -> Path:
    rows = [row for row in results.summaries if row.question == question]
    axes = _axes([row.system for row in rows], f"{question}: ratings, mean and its 95 % interval over listeners")
    spread = np.random.default_rng(0)
    for place, row in enumerate(rows):
        values = [
            rating.value for rating in results.ratings if (rating.question, rating.system) == (question, row.system)
        ]
        axes.plot(values, place + spread.uniform(-0.18, 0.18, len(values)), ".", color=DOT, alpha=0.5, markersize=5)
        _plot_interval(axes, place, row.mean, row.low, row.high)
    return _save(axes, path)


def _plot_pairs(results: Results, question: str, path: Path) -> Path:
    rows = [row for row in results.pairs if row.question == question]
    axes = _axes([f"{row.first} over {row.second}" for row in rows], f"{question}: preferred, %, and its 95 % interval")
    for place, row in enumerate(rows):
        _plot_interval(axes, place, 100 * row.share, 100 * row.low, 100 * row.high)
    axes.axvline(50, color="#888888", linewidth=1)
    return _save(axes, path)


def _axes(names: list[str], title: str) -> Axes:
    from matplotlib.figure import Figure

    axes = Figure(figsize=(7, 0.8 + 0.5 * len(names)), layout="constrained").subplots()
    axes.set(xlim=(-2, 102), ylim=(len(names) - 0.5, -0.5), yticks=range(len(names)), yticklabels=names, xlabel=title)
    return axes


def _plot_interval(axes: Axes, place: int, mean: float, low: float | None, high: float | None) -> None:
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=MEAN, linewidth=3, solid_capstyle="round")
    axes.plot(mean, place, "o", color=MEAN, markersize=8)


def _save(axes: Axes, path: Path) -> Path:
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    figure = axes.get_figure(root=True)
    assert figure is not None
    return save_figure(figure, path, dpi=120)
