"""One channel from several: their mean, except where one channel is another's inverse and the mean would be silence.

Recordings exist whose right channel is the left one with its polarity inverted (a swapped wire, a faulty plug-in). To
both ears they sound nearly as they should, but their mean is rounding noise. Here a channel that runs against the
first is turned round before the mean is taken.

The correlation of each channel with the first is measured over two seconds, every second, and makes a factor for the
channel: 1 down to a correlation of -0.7, where the mean still has a seventh of the channels' power, and -1 from -0.9
on. Between those seconds the factor moves evenly, so that nothing clicks. Wherever all factors are 1, as they are in
ordinary stereo, the result is exactly the mean. Nothing but the samples around it decides on a sample, so a stream in
blocks, the whole, and a piece from the middle agree.
"""

from __future__ import annotations

import numpy as np

_KEPT, _INVERTED = -0.7, -0.9  # correlations where the factor is 1 and where it is -1


class Downmix:
    """The mono mix of a stream.

    Args:
        channels: of the stream.
        sample_rate: Hz.
    """

    def __init__(self, channels: int, sample_rate: int) -> None:
        self._channels = channels
        self._cell = cell_samples(sample_rate)
        self._waiting = np.zeros((0, channels), np.float32)
        self._factors = np.ones(channels)  # at the beginning of the waiting cells
        self._has_begun = False

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take in samples and give those that are decided on. Shape: (samples, channels) -> (samples, 1)."""
        if self._channels == 1:
            return block
        self._waiting = np.concatenate([self._waiting, block]) if len(self._waiting) else block
        cell, mixed = self._cell, []
        while len(self._waiting) >= 2 * cell:  # what a cell becomes depends on the next one
            mixed.append(self._mix(self._waiting[:cell], self._waiting[cell : 2 * cell]))
            self._waiting = self._waiting[cell:]
        return np.concatenate(mixed) if mixed else np.zeros((0, 1), np.float32)

    def finish(self) -> np.ndarray:
        """The samples still inside. Shape: (samples, 1)."""
        if self._channels == 1:
            return self._waiting
        cell, nothing = self._cell, self._waiting[:0]
        rest = self._waiting[cell:]
        mixed = [self._mix(self._waiting[:cell], rest)]
        if len(rest):
            mixed.append(self._mix(rest, nothing))
        self._waiting = nothing
        return np.concatenate(mixed)

    def _mix(self, block: np.ndarray, following: np.ndarray) -> np.ndarray:
        own, after = _sums(block), _sums(following)
        if not self._has_begun:
            self._factors, self._has_begun = _factors(own), True
        start, end = self._factors, _factors(own + after)
        self._factors = end
        if (start == 1).all() and (end == 1).all():
            return block.mean(axis=1, keepdims=True, dtype=np.float32)
        share = (np.arange(len(block), dtype=np.float32) / np.float32(self._cell))[:, None]
        gains = start.astype(np.float32) + share * (end - start).astype(np.float32)
        return (block * gains).mean(axis=1, keepdims=True, dtype=np.float32)


def cell_samples(sample_rate: int) -> int:
    """How far apart the factors are decided on, samples."""
    return sample_rate


def downmix(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """The mono mix of a whole recording. Shape: (channels, samples) -> (samples,), float32."""
    mixer = Downmix(len(wav), sample_rate)
    block = np.asarray(wav.T, dtype=np.float32)
    return np.concatenate([mixer.push(block), mixer.finish()])[:, 0]


def _sums(block: np.ndarray) -> np.ndarray:
    """Each channel's product with the first, and its energy. Shape: (2, channels)."""
    columns = np.ascontiguousarray(block.T)
    return np.array([[np.dot(column, columns[0]) for column in columns], [np.dot(one, one) for one in columns]], float)


def _factors(sums: np.ndarray) -> np.ndarray:
    """The factor of each channel, in [-1, 1]."""
    products, energies = sums
    scale = np.sqrt(energies * energies[0])
    correlation = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    return np.clip(1 - 2 * (correlation - _KEPT) / (_INVERTED - _KEPT), -1.0, 1.0)
