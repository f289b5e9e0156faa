"""Networks for features of spectrograms and pictures, random or trained on mel columns, and the layout of their input.

With frequency bins as channels a network looks along time (Ulyanov and Lebedev, 2016); with frames as channels it looks
along frequency; in two dimensions it sees a picture.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn

from stylize.optimize.options import LAYOUTS
from stylize.options import check_choice
from stylize_core.config import build, to_plain
from stylize_core.errors import UserError
from stylize_core.layers import reflect_pad, scale_mel
from stylize_core.mel import MelConfig
from stylize_core.model_folder import load_module, save_pretrained
from stylize_core.plain import check_range
from travelgan import Siamese

RANDOM_KIND = "random-network"
MAX_WEIGHTS = 1 << 28
"""Of a random network: a gigabyte."""


Shape = tuple[int, int, int]
"""(planes, rows, columns) of a spectrogram or picture"""

Layout = Callable[[Tensor], Tensor]
"""(planes, rows, columns) -> network input (1, channels, positions, ...)"""

PATTERNS = {
    "frequency": "planes rows columns -> 1 (planes rows) columns",
    "time": "planes rows columns -> 1 (planes columns) rows",
    "2d": "planes rows columns -> 1 planes rows columns",
}


def network_shape(layout: str, shape: Shape) -> tuple[int, int]:
    """Dimensions (1 or 2) and input channels of a network that reads spectrograms or pictures of this shape."""
    check_choice("layout", layout, LAYOUTS)
    planes, rows, columns = shape
    if layout == "2d":
        return 2, planes
    return 1, planes * (rows if layout == "frequency" else columns)


def make_layout(layout: str, shape: Shape) -> Layout:
    """The function that makes a batch of one for a network; gradients pass through it.

    `layout` is a key of :data:`PATTERNS`. The columns of the input `shape` count for `time` alone, where a style must
    have as many as the content (:func:`fit_columns`).
    """
    check_choice("layout", layout, LAYOUTS)
    wanted = shape if layout == "time" else shape[:2]

    def arrange(x: Tensor) -> Tensor:
        if x.ndim != 3 or tuple(x.shape[: len(wanted)]) != wanted:
            raise ValueError(f"expected the shape {shape} for the layout {layout}, got {tuple(x.shape)}")
        return rearrange(x, PATTERNS[layout])

    return arrange


def fit_columns(style: Tensor, columns: int) -> Tensor:
    """A style, (planes, rows, any), cut to a number of columns, or continued to it by reflection to and fro."""
    if style.ndim != 3 or style.shape[2] < 1 or columns < 1:
        raise ValueError(f"got the shape {tuple(style.shape)} to fit {columns} columns, expected columns")
    missing = columns - style.shape[2]
    return style[..., :columns] if missing <= 0 else reflect_pad(style, 0, missing)


class FeatureNetwork(nn.Module):
    """A frozen chain of named layers; one is computed only if it or a deeper one is requested.

    Attributes:
        reads_plain_mel: trained on unscaled log-mel columns, so that scaling is undone for its input.

    Args:
        chain: the layers in order.
        dimensions: 1 or 2.
        in_channels: of the input.
        content_layers: default layers and weights for the content.
        style_layers: default layers and weights for the style.

    Shape:
        x (B, in_channels, positions) or (B, in_channels, rows, columns) -> by layer (B, channels, ...).
    """

    reads_plain_mel = False

    def __init__(
        self,
        chain: Mapping[str, nn.Module],
        *,
        dimensions: int,
        in_channels: int,
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
    ) -> None:
        super().__init__()
        self.dimensions, self.in_channels = dimensions, in_channels
        self.layer_names: tuple[str, ...] = tuple(chain)
        self.default_content_layers = dict(content_layers)
        self.default_style_layers = dict(style_layers)
        self.chain = nn.ModuleDict(chain)
        self.eval().requires_grad_(False)

    def reads(self, x: Tensor) -> bool:
        """Whether a batch has the shape that the network reads."""
        return x.ndim == self.dimensions + 2 and x.shape[1] == self.in_channels

    def prepare(self, x: Tensor) -> Tensor:
        """Preprocess the input; the identity unless overridden."""
        return x

    def forward(self, x: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Outputs of the given layers, in the network's order; computes no further than the deepest of them."""
        self.check_layers(layers)
        if not self.reads(x):
            positions = "positions" if self.dimensions == 1 else "rows, columns"
            raise ValueError(f"expected (B, {self.in_channels}, {positions}), got {tuple(x.shape)}")
        found: dict[str, Tensor] = {}
        if not layers:
            return found
        deepest = max(layers, key=self.layer_names.index)
        needed, smallest = self.min_positions(deepest), min(x.shape[2:])
        if smallest < needed:
            raise UserError(
                f"layer {deepest} needs {needed} positions at least, got {smallest}; "
                "give longer input, or choose a layer further up"
            )
        x = self.prepare(x)
        for name in self.layer_names[: self.layer_names.index(deepest) + 1]:
            x = self.chain[name](x)
            if name in layers:
                found[name] = x
        return found

    def check_layers(self, layers: Collection[str]) -> None:
        """Refuse layers that the network does not have."""
        for name in layers:
            if name not in self.layer_names:
                raise UserError(f"unknown layer {name!r}; this network has: {', '.join(self.layer_names)}")

    def receptive_field(self, layer: str) -> int:
        """Positions of the input, along its last axis, on which one value of a layer depends, normalization apart."""
        return self._reach(layer)[0]

    def min_positions(self, layer: str) -> int:
        """Positions of the input, along each axis, of which a layer makes one."""
        return self._reach(layer)[1]

    def _reach(self, layer: str) -> tuple[int, int]:
        """Positions seen by one value of a layer, and positions from one value to the next."""
        self.check_layers([layer])
        seen, step = 1, 1
        for name in self.layer_names[: self.layer_names.index(layer) + 1]:
            extent, stride = _extent_and_stride(self.chain[name])
            seen, step = seen + (extent - 1) * step, step * stride
        return seen, step


