"""Losses of the vocoder against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from melgan.losses import feature_matching, hinge_discriminator, hinge_generator


def maps(scores: list[float], *features: list[float]) -> list[Tensor]:
    """Feature maps of one scale, scores last."""
    return [torch.tensor(values)[None, None] for values in (*features, scores)]


def test_the_discriminators_hinge_counts_only_what_is_inside_the_margin() -> None:
    real = [maps([2.0, 0.5]), maps([-1.0])]
    fake = [maps([-3.0, 0.0]), maps([-1.0, 1.0])]
    # Scale 1: mean(0, 0.5) + mean(0, 1) = 0.75; scale 2: mean(2) + mean(0, 2) = 3.
    assert float(hinge_discriminator(real, fake)) == pytest.approx(3.75)


def test_the_generators_loss_is_minus_the_score_without_a_margin() -> None:
    assert float(hinge_generator([maps([2.0, 4.0]), maps([-1.0])])) == pytest.approx(-3.0 + 1.0)


def test_feature_matching_leaves_the_scores_out_and_averages_layers() -> None:
    real = [maps([9.0], [1.0, 2.0], [0.0]), maps([9.0], [1.0], [1.0])]
    fake = [maps([0.0], [1.0, 4.0], [3.0]), maps([0.0], [1.0], [2.0])]
    # Layers: mean(0, 2) = 1, 3, 0, 1.
    assert float(feature_matching(real, fake)) == pytest.approx(5 / 4)
    assert float(feature_matching(real, real)) == 0.0


def test_the_real_waveforms_features_are_constants() -> None:
    real, fake = (torch.randn(1, 2, 5, requires_grad=True) for _ in range(2))
    scores = torch.zeros(1, 1, 5)
    feature_matching([[real, scores]], [[fake, scores]]).backward()
    assert real.grad is None
    assert fake.grad is not None and fake.grad.abs().sum() > 0


def test_losses_are_in_single_precision_under_mixed_precision() -> None:
    scores = [[torch.randn(1, 4, 50, dtype=torch.bfloat16), torch.randn(1, 1, 50, dtype=torch.bfloat16)]]
    for loss in (hinge_discriminator(scores, scores), hinge_generator(scores), feature_matching(scores, scores)):
        assert loss.dtype == torch.float32


def test_a_scale_that_is_missing_is_an_error() -> None:
    with pytest.raises(ValueError):
        hinge_discriminator([maps([1.0])], [maps([1.0]), maps([1.0])])
