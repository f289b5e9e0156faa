"""The mono mix: the mean of ordinary stereo, and of inverted channels what is heard, in blocks as in the whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data.segments import read_crop
from stylize_core.audio.downmix import Downmix, downmix
from stylize_core.audio.reader import AudioReader, probe_audio, read_audio, read_part

RATE = 1000


def noise(seconds: float = 10.0, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE)).astype(np.float32)


def decibels(wav: np.ndarray) -> float:
    return float(10 * np.log10(np.square(wav, dtype=np.float64).mean() + 1e-30))


ORDINARY = {
    "the same": lambda left, other: [left, left],
    "wide": lambda left, other: [left, 0.3 * left + other],
    "apart": lambda left, other: [left, other],
    "one silent": lambda left, other: [left, 0 * left],
    "first silent": lambda left, other: [0 * left, left],
    "partly against": lambda left, other: [left, -0.5 * left + other],
    "silence": lambda left, other: [0 * left, 0 * left],
    "five channels": lambda left, other: [left, other, left + other, 0 * left, 0.5 * other],
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_the_mix_of_ordinary_channels_is_exactly_their_mean(kind: str) -> None:
    wav = np.stack(ORDINARY[kind](noise(), noise(seed=1)))
    assert np.array_equal(downmix(wav, RATE), wav.mean(axis=0, dtype=np.float32))


@pytest.mark.parametrize("level", [1.0, 0.5, 0.9999])
@pytest.mark.parametrize("seconds", [0.001, 0.5, 1.0, 1.001, 2.0, 7.3])
def test_an_inverted_channel_is_turned_round(level: float, seconds: float) -> None:
    left = noise(seconds)
    np.testing.assert_allclose(downmix(np.stack([left, -level * left]), RATE), left * (1 + level) / 2, rtol=1e-5)


def test_inverted_channels_with_a_room_around_them_are_heard() -> None:
    left = noise()
    for room in (0.0, 0.1, 0.3):
        wav = np.stack([left, -left + room * noise(seed=1)])
        assert decibels(downmix(wav, RATE)) > decibels(left) - 1
    levels = [decibels(downmix(np.stack([left, -left + room * noise(seed=1)]), RATE)) for room in np.linspace(0, 3, 31)]
    assert min(levels) > decibels(left) - 10 and np.abs(np.diff(levels)).max() < 4  # no cliff between the two


def test_a_channel_that_changes_its_polarity_half_way() -> None:
    left = noise()
    wav = np.stack([left, np.where(np.arange(len(left)) < 5 * RATE, left, -left)])
    mix = downmix(wav, RATE)
    assert np.array_equal(mix[: 3 * RATE], left[: 3 * RATE])
    np.testing.assert_allclose(mix[-3 * RATE :], left[-3 * RATE :], rtol=1e-5)
    assert decibels(mix[4 * RATE : 6 * RATE]) > decibels(left) - 3


@pytest.mark.parametrize(
    "channels",
    [
        lambda left, other: [left, -left],
        lambda left, other: [0 * left, left, -left],
        lambda left, other: [0.1 * other, left, -left],
        lambda left, other: [left, 0.2 * other - left, 0.1 * other, left],
        lambda left, other: [0 * left, 0 * left, -left, left, -left],
    ],
)
def test_whichever_channels_cancel_the_mix_is_heard(channels: Callable[..., list[np.ndarray]]) -> None:
    wav = np.stack(channels(noise(), noise(seed=1)))
    assert decibels(wav.mean(axis=0)) < decibels(noise()) - 11
    assert decibels(downmix(wav, RATE)) > decibels(noise()) - 5


def test_blocks_equal_the_whole() -> None:
    left = noise(7.77)
    wav = np.stack([left, np.where(np.arange(len(left)) < 3 * RATE, left, 0.2 * noise(7.77, 1) - left)])
    whole = downmix(wav, RATE)
    rng = np.random.default_rng(0)
    for longest in (7, 999, 1000, 5000):
        mixer, parts, position = Downmix(2, RATE), [], 0
        while position < len(left):
            count = int(rng.integers(1, longest + 1))
            parts.append(mixer.push(wav[:, position : position + count]))
            position += count
        parts.append(mixer.finish())
        assert np.array_equal(np.concatenate(parts, axis=1)[0], whole)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_piece_of_a_file_is_the_same_as_in_the_whole(tmp_path: Path, suffix: str, channels: int) -> None:
    rate = 8000
    left = 0.1 * np.random.default_rng(0).standard_normal(6 * rate + 123).astype(np.float32)
    wav = np.stack([left, np.where(np.arange(len(left)) < 3 * rate, left, -left)])[:channels]
    path = tmp_path / f"song{suffix}"
    soundfile.write(path, wav.T, rate)
    whole, info = read_audio(path)[0][0], probe_audio(path)
    pieces = [(0, 50), (2 * rate + 7, 2 * rate), (3 * rate - 5, 10), (0, len(left)), (6 * rate, 123)]
    for start, length in pieces[: -1 if suffix == ".ogg" else None]:  # libsndfile is off by 5 on an Ogg's last page
        piece = read_part(info, start, length)
        np.testing.assert_allclose(piece, whole[start : start + length], atol=1e-6)
        assert np.array_equal(read_crop(info, start, length), piece)
    assert len(read_part(info, 6 * rate + 100, 1000)) == 23
    with pytest.raises(RuntimeError, match="23 samples from sample 48100, expected 1000"):
        read_crop(info, 6 * rate + 100, 1000)
    with AudioReader(path, mono=True) as reader:
        assert np.array_equal(np.concatenate([reader.read(999)[0] for _ in range(49)]), whole)


def test_a_piece_of_several_streams(tmp_path: Path) -> None:
    path = tmp_path / "joined.flac"
    left = noise(8.0)
    soundfile.write(path, np.stack([left, -left], axis=1), 8000)
    path.write_bytes(path.read_bytes() * 2)
    whole, info = read_audio(path)[0][0], probe_audio(path)
    assert len(info.streams) == 2 and np.array_equal(read_part(info, 7000, 3000), whole[7000:10000])
