"""Faults of known size, planted into silence, noise and music: each measure reports its own, and nothing without it."""

from __future__ import annotations

import numpy as np
import pytest

import stylize.evaluate.speed
from stylize.evaluate.metrics.artifacts import (
    Clipping,
    click_height,
    clipping,
    end_click,
    line_heights,
    offset,
    peak_level,
    pre_echo,
    worst_line_over_original,
)
from stylize_core.audio.reader import read_audio

RATE = 22050
HOP = 256
FRAME_RATE = RATE / HOP
SUB_BAND_RATE = RATE / 8
"""The edges of four sub-bands."""


def noise(seconds: float = 4.0, level: float = 0.01, seed: int = 0) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    """The first seconds of the bundled song, whole frames."""
    return read_audio(stylize.evaluate.speed.DEMO_SONG, RATE)[0][0][: 600 * HOP]


def tone(hertz: float, like: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(len(like)) / RATE)


def tone_height(amplitude: float, level: float, seconds: float) -> float:
    """A sine over white noise of deviation `level`, under a Hann window: 10 log10 (1 + a^2 n / (6 s^2))."""
    return float(10 * np.log10(1 + (amplitude / level) ** 2 * seconds * RATE / 6))


@pytest.mark.parametrize(("rate", "number"), [(FRAME_RATE, 7), (FRAME_RATE, 40), (SUB_BAND_RATE, 2)])
def test_a_planted_line_has_its_height_where_it_is(rate: float, number: int) -> None:
    clean = noise(20.0)
    hertz, floor = line_heights(clean, rate, RATE)
    assert hertz == pytest.approx(rate * np.arange(1, len(hertz) + 1))
    assert hertz[-1] < RATE / 2 <= hertz[-1] + 1.3 * rate
    assert abs(floor.mean()) < 0.8 and np.abs(floor).max() < 4
    length = round(round(0.75 * rate) / rate * RATE)
    for amplitude in (3e-4, 3e-3):
        _, heights = line_heights(clean + amplitude * tone(rate * number, clean), rate, RATE)
        assert heights[number - 1] == pytest.approx(tone_height(amplitude, 0.01, length / RATE), abs=2.0)
        assert np.delete(heights, number - 1) == pytest.approx(np.delete(floor, number - 1), abs=0.5)


def test_the_worst_line_is_the_one_the_original_has_not(music: np.ndarray) -> None:
    # The music's own partials, be they where they are, do not count; what is planted beside them does.
    others = [music + noise(len(music) / RATE, 1e-3, seed)[: len(music)] for seed in range(4)]
    clean = worst_line_over_original(others, [music] * 4, FRAME_RATE, RATE)
    assert clean.decibels < 4
    assert worst_line_over_original([music], [music], FRAME_RATE, RATE).decibels <= 0
    faulty = [wav + 0.003 * tone(100 * FRAME_RATE, wav) for wav in others]
    found = worst_line_over_original(faulty, [music] * 4, FRAME_RATE, RATE)
    assert found.hertz == pytest.approx(100 * FRAME_RATE)
    expected = line_heights(faulty[0], FRAME_RATE, RATE)[1][99]
    assert found.decibels == pytest.approx(expected, abs=3) and found.decibels > 10
    # The same line in the original is music.
    same = worst_line_over_original(faulty, faulty, FRAME_RATE, RATE)
    assert same.decibels <= 0
    with pytest.raises(ValueError, match="expected pairs"):
        worst_line_over_original(faulty, [music], FRAME_RATE, RATE)


def test_noise_against_other_noise_has_no_line() -> None:
    """Chance is averaged out over the clips: single ones have lines of some decibels."""
    wavs, originals = ([noise(4.0, seed=seed + shift) for seed in range(16)] for shift in (0, 100))
    assert worst_line_over_original(wavs, originals, FRAME_RATE, RATE).decibels < 2
    assert worst_line_over_original(wavs, None, FRAME_RATE, RATE).decibels < 2
    single = worst_line_over_original(wavs[:1], originals[:1], FRAME_RATE, RATE).decibels
    assert 2 < single < 8
    silence = [np.zeros(4 * RATE)]
    assert worst_line_over_original(silence, originals[:1], FRAME_RATE, RATE).decibels == pytest.approx(0.0)
    # Below -120 dB nothing counts: the floor is that of white noise so loud.
    faint = worst_line_over_original([1e-6 * tone(3 * FRAME_RATE, silence[0])], silence, FRAME_RATE, RATE)
    assert faint.decibels == pytest.approx(tone_height(1e-6, 1e-6, 16640 / RATE), abs=0.1)
    humming = [1e-4 * tone(3 * FRAME_RATE, silence[0])]
    hum = worst_line_over_original(humming, silence, FRAME_RATE, RATE)
    assert hum.hertz == pytest.approx(3 * FRAME_RATE) and hum.decibels > 40


@pytest.mark.parametrize("measure", ["join", "end"])
@pytest.mark.parametrize("size", [0.1, 0.5])
def test_clicks_have_their_size(measure: str, size: float) -> None:
    clean = noise(1.0)
    place = 40 * HOP if measure == "join" else len(clean) - 20

    def height(wav: np.ndarray) -> float:
        return click_height(wav, place, HOP) if measure == "join" else end_click(wav, HOP)

    # Second differences of white noise have a variance of 6, of a wrong sample twice its error, of a jump its height.
    level = np.sqrt(6) * 0.01
    assert 4 < height(clean) < 13
    impulse, jump = clean.copy(), clean.copy()
    impulse[place] += size
    jump[place:] += size
    assert height(impulse) == pytest.approx(20 * np.log10(2 * size / level), abs=2.5)
    assert height(jump) == pytest.approx(20 * np.log10(size / level), abs=3.5)
    away = clean.copy()
    away[place - 4 * HOP] += 10 * size  # a click elsewhere is another matter
    assert height(away) < height(clean) + 1


