"""What the command line says about a finished song and about a model folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import UserError
from data.limiter import describe_limiting

if TYPE_CHECKING:
    from stylize.pipeline import Result


def describe_result(result: Result) -> str:
    """Path, duration and real-time factor in one line, and a second line when clipping was prevented."""
    line = (
        f"{result.path}: {result.seconds:.1f} s of music in {result.elapsed:.1f} s, "
        f"{result.real_time_factor:.1f}x real time"
    )
    return line + describe_limiting(result.peak, result.gain)


def describe_model(folder: Path) -> str:
    """What a model folder says about itself, one line each.

    Raises:
        UserError: not a model folder, weights missing or corrupted.
    """
    from training.pretrained import WEIGHTS_NAME, read_model_config

    config = read_model_config(folder)
    parameters, size = _count_weights(folder / WEIGHTS_NAME)
    lines = [
        f"{config['kind']} in {folder}",
        f"weights: {parameters / 1e6:.2f} million values, {size / 1e6:.1f} MB",
    ]
    for section in ("mel", "model", "training"):
        lines += [f"{section}.{line}" for line in _flatten(config.get(section, {}))]
    return "\n".join(lines)


def _count_weights(path: Path) -> tuple[int, int]:
    """Number of values and bytes, from the file's header alone."""
    from data.tensor_files import read_header

    if not path.is_file():
        raise UserError(f"{path} not found; export the model again")
    try:
        return read_header(path).values, path.stat().st_size
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no safetensors file or corrupted ({error}); export it again") from None


def _flatten(values: Any, prefix: str = "") -> list[str]:
    """`{"a": {"b": 1}}` as lines such as `a.b: 1`."""
    if not isinstance(values, dict):
        return [f"{prefix}: {values if isinstance(values, str) else json.dumps(values)}"]
    lines = []
    for name, value in values.items():
        lines += _flatten(value, f"{prefix}.{name}" if prefix else str(name))
    return lines
