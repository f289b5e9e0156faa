"""Stereo: a downmix is the stylized mid, panned sounds stay where they are, and the image keeps its width."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfiltfilt
from torch import Tensor

from stylize.stereo import StereoField
from stylize_core.mel import MelConfig

CONFIG = MelConfig()
HOP, CONTEXT, RATE = CONFIG.hop_length, CONFIG.context, CONFIG.sample_rate
FRAMES = 260


def make_field(samples: np.ndarray, change: Callable[[Tensor], Tensor]) -> np.ndarray:
    """The channels that a mid changed by a function gives; samples (C, FRAMES * HOP)."""
    padded = torch.from_numpy(np.pad(samples, ((0, 0), (CONTEXT, CONTEXT)), mode="reflect")).float()
    mid = padded.mean(dim=0, keepdim=True)
    return StereoField(CONFIG)(padded, torch.ones_like(padded), mid, change(mid[:, CONTEXT:-CONTEXT])).numpy()


def noise(seed: int, low: float = 20.0, high: float = 10000.0) -> np.ndarray:
    sound = np.random.default_rng(seed).standard_normal(FRAMES * HOP)
    return 0.1 * sosfiltfilt(butter(2, [low, high], "band", fs=RATE, output="sos"), sound)


def shifted(mid: Tensor) -> Tensor:
    """The phases of a vocoder: each is turned by a right angle, as a Hilbert transform turns it."""
    spectrum = torch.fft.rfft(mid)
    return torch.fft.irfft(spectrum * -1j, n=mid.shape[-1])


@pytest.mark.parametrize("channels", [2, 3, 6])
def test_the_mean_of_the_channels_is_the_stylized_mid(channels: int) -> None:
    song = np.stack([noise(seed) for seed in range(channels)])
    output = make_field(song, shifted)
    expected = shifted(torch.from_numpy(song.mean(axis=0, keepdims=True))).numpy()
    error = output.mean(axis=0) - expected[0]
    assert 20 * np.log10(error.std() / expected.std()) < -100


def test_an_unchanged_mid_gives_the_song_back() -> None:
    song = np.stack([noise(0), 0.5 * noise(0) + noise(1)])
    np.testing.assert_allclose(make_field(song, lambda mid: mid), song, atol=1e-4)


@pytest.mark.parametrize("change", [shifted, lambda mid: 3 * mid, lambda mid: 0.01 * shifted(mid)])
def test_a_sound_in_one_channel_stays_in_it(change: Callable[[Tensor], Tensor]) -> None:
    output = make_field(np.stack([noise(0), np.zeros(FRAMES * HOP)]), change)
    assert output[1].std() < 0.02 * output[0].std()


def test_two_sounds_in_two_channels_keep_their_sides() -> None:
    """Low left, high right, as of a bass and a cymbal."""
    output = make_field(np.stack([noise(0, high=400.0), noise(1, low=2000.0)]), shifted)
    for channel, (low, high) in enumerate([(2000.0, 10000.0), (20.0, 400.0)]):
        sos = butter(2, [low, high], "band", fs=RATE, output="sos")
        wrong, right = sosfiltfilt(sos, output[channel]).std(), sosfiltfilt(sos, output[1 - channel]).std()
        assert wrong < 0.2 * right


def test_bass_in_the_center_stays_there_and_width_above_is_kept() -> None:
    bass, sides = noise(0, 30.0, 150.0), [noise(seed, 500.0, 8000.0) for seed in (1, 2)]
    song = np.stack([bass + side for side in sides])
    output = make_field(song, shifted)
    low, high = (butter(2, band, "band", fs=RATE, output="sos") for band in ([20, 150], [500, 8000]))
    assert np.corrcoef(sosfiltfilt(low, output))[0, 1] > 0.95

    def width(sound: np.ndarray) -> float:
        filtered = sosfiltfilt(high, sound)
        return float(10 * np.log10(np.var(filtered[0] - filtered[1]) / np.var(filtered[0] + filtered[1])))

    assert width(output) == pytest.approx(width(song), abs=1.0)


def test_what_is_hardly_wide_stays_hardly_wide() -> None:
    """Bass in the center with panned sounds above, whose windows reach down to it."""
    bass, sides = noise(0, 30.0, 120.0), [0.1 * noise(seed, 400.0, 2000.0) for seed in (1, 2)]
    output = make_field(np.stack([bass + side for side in sides]), lambda mid: 0.3 * shifted(mid))
    filtered = sosfiltfilt(butter(2, [30, 120], "band", fs=RATE, output="sos"), output)
    assert 10 * np.log10(np.var(filtered[0] - filtered[1]) / np.var(filtered[0] + filtered[1])) < -30


def test_what_is_only_in_the_sides_is_not_lost() -> None:
    song = np.stack([noise(0), -noise(0)])
    output = make_field(song, lambda mid: torch.zeros_like(mid))
    assert np.corrcoef(output[0], song[0])[0, 1] > 0.95
    assert output[0].std() == pytest.approx(song[0].std(), rel=0.2)


def test_silence_stays_exactly_silent() -> None:
    song = np.stack([noise(0), noise(1)])
    song[:, 100 * HOP : 160 * HOP] = 0

    def silenced(mid: Tensor) -> Tensor:
        quiet = shifted(mid)
        quiet[:, 100 * HOP : 160 * HOP] = 0
        return quiet

    output = make_field(song, silenced)
    assert not output[:, 105 * HOP : 155 * HOP].any()
    assert output[:, : 95 * HOP].std() > 0.01
