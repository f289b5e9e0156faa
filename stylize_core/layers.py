"""What all networks on mel spectrograms share: padding by reflection, the range of their input, the leaky ReLU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NEGATIVE_SLOPE = 0.2  # slope of every leaky ReLU below zero, as in MelGAN
MEL_CENTER = -2.0
MEL_HALF_RANGE = 3.0


def scale_mel(mel: Tensor) -> Tensor:
    """Log10 mel values from [-5, 1] to [-1, 1], the range in which networks work."""
    return (mel - MEL_CENTER) / MEL_HALF_RANGE


def unscale_mel(scaled: Tensor) -> Tensor:
    """The inverse of :func:`scale_mel`."""
    return scaled * MEL_HALF_RANGE + MEL_CENTER


def reflect_pad(signal: Tensor, left: int, right: int) -> Tensor:
    """Extend a signal by its mirror image, repeatedly where it is shorter than the padding; a single frame is repeated.

    Shape:
        (B, C, T) -> (B, C, left + T + right).
    """
    if left == 0 and right == 0:
        return signal
    frames = signal.shape[-1]
    if max(left, right) < frames:
        return nn.functional.pad(signal, (left, right), mode="reflect")
    if frames == 0:
        raise ValueError("got a mel of 0 frames, expected at least 1")
    if frames == 1:
        return signal.expand(*signal.shape[:-1], left + 1 + right)
    period = 2 * (frames - 1)
    positions = torch.arange(-left, frames + right, device=signal.device) % period
    return signal[..., torch.minimum(positions, period - positions)]
