"""Files and folders that appear complete under their name, or not at all, and checks whether they can be written.

An unfinished one is `.unfinished-HOST-PID-RANDOM.SUFFIX` beside it, locked by its process. The system releases the
lock when the process ends, so leftovers are recognized, and removed when the folder is next written to.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stylize_core.errors import UserError

try:
    import fcntl
except ImportError:  # no POSIX: no locks, and abandoned files stay
    fcntl = None  # type: ignore[assignment]

_UNFINISHED = re.compile(r"\.unfinished-(?P<host>[0-9a-f]{8})-[0-9]+-[0-9a-f]{12}(\.[^.]*)?")


@contextlib.contextmanager
def atomic_path(path: Path, force: bool = True) -> Iterator[Path]:
    """An empty file beside `path`, which takes its name when the block ends without an exception.

    Raises:
        UserError: the disk is full or fails; the file exists by then and `force` is not set.
    """
    with disk_errors(path), unfinished_file(path.parent, path.suffix) as temporary:
        yield temporary
        with temporary.open("rb") as finished:
            os.fsync(finished.fileno())
        if path.exists() and not force:
            raise UserError(f"{path} has appeared meanwhile; use --force to replace it")
        os.replace(temporary, path)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary stream to a file that takes the name `path` when the block ends; errors as :func:`atomic_path`."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        yield stream


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`, which takes its place when the block ends; errors as :func:`atomic_path`."""
    path = path.absolute()
    with disk_errors(path), unfinished_file(path.parent, is_folder=True) as temporary:
        yield temporary
        old = temporary.with_name(f"{temporary.name}-old")
        if path.is_dir():
            path.rename(old)
        try:
            temporary.rename(path)
        except OSError:
            if old.is_dir():
                old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def unfinished_file(folder: Path, suffix: str = "", is_folder: bool = False) -> Iterator[Path]:
    """An empty hidden file or folder in a folder, removed when the block ends unless it was moved away."""
    _remove_abandoned_once(folder.absolute())
    path, lock = _create(folder, suffix, is_folder)
    try:
        yield path
    finally:
        _remove(path)
        if lock is not None:
            os.close(lock)


def remove_abandoned(folder: Path) -> None:
    """Remove what ended processes of this machine left unfinished in a folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = _UNFINISHED.fullmatch(entry.name)
            if name is not None and name["host"] == _host() and not entry.is_symlink():
                _remove_unless_locked(Path(entry.path))


_remove_abandoned_once = functools.lru_cache(maxsize=64)(remove_abandoned)


def _remove_unless_locked(path: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            if _lock(handle) is True:
                _remove(path)
        finally:
            os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _create(folder: Path, suffix: str, is_folder: bool) -> tuple[Path, int | None]:
    """A new file, and a handle that keeps it locked; None where files cannot be locked."""
    while True:
        path = folder / f".unfinished-{_host()}-{os.getpid()}-{secrets.token_hex(6)}{suffix}"
        if is_folder:
            path.mkdir()
        else:
            path.touch(exist_ok=False)
        if fcntl is None:
            return path, None
        try:
            handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        except FileNotFoundError:  # removed as abandoned before it was locked
            continue
        if _lock(handle) is not False and path.exists():
            return path, handle
        os.close(handle)


def _lock(handle: int) -> bool | None:
    """Lock an open file; False where another process has it, None where files cannot be locked."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _host() -> str:
    """Eight digits for this machine: on a shared disk each knows its own processes only."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the operating system while a file is written into one line for the user."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"disk full while writing {path}; free some space or use another disk") from error
        if error.errno == errno.EFBIG:
            raise UserError(f"{path} becomes too large for its disk; use another disk or format") from error
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error


def check_output_file(path: Path, force: bool = False) -> None:
    """Refuse a path to which a file cannot be written; leaves no trace.

    Raises:
        UserError: a folder, no regular file, write-protected, exists without `force`; a parent that is missing or not
            writable.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder, expected the name of a file to write")
    check_writable(path.absolute().parent)
    if path.exists():
        if not path.is_file():
            raise UserError(f"{path} is not a regular file, choose another name")
        if not force:
            raise UserError(f"{path} exists already; choose another name or use --force to replace it")
        if not os.access(path, os.W_OK):
            raise UserError(f"{path} exists and is write-protected; choose another name")


def check_output_folder(path: Path, force: bool = False, mark: str | None = None) -> None:
    """Refuse a path to which a folder cannot be written; leaves no trace.

    Args:
        path: the folder.
        force: whether an existing one may be replaced.
        mark: a file that the existing one must have to be replaced.

    Raises:
        UserError: a file or a link; not empty without `force` or the mark; a parent that is missing or not writable.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UserError(f"{path} is not a folder; give a new one with -o")
    check_writable(path.absolute().parent)
    if path.is_dir() and any(path.iterdir()):
        if not force:
            raise UserError(f"the folder {path} exists and is not empty; choose another one or use --force")
        if mark is not None and not (path / mark).is_file():
            raise UserError(f"{path} has no {mark}, so --force does not replace it; choose another folder")


def check_writable(folder: Path) -> None:
    """Refuse a folder that is missing, or in which nothing can be written."""
    if not folder.is_dir():
        raise UserError(f"the folder {folder} does not exist; create it first: mkdir -p {shlex.quote(str(folder))}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"the folder {folder} is not writable; choose another one")
