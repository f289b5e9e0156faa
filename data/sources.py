"""The audio files of one split of any folder a vocoder learns from: a genre tree, prepared recordings, or anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from data.errors import UserError
from data.folder import index_folder, list_audio
from data.recordings import read_manifest


def list_split(folder: str | Path, split: str) -> list[Path]:
    """Audio files of a split.

    A rendered corpus and GTZAN have their splits by song, prepared recordings theirs by source; in any other folder a
    file belongs to `valid` or `test` by a hash of its name (one in twenty each), else to `train`. Where a folder is
    so small that none fell into `valid` or `test`, the file that came nearest does.

    Args:
        folder: a genre tree, the output of `scripts.prepare_recordings`, or any folder with audio.
        split: `train`, `valid`, `test`, or in a rendered corpus also `test_groove` and `test_soundfont`.

    Raises:
        UserError: the folder is missing or has no audio.
    """
    folder = Path(folder)
    kind = _manifest_kind(folder)
    if kind == "recordings":
        return sorted(folder / entry.file for entry in read_manifest(folder).values() if entry.split == split)
    if kind == "corpus":
        return [clip.path for clip in index_folder(folder) if clip.split == split]
    try:
        return [clip.path for clip in index_folder(folder) if clip.split == split]
    except UserError:
        return _split_by_name(folder, list_audio(folder), split)


def list_splits(folders: Sequence[str | Path], split: str) -> list[Path]:
    """Audio files of a split of several folders, see :func:`list_split`.

    Raises:
        UserError: none of the folders has any.
    """
    files = [path for folder in folders for path in list_split(folder, split)]
    if not files:
        raise UserError(f"no audio of split {split!r} in {', '.join(map(str, folders))}")
    return files


def _manifest_kind(folder: Path) -> str | None:
    manifest = folder / "manifest.jsonl"
    if not manifest.is_file():
        return None
    with manifest.open(encoding="utf-8") as stream:
        first = stream.readline()
    try:
        return "corpus" if "genre" in dict(json.loads(first or "{}")) else "recordings"
    except (ValueError, TypeError):
        raise UserError(f"{manifest} is damaged: its first line is no JSON; make the folder again") from None


def _split_by_name(folder: Path, paths: Sequence[Path], split: str) -> list[Path]:
    hashes = {
        path: int(hashlib.sha256(path.relative_to(folder).as_posix().encode()).hexdigest(), 16) for path in paths
    }
    splits = {path: {0: "test", 1: "valid"}.get(number % 20, "train") for path, number in hashes.items()}
    for wanted in ("valid", "test"):
        spare = [path for path in paths if splits[path] == "train"]
        if wanted not in splits.values() and len(spare) > 1:
            splits[min(spare, key=hashes.__getitem__)] = wanted
    return [path for path in paths if splits[path] == split]
