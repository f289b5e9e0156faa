"""What an audio file says about itself: which container it is, and whether all it announces is there.

libsndfile quietly shortens a wav, au, aiff or ogg file whose end is missing to what is left of it, so a cut
download would pass for a short song. The containers themselves tell: by a size field or an end mark.
"""

from __future__ import annotations

import os
import shlex
import struct
from pathlib import Path
from typing import BinaryIO

from data.errors import UserError

READABLE_FORMATS = "wav, flac, ogg, opus, mp3, au, aiff"

# Some writers count their own header into the data size: that much may be missing without harm.
_SIZE_SLACK = 128
_OGG_PAGE_LIMIT = 65536  # the largest page has 65307 bytes
_OGG_END_OF_STREAM = 0x04


def container_of(path: Path) -> str:
    """Tell a file's container by its first bytes: WAV, AIFF, AU, FLAC, OGG or MP3.

    Raises:
        UserError: missing, a folder, unreadable, empty, or none of these.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder, expected an audio file")
    if not path.exists():
        raise UserError(f"{path} does not exist")
    if not path.is_file():
        raise UserError(f"{path} is not a regular file")
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if not start:
        raise UserError(f"{path} is empty (0 bytes)")
    if start[:4] in (b"RIFF", b"RIFX", b"RF64") and start[8:12] == b"WAVE":
        return "WAV"
    if start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF"
    by_magic = {b".snd": "AU", b"dns.": "AU", b"fLaC": "FLAC", b"OggS": "OGG"}
    if start[:4] in by_magic:
        return by_magic[start[:4]]
    is_frame = start[0] == 0xFF and len(start) > 1 and start[1] & 0xE0 == 0xE0
    if start[:3] == b"ID3" or is_frame or path.suffix.lower() == ".mp3":
        return "MP3"
    raise UserError(
        f"{path} is not audio that can be read (expected {READABLE_FORMATS}); "
        f"convert it first, for example: ffmpeg -i {shlex.quote(str(path))} song.wav"
    )


def check_complete(path: Path, container: str) -> None:
    """Refuse a file whose own header shows that its end is missing. Nothing is decoded.

    FLAC has nothing to check here, a missing end shows up in decoding; for MP3 see `data.mp3`.

    Raises:
        UserError: the end of the file is missing.
    """
    with path.open("rb") as file:
        file_size = os.fstat(file.fileno()).st_size
        if container == "OGG":
            if not _ogg_ends_properly(file, file_size):
                raise cut_off(path, "the mark at the end of the Ogg stream is missing")
            return
        sizes = {"WAV": _riff_data, "AIFF": _aiff_data, "AU": _au_data}.get(container, _no_data)(file)
    if sizes is None:
        return
    data_start, declared = sizes
    available = max(0, file_size - data_start)
    if not _is_placeholder(declared) and declared - available > _SIZE_SLACK:
        raise cut_off(path, f"{available} of {declared} bytes of audio are there")


def cut_off(path: Path, finding: str) -> UserError:
    """The error for a file whose end is missing; `finding` says how that was seen."""
    return UserError(
        f"{path} is cut off: {finding}; get the whole file, "
        f"or keep what is there with: ffmpeg -i {shlex.quote(str(path))} fixed{path.suffix}"
    )


def _is_placeholder(size: int) -> bool:
    """Whether a size field was never filled in, as in files written to a pipe."""
    return size == 0 or 0x7FFFF000 <= size <= 0x7FFFFFFF or 0xFFFFF000 <= size <= 0xFFFFFFFF


def _no_data(file: BinaryIO) -> None:
    """A container without a size field."""


def _riff_data(file: BinaryIO) -> tuple[int, int] | None:
    """Start and declared size of a wav file's data; RF64 keeps the size in a chunk of its own (EBU 3306)."""
    kind = file.read(12)[:4]
    size_format = ">I" if kind == b"RIFX" else "<I"
    long_size: int | None = None
    while len(chunk := file.read(8)) == 8:
        (size,) = struct.unpack(size_format, chunk[4:])
        if chunk[:4] == b"data":
            return file.tell(), long_size if long_size is not None and size == 0xFFFFFFFF else size
        if chunk[:4] == b"ds64":
            sizes = file.read(16)
            if len(sizes) == 16:
                long_size = struct.unpack("<Q", sizes[8:])[0]
            file.seek(-len(sizes), os.SEEK_CUR)
        file.seek(size + size % 2, os.SEEK_CUR)
    return None


def _aiff_data(file: BinaryIO) -> tuple[int, int] | None:
    """Start and declared size of an AIFF file's sound chunk."""
    file.seek(12)
    while len(chunk := file.read(8)) == 8:
        (size,) = struct.unpack(">I", chunk[4:])
        if chunk[:4] == b"SSND":
            return file.tell(), size
        file.seek(size + size % 2, os.SEEK_CUR)
    return None


def _au_data(file: BinaryIO) -> tuple[int, int] | None:
    """Start and declared size of the samples in an au file, big-endian or little-endian."""
    header = file.read(12)
    if len(header) < 12:
        return None
    start, size = struct.unpack(">II" if header[:4] == b".snd" else "<II", header[4:])
    return start, size


def _ogg_ends_properly(file: BinaryIO, file_size: int) -> bool:
    """Whether the last Ogg page is complete and marked as the end of its stream (RFC 3533 section 6)."""
    file.seek(max(0, file_size - 2 * _OGG_PAGE_LIMIT))
    tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0 or len(tail) < page + 27:
        return False
    flags, segments = tail[page + 5], tail[page + 26]
    segment_sizes = tail[page + 27 : page + 27 + segments]
    page_end = page + 27 + segments + sum(segment_sizes)
    is_complete = len(segment_sizes) == segments and page_end <= len(tail)
    return is_complete and bool(flags & _OGG_END_OF_STREAM)
