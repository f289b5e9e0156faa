"""Melodies: in key, on the chords, in time, repeating."""

from __future__ import annotations

import itertools
import random

import pytest

from data.corpus.harmony import Bar, Key, draw_phrase
from data.corpus.melody import HIGHEST, LOWEST, MelodyBar, draw_melody

SEEDS = range(25)


def phrase(seed: int, mode: str) -> tuple[Key, tuple[Bar, ...], tuple[MelodyBar, ...]]:
    generator = random.Random(seed)
    key = Key(seed % 12, mode)
    chords = draw_phrase(generator, key, home=True)
    return key, chords, draw_melody(generator, key, chords)


@pytest.mark.parametrize("mode", ["major", "minor", "blues"])
def test_bars_are_full_and_pitches_in_reach_and_in_key(mode: str) -> None:
    for seed in SEEDS:
        key, chords, melody = phrase(seed, mode)
        assert len(melody) == len(chords)
        for bar, bar_chords in zip(melody, chords, strict=True):
            assert sum(note.eighths for note in bar) == 8
            allowed = set(key.pitch_classes).union(*(chord.pitch_classes for chord in bar_chords))
            for note in bar:
                if note.pitch is not None:
                    assert LOWEST <= note.pitch <= HIGHEST
                    assert note.pitch % 12 in allowed


@pytest.mark.parametrize("mode", ["major", "minor", "blues"])
def test_strong_beats_hold_notes_of_the_chord_sounding_there(mode: str) -> None:
    for seed in SEEDS:
        _, chords, melody = phrase(seed, mode)
        for bar, bar_chords in zip(melody, chords, strict=True):
            onset = 0
            for note in bar:
                if onset in (0, 4) and note.pitch is not None:
                    chord = bar_chords[-1] if onset == 4 else bar_chords[0]
                    assert note.pitch % 12 in chord.pitch_classes
                onset += note.eighths


def test_melody_moves_repeats_its_rhythm_and_rests() -> None:
    rests = 0
    for seed in SEEDS:
        _, _, melody = phrase(seed, "major")
        pitches = {note.pitch for bar in melody for note in bar if note.pitch is not None}
        assert len(pitches) >= 4
        rhythm = [[(note.eighths, note.pitch is None) for note in bar] for bar in melody]
        assert rhythm[0:2] == rhythm[4:6]  # the motif comes back
        rests += sum(note.pitch is None for bar in melody for note in bar)
    assert rests > len(SEEDS) / 2


def test_small_steps_outnumber_leaps() -> None:
    sizes = []
    for seed in SEEDS:
        _, _, melody = phrase(seed, "minor")
        line = [note.pitch for bar in melody for note in bar if note.pitch is not None]
        sizes += [abs(after - before) for before, after in itertools.pairwise(line)]
    assert sorted(sizes)[len(sizes) // 2] <= 4
    assert max(sizes) <= 21
