"""A request for stylized songs, checked before any network is loaded: styles, mixtures, input and output files."""

from __future__ import annotations

import math
import os
import re
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from stylize.mixture import check_known, parse_styles
from stylize.models import peek_styles
from stylize.options import Check, check_options, option
from stylize.picture import check_picture
from stylize_core.atomic import check_writable
from stylize_core.audio.folder import list_audio
from stylize_core.audio.formats import PRECISIONS, check_precision, encoding_for
from stylize_core.audio.reader import AudioInfo, check_output, matching_subtype, probe_audio, scan_audio
from stylize_core.errors import UserError
from stylize_core.names import not_there

OUTPUT_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
"""Songs of a folder with one of these keep their name; any other gets `.wav` appended."""

LOUDNESSES = (-70.0, -5.0)
"""Lowest and highest integrated loudness of an output, LUFS."""

SAMPLE_RATES = range(4000, 384001)
"""Of an output, Hz."""

NAME_FIELDS = ("name", "style", "ext")
"""What `--filename` can hold in braces."""

PART, FILE = "Which songs, which part", "Output files"
"""Groups of options in the help."""


def _complete_style(ctx: typer.Context, incomplete: str) -> list[str]:
    model = ctx.params.get("model")
    return [style for style in peek_styles(model and Path(model)) if style.casefold().startswith(incomplete.casefold())]


@dataclass(frozen=True)
class Request:
    """A song or a folder of songs to stylize, with all options, which their help describes."""

    source: Path
    output: Path | None = option(
        None, "A file, or a folder. Default: SONG.STYLE.wav, FOLDER.STYLE/", flags=("-o", "--output")
    )
    to: str | None = option(None, "A style, or a mixture: jazz,metal or jazz:7,metal:3", complete=_complete_style)
    like: Path | None = option(None, "A recording in the target style.")
    strength: float = option(
        1.0,
        "From 0 (the song's own sound) to 1 (the style).",
        check=Check(lambda strength: 0.0 <= strength <= 1.0, "a number from 0 to 1"),
    )
    force: bool = option(False, "Overwrite existing files.")

    offset: float = option(
        0.0,
        "Start this many seconds into the song.",
        PART,
        check=Check(lambda offset: 0.0 <= offset < math.inf, "seconds from the start, 0 or more"),
    )
    duration: float | None = option(
        None,
        "Number of seconds to stylize; default: all.",
        PART,
        check=Check(lambda duration: 0.0 < duration < math.inf, "seconds, more than 0"),
    )
    skip_existing: bool = option(False, "Skip songs whose output exists.", PART)

    filename: str | None = option(None, "File name such as {name}.{style}.{ext}; its extension is the format.", FILE)
    sample_rate: int | None = option(
        None,
        "Hz; default: the song's.",
        FILE,
        check=Check(SAMPLE_RATES.__contains__, f"{SAMPLE_RATES.start} to {SAMPLE_RATES.stop - 1} Hz"),
    )
    bits: str | None = option(None, f"Of wav and flac: {', '.join(PRECISIONS)}; default: the song's.", FILE)
    quality: float | None = option(None, "Of ogg, opus and mp3: 0 to 10; default: about 200 kbit/s.", FILE)
    loudness: str = option(
        "song", "song (as loud as the song), LUFS such as -14, or off (only peaks are limited, as always).", FILE
    )
    picture: Path | None = option(None, "PNG of the mel spectrogram before and after.", FILE)

    def weights(self, known: Collection[str] = ()) -> dict[str, float]:
        """The weight of each named style of those that are known; none where a recording gives the style."""
        return parse_styles(self.to, known) if self.to is not None else {}

    def label(self, known: Collection[str] = ()) -> str:
        """The target, as it stands in file names: `jazz`, `jazz+metal`, `like-reference`."""
        label = "+".join(self.weights(known)) if self.like is None else f"like-{self.like.stem}"
        return re.sub(r"[/\\\x00-\x1f]", "_", label)

    def excerpt(self, info: AudioInfo) -> tuple[int, int]:
        """First sample and number of samples of the requested part of a song."""
        first = round(self.offset * info.sample_rate)
        if first >= info.frames:
            raise UserError(f"got --offset {self.offset:g}, but {info.path} ends after {info.seconds:.1f} s")
        rest = info.frames - first
        return first, rest if self.duration is None else min(rest, max(1, round(self.duration * info.sample_rate)))

    def seconds(self, info: AudioInfo) -> float:
        """Duration of the requested part of a song."""
        return self.excerpt(info)[1] / info.sample_rate


