"""Which axis of a spectrogram or picture becomes the channels of a network.

With frequency bins as channels a network looks along time (Ulyanov and Lebedev, 2016); with frames as channels it
looks along frequency; in two dimensions it sees a picture.
"""

from __future__ import annotations

from collections.abc import Callable

from einops import rearrange
from torch import Tensor

from stylize.optimize.options import LAYOUTS
from stylize.options import check_choice
from stylize_core.layers import reflect_pad

Shape = tuple[int, int, int]
"""(planes, rows, columns) of a spectrogram or picture"""

Layout = Callable[[Tensor], Tensor]
"""(planes, rows, columns) -> network input (1, channels, positions, ...)"""

PATTERNS = {
    "frequency": "planes rows columns -> 1 (planes rows) columns",
    "time": "planes rows columns -> 1 (planes columns) rows",
    "2d": "planes rows columns -> 1 planes rows columns",
}


def network_shape(layout: str, shape: Shape) -> tuple[int, int]:
    """Dimensions (1 or 2) and input channels of a network that reads spectrograms or pictures of this shape."""
    check_choice("layout", layout, LAYOUTS)
    planes, rows, columns = shape
    if layout == "2d":
        return 2, planes
    return 1, planes * (rows if layout == "frequency" else columns)


def make_layout(layout: str, shape: Shape) -> Layout:
    """The function that makes a batch of one for a network; gradients pass through it.

    Args:
        layout: a key of :data:`PATTERNS`.
        shape: of its input; columns count for `time` alone, where a style must have as many as the content
            (:func:`fit_columns`).
    """
    check_choice("layout", layout, LAYOUTS)
    wanted = shape if layout == "time" else shape[:2]

    def arrange(x: Tensor) -> Tensor:
        if x.ndim != 3 or tuple(x.shape[: len(wanted)]) != wanted:
            raise ValueError(f"expected the shape {shape} for the layout {layout}, got {tuple(x.shape)}")
        return rearrange(x, PATTERNS[layout])

    return arrange


def fit_columns(style: Tensor, columns: int) -> Tensor:
    """A style, (planes, rows, any), cut to a number of columns, or continued to it by reflection to and fro."""
    if style.ndim != 3 or style.shape[2] < 1 or columns < 1:
        raise ValueError(f"got the shape {tuple(style.shape)} to fit {columns} columns, expected columns")
    missing = columns - style.shape[2]
    return style[..., :columns] if missing <= 0 else reflect_pad(style, 0, missing)
