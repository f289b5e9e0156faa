"""MP3 frames, counted one by one: how long a file really is, and whether its end is missing.

An MP3 file is a row of small frames, each opening with a four-byte header. Most encoders put a first frame
without sound in front (marked ``Xing`` or ``Info``) that says how many frames follow. The decoder behind
soundfile believes that number, and where the frame is missing it guesses the length from the file size and
the first bitrate: for a file of varying bitrate the guess can be half of the truth, and everything past it
is never delivered. Counting costs a fraction of a millisecond per second of audio and settles both questions.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from data.errors import UserError

# kbit/s by the four bitrate bits; index 0 is "free format" (unused in practice), 15 is forbidden.
_BITRATES_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SAMPLE_RATES = (44100, 48000, 32000)  # MPEG 1; MPEG 2 has half of each, MPEG 2.5 a quarter
_RATE_DIVISOR = {0b11: 1, 0b10: 2, 0b00: 4}  # by the two version bits

_DECODER_DELAY = 529  # samples, of every layer III decoder; taken off where there is a length header
_SEARCH_BYTES = 65536  # how far to look for a frame where one was expected
_ROOMY_BITRATE_INDEX = 0b1001  # 128 or 80 kbit/s: such a frame has room for a length header at any rate
_TRAILING_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")


@dataclass(frozen=True)
class FrameHeader:
    """What the four bytes in front of an MP3 frame say.

    Args:
        size: bytes from this header to the next one.
        samples: samples per channel the frame decodes to.
        sample_rate: Hz.
        channels: 1 or 2.
        side_information: bytes between the header and the place where a length header would stand.
    """

    size: int
    samples: int
    sample_rate: int
    channels: int
    side_information: int


@dataclass(frozen=True)
class Mp3Stream:
    """The frames found in an MP3 file.

    Args:
        first_sound: byte offset of the first frame with sound.
        first_header: its four header bytes.
        frames: complete frames with sound, counted.
        promised_frames: frames the file's own length header announces; None without such a header.
        cut: whether the file stops in the middle of a frame.
        samples_per_frame: per channel.
        sample_rate: Hz.
        channels: 1 or 2.
    """

    first_sound: int
    first_header: bytes
    frames: int
    promised_frames: int | None
    cut: bool
    samples_per_frame: int
    sample_rate: int
    channels: int

    @property
    def samples(self) -> int:
        """Samples per channel the counted frames decode to, with the padding the encoder put around them."""
        return max(0, self.frames * self.samples_per_frame - _DECODER_DELAY)

    @property
    def has_right_length_header(self) -> bool:
        """Whether a decoder that believes the length header delivers the whole file."""
        return self.promised_frames is not None and self.frames <= self.promised_frames + 1

    @property
    def is_truncated(self) -> bool:
        """Whether frames are missing at the end.

        Encoders may disagree by one frame. A file without a length header that was cut exactly between two
        frames is the one case that nothing in the file can show.
        """
        return self.cut or (self.promised_frames is not None and self.frames + 1 < self.promised_frames)


def parse_frame_header(header: bytes) -> FrameHeader | None:
    """Read the header of one layer III frame (ISO 11172-3 section 2.4.2.3); None where it is not one."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate_index, rate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version not in _RATE_DIVISOR or layer != 0b01 or bitrate_index in (0, 15) or rate_index == 3:
        return None
    is_mpeg1 = version == 0b11
    bitrate = 1000 * (_BITRATES_MPEG1 if is_mpeg1 else _BITRATES_MPEG2)[bitrate_index]
    sample_rate = _SAMPLE_RATES[rate_index] // _RATE_DIVISOR[version]
    samples = 1152 if is_mpeg1 else 576
    channels = 1 if header[3] >> 6 == 0b11 else 2
    side_information = {(True, 2): 32, (True, 1): 17, (False, 2): 17, (False, 1): 9}[is_mpeg1, channels]
    size = samples // 8 * bitrate // sample_rate + padding
    return FrameHeader(size, samples, sample_rate, channels, side_information)


