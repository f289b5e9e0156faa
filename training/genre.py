"""A small genre classifier on log-mels: the judge of translations, and how it is trained."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from data.errors import UserError
from data.folder import Clip
from data.mel import MelConfig
from data.mel_cache import MelCache, MelCacheError
from data.plain import check_names, check_range
from training.config import build
from training.precision import choose_precision
from training.pretrained import load_module, read_mel_config, save_pretrained

logger = logging.getLogger(__name__)

TONE_COLOUR_REMOVED = 0.7
"""Part of each band's mean over time taken off; raised accuracy with an unheard soundfont."""


class GenreClassifier(nn.Module):
    """Convolutions over time with mel bands as channels, then mean and deviation over time.

    Any length will do, from 2 s on it is reliable. The mean of each clip is taken off first, so that loudness
    says nothing, and most of the mean of each band over time, so that the tone colour of a recording matters
    less than what is played.

    Args:
        genres: names of the classes, in the order of the logits.
        mel_config: the front-end of the mels.
        width: channels of the convolutions; the first three halve time, a fourth does not.
        embedding_size: length of the vector :meth:`embed` gives.
        dropout: part of the embedding dropped in training.

    Shape:
        mel (B, n_mels, T), log10 -> logits (B, genres).
    """

    def __init__(
        self,
        genres: Sequence[str],
        mel_config: MelConfig,
        width: int = 256,
        embedding_size: int = 256,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if len(genres) < 2:
            raise ValueError(f"a classifier needs two genres at least, got {list(genres)}")
        self.genres, self.mel_config = tuple(genres), mel_config
        self.width, self.embedding_size, self.dropout = width, embedding_size, dropout
        self.columns = nn.Sequential(
            *_column_stage(mel_config.n_mels, width, kernel_size=5, stride=2),
            *_column_stage(width, width, kernel_size=5, stride=2),
            *_column_stage(width, width, kernel_size=5, stride=2),
            *_column_stage(width, width, kernel_size=3, stride=1),
        )
        self.project = nn.Sequential(nn.Linear(2 * width, embedding_size), nn.GELU(), nn.Dropout(dropout))
        self.classify = nn.Linear(embedding_size, len(self.genres))

    def embed(self, mel: Tensor) -> Tensor:
        """The vector a clip is classified by.

        Shape:
            mel (B, n_mels, T) -> (B, embedding_size).

        Raises:
            ValueError: another number of mel bands.
        """
        if mel.ndim != 3 or mel.shape[1] != self.mel_config.n_mels:
            raise ValueError(
                f"got a mel of shape {tuple(mel.shape)}, expected (batch, {self.mel_config.n_mels}, frames)"
            )
        colour = mel.mean(dim=2, keepdim=True)
        levelled = mel - TONE_COLOUR_REMOVED * colour
        columns = self.columns(levelled - levelled.mean(dim=(1, 2), keepdim=True)).float()
        deviation = (columns.var(dim=2, unbiased=False) + 1e-5).sqrt()
        return self.project(torch.cat([columns.mean(dim=2), deviation], dim=1))

    def forward(self, mel: Tensor) -> Tensor:
        """Logits of each genre; softmax gives probabilities."""
        return self.classify(self.embed(mel)).float()

    def save(self, folder: str | Path, training: Mapping[str, object] | None = None) -> None:
        """Write a model folder that :meth:`from_pretrained` reads; `training` says how it was made."""
        model = {
            "genres": list(self.genres),
            "width": self.width,
            "embedding_size": self.embedding_size,
            "dropout": self.dropout,
        }
        config = {"mel": self.mel_config.to_dict(), "model": model, "training": dict(training or {})}
        save_pretrained(folder, "classifier", config, self.state_dict())

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> GenreClassifier:
        """Load a model folder, ready for use (evaluation mode).

        Raises:
            UserError: the folder is missing, damaged, or holds something else.
        """
        return load_module(folder, "classifier", cls._from_config)

    @classmethod
    def _from_config(cls, config: dict[str, Any]) -> GenreClassifier:
        model = build(_ClassifierConfig, config["model"], "model")
        return cls(model.genres, read_mel_config(config), model.width, model.embedding_size, model.dropout)


@dataclass(frozen=True)
class _ClassifierConfig:
    """What a model folder says of a :class:`GenreClassifier`."""

    genres: tuple[str, ...]
    width: int = 256
    embedding_size: int = 256
    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_names("genre", self.genres)
        check_range(1, 1 << 16, width=self.width, embedding_size=self.embedding_size)
        check_range(0, 1, dropout=self.dropout)


def _column_stage(channels: int, width: int, kernel_size: int, stride: int) -> list[nn.Module]:
    """A convolution that sees all bands at once: the register an instrument plays in belongs to a genre."""
    convolution = nn.Conv1d(channels, width, kernel_size, stride, padding=kernel_size // 2, bias=False)
    return [convolution, nn.BatchNorm1d(width), nn.GELU()]


@dataclass(frozen=True)
class ClassifierTraining:
    """How a classifier is trained.

    Args:
        minutes: wall-clock limit.
        steps: limit in steps; whichever comes first ends the run and its cosine schedule.
        batch_size: clips a step.
        learning_rate: of AdamW, at its peak.
        weight_decay: of AdamW.
        label_smoothing: part of the target spread over the other genres.
        frames_min: shortest crop, mel frames.
        frames_max: longest crop, mel frames.
        validate_every: steps between validations.
        mixed_precision: `auto`, `no` or `bf16`, see :mod:`training.precision`.
        seed: changes every random choice.
    """

    minutes: float = 8.0
    steps: int = 100_000
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    frames_min: int = 128
    frames_max: int = 512
    validate_every: int = 200
    mixed_precision: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class LabelledMels:
    """Whole mels of one split in memory, with the number of the genre of each."""

    mels: tuple[np.ndarray, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.mels)


@dataclass(frozen=True)
class Accuracy:
    """How well a split was classified.

    Args:
        clips: part of whole clips told right.
        segments: part of segments told right.
        loss: mean cross-entropy of the segments, nats.
        confusion: counts of segments, true genre by heard genre.
    """

    clips: float
    segments: float
    loss: float
    confusion: np.ndarray = field(repr=False)


def load_split(clips: Sequence[Clip], genres: Sequence[str], mel_cache: MelCache) -> LabelledMels:
    """Mels of the clips of these genres; unreadable clips are left out with a warning."""
    mels, labels = [], []
    for clip in clips:
        if clip.genre not in genres:
            continue
        try:
            mels.append(np.array(mel_cache.load(clip.path)))
        except MelCacheError:
            raise
        except UserError as error:
            logger.warning("clip left out: %s", error)
            continue
        labels.append(genres.index(clip.genre))
    return LabelledMels(tuple(mels), tuple(labels))


def random_batch(
    split: LabelledMels, size: int, frames: int, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Random crops, every genre as likely as any other; short clips are continued by repetition.

    Shape:
        mel (size, n_mels, frames) float32; label (size,) int64.
    """
    labels = np.asarray(split.labels)
    present = np.unique(labels)
    mels, chosen = [], []
    for _ in range(size):
        label = generator.choice(present)
        mel = split.mels[generator.choice(np.flatnonzero(labels == label))]
        start = int(generator.integers(max(1, mel.shape[1] - frames + 1)))
        crop = mel[:, start : start + frames].astype(np.float32)
        if crop.shape[1] < frames:
            crop = np.pad(crop, ((0, 0), (0, frames - crop.shape[1])), mode="wrap")
        mels.append(crop)
        chosen.append(int(label))
    return torch.from_numpy(np.stack(mels)), torch.tensor(chosen)


def augment(mel: Tensor, floor: float, generator: torch.Generator) -> Tensor:
    """What must not change a genre: gain, tone colour, pitch by a mel band or two, noise, a hidden band.

    Args:
        mel: log10 mels.
        floor: log10 value of silence; results stay at or above it.
        generator: of the random choices.

    Shape:
        (B, n_mels, T) -> (B, n_mels, T).
    """
    batch, bands, _ = mel.shape

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape or (batch, 1, 1), generator=generator)

    # A smooth curve over frequency of up to 16 dB: other rooms, mixes and instruments.
    curve = functional.interpolate(
        uniform(-0.8, 0.8, batch, 1, 10), size=bands, mode="linear", align_corners=True
    )
    gain = uniform(-0.5, 0.5)
    changed = torch.where(mel > floor + 1e-3, mel + gain + curve.transpose(1, 2), mel)
    shift = int(torch.randint(-2, 3, (), generator=generator))
    changed = changed.roll(shift, dims=1)
    # A noise floor between inaudible and clearly heard, and jitter of half a decibel.
    level = uniform(floor - 1.0, floor + 2.0)
    changed = torch.logaddexp(changed * 2.302585, level * 2.302585) / 2.302585
    changed = changed + 0.03 * torch.randn(mel.shape, generator=generator)
    width = uniform(0, bands / 8)
    low = uniform(0, 1) * (bands - width)
    band = torch.arange(bands)[None, :, None]
    hidden = (band >= low) & (band < low + width)
    return torch.where(hidden, changed.mean(dim=(1, 2), keepdim=True), changed).clamp(min=floor)


@torch.inference_mode()
def evaluate(
    classifier: GenreClassifier, split: LabelledMels, frames: int = 256, autocast: bool = False
) -> Accuracy:
    """Classify segments that follow each other, and whole clips by the mean of their probabilities."""
    was_training = classifier.training
    classifier.eval()
    device = next(classifier.parameters()).device
    confusion = np.zeros((len(classifier.genres),) * 2, dtype=int)
    right, losses = 0, []
    try:
        for mel, label in zip(split.mels, split.labels, strict=True):
            length = min(frames, mel.shape[1])
            count = mel.shape[1] // length
            segments = torch.from_numpy(mel[:, : count * length].astype(np.float32)).unflatten(
                1, (count, length)
            )
            with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
                logits = classifier(segments.transpose(0, 1).to(device)).cpu()
            losses += (-logits.log_softmax(dim=1)[:, label]).tolist()
            np.add.at(confusion[label], logits.argmax(dim=1).numpy(), 1)
            right += int(logits.softmax(dim=1).mean(dim=0).argmax()) == label
    finally:
        classifier.train(was_training)
    return Accuracy(
        clips=right / len(split),
        segments=float(np.trace(confusion) / confusion.sum()),
        loss=float(np.mean(losses)),
        confusion=confusion,
    )


@dataclass(frozen=True)
class TrainingReport:
    """State of a run after a validation: steps, part of the time used, training loss, validation."""

    step: int
    progress: float
    loss: float
    valid: Accuracy
    best: bool


def train(
    classifier: GenreClassifier,
    train_split: LabelledMels,
    valid_split: LabelledMels,
    settings: ClassifierTraining,
) -> Iterator[TrainingReport]:
    """Train in place; yields after each validation, and leaves the weights with the least validation loss.

    Raises:
        UserError: a split is empty.
    """
    for name, split in (("train", train_split), ("valid", valid_split)):
        if not len(split):
            raise UserError(f"the {name} split has no readable clip; expected some of every genre")
    device = next(classifier.parameters()).device
    precision, reason = choose_precision(settings.mixed_precision, device)
    logger.info("mixed precision: %s (%s)", precision, reason)
    optimizer = torch.optim.AdamW(
        classifier.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    criterion = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
    crops, noises = np.random.default_rng(settings.seed), torch.Generator().manual_seed(settings.seed)
    floor = classifier.mel_config.log_floor
    began, least, losses = time.monotonic(), float("inf"), []
    best = _weights(classifier)
    classifier.train()
    step, progress = 0, 0.0
    while progress < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _schedule(step, progress, min(100, settings.steps // 10))
        frames = int(crops.integers(settings.frames_min, settings.frames_max + 1))
        mel, label = random_batch(train_split, settings.batch_size, frames, crops)
        mel = augment(mel, floor, noises).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = classifier(mel)
        loss = criterion(logits, label.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        step += 1
        progress = min(1.0, max(step / settings.steps, (time.monotonic() - began) / (60 * settings.minutes)))
        if step % settings.validate_every == 0 or progress == 1.0:
            valid = evaluate(classifier, valid_split, autocast=precision == "bf16")
            better = valid.loss < least
            if better:
                least, best = valid.loss, _weights(classifier)
            yield TrainingReport(step, progress, float(np.mean(losses)), valid, better)
            losses = []
    classifier.load_state_dict(best)
    classifier.eval()


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def _schedule(step: int, progress: float, warm_up: int) -> float:
    """Linear warm-up, then half a cosine over the run, whether steps or minutes end it."""
    return min(1.0, (step + 1) / max(1, warm_up)) * 0.5 * (1.0 + math.cos(math.pi * progress))
