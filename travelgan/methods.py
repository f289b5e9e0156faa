"""Training steps of the translator, one for each `method.kind`: :data:`STEPS`. Paper: TraVeLGAN, arXiv 1902.09631."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from training.experiment import Update, frozen, minimize
from training.gan import Verdict, adversarial_losses, hinge_discriminator, masked_l1
from training.sampler import derive_seed
from training.style_augmentation import augment
from travelgan.discriminator import Discriminator
from travelgan.losses import (
    content_distillation,
    contrastive_style,
    harmony_loss,
    pitch_class_folding,
    siamese_margin,
    style_cosine,
    travel_loss,
)
from travelgan.siamese import Siamese
from travelgan.training_config import GeneratorMethod, JointMethod, StyleHeadMethod, TranslatorTraining
from travelgan.translator import Translator

Batch = dict[str, Tensor]
Losses = dict[str, Tensor]


@dataclass
class Networks:
    """Networks in training.

    Args:
        config: configuration of the run.
        translator: generator and siamese network.
        discriminator: None where the method has none.
        teacher: frozen siamese network whose content vectors are distilled; None where the method has none.
    """

    config: TranslatorTraining
    translator: Translator
    discriminator: Discriminator | None
    teacher: Siamese | None

    def __post_init__(self) -> None:
        self.generator, self.siamese = self.translator.generator, self.translator.siamese
        self.folding = pitch_class_folding(self.config.mel)

    def style_view(self, mel: Tensor, step: int, stream: int) -> Tensor:
        """An input of the style head, augmented where configured; `stream` differs for every use in a step."""
        if not self.config.augment_style:
            return mel
        generator = torch.Generator().manual_seed(derive_seed("style view", self.config.loop.seed, step, stream))
        return augment(mel.cpu(), self.config.mel.log_floor, generator).to(mel)


def generator_step(networks: Networks, method: GeneratorMethod, batch: Batch, step: int, update: Update) -> Losses:
    """The discriminator first, then the generator, on the same translations."""
    batch = batch | {"reference": networks.style_view(batch["reference"], step, 0)}
    style = target_styles(networks, batch, method.example_share)
    source, weights = batch["source"], method.weights.positive
    own = max(1, round(method.identity_share * len(source))) if "identity" in weights else 0
    own_style = own_styles(networks, batch, own)
    outputs = networks.translator(torch.cat([source, source[:own]]), torch.cat([style, own_style]))
    fake, same = outputs[: len(source)], outputs[len(source) :]
    adversarial = method.adversary is not None and step >= method.adversary.first_step
    scores = discriminator_step(networks, method, batch, fake.detach(), update) if adversarial else {}
    losses = siamese_losses(networks, method, batch, fake, style, step)
    if adversarial:
        assert method.adversary is not None and networks.discriminator is not None
        losses |= adversarial_losses(
            networks.discriminator,
            lambda mel: _discriminate(networks, mel, batch["target_style"]),
            method.adversary.weights,
            fake=fake,
            wanted=batch["pair"],
            mask=batch["has_pair"],
        )
        losses["adversarial"] = losses["adversarial"].mean()
        weights = method.adversary.weights | weights
    if "identity" in weights:
        losses["identity"] = masked_l1(same, source[: len(same)])
    if "harmony" in weights:
        losses["harmony"] = harmony_loss(fake, source, networks.folding.to(fake.device))
    if "paired" in weights:
        losses["paired"] = masked_l1(fake, batch["pair"], batch["has_pair"])
    return scores | minimize(update, "generator", losses, weights)


def discriminator_step(
    networks: Networks, method: GeneratorMethod, batch: Batch, fake: Tensor, update: Update
) -> Losses:
    """Train the discriminator to tell real songs of a style from translations and from songs of other styles."""
    assert method.adversary is not None
    target_style, source_style = batch["target_style"], batch["source_style"]
    real = _discriminate(networks, batch["target"], target_style)
    loss = hinge_discriminator(real, _discriminate(networks, fake, target_style)).mean()
    losses = {"discriminator": loss.detach()}
    if method.adversary.mismatched_label > 0:
        wrong = _discriminate(networks, batch["source"], target_style)
        other = ((source_style != target_style) & (source_style >= 0)).float()[:, None, None]
        terms = [(torch.relu(1 + verdict.scores.float()) * other).mean() for verdict in wrong]
        mismatched = torch.stack(terms).mean()
        loss = loss + method.adversary.mismatched_label * mismatched
        losses["mismatched_label"] = mismatched.detach()
    update("discriminator", loss)
    return losses


def _discriminate(networks: Networks, mel: Tensor, styles: Tensor) -> list[Verdict]:
    assert networks.discriminator is not None
    verdicts: list[Verdict] = networks.discriminator(mel, styles)
    return verdicts


def target_styles(networks: Networks, batch: Batch, example_share: float) -> Tensor:
    """Style vectors of the targets: prototypes of the names, or for some the embedding of an example."""
    named = networks.siamese.style_prototypes()[batch["target_style"]]
    if example_share == 0:
        return named
    by_example = torch.rand(len(named), 1, device=named.device) < example_share
    return torch.where(by_example, networks.siamese(batch["reference"]).style, named)


def own_styles(networks: Networks, batch: Batch, count: int) -> Tensor:
    """Style vectors of the first sources: prototypes of the names, or the song's own embedding where it has none."""
    labels = batch["source_style"][:count]
    named = networks.siamese.style_prototypes()[labels.clamp(min=0)]
    if bool((labels >= 0).all()):
        return named
    return torch.where((labels >= 0)[:, None], named, networks.siamese(batch["source"][:count]).style)