def _extent_and_stride(module: nn.Module) -> tuple[int, int]:
    """Positions, along the last axis, that one output of a layer sees, and its stride; 1 and 1 for any other layer."""
    if isinstance(extent := getattr(module, "extent", None), int):
        return extent, 1
    if isinstance(inner := getattr(module, "convolution", None), nn.Module):  # a convolution with its padding
        return _extent_and_stride(inner)
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return (module.kernel_size[-1] - 1) * module.dilation[-1] + 1, module.stride[-1]
    if isinstance(module, nn.MaxPool1d | nn.MaxPool2d) and isinstance(module.kernel_size, int):
        return module.kernel_size, module.kernel_size
    return 1, 1


def describe_layers(network: FeatureNetwork) -> list[str]:
    """One line for each layer, in order: its name, channels and receptive field."""
    smallest = [network.min_positions(network.layer_names[-1])] * network.dimensions
    with torch.no_grad():
        outputs = network(torch.zeros(1, network.in_channels, *smallest), network.layer_names)
    lines = []
    for name, output in outputs.items():
        seen = network.receptive_field(name)
        positions = f"{seen} x {seen} positions"
        if network.dimensions == 1:
            positions = f"{seen} position{'s' if seen > 1 else ''}"
        lines.append(f"{name}: {output.shape[1]} channels, sees {positions}")
    return lines


@dataclass(frozen=True)
class RandomNetworkConfig:
    """A network of random filters.

    Args:
        dimensions: 1 or 2.
        in_channels: of the input.
        layers: blocks of convolution, normalization, ReLU and pooling.
        width: channels of every layer; None for 2048 in one dimension and 64 in two.
        kernel: positions that a filter sees along each axis; None for 11 in one dimension and 5 in two.
        pool: positions of which max pooling keeps one; 1 for none.
        batchnorm: normalize each channel over positions.
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
        if (values := inputs * self.filters * self.extent**self.dimensions) > MAX_WEIGHTS:
            raise ValueError(f"a random network has at most {MAX_WEIGHTS / 1e6:.0f} million weights, got {values:.3g}")
        check_range(0, 2**63 - 1, **{"seed of a random network": self.seed})

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
        std = (2 / (inputs * kernel**dimensions)) ** 0.5
        self.weight = nn.Parameter(torch.randn(shape, generator=generator) * std, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Reflect, then convolve."""
        left, right = (self.weight.shape[-1] - 1) // 2, self.weight.shape[-1] // 2
        if self.weight.ndim == 3:
            return nn.functional.conv1d(reflect_pad(x, left, right), self.weight)
        batch = len(x)
        wide = reflect_pad(rearrange(x, "b c rows columns -> (b c) rows columns"), left, right)
        high = reflect_pad(rearrange(wide, "bc rows columns -> bc columns rows"), left, right)
        return nn.functional.conv2d(rearrange(high, "(b c) columns rows -> b c rows columns", b=batch), self.weight)


class PositionNorm(nn.Module):
    """Each channel to mean 0 and variance 1 over its positions; nothing is stored.

    For a batch of one it is batch normalization in training (arXiv 1502.03167, algorithm 1) without scale and shift.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize; a channel without variance becomes 0."""
        positions = tuple(range(2, x.ndim))
        variance, mean = torch.var_mean(x, dim=positions, correction=0, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + 1e-5)


class RandomNetwork(FeatureNetwork):
    """Blocks of conv_i, batchnorm_i (optional), relu_i, pool_i (optional) with random weights.

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

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a model folder."""
        config = {"mel": {}, "model": to_plain(self.config), "training": {}}
        save_pretrained(folder, RANDOM_KIND, config, self.state_dict(), half=False)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> RandomNetwork:
        """Load a model folder; UserError where it is missing, corrupted, or holds another kind of model."""
        return load_module(
            folder, RANDOM_KIND, lambda config: cls(build(RandomNetworkConfig, config["model"], "model"))
        )


class MelFeatures(FeatureNetwork):
    """A network trained by this project on mel columns, with `blocks` convolutions.

    Shape:
        x (B, n_mels, T), log10 mel above the front-end's floor, so 0 is silence -> features by layer.
    """

    reads_plain_mel = True

    def __init__(self, chain: Mapping[str, nn.Module], blocks: int, mel_config: MelConfig) -> None:
        super().__init__(
            chain,
            dimensions=1,
            in_channels=mel_config.n_mels,
            content_layers={f"relu_{min(2, blocks)}": 1.0},
            style_layers={f"relu_{block}": 1.0 for block in range(1, blocks + 1)},
        )
        self.mel_config = mel_config

    def prepare(self, x: Tensor) -> Tensor:
        """Put the floor back and scale as in the training."""
        return scale_mel(x + self.mel_config.log_floor)


def siamese_features(siamese: Siamese, mel_config: MelConfig) -> MelFeatures:
    """A copy of the trunk of a translator's siamese network: conv_1, relu_1, conv_2, norm_2, relu_2, ..."""
    chain: dict[str, nn.Module] = {}
    trunk = iter(copy.deepcopy(siamese.trunk))
    blocks = len(siamese.config.widths)
    for block in range(1, blocks + 1):
        for kind in ("conv", "relu") if block == 1 else ("conv", "norm", "relu"):
            chain[f"{kind}_{block}"] = next(trunk)
    return MelFeatures(chain, blocks, mel_config)
