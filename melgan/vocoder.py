"""The vocoder as users meet it: a model folder in, waveforms out."""

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
        mel_config: the front-end whose mels it understands.

    Shape:
        mel (B, n_mels, T), log10 magnitudes of `mel_config`, and first_frame, where it begins in its song, (B,) or one
        number for all -> wav (B, 1, T * hop_length), about [-1, 1]; T >= 4.

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
        """Frames of context on one side that block-wise synthesis needs to equal synthesis of the whole."""
        return self.generator.context_frames + self.refinement.context_frames(self.refine_iterations)

    def forward(self, mel: Tensor, first_frame: Tensor | int = 0) -> Tensor:
        """Synthesize a batch of mels: the network, then the refinement that its configuration asks for."""
        wav = self.generator(mel, first_frame)
        return self.refinement(wav[:, 0], mel, self.refine_iterations)[:, None]

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
        """Write a model folder; `training` says what made the weights."""
        config = {
            "mel": self.mel_config.to_dict(),
            "model": to_plain(self.generator.config),
            "training": training,
        }
        save_pretrained(folder, KIND, config, plain_state_dict(self.generator), half=half)
