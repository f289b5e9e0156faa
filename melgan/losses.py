"""Multi-resolution STFT losses of the vocoder (Parallel WaveGAN, arXiv 1910.11480, section 2.2), by auraloss."""

from __future__ import annotations

from collections.abc import Sequence

from auraloss.freq import MultiResolutionSTFTLoss
from torch import Tensor, nn

from melgan.filter_bank import FilterBank

SUBBAND_STFT = ((384, 683, 171), (30, 60, 10), (150, 300, 60))
"""Transforms, hops and windows for sub-bands as in Multi-band MelGAN, sub-band samples."""

MAX_SUBBAND_REFLECTION = SUBBAND_STFT[0][1] // 2
"""Padding of the longest of these transforms, sub-band samples."""


def make_stft_loss(sizes: Sequence[int]) -> MultiResolutionSTFTLoss:
    """The loss for transforms and windows of these sizes, with hops of a quarter."""
    return MultiResolutionSTFTLoss(list(sizes), [size // 4 for size in sizes], list(sizes))


class SubbandSTFTLoss(nn.Module):
    """Multi-resolution STFT loss between the sub-bands of two waveforms (Multi-band MelGAN, arXiv 2005.05106).

    Spectral convergence is relative to the sum of all bands, so that a silent band cannot outweigh the others.

    Args:
        subbands: number of sub-bands.

    Shape:
        fake, real (B, 1, samples), a multiple of the number of sub-bands and more than 341 samples in each -> scalar,
        0 when equal.
    """

    def __init__(self, subbands: int) -> None:
        super().__init__()
        self.filter_bank = FilterBank(subbands)
        self.stft_loss = MultiResolutionSTFTLoss(*(list(values) for values in SUBBAND_STFT))

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Split both waveforms and compare."""
        loss: Tensor = self.stft_loss(self.filter_bank.analyze(fake), self.filter_bank.analyze(real))
        return loss
