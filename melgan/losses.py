"""Losses of the vocoder, each a pure function of tensors.

Paper: MelGAN, arXiv 1910.06711, section 2.3 (hinge, feature matching). Multi-resolution STFT: Parallel WaveGAN, arXiv
1910.11480, section 2.2, by auraloss.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FeatureMaps = Sequence[Sequence[Tensor]]
"""Per scale the feature maps of a discriminator, the last one its scores."""


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
