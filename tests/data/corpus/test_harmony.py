"""Chords and progressions."""

from __future__ import annotations

import random

import pytest

from data.corpus.harmony import Chord, Key, draw_key, draw_phrase


@pytest.mark.parametrize(
    ("chord", "name", "notes"),
    [
        (Chord(0, ""), "C", {0, 4, 7}),
        (Chord(9, "m7"), "Am7", {9, 0, 4, 7}),
        (Chord(10, "7"), "Bb7", {10, 2, 5, 8}),
        (Chord(2, "m7b5"), "Dm7b5", {2, 5, 8, 0}),
    ],
)
def test_chord_has_the_name_and_notes_of_theory(chord: Chord, name: str, notes: set[int]) -> None:
    assert chord.name == name
    assert set(chord.pitch_classes) == notes


def test_key_has_the_notes_of_its_scale() -> None:
    assert set(Key(7, "major").pitch_classes) == {7, 9, 11, 0, 2, 4, 6}  # G major: one sharp
    assert set(Key(9, "minor").pitch_classes) == set(Key(0, "major").pitch_classes)  # relative keys


@pytest.mark.parametrize("seed", range(20))
def test_phrases_have_eight_bars_and_come_home_when_asked(seed: int) -> None:
    for mode in ("major", "minor"):
        generator = random.Random(seed)
        assert len(draw_phrase(generator, Key(3, mode), home=False)) == 8
        closing = draw_phrase(generator, Key(3, mode), home=True)
        assert len(closing) == 8
        assert closing[-1][-1].root == 3


def test_blues_is_twelve_bars_on_dominant_sevenths_from_i_to_iv_in_bar_five() -> None:
    for seed in range(10):
        bars = draw_phrase(random.Random(seed), Key(4, "blues"), home=False)
        assert len(bars) == 12
        assert bars[0][0].name == "E7"
        assert bars[4][0].name == "A7"


def test_another_tonic_only_transposes() -> None:
    for seed in range(10):
        low = draw_phrase(random.Random(seed), Key(0, "minor"), home=True)
        high = draw_phrase(random.Random(seed), Key(5, "minor"), home=True)
        moved = [[((chord.root + 5) % 12, chord.quality) for chord in bar] for bar in low]
        assert [[(chord.root, chord.quality) for chord in bar] for bar in high] == moved


def test_most_chords_lie_in_the_key() -> None:
    """Borrowed chords are spice: of ten notes nine are of the scale, or the leading note of minor."""
    inside, total = 0, 0
    for seed in range(50):
        for mode, leading in (("major", ()), ("minor", (11,))):
            key = Key(0, mode)
            for bar in draw_phrase(random.Random(seed), key, home=True):
                for chord in bar:
                    notes = chord.pitch_classes
                    inside += sum(note in key.pitch_classes or note in leading for note in notes)
                    total += len(notes)
    assert inside > 0.9 * total


def test_keys_are_all_drawn() -> None:
    keys = {draw_key(random.Random(seed)) for seed in range(600)}
    assert {key.tonic for key in keys} == set(range(12))
    assert {key.mode for key in keys} == {"major", "minor", "blues"}
