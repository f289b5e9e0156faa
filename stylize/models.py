"""The pair of models that work together, known from their `config.json` before any weights are loaded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylize_core.errors import UserError
from stylize_core.plain import read_json

if TYPE_CHECKING:
    import torch

    from stylize_core.mel import MelConfig

BUNDLED_TRANSLATOR = Path(__file__).parent / "models" / "translator"
BUNDLED_VOCODER = Path(__file__).parent / "models" / "vocoder"


@dataclass(frozen=True)
class ModelPair:
    """Folders of a translator and a vocoder, and the styles that the translator knows."""

    translator: Path
    vocoder: Path
    styles: tuple[str, ...]


def read_pair(translator: Path | None = None, vocoder: Path | None = None) -> ModelPair:
    """Configurations and styles of two model folders, by default the bundled ones, whose mel front-ends must agree."""
    from stylize_core.model_folder import read_model_config

    translator, vocoder = translator or BUNDLED_TRANSLATOR, vocoder or BUNDLED_VOCODER
    translator_config = read_model_config(translator, "translator")
    vocoder_config = read_model_config(vocoder, "vocoder")
    check_same_mel(_read_mel(translator_config, translator), _read_mel(vocoder_config, vocoder))
    return ModelPair(translator, vocoder, read_styles(translator_config, translator))


def read_styles(config: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """The styles that a translator's configuration names."""
    model = config["model"]
    styles = model.get("styles") if isinstance(model, dict) else None
    if not isinstance(styles, list) or not styles or not all(isinstance(style, str) for style in styles):
        raise UserError(f"{folder}/config.json names no styles; export the model again")
    return tuple(styles)


def peek_styles(folder: Path | None = None) -> tuple[str, ...]:
    """The styles of a translator, without PyTorch; none for an unusable folder, see :func:`read_pair`."""
    folder = folder or BUNDLED_TRANSLATOR
    try:
        return read_styles(read_json(folder / "config.json"), folder)
    except (OSError, ValueError, LookupError, TypeError, UserError):
        return ()


def _read_mel(config: Mapping[str, Any], folder: Path) -> MelConfig:
    from stylize_core.model_folder import read_mel_config

    try:
        return read_mel_config(config)
    except (TypeError, ValueError) as error:
        raise UserError(f"{folder}/config.json has an unusable mel configuration: {error}") from None


def check_same_mel(translator: MelConfig, vocoder: MelConfig) -> None:
    """Refuse a vocoder that understands other mels than the translator makes."""
    difference = translator.describe_difference(vocoder)
    if difference:
        raise UserError(
            f"translator and vocoder use different mel spectrograms (translator / vocoder): {difference}; "
            "choose a --model and a --vocoder made with the same mel configuration"
        )


def check_device_name(name: str) -> None:
    """Refuse what is no device, without loading PyTorch."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise UserError(f"got device {name!r}; expected auto, cpu, cuda, cuda:N or mps")


def find_device(name: str) -> torch.device:
    """The device of that name; `auto` is the first of cuda, mps and cpu that is there."""
    import torch

    check_device_name(name)
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    device = torch.device(name)
    missing = device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    if not available[device.type] or missing:
        raise UserError(f"device {name} is not available on this machine; use --device auto")
    return device


def hash_weights(folder: Path) -> str:
    """SHA-256 of the weights in a model folder, which identifies a model that was moved."""
    weights = sorted(folder.glob("*.safetensors"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in weights)).hexdigest()
