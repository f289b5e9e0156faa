"""The limiter: what it turns down, what it leaves, true peaks between samples, and that blocks do not matter."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from stylize_core.audio.limiter import REACH_SECONDS, PeakLimiter, true_peaks

RATE = 32000
REACH = round(REACH_SECONDS * RATE)
LAG = 2 * REACH + 24
CEILING = 10 ** (-1 / 20)


def limit(sound: np.ndarray, sizes: list[int] | None = None) -> tuple[np.ndarray, PeakLimiter]:
    limiter = PeakLimiter(RATE, len(sound))
    ends = np.cumsum(sizes or [sound.shape[1]])
    blocks = [limiter.push(block) for block in np.split(sound, ends, axis=1)]
    return np.concatenate([*blocks, limiter.finish()], axis=1), limiter


def make_music(samples: int, seed: int = 0) -> np.ndarray:
    """Noise of RMS 0.1 in two channels with a few peaks of up to 3, below two thirds of half the rate."""
    random = np.random.default_rng(seed)
    sound = np.clip(random.normal(scale=0.1, size=(2, samples)), -0.3, 0.3)
    sound[random.integers(2, size=5), random.integers(samples, size=5)] = [4.5, -4.5, 3.0, -1.6, 2.0]
    low_pass = np.sinc(np.arange(-20, 21) * 2 / 3) * np.hanning(41)
    filtered = [np.convolve(channel, low_pass / low_pass.sum(), mode="same") for channel in sound]
    return np.stack(filtered).astype(np.float32)


@pytest.mark.parametrize("samples", [0, 1, REACH, LAG, 2 * LAG, 2 * LAG + 1, 9000])
def test_what_is_below_the_ceiling_stays_bit_for_bit(samples: int) -> None:
    sound = np.random.default_rng(0).uniform(-0.4, 0.4, (2, samples)).astype(np.float32)
    sound[:, :1] = 0.5
    limited, limiter = limit(sound)
    assert np.array_equal(limited, sound)
    assert limiter.gain == 1.0 and limiter.peak == pytest.approx(0.5 if samples else 0.0, abs=0.2)


@pytest.mark.parametrize("seed", range(4))
def test_peaks_fit_afterwards_and_the_rest_is_as_loud_as_before(seed: int) -> None:
    sound = make_music(40000, seed)
    limited, limiter = limit(sound)
    assert limited.shape == sound.shape and limited.dtype == np.float32
    assert true_peaks(limited).max() <= CEILING
    assert limiter.peak == pytest.approx(3.0, rel=0.2)
    assert limiter.gain == pytest.approx(CEILING / limiter.peak, rel=0.01)
    over = np.flatnonzero(true_peaks(sound) > CEILING)
    far = (np.abs(np.arange(40000)[:, None] - over) > 2 * REACH + 1).all(axis=1)
    assert far.mean() > 0.7
    assert np.array_equal(limited[:, far], sound[:, far])


def test_peaks_between_samples_are_limited() -> None:
    """A sine at a quarter of the rate, sampled at 45 degrees, peaks 3 dB above its samples."""
    sound = 0.9 * np.sin(np.pi / 2 * np.arange(4000) + np.pi / 4)[None].astype(np.float32)
    sound *= np.hanning(4000).astype(np.float32)
    assert np.abs(sound).max() < 0.64
    limited, _ = limit(sound)
    oversampled = soxr.resample(limited[0], RATE, 8 * RATE, quality="VHQ")
    assert true_peaks(sound).max() == pytest.approx(0.9, rel=0.01)
    assert np.abs(oversampled).max() <= CEILING * 1.002


@pytest.mark.parametrize("frequency", [0.01, 0.1, 0.24, 0.4])
def test_true_peaks_are_those_of_an_oversampled_signal(frequency: float) -> None:
    seconds = np.arange(3000)
    sound = (0.5 * np.sin(2 * np.pi * frequency * seconds + 0.3) * np.hanning(3000)).astype(np.float32)[None]
    oversampled = soxr.resample(sound[0], 1, 16, quality="VHQ")
    assert true_peaks(sound).max() == pytest.approx(np.abs(oversampled).max(), rel=0.02)


def test_a_lone_peak_is_turned_down_smoothly_and_in_all_channels_alike() -> None:
    sound = np.full((2, 4000), 0.5, np.float32)
    sound[1, 2000] = 2.0
    limited, _ = limit(sound)
    gain = limited[0] / 0.5
    assert limited[1, 2000] <= CEILING
    np.testing.assert_allclose(limited[1], gain * sound[1], rtol=1e-6)
    assert np.abs(np.diff(gain)).max() < 1.2 / REACH  # no step: half the way in about as long as the reach
    np.testing.assert_allclose(gain[1900:2101], gain[1900:2101][::-1], atol=1e-4)  # as long before as after
    assert gain[2000 - 2 * REACH - 3] == 1.0 and gain[2000 - REACH] < 0.8


@pytest.mark.parametrize("sizes", [[1] * 300, [700, 3, 1500, 40, 2000], [4 * REACH] * 30, [9999]])
def test_blocks_do_not_matter(sizes: list[int]) -> None:
    sound = make_music(10000)
    whole, reference = limit(sound)
    parts, limiter = limit(sound, sizes)
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    assert limiter.gain == pytest.approx(reference.gain, rel=1e-5)


@pytest.mark.parametrize("place", [0, 1, 4998, 4999])
def test_peaks_at_the_edges(place: int) -> None:
    sound = np.full((1, 5000), 0.1, np.float32)
    sound[0, place] = -4.0
    limited, _ = limit(sound)
    assert abs(limited[0, place]) <= CEILING
    assert limited.shape == sound.shape
