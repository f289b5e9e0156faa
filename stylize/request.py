"""What the user asked for, checked before any network is loaded: styles, mixtures, files in and files out."""

from __future__ import annotations

import math
import os
import re
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from stylize.mixture import check_known, parse_styles
from stylize.picture import check_picture
from stylize_core.atomic import check_writable
from stylize_core.audio.folder import list_audio
from stylize_core.audio.formats import check_precision, encoding_for
from stylize_core.audio.reader import AudioInfo, check_output, matching_subtype, probe_audio, scan_audio
from stylize_core.errors import UserError
from stylize_core.names import not_there

OUTPUT_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
"""Songs of a folder with one of these keep their name; any other gets `.wav` appended."""

LOUDNESSES = (-70.0, -5.0)
"""Lowest and highest integrated loudness of an output, LUFS."""

SAMPLE_RATES = (4000, 384000)
"""Lowest and highest sample rate of an output, Hz."""

NAME_FIELDS = ("name", "style", "ext")
"""What `--filename` can hold in braces."""


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
        loudness: `song` for the song's integrated loudness, LUFS, or `off` for the level that the networks give, with
            peaks limited.
        filename: name of an output in its folder, with `NAME_FIELDS` in braces; None for the song's own in a folder's
            result, else `{name}.{style}.wav`.
        skip_existing: songs whose output exists are left out.
        offset: where the part of the song that is wanted begins, seconds.
        duration: its length, seconds; None for all that follows.
        bits: a key of `stylize_core.audio.formats.PRECISIONS`; None for the song's own precision.
        quality: of lossy formats, 0 to 10; None for the default.
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
    filename: str | None = None
    skip_existing: bool = False
    offset: float = 0.0
    duration: float | None = None
    bits: str | None = None
    quality: float | None = None

    def weights(self, known: Collection[str] = ()) -> dict[str, float]:
        """The weight of each named style of those that are known; none where a recording gives the style."""
        return parse_styles(self.to, known) if self.to is not None else {}

    def label(self, known: Collection[str] = ()) -> str:
        """The target, as it stands in file names: `jazz`, `jazz+metal`, `like-reference`."""
        label = "+".join(self.weights(known)) if self.like is None else f"like-{self.like.stem}"
        return re.sub(r"[/\\\x00-\x1f]", "_", label)

    def excerpt(self, info: AudioInfo) -> tuple[int, int]:
        """First sample of the wanted part of a song, and number of samples.

        Raises:
            UserError: the song is over by then.
        """
        first = round(self.offset * info.sample_rate)
        if first >= info.frames:
            raise UserError(f"got --offset {self.offset:g}, but {info.path} ends after {info.seconds:.1f} s")
        rest = info.frames - first
        return first, rest if self.duration is None else min(rest, max(1, round(self.duration * info.sample_rate)))

    def seconds(self, info: AudioInfo) -> float:
        """Duration of the wanted part of a song."""
        return self.excerpt(info)[1] / info.sample_rate


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


def plan_jobs(order: Order, known: Collection[str] = (), more: Sequence[Path] = ()) -> list[Job]:
    """Check an order as far as that goes without decoding audio, and decide which song goes where.

    Args:
        order: what is wanted.
        known: styles that the model has; without them names are not checked.
        more: songs and folders beside the order's own source.

    Raises:
        UserError: not exactly one target, an unknown style, values out of range, output that exists, is an input, has
            no folder or cannot be written, two songs with one output, a folder without audio.
    """
    _check_values(order)
    if known:
        check_known(order.weights(known), known)
    label = order.label(known)
    is_single = not more and not order.source.is_dir()
    if order.picture is not None:
        if not is_single:
            raise UserError("a picture needs a single song, and the input is a folder or several; leave out --picture")
        check_picture(order.picture, order.force)
    jobs = [_plan_song(order, label)] if is_single else _plan_several(order, label, [order.source, *more])
    for job in jobs:
        check_precision(job.output, order.bits, order.quality)
    _check_collisions(jobs)
    if not order.skip_existing:
        _check_existing(jobs, order.force)
    return jobs


def _check_values(order: Order) -> None:
    if order.to is not None and order.like is not None:
        raise UserError("got both --to and --like; give one of them")
    if order.to is None and order.like is None:
        raise UserError("no target style; give --to STYLE (`stylize styles` lists them) or --like REFERENCE")
    if order.force and order.skip_existing:
        raise UserError("got both --force and --skip-existing; give one of them")
    if not 0.0 <= order.strength <= 1.0:
        raise UserError(f"got the strength {order.strength:g}; expected a number from 0 to 1")
    target_loudness(order.loudness, None)
    lowest, highest = SAMPLE_RATES
    if order.sample_rate is not None and not lowest <= order.sample_rate <= highest:
        raise UserError(f"got the sample rate {order.sample_rate}; expected {lowest} to {highest} Hz")
    if not 0.0 <= order.offset < math.inf:
        raise UserError(f"got --offset {order.offset:g}; expected seconds from the start, 0 or more")
    if order.duration is not None and not 0.0 < order.duration < math.inf:
        raise UserError(f"got --duration {order.duration:g}; expected seconds, more than 0")
    if order.filename is not None:
        _check_pattern(order.filename)