def siamese_losses(
    networks: Networks, method: GeneratorMethod, batch: Batch, fake: Tensor, style: Tensor, step: int
) -> Losses:
    """TraVeL and style cosine losses, and those of the siamese network where it is trained, for weights above 0.

    The siamese network is frozen for the style cosine, which it could minimize without the generator.
    """
    losses: Losses = {}
    siamese, weights = networks.siamese, method.weights.positive
    content = siamese(batch["source"]).content
    if "travel" in weights:
        losses["travel"] = travel_loss(content, siamese(fake).content)
    if isinstance(method, JointMethod) and "margin" in weights:
        losses["margin"] = siamese_margin(content, method.content_margin)
    if isinstance(method, JointMethod) and "style" in weights:
        losses["style"] = contrastive_style(
            siamese(networks.style_view(torch.cat([batch["source"], batch["target"]]), step, 1)).style,
            torch.cat([batch["source_style"], batch["target_style"]]),
            siamese.style_prototypes(),
            method.style_margin,
        )
    if "style_cosine" in weights:
        with frozen(siamese):
            losses["style_cosine"] = style_cosine(siamese(fake).style, style.detach())
    return losses


def style_head_step(networks: Networks, method: StyleHeadMethod, batch: Batch, step: int, update: Update) -> Losses:
    """Train the style head alone; generator and prototypes stay fixed.

    Both heads share features, so content vectors are distilled from the initial network, for sources and translations.
    """
    assert networks.teacher is not None
    siamese, labels = networks.siamese, batch["target_style"]
    reference = networks.style_view(batch["reference"], step, 0)
    songs = networks.style_view(torch.cat([batch["source"], batch["target"]]), step, 1)
    losses = {
        "style": contrastive_style(
            siamese(torch.cat([songs, reference])).style,
            torch.cat([batch["source_style"], labels, labels]),
            siamese.style_prototypes().detach(),
            method.style_margin,
        )
    }
    source = batch["source"][: len(batch["source"]) // 2]
    with torch.no_grad():
        named = siamese.style_prototypes()[labels[: len(source)]]
        songs = torch.cat([source, networks.translator(source, named)])
        before = networks.teacher.to(songs.device)(songs).content
    losses["content"] = content_distillation(siamese(songs).content, before)
    return minimize(update, "generator", losses, {"style": 1.0, "content": method.content_distillation})


STEPS: dict[str, Callable[..., Losses]] = {
    "joint": generator_step,  # with the siamese network's own losses
    "generator": generator_step,
    "style_head": style_head_step,
}
