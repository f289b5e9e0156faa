"""Random changes to a mel that keep its style, to train classifiers of styles."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def augment(mel: Tensor, floor: float, generator: torch.Generator) -> Tensor:
    """Change gain, timbre and pitch (by up to two mel bands), add noise, and mask a range of bands.

    Args:
        mel: log10 mels.
        floor: log10 value of silence, the lower limit of the result.
        generator: random numbers.

    Shape:
        (B, n_mels, T) -> (B, n_mels, T).
    """
    batch, bands, _ = mel.shape

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape or (batch, 1, 1), generator=generator)

    # A smooth curve over frequency of up to 16 dB: other rooms, mixes and instruments.
    curve = functional.interpolate(uniform(-0.8, 0.8, batch, 1, 10), size=bands, mode="linear", align_corners=True)
    gain = uniform(-0.5, 0.5)
    changed = torch.where(mel > floor + 1e-3, mel + gain + curve.transpose(1, 2), mel)
    shift = int(torch.randint(-2, 3, (), generator=generator))
    changed = changed.roll(shift, dims=1)
    # A noise floor between inaudible and clearly audible, and jitter of half a decibel.
    level = uniform(floor - 1.0, floor + 2.0)
    changed = torch.logaddexp(changed * 2.302585, level * 2.302585) / 2.302585
    changed = changed + 0.03 * torch.randn(mel.shape, generator=generator)
    width = uniform(0, bands / 8)
    low = uniform(0, 1) * (bands - width)
    band = torch.arange(bands)[None, :, None]
    hidden = (band >= low) & (band < low + width)
    return torch.where(hidden, changed.mean(dim=(1, 2), keepdim=True), changed).clamp(min=floor)
