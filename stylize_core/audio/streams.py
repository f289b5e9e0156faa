"""Streams of sound in a file, each presented to a decoder as a clean file of its own, and the tags around them.

A file may hold several streams (joined MP3s, chained Ogg), tags anywhere, or a header whose sizes are wrong. A
:class:`Stream` lists the parts of the file that belong to it, with corrected headers as literal bytes.
"""

from __future__ import annotations

import bisect
import functools
import io
import itertools
import mmap
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Piece = bytes | tuple[int, int]
"""Literal bytes, or the bytes from one offset of the file up to another."""

W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_ZEROS_AT_A_TIME = 2**16

BEGINNING = re.compile(
    rb"RIFF|RIFX|RF64|BW64|riff\x2e\x91|FORM|fLaC[\x00\x80]\x00\x00\x22|OggS\x00\x02|caff\x00\x01|\.snd|dns\."
)
"""What the containers begin with; `container_at` is surer of it."""

Data = mmap.mmap | bytes
"""A mapped file; bytes serve too."""


@dataclass(frozen=True)
class Stream:
    """One stream of sound in a file.

    Args:
        container: its format: WAV, W64, AIFF, AU, CAF, FLAC, OGG or MP3.
        pieces: the parts of the file it consists of, in order; empty for the whole file.
        slack: samples per channel by which a complete stream may decode to fewer than it announces.
        note: what is unusual about it, for the log.
        least: samples per channel that it decodes to at least.
    """

    container: str
    pieces: tuple[Piece, ...] = ()
    slack: int = 0
    note: str = ""
    least: int = 0


def piece_size(piece: Piece) -> int:
    """Bytes of a piece."""
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]


def append_piece(pieces: list[Piece], start: int, stop: int) -> None:
    """Add a part of the file to a list, where it may go on from the last one."""
    previous = pieces[-1] if pieces else b""
    if isinstance(previous, tuple) and previous[1] == start:
        pieces[-1] = (previous[0], stop)
    else:
        pieces.append((start, stop))


class StreamFile(io.RawIOBase):
    """The pieces of a stream as a read-only file, which never raises while a decoder reads from it."""

    def __init__(self, path: Path, pieces: Sequence[Piece]) -> None:
        self._file = path.open("rb", buffering=0)
        self._pieces = pieces
        self._starts = list(itertools.accumulate(map(piece_size, pieces), initial=0))
        self._position = 0

    def close(self) -> None:
        """Close the underlying file too."""
        self._file.close()
        super().close()

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The current offset."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset; return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer; return the number of bytes read."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and self._position < self._starts[-1]:
            index = bisect.bisect_right(self._starts, self._position) - 1
            piece, offset = self._pieces[index], self._position - self._starts[index]
            wanted = min(len(view) - filled, self._starts[index + 1] - self._position)
            count = self._copy(piece, offset, view[filled : filled + wanted])
            if count == 0:  # the file was truncated meanwhile, or cannot be read
                break
            filled += count
            self._position += count
        return filled

    def _copy(self, piece: Piece, offset: int, target: memoryview) -> int:
        if isinstance(piece, bytes):
            target[:] = piece[offset : offset + len(target)]
            return len(target)
        try:
            self._file.seek(piece[0] + offset)
            return self._file.readinto(target) or 0
        except OSError:
            return 0


def synchsafe(digits: bytes) -> int:
    """A number of seven bits per byte, as ID3 has them."""
    return functools.reduce(lambda value, byte: value << 7 | byte, digits, 0)


def skip_zeros(data: Data, position: int, end: int) -> int:
    """Offset of the first nonzero byte from `position` on, or the end."""
    while position < end:
        part = data[position : min(end, position + _ZEROS_AT_A_TIME)]
        if kept := len(part.lstrip(b"\0")):
            return position + len(part) - kept
        position += len(part)
    return end


def skip_tags(data: Data, position: int, end: int) -> int:
    """Offset after the ID3, APE and Lyrics3 tags at `position`, in any order, and the zeros after them."""
    while (after := _end_of_tag(data, position, end)) > position:
        position = skip_zeros(data, min(after, end), end)
    return position


def _end_of_tag(data: Data, position: int, end: int) -> int:
    """Offset after the tag that starts at `position`; `position` where none does."""
    head = data[position : position + 16]
    if head[:3] in (b"ID3", b"3DI") and len(head) >= 10 and max(head[6:10]) < 0x80 and head[3] != 0xFF:
        return position + 10 + (synchsafe(head[6:10]) if head[:3] == b"ID3" else 0)
    if head[:8] == b"APETAGEX" and len(data[position : position + 32]) == 32:
        is_header = data[position + 23] & 0x20
        return position + 32 + (int.from_bytes(head[12:16], "little") if is_header else 0)
    if head[:4] == b"TAG+" and data[position + 227 : position + 230] == b"TAG":
        return position + 227
    if head[:3] == b"TAG" and position + 128 <= end:
        return position + 128
    if head[:11] == b"LYRICSBEGIN":
        for mark in (b"LYRICS200", b"LYRICSEND"):
            if (found := data.find(mark, position, min(end, position + 2**20))) >= 0:
                return found + len(mark)
    return position


def end_before_tags(data: Data, end: int) -> int:
    """Offset of the ID3v1, APE and ID3v2.4 tags at the end of a file; `end` where there are none."""
    while True:
        before = end
        if data[max(0, end - 128) : max(0, end - 125)] == b"TAG":
            end -= 128
        if data[max(0, end - 32) : max(0, end - 24)] == b"APETAGEX":
            footer = data[end - 32 : end]
            has_header = footer[23] & 0x80
            end -= int.from_bytes(footer[12:16], "little") + (32 if has_header else 0)
        if data[max(0, end - 10) : max(0, end - 7)] == b"3DI":
            end -= 20 + synchsafe(data[end - 4 : end])
        if end <= 0:
            return before
        if end == before:
            return end


_MAGIC = {b".snd": "AU", b"dns.": "AU", b"fLaC": "FLAC", b"OggS": "OGG", b"caff": "CAF"}


def container_at(data: Data, position: int) -> str | None:
    """The container that begins at an offset; None for none, and for MP3, which has no magic bytes."""
    start = data[position : position + 16]
    if start[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and start[8:12] == b"WAVE":
        return "WAV"
    if start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF"
    if start == W64_RIFF:
        return "W64"
    return _MAGIC.get(start[:4])
