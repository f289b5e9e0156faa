"""The ways to train a translator, one step of each: :data:`STEPS`, by the name that is `method.kind` in YAML.

Paper: TraVeLGAN, arXiv 1902.09631, section 3 (generator and siamese network minimize the TraVeL loss together, the
siamese network keeps songs a margin apart); the contrastive style loss works on the siamese network's second head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from training.experiment import Update, frozen, minimize
from training.gan import Verdict, adversarial_losses, hinge_discriminator
from training.sampler import derive_seed
from training.style_augmentation import augment
from travelgan.discriminator import Discriminator
from travelgan.losses import (
    content_distillation,
    contrastive_style,
    harmony_loss,
    identity_loss,
    paired_loss,
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
class Players:
    """What the steps work on.

    Args:
        config: the run.
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
        """A mel as the style head is given it: damaged by what must not change a style, where that is configured.

        Args:
            mel: log10.
            step: and `stream`: the random numbers depend on these and on the seed alone.
            stream: different for every use in a step.
        """
        if not self.config.augment_style:
            return mel
        generator = torch.Generator().manual_seed(derive_seed("style view", self.config.loop.seed, step, stream))
        return augment(mel.cpu(), self.config.mel.log_floor, generator).to(mel)


def generator_step(players: Players, method: GeneratorMethod, batch: Batch, step: int, update: Update) -> Losses:
    """The discriminator first, then the generator; both see the same translations."""
    batch = batch | {"reference": players.style_view(batch["reference"], step, 0)}
    style = target_styles(players, batch, method.example_share)
    source, weights = batch["source"], method.weights.positive
    own = max(1, round(method.identity_share * len(source))) if "identity" in weights else 0
    own_style = own_styles(players, batch, own)
    outputs = players.translator(torch.cat([source, source[:own]]), torch.cat([style, own_style]))
    fake, same = outputs[: len(source)], outputs[len(source) :]
    adversarial = method.adversary is not None and step >= method.adversary.first_step
    scores = discriminator_step(players, method, batch, fake.detach(), update) if adversarial else {}
    losses = siamese_losses(players, method, batch, fake, style, step)
    if adversarial:
        assert method.adversary is not None and players.discriminator is not None
        losses |= adversarial_losses(
            players.discriminator,
            lambda mel: _discriminate(players, mel, batch["target_style"]),
            method.adversary.weights,
            fake=fake,
            wanted=batch["pair"],
            mask=batch["has_pair"],
        )
        losses["adversarial"] = losses["adversarial"].mean()
        weights = method.adversary.weights | weights
    if "identity" in weights:
        losses["identity"] = identity_loss(same, source[: len(same)])
    if "harmony" in weights:
        losses["harmony"] = harmony_loss(fake, source, players.folding.to(fake.device))
    if "paired" in weights:
        losses["paired"] = paired_loss(fake, batch["pair"], batch["has_pair"])
    return scores | minimize(update, "generator", losses, weights)


def discriminator_step(players: Players, method: GeneratorMethod, batch: Batch, fake: Tensor, update: Update) -> Losses:
    """Teach the discriminator to tell real songs of a style from translations and from songs of other styles."""
    assert method.adversary is not None
    target_style, source_style = batch["target_style"], batch["source_style"]
    real = _discriminate(players, batch["target"], target_style)
    loss = hinge_discriminator(real, _discriminate(players, fake, target_style)).mean()
    losses = {"discriminator": loss.detach()}
    if method.adversary.mismatched_label > 0:
        wrong = _discriminate(players, batch["source"], target_style)
        other = ((source_style != target_style) & (source_style >= 0)).float()[:, None, None]
        terms = [(torch.relu(1 + verdict.scores.float()) * other).mean() for verdict in wrong]
        mismatched = torch.stack(terms).mean()
        loss = loss + method.adversary.mismatched_label * mismatched
        losses["mismatched_label"] = mismatched.detach()
    update("discriminator", loss)
    return losses


def _discriminate(players: Players, mel: Tensor, styles: Tensor) -> list[Verdict]:
    assert players.discriminator is not None
    verdicts: list[Verdict] = players.discriminator(mel, styles)
    return verdicts


def target_styles(players: Players, batch: Batch, example_share: float) -> Tensor:
    """Style vectors of the targets: some by the prototype of the name, some by the embedding of an example."""
    named = players.siamese.style_prototypes()[batch["target_style"]]
    if example_share == 0:
        return named
    by_example = torch.rand(len(named), 1, device=named.device) < example_share
    return torch.where(by_example, players.siamese(batch["reference"]).style, named)


def own_styles(players: Players, batch: Batch, count: int) -> Tensor:
    """Style vectors of the first sources: prototype of the name, or the song's own embedding where it has none."""
    labels = batch["source_style"][:count]
    named = players.siamese.style_prototypes()[labels.clamp(min=0)]
    if bool((labels >= 0).all()):
        return named
    return torch.where((labels >= 0)[:, None], named, players.siamese(batch["source"][:count]).style)


def siamese_losses(
    players: Players, method: GeneratorMethod, batch: Batch, fake: Tensor, style: Tensor, step: int
) -> Losses:
    """TraVeL and style cosine losses, and those of the siamese network where it is trained, each with a weight above 0.

    The style cosine must teach the generator, not the siamese network to give every song the target's style: for it
    the siamese network is frozen.
    """
    losses: Losses = {}
    siamese, weights = players.siamese, method.weights.positive
    content = siamese(batch["source"]).content
    if "travel" in weights:
        losses["travel"] = travel_loss(content, siamese(fake).content)
    if isinstance(method, JointMethod) and "margin" in weights:
        losses["margin"] = siamese_margin(content, method.content_margin)
    if isinstance(method, JointMethod) and "style" in weights:
        losses["style"] = contrastive_style(
            siamese(players.style_view(torch.cat([batch["source"], batch["target"]]), step, 1)).style,
            torch.cat([batch["source_style"], batch["target_style"]]),
            siamese.style_prototypes(),
            method.style_margin,
        )
    if "style_cosine" in weights:
        with frozen(siamese):
            losses["style_cosine"] = style_cosine(siamese(fake).style, style.detach())
    return losses


def style_head_step(players: Players, method: StyleHeadMethod, batch: Batch, step: int, update: Update) -> Losses:
    """Teach the style head alone; neither the generator nor the prototypes, by which it is told styles, move.

    Both heads read the same features, so content vectors are distilled from the network as it was at first: of the
    sources and of translations of them.
    """
    assert players.teacher is not None
    siamese, labels = players.siamese, batch["target_style"]
    reference = players.style_view(batch["reference"], step, 0)
    songs = players.style_view(torch.cat([batch["source"], batch["target"]]), step, 1)
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
        songs = torch.cat([source, players.translator(source, named)])
        before = players.teacher.to(songs.device)(songs).content
    losses["content"] = content_distillation(siamese(songs).content, before)
    return minimize(update, "generator", losses, {"style": 1.0, "content": method.content_distillation})


STEPS: dict[str, Callable[..., Losses]] = {
    "joint": generator_step,  # with the siamese network's own losses
    "generator": generator_step,
    "style_head": style_head_step,
}
