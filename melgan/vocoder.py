"""The vocoder: generator, refinement and mel front-end, loaded from a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from melgan.config import GeneratorConfig
from melgan.generator import Generator
from melgan.layers import plain_state_dict
from melgan.refinement import MelRefinement
from stylize_core.config import build, to_plain
from stylize_core.mel import MelConfig
from stylize_core.model_folder import load_module, read_mel_config, save_pretrained

KIND = "vocoder"


class Vocoder(nn.Module):
    """Log-mel spectrogram to waveform.

    Args:
        generator_config: the network.
        mel_config: the front-end of its mels.

    Shape:
        mel (B, n_mels, T >= 4), log10, and first_frame, its position in the song, (B,) or one for all
        -> wav (B, 1, T * hop_length) in about [-1, 1].

    Raises:
        ValueError: network and front-end differ in bands or hop.
    """

    def __init__(self, generator_config: GeneratorConfig, mel_config: MelConfig) -> None:
        super().__init__()
        for name in ("n_mels", "hop_length"):
            network, front_end = getattr(generator_config, name), getattr(mel_config, name)
            if network != front_end:
                raise ValueError(f"{name} is {network} in the generator and {front_end} in the mel front-end")
        self.mel_config = mel_config
        self.generator = Generator(generator_config, mel_config)
        self.refinement = MelRefinement(mel_config, generator_config.low_bands)
        self.refine_iterations = generator_config.refine_iterations

    @property
    def context_frames(self) -> int:
        """Frames of context on one side that block-wise synthesis needs."""
        return self.generator.context_frames + self.refinement.context_frames(self.refine_iterations)

    def forward(self, mel: Tensor, first_frame: Tensor | int = 0) -> Tensor:
        """Synthesize a batch of mels: the network, then the refinement."""
        wav: Tensor = self.refinement(self.generator(mel, first_frame)[:, 0], mel, self.refine_iterations)
        return wav[:, None]

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Vocoder:
        """Load a model folder, ready for inference.

        Raises:
            UserError: the folder is missing, corrupted, or holds another kind of model.
        """
        return load_module(folder, KIND, cls._from_config, part="generator").requires_grad_(False)

    @classmethod
    def _from_config(cls, config: dict[str, Any]) -> Vocoder:
        return cls(build(GeneratorConfig, config["model"], "model"), read_mel_config(config))

    def save_pretrained(self, folder: str | Path, training: dict[str, Any], half: bool = True) -> None:
        """Write a model folder; `training` is the record of the training."""
        config = {"mel": self.mel_config.to_dict(), "model": to_plain(self.generator.config), "training": training}
        save_pretrained(folder, KIND, config, plain_state_dict(self.generator), half=half)
