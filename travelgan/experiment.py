"""Training of the translator (TraVeLGAN, arXiv 1902.09631, section 3); its steps are in :mod:`travelgan.methods`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import default_collate

from data.folder import choose_styles, index_folder
from data.mel_cache import MelCache
from data.segments import MelSegments, choose_validation
from data.sources import list_splits
from stylize_core.classifier import GenreClassifier
from stylize_core.errors import UserError
from stylize_core.model_folder import load_init
from training.experiment import Experiment, Sample, Update, evaluating
from travelgan.config import TranslatorConfig
from travelgan.discriminator import Discriminator
from travelgan.methods import STEPS, Batch, Losses, Networks
from travelgan.siamese import Siamese
from travelgan.training_config import GeneratorMethod, JointMethod, StyleHeadMethod, TranslatorTraining
from travelgan.translator import Translator
from travelgan.validation import (
    RealSongs,
    Sounds,
    Translation,
    recognition_measures,
    translate_all,
    validation_measures,
    validation_samples,
)

REAL_SEGMENTS = 4
"""Segments of every validation song that translations to its style are compared with."""


class TranslatorExperiment(Experiment):
    """Trains a :class:`travelgan.Translator`.

    Raises:
        UserError: the folder is missing or lacks a style.
    """

    config_class = TranslatorTraining
    averaged = ("translator",)
    lower_is_better = False
    min_share = 2  # for the pairs of the TraVeL loss
    free_settings = frozenset({"data.classifier", "data.cache", "data.validation_clips"})

    def __init__(self, config: TranslatorTraining) -> None:
        config = with_styles(config)
        torch.manual_seed(config.loop.seed)
        self.config, data, self.method = config, config.data, config.method
        self.style_head_only = isinstance(self.method, StyleHeadMethod)
        self.best_measure = "valid/lead" if self.style_head_only else "valid/score"
        self.translator = Translator(
            TranslatorConfig(data.styles, data.segment_frames, config.generator, config.siamese), config.mel
        )
        if config.init_from is not None:
            load_init(self.translator, config.init_from, "translator", config.mel)
        self.modules: dict[str, nn.Module] = {"translator": self.translator}
        parameters = self.translator.parameters()
        self.optimizers = {"generator": torch.optim.Adam(parameters, config.learning_rate, config.betas)}
        discriminator = None
        if isinstance(self.method, GeneratorMethod) and (adversary := self.method.adversary):
            discriminator = Discriminator(adversary.discriminator, config.mel.n_mels, len(data.styles))
            self.modules["discriminator"], parameters = discriminator, discriminator.parameters()
            self.optimizers["discriminator"] = torch.optim.Adam(parameters, adversary.learning_rate, config.betas)
        self.networks = Networks(config, self.translator, discriminator, self._teacher())
        if not isinstance(self.method, JointMethod | StyleHeadMethod):
            self.translator.siamese.requires_grad_(False)
        self.dataset, validation = open_segments(config)
        count = max(data.validation_clips, len(data.styles))
        self.validation = [validation[divmod(number, len(validation))] for number in range(count)]
        self.classifier = GenreClassifier.from_pretrained(data.classifier) if data.classifier else None
        self.real_songs = self._embed_real(validation) if self.classifier else None
        self.translations: list[Translation] = []
        self.sounds = Sounds(config.mel)
        self.translation_measures: dict[str, float] = {}

    def _teacher(self) -> Siamese | None:
        """The initial siamese network, with the configuration that it was trained with."""
        if not self.style_head_only:
            return None
        init = self.config.init_from
        source = self.translator if init is None else Translator.from_pretrained(init)
        return copy.deepcopy(source.siamese).eval().requires_grad_(False)

    def _embed_real(self, validation: MelSegments) -> RealSongs:
        """Embeddings of segments of the validation songs."""
        assert self.classifier is not None
        items = [validation[turn, index] for turn in range(REAL_SEGMENTS) for index in range(len(validation))]
        return RealSongs(
            self.classifier, [item["source"] for item in items], [int(item["source_style"]) for item in items]
        )

    def training_step(self, batch: Batch, step: int, update: Update) -> Losses:
        """The step of the configured method."""
        return STEPS[self.method.kind](self.networks, self.method, batch, step, update)

    def validate(self) -> dict[str, float]:
        """Measures of fixed clips, each translated to one style; `valid/recognized` counts in `valid/score` too."""
        batch = default_collate(self.validation)
        # The style head changes no translation.
        if not (self.translation_measures and self.style_head_only and self.classifier):
            with evaluating(self.translator):
                self.translations = translate_all(self.translator, batch)
            self.translation_measures = validation_measures(
                self.translator, self.translations, self.classifier, self.real_songs, self.sounds
            )
        with evaluating(self.translator):
            measures = self.translation_measures | recognition_measures(self.translator, batch)
        measures["valid/score"] += measures["valid/recognized"]
        return measures

    def samples(self) -> Sequence[Sample]:
        """Four of the translations and their inputs, through Griffin-Lim."""
        return validation_samples(self.translator, self.translations, self.sounds)


def with_styles(config: TranslatorTraining) -> TranslatorTraining:
    """The configuration with the styles of its folder where it names none.

    Raises:
        UserError: the folder is missing, lacks a named style, or has a single one.
    """
    data = config.data
    styles = choose_styles(index_folder(Path(data.folder), seed=data.split_seed), data.styles, data.folder)
    if len(styles) < 2:
        raise UserError(
            f"got one style, {styles[0]}, of {data.folder}; a translator needs two or more, each a folder of recordings"
        )
    return replace(config, data=replace(data, styles=styles))


def open_segments(config: TranslatorTraining) -> tuple[MelSegments, MelSegments]:
    """The training segments and the validation songs."""
    data, clips = config.data, index_folder(Path(config.data.folder), seed=config.data.split_seed)
    cache = MelCache(Path(data.cache), config.mel)
    common: dict[str, Any] = {
        "styles": data.styles, "mel_cache": cache, "seed": config.loop.seed, "paired": data.paired,
    }  # fmt: skip
    # Songs of extra folders differ from those of the same numbers elsewhere.
    extra = [
        replace(clip, song=f"{folder}/{clip.song}")
        for folder in data.extra
        for clip in index_folder(Path(folder), seed=data.split_seed)
    ]
    training = MelSegments(
        [clip for clip in [*clips, *extra] if clip.split == "train"],
        frames=data.segment_frames,
        train=True,
        gain_db=data.gain_db,
        unlabeled=list_splits(data.unlabeled, "train", data.split_seed) if data.unlabeled else (),
        unlabeled_share=data.unlabeled_share,
        **common,
    )
    of_validation = choose_validation(clips, data.styles, cache, data.validation_clips)
    return training, MelSegments(of_validation, frames=data.validation_frames, train=False, **common)
