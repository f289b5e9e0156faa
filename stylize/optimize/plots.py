"""A picture of content, style and result beside each other: maps of sound or pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.atomic import atomic_write
from data.names import readable


@dataclass(frozen=True)
class Panel:
    """One part of the picture.

    Args:
        title: above it.
        image: (rows, columns) of a sound's map, low frequencies first, or (3, height, width) in [0, 1].
        seconds: duration of a sound; None for pictures.
    """

    title: str
    image: np.ndarray
    seconds: float | None = None


def save_panels(path: Path, panels: list[Panel]) -> None:
    """Draw maps of sound above each other, on one scale of colour, or pictures side by side.

    Args:
        path: of the PNG file; written under a temporary name first.
        panels: all of one kind.

    Raises:
        UserError: the disk is full or fails.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    is_sound = panels[0].seconds is not None
    size = (12, 3.2 * len(panels)) if is_sound else (4.5 * len(panels), 4.8)
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    highest = max(float(panel.image.max()) for panel in panels)
    grid = figure.subplots(*((len(panels), 1) if is_sound else (1, len(panels))), squeeze=False)
    for axis, panel in zip(grid.flat, panels, strict=True):
        axis.set_title(readable(panel.title), parse_math=False)
        if panel.seconds is None:
            axis.imshow(np.clip(panel.image, 0, 1).transpose(1, 2, 0))
            axis.set_axis_off()
            continue
        image = axis.imshow(
            panel.image,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            cmap="magma",
            vmin=0.0,
            vmax=max(highest, 1e-3),
            extent=(0.0, panel.seconds, 0, panel.image.shape[0]),
        )
        axis.set_ylabel("frequency bin")
        axis.set_xlabel("seconds")
        figure.colorbar(image, ax=axis, label="value of the map")
    with atomic_write(path) as stream:
        canvas.print_png(stream)
