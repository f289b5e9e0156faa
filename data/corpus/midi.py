"""Standard MIDI files as far as the renderer needs them: tracks separated and moved in time."""

from __future__ import annotations

import struct
from dataclasses import dataclass

STEMS = ("drums", "harmony", "melody")
_DRUM_CHANNEL = 9
_MELODY_TRACK = "Solo"
_TRACK_NAME, _TEMPO = 3, 81  # meta event types


@dataclass(frozen=True)
class StemLayout:
    """A MIDI file whose stems play one after another, the start of each of STEMS, and their distance, in seconds."""

    midi: bytes
    starts: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class _Track:
    name: str
    channels: frozenset[int]
    tempo: int | None  # microseconds per quarter note
    first_delta: int
    rest: bytes  # everything after the first delta time


def lay_out_stems(midi: bytes, seconds: float) -> StemLayout:
    """Move drums, harmony and melody of a song apart, so that one synthesis run plays each alone.

    Args:
        midi: bytes of a MIDI file of format 1 with constant tempo, as MMA writes them.
        seconds: time every stem needs, decay of its last notes included.

    Raises:
        ValueError: not a MIDI file of format 1.
    """
    if midi[:4] != b"MThd" or struct.unpack(">H", midi[8:10])[0] != 1:
        raise ValueError("not a MIDI file of format 1")
    ticks_per_quarter = struct.unpack(">H", midi[12:14])[0]
    tracks = [_read_track(chunk) for chunk in _track_chunks(midi)]
    tempo = next(track.tempo for track in tracks if track.tempo is not None)
    seconds_per_tick = tempo / 1e6 / ticks_per_quarter
    distance = round(seconds / seconds_per_tick)
    chunks = []
    for track in tracks:
        delay = STEMS.index(_stem(track)) * distance if track.channels else 0
        body = _variable_length(track.first_delta + delay) + track.rest
        chunks.append(b"MTrk" + struct.pack(">I", len(body)) + body)
    starts = {stem: index * distance * seconds_per_tick for index, stem in enumerate(STEMS)}
    return StemLayout(midi[:14] + b"".join(chunks), starts, distance * seconds_per_tick)


def _stem(track: _Track) -> str:
    if _DRUM_CHANNEL in track.channels:
        return "drums"
    return "melody" if track.name == _MELODY_TRACK else "harmony"


def _track_chunks(midi: bytes) -> list[bytes]:
    chunks = []
    position = 14
    while position < len(midi):
        (length,) = struct.unpack(">I", midi[position + 4 : position + 8])
        chunks.append(midi[position + 8 : position + 8 + length])
        position += 8 + length
    return chunks


def _read_track(body: bytes) -> _Track:
    name, tempo, channels = "", None, set()
    first_delta, rest_start = _read_variable_length(body, 0)
    position, status = rest_start, 0
    while position < len(body):
        if position != rest_start:
            _, position = _read_variable_length(body, position)
        if body[position] >= 0x80:
            status = body[position]
            position += 1
        if status == 0xFF:
            kind = body[position]
            length, position = _read_variable_length(body, position + 1)
            payload = body[position : position + length]
            if kind == _TRACK_NAME:
                name = payload.decode("latin-1")
            elif kind == _TEMPO and tempo is None:
                tempo = int.from_bytes(payload, "big")
            position += length
        elif status >= 0xF0:
            length, position = _read_variable_length(body, position)
            position += length
        else:
            channels.add(status & 0x0F)
            position += 1 if status >> 4 in (0xC, 0xD) else 2
    return _Track(name, frozenset(channels), tempo, first_delta, body[rest_start:])


def _read_variable_length(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    while True:
        byte = data[position]
        position += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, position


def _variable_length(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))
