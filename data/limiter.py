"""A look-ahead limiter: single peaks that no file holds are turned down, and what is around them stays as loud.

A vocoder gives a spectrogram phases of its own, so now and then many partials peak at once. To turn the whole song
down by what a few such samples ask for would make it several decibels quieter than the others in a playlist.
"""

from __future__ import annotations

import math

import numpy as np

REACH_SECONDS = 0.02
"""The gain falls over twice so long before a peak, and rises again over as long after it."""
CEILING = 1 - 2**-15
"""What a peak is turned down to: the largest 16-bit value."""


class PeakLimiter:
    """Limits a stream of samples, block by block; any blocks give what the whole at once gives.

    Samples that are farther than twice `REACH_SECONDS` from any that are over full scale stay bit for bit as they are.
    All channels are turned down together, so that nothing moves between them.

    Args:
        sample_rate: Hz.
        channels: 1 is mono.

    Attributes:
        peak: the largest absolute sample so far.
        gain: the smallest factor that a sample was multiplied with so far; 1.0 unless one was over full scale.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.peak = 0.0
        self.gain = 1.0
        self._reach = max(1, round(REACH_SECONDS * sample_rate))
        # What the next samples depend on, and after it what waits for those to come.
        self._pending = np.zeros((channels, 2 * self._reach), np.float32)

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take a block in and give out what is final by then, which lags by twice `REACH_SECONDS`.

        Shape: (channels, samples) -> (channels, any number of samples).
        """
        self.peak = max(self.peak, float(np.abs(block).max(initial=0.0)))
        samples = np.concatenate([self._pending, block.astype(np.float32, copy=False)], axis=1)
        margin = 2 * self._reach
        self._pending = samples[:, -2 * margin :]
        if samples.shape[1] <= 2 * margin:
            return samples[:, :0]
        inner = samples[:, margin:-margin]
        magnitude = np.abs(samples).max(axis=0).astype(np.float64)
        if magnitude.max() <= 1.0:
            return inner
        gain = self._gains(magnitude)
        self.gain = min(self.gain, float(gain.min()))
        return inner * gain

    def finish(self) -> np.ndarray:
        """Give out the rest; nothing may be pushed after it.

        Shape: (channels, any number of samples).
        """
        return self.push(np.zeros((len(self._pending), 2 * self._reach), np.float32))

    def _gains(self, magnitude: np.ndarray) -> np.ndarray:
        """A factor for every sample but `2 * reach` at both ends: a weighted mean of what its neighbours ask for.

        Every gain in the mean respects every peak in reach of both, so the mean does, too.
        """
        from scipy.ndimage import minimum_filter1d  # half a second, for the songs that need it
        from scipy.signal import oaconvolve

        wanted = np.where(magnitude > 1.0, CEILING / np.maximum(magnitude, 1.0), 1.0)
        lowest = minimum_filter1d(wanted, 2 * self._reach + 1)
        window = np.hanning(2 * self._reach + 3)[1:-1]
        smooth = oaconvolve(1.0 - lowest, window / window.sum(), mode="same")
        return (1.0 - smooth[2 * self._reach : -2 * self._reach]).astype(np.float32)


def describe_limiting(peak: float, gain: float) -> str:
    """What a limiter did, for the user: a line of its own to add to a report, empty where nothing was turned down.

    Args:
        peak: `PeakLimiter.peak`.
        gain: `PeakLimiter.gain`.
    """
    if gain >= 1.0:
        return ""
    decibels = -20 * math.log10(gain)
    return f"\nnote: peaks of up to {peak:.2f} were turned down by up to {decibels:.1f} dB so that they do not clip"
