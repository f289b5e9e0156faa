"""Chunked containers (WAV and its relatives, AIFF, W64, CAF, AU): where the sound begins and really ends.

libsndfile silently shortens a truncated file and trusts a size field that is zero or has overflowed. Here the sizes
are compared with the file, and a readable file with a wrong header gets a corrected one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stylize_core.audio.kinds import cut_off, damaged
from stylize_core.audio.mp3 import begins_frames, scan_mp3
from stylize_core.audio.streams import W64_RIFF, Data, Stream, container_at, skip_tags, skip_zeros

_SIZE_SLACK = 128  # bytes that may be missing, as some writers count their header; not in CAF, where they matter
RUBBISH = 1024  # bytes after the chunks that are ignored; more may be sound that the size field omits
_TRAILER_BYTES = 2**20  # how far from the end chunks after sound of unknown length are searched
_TRAILING = (b"LIST", b"list", b"id3 ", b"ID3 ", b"bext", b"iXML", b"cue ", b"smpl", b"inst", b"fact", b"JUNK", b"junk",
             b"PAD ", b"FLLR", b"_PMX", b"axml", b"DISP", b"acid", b"afsp", b"PEAK", b"plst", b"MARK", b"COMT",
             b"NAME", b"AUTH", b"ANNO", b"(c) ", b"APPL", b"INST", b"CHAN", b"COMM", b"cart", b"ResU", b"LGWV",
             b"elm1", b"minf", b"umid", b"wamd", b"guan", b"SAUR", b"AFAn", b"strc")  # fmt: skip
_MPEG_TAGS = (0x50, 0x55)  # wFormatTag of MPEG audio and of MP3
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64_TAILS = (_W64_TAIL, W64_RIFF[4:])
_LONGEST_HEADER = 2**20  # bytes of a chunk that is copied into a new header


@dataclass(frozen=True)
class _Layout:
    """How a container writes its chunks."""

    container: str
    first: int  # offset of the first chunk
    order: Literal["little", "big"]
    id_bytes: int  # length of a chunk's name
    size_bytes: int  # length of a chunk's size
    alignment: int
    sound: bytes  # name of the chunk with the sound
    kept: tuple[bytes, ...]  # names of the other chunks that a decoder needs

    @property
    def header_bytes(self) -> int:
        return self.id_bytes + self.size_bytes


_RIFF = _Layout("WAV", 12, "little", 4, 4, 2, b"data", (b"fmt ", b"fact"))
_RIFX = _Layout("WAV", 12, "big", 4, 4, 2, b"data", (b"fmt ", b"fact"))
_AIFF = _Layout("AIFF", 12, "big", 4, 4, 2, b"SSND", (b"FVER", b"COMM"))
_CAF = _Layout("CAF", 8, "big", 4, 8, 1, b"data", (b"desc", b"kuki", b"pakt", b"chan"))
_W64 = _Layout("W64", 40, "little", 16, 8, 8, b"data" + _W64_TAIL, (b"fmt " + _W64_TAIL, b"fact" + _W64_TAIL))


@dataclass(frozen=True)
class _Chunk:
    """A chunk's name, and its content's offset and announced size."""

    name: bytes
    start: int
    size: int


def scan_chunks(data: Data, start: int, end: int, path: Path) -> tuple[list[Stream], int]:
    """The stream in a WAV, AIFF, W64 or CAF file that begins at `start`, and the offset after the container.

    Raises:
        UserError: no sound in it, its end is missing, or it has more than its header accounts for.
    """
    magic = data[start : start + 4]
    layout = {b"FORM": _AIFF, b"caff": _CAF, b"riff": _W64, b"RIFX": _RIFX}.get(magic, _RIFF)
    position, kept, long_size, is_plain = start + layout.first, [], None, start == 0
    while (chunk := _chunk_at(layout, data, position, end)) is not None and chunk.name != layout.sound:
        if chunk.name in layout.kept and chunk.size <= _LONGEST_HEADER:
            kept.append(chunk)
        if chunk.name == b"ds64" and chunk.size >= 16:
            long_size = int.from_bytes(data[chunk.start + 8 : chunk.start + 16], "little")
        position = _next_position(layout, data, chunk, start)
        is_plain &= (position - start) % layout.alignment == 0
    if chunk is None:
        return [Stream(layout.container, ((start, end),))], end  # the decoder reports what is wrong
    if long_size is not None and chunk.size == 0xFFFFFFFF:
        chunk = _Chunk(chunk.name, chunk.start, long_size)
    stop, behind, note = _true_end(layout, data, start, chunk, end, path)
    parts = [(chunk.start, stop)]
    head = next((one for one in kept if one.name[:4] == b"fmt "), None)
    if head is not None:
        tag, align = (int.from_bytes(data[head.start + at : head.start + at + 2], layout.order) for at in (0, 12))
        if tag in _MPEG_TAGS:
            return scan_mp3(data, chunk.start, stop, path)[0], behind
        if more := _further_sound(layout, data, start, chunk, behind):
            parts = [(begin, end - (end - begin) % max(1, align)) for begin, end in parts + more]
            is_plain, note = False, f"its sound is in {len(parts)} chunks, which are read one after the other"
    if layout is _W64:  # libsndfile reads it up to the end of the file
        is_plain &= len(data) - stop < layout.alignment
    if is_plain and stop - chunk.start == chunk.size:
        return [Stream(layout.container)] if behind == len(data) else [Stream(layout.container, ((0, behind),))], behind
    late = _chunk_at(layout, data, stop + stop % 2, end)  # AIFF may describe the sound after it
    if late is not None and late.name in layout.kept and not kept:
        kept.append(late)
    header = _new_header(layout, data, start, kept, sum(end - begin for begin, end in parts))
    return [Stream(layout.container, (header, *parts), note=note)], behind


def _further_sound(layout: _Layout, data: Data, start: int, chunk: _Chunk, end: int) -> list[tuple[int, int]]:
    """Sound of a WAV or W64 file in chunks after the first."""
    found, position = [], _next_position(layout, data, chunk, start)
    while position < end and (other := _chunk_at(layout, data, position, end)) is not None:
        if other.name == layout.sound and other.size:
            found.append((other.start, min(end, other.start + other.size)))
        position = _next_position(layout, data, other, start)
    return found


def scan_au(data: Data, start: int, end: int, path: Path) -> tuple[list[Stream], int]:
    """The stream in an AU file that begins at `start`, and the offset after it; as `scan_chunks`."""
    order: Literal["little", "big"] = "big" if data[start : start + 4] == b".snd" else "little"
    header = data[start : start + 24]
    if len(header) < 24:
        raise cut_off(path, f"its header has {len(header)} of 24 bytes")
    offset, size = (int.from_bytes(header[at : at + 4], order) for at in (4, 8))
    layout = _Layout("AU", 24, order, 0, 0, 1, b"", ())
    chunk = _Chunk(b"", start + offset, size)
    stop, behind, note = _true_end(layout, data, start, chunk, end, path)
    if start == 0 and stop - chunk.start == size and behind == len(data):
        return [Stream("AU")], behind
    marks = b"".join(value.to_bytes(4, order) for value in (24, min(stop - chunk.start, 2**32 - 1)))
    return [Stream("AU", (header[:4] + marks + header[12:24], (chunk.start, stop)), note=note)], behind


def _chunk_at(layout: _Layout, data: Data, position: int, end: int) -> _Chunk | None:
    """The chunk whose header stands at an offset; None where none does."""
    header = data[position : position + layout.header_bytes]
    name = header[: layout.id_bytes]
    if not name or position + len(header) > end or len(header) < layout.header_bytes or not _is_name(name):
        return None
    size = int.from_bytes(header[layout.id_bytes :], layout.order)
    return _Chunk(name, position + len(header), max(0, size - len(header)) if layout is _W64 else size)


def _is_name(name: bytes) -> bool:
    return all(0x20 <= letter < 0x7F for letter in name[:4]) and (len(name) == 4 or name[4:] in _W64_TAILS)


def _next_position(layout: _Layout, data: Data, chunk: _Chunk, start: int) -> int:
    """Offset of the chunk after another one; writers forget the padding behind an odd size."""
    after = chunk.start + chunk.size
    padded = after + (start - after) % layout.alignment
    if padded > after and layout.alignment == 2 and not _is_name(data[padded : padded + 4].ljust(4, b"\0")):
        return after if _is_name(data[after : after + 4].ljust(4, b"\0")) else padded
    return padded


def _skip_chunks(layout: _Layout, data: Data, position: int, start: int, end: int) -> int:
    """Offset after the last of the consecutive chunks from an offset on."""
    while (chunk := _chunk_at(layout, data, position, end)) is not None and container_at(data, position) is None:
        after = _next_position(layout, data, chunk, start)
        if after > end + 1 and chunk.name not in _TRAILING:
            break
        position = min(after, end)
    return position


def _true_end(layout: _Layout, data: Data, start: int, chunk: _Chunk, end: int, path: Path) -> tuple[int, int, str]:
    """Offsets of the end of the sound and of its container, and a note where the header is wrong."""
    available, declared = end - chunk.start, chunk.size
    if available < 0:
        raise cut_off(path, "its header says that the sound begins behind the end of the file")
    is_placeholder = declared == 0 or any(
        low <= declared <= low + 0x1000 for low in (0x7FFFF000, 0xFFFFF000, 2**63 - 0x1000, 2**64 - 0x1000)
    )
    if layout.size_bytes == 4 and available >= 2**32 and (available - declared) % 2**32 < RUBBISH:
        return _all_there(chunk, end)
    if declared <= available:
        sound_end = chunk.start + declared
        after = _skip_chunks(layout, data, min(end, _next_position(layout, data, chunk, start)), start, end)
        if (cut := _chunk_at(layout, data, after, end)) is not None and cut.name in layout.kept:
            raise cut_off(path, f"{end - cut.start} of {cut.size} bytes of its description are there")
        following = skip_tags(data, skip_zeros(data, after, end), end)
        if end - following <= 1 or container_at(data, following) or begins_frames(data, following, end):
            return sound_end, end if end - following <= 1 else following, ""
        if not is_placeholder:
            if end - following < RUBBISH:
                return sound_end, end, ""
            return _wrapped(layout, data, start, chunk, after, end, path)
    elif not is_placeholder:
        if declared - available > (0 if layout is _CAF else _SIZE_SLACK):
            raise cut_off(path, f"{available} of {declared} bytes of audio are there")
        return end, end, ""
    return _before_trailer(layout, data, chunk.start, start, end), end, ""


def _wrapped(
    layout: _Layout, data: Data, start: int, chunk: _Chunk, after: int, end: int, path: Path
) -> tuple[int, int, str]:
    """The end where unknown data follows the sound; where the outer size is wrong as well, all of it is sound."""
    outer_size = int.from_bytes(data[start + 4 : start + 8], layout.order)
    if data[start : start + 4] not in (b"RIFF", b"RIFX", b"FORM"):
        outer_size = -1  # not there
    if outer_size >= 0 and not -8 <= start + 8 + outer_size - after <= 8:
        return _all_there(chunk, end)
    raise damaged(path, f"its header announces {chunk.size} bytes of sound, and {end - after} unknown bytes follow")


def _all_there(chunk: _Chunk, end: int) -> tuple[int, int, str]:
    there = end - chunk.start
    return end, end, f"its header announces {chunk.size} bytes of sound and {there} are there; all are read"


def _before_trailer(layout: _Layout, data: Data, position: int, start: int, end: int) -> int:
    """Offset of the chunks that end the file after sound of unknown length; the end where there are none."""
    first = end
    if layout.alignment != 2:
        return end
    for name in _TRAILING:
        found = data.find(name, max(position, end - _TRAILER_BYTES), end)
        while 0 <= found < first:
            if end - _skip_chunks(layout, data, found, start, end) <= 1:
                first = found
            found = data.find(name, found + 1, end)
    return first


def _new_header(layout: _Layout, data: Data, start: int, kept: list[_Chunk], size: int) -> bytes:
    """A container's header that announces `size` bytes of sound."""

    def number(value: int, count: int) -> bytes:
        return value.to_bytes(count, layout.order)

    body, extra = b"", layout.header_bytes if layout is _W64 else 0
    for chunk in kept:
        content = data[chunk.start : chunk.start + chunk.size]
        body += chunk.name + number(len(content) + extra, layout.size_bytes) + content
        body += bytes(-len(body) % layout.alignment)
    if layout is _CAF:
        return data[start : start + 8] + body + b"data" + number(size, 8)
    if layout is _W64:
        whole = layout.first + len(body) + extra + size
        form = data[start + 24 : start + 40]
        return W64_RIFF + number(whole, 8) + form + body + layout.sound + number(size + extra, 8)
    whole = 4 + len(body) + 8 + size
    form = data[start + 8 : start + 12]
    if whole < 0xFFFFF000:
        magic = data[start : start + 4] if layout is not _RIFF else b"RIFF"
        return magic + number(whole, 4) + form + body + layout.sound + number(size, 4)
    long_sizes = b"ds64" + struct.pack("<IQQQI", 28, whole + 36, size, 0, 0)
    return b"RF64\xff\xff\xff\xff" + form + long_sizes + body + b"data\xff\xff\xff\xff"
