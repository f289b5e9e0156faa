"""Model folders: `config.json`, which describes a model completely, and `weights.safetensors` in half precision.

Weights load in single precision; a pickle is never opened.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from stylize_core.atomic import atomic_write, disk_errors
from stylize_core.errors import UserError
from stylize_core.mel import MelConfig
from stylize_core.plain import one_line, read_json, show
from stylize_core.tensor_files import TensorFile, read_header

FORMAT_VERSION = 1
CONFIG_NAME = "config.json"
WEIGHTS_NAME = "weights.safetensors"
KINDS = ("vocoder", "translator", "classifier", "autoencoder", "random-network")  # of models
MAX_VALUES = 100_000_000  # in a weights file; the largest networks of the project have a twentieth
SPARE_VALUES = 1 << 20
"""A module may be made that is larger than its weights by so many, and twice as large, to say what does not fit."""

M = TypeVar("M", bound=nn.Module)


def save_pretrained(
    folder: str | Path, kind: str, config: Mapping[str, Any], state_dict: Mapping[str, Tensor], half: bool = True
) -> None:
    """Write a model folder; an existing one is replaced only once the new one is complete.

    Args:
        folder: its parents are created.
        kind: one of :data:`KINDS`.
        config: keys `mel`, `model` and `training`, plain JSON values.
        state_dict: the weights.
        half: store floating point weights as float16.

    Raises:
        UserError: the folder cannot be written; an existing model is untouched.
    """
    folder = Path(folder)
    tensors = {}
    for name, value in state_dict.items():
        stored = value.detach().cpu()
        if half and stored.is_floating_point():
            stored = stored.half()
        tensors[name] = stored.clone().contiguous()
    document = {"format_version": FORMAT_VERSION, "kind": kind, **config}
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    # The configuration, through which a folder is read, is replaced last.
    with atomic_write(folder / CONFIG_NAME) as configuration, atomic_write(folder / WEIGHTS_NAME) as weights:
        configuration.write((json.dumps(document, indent=2) + "\n").encode("utf-8"))
        weights.write(save(tensors))


def read_model_config(folder: str | Path, kind: str | None = None) -> dict[str, Any]:
    """Read and check the `config.json` of a model folder without its weights.

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
        config = read_json(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({one_line(error)}); export the model again") from None
    described = isinstance(config, dict) and {"kind", "mel", "model"} <= set(config) and config["kind"] in KINDS
    if not described or not isinstance(config["mel"], dict) or not isinstance(config["model"], dict):
        raise UserError(f"{path} does not describe a model of this project (keys kind, mel and model expected)")
    if config.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {show(config.get('format_version'))}, this program reads {FORMAT_VERSION}"
        )
    if kind is not None and config["kind"] != kind:
        raise UserError(f"{folder} holds {_with_article(config['kind'])}, {_with_article(kind)} is needed")
    return dict(config)


def load_module(folder: str | Path, kind: str, make: Callable[[dict[str, Any]], M], part: str = "") -> M:
    """Build the module that a model folder describes, in evaluation mode, with its weights.

    The header of the weights' file bounds what may be made, and is compared with it before the weights are read.

    Args:
        folder: the model folder.
        kind: the kind that is needed.
        make: the module of a configuration; a `ValueError` says what is wrong with it.
        part: the submodule that the weights are of; the module itself by default.

    Raises:
        UserError: as :func:`read_model_config`; a configuration that describes no module; weights that are missing,
            corrupted, a pickle, not of this module, or not finite.
    """
    config = read_model_config(folder, kind)
    most = 2 * _read_weights_header(folder).values + SPARE_VALUES
    try:
        with _Bounded(most):
            module = make(config)
    except (UserError, ValueError) as error:
        raise UserError(f"{folder}/{CONFIG_NAME}: {one_line(error)}") from None
    target = module.get_submodule(part)
    target.load_state_dict(read_weights(folder, target.state_dict()), assign=True)
    return module.eval()


