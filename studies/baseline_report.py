"""What a study found, as tables in Markdown and as plots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studies.baseline import COPY_CONTENT, COPY_STYLE, Case

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUESTIONS = {
    "layers": "Are higher layers harder, and is it the ReLUs?",
    "balance": "The balance of content and style",
    "iterations": "What 200 iterations give that 100 do not",
    "layout": "Frequency as channels, time as channels, or 2-D",
    "network": "Does a trained network beat a random one?",
    "default": "Which network and which balance are the default",
    "histogram": "Does the histogram loss help sound?",
}

COLUMNS = {
    "harmony": "harmony",
    "rhythm": "rhythm",
    "style": "style",
    "heard": "style heard",
    "timbre": "timbre distance",
    "content_loss": "content loss",
    "style_loss": "style loss",
    "seconds": "seconds",
}

Means = Mapping[str, Mapping[str, float]]
"""By the key of a case (or a copy): the means of its measures, and `NAME_error` beside each."""


def table(question: str, cases: Sequence[Case], means: Means) -> str:
    """One question's cases and the two copies, in Markdown."""
    lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "| --- |" + " ---: |" * len(COLUMNS)]
    rows = [(COPY_CONTENT, COPY_CONTENT), (COPY_STYLE, COPY_STYLE)]
    rows += [(case.label, case.key) for case in cases if case.question == question]
    for label, key in rows:
        lines.append(f"| {label} | " + " | ".join(_cell(name, means[key]) for name in COLUMNS) + " |")
    return "\n".join(lines)


def _cell(name: str, mean: Mapping[str, float]) -> str:
    value, error = mean[name], mean[f"{name}_error"]
    if math.isnan(value):
        return ""
    if name in ("content_loss", "style_loss"):
        return f"{value:.2g}"
    if name == "seconds":
        return f"{value:.0f}"
    digits = 1 if name == "timbre" else 2
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def make_markdown(cases: Sequence[Case], means: Means, folder: str) -> str:
    """All questions with their tables and plots; prose is for people to add.

    Args:
        cases: of the study.
        means: see `Means`.
        folder: of the plots, as it is linked.
    """
    parts = []
    for question, title in QUESTIONS.items():
        if any(case.question == question for case in cases):
            parts.append(f"### {title}\n\n![{title}]({folder}/{question}.png)\n\n{table(question, cases, means)}\n")
    return "\n".join(parts)


def save_plots(folder: Path, cases: Sequence[Case], means: Means) -> list[Path]:
    """One PNG for each question."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for question, title in QUESTIONS.items():
        mine = [case for case in cases if case.question == question]
        if not mine:
            continue
        figure = Figure(figsize=(11, 4.6), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots(1, 2)
        if question == "layers":
            _plot_layers(axes, mine, means)
        elif question == "iterations":
            _plot_iterations(axes, mine, means)
        else:
            _plot_trade_off(axes[0], mine, means, "style", "style: cosine of embeddings")
            _plot_trade_off(axes[1], mine, means, "timbre", "timbre: distance of MFCC statistics")
            axes[1].invert_yaxis()
        figure.suptitle(title)
        paths.append(folder / f"{question}.png")
        canvas.print_png(str(paths[-1]))
    return paths


def _series(cases: Sequence[Case]) -> dict[str, list[Case]]:
    series: dict[str, list[Case]] = {}
    for case in sorted(cases, key=lambda case: case.place):
        series.setdefault(case.series, []).append(case)
    return series


def _plot_layers(axes: Any, cases: Sequence[Case], means: Means) -> None:
    for name, members in _series(cases).items():
        term = name.split(",")[0]
        places = [case.place for case in members]
        axes[0].plot(places, [means[case.key][f"{term}_loss"] for case in members], "o-", label=name)
        measure = "harmony" if term == "content" else "style"
        values = [means[case.key][measure] for case in members]
        axes[1].plot(places, values, "o-", label=f"{measure} of {name}")
    axes[0].set_yscale("log")
    axes[0].set_ylabel("relative loss at the end")
    axes[1].axhline(means[COPY_STYLE]["harmony"], color="grey", ls=":", label="harmony of another song")
    axes[1].set_ylabel("measure")
    for axis in axes:
        axis.set_xlabel("layer of the random network")
        axis.legend(fontsize=8)


def _plot_iterations(axes: Any, cases: Sequence[Case], means: Means) -> None:
    for name, members in _series(cases).items():
        places = [case.place for case in members]
        for axis, measure in zip(axes, ("total", "style"), strict=True):
            axis.plot(places, [means[case.key][measure] for case in members], "o-", label=name)
    axes[0].set_yscale("log")
    axes[0].set_ylabel("relative loss at the end")
    axes[1].set_ylabel("style: cosine of embeddings")
    axes[1].axhline(means[COPY_CONTENT]["style"], color="grey", ls=":", label=COPY_CONTENT)
    for axis in axes:
        axis.set_xscale("log")
        axis.set_xlabel("iterations")
        axis.legend(fontsize=8)


def _plot_trade_off(axis: Axes, cases: Sequence[Case], means: Means, measure: str, label: str) -> None:
    """Content kept across, style reached up, a curve for each series, with standard errors over pairs."""
    for name, members in _series(cases).items():
        across, up = ([means[case.key][kind] for case in members] for kind in ("harmony", measure))
        errors = [[means[case.key][f"{kind}_error"] for case in members] for kind in ("harmony", measure)]
        axis.errorbar(across, up, xerr=errors[0], yerr=errors[1], fmt="o-", capsize=2, lw=1, label=name)
        for case, x, y in zip(members, across, up, strict=True):
            axis.annotate(f"{case.place:g}", (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8)
    for key, marker in ((COPY_CONTENT, "s"), (COPY_STYLE, "^")):
        axis.plot(means[key]["harmony"], means[key][measure], marker, color="black", label=key)
    axis.set_xlabel("content kept: chroma cosine (numbers: content weight)")
    axis.set_ylabel(label)
    axis.legend(fontsize=8)
