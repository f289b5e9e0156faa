"""Measurements of a corpus, on sounds whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data.corpus.check import bar_chroma, check_corpus, format_check, onset_lag
from stylize_core.errors import UserError

RATE = 22050


def chord(pitches: list[int], seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return sum((np.sin(2 * np.pi * 440.0 * 2 ** ((p - 69) / 12) * time) for p in pitches), np.zeros(len(time))) / 8


def write_corpus(root: Path, silent_seconds: float = 0.0) -> None:
    """Two songs of two bars in two genres that differ in octave; jazz may begin with silence."""
    songs = {"00000": ([60, 64, 67], [65, 69, 72]), "00001": ([61, 66, 70], [59, 63, 66])}
    lines = []
    for genre, octave in (("jazz", 0), ("pop", -12)):
        (root / genre).mkdir()
        for song, bars in songs.items():
            wav = np.concatenate([chord([pitch + octave for pitch in bar], 2.0) for bar in bars])
            if genre == "jazz":
                wav[: round(silent_seconds * RATE)] = 0.0
            file = f"{genre}/{genre}.{song}.wav"
            soundfile.write(root / file, wav, RATE)
            lines.append(json.dumps({"file": file, "genre": genre, "song": song, "tempo": 120}))
    (root / "manifest.jsonl").write_text("\n".join(lines) + "\n")


def test_chroma_finds_the_notes_of_each_bar() -> None:
    wav = np.concatenate([chord([60, 64, 67], 2.0), chord([57, 62, 65], 2.0)])
    chroma = bar_chroma(wav, RATE, 2.0)
    assert chroma.shape == (2, 12)
    assert set(np.argsort(chroma[0])[-3:]) == {0, 4, 7}
    assert set(np.argsort(chroma[1])[-3:]) == {9, 2, 5}
    np.testing.assert_allclose(np.linalg.norm(chroma, axis=1), 1.0)
    np.testing.assert_allclose(chroma.sum(axis=1), 0.0, atol=1e-9)


def test_lag_is_the_shift_between_two_signals() -> None:
    flux = np.random.default_rng(0).normal(size=2000)
    late = np.concatenate([np.zeros(10), flux[:-10]])
    assert onset_lag(flux, late, RATE) == pytest.approx(10 * 128 / RATE)
    assert onset_lag(late, flux, RATE) == pytest.approx(-10 * 128 / RATE)


def test_corpus_of_known_sounds(tmp_path: Path) -> None:
    write_corpus(tmp_path, silent_seconds=0.5)
    lengths, (lowest, highest), genres = check_corpus(tmp_path)
    assert lengths == {4 * RATE}
    assert -9.0 < lowest <= highest < -8.0  # three tones of 1/8
    for name, silence in (("jazz", 0.5), ("pop", 0.0)):
        assert genres[name].files == 2
        assert genres[name].silence == silence
        assert genres[name].rms == pytest.approx(20 * np.log10(np.sqrt(3 / 2) / 8), abs=0.6)
        assert genres[name].chroma_same > 0.95
        assert genres[name].chroma_other < 0.3
    assert "jazz           2" in format_check(lengths, (lowest, highest), genres)


def test_nothing_to_measure(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no manifest"):
        check_corpus(tmp_path)
    (tmp_path / "manifest.jsonl").write_text("")
    with pytest.raises(UserError, match="holds 0 song"):
        check_corpus(tmp_path)
