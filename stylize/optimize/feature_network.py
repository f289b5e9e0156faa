"""What all networks have in common whose layers say what a map is like: a frozen chain of named layers.

A layer is computed only if it or a deeper one is wanted. Networks in one dimension read (B, channels, positions),
networks in two (B, planes, rows, columns); see :mod:`stylize.optimize.orientation`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from data.errors import UserError


class FeatureNetwork(nn.Module):
    """A frozen chain of named layers.

    Attributes:
        reads_plain_mel: it was trained on log-mel columns as they are, so that maps that were scaled are brought back
            before it sees them.

    Args:
        chain: the layers in order.
        dimensions: 1 or 2.
        in_channels: of the input.
        content_layers: layers and weights for the content when the user names none.
        style_layers: layers and weights for the style when the user names none.

    Shape:
        x (B, in_channels, positions) or (B, in_channels, rows, columns) -> by layer (B, channels, ...), with fewer
        positions where layers up to it have strides.
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
        """What is done to the input before the first layer: nothing, unless a network says otherwise."""
        return x

    def forward(self, x: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Outputs of the wanted layers, in the network's order; computes no further than the deepest of them.

        Raises:
            UserError: an unknown layer, or a map too small for the deepest layer.
            ValueError: an input of another shape than the network reads.
        """
        self.check_layers(layers)
        if not self.reads(x):
            positions = "positions" if self.dimensions == 1 else "rows, columns"
            raise ValueError(f"expected (B, {self.in_channels}, {positions}), got {tuple(x.shape)}")
        found: dict[str, Tensor] = {}
        if not layers:
            return found
        deepest = max(layers, key=self.layer_names.index)
        least, smallest = self.least_positions(deepest), min(x.shape[2:])
        if smallest < least:
            raise UserError(
                f"layer {deepest} needs maps of {least} positions at least, got {smallest}; "
                "give longer input, or choose a layer further up"
            )
        x = self.prepare(x)
        for name in self.layer_names[: self.layer_names.index(deepest) + 1]:
            x = self.chain[name](x)
            if name in layers:
                found[name] = x
        return found

    def check_layers(self, layers: Collection[str]) -> None:
        """Refuse layers that the network does not have.

        Raises:
            UserError: the known layers are listed.
        """
        for name in layers:
            if name not in self.layer_names:
                raise UserError(f"unknown layer {name!r}; this network has: {', '.join(self.layer_names)}")

    def receptive_field(self, layer: str) -> int:
        """Positions of the input, along its last axis, on which one value of a layer depends.

        Normalisation is left out of account: its statistics are those of all positions.

        Raises:
            UserError: an unknown layer.
        """
        return self._reach(layer)[0]

    def least_positions(self, layer: str) -> int:
        """Positions of the input, along each axis, of which a layer makes one.

        Raises:
            UserError: an unknown layer.
        """
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
    least = network.least_positions(network.layer_names[-1])
    with torch.no_grad():
        outputs = network(torch.zeros(1, network.in_channels, *[least] * network.dimensions), network.layer_names)
    lines = []
    for name, output in outputs.items():
        seen = network.receptive_field(name)
        seen_text = (
            f"{seen} position{'s' if seen > 1 else ''}" if network.dimensions == 1 else f"{seen} x {seen} positions"
        )
        lines.append(f"{name}: {output.shape[1]} channels, sees {seen_text}")
    return lines
