"""The map from which the optimization starts: the content, noise, or a file."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from data.errors import UserError
from stylize.optimize.settings import Start

UNIFORM_TOP = 0.1
"""Upper end of the uniform noise."""


def make_start(start: Start, shape: Sequence[int], *, content: Tensor | None, file: Tensor | None, seed: int) -> Tensor:
    """Make the map to start from; the same seed gives the same map, whatever device it goes to later.

    Args:
        start: what it is made of.
        shape: (planes, rows, columns).
        content: the content's map, for the start `content`.
        file: a map that was read from a file, for the start `file`.
        seed: of the noise.

    Returns:
        a new tensor; noise is float32 on the CPU and may lie beyond the bounds that the optimization will project it
        onto; a copy keeps its type and device.

    Raises:
        UserError: the given map has another shape.
        ValueError: no map is given where one is needed.
    """
    if start.kind in ("content", "file"):
        return _copy(content if start.kind == "content" else file, shape, start.kind)
    generator = torch.Generator().manual_seed(seed)
    if start.kind == "normal":
        return torch.randn(*shape, generator=generator)
    uniform = torch.rand(*shape, generator=generator, dtype=torch.float64)
    if start.kind == "uniform":
        return (UNIFORM_TOP * uniform).float()
    return _truncated_normal(uniform, start).float()


def _copy(source: Tensor | None, shape: Sequence[int], kind: str) -> Tensor:
    if source is None:
        raise ValueError(f"the start {kind!r} needs a map, got None")
    if tuple(source.shape) != tuple(shape):
        raise UserError(
            f"the start ({kind}) has the shape {_by(source.shape)}, expected that of the content, {_by(shape)} "
            "(planes x rows x columns); give one of the same length or size"
        )
    return source.detach().clone()


def _truncated_normal(uniform: Tensor, start: Start) -> Tensor:
    """Values of the truncated distribution by its inverse cumulative distribution function, in double precision."""
    ends = (torch.tensor([start.lower, start.upper], dtype=torch.float64) - start.mean) / start.deviation
    first, last = torch.special.ndtr(ends)
    values = torch.special.ndtri(first + (last - first) * uniform)
    return (start.mean + start.deviation * values).clamp(start.lower, start.upper)


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
