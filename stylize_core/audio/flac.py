"""FLAC: the sample at which the last frame ends, compared with the header (RFC 9639).

libsndfile stops at the announced number of samples, and has to decode a file that announces none. Frames are
numbered, so the last one tells the length.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from stylize_core.audio.kinds import cut_off
from stylize_core.audio.streams import BEGINNING, Data, Stream, end_before_tags

_OTHERS = re.compile(BEGINNING.pattern + rb"|ID3[\x02-\x04]|APETAGEX")  # what may follow a stream
_INFO_BYTES = 42  # the mark, the first block's header and the block
_MAX_SAMPLES = 2**36 - 1
_LONGEST_FRAME = 2**17  # bytes, where the header does not say
_TRIES = 4  # candidates for a frame
_SMALL_FILE = 2**22  # bytes up to which a file is searched for another one
_LOOKS = 8
_BLOCK_SIZES = {1: 192, **{code: 576 << (code - 2) for code in range(2, 6)},
                **{code: 256 << (code - 8) for code in range(8, 16)}}  # fmt: skip


def scan_flac(data: Data, start: int, end: int, path: Path) -> tuple[list[Stream], int]:
    """The FLAC stream that begins at `start`, and the offset after it; UserError where its end is missing."""
    header = data[start : start + _INFO_BYTES]
    stop = _end_of_frames(data, start, end_before_tags(data, end))
    if len(header) < _INFO_BYTES or header[:4] + header[5:8] != b"fLaC\0\0\x22":
        return [Stream("FLAC", ((start, stop),))], end
    numbers = int.from_bytes(header[18:26], "big")
    announced = numbers & _MAX_SAMPLES
    counted, behind = _last_sample(data, start, stop), end
    if counted != announced or not _is_one(data, start, stop):
        for mark in _OTHERS.finditer(data, start + _INFO_BYTES, end):
            if (found := _last_sample(data, start, mark.start())) is not None:
                counted, stop, behind = found, mark.start(), mark.start()
                break
    if counted is None and announced == 0:
        raise cut_off(path, "its last FLAC frame is incomplete")
    if counted is None or counted == announced:
        return [Stream("FLAC", ((start, stop),))], behind
    rate = max(1, numbers >> 44)
    if counted < announced:
        raise cut_off(path, f"{counted / rate:.1f} s of {announced / rate:.1f} s are there")
    fixed = header[:18] + (numbers & ~_MAX_SAMPLES | counted).to_bytes(8, "big") + header[26:]
    note = f"its header announces {announced} samples and {counted} are there; all are read" if announced else ""
    return [Stream("FLAC", (fixed, (start + _INFO_BYTES, stop)), note=note)], behind


def _end_of_frames(data: Data, start: int, stop: int) -> int:
    """Offset before padding zeros; the last bytes of a frame may be zeros too."""
    kept = stop
    while kept > start and not data[max(start, kept - 2**16) : kept].strip(b"\0"):
        kept -= 2**16
    tail = data[max(start, kept - 2**16) : max(start, kept)]
    kept += len(tail.rstrip(b"\0")) - len(tail)
    if stop - kept < 4:
        return stop
    return next((end for end in range(kept, kept + 3) if _last_sample(data, start, end) is not None), kept)


def _last_sample(data: Data, start: int, stop: int) -> int | None:
    """Samples per channel up to the end of the last frame; None where no frame ends at `stop`."""
    first = _first_frame(data, start, stop)
    if first is None:
        return None
    first_number, block_size = first
    longest = int.from_bytes(data[start + 15 : start + 18], "big") or _LONGEST_FRAME
    position, tries = stop, 0
    while tries < _TRIES and (position := data.rfind(b"\xff", max(start, stop - longest), position)) >= 0:
        frame = data[position : min(stop, position + 16)]
        numbered = _frame_number(frame)
        if numbered is None:
            continue
        tries += 1
        if _crc(data[position:stop], 0x8005, 16) == 0:
            number, samples = numbered
            return (number - first_number) * (1 if frame[1] & 1 else block_size) + samples
    return None


def _first_frame(data: Data, start: int, stop: int) -> tuple[int, int] | None:
    """Number and samples of the first frame, after the metadata; None where there is none."""
    position, is_last = start + 4, False
    while not is_last and position + 4 <= stop:
        block = data[position : position + 4]
        is_last = bool(block[0] & 0x80)
        position += 4 + int.from_bytes(block[1:], "big")
    return _frame_number(data[position : min(stop, position + 16)])


def _is_one(data: Data, start: int, stop: int) -> bool:
    """Whether the frame numbers increase, as they do not where files of one length are joined."""
    if stop - start < _SMALL_FILE:
        return data.find(b"fLaC", start + 4, stop) < 0
    numbers = [0]
    for part in range(1, _LOOKS):
        position = start + part * (stop - start) // _LOOKS
        while (position := data.find(b"\xff", position, stop)) >= 0:
            numbered = _frame_number(data[position : min(stop, position + 16)])
            if numbered is not None:
                numbers.append(numbered[0])
                break
            position += 1
    return numbers == sorted(numbers)


def _frame_number(frame: bytes) -> tuple[int, int] | None:
    """Number of a frame (or of its first sample) and its samples, from its header; None for other bytes."""
    if len(frame) < 6 or frame[0] != 0xFF or frame[1] & 0xFE != 0xF8:
        return None
    leading = 8 - (frame[4] ^ 0xFF).bit_length()  # UTF-8: as many ones as there are bytes
    length = max(1, leading)
    if leading == 1 or leading > 7:
        return None
    number = frame[4] & (0x7F >> leading)
    for byte in frame[5 : 4 + length]:
        number = number << 6 | byte & 0x3F
    code, at = frame[2] >> 4, 4 + length
    extra = {6: 1, 7: 2}.get(code, 0)
    rest = {12: 1, 13: 2, 14: 2}.get(frame[2] & 15, 0)
    samples = int.from_bytes(frame[at : at + extra], "big") + 1 if extra else _BLOCK_SIZES.get(code, 0)
    stop = at + extra + rest
    if samples == 0 or len(frame) <= stop or _crc(frame[: stop + 1], 0x07, 8) != 0:
        return None
    return number, samples


def _crc(content: bytes, polynomial: int, bits: int) -> int:
    """Cyclic redundancy check, most significant bit first; 0 over content followed by its own."""
    table, register, mask = _crc_table(polynomial, bits), 0, (1 << bits) - 1
    for byte in content:
        register = (register << 8 & mask) ^ table[register >> (bits - 8) ^ byte]
    return register


@cache
def _crc_table(polynomial: int, bits: int) -> tuple[int, ...]:
    table = []
    for value in range(256):
        value <<= bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value >> (bits - 1) else 0)) & ((1 << bits) - 1)
        table.append(value)
    return tuple(table)
