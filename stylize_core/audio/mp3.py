"""MPEG audio frames: which parts of a file are sound, how long it is, and whether its end is missing.

Encoders put a frame without sound in front (``Xing`` or ``Info``) with the number of frames. libsndfile's decoder
trusts it, guesses the length without it, stops at tags and gaps, and writes warnings to stderr. So it gets only the
frames found here, after a correct length header. Scanning takes a fraction of a millisecond per second of audio.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from stylize_core.audio.kinds import cut_off
from stylize_core.audio.streams import (
    Data,
    Piece,
    Stream,
    append_piece,
    container_at,
    piece_size,
    skip_tags,
    skip_zeros,
)

# kbit/s by layer and by the four bitrate bits; index 0 is "free format" (unused in practice), 15 is forbidden.
_BITRATES_MPEG1 = {
    1: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_BITRATES_MPEG2 = {
    1: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = (44100, 48000, 32000)  # MPEG 1; MPEG 2 has half of each, MPEG 2.5 a quarter
_RATE_DIVISOR = {0b11: 1, 0b10: 2, 0b00: 4}  # by the two version bits

_SEARCH_BYTES = 2**20  # how far to look for the first frame
_SURE = 3  # consecutive frames are no accident
_SLACK = 2 * 1152  # encoders disagree on the number of frames by one or two
_ROOMY_BITRATE_INDEX = 0b1001  # 128 or 80 kbit/s: such a frame has room for a length header at any rate
_SYNC = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef]", re.DOTALL)


@dataclass(frozen=True)
class FrameHeader:
    """The header of a frame.

    Args:
        size: bytes from this header to the next one.
        samples: samples per channel the frame decodes to.
        sample_rate: Hz.
        channels: 1 or 2.
        side_information: bytes between the header and the place of a length header.
        layer: 1, 2 or 3.
    """

    size: int
    samples: int
    sample_rate: int
    channels: int
    side_information: int
    layer: int = 3


@lru_cache(maxsize=4096)
def parse_frame_header(header: bytes) -> FrameHeader | None:
    """Read the header of one frame (ISO 11172-3 section 2.4.2.3); None for other bytes."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate_index, rate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version not in _RATE_DIVISOR or layer == 4 or bitrate_index in (0, 15) or rate_index == 3:
        return None
    is_mpeg1 = version == 0b11
    bitrate = 1000 * (_BITRATES_MPEG1 if is_mpeg1 else _BITRATES_MPEG2)[layer][bitrate_index]
    sample_rate = _SAMPLE_RATES[rate_index] // _RATE_DIVISOR[version]
    samples = {1: 384, 2: 1152, 3: 1152 if is_mpeg1 else 576}[layer]
    channels = 1 if header[3] >> 6 == 0b11 else 2
    side_information = {(True, 2): 32, (True, 1): 17, (False, 2): 17, (False, 1): 9}[is_mpeg1, channels]
    slot = 4 if layer == 1 else 1
    size = (samples // 8 * bitrate // sample_rate // slot + padding) * slot
    return FrameHeader(size, samples, sample_rate, channels, side_information, layer)


@dataclass
class _Run:
    """Consecutive frames of one kind."""

    header: bytes  # of the first frame
    frame: FrameHeader
    length_header: bytes = b""
    promised: int | None = None  # frames that the length header announces
    pieces: list[Piece] = field(default_factory=list)
    frames: int = 0
    last: int = 0  # offset of the last frame
    skipped: int = 0  # bytes between frames
    missing: int = 0  # bytes of a last, incomplete frame, which is not in `pieces`
    since_hole: int | None = None  # bytes of sound since frames were missing

    def add(self, data: Data, position: int, frame: FrameHeader) -> None:
        """Append a frame; muted where its sound begins in frames that are missing ("bit reservoir")."""
        stop, is_muted = position + frame.size, False
        if self.since_hole is not None and frame.layer == 3:
            begin, sound = _sound_of(data[position:stop], frame)
            is_muted = begin > self.since_hole
            self.since_hole += len(sound)
        if is_muted:
            self.pieces.append(_muted(data[position:stop], frame))
        else:
            append_piece(self.pieces, position, stop)
        self.frames, self.last = self.frames + 1, position

    def end_before_hole(self, is_last_broken: bool) -> None:
        """Frames are missing from here; silence the last one if it is incomplete."""
        self.since_hole = 0
        previous = self.pieces[-1] if self.pieces else b""
        if is_last_broken and isinstance(previous, tuple):
            self.pieces[-1] = (previous[0], self.last)
            self.pieces.append(self.silent_frame())

    def silent_frame(self) -> bytes:
        """A frame of zeros, which decodes to silence: no checksum, no padding."""
        header = bytes([self.header[0], self.header[1] | 1, self.header[2] & ~0b10, self.header[3]])
        frame = parse_frame_header(header)
        assert frame is not None
        return header.ljust(frame.size, b"\0")


def _sound_of(content: bytes, frame: FrameHeader) -> tuple[int, bytes]:
    """How many bytes before a layer III frame its sound begins, and the bytes of sound in it."""
    start = 4 if content[1] & 1 else 6  # without and with a checksum
    bits = 9 if frame.samples == 1152 else 8
    return int.from_bytes(content[start : start + 2], "big") >> (16 - bits), content[start + frame.side_information :]


def _muted(content: bytes, frame: FrameHeader) -> bytes:
    """A silent layer III frame with the bytes of sound that later ones need."""
    header = bytes([content[0], content[1] | 1, *content[2:4]]) + bytes(frame.side_information)
    sound = _sound_of(content, frame)[1]
    return header + sound.rjust(len(content) - len(header), b"\0")


def scan_mp3(data: Data, start: int, end: int, path: Path) -> tuple[list[Stream], int]:
    """The streams of frames between two offsets, and the offset where another container begins or the data ends.

    Joined files make one stream each where they have length headers or are of different kinds; none without frames
    within a megabyte of `start`.

    Raises:
        UserError: frames are missing at the end.
    """
    runs: list[_Run] = []
    reached = end
    for run, behind in _walk(data, start, end):
        reached = behind
        if not runs or runs[-1] is not run:
            runs.append(run)
    return [_as_stream(run, path) for run in runs if run.frames], reached


def begins_frames(data: Data, position: int, end: int) -> bool:
    """Whether frames begin exactly at an offset."""
    return parse_frame_header(data[position : position + 4]) is not None and _is_chain(data, position, end)


def _walk(data: Data, start: int, end: int) -> Iterator[tuple[_Run, int]]:
    """Yield each run when it begins and at the end, with the offset reached."""
    run: _Run | None = None
    position = _find_frame(data, start, min(end, start + _SEARCH_BYTES), end)
    while position is not None and position < end:
        header = data[position : position + 4]
        frame = parse_frame_header(header)
        is_other = run is not None and frame is not None and not _same_kind(header, run.header)
        if frame is None or (is_other and not _is_chain(data, position, end)):
            assert run is not None
            following = skip_tags(data, position, end)
            if container_at(data, following) is not None:
                yield run, following
                return
            position = _resume(data, run, position, following, end)
            continue
        mark = position + 4 + frame.side_information
        is_length_header = frame.layer == 3 and data[mark : mark + 4] in (b"Xing", b"Info", b"VBRI")
        if run is None or is_other or (is_length_header and run.frames):
            run = _Run(header, frame)
            yield run, end
        if position + frame.size > end:
            run.missing = position + frame.size - end
            break
        if is_length_header:
            run.length_header = data[position : position + frame.size]
            run.promised = _promised_frames(data, position, frame)
        else:
            run.add(data, position, frame)
        position += frame.size
    if run is not None:
        yield run, end


def _resume(data: Data, run: _Run, position: int, following: int, end: int) -> int | None:
    """Where frames continue after an offset with none; `following` is after the tags there."""
    if following >= end or (following > position and parse_frame_header(data[following : following + 4])):
        return following
    found = _find_frame(data, max(run.last + 4, position - run.frame.size), end, end)
    if found is not None:
        run.skipped += max(0, found - position)
        run.end_before_hole(found < position or data[max(0, position - 4) : position] == bytes(4))
    elif skip_zeros(data, position, end) < end and end - following > 4:
        run.skipped += end - position
    return found


def _find_frame(data: Data, position: int, limit: int, end: int) -> int | None:
    """The next offset below `limit` where several frames follow each other."""
    while (found := _SYNC.search(data, position, limit)) is not None:
        position = found.start()
        if _is_chain(data, position, end):
            return position
        position += 1
    return None


def _is_chain(data: Data, position: int, end: int) -> bool:
    """Whether frames of one kind follow each other, three of them or up to the end or a tag."""
    header = data[position : position + 4]
    for _ in range(_SURE):
        frame = parse_frame_header(data[position : position + 4])
        if frame is None or not _same_kind(data[position : position + 4], header):
            return False
        position += frame.size
        if position == end or skip_tags(data, position, end) > position:
            return True
    return position <= end


def _same_kind(header: bytes, like: bytes) -> bool:
    """Whether two frame headers agree in MPEG version, layer, sample rate, and in being mono or not."""
    return (
        header[1] & 0x1E == like[1] & 0x1E
        and header[2] & 0x0C == like[2] & 0x0C
        and (header[3] >> 6 == 3) == (like[3] >> 6 == 3)
    )


def _promised_frames(data: Data, start: int, frame: FrameHeader) -> int | None:
    """The number of frames that the length header at an offset announces."""
    place = start + 4 + frame.side_information
    if data[place : place + 4] == b"VBRI":
        return int.from_bytes(data[place + 14 : place + 18], "big")
    flags, frames = struct.unpack(">II", data[place + 4 : place + 12])
    return frames if flags & 0x1 else None


def _as_stream(run: _Run, path: Path) -> Stream:
    """A run's frames after a correct length header; UserError where frames are missing at the end."""
    sound_bytes = sum(map(piece_size, run.pieces))
    lost = round(1.2 * run.skipped * run.frames / sound_bytes)  # frames that may have been where there are none now
    if run.promised is not None and run.frames + lost + 1 < run.promised:
        raise cut_off(path, f"{run.frames} of {run.promised} MP3 frames are complete")
    notes = []
    if run.skipped:
        notes.append(f"{run.skipped} bytes in it are no MP3 frames and are skipped")
    if run.missing and (run.promised is None or run.frames < run.promised):
        more = "; frames behind it may be missing" if run.promised is None else ""
        lost_ms = -(-1000 * run.frame.samples // run.frame.sample_rate)
        notes.append(f"its last frame lacks {run.missing} bytes, less than {lost_ms} ms{more}")
        run.pieces.append(run.silent_frame())
        run.frames += 1
    pieces: tuple[Piece, ...] = tuple(run.pieces)
    if run.frame.layer == 3:
        own = _own_length_header(run, sound_bytes)
        # What goes in comes out of a decoder 529 samples later, so the end needs a frame of padding.
        pieces = (own, *pieces) if own else (_new_length_header(run), *pieces, run.silent_frame())
    least = max(0, run.frames * run.frame.samples - 2 * _SLACK)
    return Stream("MP3", pieces, _SLACK, "; ".join(notes), least)


def _own_length_header(run: _Run, sound_bytes: int) -> bytes:
    """The file's own length header, which also gives the padding, where it is right to within a frame; else empty."""
    place = 4 + run.frame.side_information
    own = bytearray(run.length_header)
    if run.promised is None or own[place : place + 4] == b"VBRI":
        return b""
    if abs(run.promised - run.frames) > 1 and not run.skipped:
        return b""
    own[place + 8 : place + 12] = struct.pack(">I", run.frames)
    if own[place + 7] & 0x2:
        own[place + 12 : place + 16] = struct.pack(">I", len(own) + sound_bytes)
    return bytes(own)


def _new_length_header(run: _Run) -> bytes:
    """A frame without sound that announces the frames of a run, and one more which is padding."""
    header = bytearray(run.header)
    header[1] |= 0x01  # no checksum
    header[2] = _ROOMY_BITRATE_INDEX << 4 | header[2] & 0b1100  # same rate, no padding
    frame = parse_frame_header(bytes(header))
    assert frame is not None
    tag = b"Xing" + struct.pack(">II", 0x1, run.frames + 1)  # flag 1: the number of frames follows
    encoder = b"LAME".ljust(21, b"\0") + run.frame.samples.to_bytes(3, "big")  # padding before and after
    return (bytes(header) + bytes(frame.side_information) + tag + encoder).ljust(frame.size, b"\0")
