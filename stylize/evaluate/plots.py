"""The trade-off in one picture: content across, style up, a point for each system, a panel for each tier."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.atomic import atomic_write
from stylize.evaluate.material import TIER_TITLES
from stylize.evaluate.summary import CONTENT

MARKERS = "osD^vP*X<>hp"


def save_trade_off(path: Path, tiers: Mapping[str, Mapping[str, Any]], sweep: Mapping[str, Any] | None = None) -> None:
    """Draw every system of every tier with its 95 % intervals.

    Args:
        path: of the PNG file; written under a temporary name first.
        tiers: summaries by name.
        sweep: where given, its strengths are joined by a line in the panel of its tier.

    Raises:
        UserError: the disk is full or fails.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(2, len(tiers))
    rows = -(-len(tiers) // columns)
    figure = Figure(figsize=(6.4 * columns, 4.6 * rows + 1.0), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    names = list(dict.fromkeys(name for tier in tiers.values() for name in tier["systems"]))
    for (tier, summary), axis in zip(tiers.items(), axes, strict=False):
        for name, system in summary["systems"].items():
            _draw_point(axis, system["measures"], name, names.index(name))
        if sweep is not None and sweep["tier"] == tier:
            steps = sweep["strength"]["steps"]
            across, up = [step[CONTENT] for step in steps], [step["target_heard"] for step in steps]
            label = f"strength 0 to 1 ({sweep['pairs']} pairs)"
            axis.plot(across, up, color="0.6", linewidth=1, marker=".", label=label, zorder=1)
        axis.set_title(
            f"{TIER_TITLES.get(tier, tier)}: {summary['pairs']} pairs of {summary['songs']} songs", fontsize=10
        )
        axis.set_xlabel("content kept: mean of chroma, notes, onsets, beats")
        axis.set_ylabel("target style heard")
        axis.set_xlim(0, 1.03)
        axis.set_ylim(-0.03, 1.03)
        axis.grid(alpha=0.3)
    for axis in axes:  # those that are left
        axis.set_axis_off()
    found = {
        label: handle for axis in figure.axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=3, fontsize=8)
    with atomic_write(path) as stream:
        canvas.print_png(stream)


def _draw_point(axis: Any, measures: Mapping[str, Mapping[str, float]], name: str, number: int) -> None:
    across, up = measures[CONTENT], measures["target_heard"]
    axis.errorbar(
        across["mean"],
        up["mean"],
        # A percentile interval of few songs need not hold the mean.
        xerr=[[max(0.0, across["mean"] - across["low"])], [max(0.0, across["high"] - across["mean"])]],
        yerr=[[max(0.0, up["mean"] - up["low"])], [max(0.0, up["high"] - up["mean"])]],
        fmt=MARKERS[number % len(MARKERS)],
        color=f"C{number % 10}",
        capsize=2,
        elinewidth=0.8,
        label=name,
    )