def inspect_mp3(path: Path) -> Mp3Stream:
    """Find and count the frames of an MP3 file without decoding them.

    Raises:
        UserError: no MP3 frames in the file.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = _find_frame(data, _end_of_leading_tags(data), like=None)
        if start is None:
            raise UserError(f"{path} is not an MP3 file that can be read (no MP3 frames in it)")
        header = data[start : start + 4]
        first = parse_frame_header(header)
        assert first is not None
        is_length_header, promised_frames = _read_length_header(data, start, first)
        first_sound = start + first.size if is_length_header else start
        frames, cut = _count_frames(data, first_sound, like=header)
    return Mp3Stream(
        first_sound, header, frames, promised_frames, cut, first.samples, first.sample_rate, first.channels
    )


def copy_with_length_header(path: Path, stream: Mp3Stream) -> BinaryIO:
    """Copy an MP3 into an unnamed temporary file, with a right length header in front.

    Returns:
        The open temporary file, at its beginning; it vanishes when closed.
    """
    header = bytearray(stream.first_header)
    header[1] |= 0x01  # no checksum
    header[2] = _ROOMY_BITRATE_INDEX << 4 | header[2] & 0b1100  # same rate, no padding
    frame = parse_frame_header(bytes(header))
    assert frame is not None
    tag = b"Xing" + struct.pack(">II", 0x1, stream.frames)  # flag 1: the number of frames follows
    leading = bytes(header) + bytes(frame.side_information) + tag
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        copy.write(leading.ljust(frame.size, b"\0"))
        with path.open("rb") as file:
            file.seek(stream.first_sound)
            shutil.copyfileobj(file, copy)
        copy.flush()
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy  # type: ignore[return-value]


def _end_of_leading_tags(data: mmap.mmap) -> int:
    """Offset behind the ID3v2 tags in front (their size is written in bytes of seven bits)."""
    position = 0
    while data[position : position + 3] == b"ID3" and len(data) >= position + 10:
        sizes = data[position + 6 : position + 10]
        position += 10 + (sizes[0] << 21 | sizes[1] << 14 | sizes[2] << 7 | sizes[3])
    return position


def _same_kind(header: bytes, like: bytes) -> bool:
    """Whether two frame headers agree in MPEG version, layer and sample rate."""
    return header[1] & 0x1E == like[1] & 0x1E and header[2] & 0x0C == like[2] & 0x0C


def _find_frame(data: mmap.mmap, position: int, like: bytes | None) -> int | None:
    """The next offset where a frame starts that is followed by another frame or by the end of the file."""
    limit = min(len(data), position + _SEARCH_BYTES)
    while (position := data.find(b"\xff", position, limit)) >= 0:
        header = data[position : position + 4]
        frame = parse_frame_header(header)
        if frame is not None and (like is None or _same_kind(header, like)):
            following = position + frame.size
            next_header = data[following : following + 4]
            if following == len(data) or next_header.startswith(_TRAILING_TAGS):
                return position
            if parse_frame_header(next_header) is not None and _same_kind(next_header, header):
                return position
        position += 1
    return None


def _read_length_header(data: mmap.mmap, start: int, first: FrameHeader) -> tuple[bool, int | None]:
    """Whether the frame at `start` is a length header, and the number of frames it announces."""
    place = start + 4 + first.side_information
    if data[place : place + 4] not in (b"Xing", b"Info"):
        return False, None
    flags, frames = struct.unpack(">II", data[place + 4 : place + 12])
    return True, frames if flags & 0x1 else None


def _count_frames(data: mmap.mmap, position: int, like: bytes) -> tuple[int, bool]:
    """Hop from frame to frame; return how many are complete and whether the last one is cut off."""
    count, end = 0, len(data)
    while position + 4 <= end:
        header = data[position : position + 4]
        frame = parse_frame_header(header)
        if frame is None or not _same_kind(header, like):
            if header.startswith(_TRAILING_TAGS) or data[position : position + 11] in _TRAILING_TAGS:
                break
            found = _find_frame(data, position, like)
            if found is None:
                break
            position = found
            continue
        if position + frame.size > end:
            return count, True
        count += 1
        position += frame.size
    return count, False
