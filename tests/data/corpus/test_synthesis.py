"""Rendering: levels, and real music where the tools are installed."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from data.corpus import synthesis
from data.corpus.arrangement import HELD_OUT_SOUNDFONT, Arrangement, Mix, arrange, mma_text
from data.corpus.bands import STYLES
from data.corpus.harmony import Chord, Key
from data.corpus.melody import Note
from data.corpus.songs import Song, write_song
from data.corpus.synthesis import SAMPLE_RATE, check_tools, render, write_midi
from stylize_core.errors import UserError

FLAT = Mix(drums_level=0.0, melody_level=0.0, peak=0.8)


def sine(frequency: float, amplitude: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def test_loudness_of_a_tone_is_its_rms_and_silence_around_it_does_not_count() -> None:
    tone = sine(2000.0, 0.5)
    assert synthesis._loudness(tone) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
    with_pause = np.concatenate([tone, np.zeros_like(tone)])
    assert synthesis._loudness(with_pause) == pytest.approx(synthesis._loudness(tone), rel=0.01)


def test_deep_bass_counts_less() -> None:
    assert synthesis._loudness(sine(50.0, 0.5)) < 0.5 * synthesis._loudness(sine(2000.0, 0.5))


def test_mix_sets_stems_to_their_levels_whatever_they_had() -> None:
    stems = {"drums": sine(3000.0, 0.01), "harmony": sine(1000.0, 0.7), "melody": np.zeros(SAMPLE_RATE)}
    total = synthesis._mix(stems, dataclasses.replace(FLAT, drums_level=-6.0))
    spectrum = np.abs(np.fft.rfft(total))  # one bin a hertz
    assert 20 * np.log10(spectrum[3000] / spectrum[1000]) == pytest.approx(-6.0, abs=0.2)


def test_limiter_holds_peaks_down_and_leaves_the_rest_alone() -> None:
    wav = sine(440.0, 0.1, seconds=2.0)
    wav[SAMPLE_RATE] = 5.0
    limited = synthesis._limit(wav)
    ceiling = 4.5 * np.sqrt(np.mean(wav**2))
    assert np.abs(limited).max() <= ceiling * (1 + 1e-6)
    assert np.abs(limited).max() > 0.9 * ceiling
    np.testing.assert_array_equal(limited[: SAMPLE_RATE // 2], wav[: SAMPLE_RATE // 2])


def test_missing_tools_are_named_with_the_line_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "mma" else tool)
    monkeypatch.setattr(synthesis, "find_soundfont", lambda name: None if name[:3] == "Tim" else Path(name))
    with pytest.raises(UserError, match=r"mma, TimGM6mb\.sf2, not found; .*apt-get install mma fluidsynth"):
        check_tools()


@pytest.mark.parametrize("genre", sorted(STYLES))
def test_every_band_is_read_by_mma_and_plays_melody_and_harmony(mma: None, tmp_path: Path, genre: str) -> None:
    song = write_song(0, 3, 2.0)
    style = STYLES[genre]
    for band in (*style.training, *style.held_out):
        text = mma_text(song, Arrangement(genre, band, 73, HELD_OUT_SOUNDFONT, 1, FLAT))
        midi = write_midi(text, tmp_path).read_bytes()
        assert midi.count(b"MTrk") >= 3, band.name  # conductor, melody and at least one other
        (tmp_path / "song.mid").unlink()


def test_mma_text_that_is_wrong_is_refused(mma: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mma could not read .*: Error: .*NONSENSE"):
        write_midi("Groove stdlib/swing:Nonsense\n1 C\n", tmp_path)


def test_the_same_seed_gives_the_same_midi_and_wav_byte_for_byte(tools: None, tmp_path: Path) -> None:
    song, arrangement = write_song(0, 0, 2.0), arrange(0, 0, "country")
    text = mma_text(song, arrangement)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    first, second = (write_midi(text, folder).read_bytes() for folder in folders)
    assert first == second
    other = mma_text(song, dataclasses.replace(arrangement, seed=arrangement.seed + 1))
    assert write_midi(other, folders[0]).read_bytes() != first
    renderings = [render(text, HELD_OUT_SOUNDFONT, 2 * SAMPLE_RATE, FLAT) for _ in range(2)]
    np.testing.assert_array_equal(renderings[0], renderings[1])


def test_rendering_has_length_peak_and_no_hole(tools: None) -> None:
    text = mma_text(write_song(0, 0, 3.0), arrange(0, 0, "rock"))
    wav = render(text, HELD_OUT_SOUNDFONT, 3 * SAMPLE_RATE + 1, FLAT)
    assert wav.shape == (3 * SAMPLE_RATE + 1,)
    assert wav.dtype == np.float32
    assert np.abs(wav).max() == pytest.approx(0.8, abs=1e-6)
    frames = wav[: 3 * SAMPLE_RATE].reshape(-1, SAMPLE_RATE // 5)
    assert np.sqrt(np.mean(frames**2, axis=1)).min() > 0.01


def test_silence_is_an_error() -> None:
    with pytest.raises(UserError, match="silence"):
        synthesis._finish(np.zeros(SAMPLE_RATE, dtype=np.float32), 0.8, Path("some.sf2"))


def test_stems_stay_in_time_with_each_other(tools: None, tmp_path: Path) -> None:
    """Each lies where it is heard when FluidSynth plays the song whole; a sequencer step is 1 to 3 ms."""
    soundfont = synthesis.find_soundfont(HELD_OUT_SOUNDFONT)
    assert soundfont is not None
    midi = write_midi(mma_text(write_song(0, 3, 3.0), arrange(0, 3, "rock")), tmp_path)
    whole = synthesis._play(midi, soundfont).mean(axis=1)[: 2 * 3 * SAMPLE_RATE : 2]
    stems = synthesis._play_stems(midi, soundfont, len(whole))
    assert all(synthesis._loudness(stem) > 1e-3 for stem in stems.values())
    for name, stem in stems.items():
        correlation = scipy.signal.correlate(whole, stem, method="fft")
        lag = int(np.argmax(correlation)) - (len(stem) - 1)
        assert abs(lag) < 0.006 * SAMPLE_RATE, name


def chroma_of_bars(song: Song, genre: str) -> np.ndarray:
    """Magnitude of each pitch class in every bar without its mean, shape (bars, 12), each of length 1."""
    bars, bar_samples = len(song.chords), round(240.0 / song.tempo * SAMPLE_RATE)
    text = mma_text(song, arrange(0, 1, genre))
    wav = render(text, HELD_OUT_SOUNDFONT, bars * bar_samples, FLAT).reshape(bars, bar_samples)
    frequencies = np.fft.rfftfreq(bar_samples, 1 / SAMPLE_RATE)
    heard = (frequencies > 100.0) & (frequencies < 1000.0)
    pitch_classes = np.round(12 * np.log2(frequencies[heard] / 440.0) + 9).astype(int) % 12
    spectrum = np.abs(np.fft.rfft(wav, axis=1))[:, heard]
    chroma = np.stack([spectrum[:, pitch_classes == number].sum(axis=1) for number in range(12)], axis=1)
    chroma -= chroma.mean(axis=1, keepdims=True)
    return chroma / np.linalg.norm(chroma, axis=1, keepdims=True)


def test_genres_share_the_harmony_of_their_song_bar_for_bar(tools: None) -> None:
    roots, melody = (0, 6, 9, 3), ((Note(8, None),),) * 4
    song = Song(1, 150, Key(0, "major"), tuple((Chord(root, ""),) for root in roots), melody)
    bars = {genre: chroma_of_bars(song, genre) for genre in ("disco", "country", "rock")}
    for genre in ("country", "rock"):
        agreement = bars["disco"] @ bars[genre].T  # bar against bar
        assert np.diag(agreement).min() > 0.6
        assert (agreement - np.eye(4)).max() < 0.5


def test_synthesis_leaves_no_wav_behind(tools: None, tmp_path: Path) -> None:
    midi = write_midi(mma_text(write_song(0, 0, 1.0), arrange(0, 0, "pop")), tmp_path)
    soundfont = synthesis.find_soundfont(HELD_OUT_SOUNDFONT)
    assert soundfont is not None
    synthesis.synthesize(midi, soundfont, SAMPLE_RATE, FLAT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["song.mid", "song.mma"]