def test_clicks_in_music(music: np.ndarray) -> None:
    join = 300 * HOP
    clean = click_height(music, join, HOP), end_click(music, HOP)
    assert max(clean) < 25
    faulty = music.copy()
    faulty[join:] += 0.3
    faulty[-1] += 0.3
    jump, impulse = (
        20 * np.log10(size / np.diff(around, n=2).std())
        for size, around in ((0.3, music[join - 8 * HOP : join + 8 * HOP]), (0.3, music[-9 * HOP :]))
    )
    assert click_height(faulty, join, HOP) == pytest.approx(jump, abs=3) and jump > clean[0] + 8
    # The last sample has no neighbour on its other side, so that its error counts once.
    assert end_click(faulty, HOP) == pytest.approx(impulse, abs=3) and impulse > clean[1] + 8
    assert end_click(np.zeros(4 * HOP), HOP) == 0.0
    assert end_click(faulty[::-1], HOP) == pytest.approx(end_click(music[::-1], HOP), abs=1.0)
    with pytest.raises(ValueError, match="got place 100 in"):
        click_height(music, 100, HOP)
    with pytest.raises(ValueError, match="of at least 768"):
        end_click(music[:700], HOP)


def test_pre_echo_is_what_sounds_ahead(music: np.ndarray) -> None:
    original = np.zeros(RATE)
    onset = RATE // 2
    original[onset : onset + RATE // 10] = noise(0.1, 0.3)[: RATE // 10]
    assert pre_echo(original, original, onset, RATE) == -120.0
    for level in (0.003, 0.03):
        smeared = original.copy()
        ahead = slice(onset - RATE // 20, onset)
        smeared[ahead] = noise(1.0, level, seed=1)[: RATE // 20]
        assert pre_echo(smeared, original, onset, RATE) == pytest.approx(20 * np.log10(level / 0.3), abs=1.0)
    weak = smeared.copy()
    weak[onset:] *= 0.1  # the original's onset is the measure
    assert pre_echo(weak, original, onset, RATE) == pre_echo(smeared, original, onset, RATE)
    attack, distant = original.copy(), original.copy()
    attack[onset - 60 : onset] = 0.1  # less than 3 ms ahead
    assert pre_echo(attack, original, onset, RATE) == -120.0
    distant[onset - 800 : onset - 400] = 0.1  # 36 to 18 ms ahead
    assert -15 < pre_echo(distant, original, onset, RATE) < -9
    begin = np.concatenate([np.zeros(RATE, dtype=np.float32), music])
    echo = begin.copy()
    echo[RATE - 800 : RATE] += 0.02
    assert pre_echo(begin, begin, RATE + 2000, RATE) < 10
    assert pre_echo(echo, begin, RATE, RATE) > pre_echo(begin, begin, RATE, RATE) + 40
    for wav, place in ((original[1:], onset), (original, 100), (original, RATE)):
        with pytest.raises(ValueError, match="expected equal shapes"):
            pre_echo(wav, original, place, RATE)
    with pytest.raises(ValueError, match="silent after"):
        pre_echo(original, original, 4000, RATE)


def test_level() -> None:
    assert peak_level(np.zeros(10)) == -120.0
    assert peak_level(np.array([0.0, -0.1, 0.05])) == pytest.approx(-20.0)
    assert peak_level(np.full(4, 3e-4)) == pytest.approx(-70.46, abs=0.01)


def test_clipping(music: np.ndarray) -> None:
    assert clipping(np.zeros(100)) == Clipping(0, 0)
    assert clipping(noise()) == Clipping(0, 0)
    assert clipping(0.9 * music / np.abs(music).max()) == Clipping(0, 0)
    sine = 1.5 * tone(100.0, noise(1.0))
    over = clipping(sine)
    # Of each half period, 2 acos(1 / 1.5) / pi is over full scale.
    assert over.samples == pytest.approx(2 * np.arccos(1 / 1.5) / np.pi * RATE, rel=0.01) and over.flat_runs == 0
    limited = clipping(sine.clip(-1, 1))
    assert limited == Clipping(over.samples, 200)
    quiet = clipping(0.5 * sine.clip(-1, 1))
    assert quiet == Clipping(0, 200)
    spike = np.array([0.1, 0.5, 0.5, 0.1, 0.2, 0.2, 0.2, -0.1])
    assert clipping(spike) == Clipping(0, 0)
    assert clipping(np.array([0.1, -1.0, -1.0, -1.0])) == Clipping(3, 1)


def test_offset(music: np.ndarray) -> None:
    assert offset(noise()) < 2e-4
    assert offset(music) < 2e-3
    for size in (-0.05, 0.2):
        assert offset(music + size) == pytest.approx(abs(size), abs=2e-3)


def test_refusals(music: np.ndarray) -> None:
    broken = music.copy()
    broken[5] = np.nan
    stereo = np.stack([music, music])
    for wav, message in ((broken, "NaN or infinite"), (stereo, r"expected \(samples,\)")):
        for call in (
            lambda wav: line_heights(wav, FRAME_RATE, RATE),
            lambda wav: click_height(wav, 40 * HOP, HOP),
            lambda wav: end_click(wav, HOP),
            lambda wav: pre_echo(wav, music, RATE, RATE),
            peak_level,
            clipping,
            offset,
        ):
            with pytest.raises(ValueError, match=message):
                call(wav)
    with pytest.raises(ValueError, match="of at least 16640"):
        line_heights(music[:10000], FRAME_RATE, RATE)
    for rate in (10.0, RATE / 2):
        with pytest.raises(ValueError, match="got a line rate"):
            line_heights(music, rate, RATE)
