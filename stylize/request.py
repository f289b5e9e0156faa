"""What the user asked for, checked before any network is loaded: styles, mixtures, files in and files out."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.audio import AudioInfo, check_output, matching_subtype, probe_audio, scan_audio
from data.errors import UserError
from data.folder import list_audio
from stylize.picture import check_picture

OUTPUT_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
"""Songs of a folder with one of these keep their name; any other gets `.wav` appended."""

MIXTURE_TOLERANCE = 0.0101
"""How far from 1 the weights of a mixture may add up to: three times 0.33 is fine."""

LOUDNESSES = (-70.0, -5.0)
"""Lowest and highest integrated loudness of an output, LUFS."""

SAMPLE_RATES = (4000, 384000)
"""Lowest and highest sample rate of an output, Hz."""


@dataclass(frozen=True)
class Order:
    """All that a user can ask for.

    Args:
        source: a song, or a folder of songs.
        output: a file, or a folder; None for `SONG.STYLE.wav` or `FOLDER.STYLE/` in the current directory.
        to: a style or a mixture of styles, as written; either this or `like`.
        like: a recording in the wanted style.
        strength: 0 keeps the song's own mel, 1 takes the translated one, between them is a blend.
        sample_rate: of the output, Hz; None for the song's own.
        picture: PNG of the mel before and after.
        force: existing files may be overwritten.
        loudness: `song` for the song's integrated loudness, `off` for the level that the networks give, or LUFS.
    """

    source: Path
    output: Path | None = None
    to: str | None = None
    like: Path | None = None
    strength: float = 1.0
    sample_rate: int | None = None
    picture: Path | None = None
    force: bool = False
    loudness: str = "song"

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each named style; none where a recording gives the style."""
        return parse_styles(self.to) if self.to is not None else {}

    @property
    def label(self) -> str:
        """The target, as it stands in file names: `jazz`, `jazz+metal`, `like-reference`."""
        return "+".join(self.weights) if self.like is None else f"like-{self.like.stem}"


@dataclass(frozen=True)
class Job:
    """One song in, one song out."""

    source: Path
    output: Path


def target_loudness(choice: str, song: float | None) -> float | None:
    """The integrated loudness of an output, LUFS; None to leave its level as it is.

    Args:
        choice: `song`, `off`, or a number.
        song: loudness of the song, LUFS; None for silence.

    Raises:
        UserError: another choice, or a number out of range.
    """
    if choice in ("song", "off"):
        return song if choice == "song" else None
    lowest, highest = LOUDNESSES
    try:
        target = float(choice)
    except ValueError:
        target = math.nan
    if not lowest <= target <= highest:
        raise UserError(f"got the loudness {choice!r}; expected song, off, or {lowest:g} to {highest:g} (LUFS)")
    return target


def parse_styles(text: str) -> dict[str, float]:
    """Read `jazz` or `jazz:0.7,metal:0.3`.

    Returns:
        a weight for each style; they add up to exactly 1.

    Raises:
        UserError: no name, a style twice, weights that are no positive numbers or do not add up to 1.
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
            raise UserError(f"got --to {text!r} without a weight for {name}; write jazz:0.7,metal:0.3")
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


def plan_jobs(order: Order) -> list[Job]:
    """Check an order as far as that goes without decoding audio, and decide which song goes where.

    Raises:
        UserError: not exactly one target, a mixture that does not add up, strength or rate out of range,
            output that exists, is the input, has no folder or cannot be written, a folder without audio.
    """
    _check_values(order)
    label = order.label
    is_folder = order.source.is_dir()
    if order.picture is not None:
        if is_folder:
            raise UserError("a picture needs a single song, and the input is a folder; leave out --picture")
        check_picture(order.picture, order.force)
    return _plan_folder(order, label) if is_folder else [_plan_song(order, label)]


def _check_values(order: Order) -> None:
    if order.to is not None and order.like is not None:
        raise UserError("got both --to and --like; give one of them")
    if order.to is None and order.like is None:
        raise UserError("no target style; give --to STYLE (`stylize styles` lists them) or --like REFERENCE")
    if not 0.0 <= order.strength <= 1.0:
        raise UserError(f"got the strength {order.strength:g}; expected a number from 0 to 1")
    target_loudness(order.loudness, None)
    lowest, highest = SAMPLE_RATES
    if order.sample_rate is not None and not lowest <= order.sample_rate <= highest:
        raise UserError(f"got the sample rate {order.sample_rate}; expected {lowest} to {highest} Hz")


def _plan_song(order: Order, label: str) -> Job:
    source, output = order.source, order.output
    default = f"{source.stem}.{label}.wav"
    target = Path(default) if output is None else output / default if output.is_dir() else output
    if source.exists() and target.exists() and source.samefile(target):
        raise UserError(f"{target} is the input itself; give another name with -o")
    check_output(target, order.force)
    return Job(source, target)


def _plan_folder(order: Order, label: str) -> list[Job]:
    source, output = order.source, order.output or Path(f"{order.source.resolve().name}.{label}")
    if output.exists() and not output.is_dir():
        raise UserError(f"the input {source} is a folder and the output {output} a file; give a folder with -o")
    if output.is_dir() and source.samefile(output):
        raise UserError(f"{output} is the input itself; give another folder with -o")
    if not output.is_dir() and not output.parent.is_dir():
        raise UserError(f"the folder {output.parent} does not exist; create it first")
    if not os.access(output if output.is_dir() else output.parent, os.W_OK | os.X_OK):
        raise UserError(f"the folder {output} is not writable; choose another one")
    own = output.resolve()  # results of an earlier run are no songs
    songs = [path for path in list_audio(source) if not path.resolve().is_relative_to(own)]
    jobs = [Job(song, output / _name_in_folder(song.relative_to(source))) for song in songs]
    existing = [job.output for job in jobs if job.output.exists()]
    if existing and not order.force:
        others = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise UserError(f"{existing[0]}{others} exists already; choose another folder or use --force to replace it")
    return jobs


def _name_in_folder(song: Path) -> Path:
    return song if song.suffix.lower() in OUTPUT_SUFFIXES else song.with_name(song.name + ".wav")


def inspect_song(job: Job, order: Order) -> AudioInfo:
    """Decode a song once, to be sure of it, and check that the output can hold it; no network is needed.

    Raises:
        UserError: missing, not audio, empty, truncated or broken; a rate or channels the output cannot store.
    """
    info = probe_audio(job.source)
    if job.output.parent.is_dir():  # the folder of a folder's result is made when the first song is written
        subtype = matching_subtype(info.subtype, job.output)
        check_output(job.output, order.force, order.sample_rate or info.sample_rate, info.channels, subtype)
    return scan_audio(job.source)
