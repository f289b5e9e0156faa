"""Loudness: the standard's own numbers, an independent meter, and recordings brought to a level."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import sosfilt

from stylize_core.audio.limiter import true_peaks
from stylize_core.audio.loudness import LoudnessMeter, Mastering, describe_limiting, k_weighting

RATE = 22050


def measure(sound: np.ndarray, rate: int = RATE, block: int = 5000) -> float | None:
    meter = LoudnessMeter(rate, len(sound))
    for start in range(0, sound.shape[1], block):
        meter.push(sound[:, start : start + block])
    return meter.integrated


def make_music(seconds: float = 3.0, level: float = 0.1, rate: int = RATE) -> np.ndarray:
    """Noise in two channels with loud and quiet stretches."""
    random = np.random.default_rng(1)
    envelope = 1.0 + 0.9 * np.sin(2 * np.pi * 0.5 * np.arange(round(seconds * rate)) / rate)
    return (level * envelope * random.standard_normal((2, len(envelope)))).astype(np.float32)


def test_the_filters_have_the_coefficients_of_the_standard_at_48_khz() -> None:
    expected = [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ]
    np.testing.assert_allclose(k_weighting(48000), expected, atol=1e-8)


@pytest.mark.parametrize("block", [999, 70_000])
def test_the_filters_are_those_of_scipy(block: int) -> None:
    sound = make_music().astype(np.float64)
    meter = LoudnessMeter(RATE, 2)
    pieces = [meter._weight(sound[:, start : start + block]) for start in range(0, sound.shape[1], block)]
    expected = sosfilt(k_weighting(RATE), sound, axis=1)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), expected, atol=1e-10)


def test_a_full_scale_sine_at_997_hz_in_one_channel_is_at_minus_3_lufs() -> None:
    sine = np.sin(2 * np.pi * 997 * np.arange(48000) / 48000)[None]
    assert measure(sine, 48000) == pytest.approx(-3.01, abs=0.02)


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_an_independent_meter_agrees(rate: int) -> None:
    sound = make_music(rate=rate)
    sound[:, rate : 2 * rate] *= 0.01  # left out by the relative gate
    expected = pyloudnorm.Meter(rate).integrated_loudness(sound.T.astype(np.float64))
    assert measure(sound, rate) == pytest.approx(expected, abs=0.15)


def test_blocks_do_not_matter() -> None:
    sound = make_music()
    assert measure(sound, block=317) == pytest.approx(measure(sound, block=10**9), abs=1e-6)


def test_silence_has_none_and_a_short_sound_has_one() -> None:
    assert measure(np.zeros((2, 0))) is None
    assert measure(np.zeros((2, 50000))) is None
    short = make_music(0.2)
    assert measure(short) == pytest.approx(measure(np.tile(short, 10)), abs=2.0)


@pytest.mark.parametrize(("level", "target"), [(0.1, -30.0), (0.001, -23.0), (0.1, -9.0)])
def test_a_recording_is_brought_to_a_loudness_with_its_peaks_below_the_ceiling(level: float, target: float) -> None:
    sound = make_music(level=level)

    def blocks() -> Iterator[np.ndarray]:
        yield from (sound[:, start : start + 4096] for start in range(0, sound.shape[1], 4096))

    mastering = Mastering(target)
    mastering.fit(blocks, RATE, 2)
    result = np.concatenate(list(mastering.apply(blocks(), RATE, 2)), axis=1)
    assert result.shape == sound.shape
    assert measure(result) == pytest.approx(target, abs=0.3)
    assert true_peaks(result).max() <= 10 ** (-1 / 20)
    assert (mastering.limited_db > 1.0) == (target == -9.0)


def test_without_a_loudness_only_peaks_are_limited_and_silence_stays() -> None:
    sound = make_music(level=0.02)
    mastering = Mastering(None)
    mastering.fit(lambda: [sound], RATE, 2)
    assert np.array_equal(np.concatenate(list(mastering.apply([sound], RATE, 2)), axis=1), sound)
    silent = Mastering(-20.0)
    silent.fit(lambda: [np.zeros((2, 5000), np.float32)], RATE, 2)
    assert silent.gain == 1.0


def test_what_does_not_fit_is_told() -> None:
    """A square wave has no room: its loudness at the ceiling is all there is."""
    square = np.sign(np.sin(2 * np.pi * 50 * np.arange(3 * RATE) / RATE))[None].repeat(2, axis=0).astype(np.float32)
    mastering = Mastering(3.0)
    mastering.fit(lambda: [square], RATE, 2)
    result = np.concatenate(list(mastering.apply([square], RATE, 2)), axis=1)
    loudness = measure(result)
    assert loudness is not None and mastering.missing == pytest.approx(3.0 - loudness, abs=0.3) and loudness < 2.0
    (note,) = describe_limiting(mastering.limited_db, mastering.missing)
    assert note.endswith(f"; with them there it is {mastering.missing:.1f} LU quieter than asked for")


def test_limiting_is_said_where_it_is_heard() -> None:
    assert describe_limiting(2.9) == []
    assert describe_limiting(4.04) == ["peaks were limited by up to 4.0 dB, to -1 dBTP"]
