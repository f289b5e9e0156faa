"""VGG-19's convolutions with weights from a file that the user has; nothing is ever downloaded."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from stylize.optimize.networks import FeatureNetwork
from stylize_core.errors import UserError

HUB_FILE = "vgg19-dcbb9e9d.pth"
"""What torchvision calls its ImageNet weights in the cache of torch hub."""

STAGES = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)
"""Channels of the convolutions before each pooling."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""By which pictures in [0, 1] are standardized, red, green, blue."""

ADVICE = "give torchvision's weights with --weights FILE; --network random works without weights"


class VGG19Features(FeatureNetwork):
    """The convolutional part of VGG-19 (arXiv 1409.1556, table 1, column E): conv1_1, relu1_1, ..., pool5.

    The default layers are those of Gatys et al. (arXiv 1508.06576): conv4_2 for the content, the first of every stage
    for the style.

    Args:
        state_dict: named as in torchvision, `features.0.weight` to `features.34.bias`, with or without the prefix.
        where: its name in error messages.

    Shape:
        x (B, 3, rows, columns) or (B, 1, rows, columns), in [0, 1] -> features by layer. One plane is repeated.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, state_dict: Mapping[str, Tensor], where: str = "the state dict") -> None:
        weights = _find_weights(state_dict, where)
        chain: dict[str, nn.Module] = {}
        inputs, index = 3, 0
        for stage, widths in enumerate(STAGES, start=1):
            for place, width in enumerate(widths, start=1):
                shapes = {"weight": (width, inputs, 3, 3), "bias": (width,)}
                values = {name: _take(weights, f"{index}.{name}", shape, where) for name, shape in shapes.items()}
                convolution = nn.Conv2d(inputs, width, 3, padding=1, device="meta").to_empty(device="cpu")
                convolution.load_state_dict(values)
                chain[f"conv{stage}_{place}"] = convolution
                chain[f"relu{stage}_{place}"] = nn.ReLU()
                inputs, index = width, index + 2
            chain[f"pool{stage}"] = nn.MaxPool2d(2)
            index += 1
        super().__init__(
            chain,
            dimensions=2,
            in_channels=3,
            content_layers={"conv4_2": 1.0},
            style_layers={f"relu{stage}_1": 1.0 for stage in range(1, len(STAGES) + 1)},
        )
        for name, values_by_color in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values_by_color)[:, None, None], persistent=False)

    def reads(self, x: Tensor) -> bool:
        """Pictures of three planes or one."""
        return x.ndim == 4 and x.shape[1] in (1, 3)

    def prepare(self, x: Tensor) -> Tensor:
        """Three planes, standardized as in the training."""
        return (x - self.mean) / self.std  # one plane is repeated by broadcasting


def load_vgg19(weights: Path | None = None) -> VGG19Features:
    """Read a weight file: a state dict, `.safetensors` or written by `torch.save` (tensors only: no code in it is run).

    By default it is torchvision's file in the cache of torch hub.
    """
    if weights is None:
        weights = Path(torch.hub.get_dir()) / "checkpoints" / HUB_FILE
        if not weights.is_file():
            raise UserError(f"vgg19 needs weights: there is no {HUB_FILE} in {weights.parent}; {ADVICE}")
    elif not weights.is_file():
        raise UserError(f"weight file not found: {weights}; {ADVICE}")
    return VGG19Features(_read_state_dict(weights), str(weights))


def _read_state_dict(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path, device="cpu")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other versions; what cannot be read is said below
            state_dict = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise UserError(f"{path} is no safetensors file or corrupted ({error}); {ADVICE}") from None
    except Exception as error:  # whatever the restricted reader stumbles over in a file that can hold anything
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(f"{path} is not a plain state dict of tensors ({reason}); {ADVICE}") from None
    if not isinstance(state_dict, dict) or not all(isinstance(name, str) for name in state_dict):
        raise UserError(f"{path} is not a plain state dict of tensors; {ADVICE}")
    return state_dict


def _find_weights(state_dict: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Weights of the convolutions as `0.weight`, without the prefixes that they are saved with."""
    found = {}
    for name, value in state_dict.items():
        if match := re.fullmatch(r"(?:module\.)?(?:features\.)?(\d+\.(?:weight|bias))", name):
            found[match[1]] = value
    if not found:
        first = next(iter(state_dict), "none")
        raise UserError(f"{where} holds no VGG-19: expected keys such as features.0.weight, got {first}; {ADVICE}")
    return found


def _take(weights: Mapping[str, Tensor], name: str, shape: tuple[int, ...], where: str) -> Tensor:
    """One weight in single precision, checked."""
    value = weights.get(name)
    if not isinstance(value, Tensor):
        raise UserError(f"{where} holds no VGG-19: features.{name} is missing; {ADVICE}")
    if tuple(value.shape) != shape:
        got = tuple(value.shape)
        raise UserError(f"{where} holds no VGG-19: features.{name} has shape {got}, expected {shape}; {ADVICE}")
    value = value.float()
    if not torch.isfinite(value).all():
        raise UserError(f"{where}: features.{name} holds NaN or infinite values; {ADVICE}")
    return value
