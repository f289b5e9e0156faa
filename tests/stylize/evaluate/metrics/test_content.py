"""Measures on songs with known answers: the same, noise, transposed, drums shifted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stylize.evaluate.metrics.content import (
    CONTENT_METRICS,
    TRUTH_METRICS,
    Analysis,
    analyze,
    at_level_of,
    beat_f1,
    chroma_agreement,
    content_kept,
    distance_to_truth,
    mfcc_distance,
    onset_f1,
    pitch_f1,
)
from stylize.evaluate.metrics.multipitch import PITCHES, RATE, Pitches
from stylize_core.metrics.waveform import chroma_cosine


@pytest.fixture(scope="module")
def song(known_song: Any) -> Analysis:
    return analyze(known_song.pad() + known_song.drums())


def test_the_same_song_is_kept_whole(song: Analysis) -> None:
    assert content_kept(song, song) == pytest.approx(dict.fromkeys(CONTENT_METRICS, 1.0))
    near = distance_to_truth(song, song)
    assert tuple(near) == TRUTH_METRICS
    assert list(near.values()) == pytest.approx([0.0, 0.0, 1.0, 1.0], abs=1e-6)


def test_drums_are_heard_where_they_were_put(song: Analysis) -> None:
    expected = np.arange(0.1, 7.8, 0.5)
    assert onset_f1(song.onsets, expected) == 1
    assert beat_f1(song.beats, expected) > 0.9


def test_transposition_costs_harmony_and_no_rhythm(song: Analysis, known_song: Any) -> None:
    kept = content_kept(analyze(known_song.pad(transpose=6) + known_song.drums()), song)
    assert kept["chroma"] < 0.7 and kept["pitch_f1"] < 0.25
    assert kept["onset_f1"] > 0.95 and kept["beat_f1"] > 0.95


def test_shifted_drums_cost_rhythm_and_no_harmony(song: Analysis, known_song: Any) -> None:
    kept = content_kept(analyze(known_song.pad() + known_song.drums(shift=0.25)), song)
    assert kept["onset_f1"] < 0.1 and kept["beat_f1"] < 0.1
    assert kept["chroma"] > 0.9 and kept["pitch_f1"] > 0.85


def test_noise_keeps_nothing(song: Analysis) -> None:
    noise = np.random.default_rng(1).standard_normal(len(song.wav)).astype(np.float32) * 0.1
    kept = content_kept(analyze(noise), song)
    assert kept["pitch_f1"] < 0.2 and kept["onset_f1"] < 0.5
    assert kept["chroma"] < 0.85  # flat chroma has a high cosine to any
    near = distance_to_truth(analyze(noise), song)
    assert near["mel_to_truth"] > 0.5 and near["mfcc_to_truth"] > 5


def test_silence_agrees_with_silence_alone(song: Analysis) -> None:
    silence = analyze(np.zeros(len(song.wav), dtype=np.float32))
    assert content_kept(silence, silence) == dict.fromkeys(CONTENT_METRICS, 1.0)
    assert content_kept(silence, song) == dict.fromkeys(CONTENT_METRICS, 0.0)


def test_times_agree_within_their_windows() -> None:
    beats = np.array([1.0, 2.0, 3.0, 4.0])
    assert onset_f1(beats + 0.049, beats) == 1 and onset_f1(beats + 0.051, beats) == 0
    assert beat_f1(beats + 0.069, beats) == 1 and beat_f1(beats + 0.071, beats) == 0
    # Two of three found, two of four are right: precision 2/3, recall 1/2.
    assert onset_f1(np.array([1.0, 2.0, 2.5]), beats) == pytest.approx(4 / 7)


def test_notes_by_hand() -> None:
    times = np.arange(2) * 0.1
    chord, other = np.zeros((2, len(PITCHES)), dtype=bool), np.zeros((2, len(PITCHES)), dtype=bool)
    chord[:, [0, 4, 7]] = True
    other[0, [0, 4, 9]] = True  # 2 of 3 right; the second frame has no notes
    # Precision 2/3, recall 2/6.
    assert pitch_f1(Pitches(times, other), Pitches(times, chord)) == pytest.approx(4 / 9)
    assert pitch_f1(Pitches(times, chord), Pitches(times, chord)) == 1


def test_loudness_is_no_distance_to_the_truth(song: Analysis) -> None:
    quiet = analyze(song.wav * 0.3)
    near = distance_to_truth(quiet, song)
    assert near["mel_to_truth"] < 0.001
    assert near["mfcc_to_truth"] < 0.5
    np.testing.assert_allclose(at_level_of(quiet.wav, song.wav), song.wav, atol=1e-5)
    silence = np.zeros(100, dtype=np.float32)
    assert (at_level_of(silence, song.wav) == 0).all()


def test_mfcc_distance_is_a_root_mean_square(song: Analysis) -> None:
    moved = replace(song, mfcc=song.mfcc + 3.0)
    assert mfcc_distance(moved, song) == pytest.approx(3.0)
    short = replace(song, mfcc=song.mfcc[:, :5])
    with pytest.raises(ValueError, match="got MFCCs of 5 and"):
        mfcc_distance(short, song)


def test_chroma_is_that_of_the_other_measure(song: Analysis, known_song: Any) -> None:
    half_silent = song.wav.copy()
    half_silent[len(half_silent) // 2 :] = 0
    for wav in (half_silent, known_song.pad(transpose=3)):
        expected = chroma_cosine(wav, song.wav, RATE)
        assert chroma_agreement(analyze(wav).chroma, song.chroma) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="got chroma of 5 and"):
        chroma_agreement(song.chroma[:, :5], song.chroma)
