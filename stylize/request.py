"""What the user asked for, checked before any network is loaded: styles, mixtures, files in and files out."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.audio import check_output
from data.errors import UserError

INPUT_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".au", ".aif", ".aiff")
"""Files of a folder that are taken for songs."""

OUTPUT_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
"""Songs of a folder with one of these keep their name; any other gets `.wav` appended."""

MIXTURE_TOLERANCE = 0.011
"""How far from 1 the weights of a mixture may add up to: thirds written with two digits are fine."""


@dataclass(frozen=True)
class Job:
    """One song in, one song out."""

    source: Path
    output: Path


def parse_styles(text: str) -> dict[str, float]:
    """Read `jazz` or `jazz:0.7,metal:0.3`.

    Returns:
        a weight for each style; they add up to exactly 1.

    Raises:
        UserError: no name, a weight that is no positive number, a style twice, weights that do not add up to 1.
    """
    parts = [part.strip() for part in text.split(",")]
    weights: dict[str, float] = {}
    for part in parts:
        name, colon, number = (piece.strip() for piece in part.partition(":"))
        if not name:
            raise UserError(f"got --to {text!r} with an empty style name; write jazz or jazz:0.7,metal:0.3")
        if name in weights:
            raise UserError(f"got --to {text!r} with the style {name} twice; give each style once")
        if not colon and len(parts) > 1:
            raise UserError(f"got --to {text!r} without a weight for {name}; write for example jazz:0.7,metal:0.3")
        weights[name] = _parse_weight(number, text) if colon else 1.0
    total = sum(weights.values())
    if abs(total - 1.0) > MIXTURE_TOLERANCE:
        raise UserError(f"the weights in --to {text} add up to {total:g}; they must add up to 1")
    return {name: weight / total for name, weight in weights.items()}


def _parse_weight(number: str, text: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise UserError(f"got the weight {number!r} in --to {text}; a weight is a number above 0")
    return weight


def check_known(weights: Mapping[str, float], known: Collection[str]) -> None:
    """Refuse styles that the model does not have.

    Raises:
        UserError: an unknown style; the known ones are listed.
    """
    for name in weights:
        if name not in known:
            raise UserError(f"unknown style {name!r}; this model knows: {', '.join(known)}")


def check_target(to: str | None, like: Path | str | None, strength: float) -> None:
    """Refuse a request without exactly one target style, or with a strength out of range.

    Raises:
        UserError: both or none of `to` and `like`, a strength outside [0, 1].
    """
    if to is not None and like is not None:
        raise UserError("got both --to and --like; give one of them")
    if to is None and like is None:
        raise UserError("no target style; give --to STYLE (`stylize styles` lists them) or --like REFERENCE")
    if not 0.0 <= strength <= 1.0:
        raise UserError(f"got strength {strength:g}; expected a number from 0 to 1")


def describe_target(weights: Mapping[str, float] | None, like: Path | None) -> str:
    """A name for the target that can stand in a file name: `jazz`, `jazz+metal`, `like-reference`."""
    return "+".join(weights) if weights else f"like-{like.stem if like else ''}"


def plan_jobs(source: Path, output: Path | None, label: str, force: bool) -> list[Job]:
    """Decide which song goes where, and refuse what could not be written.

    Args:
        source: a song, or a folder of songs.
        output: a file, or a folder; None for `SONG.LABEL.wav` or `FOLDER.LABEL/` in the current directory.
        label: names the target style.
        force: existing files may be overwritten.

    Raises:
        UserError: output that exists, is the input, has no folder, cannot be written; a folder without audio.
    """
    if source.is_dir():
        return _plan_folder(source, output or Path(f"{source.resolve().name}.{label}"), force)
    default = f"{source.stem}.{label}.wav"
    target = Path(default) if output is None else output / default if output.is_dir() else output
    check_output(target, force=force)
    _check_not_itself(source, target)
    return [Job(source, target)]


def _check_not_itself(source: Path, output: Path) -> None:
    if source.exists() and output.exists() and source.samefile(output):
        raise UserError(f"{output} is the input itself; give another name with -o")


def _plan_folder(source: Path, output: Path, force: bool) -> list[Job]:
    if output.exists() and not output.is_dir():
        raise UserError(f"the input {source} is a folder and the output {output} is a file; give a folder with -o")
    if output.is_dir() and source.samefile(output):
        raise UserError(f"{output} is the input itself; give another folder with -o")
    if not output.is_dir() and not output.parent.is_dir():
        raise UserError(f"folder not found: {output.parent}; create it first")
    if not os.access(output if output.is_dir() else output.parent, os.W_OK):
        raise UserError(f"folder is not writable: {output}")
    songs = [path for path in sorted(source.rglob("*")) if _is_song(path, source, output)]
    if not songs:
        raise UserError(f"no audio found in {source}; expected files ending in {', '.join(INPUT_SUFFIXES)}")
    jobs = [Job(song, output / _name_in_folder(song.relative_to(source))) for song in songs]
    existing = [job.output for job in jobs if job.output.exists()]
    if existing and not force:
        others = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UserError(f"{existing[0]}{others} exists; use --force to overwrite")
    return jobs


def _is_song(path: Path, source: Path, output: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(source).parts)
    if hidden or path.suffix.lower() not in INPUT_SUFFIXES or not path.is_file():
        return False
    return not path.resolve().is_relative_to(output.resolve())


def _name_in_folder(song: Path) -> Path:
    return song if song.suffix.lower() in OUTPUT_SUFFIXES else song.with_name(song.name + ".wav")
