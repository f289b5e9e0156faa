"""Losses of the vocoder, each a pure function of tensors.

Paper: MelGAN, arXiv 1910.06711, section 2.3 (hinge, feature matching). Multi-resolution STFT: Parallel WaveGAN, arXiv
1910.11480, section 2.2, by auraloss; the same on sub-bands: Multi-band MelGAN, arXiv 2005.05106.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from auraloss.freq import MultiResolutionSTFTLoss
from torch import Tensor

from melgan.filter_bank import FilterBank

FeatureMaps = Sequence[Sequence[Tensor]]
"""Per scale the feature maps of a discriminator, the last one its scores."""

SUBBAND_STFT = ((384, 683, 171), (30, 60, 10), (150, 300, 60))
"""Transforms, hops and windows for sub-bands as in the Multi-band MelGAN paper, in their samples."""


def hinge_discriminator(real: FeatureMaps, fake: FeatureMaps) -> Tensor:
    """Sum over scales of mean(max(0, 1 - real)) + mean(max(0, 1 + fake)); equation 1. Scalar, 0 at best."""
    return torch.stack(
        [
            torch.relu(1 - real_maps[-1].float()).mean() + torch.relu(1 + fake_maps[-1].float()).mean()
            for real_maps, fake_maps in zip(real, fake, strict=True)
        ]
    ).sum()


def hinge_generator(fake: FeatureMaps) -> Tensor:
    """Sum over scales of -mean(scores); equation 2. Scalar."""
    return torch.stack([-maps[-1].float().mean() for maps in fake]).sum()


def feature_matching(real: FeatureMaps, fake: FeatureMaps) -> Tensor:
    """Mean absolute difference of the discriminators' feature maps, averaged over layers and scales; equation 3.

    The scores themselves do not take part. The maps of the real waveform are constants. Scalar, 0 when equal.
    """
    distances = [
        torch.nn.functional.l1_loss(fake_map.float(), real_map.detach().float())
        for real_maps, fake_maps in zip(real, fake, strict=True)
        for real_map, fake_map in zip(real_maps[:-1], fake_maps[:-1], strict=True)
    ]
    return torch.stack(distances).mean()


def make_subband_loss() -> MultiResolutionSTFTLoss:
    """The multi-resolution STFT loss for :func:`subband_stft`, at the resolutions :data:`SUBBAND_STFT`."""
    return MultiResolutionSTFTLoss(*(list(values) for values in SUBBAND_STFT))


def subband_stft(fake: Tensor, real: Tensor, filter_bank: FilterBank, stft_loss: MultiResolutionSTFTLoss) -> Tensor:
    """Multi-resolution STFT loss between the sub-bands of two waveforms.

    Where the generator made the sub-bands, the analysis gives them back. The loss takes all bands together: its log
    magnitudes count equally in each, and its spectral convergence is relative to their sum, so that a band in which
    the real waveform is silent cannot outweigh the others.

    Args:
        fake, real: waveforms.
        filter_bank: what splits them.
        stft_loss: see :func:`make_subband_loss`.

    Shape:
        fake, real (B, 1, samples), a multiple of the number of sub-bands and more than 341 samples in each -> scalar,
        0 when equal.

    Raises:
        ValueError: the samples are no multiple of the number of sub-bands.
    """
    loss: Tensor = stft_loss(filter_bank.analyse(fake), filter_bank.analyse(real))
    return loss
