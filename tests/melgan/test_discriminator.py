"""The multi-scale discriminators: sizes of the paper, rates of the scales, small ones."""

from __future__ import annotations

import torch
from torch import nn

from melgan.config import DiscriminatorConfig
from melgan.discriminator import MultiScaleDiscriminator, ScaleDiscriminator


def test_layers_are_the_papers() -> None:
    with torch.device("meta"):
        discriminator = MultiScaleDiscriminator(DiscriminatorConfig())
    for scale in discriminator.scales:
        convolutions = [module for module in scale.modules() if isinstance(module, nn.Conv1d)]
        described = [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0], c.groups) for c in convolutions]
        assert described == [
            (1, 16, 15, 1, 1),
            (16, 64, 41, 4, 4),
            (64, 256, 41, 4, 16),
            (256, 1024, 41, 4, 64),
            (1024, 1024, 41, 4, 256),
            (1024, 1024, 5, 1, 1),
            (1024, 1, 3, 1, 1),
        ]


def test_each_scale_sees_half_the_rate() -> None:
    discriminator = MultiScaleDiscriminator(DiscriminatorConfig(width=4, max_width=32))
    outputs = discriminator(torch.randn(2, 1, 8192))
    lengths = [[maps.shape[-1] for maps in (*scale.features, scale.scores)] for scale in outputs]
    assert lengths == [
        [8192, 2048, 512, 128, 32, 32, 32],
        [4096, 1024, 256, 64, 16, 16, 16],
        [2048, 512, 128, 32, 8, 8, 8],
    ]
    assert all(scale.scores.shape[:2] == (2, 1) for scale in outputs)


def test_downsampling_averages_without_darkening_the_ends() -> None:
    downsample = MultiScaleDiscriminator(DiscriminatorConfig(width=4, layers=1)).downsample
    torch.testing.assert_close(downsample(torch.ones(1, 1, 64)), torch.ones(1, 1, 32))
    ramp = torch.arange(64.0)[None, None]
    torch.testing.assert_close(downsample(ramp)[..., 1:-1], ramp[..., 2:-2:2] + 0.5)


def test_scales_have_weights_of_their_own() -> None:
    discriminator = MultiScaleDiscriminator(DiscriminatorConfig(width=4, layers=1, scales=2))
    first, second = (scale.state_dict() for scale in discriminator.scales)
    assert not torch.equal(first["layers.0.1.weight"], second["layers.0.1.weight"])


def test_a_score_is_of_a_window() -> None:
    torch.manual_seed(0)
    scale = ScaleDiscriminator(DiscriminatorConfig(width=4, layers=2, max_width=16)).double()
    wav = torch.randn(1, 1, 4096, dtype=torch.float64)
    other = wav.clone()
    other[..., :1000] += 1.0
    before, after = scale(wav).scores, scale(other).scores
    assert not torch.allclose(before[..., :60], after[..., :60])
    torch.testing.assert_close(before[..., 90:], after[..., 90:])
