"""Artifacts of vocoders: spectral lines, clicks, pre-echo, hum in silence, clipping, offset.

Compare figures with those of the original. Signals are (samples,); signals that are too short raise ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LINE_SECONDS = 0.75
"""Length of the spectra of :func:`line_heights`."""
LINE_BESIDE = (4, 12)
"""Distance range of the neighbors of a line, in bins (about 5 to 16 Hz)."""
QUIETEST = 1e-6
"""Amplitude (-120 dB) of the noise floor of all ratios."""
SURROUNDING_HOPS = 8
AHEAD_SECONDS = (0.003, 0.04)
"""Range of pre-echo before an onset."""
AFTER_SECONDS = 0.04
FLAT_RUN = 3
"""Equal samples in a row at the peak that count as clipping."""


@dataclass(frozen=True)
class Line:
    """Height and frequency of a spectral line."""

    decibels: float
    hertz: float


@dataclass(frozen=True)
class Clipping:
    """Number of samples of magnitude 1 or more, and of runs of equal samples at the signal's peak."""

    samples: int
    flat_runs: int


def line_heights(wav: np.ndarray, line_rate: float, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (Hz) and heights (dB) over their neighbors of spectral lines at multiples of a rate, (lines,) each.

    The length of the averaged spectra is a multiple of the period, so that lines fall on bins.
    """
    period = sample_rate / line_rate
    cycles = round(LINE_SECONDS * line_rate)
    length = round(cycles * period)
    begin, end = LINE_BESIDE
    bins = np.arange(cycles, length // 2 - end, max(cycles, 1))
    if cycles <= 2 * end or not len(bins):
        raise ValueError(
            f"got a line rate of {line_rate:g} Hz at {sample_rate} Hz, expected 40 Hz or more, and below half"
        )
    _check_signal(wav, length)
    frames = np.lib.stride_tricks.sliding_window_view(wav, length)[:: length // 2]
    window = np.hanning(length + 1)[:-1]
    power = np.square(np.abs(np.fft.rfft(frames * window))).mean(axis=0) + np.square(QUIETEST * window).sum()
    offsets = np.arange(begin, end + 1)
    beside = power[bins[:, None] + np.concatenate([-offsets, offsets])].mean(axis=1)
    return bins * sample_rate / length, 10 * np.log10(power[bins] / beside)


def worst_line_over_original(
    wavs: Sequence[np.ndarray], originals: Sequence[np.ndarray] | None, line_rate: float, sample_rate: int
) -> Line:
    """The highest line at a multiple of a rate, averaged over clips, over its neighbors and the originals' line."""
    if not wavs or (originals is not None and len(originals) != len(wavs)):
        raise ValueError(
            f"got {len(wavs)} clips and {'no' if originals is None else len(originals)} originals, expected pairs"
        )
    measured = [line_heights(wav, line_rate, sample_rate) for wav in wavs]
    hertz = measured[0][0]
    heights = np.mean([heights for _, heights in measured], axis=0)
    if originals is not None:
        own = np.mean([line_heights(original, line_rate, sample_rate)[1] for original in originals], axis=0)
        heights = heights - own.clip(min=0.0)
    worst = int(heights.argmax())
    return Line(float(heights[worst]), float(hertz[worst]))


def click_height(wav: np.ndarray, position: int, hop_length: int) -> float:
    """Height of a click over its surroundings, decibels.

    The largest second difference within a quarter of a hop over the root mean square within 8 hops on both sides:
    6 to 12 dB in noise, more at onsets.
    """
    _check_signal(wav, 4)
    reach = max(2, hop_length // 4)
    if not 2 * hop_length <= position <= len(wav) - 2 * hop_length:
        raise ValueError(f"got place {position} in {len(wav)} samples, expected {2 * hop_length} or more on both sides")
    bends = np.abs(np.diff(wav.astype(np.float64), n=2))  # entry i is around sample i + 1
    here = bends[position - 1 - reach : position - 1 + reach]
    surrounding = SURROUNDING_HOPS * hop_length
    before = bends[max(0, position - 1 - surrounding) : position - 1 - reach]
    after = bends[position - 1 + reach : position - 1 + surrounding]
    return _decibels_over(here.max(), np.concatenate([before, after]))


def end_click(wav: np.ndarray, hop_length: int) -> float:
    """Height of a click in the last hop over the 8 hops before it, decibels: see :func:`click_height`."""
    _check_signal(wav, 3 * hop_length)
    bends = np.abs(np.diff(wav[-(SURROUNDING_HOPS + 1) * hop_length :].astype(np.float64), n=2))
    return _decibels_over(bends[-hop_length:].max(), bends[:-hop_length])


def pre_echo(wav: np.ndarray, original: np.ndarray, onset: int, sample_rate: int) -> float:
    """Power from 40 to 3 ms ahead of an onset over that of the original's 40 ms after it, decibels; at least -120."""
    far, near, after = (round(seconds * sample_rate) for seconds in (*AHEAD_SECONDS[::-1], AFTER_SECONDS))
    _check_signal(wav, far + after)
    if wav.shape != original.shape or not far <= onset <= len(wav) - after:
        raise ValueError(
            f"got signals of shapes {wav.shape} and {original.shape} and an onset at {onset}; expected equal shapes "
            f"and {far} samples ahead of it and {after} after it"
        )
    loudness = _power(original[onset : onset + after])
    if loudness < QUIETEST**2:
        raise ValueError(f"the original is silent after sample {onset}, expected an onset")
    return float(10 * np.log10(max(_power(wav[onset - far : onset - near]) / loudness, QUIETEST**2)))


def peak_level(wav: np.ndarray) -> float:
    """Largest magnitude, dBFS, at least -120."""
    _check_signal(wav, 1)
    return float(20 * np.log10(max(float(np.abs(wav).max()), QUIETEST)))


def clipping(wav: np.ndarray) -> Clipping:
    """Clipped samples and flat tops."""
    _check_signal(wav, 1)
    magnitude = np.abs(wav)
    peak = float(magnitude.max())
    flat = (np.diff(wav) == 0) & (magnitude[1:] >= 0.999 * peak) & (peak > QUIETEST)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(int)))
    lengths = edges[1::2] - edges[::2] + 1
    return Clipping(int((magnitude >= 1.0).sum()), int((lengths >= FLAT_RUN).sum()))


def offset(wav: np.ndarray) -> float:
    """Magnitude of the mean: the DC offset."""
    _check_signal(wav, 1)
    return float(abs(wav.mean(dtype=np.float64)))


def _decibels_over(peak: float, surroundings: np.ndarray) -> float:
    level = np.sqrt(_power(surroundings))
    return float(20 * np.log10(max(peak, QUIETEST) / max(level, QUIETEST)))


def _power(signal: np.ndarray) -> float:
    return float(np.square(signal, dtype=np.float64).mean())


def _check_signal(wav: np.ndarray, least: int) -> None:
    if wav.ndim != 1 or len(wav) < least:
        raise ValueError(f"got a signal of shape {wav.shape}, expected (samples,) of at least {least}")
    if not np.isfinite(wav).all():
        raise ValueError("got samples that are NaN or infinite, expected finite ones")
