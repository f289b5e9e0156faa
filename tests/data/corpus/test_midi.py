"""MIDI files: stems found and moved in time."""

from __future__ import annotations

import struct

import pytest

from data.corpus.midi import lay_out_stems

TICKS = 96  # per quarter note


def chunk(body: bytes) -> bytes:
    return b"MTrk" + struct.pack(">I", len(body)) + body


def track(name: str, channel: int, delta: int = 0) -> bytes:
    """A track with a program change and one note, all of it `delta` ticks after the beginning."""
    head = bytes([delta, 0xFF, 3, len(name)]) + name.encode()
    program = b"" if channel == 9 else bytes([0, 0xC0 | channel, 5])
    return chunk(head + program + bytes([0, 0x90 | channel, 60, 90, 96, 60, 0, 0, 0xFF, 47, 0]))


def midi_file(*tracks: bytes, tempo: int = 500_000) -> bytes:
    conductor = chunk(b"\x00\xff\x51\x03" + tempo.to_bytes(3, "big") + b"\x00\xff\x2f\x00")
    header = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks) + 1, TICKS)
    return header + conductor + b"".join(tracks)


def first_deltas(midi: bytes) -> dict[str, int]:
    """Delta time of the first event of every named track, read by other means than the module's."""
    deltas = {}
    for body in midi.split(b"MTrk")[2:]:
        position, value = 4, 0
        while body[position] & 0x80:
            value = (value + (body[position] & 0x7F)) * 128
            position += 1
        length = body[position + 3]
        deltas[body[position + 4 : position + 4 + length].decode()] = value + body[position]
    return deltas


def test_drums_stay_harmony_and_melody_follow_each_after_the_asked_time() -> None:
    midi = midi_file(track("Drum", 9), track("Bass", 3), track("Chord-Sus", 4, delta=7), track("Solo", 5))
    layout = lay_out_stems(midi, seconds=2.0)  # 0.5 s a quarter: 2 s are 4 quarters
    assert first_deltas(layout.midi) == {
        "Drum": 0,
        "Bass": 4 * TICKS,
        "Chord-Sus": 4 * TICKS + 7,
        "Solo": 8 * TICKS,
    }
    assert layout.starts == {"drums": 0.0, "harmony": 2.0, "melody": 4.0}
    assert layout.seconds == 2.0


def test_starts_are_times_of_whole_ticks_at_an_odd_tempo() -> None:
    tempo = 689_655  # 87 beats a minute
    layout = lay_out_stems(midi_file(track("Bass", 0), tempo=tempo), seconds=1.0)
    ticks = first_deltas(layout.midi)["Bass"]
    assert layout.starts["harmony"] == pytest.approx(ticks * tempo / 1e6 / TICKS, abs=1e-12)
    assert layout.starts["harmony"] == pytest.approx(1.0, abs=tempo / 1e6 / TICKS)


def test_everything_but_first_delta_times_is_kept() -> None:
    midi = midi_file(track("Drum", 9), track("Solo", 5))
    layout = lay_out_stems(midi, seconds=0.0)
    assert layout.midi == midi


@pytest.mark.parametrize("data", [b"", b"RIFF....WAVE", b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS)])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="format 1"):
        lay_out_stems(data, seconds=1.0)
