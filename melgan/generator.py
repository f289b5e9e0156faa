"""MelGAN generator: log-mel spectrogram to waveform, fully convolutional, reflected at its ends.

Paper: MelGAN, arXiv 1910.06711, section 2.1; output heads in :mod:`melgan.heads`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from melgan.config import GeneratorConfig
from melgan.heads import OscillatorHead, make_head
from melgan.layers import ReflectedConv, ResidualLayer, Upsample
from stylize_core.layers import NEGATIVE_SLOPE, scale_mel
from stylize_core.mel import MelConfig


class Generator(nn.Module):
    """Log-mel to waveform.

    Args:
        config: widths, ratios and head.
        mel_config: the front-end of the mels; only the head `oscillators` needs it.

    Shape:
        mel (B, n_mels, T >= 4), log10, and first_frame, the index of a mel's first frame in its song, (B,) or one for
        all (for the head `oscillators`) -> wav (B, 1, T * hop_length) in about [-1, 1].

    Raises:
        ValueError: the mel has another number of bands or fewer than 4 frames.
    """

    def __init__(self, config: GeneratorConfig, mel_config: MelConfig | None = None) -> None:
        super().__init__()
        self.config = config
        self.first = ReflectedConv(config.n_mels, config.width, 7)
        self.frame_stack = nn.Sequential(*[ResidualLayer(config.width, each) for each in config.frame_dilations])
        stages: list[nn.Module] = []
        channels = config.width
        for ratio in config.ratios:
            stages.append(Upsample(channels, channels // 2, ratio))
            channels //= 2
            stages.extend(ResidualLayer(channels, 3**j) for j in range(config.residual_layers))
        self.stages = nn.Sequential(*stages)
        self.head = make_head(config.head, channels, mel_config)

    def forward(self, mel: Tensor, first_frame: Tensor | int = 0) -> Tensor:
        """Synthesize a batch of mels."""
        if mel.ndim != 3 or mel.shape[1] != self.config.n_mels or mel.shape[2] < 4:
            raise ValueError(
                f"the generator expects mels of shape (B, {self.config.n_mels}, T >= 4), got {tuple(mel.shape)}"
            )
        x = self.first(scale_mel(mel) if self.config.scale_input else mel)
        spectrum = ()
        if isinstance(self.head, OscillatorHead):
            spectrum = self.head.oscillators(mel, torch.as_tensor(first_frame, device=mel.device))
            x = x + self.head.embed(spectrum[0])
        x = self.stages(self.frame_stack(x))
        wav: Tensor = self.head(nn.functional.leaky_relu(x, NEGATIVE_SLOPE), *spectrum)
        return wav

    @property
    def context_frames(self) -> int:
        """Frames on one side of the receptive field, rounded up."""
        config = self.config
        radius = 3.0 + sum(config.frame_dilations)
        rate = 1
        for ratio in config.ratios:
            radius += 1.0 / rate
            rate *= ratio
            radius += sum(3**j for j in range(config.residual_layers)) / rate
        radius += self.head.radius / rate
        return math.ceil(radius) + 1
