"""Check a folder of recordings file by file: readable, long enough, not silent, not doubled, right rate."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from data.folder import find_genre_root
from stylize_core.audio.folder import existing_folder, is_hidden, no_audio, walk_audio, warn_of_unreadable
from stylize_core.audio.reader import AudioReader
from stylize_core.errors import UserError

FAULTS: tuple[str, ...] = ("unreadable", "dot-file", "too short", "silent", "duplicate", "wrong rate")
"""Kinds of fault, in the order of the table's columns."""

SILENCE_PEAK = 1e-3  # a file whose largest sample stays below this (-60 dB of full scale) is silent
NO_GENRE = "(no genre)"
_BLOCK = 1 << 18


@dataclass(frozen=True)
class FileReport:
    """What is known about one file.

    Args:
        path: the file.
        genre: name of its genre's folder, or `(no genre)`.
        seconds: decoded duration, 0 where nothing could be decoded.
        faults: one line for each kind of fault (of :data:`FAULTS`).
        digest: SHA-256 of the decoded samples, empty where there are none to compare.
    """

    path: Path
    genre: str
    seconds: float = 0.0
    faults: dict[str, str] = field(default_factory=dict)
    digest: str = ""


@dataclass(frozen=True)
class GenreSummary:
    """One row of the table: `files` counts all but dot-files, `faults` each kind of fault."""

    genre: str
    files: int
    seconds: float
    faults: dict[str, int]


def verify_folder(
    root: Path,
    *,
    sample_rate: int = 22050,
    min_seconds: float = 5.0,
    jobs: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> list[FileReport]:
    """Decode every audio file below a folder and report on each, sorted by path.

    Genres are the subfolders in any of GTZAN's layouts. Files with identical decoded samples are duplicates, whatever
    their format; the first by path is the original.

    Args:
        root: folder tree to check.
        sample_rate: expected of every file, Hz.
        min_seconds: shorter files are too short.
        jobs: files decoded at a time.
        progress: called with (files done, files in all) after each file.

    Raises:
        UserError: the folder is missing, not a folder, or holds no audio; `min_seconds` is negative.
    """
    if not min_seconds >= 0:
        raise UserError(f"the shortest duration must not be negative, got {min_seconds} s")
    root = existing_folder(root)
    paths = sorted(walk_audio(root))
    if not paths:
        raise no_audio(root, f"expected a tree such as {root}/jazz/jazz.00000.wav")
    warn_of_unreadable(root)
    try:
        base = find_genre_root(root)
    except UserError:  # recordings without genres
        base = root

    def report_on(path: Path) -> FileReport:
        genre = _genre_of(path, base)
        if is_hidden(path.relative_to(root)):
            return FileReport(path, genre, faults={"dot-file": "hidden file, remove it"})
        return verify_file(path, genre=genre, sample_rate=sample_rate, min_seconds=min_seconds)

    reports: list[FileReport] = []
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        for report in pool.map(report_on, paths):
            reports.append(report)
            if progress is not None:
                progress(len(reports), len(paths))
    return _mark_duplicates(reports)


def verify_file(path: Path, *, genre: str, sample_rate: int, min_seconds: float) -> FileReport:
    """Report on one file: everything but duplicates and dot-files."""
    try:
        seconds, rate, peak, digest = _decode(path)
    except (UserError, OSError, RuntimeError) as error:  # one bad file must not end the check of the others
        return FileReport(path, genre, faults={"unreadable": " ".join(str(error).split())})
    faults: dict[str, str] = {}
    if seconds < min_seconds:
        faults["too short"] = f"{seconds:.2f} s, expected at least {min_seconds:g} s"
    if peak < SILENCE_PEAK:
        faults["silent"] = f"no sample above {peak:.2g} of full scale"
    if rate != sample_rate:
        faults["wrong rate"] = f"{rate} Hz, expected {sample_rate} Hz"
    return FileReport(path, genre, seconds, faults, "" if "silent" in faults else digest)


def summarize(reports: Sequence[FileReport]) -> list[GenreSummary]:
    """Count files, seconds and faults per genre, sorted by genre, and last of all together."""
    groups: dict[str, list[FileReport]] = {}
    for report in sorted(reports, key=lambda report: report.genre):
        groups.setdefault(report.genre, []).append(report)
    groups["all"] = [*reports]
    return [
        GenreSummary(
            genre=genre,
            files=sum("dot-file" not in report.faults for report in group),
            seconds=sum(report.seconds for report in group),
            faults={fault: sum(fault in report.faults for report in group) for fault in FAULTS},
        )
        for genre, group in groups.items()
    ]


def _genre_of(path: Path, base: Path) -> str:
    inside = path.relative_to(base).parts if path.is_relative_to(base) else ()
    return inside[0] if len(inside) > 1 else NO_GENRE


def _decode(path: Path) -> tuple[float, int, float, str]:
    """Seconds, rate in Hz, largest absolute sample and SHA-256 of the samples of one file."""
    digest = hashlib.sha256()
    peak, samples = 0.0, 0
    with AudioReader(path) as reader:
        digest.update(f"{reader.sample_rate} Hz, {reader.channels} channels".encode())
        while (block := reader.read(_BLOCK)).size:
            samples += block.shape[-1]
            peak = max(peak, float(np.abs(block).max()))
            digest.update(np.ascontiguousarray(block.T).tobytes())
        return samples / reader.sample_rate, reader.sample_rate, peak, digest.hexdigest()


def _mark_duplicates(reports: list[FileReport]) -> list[FileReport]:
    first_of: dict[str, Path] = {}
    marked: list[FileReport] = []
    for report in reports:
        original = first_of.setdefault(report.digest, report.path) if report.digest else report.path
        if original != report.path:
            report = replace(report, faults=report.faults | {"duplicate": f"same samples as {original}"})
        marked.append(report)
    return marked
