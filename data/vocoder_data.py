"""Training data of the vocoder: planned, listed, checked for faults and leaks between splits, and summarized."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from data import recordings
from data.debian_packages import installed, require_packages
from data.manifest import MANIFEST_NAME, read_records
from data.recordings import Limits, Recording, Skipped
from data.sources import list_split
from data.verify import verify_folder
from stylize_core.atomic import atomic_write
from stylize_core.audio.folder import existing_folder
from stylize_core.errors import UserError
from stylize_core.names import readable

CORPUS, RECORDINGS, SUMMARY = "corpus", "recordings", "vocoder_data.json"
MAX_DIFFERENCE = 0.05  # seconds between what a manifest says and what is decoded


@dataclass(frozen=True)
class PreparedFile:
    """One finished file.

    Args:
        path: the file.
        source: rendered corpus, package or folder.
        split: train, valid, test, test_groove or test_soundfont.
        seconds: in its manifest.
        license: short name.
        unit: what must not be in two splits: the song, or the original recording.
    """

    path: Path
    source: str
    split: str
    seconds: float
    license: str
    unit: str


def find_packages(root: Path, skip_missing: bool) -> list[str]:
    """The installed packages; UserError for a missing one, unless skipped or converted to `root` before."""
    converted = {entry.source for entry in recordings.read_manifest(root).values()}
    found = installed(recordings.PACKAGES)
    missing = [package for package in recordings.PACKAGES if package not in found and package not in converted]
    if missing and not skip_missing:
        require_packages(missing)
    if not found and not converted:
        raise UserError("none of the packages is installed; give --folder and --skip-recordings to use your own")
    return found


def name_folders(folders: Sequence[Path], out: Path) -> dict[str, Path]:
    """A user's folders by their names below `out`; UserError where one is missing or a name is not possible."""
    named: dict[str, Path] = {}
    for folder in folders:
        name = existing_folder(folder).resolve().name
        if name in (CORPUS, RECORDINGS) or name in named:
            raise UserError(f"a folder cannot be called {name} here; rename {folder}, or link to it by another name")
        if (out / name).resolve() == folder.resolve():
            raise UserError(f"{folder} is where its converted files would go; choose another output folder")
        named[name] = folder
    return named


def plan_parts(
    packages: Sequence[str] | None, folders: Mapping[str, Path], limits: Limits
) -> Iterator[tuple[str, list[Recording], list[Skipped]]]:
    """Name, recordings to convert and what is left out, of the packages' recordings and of each own folder.

    Args:
        packages: to read; None for no recordings.
        folders: by name, see :func:`name_folders`; kept completely.
        limits: of each package.
    """
    if packages is not None:
        found = (recordings.find_package_recordings(package) for package in packages)
        yield (RECORDINGS, *recordings.plan_sources(found, limits))
    whole = Limits(shortest=limits.shortest, per_source=float("inf"), excerpt=float("inf"))
    for name, path in folders.items():
        yield (name, *recordings.plan_sources([(find_with_splits(path, name), [])], whole))


def find_with_splits(folder: Path, source: str) -> list[Recording]:
    """Recordings of a user's folder in their splits there: GTZAN's, a corpus's, else by name."""
    found: dict[str, Recording] = {}
    for split in ("train", "valid", "test"):
        for path in list_split(folder, split):
            name = path.relative_to(folder).with_suffix("").as_posix().replace("/", "-")
            name = name if name not in found else path.relative_to(folder).as_posix().replace("/", "-")
            found[name] = Recording(source, name, path, split=split)
    return list(found.values())


def list_files(root: Path) -> list[PreparedFile]:
    """Every file that a manifest names, rendered or converted."""
    if root.name == CORPUS:
        records = read_records(root / MANIFEST_NAME)
        return [
            PreparedFile(root / r["file"], CORPUS, r["split"], r["seconds"], "rendered here", f"song {r['song']}")
            for r in records
        ]
    entries = recordings.read_manifest(root).values()
    return [PreparedFile(root / e.file, e.source, e.split, e.seconds, e.license, e.original) for e in entries]


