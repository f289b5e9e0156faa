"""What the command line says about a finished song and about a model folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import UserError
from data.loudness import describe_limiting

if TYPE_CHECKING:
    from stylize.pipeline import Result

LEAST_SHARE = 0.05
"""Styles with a smaller weight are not named."""
LEAST_CHANGE_DB = 2.0
"""A smaller change of the mel spectrogram is pointed out: the vocoder alone makes about 1.3 dB."""
LEAST_CERTAINTY = 0.6
"""Of the style that a reference is taken for; it is pointed out when none has so much."""


def describe_result(result: Result) -> str:
    """Path, duration, real-time factor, style and change in one line, and a line for each thing worth a note."""
    line = (
        f"{result.path}: {result.seconds:.1f} s of music in {result.elapsed:.1f} s, "
        f"{result.real_time_factor:.1f}x real time; {describe_styles(result.styles)}, "
        f"mel changed by {result.change_db:.1f} dB"
    )
    return "\n".join([line, *(f"note: {note}" for note in describe_notes(result))])


def describe_styles(weights: Mapping[str, float]) -> str:
    """The styles that matter, as `metal`, or `70 % jazz, 30 % metal`."""
    named = sorted(((weight, name) for name, weight in weights.items() if weight >= LEAST_SHARE), reverse=True)
    if len(named) == 1 and named[0][0] > 1 - LEAST_SHARE:
        return named[0][1]
    return ", ".join(f"{100 * weight:.0f} % {name}" for weight, name in named)


def describe_notes(result: Result) -> list[str]:
    """What a user should know about a result, a line each."""
    notes = []
    if result.by_example:
        unsure = max(result.styles.values()) < LEAST_CERTAINTY
        doubt = "; it is near to no single style of this model, so name one if it is another" if unsure else ""
        notes.append(f"the reference was taken for {describe_styles(result.styles)}{doubt}")
    if result.change_db < LEAST_CHANGE_DB and result.strength > 0:
        notes.append(
            f"almost nothing changed ({result.change_db:.1f} dB in the mean over the mel spectrogram); "
            "to this model the song is near that style already: try another style, or a mixture"
        )
    return notes + describe_limiting(result.limited_db)


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
