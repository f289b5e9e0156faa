"""The losses that both GANs share against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from training.gan import (
    AdversaryConfig,
    Verdict,
    adversarial_losses,
    feature_matching,
    hinge_discriminator,
    hinge_generator,
    masked_l1,
)


def verdict(scores: list[float], *features: list[float]) -> Verdict:
    return Verdict(torch.tensor(scores)[None, None], [torch.tensor(values)[None, None] for values in features])


def test_the_discriminators_hinge_counts_only_what_is_inside_the_margin() -> None:
    real = [verdict([2.0, 0.5]), verdict([-1.0])]
    fake = [verdict([-3.0, 0.0]), verdict([-1.0, 1.0])]
    # Scale 1: mean(0, 0.5) + mean(0, 1) = 0.75; scale 2: mean(2) + mean(0, 2) = 3.
    assert hinge_discriminator(real, fake).tolist() == [0.75, 3.0]
    undecided = [verdict([0.0, 0.0])]
    assert hinge_discriminator(undecided, undecided).tolist() == [2.0]


def test_the_generators_loss_is_minus_the_score_without_a_margin() -> None:
    assert hinge_generator([verdict([2.0, 4.0]), verdict([-1.0])]).tolist() == [-3.0, 1.0]


def test_feature_matching_leaves_the_scores_out_and_averages_layers() -> None:
    real = [verdict([9.0], [1.0, 2.0], [0.0]), verdict([9.0], [1.0], [1.0])]
    fake = [verdict([0.0], [1.0, 4.0], [3.0]), verdict([0.0], [1.0], [2.0])]
    # Layers: mean(0, 2) = 1, 3, 0, 1.
    assert float(feature_matching(real, fake)) == pytest.approx(5 / 4)
    assert float(feature_matching(real, real)) == 0.0


def test_feature_matching_counts_those_of_the_mask_and_leaves_the_real_side_alone() -> None:
    scores = torch.zeros(2, 1, 1)
    real = [Verdict(scores, [torch.zeros(2, 1, 2, requires_grad=True)]), Verdict(scores, [torch.zeros(2, 1, 1)])]
    fake = [Verdict(scores, [torch.ones(2, 1, 2)]), Verdict(scores, [torch.tensor([[[6.0]], [[-12.0]]])])]
    assert feature_matching(real, fake).item() == pytest.approx((1 + 9) / 2)
    masked = feature_matching(real, fake, torch.tensor([True, False]))
    assert masked.item() == pytest.approx((1 + 6) / 2) and not masked.requires_grad


def test_a_mask_of_nobody_costs_nothing_even_where_the_target_is_no_number() -> None:
    output = torch.ones(2, 1, 3, requires_grad=True)
    loss = masked_l1(output, torch.full((2, 1, 3), float("nan")), torch.tensor([False, False]))
    loss.backward()
    assert loss.item() == 0.0 and output.grad is not None and bool((output.grad == 0).all())


def test_losses_are_in_single_precision_under_mixed_precision() -> None:
    half = [Verdict(torch.randn(1, 1, 50).bfloat16(), [torch.randn(1, 4, 50).bfloat16()])]
    for loss in (hinge_discriminator(half, half), hinge_generator(half), feature_matching(half, half)):
        assert loss.dtype == torch.float32


def test_a_scale_that_is_missing_is_an_error() -> None:
    with pytest.raises(ValueError, match="longer"):
        hinge_discriminator([verdict([1.0])], [verdict([1.0]), verdict([1.0])])


def test_the_generators_losses_reach_it_and_not_the_discriminator() -> None:
    discriminator = nn.Conv1d(1, 1, 1)

    def discriminate(wav: Tensor) -> list[Verdict]:
        features = discriminator(wav)
        return [Verdict(2 * features, [features])]

    fake = torch.randn(2, 1, 5, requires_grad=True)
    losses = adversarial_losses(
        discriminator, discriminate, ("adversarial", "feature_matching"), fake=fake, wanted=torch.zeros(2, 1, 5)
    )
    (losses["adversarial"].sum() + losses["feature_matching"]).backward()
    assert fake.grad is not None and all(parameter.grad is None for parameter in discriminator.parameters())
    assert all(parameter.requires_grad for parameter in discriminator.parameters())
    weight, bias = (float(parameter.detach()) for parameter in discriminator.parameters())
    expected = -2 * (weight * float(fake.detach().mean()) + bias)
    assert losses["adversarial"].tolist() == pytest.approx([expected], rel=1e-4)
    assert set(adversarial_losses(discriminator, discriminate, ("adversarial",), fake=fake, wanted=fake)) == {
        "adversarial"
    }


def test_an_adversary_that_never_takes_part_is_refused() -> None:
    with pytest.raises(ValueError, match="first_step 5 is not below loop.steps 5: leave the adversary out"):
        AdversaryConfig(first_step=5).check_steps(5)
    with pytest.raises(ValueError, match="adversarial must be positive, got 0"):
        AdversaryConfig(adversarial=0)