def check_files(
    out: Path, parts: Sequence[str], files: Sequence[PreparedFile], *, min_seconds: float, jobs: int
) -> tuple[list[str], list[str]]:
    """Faults of the files, and notes on them, one line each.

    Every file is decoded: unreadable, silent, too short, of another rate, of another length than in its manifest,
    missing, or in no manifest. No samples, song, recording or test package may be in two splits.
    """
    faults, notes = [], []
    of_path = {file.path: file for file in files}
    first: dict[str, PreparedFile] = {}
    seen: set[Path] = set()
    for part in parts:
        if not any(file.path.is_relative_to(out / part) for file in files):
            faults.append(f"{out / part}: nothing in it")
            continue
        for one in verify_folder(out / part, sample_rate=recordings.SAMPLE_RATE, min_seconds=min_seconds, jobs=jobs):
            seen.add(one.path)
            file = of_path.get(one.path)
            faults += [f"{one.path}: {kind}: {what}" for kind, what in one.faults.items() if kind != "duplicate"]
            if file is None:
                faults.append(f"{one.path}: in no manifest")
                continue
            if "unreadable" not in one.faults and abs(one.seconds - file.seconds) > MAX_DIFFERENCE:
                faults.append(f"{one.path}: {one.seconds:.2f} s, its manifest says {file.seconds:.2f} s")
            original = first.setdefault(one.digest, file) if one.digest else file
            if original.split != file.split:
                faults.append(f"{one.path} ({file.split}): same samples as {original.path} ({original.split})")
            elif original.path != one.path:
                notes.append(f"{one.path}: same samples as {original.path}, both in {file.split}")
    faults += [f"{file.path}: missing" for file in files if file.path not in seen]
    return faults + _check_splits(out, files), notes


def _check_splits(out: Path, files: Iterable[PreparedFile]) -> list[str]:
    """Songs or recordings in two splits, and test packages used for training."""
    splits: dict[tuple[str, str], set[str]] = defaultdict(set)
    for file in files:
        splits[file.source, file.unit].add(file.split)
        if file.path.is_relative_to(out / RECORDINGS):
            splits[file.source, "the package"].add("test" if file.split == "test" else "train or valid")
    return [
        f"{source}: {unit} is in {' and '.join(sorted(names))}"
        for (source, unit), names in sorted(splits.items())
        if len(names) > 1
    ]


def count(files: Iterable[PreparedFile]) -> list[tuple[str, str, str, int, float]]:
    """Rows of source, split, license, number of files and minutes."""
    groups: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for file in files:
        groups[file.source, file.split, file.license].append(file.seconds / 60)
    return [(*key, len(minutes), round(sum(minutes), 2)) for key, minutes in sorted(groups.items())]


def describe_skipped(skipped: Sequence[Skipped]) -> list[str]:
    """A line for each skipped file; sound effects are only counted."""
    effects = sum(one.reason == recordings.SOUND_EFFECT for one in skipped)
    lines = [f"skipped {one.path}: {one.reason}" for one in skipped if one.reason != recordings.SOUND_EFFECT]
    return lines + ([f"skipped {effects} sound effects"] if effects else [])


def write_summary(
    out: Path,
    parts: Sequence[str],
    files: Sequence[PreparedFile],
    skipped: Sequence[Skipped],
    faults: Sequence[str],
    notes: Sequence[str],
) -> None:
    """Write OUT/vocoder_data.json."""
    keys = ("source", "split", "license", "files", "minutes")
    summary = {
        "folders": parts,
        "rows": [dict(zip(keys, row, strict=True)) for row in count(files)],
        "files": len(files),
        "minutes": round(sum(file.seconds for file in files) / 60, 2),
        "skipped": [asdict(one) for one in skipped],
        "notes": notes,
        "faults": faults,
    }
    with atomic_write(out / SUMMARY) as stream:
        stream.write((readable(json.dumps(summary, indent=2, ensure_ascii=False)) + "\n").encode())
