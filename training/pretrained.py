"""Model folders for inference: `config.json` that describes the model whole, and `weights.safetensors`.

A model is rebuilt from its folder alone. Weights are stored in half precision and loaded in single precision; a
pickle is never opened.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from data.errors import UserError
from data.mel import MelConfig

FORMAT_VERSION = 1
CONFIG_NAME = "config.json"
WEIGHTS_NAME = "weights.safetensors"


def save_pretrained(
    folder: str | Path, kind: str, config: Mapping[str, Any], state_dict: Mapping[str, Tensor], half: bool = True
) -> None:
    """Write a model folder; an existing one is replaced only once the new one is complete.

    Args:
        folder: where to; its parent must exist or can be made.
        kind: `vocoder`, `translator`, `classifier`, `autoencoder` or `random-network`.
        config: keys `mel`, `model` and `training`, plain JSON values.
        state_dict: the weights.
        half: store floating point weights as float16.

    Raises:
        UserError: the folder cannot be written or the disk is full; an existing model is untouched.
    """
    folder = Path(folder)
    tensors = {}
    for name, value in state_dict.items():
        stored = value.detach().cpu()
        if half and stored.is_floating_point():
            stored = stored.half()
        tensors[name] = stored.clone().contiguous()
    document = {"format_version": FORMAT_VERSION, "kind": kind, **config}
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        os.chmod(temporary, 0o755)
        (temporary / CONFIG_NAME).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        save_file(tensors, temporary / WEIGHTS_NAME)
        os.chmod(temporary / WEIGHTS_NAME, 0o644)
        folder.mkdir(exist_ok=True)
        # Weights first: a folder is read through its config, which is replaced last.
        for name in (WEIGHTS_NAME, CONFIG_NAME):
            os.replace(temporary / name, folder / name)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write the model folder {folder} ({error})") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def read_model_config(folder: str | Path, kind: str | None = None) -> dict[str, Any]:
    """Read and check the `config.json` of a model folder without touching its weights.

    Args:
        folder: the model folder.
        kind: the kind that is needed, or None for any.

    Raises:
        UserError: no such folder, not a model folder, unknown format version, another kind.
    """
    folder = Path(folder)
    if not folder.exists():
        raise UserError(f"model folder not found: {folder}")
    if folder.is_file():
        raise UserError(
            f"{folder} is a file; a model is a folder with {CONFIG_NAME} and {WEIGHTS_NAME} "
            "(published MelGAN weights are converted by `python -m scripts.import_melgan`)"
        )
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise UserError(f"{folder} is not a model folder: it has no {CONFIG_NAME}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); export the model again") from None
    described = isinstance(config, dict) and {"kind", "mel", "model"} <= set(config)
    if not described or not isinstance(config["mel"], dict) or not isinstance(config["model"], dict):
        raise UserError(f"{path} does not describe a model of this project (keys kind, mel and model expected)")
    if config.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {config.get('format_version')}, this program reads {FORMAT_VERSION}"
        )
    if kind is not None and config["kind"] != kind:
        raise UserError(f"{folder} holds {_with_article(str(config['kind']))}, {_with_article(kind)} is needed")
    return config


def load_pretrained(folder: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a model folder.

    Returns:
        the configuration and the weights, floating point ones as float32.

    Raises:
        UserError: as :func:`read_model_config`, and for weights that are missing, corrupted or a pickle.
    """
    config = read_model_config(folder, kind)
    path = Path(folder) / WEIGHTS_NAME
    if not path.is_file():
        raise UserError(f"{folder} has no {WEIGHTS_NAME}; export the model again")
    with path.open("rb") as stream:
        head = stream.read(9)
    # A safetensors file opens with the length of its JSON header, which may happen to look like a pickle's first bytes.
    pickled = head[:4] == b"PK\x03\x04" or (head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"))
    if pickled and head[8:] != b"{":
        raise UserError(f"{path} is a pickle, not a safetensors file; pickles are never opened: export the model again")
    try:
        tensors = load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is corrupted ({error}); fetch or export the model again") from None
    return config, {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


def load_weights(module: nn.Module, state_dict: Mapping[str, Tensor], folder: str | Path) -> None:
    """Load weights into a module, all keys and shapes agreeing, or say in one line what does not.

    Raises:
        UserError: missing, unexpected or misshapen weights, or values that are not finite.
    """
    own = module.state_dict()
    missing, unexpected = sorted(set(own) - set(state_dict)), sorted(set(state_dict) - set(own))
    misshapen = [name for name in own if name in state_dict and own[name].shape != state_dict[name].shape]
    if missing or unexpected or misshapen:
        raise UserError(
            f"the weights in {folder} do not fit its {CONFIG_NAME}: {len(missing)} missing, {len(unexpected)} "
            f"unexpected, {len(misshapen)} of another shape (first: {(missing + unexpected + misshapen)[0]})"
        )
    if any(value.is_floating_point() and not torch.isfinite(value).all() for value in state_dict.values()):
        raise UserError(f"the weights in {folder} hold NaN or infinite values; fetch or export the model again")
    module.load_state_dict(dict(state_dict), strict=True)


def load_start(module: nn.Module, folder: str | Path, kind: str, mel_config: MelConfig) -> None:
    """Put the weights of a model folder into a module that is to be fine-tuned.

    Raises:
        UserError: as :func:`load_pretrained` and :func:`load_weights`, and for a model of another mel front-end.
    """
    config, weights = load_pretrained(folder, kind)
    if difference := mel_config.describe_difference(read_mel_config(config)):
        raise UserError(f"the model to start from, {folder}, has another mel front-end (wanted / its: {difference})")
    load_weights(module, weights, folder)


def read_training_record(folder: str | Path) -> dict[str, Any]:
    """What a model folder records of its training: step, minutes, measures and configuration; `start` is the same of
    the model that it started from. Empty where nothing is recorded.

    Raises:
        UserError: as :func:`read_model_config`.
    """
    record: dict[str, Any] = read_model_config(folder).get("training") or {}
    return record


def read_mel_config(config: Mapping[str, Any]) -> MelConfig:
    """The front-end that a model folder's configuration names."""
    return MelConfig.from_dict(config["mel"])


def _with_article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"
