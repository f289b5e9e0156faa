"""Index folders of recordings: GTZAN, GTZAN-shaped trees, rendered corpora and plain folders."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data.errors import UserError
from data.gtzan_split import GENRES, GTZAN_SPLIT, UNREADABLE

__all__ = [
    "AUDIO_SUFFIXES",
    "GENRES",
    "Clip",
    "existing_folder",
    "find_genre_root",
    "index_folder",
    "is_hidden",
    "list_audio",
    "walk_audio",
]

logger = logging.getLogger(__name__)

AUDIO_SUFFIXES: frozenset[str] = frozenset(
    {".wav", ".au", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"}
)
"""Endings of files that are taken for audio, in lower case."""

MANIFEST_NAME = "manifest.jsonl"
LAYOUTS = ("Data/genres_original", "genres_original", "genres", ".")
"""Where the genre folders lie below the folder that was given; the first that holds audio counts."""

_NUMBERED = re.compile(r"(?P<genre>.+)\.(?P<song>\d{5})")


@dataclass(frozen=True)
class Clip:
    """One recording of a genre.

    Args:
        path: the audio file.
        genre: name of its genre, which is its style.
        song: what it plays: NNNNN of `GENRE.NNNNN.wav`, else its name inside the genre's folder. Clips of
            several genres play the same song when they share this, but only in a rendered corpus.
        split: train, valid or test; in a rendered corpus also test_groove or test_soundfont.
    """

    path: Path
    genre: str
    song: str
    split: str


def walk_audio(root: Path) -> Iterator[Path]:
    """Every file below a folder whose name ends like audio, hidden ones too; links are followed."""
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in files:
            path = Path(folder, name)
            if path.suffix.lower() in AUDIO_SUFFIXES:
                yield path


def list_audio(root: Path) -> list[Path]:
    """The recordings in a folder and all folders below it, sorted; hidden files and folders are left out.

    Raises:
        UserError: the folder is missing, not a folder, or holds no audio.
    """
    root = existing_folder(root)
    paths = sorted(path for path in walk_audio(root) if not is_hidden(path.relative_to(root)))
    if not paths:
        raise UserError(f"no audio in {root}: expected files ending in {', '.join(sorted(AUDIO_SUFFIXES))}")
    return paths


def is_hidden(relative: Path) -> bool:
    """Whether a path inside a data set is a dot-file, such as macOS leaves (`._NAME`), or below one."""
    return any(part.startswith(".") or part == "__MACOSX" for part in relative.parts)


def find_genre_root(root: Path) -> Path:
    """The folder whose subfolders are the genres, for every layout in which GTZAN is unpacked.

    Raises:
        UserError: the folder is missing, or holds no audio in genre folders.
    """
    root = existing_folder(root)
    for layout in LAYOUTS:
        candidate = root / layout
        if candidate.is_dir() and any(_clip_paths(candidate)):
            return candidate
    loose = sum(1 for path in walk_audio(root) if not is_hidden(path.relative_to(root)))
    found = f"{loose} audio files but no genre folders" if loose else "no audio"
    raise UserError(f"{found} in {root}: expected a tree such as {root}/jazz/jazz.00000.wav")


def index_folder(root: Path, *, seed: int = 0) -> list[Clip]:
    """List the clips of a folder tree `GENRE/...` with their splits, sorted by path.

    Splits come from `manifest.jsonl` where the corpus renderer left one, from GTZAN's fault-filtered lists
    when the files are named as GTZAN's (files in no list and the unreadable `jazz.00054` are left out), and
    else from a hash of each file's name: 80 % train, 10 % valid, 10 % test, always whole files.

    Args:
        root: the folder with the genre folders, or one above it (`genres/`, `Data/genres_original/`).
        seed: changes the split by hash, and only that.

    Raises:
        UserError: no such folder, no audio in genre folders, or a broken manifest.
    """
    genre_root = find_genre_root(root)
    paths = sorted(_clip_paths(genre_root))
    for manifest in dict.fromkeys((genre_root / MANIFEST_NAME, Path(root) / MANIFEST_NAME)):
        if manifest.is_file():
            return _index_corpus(paths, genre_root, manifest)
    if _is_gtzan(paths, genre_root):
        return _index_gtzan(paths, genre_root)
    return _index_by_hash(paths, genre_root, seed)


def existing_folder(root: Path) -> Path:
    """The path itself; UserError where it is no folder."""
    root = Path(root)
    if not root.exists():
        raise UserError(f"no such folder: {root}")
    if not root.is_dir():
        raise UserError(f"{root} is a file: expected a folder with audio files")
    return root


def _clip_paths(genre_root: Path) -> Iterator[Path]:
    for path in walk_audio(genre_root):
        relative = path.relative_to(genre_root)
        if len(relative.parts) > 1 and not is_hidden(relative):
            yield path


def _clip(path: Path, genre_root: Path, split: str = "") -> Clip:
    relative = path.relative_to(genre_root)
    genre = relative.parts[0]
    numbered = _NUMBERED.fullmatch(path.stem)
    inside = relative.relative_to(genre).with_suffix("").as_posix()
    return Clip(path, genre, numbered["song"] if numbered else inside, split)


def _gtzan_name(path: Path, genre_root: Path) -> str | None:
    """`GENRE.NNNNN` of a file that can be one of GTZAN's thousand, else None."""
    numbered = _NUMBERED.fullmatch(path.stem)
    genre = path.relative_to(genre_root).parts[0]
    if not numbered or numbered["genre"] != genre or genre not in GENRES or int(numbered["song"]) > 99:
        return None
    return path.stem