class _Bounded(TorchFunctionMode):
    """Limits the values that layers may allocate, and skips their initialization."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Stand in for a function of PyTorch."""
        kwargs = kwargs or {}
        if func in (torch.empty, torch.randn):
            self.left -= math.prod(args[0] if isinstance(args[0], tuple | list) else args)
            if self.left < 0:
                raise ValueError(f"it describes a network of many more weights than {WEIGHTS_NAME} has")
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _read_weights_header(folder: str | Path) -> TensorFile:
    path = Path(folder) / WEIGHTS_NAME
    if not path.is_file():
        raise UserError(f"{folder} has no {WEIGHTS_NAME}; export the model again")
    try:
        with path.open("rb") as stream:
            head = stream.read(9)
        # A safetensors file opens with the length of its JSON header, which may look like a pickle's first bytes.
        pickled = head[:4] == b"PK\x03\x04" or (head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"))
        if pickled and head[8:] != b"{":
            raise UserError(
                f"{path} is a pickle, not a safetensors file; pickles are never opened: export the model again"
            )
        header = read_header(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is corrupted ({one_line(error)}); fetch or export the model again") from None
    if header.values > MAX_VALUES:
        raise UserError(f"{path} has {header.values} values, expected at most {MAX_VALUES}")
    return header


def read_weights(folder: str | Path, own: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The weights of a folder by name, floating point ones as float32; errors as :func:`load_module`.

    Args:
        folder: the model folder.
        own: weights of a module, whose names, shapes and types they must have.
    """
    path, header = Path(folder) / WEIGHTS_NAME, _read_weights_header(folder)
    if own is not None:
        _check_names_and_shapes(own, header.shapes, folder)
        for name, value in own.items():
            if header.dtypes[name] not in (expected := _stored_as(value)):
                raise UserError(
                    f"{name} in {path} is of type {header.dtypes[name]}, expected {' or '.join(expected)}; "
                    "export the model again"
                )
    try:
        stored = load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is corrupted ({one_line(error)}); fetch or export the model again") from None
    # Copied, since the file is mapped into memory and may be replaced.
    weights = {
        name: value.to(torch.float32 if value.is_floating_point() else value.dtype, copy=True)
        for name, value in stored.items()
    }
    _check_finite(weights, folder)
    return weights


def _stored_as(value: Tensor) -> tuple[str, ...]:
    """Types of a safetensors file that a tensor can be read from."""
    return ("F16", "BF16", "F32", "F64") if value.is_floating_point() else (f"I{8 * value.element_size()}",)


def load_weights(module: nn.Module, state_dict: Mapping[str, Tensor], folder: str | Path) -> None:
    """Load weights into a module, all names and shapes agreeing; a UserError names what does not, or is not finite."""
    shapes = {name: tuple(value.shape) for name, value in state_dict.items()}
    _check_names_and_shapes(module.state_dict(), shapes, folder)
    _check_finite(state_dict, folder)
    module.load_state_dict(dict(state_dict), strict=True)


def _check_names_and_shapes(
    own: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], folder: str | Path
) -> None:
    missing, unexpected = sorted(set(own) - set(shapes)), sorted(set(shapes) - set(own))
    misshapen = [name for name in own if name in shapes and tuple(own[name].shape) != shapes[name]]
    if wrong := missing + unexpected + misshapen:
        raise UserError(
            f"the weights in {folder} do not fit its {CONFIG_NAME}: {len(missing)} missing, {len(unexpected)} "
            f"unexpected, {len(misshapen)} of another shape (first: {show(wrong[0])[1:-1]})"
        )


def _check_finite(weights: Mapping[str, Tensor], folder: str | Path) -> None:
    """Refuse weights that are not finite, by a sum of squares, which also refuses nearly infinite ones."""
    floating = [value for value in weights.values() if value.is_floating_point()]
    variances = [value for name, value in weights.items() if name.endswith("running_var")]
    if not torch.isfinite(torch.nn.utils.get_total_norm(floating)) or any((value < 0).any() for value in variances):
        raise UserError(
            f"the weights in {folder} hold NaN or infinite values, or negative variances; fetch or export the model "
            "again"
        )


def load_init(module: nn.Module, folder: str | Path, kind: str, mel_config: MelConfig) -> None:
    """Put the weights of a model folder into a module that is to be fine-tuned.

    Raises:
        UserError: as :func:`load_module`, and for a model of another mel front-end.
    """
    config = read_model_config(folder, kind)
    if difference := mel_config.describe_difference(read_mel_config(config)):
        raise UserError(f"the model to fine-tune, {folder}, has another mel front-end (wanted / its: {difference})")
    module.load_state_dict(read_weights(folder, module.state_dict()))


def read_training_record(folder: str | Path) -> dict[str, Any]:
    """What a model folder records of its training; `init` is the same of the model that it started from."""
    record = read_model_config(folder).get("training")
    return record if isinstance(record, dict) else {}


def read_mel_config(config: Mapping[str, Any]) -> MelConfig:
    """The front-end that a model folder's configuration names."""
    return MelConfig.from_dict(config["mel"])


def _with_article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"
