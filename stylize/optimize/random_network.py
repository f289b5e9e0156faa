"""Networks of random filters, which know nothing and still say what a texture is like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from data.layers import reflect_pad
from data.plain import check_range
from stylize.optimize.feature_network import FeatureNetwork
from training.config import build, to_plain
from training.pretrained import load_module, save_pretrained

KIND = "random-network"
MOST_WEIGHTS = 1 << 28
"""A gigabyte of them."""


@dataclass(frozen=True)
class RandomNetworkConfig:
    """A network of random filters.

    Args:
        dimensions: 1 or 2.
        in_channels: of the input.
        layers: blocks of convolution, normalisation, ReLU and pooling.
        width: channels of every layer; None for 2048 in one dimension and 64 in two.
        kernel: positions that a filter sees along each axis; None for 11 in one dimension and 5 in two.
        pool: positions of which max pooling keeps one; 1 for none.
        batchnorm: normalise each channel over positions.
        seed: of the weights, at least 0.
    """

    dimensions: int = 1
    in_channels: int = 1
    layers: int = 1
    width: int | None = None
    kernel: int | None = None
    pool: int = 1
    batchnorm: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dimensions not in (1, 2):
            raise ValueError(f"a random network has 1 or 2 dimensions, got {self.dimensions}")
        for name in ("in_channels", "layers", "width", "kernel", "pool"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} of a random network must be positive, got {value}")
        check_range(1, 64, **{"layers of a random network": self.layers})
        inputs = self.in_channels + (self.layers - 1) * self.filters
        if (values := inputs * self.filters * self.extent**self.dimensions) > MOST_WEIGHTS:
            raise ValueError(f"a random network has at most {MOST_WEIGHTS / 1e6:.0f} million weights, got {values:.3g}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed of a random network must be from 0 to 2^63 - 1, got {self.seed}")

    @property
    def filters(self) -> int:
        """Channels of every layer."""
        return self.width or (2048 if self.dimensions == 1 else 64)

    @property
    def extent(self) -> int:
        """Positions that a filter sees along each axis."""
        return self.kernel or (11 if self.dimensions == 1 else 5)


class RandomConvolution(nn.Module):
    """A convolution with random weights, without bias, of a signal continued by reflection.

    Weights are normal with variance 2 / (inputs of a filter), which keeps the size of signals through ReLUs
    (arXiv 1502.01852, section 2.2). They are drawn from a generator of their own: the global one is not touched.

    Shape:
        (B, inputs, *positions) -> (B, outputs, *positions).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, dimensions: int, generator: torch.Generator) -> None:
        super().__init__()
        self.extent = kernel
        shape = (outputs, inputs, *[kernel] * dimensions)
        deviation = (2 / (inputs * kernel**dimensions)) ** 0.5
        self.weight = nn.Parameter(torch.randn(shape, generator=generator) * deviation, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Reflect, then convolve."""
        left, right = (self.weight.shape[-1] - 1) // 2, self.weight.shape[-1] // 2
        if self.weight.ndim == 3:
            return nn.functional.conv1d(reflect_pad(x, left, right), self.weight)
        rows = reflect_pad(x.flatten(0, 2), left, right).unflatten(0, x.shape[:3])
        columns = reflect_pad(rows.transpose(2, 3).flatten(0, 2), left, right)
        return nn.functional.conv2d(columns.unflatten(0, (*x.shape[:2], -1)).transpose(2, 3), self.weight)


class PositionNorm(nn.Module):
    """Each channel to mean 0 and variance 1 over its positions; nothing is stored.

    For a batch of one it is batch normalisation in training (arXiv 1502.03167, algorithm 1) without scale and shift.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; a channel without variance becomes 0."""
        positions = tuple(range(2, x.ndim))
        variance, mean = torch.var_mean(x, dim=positions, correction=0, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + 1e-5)


class RandomNetwork(FeatureNetwork):
    """Blocks of conv_i, batchnorm_i (if wanted), relu_i, pool_i (if wanted) with random weights.

    One wide layer without any training is enough for textures of sound (Ulyanov and Lebedev, 2016).
    """

    def __init__(self, config: RandomNetworkConfig) -> None:
        generator = torch.Generator().manual_seed(config.seed)
        chain: dict[str, nn.Module] = {}
        inputs = config.in_channels
        for block in range(1, config.layers + 1):
            chain[f"conv_{block}"] = RandomConvolution(
                inputs, config.filters, config.extent, config.dimensions, generator
            )
            if config.batchnorm:
                chain[f"batchnorm_{block}"] = PositionNorm()
            chain[f"relu_{block}"] = nn.ReLU()
            if config.pool > 1:
                chain[f"pool_{block}"] = (nn.MaxPool1d if config.dimensions == 1 else nn.MaxPool2d)(config.pool)
            inputs = config.filters
        super().__init__(
            chain,
            dimensions=config.dimensions,
            in_channels=config.in_channels,
            content_layers={f"relu_{config.layers}": 1.0},
            style_layers={f"relu_{block}": 1.0 for block in range(1, config.layers + 1)},
        )
        self.config = config

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> RandomNetwork:
        """Load a model folder.

        Raises:
            UserError: the folder is missing, corrupted, or holds another kind of model.
        """
        return load_module(folder, KIND, lambda config: cls(build(RandomNetworkConfig, config["model"], "model")))


def save_network(network: FeatureNetwork, folder: str | Path) -> None:
    """Write a random network as a model folder, for :func:`load_network`.

    Raises:
        UserError: the folder cannot be written.
        ValueError: another network; those come from folders of their own.
    """
    if not isinstance(network, RandomNetwork):
        raise ValueError(f"a random network can be saved, got {type(network).__name__}")
    config = {"mel": {}, "model": to_plain(network.config), "training": {}}
    save_pretrained(folder, KIND, config, network.state_dict(), half=False)
