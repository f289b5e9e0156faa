"""A convolutional autoencoder over mel columns: features of music, learned without labels.

The encoder's layers take the place that VGG has for pictures (Gatys et al., arXiv 1508.06576). Bands are channels and
convolutions run over time, as for the random network of audio texture synthesis (Ulyanov and Lebedev, 2016).
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from stylize.optimize.networks import MelFeatures
from stylize_core.config import build, to_plain
from stylize_core.layers import NEGATIVE_SLOPE, reflect_pad, scale_mel, unscale_mel
from stylize_core.mel import MelConfig
from stylize_core.model_folder import load_module, read_mel_config, save_pretrained
from stylize_core.plain import check_range
from travelgan.layers import ColumnConv

KIND = "autoencoder"
BUNDLED_AUTOENCODER = Path(__file__).parents[1] / "models" / "autoencoder"

LAST_LAYER_SCALE = 0.1
"""Of the untrained last layer, so that training starts near the mean of each band."""


@dataclass(frozen=True)
class AutoencoderConfig:
    """Encoder layers, first to last; the decoder mirrors them.

    Args:
        widths: channels after each convolution; the last one is the bottleneck.
        kernels: width of each convolution, columns of its input; odd.
        strides: by how much each convolution thins out time.
    """

    widths: tuple[int, ...] = (256, 128, 64)
    kernels: tuple[int, ...] = (11, 7, 7)
    strides: tuple[int, ...] = (1, 2, 2)

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.kernels) == len(self.strides) > 0:
            raise ValueError(
                f"widths {list(self.widths)}, kernels {list(self.kernels)} and strides {list(self.strides)} must name "
                "the same number of layers, at least one"
            )
        check_range(1, 12, **{"the number of layers": len(self.widths)})
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"kernels must be odd, got {list(self.kernels)}")
        if min(self.widths) < 1 or min(self.strides) < 1:
            raise ValueError(f"widths and strides must be positive, got {list(self.widths)} and {list(self.strides)}")
        if any(kernel < stride for kernel, stride in zip(self.kernels, self.strides, strict=True)):
            raise ValueError(f"kernels {list(self.kernels)} must not be smaller than the strides {list(self.strides)}")
        check_range(1, 1 << 16, widths=self.widths)
        check_range(1, 255, kernels=self.kernels, strides=self.strides)

    @property
    def frames_per_code(self) -> int:
        """Columns of the input for one column of the bottleneck."""
        return math.prod(self.strides)


class Autoencoder(nn.Module):
    """Log-mel to few channels at a lower rate, and back.

    There is no normalization over time, so a column's features depend on its neighborhood alone and any length is
    valid. The ReLUs are leaky, so that no channel can die.

    Shape:
        mel (B, n_mels, T >= 1), log10 -> the same.
    """

    def __init__(self, config: AutoencoderConfig, mel_config: MelConfig) -> None:
        super().__init__()
        self.config, self.mel_config = config, mel_config
        edges = list(itertools.pairwise((mel_config.n_mels, *config.widths)))
        self.encoder = nn.ModuleList(
            ColumnConv(low, high, kernel, stride)
            for (low, high), kernel, stride in zip(edges, config.kernels, config.strides, strict=True)
        )
        self.decoder = nn.ModuleList(
            ColumnConv(high, low, kernel)
            for (low, high), kernel in zip(reversed(edges), reversed(config.kernels), strict=True)
        )

    def encode(self, mel: Tensor) -> Tensor:
        """The bottleneck: (B, n_mels, T) -> (B, widths[-1], T // config.frames_per_code)."""
        bands, shortest = self.mel_config.n_mels, self.config.frames_per_code
        if mel.ndim != 3 or mel.shape[1] != bands or mel.shape[2] < shortest:
            raise ValueError(
                f"got a mel of shape {tuple(mel.shape)}, expected (batch, {bands}, at least {shortest} frames)"
            )
        x = scale_mel(mel)
        for layer in self.encoder:
            x = leaky_relu(layer(x), NEGATIVE_SLOPE)
        return x

    def decode(self, code: Tensor) -> Tensor:
        """The mel of a bottleneck, not limited to the floor: (B, widths[-1], T) -> (B, n_mels, T * frames_per_code)."""
        x = code
        for index, (layer, stride) in enumerate(zip(self.decoder, reversed(self.config.strides), strict=True)):
            x = layer((x if index == 0 else leaky_relu(x, NEGATIVE_SLOPE)).repeat_interleave(stride, dim=2))
        return unscale_mel(x)

    @torch.no_grad()
    def adapt(self, mel: Tensor) -> None:
        """Scale and shift the untrained layers so that their outputs for typical mels have mean 0 and variance 1.

        The data-dependent initialization of arXiv 1602.07868, section 3. Without it all channels follow the loudness at
        first, since the bands of a column rise and fall together. The last layer starts near the mean of each band.
        """
        x = scale_mel(mel)
        for layer in self.encoder:
            x = leaky_relu(_standardize(layer, x), NEGATIVE_SLOPE)
        *inner, last = zip(self.decoder, reversed(self.config.strides), strict=True)
        for layer, stride in inner:
            x = leaky_relu(_standardize(layer, x.repeat_interleave(stride, dim=2)), NEGATIVE_SLOPE)
        last[0].get_parameter("convolution.weight").mul_(LAST_LAYER_SCALE)
        last[0].get_parameter("convolution.bias").copy_(scale_mel(mel).mean(dim=(0, 2)))

    def forward(self, mel: Tensor) -> Tensor:
        """Encode and decode; a length that the strides do not divide is continued by reflection and cut again."""
        frames = mel.shape[-1]
        return self.decode(self.encode(reflect_pad(mel, 0, -frames % self.config.frames_per_code)))[..., :frames]

    def save_pretrained(self, folder: str | Path, training: dict[str, Any], half: bool = True) -> None:
        """Write a model folder; `training` records how the weights were trained."""
        config = {"mel": self.mel_config.to_dict(), "model": to_plain(self.config), "training": training}
        save_pretrained(folder, KIND, config, self.state_dict(), half=half)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Autoencoder:
        """Load a model folder, ready for use: evaluation mode, no gradients for its weights.

        Raises:
            UserError: the folder is missing, corrupted, or holds another kind of model.
        """
        return load_module(folder, KIND, cls._from_config).requires_grad_(False)

    @classmethod
    def _from_config(cls, config: dict[str, Any]) -> Autoencoder:
        return cls(build(AutoencoderConfig, config["model"], "model"), read_mel_config(config))


def _standardize(layer: nn.Module, x: Tensor) -> Tensor:
    """Scale and shift a convolution so that each channel has mean 0 and variance 1 on `x`; returns its new output."""
    made: Tensor = layer(x)
    mean, std = made.mean(dim=(0, 2)), made.std(dim=(0, 2)).clamp(min=1e-4)
    layer.get_parameter("convolution.weight").div_(std[:, None, None])
    bias = layer.get_parameter("convolution.bias")
    bias.copy_((bias - mean) / std)
    return (made - mean[:, None]) / std[:, None]


def autoencoder_features(autoencoder: Autoencoder) -> MelFeatures:
    """A copy of the encoder of a trained autoencoder: conv_1, relu_1, conv_2, relu_2, ..."""
    chain: dict[str, nn.Module] = {}
    for number, layer in enumerate(autoencoder.encoder, start=1):
        chain[f"conv_{number}"], chain[f"relu_{number}"] = copy.deepcopy(layer), nn.LeakyReLU(NEGATIVE_SLOPE)
    return MelFeatures(chain, len(autoencoder.encoder), autoencoder.mel_config)
