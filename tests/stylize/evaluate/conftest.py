"""Songs whose notes, onsets and beats are known, a small corpus made of them, and a classifier that is easily told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from stylize.evaluate.metrics.similarity import StyleClassifier
from stylize_core.classifier import GenreClassifier
from stylize_core.mel import MelConfig

RATE = 22050
BEAT_SECONDS = 0.5
CHORDS = ((60, 64, 67), (57, 60, 64), (53, 57, 60), (55, 59, 62))
"""MIDI notes of C, Am, F, G; each chord is two seconds long."""


class KnownSong:
    """Makes its parts, (samples,) at 22050 Hz, 8 s long."""

    seconds = 8.0
    chords = CHORDS

    @staticmethod
    def pad(transpose: int = 0, partials: int = 8, chords: Sequence[Sequence[int]] = CHORDS) -> np.ndarray:
        """Chords that swell and fade slowly, so that they have no onsets to speak of."""
        time = np.arange(2 * RATE) / RATE
        swell = np.sin(np.pi * time / 2) ** 0.5
        bars = []
        for chord in chords:
            bar = np.zeros_like(time)
            for note in chord:
                frequency = 440 * 2 ** ((note + transpose - 69) / 12)
                for partial in range(1, partials + 1):
                    bar += np.sin(2 * np.pi * frequency * partial * time + partial) / partial
            bars.append(0.04 * swell * bar)
        return np.concatenate(bars).astype(np.float32)

    @staticmethod
    def drums(shift: float = 0.0, level: float = 0.3) -> np.ndarray:
        """A hit of noise on every beat, `shift` seconds late."""
        wav = np.zeros(round(KnownSong.seconds * RATE), dtype=np.float32)
        noise = np.random.default_rng(0).standard_normal(2000) * np.exp(-np.arange(2000) / 300)
        for time in np.arange(0.1 + shift, KnownSong.seconds - 0.2, BEAT_SECONDS):
            start = round(time * RATE)
            wav[start : start + 2000] += level * noise
        return wav


@pytest.fixture(scope="session")
def known_song() -> KnownSong:
    return KnownSong()


class BrightnessClassifier(GenreClassifier):
    """Predicts metal where there are overtones, and jazz elsewhere; its embedding says how bright each band is."""

    def __init__(self) -> None:
        super().__init__(("jazz", "metal"), MelConfig(n_mels=12), width=8, embedding_size=12)

    def embed(self, mel: Tensor) -> Tensor:
        return mel.mean(dim=2)

    def forward(self, mel: Tensor) -> Tensor:
        overtones = mel[:, 5:8].mean(dim=(1, 2))
        return 4 * torch.stack([torch.full_like(overtones, -2.4), overtones], dim=1)


@pytest.fixture(scope="session")
def classifier() -> StyleClassifier:
    return StyleClassifier(BrightnessClassifier())


@pytest.fixture
def bright_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command listens with it, whatever folder is named."""
    monkeypatch.setattr(StyleClassifier, "from_pretrained", lambda folder=None: StyleClassifier(BrightnessClassifier()))


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered corpus in small, 2.2 s a clip: chords of pure (jazz) and rich (metal) tones, all tiers but one."""
    root = tmp_path_factory.mktemp("small")
    splits = ["train"] * 4 + ["test"] * 2 + ["test_groove"] * 2
    lines = []
    time = np.arange(round(2.2 * RATE)) / RATE
    for genre, partials in (("jazz", 1), ("metal", 10)):
        (root / genre).mkdir()
        for song, split in enumerate(splits):
            chord = [note + song for note in CHORDS[0]]
            wav = KnownSong.pad(partials=partials, chords=[chord, chord])[: len(time)]
            wav = wav * (1 + 0.5 * np.sin(2 * np.pi * (2 + song % 4) * time))
            wav += 0.0003 * np.random.default_rng(song).standard_normal(len(time))
            file = f"{genre}/{genre}.{song:05d}.wav"
            soundfile.write(root / file, wav, RATE, subtype="PCM_16")
            record = {"file": file, "genre": genre, "song": f"{song:05d}", "split": split}
            held_out = "held-out" if split == "test_groove" else "known"
            lines.append(json.dumps(record | {"groove": f"{genre} {held_out}", "soundfont": "one.sf2"}))
    (root / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="session")
def small_recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared recordings in small: one source to train on, one with a sounding and a silent file to test with."""
    root = tmp_path_factory.mktemp("recordings")
    wav = KnownSong.pad(partials=8)
    lines = []
    for name, split, level in (("a/one", "train", 1.0), ("b/two", "test", 0.8), ("b/silent", "test", 0.0)):
        (root / name).parent.mkdir(exist_ok=True)
        soundfile.write(root / f"{name}.flac", level * wav, RATE)
        lines.append(
            json.dumps(
                {
                    **{"file": f"{name}.flac", "source": name[0], "split": split, "seconds": 8.0, "licence": "CC0"},
                    **{"original": name, "start": 0.0, "wanted_seconds": 8.0},
                }
            )
        )
    (root / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return root
