"""Which axis of a map becomes the channels of a network.

With frequency bins as channels a network looks along time (Ulyanov and Lebedev, 2016); with frames as channels it
looks along frequency; in two dimensions it looks at the map as at a picture.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from data.layers import reflect_pad
from stylize.optimize.choices import ORIENTATIONS, check_choice

MapShape = tuple[int, int, int]
"""(planes, rows, columns)"""


def network_shape(orientation: str, map_shape: MapShape) -> tuple[int, int]:
    """Dimensions (1 or 2) and input channels of a network that reads maps of this shape.

    Args:
        orientation: `frequency`, `time` or `2d`.
        map_shape: planes, rows, columns.

    Raises:
        UserError: an unknown orientation.
    """
    check_choice("orientation", orientation, ORIENTATIONS)
    planes, rows, columns = map_shape
    if orientation == "2d":
        return 2, planes
    return 1, planes * (rows if orientation == "frequency" else columns)


def view_of(orientation: str, map_shape: MapShape) -> Callable[[Tensor], Tensor]:
    """The function that turns a map into a batch of one for a network; gradients pass through it.

    Args:
        orientation: `frequency`, `time` or `2d`.
        map_shape: planes, rows, columns of the maps; the columns count for `time` alone, where a style must have as
            many of them as the content (:func:`fit_columns`).

    Shape:
        (planes, rows, columns) -> `frequency`: (1, planes * rows, columns); `time`: (1, planes * columns, rows), plane
        by plane; `2d`: (1, planes, rows, columns).

    Raises:
        UserError: an unknown orientation. The function raises a ValueError for maps of another shape.
    """
    check_choice("orientation", orientation, ORIENTATIONS)
    planes, rows, columns = map_shape

    def view(map_: Tensor) -> Tensor:
        fits = map_.ndim == 3 and map_.shape[:2] == (planes, rows)
        if not fits or (orientation == "time" and map_.shape[2] != columns):
            raise ValueError(
                f"expected a map of {map_shape} for the orientation {orientation}, got {tuple(map_.shape)}"
            )
        if orientation == "frequency":
            return map_.reshape(1, planes * rows, -1)
        if orientation == "time":
            return map_.transpose(1, 2).reshape(1, planes * columns, rows)
        return map_[None]

    return view


def fit_columns(style_map: Tensor, columns: int) -> Tensor:
    """A style with as many columns as the content: the first ones, or continued by reflection to and fro.

    Shape:
        (planes, rows, any) -> (planes, rows, columns).

    Raises:
        ValueError: no columns at all, or not a map.
    """
    if style_map.ndim != 3 or style_map.shape[2] < 1 or columns < 1:
        raise ValueError(
            f"got a map of {tuple(style_map.shape)} to fit to {columns} columns, expected (planes, rows, >= 1)"
        )
    missing = columns - style_map.shape[2]
    return style_map[..., :columns] if missing <= 0 else reflect_pad(style_map, 0, missing)
