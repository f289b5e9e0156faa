"""The siamese network: two spaces, prototypes in one of them, any length."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from travelgan import Siamese, SiameseConfig
from travelgan.config import NORMALIZATIONS

BINS = 8


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("frames", [4, 5, 50])
def test_both_heads_take_any_length(siamese_config: SiameseConfig, normalization: str, frames: int) -> None:
    siamese = Siamese(replace(siamese_config, normalization=normalization), BINS, 3)
    embedding = siamese(torch.randn(2, BINS, frames))
    assert embedding.content.shape == (2, 5)
    torch.testing.assert_close(embedding.style.norm(dim=1), torch.ones(2))


def test_content_knows_the_order_of_things_and_style_does_not(siamese_config: SiameseConfig) -> None:
    # With kernels of one frame and no stride, features see one frame each: reversal then only reorders them.
    config = replace(siamese_config, first_kernel=1, kernel=1, stride=1)
    siamese = Siamese(config, BINS, 3)
    mel = torch.randn(1, BINS, 16)
    forward, backward = siamese(mel), siamese(mel.flip(-1))
    torch.testing.assert_close(forward.style, backward.style)
    assert (forward.content - backward.content).abs().max() > 1e-2


@pytest.mark.parametrize("removed", [0.0, 0.7, 1.0])
def test_timbre_is_subtracted_and_level_is_not(siamese_config: SiameseConfig, removed: float) -> None:
    siamese = Siamese(replace(siamese_config, band_mean_subtraction=removed), BINS, 3)
    plain = Siamese(siamese_config, BINS, 3)
    plain.load_state_dict(siamese.state_dict())
    mel = torch.randn(1, BINS, 50)
    colour = torch.randn(1, BINS, 1)
    colour = colour - colour.mean()
    own = mel.mean(dim=2, keepdim=True)
    expected = plain(mel + colour - removed * (colour + own - own.mean())).style
    torch.testing.assert_close(siamese(mel + colour).style, expected, atol=1e-5, rtol=0)
    changes = [(siamese(mel + change).style - siamese(mel).style).abs().max() for change in (colour, torch.ones(1))]
    assert (changes[0] > 1e-3) == (removed < 1) and changes[1] > 1e-3


def test_a_share_of_timbre_is_a_share() -> None:
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="band_mean_subtraction must be in"):
            SiameseConfig(band_mean_subtraction=share)


def test_too_short_is_refused(siamese_config: SiameseConfig) -> None:
    with pytest.raises(ValueError, match=r"T >= 4\), got \(1, 8, 3\)"):
        Siamese(siamese_config, BINS, 2)(torch.zeros(1, BINS, 3))


def test_prototypes_start_apart_and_have_length_one(siamese_config: SiameseConfig) -> None:
    siamese = Siamese(siamese_config, BINS, 3)
    siamese.prototypes.data.mul_(7.0)
    prototypes = siamese.style_prototypes()
    torch.testing.assert_close(prototypes @ prototypes.T, torch.eye(3), atol=1e-6, rtol=0)


def test_mixture_lies_between_its_prototypes(siamese_config: SiameseConfig) -> None:
    siamese = Siamese(siamese_config, BINS, 3)
    prototypes = siamese.style_prototypes()
    mixed = siamese.mix_styles(torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.0, 0.8]]))
    torch.testing.assert_close(mixed[0], prototypes[0])
    # The prototypes start at right angles, and 0.6^2 + 0.8^2 = 1.
    torch.testing.assert_close(mixed[1], 0.6 * prototypes[0] + 0.8 * prototypes[2])
    even = siamese.mix_styles(torch.tensor([[0.5, 0.5, 0.0]]))[0]
    torch.testing.assert_close(even, nn.functional.normalize(prototypes[0] + prototypes[1], dim=0))


def test_silence_gives_finite_gradients(siamese_config: SiameseConfig) -> None:
    siamese = Siamese(siamese_config, BINS, 2)
    mel = torch.full((2, BINS, 16), -5.0, requires_grad=True)
    embedding = siamese(mel)
    (embedding.content.sum() + embedding.style.sum()).backward()
    assert mel.grad is not None
    assert mel.grad.isfinite().all()
