"""A small genre classifier on log-mels, which translations are measured with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stylize_core.config import build
from stylize_core.mel import MelConfig
from stylize_core.model_folder import load_module, read_mel_config, save_pretrained
from stylize_core.plain import check_names, check_range

BAND_MEAN_SUBTRACTION = 0.7
"""Part of each band's mean over time that is subtracted; raises accuracy with a held-out soundfont."""


class GenreClassifier(nn.Module):
    """Convolutions over time with mel bands as channels, then mean and deviation over time.

    Reliable from 2 s on. The mean of each clip is subtracted, so that loudness does not count, and most of the mean of
    each band over time, so that timbre counts less than what is played.

    Args:
        genres: names of the classes, in the order of the logits.
        mel_config: the front-end of the mels.
        width: channels of the convolutions.
        embedding_size: length of the vector :meth:`embed` gives.
        dropout: share of the embedding dropped in training.

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
        """The vector a clip is classified by. Shape: mel (B, n_mels, T) -> (B, embedding_size)."""
        if mel.ndim != 3 or mel.shape[1] != self.mel_config.n_mels:
            raise ValueError(
                f"got a mel of shape {tuple(mel.shape)}, expected (batch, {self.mel_config.n_mels}, frames)"
            )
        timbre = mel.mean(dim=2, keepdim=True)
        leveled = mel - BAND_MEAN_SUBTRACTION * timbre
        columns = self.columns(leveled - leveled.mean(dim=(1, 2), keepdim=True)).float()
        deviation = (columns.var(dim=2, unbiased=False) + 1e-5).sqrt()
        embedding: Tensor = self.project(torch.cat([columns.mean(dim=2), deviation], dim=1))
        return embedding

    def forward(self, mel: Tensor) -> Tensor:
        """Logits of each genre; softmax gives probabilities."""
        logits: Tensor = self.classify(self.embed(mel))
        return logits.float()

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
        """Load a model folder in evaluation mode; UserError where it is missing, damaged, or of another kind."""
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