@dataclass(frozen=True)
class Job:
    """One song in, one song out."""

    source: Path
    output: Path


def target_loudness(choice: str, song: float | None) -> float | None:
    """The integrated loudness of an output, LUFS; None to leave its level as it is.

    `choice` is `song`, `off`, or a number; `song` is the loudness of the song, None for silence.
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


def plan_jobs(request: Request, known: Collection[str] = (), more: Sequence[Path] = ()) -> list[Job]:
    """Check a request without decoding audio, and pair every song with its output.

    Args:
        request: the request.
        known: styles of the model; without them names are not checked.
        more: songs and folders in addition to the source.
    """
    _check_values(request)
    if known:
        check_known(request.weights(known), known)
    label = request.label(known)
    is_single = not more and not request.source.is_dir()
    if request.picture is not None:
        if not is_single:
            raise UserError("a picture needs a single song, and the input is a folder or several; leave out --picture")
        check_picture(request.picture, request.force)
    jobs = [_plan_song(request, label)] if is_single else _plan_several(request, label, [request.source, *more])
    for job in jobs:
        check_precision(job.output, request.bits, request.quality)
    _check_collisions(jobs)
    if not request.skip_existing:
        _check_existing(jobs, request.force)
    return jobs


def _check_values(request: Request) -> None:
    if request.to is not None and request.like is not None:
        raise UserError("got both --to and --like; give one of them")
    if request.to is None and request.like is None:
        raise UserError("no target style; give --to STYLE (`stylize styles` lists them) or --like REFERENCE")
    if request.force and request.skip_existing:
        raise UserError("got both --force and --skip-existing; give one of them")
    check_options(request)
    target_loudness(request.loudness, None)
    if request.filename is not None:
        _check_pattern(request.filename)


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


def _plan_song(request: Request, label: str) -> Job:
    output, name = request.output, _name_of(request.source, request, label, "{name}.{style}.wav")
    if output is None:
        target = Path(name)
    elif request.filename is not None or output.is_dir():
        _check_folder(output, [request.source])
        target = output / name
    else:
        target = output
    if target.parent != output or output.is_dir():
        check_output(target, force=True)  # whether it exists is asked of all outputs together
    return Job(request.source, target)


def _plan_several(request: Request, label: str, sources: Sequence[Path]) -> list[Job]:
    """Songs go into the output folder; those of a folder, where there is more than that, into one of its name there."""
    if request.output is not None:
        _check_folder(request.output, sources)
    folder = request.output or Path()
    jobs = []
    for source in sources:
        if not source.exists():
            raise UserError(f"{not_there(source)}; check the name")
        if not source.is_dir():
            jobs.append(Job(source, folder / _name_of(source, request, label, "{name}.{style}.wav")))
        elif request.output is not None and len(sources) == 1:
            jobs += _plan_folder(request, label, source, folder)
        else:
            name = source.resolve().name
            own = folder / (name if request.output is not None else f"{name}.{label}")
            if folder.is_dir():
                _check_folder(own, sources)
            jobs += _plan_folder(request, label, source, own)
    return jobs


def _plan_folder(request: Request, label: str, source: Path, output: Path) -> list[Job]:
    if output.is_dir() and source.samefile(output):
        raise UserError(f"{output} is the input itself; give another folder with -o")
    result = output.resolve()  # results of an earlier run are no songs
    jobs = []
    for song in list_audio(source):
        if not song.resolve().is_relative_to(result):
            pattern = "{name}.{ext}" if song.suffix.lower() in OUTPUT_SUFFIXES else "{name}" + song.suffix + ".wav"
            jobs.append(Job(song, output / song.relative_to(source).parent / _name_of(song, request, label, pattern)))
    return jobs


def _name_of(song: Path, request: Request, label: str, default: str) -> str:
    """The name of a song's output."""
    own = song.suffix.removeprefix(".")
    ext = own if song.suffix.lower() in OUTPUT_SUFFIXES else "wav"
    name = (request.filename or default).format(name=song.stem, style=label, ext=ext)
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


def inspect_song(job: Job, request: Request) -> AudioInfo:
    """Decode a song once, to be sure of it, and check that the output can hold it; no network is needed."""
    info = probe_audio(job.source)
    if job.output.parent.is_dir():  # the folder of a folder's result is made when the first song is written
        subtype = matching_subtype(info.subtype, job.output, request.bits)
        check_output(job.output, request.force, request.sample_rate or info.sample_rate, info.channels, subtype)
    info = scan_audio(job.source)
    request.excerpt(info)
    return info
