"""Import of weights published by the original MelGAN repository.

Its state dicts number the layers of one long sequence: 0 a reflection pad, 1 the first convolution, then for each
upsampling ratio an activation, a transposed convolution and the residual layers, at last activation, pad, convolution.
Weights come as length `weight_g` and direction `weight_v`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from melgan.config import GeneratorConfig
from melgan.vocoder import Vocoder
from stylize_core.errors import UserError
from stylize_core.mel import MEL_PRESETS
from stylize_core.model_folder import load_weights


def import_published(state_dict: Mapping[str, Tensor], where: str) -> Vocoder:
    """Build a vocoder from a state dict of the original repository; sizes and ratios come from the weights.

    Args:
        state_dict: keys such as `model.1.weight_g` and `model.4.block.2.weight_v`.
        where: name of the source in errors.

    Raises:
        UserError: it is not such a state dict, or its front-end is not the paper's (80 bins, hop 256).
    """
    state_dict = {name.removeprefix("module."): value for name, value in state_dict.items()}
    if "model.1.weight_v" not in state_dict:
        raise UserError(f"{where} is no generator of the original MelGAN repository: no key model.1.weight_v")
    if any(value.ndim != 3 for name, value in state_dict.items() if name.endswith(".weight_v")):
        raise UserError(f"{where} is no generator of the original MelGAN repository: it has more than 1-D convolutions")
    upsamplers, residuals, last = _find_layers(state_dict)
    first = state_dict["model.1.weight_v"]
    ratios = tuple(state_dict[f"model.{index}.weight_v"].shape[2] // 2 for index in upsamplers)
    try:
        config = GeneratorConfig(
            n_mels=first.shape[1],
            width=first.shape[0],
            ratios=ratios,
            residual_layers=len(residuals) // max(len(upsamplers), 1),
        )
        vocoder = Vocoder(config, MEL_PRESETS["melgan"])
    except ValueError as error:
        raise UserError(f"{where} does not fit the paper's front-end (80 bins, hop 256): {error}") from None
    layers = {"first.conv": "model.1", "head.last.conv": f"model.{last}"}
    place = 0
    for upsampler, following in zip(upsamplers, [*upsamplers[1:], last], strict=True):
        layers[f"stages.{place}.conv"] = f"model.{upsampler}"
        place += 1
        for residual in (index for index in residuals if upsampler < index < following):
            layers[f"stages.{place}.dilated.conv"] = f"model.{residual}.block.2"
            layers[f"stages.{place}.mix.conv"] = f"model.{residual}.block.4"
            layers[f"stages.{place}.shortcut.conv"] = f"model.{residual}.shortcut"
            place += 1
    weights: dict[str, Tensor] = {}
    for ours, theirs in layers.items():
        weights[f"{ours}.weight"] = _fold(state_dict, theirs, where)
        weights[f"{ours}.bias"] = _get(state_dict, f"{theirs}.bias", where).float()
    load_weights(vocoder.generator, weights, where)
    return vocoder.eval().requires_grad_(False)


def _find_layers(state_dict: Mapping[str, Tensor]) -> tuple[list[int], list[int], int]:
    """Numbers of the transposed convolutions, of the residual layers and of the last convolution."""
    plain = sorted({int(match[1]) for name in state_dict if (match := re.fullmatch(r"model\.(\d+)\.weight_v", name))})
    residuals = sorted({int(match[1]) for name in state_dict if (match := re.match(r"model\.(\d+)\.block\.", name))})
    return plain[1:-1], residuals, plain[-1]


def _fold(state_dict: Mapping[str, Tensor], layer: str, where: str) -> Tensor:
    length = _get(state_dict, f"{layer}.weight_g", where).double()
    direction = _get(state_dict, f"{layer}.weight_v", where).double()
    if direction.ndim != 3 or length.shape != (len(direction), 1, 1):
        raise UserError(
            f"{where}: {layer} has a length of shape {tuple(length.shape)} and a direction of shape "
            f"{tuple(direction.shape)}, expected (N, 1, 1) and (N, channels, taps)"
        )
    norm: Tensor = torch.linalg.vector_norm(direction, dim=(1, 2), keepdim=True)
    return (direction * (length / norm)).float()


def _get(state_dict: Mapping[str, Tensor], name: str, where: str) -> Tensor:
    if name not in state_dict:
        raise UserError(f"{where} lacks the weight {name!r}")
    return state_dict[name]
