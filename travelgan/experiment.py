"""How the translator is trained: an adversary that knows styles, a siamese network that keeps content.

Paper: TraVeLGAN, arXiv 1902.09631, section 3 (generator and siamese network minimise the TraVeL loss together, the
siamese network keeps songs a margin apart); the contrastive style loss works on the siamese network's second head.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from data.errors import UserError
from data.folder import Clip, choose_styles, index_folder
from data.mel_cache import MelCache
from data.segments import MelSegments, choose_validation
from data.sources import list_splits
from training.experiment import Experiment, Sample, Update, evaluating, frozen, weighted_sum
from training.genre import GenreClassifier, augment
from training.pretrained import load_start
from travelgan.config import TranslatorConfig
from travelgan.discriminator import Discriminator, Judgement
from travelgan.losses import (
    contrastive_style,
    feature_matching,
    harmony_loss,
    held_content,
    hinge_discriminator,
    hinge_generator,
    identity_loss,
    pair_loss,
    pitch_class_folding,
    siamese_margin,
    style_pull,
    travel_loss,
)
from travelgan.realism import RealSongs
from travelgan.siamese import Siamese
from travelgan.training_config import TranslatorTraining
from travelgan.translator import Translator
from travelgan.validation import (
    Sounds,
    Translation,
    recognition_measures,
    translate_all,
    validation_measures,
    validation_samples,
)

Batch = dict[str, Tensor]
ADVERSARIAL = ("adversarial", "feature_matching")
"""Losses that need the discriminator."""
REAL_STRETCHES = 4
"""So many of every validation song are what translations to its style should be like."""


class TranslatorExperiment(Experiment):
    """Trains a :class:`travelgan.Translator`; see :class:`training.experiment.Experiment`.

    Args:
        config: the run.

    Raises:
        UserError: the folder is missing or lacks a style.
    """

    averaged = ("translator",)
    lower_is_better = False
    least_share = 2  # the TraVeL loss is about pairs
    free_settings = frozenset({"data.classifier", "data.cache", "data.validation_clips"})

    def __init__(self, config: TranslatorTraining) -> None:
        config = with_styles(config)
        torch.manual_seed(config.loop.seed)
        self.config, data = config, config.data
        self.best_measure = "valid/lead" if config.style_head_only else "valid/score"
        self.translator = Translator(
            TranslatorConfig(data.styles, data.segment_frames, config.generator, config.siamese), config.mel
        )
        if config.start_from is not None:
            load_start(self.translator, config.start_from, "translator", config.mel)
        self.generator, self.siamese = self.translator.generator, self.translator.siamese
        self.held = self._held_siamese() if config.style_head_only else None
        self.discriminator = Discriminator(config.discriminator, config.mel.n_mels, len(data.styles))
        self.modules: dict[str, nn.Module] = {
            "translator": self.translator,
            "discriminator": self.discriminator,
        }
        betas = (config.beta1, config.beta2)
        self.optimizers = {
            "generator": torch.optim.Adam(self.translator.parameters(), lr=config.generator_lr, betas=betas),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), lr=config.discriminator_lr, betas=betas),
        }
        self.folding = pitch_class_folding(config.mel)
        self.weights = config.counted_weights
        if config.generator_only:
            self.siamese.requires_grad_(False)
        self.segments, validation = open_segments(config)
        count = max(data.validation_clips, len(data.styles))
        self.validation = [validation[divmod(number, len(validation))] for number in range(count)]
        self.classifier = GenreClassifier.from_pretrained(data.classifier) if data.classifier else None
        self.real_songs = self._listen_to(validation) if self.classifier else None
        self.translations: list[Translation] = []
        self.sounds = Sounds(config.mel)
        self.heard: dict[str, float] = {}

    def _listen_to(self, validation: MelSegments) -> RealSongs:
        """Stretches of the validation songs as they are, to compare translations with."""
        assert self.classifier is not None
        items = [validation[turn, index] for turn in range(REAL_STRETCHES) for index in range(len(validation))]
        return RealSongs(
            self.classifier, [item["source"] for item in items], [int(item["source_style"]) for item in items]
        )

    @property
    def dataset(self) -> Dataset[Any]:
        """Mel segments of sources and targets."""
        return self.segments

    def training_step(self, batch: Batch, step: int, update: Update) -> dict[str, Tensor]:
        """The discriminator first, then generator and siamese network; both see the same translations."""
        batch = batch | {"reference": self.style_view(batch["reference"], step, 0)}
        if self.config.style_head_only:
            return self.style_step(batch, step, update)
        style = self.target_styles(batch)
        source = batch["source"]
        own = max(1, round(self.config.identity_share * len(source))) if "identity" in self.weights else 0
        own_style = self.own_styles(batch, own)
        outputs = self.translator(torch.cat([source, source[:own]]), torch.cat([style, own_style]))
        fake, same = outputs[: len(source)], outputs[len(source) :]
        recipe = {"batch": batch, "style": style, "fake": fake, "same": same, "update": update, "step": step}
        if step < self.config.pretrain_steps:
            return self.generator_step(**recipe, adversarial=False)  # type: ignore[arg-type]
        losses = self.discriminator_step(batch=batch, fake=fake.detach(), update=update)
        return losses | self.generator_step(**recipe, adversarial=True)  # type: ignore[arg-type]

    def style_step(self, batch: Batch, step: int, update: Update) -> dict[str, Tensor]:
        """Teach the style head alone; neither the generator nor the prototypes, by which it is told styles, move.

        Both heads read the same features, so the content vectors are held where they were at the start: of the sources
        and of translations of them.
        """
        assert self.held is not None
        heard = self.style_view(torch.cat([batch["source"], batch["target"]]), step, 1)
        losses = {
            "style": contrastive_style(
                self.siamese(torch.cat([heard, batch["reference"]])).style,
                torch.cat([batch["source_style"], batch["target_style"], batch["target_style"]]),
                self.siamese.style_prototypes().detach(),
                self.config.style_margin,
            )
        }
        source = batch["source"][: len(batch["source"]) // 2]
        with torch.no_grad():
            named = self.siamese.style_prototypes()[batch["target_style"][: len(source)]]
            songs = torch.cat([source, self.translator(source, named)])
            before = self.held.to(songs.device)(songs).content
        losses["content"] = held_content(self.siamese(songs).content, before)
        update("generator", losses["style"] + self.config.held_content * losses["content"])
        return {name: loss.detach() for name, loss in losses.items()}

    def _held_siamese(self) -> Siamese:
        """The siamese network as it is at the start, with the configuration that it was trained with."""
        start = self.config.start_from
        held = copy.deepcopy(self.siamese) if start is None else Translator.from_pretrained(start).siamese
        return held.eval().requires_grad_(False)

    def target_styles(self, batch: Batch) -> Tensor:
        """Style vectors of the targets: some by the prototype of the name, some by the embedding of an example."""
        named = self.siamese.style_prototypes()[batch["target_style"]]
        if self.config.example_share == 0:
            return named
        by_example = torch.rand(len(named), 1, device=named.device) < self.config.example_share
        return torch.where(by_example, self.siamese(batch["reference"]).style, named)

    def own_styles(self, batch: Batch, count: int) -> Tensor:
        """Style vectors of the first sources: prototype of the name, or the song's own embedding where it has none."""
        labels = batch["source_style"][:count]
        named = self.siamese.style_prototypes()[labels.clamp(min=0)]
        if bool((labels >= 0).all()):
            return named
        return torch.where((labels >= 0)[:, None], named, self.siamese(batch["source"][:count]).style)

    def discriminator_step(self, *, batch: Batch, fake: Tensor, update: Update) -> dict[str, Tensor]:
        """Teach the discriminator to tell real songs of a style from translations and from songs of other styles."""
        target_style = batch["target_style"]
        real_scores = _scores(self.discriminator(batch["target"], target_style))
        fake_scores = _scores(self.discriminator(fake, target_style))
        loss = hinge_discriminator(real_scores, fake_scores)
        losses = {"discriminator": loss.detach()}
        if self.config.mismatch > 0:
            wrong = _scores(self.discriminator(batch["source"], target_style))
            source_style = batch["source_style"]
            other = ((source_style != target_style) & (source_style >= 0)).float()[:, None, None]
            terms = [(torch.relu(1 + scores.float()) * other).mean() for scores in wrong]
            mismatch = torch.stack(terms).mean()
            loss = loss + self.config.mismatch * mismatch
            losses["mismatch"] = mismatch.detach()
        update("discriminator", loss)
        return losses

    def style_view(self, mel: Tensor, step: int, stream: int) -> Tensor:
        """A mel as the style head shall hear it: damaged by what must not change a style, where that is wanted.

        Args:
            mel: log10.
            step: and `stream`: the random numbers depend on these and on the seed alone.
            stream: apart for every use in a step.
        """
        if not self.config.augment_style:
            return mel
        generator = torch.Generator().manual_seed(hash((self.config.loop.seed, step, stream)) % 2**63)
        return augment(mel.cpu(), self.config.mel.log_floor, generator).to(mel)

    def generator_step(
        self, *, batch: Batch, style: Tensor, fake: Tensor, same: Tensor, update: Update, step: int, adversarial: bool
    ) -> dict[str, Tensor]:
        """Teach generator and siamese network; the discriminator is frozen.

        Args:
            batch: sources, targets, known versions.
            style: style vectors that the generator was given.
            fake: translations of the sources.
            same: translations of the first sources to their own style.
            update: see :class:`training.experiment.Update`.
            step: of the training.
            adversarial: with the losses that the discriminator judges.
        """
        losses = self.siamese_losses(batch, fake, style, step)
        if adversarial:
            losses |= self.adversarial_losses(batch, fake)
        if "identity" in self.weights:
            losses["identity"] = identity_loss(same, batch["source"][: len(same)])
        if "harmony" in self.weights:
            losses["harmony"] = harmony_loss(fake, batch["source"], self.folding.to(fake.device))
        if "pair" in self.weights:
            losses["pair"] = pair_loss(fake, batch["pair"], batch["has_pair"])
        weights = {name: weight for name, weight in self.weights.items() if adversarial or name not in ADVERSARIAL}
        norm = update("generator", weighted_sum({name: losses[name] for name in weights}, weights))
        return {name: loss.detach() for name, loss in losses.items()} | {"gradient_norm": norm}

    def adversarial_losses(self, batch: Batch, fake: Tensor) -> dict[str, Tensor]:
        """What the frozen discriminator says of translations, alone and beside the known versions."""
        target_style = batch["target_style"]
        with frozen(self.discriminator):
            judged = self.discriminator(fake, target_style)
            losses = {"adversarial": hinge_generator(_scores(judged))}
            if "feature_matching" in self.weights:
                with torch.no_grad():
                    truth = self.discriminator(batch["pair"], target_style)
                losses["feature_matching"] = feature_matching(
                    [j.features for j in truth], [j.features for j in judged], batch["has_pair"]
                )
        return losses

    def siamese_losses(self, batch: Batch, fake: Tensor, style: Tensor, step: int) -> dict[str, Tensor]:
        """TraVeL, margin and contrastive losses, and the pull to the target style, each where it has a weight.

        The pull to the target style must teach the generator, not the siamese network to call everything the target:
        for it the siamese network is frozen.
        """
        losses: dict[str, Tensor] = {}
        content = self.siamese(batch["source"]).content
        if "travel" in self.weights:
            losses["travel"] = travel_loss(content, self.siamese(fake).content)
        if "margin" in self.weights:
            losses["margin"] = siamese_margin(content, self.config.content_margin)
        if "style" in self.weights:
            heard = torch.cat([batch["source"], batch["target"]])
            losses["style"] = contrastive_style(
                self.siamese(self.style_view(heard, step, 1)).style,
                torch.cat([batch["source_style"], batch["target_style"]]),
                self.siamese.style_prototypes(),
                self.config.style_margin,
            )
        if "pull" in self.weights:
            with frozen(self.siamese):
                losses["pull"] = style_pull(self.siamese(fake).style, style.detach())
        return losses

    def validate(self) -> dict[str, float]:
        """Genre rates and chroma of fixed clips, each translated to one style; see `travelgan.validation`.

        The share of clips whose own style the siamese network recognises counts in `valid/score` too. Where the style
        head alone is trained, the best is what hears the clips' own styles most clearly.
        """
        batch = default_collate(self.validation)
        # With the style head alone nothing that the classifier hears changes from one validation to the next.
        if not (self.heard and self.config.style_head_only and self.classifier):
            with evaluating(self.translator):
                self.translations = translate_all(self.translator, batch)
            self.heard = validation_measures(
                self.translator, self.translations, self.classifier, self.real_songs, self.sounds
            )
        with evaluating(self.translator):
            measures = self.heard | recognition_measures(self.translator, batch)
        measures["valid/score"] += measures["valid/recognised"]
        return measures

    def samples(self) -> Sequence[Sample]:
        """Four of the translations, before and after, through Griffin-Lim."""
        return validation_samples(self.translator, self.translations, self.sounds)

    def export(self, folder: Path, training: dict[str, Any]) -> None:
        """Write the translator's model folder."""
        self.translator.save_pretrained(folder, training)


