"""Results as pictures: every rating as a dot, means with their intervals; shares of preferences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stylize.evaluate.figures import save_figure
from stylize.listening.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    from matplotlib.figure import Figure

    rows = [row for row in results.summaries if row.question == question]
    figure = Figure(figsize=(7, 0.8 + 0.5 * len(rows)), layout="constrained")
    axes = figure.subplots()
    spread = np.random.default_rng(0)
    for place, row in enumerate(rows):
        values = [
            rating.value for rating in results.ratings if (rating.question, rating.system) == (question, row.system)
        ]
        axes.plot(values, place + spread.uniform(-0.18, 0.18, len(values)), ".", color=DOT, alpha=0.5, markersize=5)
        if row.low is not None and row.high is not None:
            axes.plot([row.low, row.high], [place, place], color=MEAN, linewidth=3, solid_capstyle="round")
        axes.plot(row.mean, place, "o", color=MEAN, markersize=8)
    axes.set(xlim=(-2, 102), ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)))
    axes.set_yticklabels([row.system for row in rows])
    axes.set_xlabel(f"{question}: ratings, mean and its 95 % interval over listeners")
    return _save(figure, axes, path)


def _plot_pairs(results: Results, question: str, path: Path) -> Path:
    from matplotlib.figure import Figure

    rows = [row for row in results.pairs if row.question == question]
    figure = Figure(figsize=(7, 0.8 + 0.5 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        axes.plot([100 * row.low, 100 * row.high], [place, place], color=MEAN, linewidth=3, solid_capstyle="round")
        axes.plot(100 * row.share, place, "o", color=MEAN, markersize=8)
    axes.axvline(50, color="#888888", linewidth=1)
    axes.set(xlim=(-2, 102), ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)))
    axes.set_yticklabels([f"{row.first} over {row.second}" for row in rows])
    axes.set_xlabel(f"{question}: preferred, %, and its 95 % interval")
    return _save(figure, axes, path)


def _save(figure: Figure, axes: Axes, path: Path) -> Path:
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    return save_figure(figure, path, dpi=120)
