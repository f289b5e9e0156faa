"""Adversarial training of both GANs: hinge losses and feature matching of discriminators at several scales."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.experiment import frozen


class Verdict(NamedTuple):
    """Output of a discriminator at one scale: scores, higher for real, and the feature map of each hidden layer."""

    scores: Tensor
    features: list[Tensor]


@dataclass(frozen=True, kw_only=True)
class AdversaryConfig:
    """Adversarial part of a training.

    Args:
        learning_rate: learning rate of the discriminators' Adam.
        first_step: first step with the discriminators; before it the generator learns by its other losses.
        adversarial: weight of the hinge loss.
        feature_matching: weight of the L1 of feature maps.
    """

    learning_rate: float = 2e-4
    first_step: int = 0
    adversarial: float = 1.0
    feature_matching: float = 0.0

    def __post_init__(self) -> None:
        if not self.adversarial > 0:
            raise ValueError(f"adversary.adversarial must be positive, got {self.adversarial}: leave the adversary out")

    def check_steps(self, steps: int) -> None:
        """Raise :class:`ValueError` where the discriminators never take part in a training of so many steps."""
        if self.first_step >= steps:
            raise ValueError(
                f"adversary.first_step {self.first_step} is not below loop.steps {steps}: leave the adversary out"
            )

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the generator's losses that need the discriminators."""
        weights = {"adversarial": self.adversarial}
        return weights | ({"feature_matching": self.feature_matching} if self.feature_matching > 0 else {})


def hinge_discriminator(real: Sequence[Verdict], fake: Sequence[Verdict]) -> Tensor:
    """Hinge loss of the discriminator at each scale, from 2 for scores of 0 to 0 for a perfect discriminator.

    mean(max(0, 1 - real)) + mean(max(0, 1 + fake)): Geometric GAN, arXiv 1705.02894, section 3; MelGAN, equation 1.

    Shape: -> (scales,).
    """
    return torch.stack(
        [
            torch.relu(1 - on_real.scores.float()).mean() + torch.relu(1 + on_fake.scores.float()).mean()
            for on_real, on_fake in zip(real, fake, strict=True)
        ]
    )


def hinge_generator(fake: Sequence[Verdict]) -> Tensor:
    """Hinge loss of the generator at each scale, minus the mean score; MelGAN, equation 2. Shape: -> (scales,)."""
    return torch.stack([-verdict.scores.float().mean() for verdict in fake])


def feature_matching(real: Sequence[Verdict], fake: Sequence[Verdict], mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference of feature maps, over layers and scales; MelGAN, arXiv 1910.06711, equation 3.

    Args:
        real: output for the ground truth, detached.
        fake: output for the generated signal.
        mask: (B,) bool, items of the batch that count; None for all.
    """
    losses = [
        masked_l1(made, wanted.detach(), mask)
        for on_real, on_fake in zip(real, fake, strict=True)
        for wanted, made in zip(on_real.features, on_fake.features, strict=True)
    ]
    return torch.stack(losses).mean()


def masked_l1(output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference over the masked items of a batch (B, C, T); zero where there are none."""
    if mask is None:
        return (output.float() - target.float()).abs().mean()
    chosen = mask.bool()
    # Replaced, not multiplied by zero: zero times NaN is NaN.
    target = torch.where(chosen[:, None, None], target, output.detach())
    each = (output.float() - target.float()).abs().mean(dim=(1, 2))
    return each.sum() / chosen.sum().clamp(min=1)


def adversarial_losses(
    discriminator: nn.Module,
    discriminate: Callable[[Tensor], Sequence[Verdict]],
    names: Collection[str],
    *,
    fake: Tensor,
    wanted: Tensor,
    mask: Tensor | None = None,
) -> dict[str, Tensor]:
    """The generator's losses that need the discriminators, with these frozen.

    Args:
        discriminator: module of all discriminators.
        discriminate: function that calls it.
        names: names of the losses, see :attr:`AdversaryConfig.weights`.
        fake: output of the generator.
        wanted: its ground truth, for feature matching.
        mask: (B,) bool, items of the batch with a ground truth.

    Returns:
        `adversarial`, at each scale (scales,), and `feature_matching`, a scalar.
    """
    with frozen(discriminator):
        verdicts = discriminate(fake)
        losses = {"adversarial": hinge_generator(verdicts)}
        if "feature_matching" in names:
            with torch.no_grad():
                truth = discriminate(wanted)
            losses["feature_matching"] = feature_matching(truth, verdicts, mask)
    return losses
