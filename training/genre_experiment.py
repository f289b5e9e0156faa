"""Training of the genre classifier: cross-entropy on augmented crops of random length."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from data.folder import Clip, choose_styles, index_folder
from data.mel_cache import MelCache, MelCacheError
from data.segments import MelSegments, choose_validation
from stylize_core.classifier import GenreClassifier
from stylize_core.errors import UserError
from stylize_core.model_folder import load_init
from training.experiment import Experiment, Update, evaluating
from training.loop_config import TrainingConfig
from training.sampler import derive_seed
from training.style_augmentation import augment

logger = logging.getLogger(__name__)

SEGMENT_FRAMES = 256
"""Length of the segments that a validation classifies."""


@dataclass(frozen=True)
class ClassifierData:
    """Data of the classifier.

    Args:
        folder: a genre tree: GTZAN, a rendered corpus, or folders of the same form.
        genres: genres to learn; empty for all.
        split_seed: seed of the split by hash, see :func:`data.folder.index_folder`.
        cache: folder of cached mels.
        min_frames, max_frames: range of the crop's length, mel frames; drawn for each step.
        validation_clips: number of clips that select the best state, of all genres; other splits are complete.
    """

    folder: str
    genres: tuple[str, ...] = ()
    split_seed: int = 0
    cache: str = "cache/mels"
    min_frames: int = 128
    max_frames: int = 512
    validation_clips: int = 80

    def __post_init__(self) -> None:
        if not 1 <= self.min_frames <= self.max_frames:
            raise ValueError(f"crops are from min_frames {self.min_frames} to max_frames {self.max_frames} long")


@dataclass(frozen=True, kw_only=True)
class ClassifierTraining(TrainingConfig):
    """The configuration of a classifier run.

    Args:
        loop, mel, learning_rate, init_from: see :class:`training.loop_config.TrainingConfig`.
        data: folder, genres, crops.
        weight_decay: weight decay of AdamW.
        label_smoothing: part of the target spread over the other genres.
    """

    data: ClassifierData
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.1


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of a split.

    Args:
        clips: accuracy over clips, each by the mean of its segments' probabilities.
        segments: accuracy over segments.
        loss: mean cross-entropy of the segments, nats.
        confusion: counts of segments, true genre by predicted genre.
    """

    clips: float
    segments: float
    loss: float
    confusion: np.ndarray = field(repr=False)


