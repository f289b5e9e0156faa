"""Proof that what a benchmark is made of was in no training: songs, grooves, soundfonts, sources, files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data.manifest import MANIFEST_NAME
from stylize_core.audio.folder import list_audio
from stylize_core.errors import UserError
from stylize_core.plain import one_line, parse_json, read_lines

SEEN_SPLITS = ("train", "valid")
"""What models learn from, and what is validated on while they do."""
HELD_OUT_FIELD = {"test_groove": "groove", "test_soundfont": "soundfont"}
"""What a split has that no training has, beside its songs."""

Record = Mapping[str, Any]


def read_records(folder: Path) -> list[Record]:
    """The lines of a folder's manifest; none where it has no manifest."""
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return []
    records = []
    try:
        lines = read_lines(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({one_line(error)}); make the folder again") from None
    for number, line in enumerate(lines, start=1):
        try:
            record = parse_json(line)
            complete = all(isinstance(record[name], str) for name in ("file", "split"))
        except (ValueError, TypeError, LookupError):
            complete = False
        if not complete:
            raise UserError(f"{path} line {number} is no record with file and split; make the folder again")
        records.append(record)
    return records


def find_leaks(records: Sequence[Record], training: Sequence[Record] | None = None) -> list[str]:
    """What held-out records share with training, each as a clause; none where nothing leaks.

    Every song of a held-out split must be unseen, every groove of `test_groove`, every soundfont of `test_soundfont`,
    and of recordings every source and every original file.

    Args:
        records: of the manifest that is tested with.
        training: of another manifest that was trained on; None for the same one.
    """
    seen = [record for record in (records if training is None else training) if record["split"] in SEEN_SPLITS]
    held_out = [record for record in records if record["split"] not in SEEN_SPLITS]
    leaks = _shared("file", held_out, seen, lambda record: record["file"]) if training is None else []
    of_song = _song_number if training is None else _song_identity
    leaks += _shared("song", held_out, seen, of_song)
    for split, field in HELD_OUT_FIELD.items():
        of_split = [record for record in held_out if record["split"] == split]
        leaks += _shared(field, of_split, seen, lambda record, field=field: record.get(field))
    leaks += _shared("source", held_out, seen, lambda record: record.get("source"))
    leaks += _shared("original", held_out, seen, lambda record: record.get("original"))
    return leaks


def _song_number(record: Record) -> str | None:
    return record.get("song")


def _song_identity(record: Record) -> tuple[object, ...] | None:
    """A song in any corpus: numbers start again with every seed, so key, tempo and the first bar belong to it."""
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
    """Refuse a corpus, or recordings, whose held-out side is in training.

    Returns:
        how many held-out records were compared.

    Raises:
        UserError: something leaks; the first case is named. A broken manifest.
    """
    records = read_records(folder)
    _refuse(folder, folder, find_leaks(records))
    for other in trained_on:
        if other.resolve() != folder.resolve():
            _refuse(folder, other, find_leaks(records, read_records(other)))
    return sum(record["split"] not in SEEN_SPLITS for record in records)


def _refuse(folder: Path, training: Path, leaks: Sequence[str]) -> None:
    if leaks:
        more = f" (and {len(leaks) - 1} more)" if len(leaks) > 1 else ""
        raise UserError(
            f"{folder} leaks: {leaks[0]}{more} is in the training side of {training} too; test with what no model saw"
        )


def assert_unseen_files(files: Sequence[Path], trained_on: Iterable[Path]) -> None:
    """Refuse recordings of the user's own that are, byte by byte, files of the training side of a folder."""
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
