"""Find the audio files below a folder."""

from __future__ import annotations

import logging
import os
import shlex
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from stylize_core.audio.kinds import READABLE_SUFFIXES, UNREADABLE_SUFFIXES
from stylize_core.errors import UserError
from stylize_core.names import not_there

logger = logging.getLogger(__name__)


def list_audio(root: Path) -> list[Path]:
    """The recordings in a folder and its subfolders, sorted, without hidden ones; UserError where there are none."""
    root = existing_folder(root)
    paths = sorted(path for path in walk_audio(root) if not is_hidden(path.relative_to(root)))
    if not paths:
        raise no_audio(root, f"expected files ending in {', '.join(sorted(READABLE_SUFFIXES))}")
    warn_of_unreadable(root)
    return paths


def walk_audio(root: Path) -> Iterator[Path]:
    """Every file below a folder whose name ends like audio, hidden ones too; links are followed."""
    return (path for path in _walk(root) if path.suffix.lower() in READABLE_SUFFIXES)


def loose_files(folder: Path) -> list[Path]:
    """Audio files right in a folder, sorted, without those in the folders below it."""
    names = [path for path in folder.iterdir() if path.suffix.lower() in READABLE_SUFFIXES]
    return sorted(path for path in names if path.is_file() and not is_hidden(path.relative_to(folder)))


def existing_folder(root: Path) -> Path:
    """The path itself; UserError where it is not a folder."""
    root = Path(root)
    if not root.exists():
        raise UserError(not_there(root) if root.is_symlink() else f"no such folder: {root}")
    if not root.is_dir():
        raise UserError(f"{root} is a file: expected a folder with audio files")
    return root


def is_hidden(relative: Path) -> bool:
    """Whether a path inside a dataset is a dot-file, such as macOS leaves (`._NAME`), or below one."""
    return any(part.startswith(".") or part == "__MACOSX" for part in relative.parts)


def no_audio(root: Path, expected: str) -> UserError:
    """The error for a folder without audio; names audio in it that cannot be read."""
    return UserError(f"no audio in {root}: {_unreadable_music(root) or expected}")


def warn_of_unreadable(root: Path) -> None:
    """Warn once of the files below a folder that look like music and are skipped."""
    if finding := _unreadable_music(root):
        say_once(logging.WARNING, f"skipped: {finding}")


@lru_cache(maxsize=1024)
def say_once(level: int, message: str) -> None:
    """Log a message, the same only once."""
    logger.log(level, "%s", message)


def _walk(root: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(folder, name) for name in files)


def _unreadable_music(root: Path) -> str:
    """How many files look like music but cannot be read, and what to do; empty for none."""
    paths = sorted(
        path for path in _walk(root)
        if path.suffix.lower() in UNREADABLE_SUFFIXES and not is_hidden(path.relative_to(root))
    )  # fmt: skip
    if not paths:
        return ""
    counts = Counter(path.suffix.lower() for path in paths)
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
    first = paths[0]
    command = f"ffmpeg -i {shlex.quote(str(first))} {shlex.quote(str(first.with_suffix('.flac')))}"
    count = "1 file" if len(paths) == 1 else f"{len(paths)} files"
    return f"{count} in {root} cannot be read ({kinds}); convert each first, for example: {command}"
