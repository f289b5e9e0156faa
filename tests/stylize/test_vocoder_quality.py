"""Vocoders against Griffin-Lim: which excerpts are compared, and that better methods get better figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from data.errors import UserError
from data.mel import GriffinLim, LogMel, MelConfig
from melgan import GeneratorConfig, Vocoder
from stylize import Stylizer, vocoder_quality
from stylize.vocoder_quality import (
    compare_vocoders,
    format_quality,
    frame_rate_lines,
    measure_vocoder,
    measure_vocoders,
    pick_excerpts,
)

RATE = 22050


def write_files(folder: Path, seconds: dict[str, float], level: float = 0.1) -> list[Path]:
    """Recordings in which every sample says where it is: a slow rise from nothing to `level`."""
    for name, length in seconds.items():
        samples = round(length * RATE)
        soundfile.write(folder / name, np.linspace(0, level, samples), RATE, subtype="FLOAT")
    return sorted(folder.iterdir())


def test_excerpts_are_the_middles_of_evenly_spread_files(tmp_path: Path) -> None:
    files = write_files(tmp_path, {f"{number}.wav": 1.0 + number for number in range(4)})
    excerpts = pick_excerpts(files, 2, 0.5, RATE)
    assert [len(excerpt) for excerpt in excerpts] == [11025, 11025]
    for excerpt, seconds in zip(excerpts, (1.0, 3.0), strict=True):  # the first and the third file
        assert excerpt.mean() == pytest.approx(0.05, abs=1e-4)
        assert excerpt[-1] - excerpt[0] == pytest.approx(0.1 * 0.5 / seconds, rel=1e-2)
    assert len(pick_excerpts(files, 9, 0.5, RATE)) == 4


def test_short_and_quiet_files_give_way_to_the_next(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.wav": 0.2, "b.wav": 2.0, "d.wav": 4.0})
    write_files(tmp_path, {"c.wav": 2.0}, level=0.01)
    excerpts = pick_excerpts(sorted(tmp_path.iterdir()), 4, 0.5, RATE)
    assert [round(0.1 * 0.5 / (excerpt[-1] - excerpt[0])) for excerpt in excerpts] == [2, 4]


def test_methods_are_ranked() -> None:
    time = np.arange(2 * RATE) / RATE
    chord = sum(np.sin(2 * np.pi * pitch * time) for pitch in (261.6, 329.6, 392.0))
    original = (0.2 * chord * (1 + 0.5 * np.sin(8 * np.pi * time))).astype(np.float32)
    log_mel = LogMel(MelConfig())
    whole = torch.from_numpy(original[: len(original) // 256 * 256])

    def noise(mel: Tensor) -> Tensor:
        return 0.1 * torch.randn(1, 1, mel.shape[-1] * 256, generator=torch.Generator().manual_seed(0))

    methods = {"noise": noise, "Griffin-Lim": GriffinLim(MelConfig(), 8), "perfect": lambda mel: whole}
    measured = compare_vocoders(methods, [original], log_mel)
    assert list(measured) == ["noise", "Griffin-Lim", "perfect", "original"]
    assert measured["perfect"] == measured["original"]
    perfect = {name: measured["original"][name] for name in ("mr_stft", "mel_l1", "chroma")}
    assert perfect == pytest.approx({"mr_stft": 0.0, "mel_l1": 0.0, "chroma": 1.0}, abs=1e-5)
    griffin_lim, worst = measured["Griffin-Lim"], measured["noise"]
    assert 0 < griffin_lim["mr_stft"] < worst["mr_stft"]
    assert 0 < griffin_lim["mel_l1"] < worst["mel_l1"]
    assert worst["chroma"] < griffin_lim["chroma"] <= 1


def test_lines_at_the_frame_rate_are_found() -> None:
    noise = 0.01 * np.random.default_rng(0).standard_normal(5 * RATE)
    frame_rate = RATE / 256
    assert 0 < frame_rate_lines(noise, frame_rate, RATE) < 6
    time = np.arange(5 * RATE) / RATE
    buzz = sum(np.sin(2 * np.pi * frame_rate * k * time) for k in range(1, 127))
    quiet, loud = (frame_rate_lines(noise + level * buzz, frame_rate, RATE) for level in (1e-4, 1e-3))
    # A sine of amplitude a over white noise of deviation s stands 10 log10(a^2 n / (6 s^2)) high under a Hann window.
    assert loud == pytest.approx(10 * np.log10((1e-3 / 0.01) ** 2 * 5 * RATE / 6), abs=1.5)
    assert 2 < quiet < loud - 12
    # Tones beside the lines are no lines.
    other = sum(np.sin(2 * np.pi * frame_rate * (k + 0.5) * time) for k in range(1, 126))
    assert frame_rate_lines(noise + 1e-3 * other, frame_rate, RATE) < 6
    with pytest.raises(ValueError, match=r"got 0\.10 s"):
        frame_rate_lines(noise[: RATE // 10], frame_rate, RATE)


def test_vocoders_stand_side_by_side(tiny_stylizer: Stylizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, {f"{number}.wav": 3.0 for number in range(40)})
    monkeypatch.setattr(vocoder_quality, "GRIFFIN_LIM_ITERATIONS", 2)
    vocoder = tiny_stylizer.vocoder
    quality = measure_vocoders({"one": vocoder, "two": vocoder}, tmp_path, 2, seconds=0.8)
    assert list(quality["methods"]) == ["one", "two", "Griffin-Lim, 2 iterations", "original"]
    assert quality["methods"]["one"] == quality["methods"]["two"]
    other = Vocoder(GeneratorConfig(n_mels=80, width=16), MelConfig(n_mels=80))
    with pytest.raises(UserError, match="two has another mel front-end"):
        measure_vocoders({"one": vocoder, "two": other}, tmp_path, 2)


def test_the_test_split_is_measured(tiny_stylizer: Stylizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator, lines = np.random.default_rng(0), []
    for genre in ("jazz", "metal"):
        (tmp_path / genre).mkdir()
        for song, split in (("00000", "train"), ("00001", "test")):
            entry = {"file": f"{genre}/{genre}.{song}.wav", "genre": genre, "song": song, "split": split}
            soundfile.write(tmp_path / entry["file"], 0.1 * generator.standard_normal(RATE), RATE)
            lines.append(json.dumps(entry))
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    monkeypatch.setattr(vocoder_quality, "GRIFFIN_LIM_ITERATIONS", 3)
    quality = measure_vocoder(tiny_stylizer.vocoder, tmp_path, 5, seconds=0.8)
    assert quality["excerpts"] == 2
    assert list(quality["methods"]) == ["vocoder", "Griffin-Lim, 3 iterations", "original"]
    table = format_quality({"rendered songs": quality})
    assert len(table) == 5
    lines_of_noise = quality["methods"]["original"]["frame_lines"]
    assert table[-1] == f"| rendered songs | 2 × 0.8 s | original | 0.000 | 0.000 | 1.000 | {lines_of_noise:.1f} |"
    monkeypatch.setattr(tiny_stylizer.vocoder, "refine_iterations", 1)
    refined = measure_vocoder(tiny_stylizer.vocoder, tmp_path, 5, seconds=0.8)["methods"]
    assert refined["vocoder without refinement"] == pytest.approx(quality["methods"]["vocoder"], rel=1e-4)
    assert refined["vocoder"]["mel_l1"] < refined["vocoder without refinement"]["mel_l1"]
    with pytest.raises(UserError, match="no recording of 60 s"):
        measure_vocoder(tiny_stylizer.vocoder, tmp_path, 5, seconds=60)
