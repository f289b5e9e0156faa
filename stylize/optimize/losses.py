"""Losses of style transfer by optimization, each a pure function of tensors.

Content and style: Gatys, Ecker and Bethge, "A neural algorithm of artistic style", arXiv 1508.06576, section 2.
Histograms: Risser, Wilmot and Barnes, arXiv 1701.08893, section 4. All are means over positions, so that their size
does not grow with the length of a recording or the size of a picture. They work in single and double precision.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gram_matrix(features: Tensor) -> Tensor:
    """Products of all pairs of channels, mean over positions; arXiv 1508.06576, equation 3.

    Shape:
        (B, C, positions, ...) -> (B, C, C), symmetric and positive semi-definite.
    """
    flat = _positions_last(features)
    return flat @ flat.transpose(1, 2) / flat.shape[-1]


def squared_distance(value: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of features (arXiv 1508.06576, equation 1) or of Gram matrices (equation 4); scalar."""
    if value.shape != target.shape:
        raise ValueError(f"expected equal shapes, got {tuple(value.shape)} and {tuple(target.shape)}")
    return (value - target).square().mean()


def total_variation(x: Tensor) -> Tensor:
    """Mean absolute difference of neighbors along rows plus that along columns, (planes, rows, columns) -> scalar.

    The anisotropic total variation of Rudin, Osher and Fatemi (1992). A direction of length 1 adds nothing.
    """
    parts = [x.diff(dim=dim).abs() for dim in (1, 2) if x.shape[dim] > 1]
    return torch.stack([part.mean() for part in parts]).sum() if parts else x.sum() * 0


def sort_channels(features: Tensor) -> Tensor:
    """Sorted values of each channel, its histogram without bins: (1, C, positions, ...) -> (C, positions)."""
    if features.shape[0] != 1:
        raise ValueError(f"expected features of one input, got a batch of {features.shape[0]}")
    return _positions_last(features)[0].sort(dim=1).values


def histogram_loss(features: Tensor, target_sorted: Tensor) -> Tensor:
    """Distance of each channel's values from the same values with the target's histogram.

    arXiv 1701.08893, section 4: the mean of (O - R(O))^2, with R(O) the features whose histogram is matched to the
    target's, a constant for the gradient. The k-th smallest value of a channel is matched with the k-th smallest of the
    target; where the numbers of positions differ, the target's quantiles are interpolated.

    Shape:
        features (1, C, positions, ...), :func:`sort_channels` of the style's (C, any) -> scalar >= 0.
    """
    ordered = sort_channels(features)
    if ordered.shape[0] != target_sorted.shape[0]:
        raise ValueError(f"got {ordered.shape[0]} channels and a target of {target_sorted.shape[0]}")
    # Sorting is a permutation here, so the gradient of a value is that of its place: R(O) stays a constant.
    return (ordered - _quantiles(target_sorted, ordered.shape[1])).square().mean()


def bound_penalty(x: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Mean of the squared excess over the bounds; 0 inside them. An infinite bound never costs anything. Scalar."""
    return (torch.relu(low - x) + torch.relu(x - high)).square().mean()


def _positions_last(features: Tensor) -> Tensor:
    """(B, C, positions, ...) -> (B, C, number of positions)."""
    if features.ndim < 3 or features[0, 0].numel() == 0:
        raise ValueError(f"expected features of shape (B, C, positions, ...), got {tuple(features.shape)}")
    return features.flatten(2)


def _quantiles(ordered: Tensor, count: int) -> Tensor:
    """So many quantiles of each channel, at (k + 1/2) / count: (C, N) -> (C, count), itself where count is N."""
    available = ordered.shape[1]
    if count == available:
        return ordered
    ranks = torch.arange(count, dtype=torch.float64)
    places = ((ranks + 0.5) * (available / count) - 0.5).clamp(0, available - 1)
    below = places.floor().long()
    above = (below + 1).clamp(max=available - 1)
    part = (places - below).to(ordered)
    below, above = below.to(ordered.device), above.to(ordered.device)
    return torch.lerp(ordered[:, below], ordered[:, above], part.expand(ordered.shape[0], -1))
