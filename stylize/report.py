"""Reports of the command line on finished songs and on model folders."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylize.program import print_error
from stylize_core.audio.loudness import describe_limiting
from stylize_core.errors import UserError
from stylize_core.names import printable

if TYPE_CHECKING:
    from stylize.pipeline import Result
    from stylize.request import Job, Request
    from stylize_core.audio.reader import AudioInfo

LEAST_SHARE = 0.05
"""Styles with a smaller weight are not named."""
LEAST_CHANGE_DB = 2.0
"""A smaller change of the mel spectrogram is pointed out: the vocoder alone makes about 1.3 dB."""
LEAST_CERTAINTY = 0.6
"""Of the style that a reference is taken for; it is pointed out when none has so much."""


def describe_result(result: Result) -> str:
    """Path, duration, real-time factor, style and change in one line, and a line for each thing worth a note."""
    line = (
        f"{printable(result.path)}: {result.seconds:.1f} s of music in {result.elapsed:.1f} s, "
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
    """Notes on a result for the user, one line each."""
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
    return notes + describe_limiting(result.limited_db, result.missing)


class Reporter:
    """Reports each song on stdout, as text or as a line of JSON, and errors on stderr.

    Args:
        request: the request.
        quiet: print errors only.
        verbose: print details, on stderr.
        as_json: JSON on stdout, also for songs that failed.
    """

    def __init__(self, request: Request, *, quiet: bool, verbose: bool, as_json: bool) -> None:
        self._request = request
        self._quiet, self._verbose, self._as_json = quiet, verbose, as_json

    def detail(self, text: str) -> None:
        """Print a detail with `--verbose`."""
        if self._verbose:
            print(text, file=sys.stderr, flush=True)

    def begun(self, job: Job, info: AudioInfo) -> None:
        """Work on a song begins."""
        self.detail(
            f"{job.source}: {info.format} {info.subtype}, {info.sample_rate} Hz, {info.channels} channels, "
            f"{info.seconds:.1f} s; to {job.output}"
        )

    def finished(self, job: Job, result: Result) -> None:
        """A song was written; the record holds all that the result does."""
        values = {name: _plain(value) for name, value in dataclasses.asdict(result).items() if name != "path"}
        about = {"style": values.pop("styles"), "like": _plain(self._request.like)}
        self._say(describe_result(result), job, about | values)

    def skipped(self, job: Job) -> None:
        """A song was left out because its output is there."""
        self._say(f"{printable(job.output)}: exists already, left out", job, {"skipped": True})

    def failed(self, job: Job, error: UserError) -> None:
        """A song could not be made."""
        print_error(error)
        if self._as_json:
            self._say("", job, {"error": str(error)})

    def _say(self, text: str, job: Job, record: dict[str, Any]) -> None:
        if self._as_json:
            print(json.dumps({"source": str(job.source), "output": str(job.output)} | record), flush=True)
        elif not self._quiet:
            print(text, flush=True)


def _plain(value: Any) -> Any:
    """A value that JSON has: no number that is none, text for what it does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | int) else str(value)


def describe_model(folder: Path) -> str:
    """Description of a model folder, one line for each value."""
    from stylize_core.model_folder import WEIGHTS_NAME, read_model_config

    config = read_model_config(folder)
    parameters, size = _count_weights(folder / WEIGHTS_NAME)
    lines = [f"{config['kind']} in {folder}", f"weights: {parameters / 1e6:.2f} million values, {size / 1e6:.1f} MB"]
    for section in ("mel", "model", "training"):
        lines += [f"{section}.{line}" for line in _flatten(config.get(section, {}))]
    return "\n".join(lines)


def _count_weights(path: Path) -> tuple[int, int]:
    """Number of values and bytes, from the file's header alone."""
    from stylize_core.tensor_files import read_header

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
