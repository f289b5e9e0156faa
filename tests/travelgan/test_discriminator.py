"""The discriminator: lengths by scale, the projection on the claimed style, what each scale sees."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from travelgan.config import NORMALIZATIONS, DiscriminatorConfig
from travelgan.discriminator import Discriminator

BINS = 8


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("frames", [8, 33, 40])
def test_scores_and_features_of_each_scale(
    discriminator_config: DiscriminatorConfig, normalization: str, frames: int
) -> None:
    config = replace(discriminator_config, normalization=normalization)
    verdicts = Discriminator(config, BINS, 3)(torch.randn(2, BINS, frames), torch.tensor([0, 2]))
    assert len(verdicts) == 2
    for scale, verdict in zip((1, 2), verdicts, strict=True):
        lengths = [frames // scale, frames // scale // 2, frames // scale // 2 // 2]
        assert [tuple(feature.shape) for feature in verdict.features] == [
            (2, width, length) for width, length in zip((6, 8, 8), lengths, strict=True)
        ]
        assert verdict.scores.shape == (2, 1, lengths[-1])


def test_score_depends_on_the_claimed_style_by_projection(discriminator_config: DiscriminatorConfig) -> None:
    discriminator = Discriminator(discriminator_config, BINS, 3)
    mel = torch.randn(2, BINS, 32)
    first = discriminator(mel, torch.tensor([0, 0]))
    second = discriminator(mel, torch.tensor([0, 1]))
    for scale, one, other in zip(discriminator.scales, first, second, strict=True):
        torch.testing.assert_close(one.features[-1], other.features[-1])
        torch.testing.assert_close(one.scores[0], other.scores[0])
        difference = scale.style.weight[1] - scale.style.weight[0]
        expected = torch.einsum("c,ct->t", difference, one.features[-1][1])[None]
        torch.testing.assert_close(other.scores[1] - one.scores[1], expected, atol=1e-5, rtol=1e-4)


def test_a_coarse_scale_does_not_see_what_averages_out(discriminator_config: DiscriminatorConfig) -> None:
    discriminator = Discriminator(discriminator_config, BINS, 2)
    mel = torch.randn(1, BINS, 32)
    ripple = torch.tensor([1.0, -1.0]).repeat(16)
    label = torch.tensor([1])
    plain, rippled = discriminator(mel, label), discriminator(mel + ripple, label)
    assert (plain[0].scores - rippled[0].scores).abs().max() > 1e-3
    torch.testing.assert_close(plain[1].scores, rippled[1].scores, atol=1e-5, rtol=0)


def test_every_parameter_learns(discriminator_config: DiscriminatorConfig) -> None:
    discriminator = Discriminator(discriminator_config, BINS, 2)
    verdicts = discriminator(torch.randn(2, BINS, 32), torch.tensor([0, 1]))
    torch.stack([verdict.scores.square().mean() for verdict in verdicts]).sum().backward()
    silent = [name for name, value in discriminator.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []


def test_shapes_that_do_not_fit_are_refused(discriminator_config: DiscriminatorConfig) -> None:
    discriminator = Discriminator(discriminator_config, BINS, 2)
    assert discriminator.min_frames == 8
    with pytest.raises(ValueError, match=r"T >= 8\), got \(1, 8, 7\)"):
        discriminator(torch.zeros(1, BINS, 7), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"expected 2 style indices, got \(1,\)"):
        discriminator(torch.zeros(2, BINS, 8), torch.tensor([0]))
