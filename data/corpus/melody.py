"""Seeded melodies that fit their chords: chord notes on strong beats, steps between, rests, repetition."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from data.corpus.harmony import Bar, Key

LOWEST, HIGHEST = 60, 81  # MIDI pitches: C4 to A5, within reach of every melody instrument
EIGHTHS_PER_BAR = 8

# One bar as lengths in eighths; a negative length is a rest. Onsets at 0 and 4 are the strong beats.
_RHYTHMS: tuple[tuple[int, ...], ...] = (
    (4, 4),
    (2, 2, 2, 2),
    (3, 1, 4),
    (2, 1, 1, 4),
    (2, 2, 4),
    (4, 2, 2),
    (3, 1, 2, 2),
    (1, 1, 2, 1, 1, 2),
    (-2, 2, 2, 2),
    (-1, 1, 2, 4),
    (2, 2, 3, -1),
    (6, 2),
    (3, 3, 2),
    (1, 2, 1, 4),
    (2, 1, 1, 2, 1, 1),
    (-4, 2, 2),
)
_CADENCES: tuple[tuple[int, ...], ...] = ((8,), (6, -2), (4, -4), (2, 2, -4))
_LEAPS = (-2, -1, -1, -1, 1, 1, 1, 2)  # scale steps from one note to the next


@dataclass(frozen=True)
class Note:
    """One event of a melody: its length in eighths and its MIDI pitch, None for a rest."""

    eighths: int
    pitch: int | None


MelodyBar = tuple[Note, ...]


def draw_melody(generator: random.Random, key: Key, chords: Sequence[Bar]) -> tuple[MelodyBar, ...]:
    """Write a melody over one phrase of chords, one entry a bar.

    Rhythm and contour of a two-bar motif recur at the start of each four-bar half, moved to its chords; the last bar is
    a cadence that ends on a chord note.
    """
    motif = [generator.choice(_RHYTHMS) for _ in range(2)]
    answers = [generator.choice(_RHYTHMS) for _ in range(2)]
    motif_leaps = [[generator.choice(_LEAPS) for _ in rhythm] for rhythm in motif]
    start = generator.randint(LOWEST + 4, HIGHEST - 6)
    position = start
    bars = []
    for index, bar in enumerate(chords):
        place = index % 4
        if index == len(chords) - 1:
            rhythm = generator.choice(_CADENCES)
            leaps = [generator.choice((-1, 1)) for _ in rhythm]
        elif place < 2:
            rhythm, leaps = motif[place], motif_leaps[place]
            position = start if place == 0 else position
        else:
            rhythm = answers[place - 2]
            leaps = [generator.choice(_LEAPS) for _ in rhythm]
        notes, position = _write_bar(rhythm, leaps, position, key, bar)
        bars.append(notes)
    return tuple(bars)


def _write_bar(
    rhythm: Sequence[int], leaps: Sequence[int], position: int, key: Key, chords: Bar
) -> tuple[MelodyBar, int]:
    notes = []
    onset = 0
    for length, leap in zip(rhythm, leaps, strict=True):
        if length < 0:
            notes.append(Note(-length, None))
        else:
            chord = chords[onset * len(chords) // EIGHTHS_PER_BAR]
            position = _move(position, leap, key.pitch_classes)
            if onset % 4 == 0 or length >= 4:  # strong beats and long notes belong to the chord
                position = _nearest(position, chord.pitch_classes)
            notes.append(Note(length, position))
        onset += abs(length)
    return tuple(notes), position


def _move(pitch: int, steps: int, scale: Sequence[int]) -> int:
    """Walk along the scale; turn round at the ends of the range."""
    direction = 1 if steps > 0 else -1
    for _ in range(abs(steps)):
        if not LOWEST <= pitch + 2 * direction <= HIGHEST:
            direction = -direction
        pitch += direction
        while pitch % 12 not in scale:
            pitch += direction
    return _nearest(pitch, scale)


def _nearest(pitch: int, pitch_classes: Sequence[int]) -> int:
    """The pitch in range closest to the given one whose pitch class is allowed; the lower one of two."""
    allowed = (p for p in range(LOWEST, HIGHEST + 1) if p % 12 in pitch_classes)
    return min(allowed, key=lambda candidate: (abs(candidate - pitch), candidate))
