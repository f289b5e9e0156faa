"""Loudness by known values, lengths, fades, anchors by their frequency response."""

from __future__ import annotations

import numpy as np
import pytest

from stylize.evaluate.excerpts import fit_length
from stylize.listening.stimuli import (
    PEAK_CEILING_DB,
    fade_ends,
    low_pass,
    match_loudness,
    measure_loudness,
)
from stylize_core.errors import UserError

RATE = 48000


def sine(frequency: float, seconds: float, amplitude: float = 0.1, channels: int = 1) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return np.repeat(amplitude * np.sin(2 * np.pi * frequency * time)[None], channels, axis=0).astype(np.float32)


def test_a_sine_of_full_scale_has_the_loudness_that_bs_1770_names() -> None:
    # BS.1770-4: a 997 Hz sine at 0 dBFS in one front channel reads -3.01 LKFS; two channels add 3.01 dB.
    assert measure_loudness(sine(997, 3, amplitude=1.0), RATE) == pytest.approx(-3.01, abs=0.05)
    assert measure_loudness(sine(997, 3, amplitude=0.1), RATE) == pytest.approx(-23.01, abs=0.05)
    assert measure_loudness(sine(997, 3, amplitude=0.1, channels=2), RATE) == pytest.approx(-20.0, abs=0.05)


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.39, 0.4])
def test_short_sounds_have_a_loudness_too(seconds: float) -> None:
    assert measure_loudness(sine(997, seconds), RATE) == pytest.approx(-23.0, abs=0.4)


def test_silence_has_no_loudness_and_stays_silence() -> None:
    silence = np.zeros((1, RATE), np.float32)
    assert measure_loudness(silence, RATE) is None
    assert measure_loudness(sine(997, 1, amplitude=1e-7), RATE) is None
    (out, _), levels, _ = match_loudness([silence, sine(997, 1)], RATE)
    assert not out.any()
    assert levels[0].loudness is None and levels[0].gain_db == 0


def test_sounds_come_out_equally_loud() -> None:
    sounds = [sine(400, 2, 0.02), sine(3000, 2, 0.5), sine(100, 2, 0.9)]
    matched, levels, loudness = match_loudness(sounds, RATE, target=-23.0)
    assert loudness == -23.0
    for wav, level in zip(matched, levels, strict=True):
        assert measure_loudness(wav, RATE) == pytest.approx(-23.0, abs=0.05)
        assert level.peak == pytest.approx(np.abs(wav).max())


def test_high_peaks_make_all_sounds_of_a_song_quieter() -> None:
    spiky = sine(400, 2, 0.01)
    spiky[0, 1000] = 0.9
    matched, _, loudness = match_loudness([spiky, sine(3000, 2)], RATE, target=-23.0)
    assert loudness < -23.0
    assert np.abs(matched[0]).max() == pytest.approx(10 ** (PEAK_CEILING_DB / 20), rel=1e-4)
    for wav in matched:
        assert measure_loudness(wav, RATE) == pytest.approx(loudness, abs=0.05)


def test_fit_length_cuts_and_fills() -> None:
    wav = np.ones((2, 100), np.float32)
    assert fit_length(wav, 60, 0, "x").shape == (2, 60)
    filled = fit_length(wav, 105, 5, "x")
    assert filled.shape == (2, 105) and not filled[:, 100:].any()
    with pytest.raises(UserError, match="x has 100 samples, expected 106"):
        fit_length(wav, 106, 5, "x")


def test_fades_are_at_the_ends_only() -> None:
    faded = fade_ends(np.ones((1, 1000), np.float32), 100)[0]
    assert faded[0] < 0.001 and faded[-1] < 0.001
    assert faded[50] == pytest.approx(0.5, abs=0.02)
    assert (np.diff(faded[:100]) > 0).all()
    assert (faded[100:900] == 1).all()
    np.testing.assert_allclose(faded, faded[::-1])


def test_fades_of_a_very_short_sound_meet_in_its_middle() -> None:
    assert fade_ends(np.ones((1, 5), np.float32), 100).shape == (1, 5)
    assert fade_ends(np.ones((1, 1), np.float32), 100)[0, 0] == 1


@pytest.mark.parametrize("edge", [3500.0, 7000.0])
@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_anchors_meet_the_limits_of_bs_1534(edge: float, rate: int) -> None:
    impulse = np.zeros((1, 8192), np.float32)
    impulse[0, 4096] = 1
    out = low_pass(impulse, edge, rate)
    gain = 20 * np.log10(np.abs(np.fft.rfft(out[0], 65536)) + 1e-12)
    frequency = np.fft.rfftfreq(65536, 1 / rate)
    assert np.abs(gain[frequency <= edge]).max() <= 0.1
    assert gain[frequency >= edge + 500].max() <= -25
    assert gain[frequency >= edge + 1000].max() <= -50
    assert np.abs(out[0]).argmax() == 4096  # no delay


def test_a_rate_too_low_for_an_anchor_is_refused() -> None:
    with pytest.raises(UserError, match="7 kHz anchor needs at least 15500 Hz"):
        low_pass(np.zeros((1, 100), np.float32), 7000.0, 15000)
