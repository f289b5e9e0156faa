"""Light damage to mel spectrograms, so that a vocoder also learns from mels that no waveform has.

A translator's mels are smoother than those of recordings, and slightly wrong in level and detail.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from stylize_core.plain import check_range

KNOTS = 8  # random gains of the curve over bands; between them it is linear


@dataclass(frozen=True)
class MelAugmentation:
    """The largest changes of a mel; every segment draws its own strengths between 0 and these.

    Args:
        blur_frames: standard deviation of a Gaussian blur over time, frames.
        blur_bands: the same over bands.
        noise: standard deviation of independent noise in each value, log10 units (0.05 is one decibel).
        band_gain_db: largest gain, up or down, of a smooth random curve over the bands, decibels.
        share: of the segments that are changed at all, in [0, 1].
    """

    blur_frames: float = 0.0
    blur_bands: float = 0.0
    noise: float = 0.0
    band_gain_db: float = 0.0
    share: float = 1.0

    def __post_init__(self) -> None:
        check_range(0, 1e9, **asdict(self))
        check_range(0, 1, share=self.share)

    @property
    def active(self) -> bool:
        """Whether it changes anything."""
        return self.share > 0 and any((self.blur_frames, self.blur_bands, self.noise, self.band_gain_db))


def augment_mel(mel: Tensor, config: MelAugmentation, generator: torch.Generator, log_floor: float) -> Tensor:
    """Blur, noise and gain per band, in this order; the same generator state gives the same result.

    Values at the floor stay there, and none falls below.

    Args:
        mel: log10 magnitudes.
        config: the strengths.
        generator: on the CPU.
        log_floor: the value of silence.

    Shape:
        mel (B, n_mels, T) -> (B, n_mels, T), log10.
    """
    if not config.active:
        return mel
    batch, bands, _ = mel.shape

    def strengths(largest: float) -> Tensor:
        return largest * torch.rand(batch, generator=generator)

    changed = mel
    time_blur, band_blur = strengths(config.blur_frames), strengths(config.blur_bands)
    if config.blur_frames:
        changed = _blur(changed, time_blur, config.blur_frames)
    if config.blur_bands:
        changed = _blur(changed.transpose(1, 2), band_blur, config.blur_bands).transpose(1, 2)
    noise = torch.randn(mel.shape, generator=generator) * strengths(config.noise)[:, None, None]
    knots = (2 * torch.rand(batch, 1, KNOTS, generator=generator) - 1) * strengths(config.band_gain_db)[:, None, None]
    gain = nn.functional.interpolate(knots, size=bands, mode="linear", align_corners=True)[:, 0, :, None] / 20
    changed = (changed + (noise + gain).to(mel)).clamp(min=log_floor)
    chosen = (torch.rand(batch, generator=generator) < config.share).to(mel.device)[:, None, None]
    # Stored in half precision, the floor may come back a little above itself.
    silent = mel <= log_floor + 1e-3
    return torch.where(chosen & ~silent, changed, mel)


def _blur(values: Tensor, deviations: Tensor, largest: float) -> Tensor:
    """Gaussian blur over the last axis, each item with its own standard deviation; edges are repeated."""
    reach = math.ceil(3 * largest)
    distance = torch.arange(-reach, reach + 1)
    kernels = torch.exp(-0.5 * (distance / deviations.clamp(min=1e-3)[:, None]).square())
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).to(values)
    padded = nn.functional.pad(values, (reach, reach), mode="replicate")
    return torch.einsum("bctk,bk->bct", padded.unfold(-1, 2 * reach + 1, 1), kernels)
