"""Mono mix: the mean of the channels, with channels of inverted polarity inverted first, where it would be silence.

The correlation of each channel with the mix of those before it is measured over two seconds, every second, and gives
the channel's factor: 1 down to -0.7, -1 from -0.9 on, linear between, and interpolated over time. Ordinary stereo has
all factors 1, exactly the mean. Only nearby samples count, so blocks, the whole and a piece give the same.
"""

from __future__ import annotations

import numpy as np

_KEPT, _INVERTED = -0.7, -0.9  # correlations where the factor is 1 and where it is -1


class Polarity:
    """The factors by which the channels of a stream count in its mono mix.

    Args:
        channels: of the stream.
        sample_rate: Hz.
    """

    def __init__(self, channels: int, sample_rate: int) -> None:
        self._channels = channels
        self._cell = cell_samples(sample_rate)
        self._rest = np.zeros((channels, 0), np.float32)  # not yet a cell
        self._last: tuple[np.ndarray, np.ndarray] | None = None  # the cell before, and its products
        self._factors = np.ones((channels, 1))  # at its beginning

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take samples in and return those that are decided, with their factors: (channels, n) -> (2, channels, m)."""
        if self._channels == 1:
            return np.stack([block, np.ones_like(block)])
        self._rest = np.concatenate([self._rest, block], axis=1)
        decided = [np.zeros((2, self._channels, 0), np.float32)]
        while self._rest.shape[1] >= self._cell:
            decided.append(self._take(self._rest[:, : self._cell]))
            self._rest = self._rest[:, self._cell :]
        return np.concatenate(decided, axis=2)

    def finish(self) -> np.ndarray:
        """The samples still inside and their factors. Shape: (2, channels, m)."""
        rest, self._rest = self._rest, self._rest[:, :0]
        return np.concatenate([self._take(rest), self._take(self._rest)], axis=2)

    def _take(self, cell: np.ndarray) -> np.ndarray:
        """Take the next cell in and return the one before, which depends on it."""
        cell = np.ascontiguousarray(cell)
        before, self._last = self._last, (cell, (cell @ cell.T).astype(float))
        if before is None:
            self._factors = _factors(self._last[1])
            return np.zeros((2, self._channels, 0), np.float32)
        start, self._factors = self._factors, _factors(before[1] + self._last[1])
        share = np.arange(before[0].shape[1]) / self._cell
        return np.stack([before[0], (start + share * (self._factors - start)).astype(np.float32)])


class Downmix:
    """The mono mix of a stream; see `Polarity`."""

    def __init__(self, channels: int, sample_rate: int) -> None:
        self._polarity = Polarity(channels, sample_rate)

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take samples in and return those that are decided: (channels, n) -> (1, m)."""
        return _mix(self._polarity.push(block))

    def finish(self) -> np.ndarray:
        """The remaining samples, (1, m)."""
        return _mix(self._polarity.finish())


def cell_samples(sample_rate: int) -> int:
    """Distance between the factors, samples."""
    return sample_rate


def downmix(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """The mono mix of a recording: (channels, samples) -> (samples,), float32."""
    mixer = Downmix(len(wav), sample_rate)
    return np.asarray(np.concatenate([mixer.push(np.asarray(wav, np.float32)), mixer.finish()], axis=1)[0])


def _mix(decided: np.ndarray) -> np.ndarray:
    samples, factors = decided
    return np.asarray((samples * factors).mean(axis=0, keepdims=True, dtype=np.float32))


def _factors(products: np.ndarray) -> np.ndarray:
    """The factor of each channel, (channels, 1) in [-1, 1], from the channels' inner products."""
    factors = np.ones(len(products))
    for channel in range(1, len(products)):
        mix = factors[:channel]
        power = (mix @ products[:channel, :channel] @ mix) * products[channel, channel]
        correlation = mix @ products[:channel, channel] / np.sqrt(power) if power > 0 else 0.0
        factors[channel] = np.clip(1 - 2 * (correlation - _KEPT) / (_INVERTED - _KEPT), -1.0, 1.0)
    return factors[:, None]