class ClassifierExperiment(Experiment):
    """Trains a :class:`stylize_core.classifier.GenreClassifier`.

    Raises:
        UserError: the folder is missing, lacks a genre, or has a single one.
    """

    config_class = ClassifierTraining
    averaged = ("classifier",)
    best_measure = "valid/loss"
    free_settings = frozenset({"data.cache", "data.validation_clips"})

    def __init__(self, config: ClassifierTraining) -> None:
        torch.manual_seed(config.loop.seed)
        self.config, data = config, config.data
        clips = index_folder(Path(data.folder), seed=data.split_seed)
        genres = choose_styles([clip for clip in clips if clip.split == "train"], data.genres, data.folder)
        if len(genres) < 2:
            raise UserError(f"{data.folder} has training clips of {len(genres)} genres, 2 are needed at least")
        self.classifier = GenreClassifier(genres, config.mel)
        if config.init_from is not None:
            load_init(self.classifier, config.init_from, "classifier", config.mel)
        self.modules: dict[str, nn.Module] = {"classifier": self.classifier}
        parameters = self.classifier.parameters()
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "classifier": torch.optim.AdamW(parameters, config.learning_rate, weight_decay=config.weight_decay)
        }
        self.criterion = nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
        cache = MelCache(Path(data.cache), config.mel)
        self.dataset = MelSegments(
            [clip for clip in clips if clip.split == "train"],
            styles=genres,
            mel_cache=cache,
            frames=data.max_frames,
            seed=config.loop.seed,
            train=True,
            paired=False,
        )
        held_out = {clip.split for clip in clips} - {"train", "valid"}
        splits = {split: [clip for clip in clips if clip.split == split] for split in sorted(held_out)}
        splits["valid"] = choose_validation(clips, genres, cache, data.validation_clips)
        self.splits = {name: load_split(of_split, genres, cache) for name, of_split in splits.items()}
        self.accuracies: dict[str, Accuracy] = {}

    def training_step(self, batch: dict[str, Tensor], step: int, update: Update) -> dict[str, Tensor]:
        """Classify augmented crops of one random length."""
        data, mel = self.config.data, batch["source"]
        generator = torch.Generator().manual_seed(derive_seed("crops", self.config.loop.seed, step))
        frames = int(torch.randint(data.min_frames, data.max_frames + 1, (), generator=generator))
        mel = augment(mel[..., :frames].cpu(), self.config.mel.log_floor, generator).to(mel)
        loss = self.criterion(self.classifier(mel), batch["source_style"])
        return {"loss": loss.detach(), "gradient_norm": update("classifier", loss)}

    def validate(self) -> dict[str, float]:
        """Cross-entropy and accuracy of every split but the training split, by segment and by clip."""
        self.accuracies = {name: evaluate(self.classifier, split) for name, split in self.splits.items() if split}
        measures = {"valid/loss": self.accuracies["valid"].loss}
        for name, accuracy in self.accuracies.items():
            measures |= {f"{name}/accuracy": accuracy.segments, f"{name}/clip_accuracy": accuracy.clips}
        return measures

    def export(self, folder: Path, training: dict[str, Any]) -> None:
        """Write the classifier's model folder, and log its confusion matrix."""
        logger.info(format_confusion(self.classifier.genres, self.accuracies["valid"].confusion))
        self.classifier.save(folder, training)


def load_split(clips: Sequence[Clip], genres: Sequence[str], mel_cache: MelCache) -> list[tuple[np.ndarray, int]]:
    """Mels of the clips of these genres, each with the index of its genre; unreadable clips are skipped."""
    found = []
    for clip in clips:
        if clip.genre not in genres:
            continue
        try:
            found.append((np.array(mel_cache.load(clip.path)), genres.index(clip.genre)))
        except MelCacheError:
            raise
        except UserError as error:
            logger.warning("clip left out: %s", error)
    return found


def evaluate(
    classifier: GenreClassifier, split: Sequence[tuple[np.ndarray, int]], frames: int = SEGMENT_FRAMES
) -> Accuracy:
    """Classify consecutive segments, and clips by the mean of their segments' probabilities."""
    device = next(classifier.parameters()).device
    confusion = np.zeros((len(classifier.genres),) * 2, dtype=int)
    right, losses = 0, []
    with evaluating(classifier):
        for mel, label in split:
            length = min(frames, mel.shape[1])
            whole = torch.from_numpy(mel[:, : mel.shape[1] // length * length].astype(np.float32))
            logits = classifier(rearrange(whole, "bands (n t) -> n bands t", t=length).to(device)).cpu()
            losses += (-logits.log_softmax(dim=1)[:, label]).tolist()
            np.add.at(confusion[label], logits.argmax(dim=1).numpy(), 1)
            right += int(logits.softmax(dim=1).mean(dim=0).argmax()) == label
    return Accuracy(
        clips=right / len(split),
        segments=float(np.trace(confusion) / confusion.sum()),
        loss=float(np.mean(losses)),
        confusion=confusion,
    )


def format_confusion(genres: Sequence[str], confusion: np.ndarray) -> str:
    """Table of segments: a row per true genre, a column per predicted genre, percent."""
    shares = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    head = " " * 10 + "".join(f"{genre[:8]:>9}" for genre in genres)
    rows = [
        f"{genre:10}" + "".join(f"{share:9.0f}" for share in row) for genre, row in zip(genres, shares, strict=True)
    ]
    return "\n".join([head, *rows])
