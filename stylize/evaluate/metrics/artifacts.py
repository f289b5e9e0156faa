"""Artifacts of vocoders: spectral lines, clicks, pre-echo, hum in silence, clipping, offset.

Music has partials, onsets and peaks of its own: compare most figures with those of the original. Signals are
(samples,), rates in Hz; signals that are too short raise ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LINE_SECONDS = 0.75
"""Length of the spectra in which lines are looked for."""
LINE_BESIDE = (4, 12)
"""The neighbors of a line: from so many bins to so many bins away, on both sides (about 5 to 16 Hz)."""
QUIETEST = 1e-6
"""Amplitude (-120 dB) below which nothing is audible, and no ratio is taken."""
SURROUNDING_HOPS = 8
"""Clicks are compared with so many hops around them."""
AHEAD_SECONDS = (0.003, 0.04)
"""Pre-echo is looked for from the second to the first of these before an onset; its attack is left out."""
AFTER_SECONDS = 0.04
FLAT_RUN = 3
"""So many equal samples in a row at the peak are no music."""


@dataclass(frozen=True)
class Line:
    """A line in a spectrum: its height over its neighbors, or over that of the original, and its place."""

    decibels: float
    hertz: float


@dataclass(frozen=True)
class Clipping:
    """Samples that a file of whole numbers would cut off, or that already have been.

    Args:
        samples: of magnitude 1 or more.
        flat_runs: stretches of 3 or more equal samples at the signal's peak, which hard limiters leave at any level.
    """

    samples: int
    flat_runs: int


def line_heights(wav: np.ndarray, line_rate: float, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Height of the spectrum at each multiple of a rate over its neighbors; 0 dB in noise, in the mean.

    The rate is that of the frames or of anything else a network repeats. Spectra of about 0.75 s, a whole number of
    repetitions so that a line falls on a bin, are averaged over time.

    Shape:
        (samples,) -> frequencies in Hz and heights in decibels, (lines,) each.
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
    """The highest line at a multiple of a rate that the originals do not have.

    Heights are averaged over the clips, since one clip of noise has lines by chance. A line counts by its height over
    its neighbors or over the originals' line, whichever is less.

    Shape:
        (samples,) each.

    Raises:
        ValueError: as :func:`line_heights`; no clips, or not as many originals.
    """
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
    """Height of a click over its surroundings, decibels: where blocks were joined badly.

    The largest second difference within a quarter of a hop against the root mean square of those in 8 hops on both
    sides. Noise has 6 to 12 dB, and onsets count as clicks: compare with the original.
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
    """Power from 40 to 3 ms ahead of an onset over that of the 40 ms after it in the original, decibels; at least -120.

    Raises:
        ValueError: different shapes, no 40 ms on both sides of the onset, a silent onset.
    """
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
    """Largest magnitude, dBFS: for digital silence, the loudness of what a vocoder hums there; not below -120."""
    _check_signal(wav, 1)
    return float(20 * np.log10(max(float(np.abs(wav).max()), QUIETEST)))


def clipping(wav: np.ndarray) -> Clipping:
    """Samples at full scale or over it, and flat tops below it: a rasp in loud places."""
    _check_signal(wav, 1)
    magnitude = np.abs(wav)
    peak = float(magnitude.max())
    flat = (np.diff(wav) == 0) & (magnitude[1:] >= 0.999 * peak) & (peak > QUIETEST)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(int)))
    lengths = edges[1::2] - edges[::2] + 1
    return Clipping(int((magnitude >= 1.0).sum()), int((lengths >= FLAT_RUN).sum()))


def offset(wav: np.ndarray) -> float:
    """Magnitude of the mean, full scale being 1: inaudible by itself, but headroom lost, and a click at every cut."""
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
