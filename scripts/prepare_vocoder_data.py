"""Make all that the vocoder learns from, and check it: the rendered corpus, free recordings, folders of one's own.

    python -m scripts.prepare_vocoder_data .

A second run makes what is missing, and where nothing is, only checks.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from data import recordings
from data.corpus.renderer import MANIFEST_NAME, CorpusPlan, render_corpus
from data.corpus.synthesis import check_tools
from data.debian_packages import package_files, require_packages
from data.errors import UserError
from data.names import readable
from data.sources import list_split
from data.verify import verify_folder
from scripts.command_line import run_command

CORPUS, RECORDINGS, SUMMARY = "corpus", "recordings", "vocoder_data.json"
LARGEST_DIFFERENCE = 0.05
"""Seconds between what a manifest says and what is decoded."""


@dataclass(frozen=True)
class Line:
    """One finished file.

    Args:
        path: the file.
        source: rendered corpus, package or folder.
        split: train, valid, test, test_groove or test_soundfont.
        seconds: as its manifest says.
        licence: short name.
        unit: what must not be in two splits: the song, or the recording that it was cut from.
    """

    path: Path
    source: str
    split: str
    seconds: float
    licence: str
    unit: str


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    source: str
    split: str
    licence: str
    files: int
    minutes: float


def command(
    out: Annotated[Path, typer.Argument(help="Folder for corpus/, recordings/ and the summary.")],
    songs: Annotated[int, typer.Option(help="Songs of the corpus, each in ten genres.")] = 48,
    tier_songs: Annotated[int, typer.Option(help="Songs in each of its two extra test tiers.")] = 3,
    seconds: Annotated[float, typer.Option(help="Length of every file of the corpus.")] = 24.0,
    seed: Annotated[int, typer.Option(help="Of the corpus.")] = 0,
    jobs: Annotated[int, typer.Option(help="Files rendered, or checked, at the same time.")] = 2,
    folder: Annotated[list[Path] | None, typer.Option(help="GTZAN or any folder with audio; repeat it.")] = None,
    skip_corpus: Annotated[bool, typer.Option("--skip-corpus", help="Render nothing.")] = False,
    skip_recordings: Annotated[bool, typer.Option("--skip-recordings", help="Use no Debian packages.")] = False,
    skip_missing: Annotated[bool, typer.Option("--skip-missing", help="Go on without packages not there.")] = False,
    max_minutes_per_source: Annotated[float, typer.Option(help="Of each package.")] = 30.0,
    min_seconds: Annotated[float, typer.Option(help="Shorter recordings are left out.")] = 15.0,
) -> None:
    """Render, convert, check; exit code 1 where a file that was made has a fault."""
    limits = recordings.Limits(shortest=min_seconds, per_source=60 * max_minutes_per_source)
    if not 0 <= limits.shortest <= limits.per_source:
        raise UserError(f"got --min-seconds {min_seconds:g} and --max-minutes-per-source {max_minutes_per_source:g}")
    folders = _check_folders(folder or [], out)
    if skip_corpus and skip_recordings and not folders:
        raise UserError("nothing to do: corpus and recordings are skipped, and there is no --folder")
    plan = CorpusPlan(songs, tier_songs, seconds, seed)
    packages = [] if skip_recordings else _find_packages(out / RECORDINGS, skip_missing)
    parts, skipped = [], []
    if not skip_corpus:
        make_corpus(out / CORPUS, plan, jobs)
        parts.append(CORPUS)
    if not skip_recordings:
        found = (recordings.find_package_recordings(package) for package in packages)
        skipped += convert(*recordings.plan_sources(found, limits), out / RECORDINGS)
        parts.append(RECORDINGS)
    whole = recordings.Limits(shortest=min_seconds, per_source=float("inf"), excerpt=float("inf"))
    for name, path in folders.items():
        skipped += convert(*recordings.plan_sources([(find_with_splits(path, name), [])], whole), out / name)
        parts.append(name)
    lines = [line for part in parts for line in read_lines(out / part)]
    faults, notes = check(out, parts, lines, min_seconds=min(min_seconds, seconds), jobs=jobs)
    report(out, parts, lines, skipped, faults, notes)
    if faults:
        raise typer.Exit(1)


def make_corpus(root: Path, plan: CorpusPlan, jobs: int) -> None:
    """Render what is missing of the corpus."""
    counts = render_corpus(root, plan, jobs)
    finished, total = next(counts)
    if finished == total:
        list(counts)
        return
    check_tools()
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("rendering", total=total, completed=finished)
        for finished, _ in counts:
            progress.update(bar, completed=finished)


def find_with_splits(folder: Path, source: str) -> list[recordings.Recording]:
    """Recordings of one's own folder in the splits that they have there: GTZAN's, a corpus's, else by name.

    Raises:
        UserError: the folder is missing or has no audio.
    """
    found: dict[str, recordings.Recording] = {}
    for split in ("train", "valid", "test"):
        for path in list_split(folder, split):
            name = path.relative_to(folder).with_suffix("").as_posix().replace("/", "-")
            name = name if name not in found else path.relative_to(folder).as_posix().replace("/", "-")
            found[name] = recordings.Recording(source, name, path, split=split)
    return list(found.values())


def convert(
    excerpts: list[recordings.Excerpt], skipped: list[recordings.Skipped], out: Path
) -> list[recordings.Skipped]:
    """Resample what is not there yet; gives all that was left out."""
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task(f"converting to {out.name}", total=len(excerpts))
        for result in recordings.prepare(excerpts, out):
            progress.advance(bar)
            if isinstance(result, recordings.Skipped):
                skipped.append(result)
    return skipped


def read_lines(root: Path) -> list[Line]:
    """Every file that a manifest names, rendered or converted."""
    if root.name == CORPUS:
        records = [json.loads(line) for line in (root / MANIFEST_NAME).read_text().splitlines()]
        return [
            Line(root / r["file"], CORPUS, r["split"], r["seconds"], "rendered here", f"song {r['song']}")
            for r in records
        ]
    return [
        Line(root / e.file, e.source, e.split, e.seconds, e.licence, e.original)
        for e in recordings.read_manifest(root).values()
    ]


def check(
    out: Path, parts: list[str], lines: list[Line], *, min_seconds: float, jobs: int
) -> tuple[list[str], list[str]]:
    """What is wrong with the files, and what is worth knowing, one line each.

    Every file is decoded: unreadable, silent, too short, of another rate, of another length than its manifest says,
    missing, or in no manifest. No samples, no song, no recording, and no package held out for tests, in two splits.
    """
    faults, notes = [], []
    of_path = {line.path: line for line in lines}
    first: dict[str, Line] = {}
    seen: set[Path] = set()
    for part in parts:
        if not any(line.path.is_relative_to(out / part) for line in lines):
            faults.append(f"{out / part}: nothing in it")
            continue
        for one in verify_folder(out / part, sample_rate=recordings.SAMPLE_RATE, min_seconds=min_seconds, jobs=jobs):
            seen.add(one.path)
            line = of_path.get(one.path)
            faults += [f"{one.path}: {kind}: {what}" for kind, what in one.faults.items() if kind != "duplicate"]
            if line is None:
                faults.append(f"{one.path}: in no manifest")
                continue
            if "unreadable" not in one.faults and abs(one.seconds - line.seconds) > LARGEST_DIFFERENCE:
                faults.append(f"{one.path}: {one.seconds:.2f} s, its manifest says {line.seconds:.2f} s")
            original = first.setdefault(one.digest, line) if one.digest else line
            if original.split != line.split:
                faults.append(f"{one.path} ({line.split}): same samples as {original.path} ({original.split})")
            elif original.path != one.path:
                notes.append(f"{one.path}: same samples as {original.path}, both in {line.split}")
    faults += [f"{line.path}: missing" for line in lines if line.path not in seen]
    return faults + check_splits(out, lines), notes


def check_splits(out: Path, lines: Iterable[Line]) -> list[str]:
    """Songs or recordings in two splits, and packages that are held out and not."""
    splits: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in lines:
        splits[line.source, line.unit].add(line.split)
        if line.path.is_relative_to(out / RECORDINGS):
            splits[line.source, "the package"].add("test" if line.split == "test" else "train or valid")
    return [
        f"{source}: {unit} is in {' and '.join(sorted(names))}"
        for (source, unit), names in sorted(splits.items())
        if len(names) > 1
    ]


def count(lines: Iterable[Line]) -> list[Row]:
    """Files and minutes by source, split and licence."""
    groups: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for line in lines:
        groups[line.source, line.split, line.licence].append(line.seconds / 60)
    return [Row(*key, len(minutes), round(sum(minutes), 2)) for key, minutes in sorted(groups.items())]


def report(
    out: Path,
    parts: list[str],
    lines: list[Line],
    skipped: list[recordings.Skipped],
    faults: list[str],
    notes: list[str],
) -> None:
    """Print what there is, and write it to the summary."""
    effects = [one for one in skipped if one.reason == recordings.SOUND_EFFECT]
    for one in skipped:
        if one not in effects:
            typer.echo(f"skipped {one.path}: {one.reason}")
    if effects:
        typer.echo(f"skipped {len(effects)} sound effects, named in {out / SUMMARY}")
    for text in notes + faults:
        typer.echo(text)
    rows = count(lines)
    minutes = sum(line.seconds for line in lines) / 60
    _print_table(rows, len(lines), minutes)
    typer.echo(f"{minutes / 60:.2f} hours in {len(lines)} files, {len(faults)} faults")
    folders = ",".join(str(out / part) for part in parts)
    typer.echo(f"python -m scripts.train configs/vocoder.yaml 'data.folders=[{folders}]'")
    summary = {
        "folders": parts,
        "rows": [asdict(row) for row in rows],
        "files": len(lines),
        "minutes": round(minutes, 2),
        "skipped": [asdict(one) for one in skipped],
        "notes": notes,
        "faults": faults,
    }
    path = out / SUMMARY
    temporary = path.with_suffix(".writing")
    temporary.write_text(readable(json.dumps(summary, indent=2, ensure_ascii=False)) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _print_table(rows: list[Row], files: int, minutes: float) -> None:
    table = Table()
    for column in ("source", "split", "licence", "files", "minutes"):
        table.add_column(column, justify="right" if column in ("files", "minutes") else "left")
    for row in rows:
        table.add_row(row.source, row.split, row.licence, str(row.files), f"{row.minutes:.1f}")
    table.add_section()
    table.add_row("all", "", "", str(files), f"{minutes:.1f}")
    Console(width=None if os.isatty(1) else 120).print(table)


def _find_packages(root: Path, skip_missing: bool) -> list[str]:
    """The packages to read: those that are installed. One that is not is no loss where it was converted before."""
    converted = {entry.source for entry in recordings.read_manifest(root).values()}
    installed = [package for package in recordings.PACKAGES if package_files(package)]
    missing = [package for package in recordings.PACKAGES if package not in installed and package not in converted]
    if missing and not skip_missing:
        require_packages(missing)
    if not installed and not converted:
        raise UserError("none of the packages is installed; give --folder and --skip-recordings to use your own")
    return installed


def _check_folders(folders: list[Path], out: Path) -> dict[str, Path]:
    """Own folders by the name that they get below OUT."""
    named: dict[str, Path] = {}
    for folder in folders:
        name = folder.resolve().name
        if not folder.is_dir():
            raise UserError(f"no such folder: {folder}")
        if name in (CORPUS, RECORDINGS) or name in named:
            raise UserError(f"a folder cannot be called {name} here; rename {folder}, or link to it by another name")
        if (out / name).resolve() == folder.resolve():
            raise UserError(f"{folder} is where its converted files would go; choose another output folder")
        named[name] = folder
    return named


if __name__ == "__main__":
    run_command(command)
