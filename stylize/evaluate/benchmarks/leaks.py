"""Checks that benchmark material is in no training set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data import manifest
from stylize_core.audio.folder import list_audio
from stylize_core.errors import UserError

SEEN_SPLITS = ("train", "valid")
HELD_OUT_FIELD = {"test_groove": "groove", "test_soundfont": "soundfont"}
"""The field whose values training must not have, beside songs, by split."""

Record = Mapping[str, Any]


def read_records(folder: Path) -> Sequence[Record]:
    """The records of a folder's manifest; none if it has no manifest."""
    path = folder / manifest.MANIFEST_NAME
    records = manifest.read_records(path) if path.is_file() else []
    for number, record in enumerate(records, start=1):
        if not all(isinstance(record.get(name), str) for name in ("file", "split")):
            raise UserError(f"{path} line {number} is no record with file and split; make the folder again")
    return records


def find_leaks(records: Sequence[Record], training: Sequence[Record] | None = None) -> list[str]:
    """Describe what held-out records share with training: songs, grooves, soundfonts, sources, original files.

    Args:
        records: of the test manifest.
        training: of the training manifest; None for the same one.
    """
    seen = [record for record in (records if training is None else training) if record["split"] in SEEN_SPLITS]
    held_out = [record for record in records if record["split"] not in SEEN_SPLITS]
    leaks = _shared("file", held_out, seen, lambda record: record["file"]) if training is None else []
    leaks += _shared(
        "song", held_out, seen, _song_identity if training is not None else lambda record: record.get("song")
    )
    for split, field in HELD_OUT_FIELD.items():
        of_split = [record for record in held_out if record["split"] == split]
        leaks += _shared(field, of_split, seen, lambda record, field=field: record.get(field))
    for field in ("source", "original"):
        leaks += _shared(field, held_out, seen, lambda record, field=field: record.get(field))
    return leaks


def _song_identity(record: Record) -> tuple[object, ...] | None:
    """Identity of a song across corpora, whose numbers repeat."""
    if "song" not in record:
        return None
    chords = record.get("chords") or []
    return record["song"], record.get("key"), record.get("tempo"), *chords[:1]


def _shared(kind: str, held_out: Sequence[Record], seen: Sequence[Record], key: Any) -> list[str]:
    known = {value for record in seen if (value := key(record)) is not None}
    leaks: dict[Any, str] = {}
    for record in held_out:
        value = key(record)
        if value in known:
            name = value[0] if isinstance(value, tuple) else value
            leaks.setdefault(value, f"the {kind} {name} of split {record['split']} ({record['file']})")
    return list(leaks.values())


def assert_no_leak(folder: Path, trained_on: Iterable[Path] = ()) -> int:
    """Refuse a corpus or recordings whose held-out records are in training.

    Returns:
        the number of held-out records.

    Raises:
        UserError: a leak, or a broken manifest.
    """
    records = read_records(folder)
    for training in (folder, *(other for other in trained_on if other.resolve() != folder.resolve())):
        if leaks := find_leaks(records, None if training is folder else read_records(training)):
            more = f" (and {len(leaks) - 1} more)" if len(leaks) > 1 else ""
            raise UserError(
                f"{folder} leaks: {leaks[0]}{more} is in the training side of {training} too; "
                "test with what no model saw"
            )
    return sum(record["split"] not in SEEN_SPLITS for record in records)


def assert_unseen_files(files: Sequence[Path], trained_on: Iterable[Path]) -> None:
    """Refuse recordings that are byte-identical to training files of a folder."""
    by_size: dict[int, list[Path]] = {}
    for path in files:
        by_size.setdefault(path.stat().st_size, []).append(path)
    for folder in trained_on:
        for seen in _training_files(folder):
            candidates = by_size.get(seen.stat().st_size, []) if seen.is_file() else []
            for path in candidates:
                if path.samefile(seen) or _digest(path) == _digest(seen):
                    raise UserError(f"{path} leaks: it is {seen}, which is trained on; test with what no model saw")


def _training_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    records = read_records(folder)
    if not records:
        return list_audio(folder)
    return [folder / record["file"] for record in records if record["split"] in SEEN_SPLITS]


def _digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
