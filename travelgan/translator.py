"""The translator: generator, siamese network and mel front-end, loaded from a model folder.

A style is named, mixed or given by example; all three are points in the style space of the siamese network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stylize_core.config import build, to_plain
from stylize_core.errors import UserError
from stylize_core.mel import MelConfig
from stylize_core.model_folder import load_module, read_mel_config, save_pretrained
from stylize_core.names import nearest
from travelgan.config import TranslatorConfig
from travelgan.generator import Generator
from travelgan.siamese import Siamese

PROTOTYPE_TEMPERATURE = 0.02
"""Temperature of the softmax over cosines between an example and the named styles."""

NAMED_WEIGHT = 2.0
"""Weight of the named styles near an example, relative to its own embedding; chosen with studies/examples.md."""

MIXTURE_TOLERANCE = 0.01
"""Tolerance of the sum of the weights of a mixture."""


class ExampleStyle(NamedTuple):
    """The style of a recording.

    Args:
        vector: (style_size,), of length 1.
        weights: similarity to each named style; they add up to 1.
    """

    vector: Tensor
    weights: dict[str, float]


class Translator(nn.Module):
    """Log-mel spectrogram to the log-mel spectrogram of another style.

    Args:
        config: of the networks and the styles.
        mel_config: the front-end of the mels.

    Attributes:
        styles: names of the styles, in the order of their indices.
        style_size: components of a style vector.
        context_frames: frames on either side that an output frame can depend on.
        frame_multiple: frames of which block starts must be multiples.

    Shape:
        mel (B, n_mels, T >= 1) log10 in about [-5, 1.5], style (B, style_size) -> mel of the same shape, at least the
        front-end's floor. Blocks that start at a multiple of :attr:`frame_multiple`, with :attr:`context_frames` on
        either side, are equal to the whole.
    """

    def __init__(self, config: TranslatorConfig, mel_config: MelConfig) -> None:
        super().__init__()
        self.config, self.mel_config = config, mel_config
        self.siamese = Siamese(config.siamese, mel_config.n_mels, len(config.styles))
        self.styles, self.style_size = config.styles, config.siamese.style_size
        self.generator = Generator(config.generator, mel_config.n_mels, self.style_size)
        self.context_frames, self.frame_multiple = self.generator.context_frames, self.generator.frame_multiple

    def forward(self, mel: Tensor, style: Tensor) -> Tensor:
        """Translate a batch of mels, with a style vector for each."""
        output: Tensor = self.generator(mel, style)
        return output.clamp(min=self.mel_config.log_floor)

    def style_vector(self, weights: Mapping[str, float]) -> Tensor:
        """The style vector (style_size,), of length 1, of a mixture of named styles.

        Raises:
            UserError: a style is unknown; weights are not positive or do not add up to 1.
        """
        self._check_mixture(weights)
        mixture = self.siamese.prototypes.new_zeros(1, len(self.styles))
        for name, weight in weights.items():
            mixture[0, self.styles.index(name)] = weight
        return self.siamese.mix_styles(mixture)[0]

    def _check_mixture(self, weights: Mapping[str, float]) -> None:
        known = ", ".join(self.styles)
        if not weights:
            raise UserError(f"no style was named; known styles: {known}")
        for name, weight in weights.items():
            if name not in self.styles:
                raise UserError(f"unknown style {name!r}{nearest(name, self.styles) or ';'} known styles: {known}")
            if not weight > 0:  # or NaN
                raise UserError(f"style {name} has weight {weight}; weights must be positive and add up to 1")
        total = sum(weights.values())
        if abs(total - 1) > MIXTURE_TOLERANCE:
            listed = ", ".join(f"{name}:{weight:g}" for name, weight in weights.items())
            raise UserError(f"the weights of {listed} add up to {total:g}; they must add up to 1")

    def style_of(self, mel: Tensor) -> Tensor:
        """The style embedding of a recording, averaged over windows of a training segment, overlapping by half.

        Shape:
            (B, n_mels, T) -> (style_size,), of length 1; a batch is averaged too.

        Raises:
            UserError: fewer frames than the siamese network needs.
        """
        frames, window = mel.shape[-1], self.config.segment_frames
        if frames < self.siamese.min_frames:
            seconds = self.siamese.min_frames / self.mel_config.frames_per_second
            raise UserError(f"the style reference has {frames} mel frames; it must be at least {seconds:.2f} s long")
        if frames <= window:
            embeddings = self.siamese(mel).style
        else:
            count = 1 + -(-(frames - window) * 2 // window)
            starts = [round(index * (frames - window) / (count - 1)) for index in range(count)]
            # One window at a time, for references of an hour.
            embeddings = torch.cat([self.siamese(mel[..., start : start + window]).style for start in starts])
        return nn.functional.normalize(embeddings.mean(dim=0), dim=0)

    def style_by_example(self, mel: Tensor, named_weight: float = NAMED_WEIGHT) -> ExampleStyle:
        """The style of a recording: its embedding, interpolated with the named styles near it.

        The generator is poorly trained between the prototypes, where the embeddings of unusual recordings lie. Two
        thirds of the way to the prototypes, weighted by a softmax of cosines, accuracy is higher.

        Args:
            mel: see :meth:`style_of`.
            named_weight: weight of the named styles relative to the embedding; 2 is two thirds of the way.
        """
        embedding = self.style_of(mel)
        prototypes = self.siamese.style_prototypes()
        nearness = torch.softmax(prototypes @ embedding / PROTOTYPE_TEMPERATURE, dim=0)
        named = nn.functional.normalize(nearness @ prototypes, dim=0)
        vector = nn.functional.normalize(embedding + named_weight * named, dim=0)
        return ExampleStyle(vector, dict(zip(self.styles, nearness.tolist(), strict=True)))

    def save_pretrained(self, folder: str | Path, training: Mapping[str, Any] | None = None) -> None:
        """Write a model folder; `training` is the record of the training."""
        config = {
            "mel": self.mel_config.to_dict(), "model": to_plain(self.config), "training": dict(training or {}),
        }  # fmt: skip
        save_pretrained(folder, "translator", config, self.state_dict())

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Translator:
        """Load a model folder, ready for inference.

        Raises:
            UserError: the folder is missing, corrupted, or holds another kind of model.
        """
        return load_module(folder, "translator", cls._from_config)

    @classmethod
    def _from_config(cls, config: dict[str, Any]) -> Translator:
        return cls(build(TranslatorConfig, config["model"], "model"), read_mel_config(config))
