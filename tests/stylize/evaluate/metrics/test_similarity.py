"""Measures of likeness: known values, what must not change them, and sounds of any rate and shape."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from stylize.evaluate.metrics.similarity import (
    BUNDLED_CLASSIFIER,
    Sound,
    StyleClassifier,
    harmony_similarity,
    rhythm_similarity,
    timbre_distance,
    timbre_statistics,
    window_starts,
)
from stylize_core.classifier import GenreClassifier
from stylize_core.errors import UserError
from stylize_core.mel import LogMel, MelConfig

RATE = 22050


def chords(seconds: float, rate: int = RATE, partials: int = 1, pulse: float = 2.0, shift: float = 1.0) -> np.ndarray:
    """A pulsing chord that changes each second, in tones with so many partials."""
    time = np.arange(int(seconds * rate)) / rate
    wav = 0.001 * np.random.default_rng(0).standard_normal(len(time))
    for root in (220.0, 277.2, 329.6):
        root = root * shift * np.where(time.astype(int) % 2, 1.335, 1.0)
        for partial in range(1, partials + 1):
            wav += 0.1 / partial * np.sin(2 * np.pi * partial * np.cumsum(root) / rate)
    return (wav * (np.sin(2 * np.pi * pulse * time) > 0)).astype(np.float32)


class Listener(GenreClassifier):
    """Embeds a window as the loudness of its lower and its upper bands above the floor; hears the louder."""

    def __init__(self) -> None:
        super().__init__(("low", "high"), MelConfig(n_mels=32), width=8, embedding_size=2)

    def embed(self, mel: Tensor) -> Tensor:
        above = (mel + 5).mean(dim=2)
        return torch.stack([above[:, :16].mean(dim=1), above[:, 16:].mean(dim=1)], dim=1)

    def forward(self, mel: Tensor) -> Tensor:
        return self.embed(mel)


def tone(frequency: float, seconds: float = 8.0, rate: int = RATE) -> Sound:
    return Sound((0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(np.float32), rate)


@pytest.mark.parametrize(
    ("frames", "length", "starts"),
    [(10, 10, [0]), (20, 10, [0, 10]), (25, 10, [0, 10, 15]), (19, 10, [0, 9]), (3, 3, [0])],
)
def test_windows_cover_everything(frames: int, length: int, starts: list[int]) -> None:
    assert list(window_starts(frames, length)) == starts


def test_similarity_is_the_cosine_of_mean_embeddings() -> None:
    likeness = StyleClassifier(Listener())
    low, high = tone(200.0), tone(7000.0)
    assert likeness.style_similarity(low, low) == pytest.approx(1.0, abs=1e-6)
    first, second = (likeness.embedding(sound).numpy() for sound in (low, high))
    expected = float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))
    assert likeness.style_similarity(low, high) == pytest.approx(expected, abs=1e-5)
    assert expected < 0.9
    # The mean over windows, worked out apart: 8 s are 689 frames.
    mel = LogMel(MelConfig(n_mels=32))(torch.from_numpy(low.wav)[None])
    windows = [mel[:, :, start : start + 256] for start in (0, 256, 433)]
    expected_embedding = torch.cat([Listener().embed(window) for window in windows]).mean(dim=0)
    torch.testing.assert_close(likeness.embedding(low), expected_embedding)


def test_probabilities_name_the_genres_and_add_up() -> None:
    likeness = StyleClassifier(Listener())
    for sound, genre in ((tone(200.0), "low"), (tone(7000.0), "high")):
        probabilities = likeness.genre_probabilities(sound)
        assert set(probabilities) == {"low", "high"}
        assert sum(probabilities.values()) == pytest.approx(1.0)
        assert max(probabilities, key=probabilities.__getitem__) == genre
    # One logit for the whole: softmax of the difference of the two loudnesses.
    sound = tone(200.0, seconds=1.0)
    low, high = likeness.embedding(sound).tolist()
    assert likeness.genre_probabilities(sound)["low"] == pytest.approx(1 / (1 + np.exp(high - low)), abs=1e-5)


def test_a_sound_is_the_same_at_any_rate_and_in_any_number_of_channels() -> None:
    likeness = StyleClassifier(Listener())
    sound, fast, slow = (Sound(chords(6.0, rate), rate) for rate in (RATE, 48000, 16000))
    for other in (fast, slow):
        assert len(other.at(RATE)) == pytest.approx(len(sound.wav), abs=1)
        assert likeness.style_similarity(sound, other) > 0.99
        assert harmony_similarity(other, sound) > 0.98
        assert rhythm_similarity(other, sound) > 0.95
    stereo = Sound(np.stack([1.5 * sound.wav, 0.5 * sound.wav]), RATE)
    np.testing.assert_allclose(stereo.at(RATE), sound.wav, atol=1e-6)
    assert timbre_distance(stereo, sound) == pytest.approx(0.0, abs=1e-3)
    assert sound.at(RATE).dtype == np.float32


def test_timbre_is_statistics_of_mfccs_without_loudness() -> None:
    sound, rich = Sound(chords(5.0), RATE), Sound(chords(5.0, partials=8), RATE)
    coefficients = librosa.feature.mfcc(y=sound.wav, sr=RATE, n_mfcc=21)
    statistics = timbre_statistics(sound)
    assert statistics.shape == (40,)
    np.testing.assert_allclose(statistics[:20], coefficients[1:].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(statistics[20:], coefficients[1:].std(axis=1), rtol=1e-5)
    assert timbre_distance(sound, sound) == 0.0
    assert timbre_distance(sound, rich) == timbre_distance(rich, sound) > 3.0
    difference = statistics - timbre_statistics(rich)
    assert timbre_distance(sound, rich) == pytest.approx(np.linalg.norm(difference) / np.sqrt(40), rel=1e-5)
    assert timbre_distance(Sound(0.2 * rich.wav, RATE), rich) < 0.05


def test_harmony_and_rhythm_tell_their_own_changes_apart() -> None:
    content = Sound(chords(6.0), RATE)
    higher, slower = Sound(chords(6.0, shift=1.122), RATE), Sound(chords(6.0, pulse=1.3), RATE)
    assert harmony_similarity(content, content) == pytest.approx(1.0, abs=1e-5)
    assert rhythm_similarity(content, content) == pytest.approx(1.0, abs=1e-5)
    assert harmony_similarity(higher, content) < 0.8 and rhythm_similarity(higher, content) > 0.9
    assert rhythm_similarity(slower, content) < 0.6


def test_the_longer_sound_is_cut() -> None:
    content = Sound(chords(5.0), RATE)
    longer = Sound(np.concatenate([content.wav, chords(3.0, shift=1.5)]), RATE)
    assert harmony_similarity(longer, content) == pytest.approx(1.0, abs=1e-5)
    assert rhythm_similarity(content, longer) == pytest.approx(1.0, abs=1e-5)


def test_files_are_read_as_mono(tmp_path: Path) -> None:
    wav = chords(2.0, 32000)
    soundfile.write(tmp_path / "song.wav", np.stack([wav, 0.5 * wav], axis=1), 32000, subtype="FLOAT")
    whole = Sound.read(tmp_path / "song.wav")
    assert whole.sample_rate == 32000 and whole.seconds == 2.0
    np.testing.assert_allclose(whole.wav, 0.75 * wav, atol=1e-6)
    soundfile.write(tmp_path / "click.wav", wav[:3000], 32000)
    with pytest.raises(UserError, match=r"click.wav is 0.094 s long; expected at least 0.1 s"):
        Sound.read(tmp_path / "click.wav")


@pytest.mark.parametrize(
    ("wav", "rate", "problem"),
    [
        (np.zeros((1, 1, 9000)), RATE, "expected"),
        (np.zeros(9000), 0, "positive rate"),
        (np.zeros(900), RATE, "at least 0.1 s"),
        (np.zeros((0, 9000)), RATE, "at least 0.1 s"),
        (np.full(9000, np.nan), RATE, "NaN"),
    ],
)
def test_what_is_no_sound_is_refused(wav: np.ndarray, rate: int, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Sound(wav, rate)


@pytest.mark.parametrize("samples", [2205, 5000])
def test_the_shortest_and_the_silent_sounds_have_measures(samples: int) -> None:
    likeness = StyleClassifier(Listener())
    silent, short = Sound(np.zeros(samples, np.float32), RATE), tone(440.0, seconds=samples / RATE)
    for pair in ((silent, silent), (silent, short), (short, short)):
        measures = (
            likeness.style_similarity(*pair), timbre_distance(*pair),
            harmony_similarity(*pair), rhythm_similarity(*pair),
        )  # fmt: skip
        assert np.isfinite(measures).all()


def test_a_classifier_comes_from_its_folder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    GenreClassifier(("jazz", "metal"), MelConfig(n_mels=32), width=8, embedding_size=4).save(tmp_path / "classifier")
    likeness = StyleClassifier.from_pretrained(tmp_path / "classifier")
    assert set(likeness.genre_probabilities(tone(440.0))) == {"jazz", "metal"}
    assert not likeness.classifier.training
    with pytest.raises(UserError, match="model folder not found"):
        StyleClassifier.from_pretrained(tmp_path / "gone")


@pytest.mark.skipif(not BUNDLED_CLASSIFIER.is_dir(), reason="no bundled classifier yet")
def test_the_bundled_classifier_loads() -> None:
    probabilities = StyleClassifier.from_pretrained().genre_probabilities(Sound(chords(4.0), RATE))
    assert len(probabilities) >= 2 and sum(probabilities.values()) == pytest.approx(1.0, abs=1e-5)
