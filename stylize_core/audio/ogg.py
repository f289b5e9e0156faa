"""Ogg pages: the streams in a file, consecutive (chained) or simultaneous (multiplexed), and their ends (RFC 3533).

libsndfile reads only the first link of a chain; here each becomes a stream, without pages of video or metadata.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from stylize_core.audio.kinds import conversion, cut_off, damaged
from stylize_core.audio.streams import Data, Piece, Stream, append_piece
from stylize_core.errors import UserError

_CONTINUED, _BEGIN, _END = 0x01, 0x02, 0x04
_HEADER = 27  # bytes before the table of segment sizes
_FLAC_MARK = b"\x7fFLAC"
_FLAC_PREFIX = 9  # bytes in front of what a FLAC file begins with
_AUDIO = (b"\x01vorbis", b"OpusHead", _FLAC_MARK, b"Speex   ")
# A stream whose first page starts before time zero has fewer samples than libsndfile announces, by less than a block.
_SLACK = 8192
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


@dataclass(frozen=True)
class _Page:
    """One page."""

    start: int
    size: int
    flags: int  # continued, first or last of its stream
    position: int  # samples up to its end (granule position); -1 where no packet ends on it
    serial: int  # of its stream
    sequence: int
    is_open: bool  # whether its last packet continues on the next page


def scan_ogg(data: Data, start: int, end: int, path: Path) -> tuple[list[Stream], int]:
    """The links of a chain of Ogg streams that begins at `start`, and the offset after the last of them.

    Raises:
        UserError: damaged, cut off, without sound, or with more than one sound at a time.
    """
    pages, behind, last_page = _pages(data, start, end, path)
    links: list[list[_Page]] = []
    for page in pages:
        if not links or (page.flags & _BEGIN and not links[-1][-1].flags & _BEGIN):
            links.append([])
        links[-1].append(page)
    return [_link(data, link, path, last_page if link is links[-1] else None) for link in links], behind


def _pages(data: Data, start: int, end: int, path: Path) -> tuple[list[_Page], int, bytes | None]:
    """The consecutive pages from an offset on, the offset after them, and the last one repaired where it is cut off."""
    pages: list[_Page] = []
    position = start
    while data[position : position + 4] == b"OggS":
        header = data[position : min(end, position + _HEADER)]
        table = data[position + _HEADER : position + _HEADER + header[26]] if len(header) == _HEADER else b""
        size = _HEADER + len(table) + sum(table)
        if len(header) < _HEADER or len(table) < header[26] or position + size > end:
            if data.find(b"OggS", position + 1, end) >= 0:
                raise damaged(path, f"an Ogg page at byte {position} is broken")
            rest = _whole_packets(data[position:end], table)
            if rest is None or not header[5] & _END:
                raise cut_off(path, "the last page of the Ogg stream is incomplete")
            pages.append(_page(position, rest))
            return pages, end, rest
        content = data[position : position + size]
        if content[22:26] != _checksum(content):
            raise damaged(path, f"an Ogg page at byte {position} is broken")
        pages.append(_page(position, content))
        position += size
    found = data.find(b"OggS", position, end) if pages and not pages[-1].flags & _END else -1
    if found >= 0 and data[found + 14 : found + 18] == data[pages[-1].start + 14 : pages[-1].start + 18]:
        raise damaged(path, f"{found - position} bytes at byte {position} are no Ogg page")
    return pages, position, None


def _page(start: int, content: bytes) -> _Page:
    flags, position, serial, sequence, _, segments = struct.unpack("<BqIIIB", content[5:_HEADER])
    is_open = segments > 0 and content[_HEADER + segments - 1] == 255
    return _Page(start, len(content), flags, position, serial, sequence, is_open)


def _whole_packets(content: bytes, table: bytes) -> bytes | None:
    """A truncated page, repaired by leaving out its last packet; None where more is lost."""
    packets = [index for index, size in enumerate(table) if size < 255]  # each ends a packet
    if len(packets) < 2 or packets[-1] != len(table) - 1:
        return None
    kept = packets[-2] + 1
    size = _HEADER + len(table) + sum(table[:kept])
    if len(content) < size:
        return None
    sound = content[_HEADER + len(table) : size]
    return _sealed(content[:5] + bytes([content[5] | _END]) + content[6:26] + bytes([kept]) + table[:kept] + sound)


def _sealed(content: bytes) -> bytes:
    """A page with the right checksum."""
    return content[:22] + _checksum(content) + content[26:]


def _checksum(page: bytes) -> bytes:
    """A page's CRC-32, whose bit order is the reverse of zlib's."""
    blank = page[:22] + b"\0\0\0\0" + page[26:]
    value = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return value.to_bytes(4, "big").translate(_REVERSED)


def _link(data: Data, pages: list[_Page], path: Path, last_page: bytes | None) -> Stream:
    """One link of the chain as a stream."""
    own = _audio_pages(data, pages, path)
    for earlier, page in itertools.pairwise(own):
        if page.sequence != (earlier.sequence + 1) % 2**32 or earlier.flags & _END:
            raise damaged(path, f"Ogg pages are missing before byte {page.start}")
    pieces: list[Piece] = []
    for page in own[:-1]:
        append_piece(pieces, page.start, page.start + page.size)
    last = own[-1]
    if last_page is not None:
        note = "the last packet of its Ogg stream is incomplete and left out"
    elif last.flags & _END:
        append_piece(pieces, last.start, last.start + last.size)
        return _unwrapped_flac(data, own) or Stream("OGG", tuple(pieces), _SLACK)
    elif last.is_open or last.position < 0:
        raise cut_off(path, "the last packet of the Ogg stream goes on, on a page that is missing")
    else:
        final = data[last.start : last.start + last.size]
        last_page = _sealed(final[:5] + bytes([final[5] | _END]) + final[6:])
        note = "its Ogg stream has no mark at its end; pages behind may be missing"
    return Stream("OGG", (*pieces, last_page), _SLACK, note)


def _unwrapped_flac(data: Data, pages: list[_Page]) -> Stream | None:
    """The FLAC stream in pages, which libsndfile may not unpack; None for another codec."""
    bodies = [(page.start + _HEADER + data[page.start + 26], page.start + page.size) for page in pages]
    start, stop = bodies[0]
    if data[start : start + len(_FLAC_MARK)] != _FLAC_MARK:
        return None
    return Stream("FLAC", ((start + _FLAC_PREFIX, stop), *bodies[1:]))


def _audio_pages(data: Data, pages: list[_Page], path: Path) -> list[_Page]:
    """The pages of the only sound stream in a link."""
    kinds = {}
    for page in pages:
        if page.flags & _BEGIN:
            place = page.start + _HEADER + data[page.start + 26]
            kinds[page.serial] = data[place : place + 8]
    sound = [serial for serial, kind in kinds.items() if kind.startswith(_AUDIO)]
    if len(sound) > 1:
        raise UserError(
            f"{path} holds {len(sound)} Ogg streams at the same time, expected one; {conversion(path)} (-map 0:a:1 "
            f"takes the second)"
        )
    if not sound:
        raise UserError(f"{path} is an Ogg file that cannot be read (no sound of a known kind at its start); "
                        f"{conversion(path)}")  # fmt: skip
    return [page for page in pages if page.serial == sound[0]]