def _is_gtzan(paths: Sequence[Path], genre_root: Path) -> bool:
    """Whether most files carry GTZAN's names: parts of it or a few stray files do not matter."""
    return 2 * sum(_gtzan_name(path, genre_root) is not None for path in paths) > len(paths)


def _index_gtzan(paths: Sequence[Path], genre_root: Path) -> list[Clip]:
    split_of = {name: split for split, names in GTZAN_SPLIT.items() for name in names}
    clips: list[Clip] = []
    strays: list[Path] = []
    for path in paths:
        name = _gtzan_name(path, genre_root)
        if name is None:
            strays.append(path)
        elif name in split_of and name not in UNREADABLE:
            clips.append(_clip(path, genre_root, split_of[name]))
    _warn_left_out(strays, "not named as GTZAN's files are")
    if not clips:
        raise UserError(f"no file in {genre_root} is in GTZAN's fault-filtered lists")
    logger.info("%s: %d clips with GTZAN's fault-filtered split", genre_root, len(clips))
    return clips


def _read_manifest(manifest: Path) -> dict[Path, str]:
    """Split of each file that a manifest lists; a last line cut off by an interruption is passed over."""
    listed: dict[Path, str] = {}
    try:
        lines = manifest.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{manifest} cannot be read as text: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            listed[manifest.parent / entry["file"]] = str(entry["split"])
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and isinstance(error, json.JSONDecodeError):
                break
            raise UserError(
                f"line {number} of {manifest} is no JSON object with file and split: {error}"
            ) from error
    return listed


def _index_corpus(paths: Sequence[Path], genre_root: Path, manifest: Path) -> list[Clip]:
    """Splits from the manifest; a file it does not list joins the split of its song, or is left out."""
    listed = _read_manifest(manifest)
    splits_of_song: dict[str, set[str]] = {}
    for path, split in listed.items():
        if genre_root in path.parents:
            splits_of_song.setdefault(_clip(path, genre_root).song, set()).add(split)
    clips: list[Clip] = []
    strays: list[Path] = []
    for path in paths:
        clip = _clip(path, genre_root)
        splits = {listed[path]} if path in listed else splits_of_song.get(clip.song, set())
        if len(splits) == 1:
            clips.append(replace(clip, split=next(iter(splits))))
        else:
            strays.append(path)
    missing = len(listed.keys() - set(paths))
    if missing:
        logger.warning("%s: %d files of the manifest are missing", manifest, missing)
    _warn_left_out(strays, f"not in {manifest}")
    if not clips:
        raise UserError(
            f"{manifest} lists no file that exists: render the corpus again or remove the manifest"
        )
    return clips


def _index_by_hash(paths: Sequence[Path], genre_root: Path, seed: int) -> list[Clip]:
    """Split by a hash of `GENRE/NAME` without its ending: converted or added files change no other's split.

    Folders so small that a split stayed empty give it the training file (then the validation file) that came
    nearest.
    """
    clips = [_clip(path, genre_root) for path in paths]
    places = [_hash_place(path.relative_to(genre_root).with_suffix("").as_posix(), seed) for path in paths]
    splits = ["train" if place < 0.8 else "valid" if place < 0.9 else "test" for place in places]
    for wanted in ("train", "valid", "test")[: len(clips)]:
        if wanted not in splits:
            crowded = max(("train", "valid", "test"), key=splits.count)
            candidates = [index for index, split in enumerate(splits) if split == crowded]
            chosen = max(candidates, key=lambda index: places[index])
            splits[chosen] = wanted
    logger.info("%s: %d clips, split by a hash of their names", genre_root, len(clips))
    return [replace(clip, split=split) for clip, split in zip(clips, splits, strict=True)]


def _hash_place(name: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _warn_left_out(paths: Sequence[Path], reason: str) -> None:
    if paths:
        logger.warning("%d files left out, %s; the first: %s", len(paths), reason, paths[0])