def with_styles(config: TranslatorTraining) -> TranslatorTraining:
    """The same configuration with its styles named: those of the folder, where it names none.

    Raises:
        UserError: the folder is missing, lacks a style that is named, or has a single one.
    """
    data = config.data
    styles = choose_styles(index_folder(Path(data.folder), seed=data.split_seed), data.styles, data.folder)
    if len(styles) < 2:
        raise UserError(
            f"got one style, {styles[0]}, of {data.folder}; a translator needs two or more, each a folder of recordings"
        )
    return replace(config, data=replace(data, styles=styles))


def open_segments(config: TranslatorTraining) -> tuple[MelSegments, MelSegments]:
    """What a run learns from, and the songs of its validation.

    Raises:
        UserError: a folder is missing or lacks a style.
    """
    data, clips = config.data, index_folder(Path(config.data.folder), seed=config.data.split_seed)
    cache = MelCache(Path(data.cache), config.mel)
    common: dict[str, Any] = {
        "styles": data.styles,
        "mel_cache": cache,
        "seed": config.loop.seed,
        "paired": data.paired,
    }
    training = MelSegments(
        [clip for clip in [*clips, *_list_further(data.further, data.split_seed)] if clip.split == "train"],
        frames=data.segment_frames,
        train=True,
        gain_db=data.gain_db,
        unlabelled=list_splits(data.unlabelled, "train", data.split_seed) if data.unlabelled_share else (),
        unlabelled_share=data.unlabelled_share,
        **common,
    )
    of_validation = choose_validation(clips, data.styles, cache, data.validation_clips)
    return training, MelSegments(of_validation, frames=data.validation_frames, train=False, **common)


def _list_further(folders: Sequence[str], seed: int) -> list[Clip]:
    """Clips of further folders; their songs are not those of the same numbers elsewhere."""
    return [
        replace(clip, song=f"{folder}/{clip.song}")
        for folder in folders
        for clip in index_folder(Path(folder), seed=seed)
    ]


def _scores(judgements: Sequence[Judgement]) -> list[Tensor]:
    return [judgement.scores for judgement in judgements]
