"""The limiter: what it turns down, what it leaves, and that blocks do not matter."""

from __future__ import annotations

import numpy as np
import pytest

from data.limiter import CEILING, REACH_SECONDS, PeakLimiter, describe_limiting

RATE = 8000
REACH = round(REACH_SECONDS * RATE)


def limit(sound: np.ndarray, sizes: list[int] | None = None) -> tuple[np.ndarray, PeakLimiter]:
    limiter = PeakLimiter(RATE, len(sound))
    ends = np.cumsum(sizes or [sound.shape[1]])
    blocks = [limiter.push(block) for block in np.split(sound, ends, axis=1)]
    return np.concatenate([*blocks, limiter.finish()], axis=1), limiter


def make_music(samples: int, seed: int = 0) -> np.ndarray:
    """Noise of RMS 0.25 in two channels, of which a few samples peak at 3."""
    random = np.random.default_rng(seed)
    sound = np.clip(random.normal(scale=0.25, size=(2, samples)), -1, 1).astype(np.float32)
    sound[random.integers(2, size=5), random.integers(samples, size=5)] = [3.0, -3.0, 1.5, -1.01, 2.0]
    return sound


@pytest.mark.parametrize("samples", [0, 1, REACH, 2 * REACH, 4 * REACH, 4 * REACH + 1, 9000])
def test_what_fits_into_a_file_stays_bit_for_bit(samples: int) -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, (2, samples)).astype(np.float32)
    sound[:, :1] = 1.0
    limited, limiter = limit(sound)
    assert np.array_equal(limited, sound)
    assert limiter.gain == 1.0 and limiter.peak == (1.0 if samples else 0.0)


@pytest.mark.parametrize("seed", range(4))
def test_peaks_fit_afterwards_and_the_rest_is_as_loud_as_before(seed: int) -> None:
    sound = make_music(40000, seed)
    limited, limiter = limit(sound)
    assert limited.shape == sound.shape and limited.dtype == np.float32
    assert np.abs(limited).max() <= 1.0
    assert limiter.peak == 3.0
    assert limiter.gain == pytest.approx(CEILING / 3, rel=1e-5)
    over = np.flatnonzero(np.abs(sound).max(axis=0) > 1.0)
    far = (np.abs(np.arange(40000)[:, None] - over) > 2 * REACH).all(axis=1)
    assert far.mean() > 0.7
    assert np.array_equal(limited[:, far], sound[:, far])


def test_a_lone_peak_is_turned_down_smoothly_and_in_all_channels_alike() -> None:
    sound = np.full((2, 4000), 0.5, np.float32)
    sound[1, 2000] = 2.0
    limited, _ = limit(sound)
    gain = limited[0] / 0.5
    assert gain[2000] == pytest.approx(CEILING / 2, rel=1e-5)
    assert limited[1, 2000] == pytest.approx(CEILING, rel=1e-5)
    np.testing.assert_allclose(limited[1], gain * sound[1], rtol=1e-6)
    assert np.abs(np.diff(gain)).max() < 1.2 / REACH  # no step: half the way in about as long as the reach
    np.testing.assert_allclose(gain, gain[::-1][np.r_[3999, 0:3999]], atol=1e-6)  # as long before as after
    assert gain[2000 - 2 * REACH - 1] == 1.0 and gain[2000 - REACH] < 0.8


@pytest.mark.parametrize("sizes", [[1] * 300, [700, 3, 1500, 40, 2000], [4 * REACH] * 30, [9999]])
def test_blocks_do_not_matter(sizes: list[int]) -> None:
    sound = make_music(10000)
    whole, _ = limit(sound)
    parts, limiter = limit(sound, sizes)
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    assert limiter.gain == pytest.approx(CEILING / 3, rel=1e-5)


@pytest.mark.parametrize("place", [0, 1, 4998, 4999])
def test_peaks_at_the_edges(place: int) -> None:
    sound = np.full((1, 5000), 0.1, np.float32)
    sound[0, place] = -4.0
    limited, _ = limit(sound)
    assert limited[0, place] == pytest.approx(-CEILING, rel=1e-5)
    assert limited.shape == sound.shape


def test_what_it_did_is_said() -> None:
    assert describe_limiting(0.9, 1.0) == ""
    assert describe_limiting(2.0, 0.5) == (
        "\nnote: peaks of up to 2.00 were turned down by up to 6.0 dB so that they do not clip"
    )
