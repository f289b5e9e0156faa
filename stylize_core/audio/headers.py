"""What an audio file holds: its container, and the streams of sound in it, in order."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stylize_core.audio.chunks import RUBBISH, scan_au, scan_chunks
from stylize_core.audio.flac import scan_flac
from stylize_core.audio.kinds import damaged, foreign_kind, not_audio
from stylize_core.audio.mp3 import begins_frames, scan_mp3
from stylize_core.audio.ogg import scan_ogg
from stylize_core.audio.streams import BEGINNING, Data, Stream, container_at, skip_tags, skip_zeros
from stylize_core.errors import UserError
from stylize_core.names import not_there

_MP3_SUFFIXES = (".mp3", ".mp2", ".mp1", ".mpga")
_KIND_BYTES = 1024
_SCANS = {None: scan_mp3, "OGG": scan_ogg, "FLAC": scan_flac, "AU": scan_au}  # others: scan_chunks
_SEARCH_BYTES = 2**24  # how far behind a tag with a wrong size to look for what the file holds


def container_of(path: Path) -> str:
    """Tell a file's container by its first bytes after any tags: WAV, W64, AIFF, AU, CAF, FLAC, OGG or MP3.

    Raises:
        UserError: missing, a folder, unreadable, empty, or none of these.
    """
    with _mapped(path) as data:
        return container_at(data, _beginning(data, path)) or "MP3"


def find_streams(path: Path) -> list[Stream]:
    """The streams of sound in a file; nearly always one. Nothing is decoded.

    Raises:
        UserError: as `container_of`; also cut off, damaged, or followed by unknown data that may be sound.
    """
    with _mapped(path) as data:
        streams: list[Stream] = []
        position, end = _beginning(data, path), len(data)
        while position < end:
            if streams and container_at(data, position) is None and not begins_frames(data, position, end):
                if end - position >= RUBBISH:
                    raise damaged(path, f"{end - position} unknown bytes follow the sound")
                break
            scan = _SCANS.get(container_at(data, position), scan_chunks)
            found, position = scan(data, position, end, path)
            streams += found
            position = skip_tags(data, skip_zeros(data, position, end), end)
        if not streams:
            start = skip_tags(data, 0, end)
            raise not_audio(path, data[start : start + _KIND_BYTES],
                            "is not audio that can be read: no MP3 frames in it")  # fmt: skip
        whole = ((0, end),)
        return [Stream(one.container, (), one.slack, one.note) if one.pieces == whole else one for one in streams]


@contextmanager
def _mapped(path: Path) -> Iterator[Data]:
    """The bytes of a regular file that is not empty."""
    if path.is_dir():
        raise UserError(f"{path} is a folder, expected an audio file")
    if not path.exists():
        raise UserError(not_there(path))
    if not path.is_file():
        raise UserError(f"{path} is not a regular file")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty (0 bytes)")
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    with file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _beginning(data: Data, path: Path) -> int:
    """Offset where the sound begins, after tags, even where a tag has a wrong size."""
    end = len(data)
    start = skip_tags(data, 0, end)
    if container_at(data, start) is not None or begins_frames(data, start, end):
        return start
    kind = foreign_kind(data[start : start + _KIND_BYTES])
    is_tagged = data[:3] == b"ID3"
    is_mp3 = is_tagged or path.suffix.lower() in _MP3_SUFFIXES or (data[0] == 0xFF and data[1:2] >= b"\xe0")
    if kind or not is_mp3:
        raise not_audio(path, data[start : start + _KIND_BYTES])
    if is_tagged:
        marks = (mark.start() for mark in BEGINNING.finditer(data, 10, min(end, _SEARCH_BYTES)))
        return next((mark for mark in marks if container_at(data, mark) is not None), 10)
    return start
