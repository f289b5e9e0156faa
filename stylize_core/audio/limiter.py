"""A look-ahead limiter of true peaks (ITU-R BS.1770-4, annex 2), which changes only what is near a peak.

A vocoder's phases let partials peak together now and then; turning down the whole song for a few such samples would
make it several decibels quieter.
"""

from __future__ import annotations

import numpy as np

REACH_SECONDS = 0.001
"""The gain falls over twice so long before a peak, and rises again over as long after it. A rock song of -6.7 LUFS
needs 6.5 dB of limiting to be as loud with a ceiling of -1 dBTP; with a reach of 20 ms, 15 dB do not suffice, and its
mel spectrogram is changed by 2.7 dB instead of 1.3."""
CEILING_DB = -1.0  # default ceiling of true peaks, dBTP (EBU R 128)
FULL_SCALE = 1 - 2**-15  # the largest 16-bit value, the ceiling against clipping
BETWEEN_SAMPLES = 1.5
"""True peaks are looked for where samples come so near to the ceiling: none is expected to be larger than the samples
around it by more than this factor."""

_OVERSAMPLING = 4
_TAPS = 24  # samples on either side of an interpolated one
_HEADROOM_DB = 0.05  # what interpolation by 4 may miss of a peak


class PeakLimiter:
    """Limits a stream of samples, block by block; the result does not depend on the blocks.

    Samples farther than twice `REACH_SECONDS` from any true peak over the ceiling are unchanged. All channels get the
    same gain.

    Args:
        sample_rate: Hz.
        channels: 1 is mono.
        ceiling_db: of true peaks, dBTP.

    Attributes:
        peak: the largest magnitude so far: a true peak near the ceiling or over it, else a sample.
        gain: the smallest factor applied so far.
    """

    def __init__(self, sample_rate: int, channels: int, ceiling_db: float = CEILING_DB) -> None:
        self.peak = 0.0
        self.gain = 1.0
        self._ceiling = 10 ** ((ceiling_db - _HEADROOM_DB) / 20)
        self._reach = max(1, round(REACH_SECONDS * sample_rate))
        self._edge = 2 * self._reach + _TAPS
        # What the next samples depend on, and after it what waits for those to come.
        self._pending = np.zeros((channels, self._edge), np.float32)

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take a block in and return what is final, delayed by a little more than twice `REACH_SECONDS`.

        Shape: (channels, samples) -> (channels, any number of samples).
        """
        samples = np.concatenate([self._pending, block.astype(np.float32, copy=False)], axis=1)
        self._pending = samples[:, -2 * self._edge :]
        if samples.shape[1] <= 2 * self._edge:
            return samples[:, :0]
        inner = samples[:, self._edge : -self._edge]
        largest = float(np.abs(samples).max())
        if largest * BETWEEN_SAMPLES <= self._ceiling:
            self.peak = max(self.peak, largest)
            return inner
        magnitude = true_peaks(samples)
        self.peak = max(self.peak, float(magnitude.max()))
        if magnitude.max() <= self._ceiling:
            return inner
        gain = self._gains(magnitude)
        self.gain = min(self.gain, float(gain.min()))
        return np.asarray(inner * gain)

    def finish(self) -> np.ndarray:
        """Return the remaining samples, (channels, n)."""
        return self.push(np.zeros((len(self._pending), self._edge), np.float32))

    def _gains(self, magnitude: np.ndarray) -> np.ndarray:
        """A factor for every final sample: a weighted mean of gains that all respect every peak in reach."""
        wanted = np.minimum(self._ceiling / np.maximum(magnitude, self._ceiling), 1.0)
        lowest = _sliding_minimum(np.pad(wanted, self._reach, constant_values=1.0), 2 * self._reach + 1)
        window = np.hanning(2 * self._reach + 3)[1:-1]
        smooth = np.convolve(1.0 - lowest, window / window.sum(), mode="same")
        return (1.0 - smooth[self._edge : -self._edge]).astype(np.float32)


def _sliding_minimum(values: np.ndarray, width: int) -> np.ndarray:
    """The minimum of each `width` values in a row: (n,) -> (n - width + 1,)."""
    covered = 1
    while covered < width:
        step = min(covered, width - covered)
        values = np.minimum(values[:-step], values[step:])
        covered += step
    return values


def true_peaks(samples: np.ndarray) -> np.ndarray:
    """The largest magnitude over the channels at each sample and between it and its neighbors.

    Shape: (channels, samples) -> (samples,), float64.
    """
    magnitude = np.abs(samples).max(axis=0).astype(np.float64)
    for kernel in _interpolators():
        for channel in samples:
            # Point n of the convolution lies between the samples n and n + 1.
            between = np.abs(np.convolve(channel, kernel, mode="full")[_TAPS : _TAPS + len(channel)])
            np.maximum(magnitude, between, out=magnitude)
            np.maximum(magnitude[1:], between[:-1], out=magnitude[1:])
    return np.asarray(magnitude)


def _interpolators() -> list[np.ndarray]:
    """Windowed sinc kernels of 2 * `_TAPS` values, for the points between two samples."""
    place = np.arange(-_TAPS + 1, _TAPS + 1)
    kernels = []
    for phase in range(1, _OVERSAMPLING):
        distance = place - phase / _OVERSAMPLING
        kernel = np.sinc(distance) * np.i0(6.0 * np.sqrt(np.maximum(0.0, 1 - (distance / _TAPS) ** 2))) / np.i0(6.0)
        kernels.append((kernel / kernel.sum()).astype(np.float32)[::-1].copy())
    return kernels
