"""The multi-pitch estimate on chords whose notes are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stylize.evaluate.metrics.content import pitch_f1
from stylize.evaluate.metrics.multipitch import (
    BINS_PER_SEMITONE,
    FRAME_STEP,
    LOWEST_NOTE,
    PITCHES,
    Pitches,
    constant_q,
    estimate_pitches,
)


def listen(wav: np.ndarray) -> Pitches:
    return estimate_pitches(constant_q(wav))


def answer(known_song: Any, times: np.ndarray) -> Pitches:
    notes = np.zeros((len(times), len(PITCHES)), dtype=bool)
    for frame, time in enumerate(times):
        chord = known_song.chords[min(int(time // 2), 3)]
        notes[frame, [note - PITCHES.start for note in chord]] = True
    return Pitches(times, notes)


@pytest.mark.parametrize("partials", [1, 2, 8, 16])
def test_notes_of_known_chords(known_song: Any, partials: int) -> None:
    found = listen(known_song.pad(partials=partials))
    assert pitch_f1(found, answer(known_song, found.times)) > 0.9


def test_drums_hide_few_notes(known_song: Any) -> None:
    found = listen(known_song.pad() + known_song.drums())
    assert pitch_f1(found, answer(known_song, found.times)) > 0.8


def test_a_semitone_is_another_note(known_song: Any) -> None:
    found = listen(known_song.pad(transpose=1))
    assert pitch_f1(found, answer(known_song, found.times)) < 0.3
    assert found.frequencies[20].tolist() == pytest.approx([440 * 2 ** ((note - 69) / 12) for note in (61, 65, 68)])


def test_silence_has_no_notes() -> None:
    assert not listen(np.zeros(22050, dtype=np.float32)).notes.any()
    with pytest.raises(ValueError, match=r"shape \(2, 100\)"):
        constant_q(np.zeros((2, 100), dtype=np.float32))


def test_dull_chords_have_no_notes_below_them(known_song: Any) -> None:
    """The notes of a wide chord are harmonics of a note that nobody plays."""
    chords = ((48, 67, 76), (60, 67, 76), (55, 74, 83), (53, 72, 81))
    found = listen(known_song.pad(partials=1, chords=chords))
    lowest = [PITCHES.start + int(np.argmax(frame)) for frame in found.notes if frame.any()]
    assert np.mean([note >= 48 for note in lowest]) > 0.95
    assert found.notes.sum(axis=1).max() <= 4


def test_what_sounds_for_a_moment_is_no_note(known_song: Any) -> None:
    """A stroke of a drum lights up a bin for one or two columns; a note stays."""
    steady = constant_q(known_song.pad())
    struck, note, frame = steady.copy(), 77, 20
    lit = (note - LOWEST_NOTE) * BINS_PER_SEMITONE
    struck[lit - 1 : lit + 2, frame * FRAME_STEP : frame * FRAME_STEP + 2] = 3 * steady.max()
    assert np.array_equal(estimate_pitches(struck).notes, estimate_pitches(steady).notes)
    struck[lit - 1 : lit + 2, frame * FRAME_STEP : frame * FRAME_STEP + 60] = 3 * steady.max()
    assert estimate_pitches(struck).notes[frame + 3, note - PITCHES.start]