def _check_pattern(pattern: str) -> None:
    """Refuse a `--filename` that cannot name a file."""
    example = "expected a name such as {name}.{style}.{ext}"
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise UserError(f"got --filename {pattern!r} ({error}); {example}") from None
    for _, field, form, conversion in parts:
        if field is not None and (field not in NAME_FIELDS or form or conversion):
            there = ", ".join(f"{{{name}}}" for name in NAME_FIELDS)
            raise UserError(f"got --filename {pattern!r} with an unknown part {{{field}}}; there are {there}")
    if "/" in pattern or os.sep in pattern:
        raise UserError(f"got --filename {pattern!r} with a folder in it; {example}, and the folder with -o")


def _plan_song(order: Order, label: str) -> Job:
    output, name = order.output, _name_of(order.source, order, label, "{name}.{style}.wav")
    if output is None:
        target = Path(name)
    elif order.filename is not None or output.is_dir():
        _check_folder(output, [order.source])
        target = output / name
    else:
        target = output
    if target.parent != output or output.is_dir():
        check_output(target, force=True)  # whether it exists is asked of all outputs together
    return Job(order.source, target)


def _plan_several(order: Order, label: str, sources: Sequence[Path]) -> list[Job]:
    """Songs go into the output folder; those of a folder, where there is more than that, into one of its name there."""
    if order.output is not None:
        _check_folder(order.output, sources)
    folder = order.output or Path()
    jobs = []
    for source in sources:
        if not source.exists():
            raise UserError(f"{not_there(source)}; check the name")
        if not source.is_dir():
            jobs.append(Job(source, folder / _name_of(source, order, label, "{name}.{style}.wav")))
        elif order.output is not None and len(sources) == 1:
            jobs += _plan_folder(order, label, source, folder)
        else:
            name = source.resolve().name
            own = folder / (name if order.output is not None else f"{name}.{label}")
            if folder.is_dir():
                _check_folder(own, sources)
            jobs += _plan_folder(order, label, source, own)
    return jobs


def _plan_folder(order: Order, label: str, source: Path, output: Path) -> list[Job]:
    if output.is_dir() and source.samefile(output):
        raise UserError(f"{output} is the input itself; give another folder with -o")
    result = output.resolve()  # results of an earlier run are no songs
    jobs = []
    for song in list_audio(source):
        if not song.resolve().is_relative_to(result):
            pattern = "{name}.{ext}" if song.suffix.lower() in OUTPUT_SUFFIXES else "{name}" + song.suffix + ".wav"
            jobs.append(Job(song, output / song.relative_to(source).parent / _name_of(song, order, label, pattern)))
    return jobs


def _name_of(song: Path, order: Order, label: str, default: str) -> str:
    """The name of a song's output."""
    own = song.suffix.removeprefix(".")
    ext = own if song.suffix.lower() in OUTPUT_SUFFIXES else "wav"
    name = (order.filename or default).format(name=song.stem, style=label, ext=ext)
    encoding_for(Path(name))
    return name


def _check_folder(folder: Path, sources: Sequence[Path]) -> None:
    """Refuse what can be no folder for results."""
    if folder.exists() and not folder.is_dir():
        what = f"the input {sources[0]} is a folder" if len(sources) == 1 else f"there are {len(sources)} inputs"
        raise UserError(f"{what} and the output {folder} a file; give a folder with -o")
    if not folder.is_dir() and folder.suffix.lower() in OUTPUT_SUFFIXES:
        raise UserError(f"the output {folder} is to be a folder and has the name of a file; give a folder with -o")
    check_writable(folder if folder.is_dir() else folder.absolute().parent)


def _check_collisions(jobs: Sequence[Job]) -> None:
    """Refuse an output that is an input, or that of another song."""
    sources = {job.source.resolve() for job in jobs}
    taken: dict[Path, Path] = {}
    for job in jobs:
        target = job.output.resolve()
        if target in sources or (job.output.exists() and job.source.exists() and job.source.samefile(job.output)):
            own = "the input itself" if target == job.source.resolve() or len(jobs) == 1 else "one of the inputs"
            raise UserError(f"{job.output} is {own}; give another name with -o")
        if target in taken:
            raise UserError(
                f"{taken[target]} and {job.source} would both be written to {job.output}; "
                "stylize them one by one, or into folders of their own"
            )
        taken[target] = job.source


def _check_existing(jobs: Sequence[Job], force: bool) -> None:
    existing = [job.output for job in jobs if job.output.exists()]
    if existing and not force:
        others = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise UserError(
            f"{existing[0]}{others} exists already; choose another name or folder, use --skip-existing to keep it or "
            "--force to replace it"
        )


def inspect_song(job: Job, order: Order) -> AudioInfo:
    """Decode a song once, to be sure of it, and check that the output can hold it; no network is needed.

    Raises:
        UserError: missing, not audio, empty, truncated or broken; a rate or channels the output cannot store.
    """
    info = probe_audio(job.source)
    if job.output.parent.is_dir():  # the folder of a folder's result is made when the first song is written
        subtype = matching_subtype(info.subtype, job.output, order.bits)
        check_output(job.output, order.force, order.sample_rate or info.sample_rate, info.channels, subtype)
    info = scan_audio(job.source)
    order.excerpt(info)
    return info
