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
        self._rest = np.zeros((0, channels), np.float32)  # not yet a cell
        self._last: tuple[np.ndarray, np.ndarray] | None = None  # the cell before, and its sums
        self._factors = np.ones(channels)  # at its beginning

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take in samples and give those that are decided on. Shape: (samples, channels) -> (samples, 1)."""
        if self._channels == 1:
            return block
        self._rest = np.concatenate([self._rest, block]) if len(self._rest) else block
        mixed = [np.zeros((0, 1), np.float32)]
        while len(self._rest) >= self._cell:
            mixed.append(self._take(self._rest[: self._cell]))
            self._rest = self._rest[self._cell :]
        return np.concatenate(mixed)

    def finish(self) -> np.ndarray:
        """The samples still inside. Shape: (samples, 1)."""
        mixed = [self._rest[:, :1]]
        if self._channels > 1:
            mixed = [self._take(self._rest), self._take(self._rest[:0])]
        self._rest, self._last = self._rest[:0], None
        return np.concatenate(mixed)

    def _take(self, cell: np.ndarray) -> np.ndarray:
        """Take in the next cell and give the one before, which depends on it."""
        columns = np.ascontiguousarray(cell.T)
        sums = _sums(columns)
        before, self._last = self._last, (columns, sums)
        if before is None:
            self._factors = _factors(sums)
            return np.zeros((0, 1), np.float32)
        start, self._factors = self._factors, _factors(before[1] + sums)
        return _mix(before[0], start, self._factors, self._cell)


class Polarity:
    """Which channels of a stream run against the first, over the whole of it.

    For what needs one decision for a song, such as a stylized mid that the channels follow: the channels times the
    signs have a mid that is heard, and what is made of them times the signs has the song's own polarities again.
    """

    def __init__(self, channels: int) -> None:
        self._sums = np.zeros((2, channels))

    def push(self, block: np.ndarray) -> None:
        """Take in samples. Shape: (channels, samples)."""
        if len(block) > 1:
            self._sums += _sums(np.ascontiguousarray(block))

    @property
    def signs(self) -> tuple[int, ...]:
        """1 for each channel, or -1 for one whose factor is below zero."""
        return tuple(-1 if factor < 0 else 1 for factor in _factors(self._sums))


def cell_samples(sample_rate: int) -> int:
    """How far apart the factors are decided on, samples."""
    return sample_rate


def downmix(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """The mono mix of a whole recording. Shape: (channels, samples) -> (samples,), float32."""
    mixer = Downmix(len(wav), sample_rate)
    block = np.asarray(wav.T, dtype=np.float32)
    return np.concatenate([mixer.push(block), mixer.finish()])[:, 0]


def _sums(columns: np.ndarray) -> np.ndarray:
    """Each channel's product with the first, and its energy. Shape: (channels, samples) -> (2, channels)."""
    return np.array([[np.dot(one, columns[0]), np.dot(one, one)] for one in columns], float).T


def _mix(columns: np.ndarray, start: np.ndarray, end: np.ndarray, cell: int) -> np.ndarray:
    """The mean of a cell's channels, each times a factor that goes from `start` to `end` in `cell` samples."""
    if (start != 1).any() or (end != 1).any():
        share = np.arange(columns.shape[1], dtype=np.float32) / np.float32(cell)
        columns = columns * (start[:, None] + share * (end - start)[:, None]).astype(np.float32)
    return np.asarray(columns.mean(axis=0, dtype=np.float32)[:, None])


def _factors(sums: np.ndarray) -> np.ndarray:
    """The factor of each channel, in [-1, 1]."""
    products, energies = sums
    scale = np.sqrt(energies * energies[0])
    correlation = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    return np.clip(1 - 2 * (correlation - _KEPT) / (_INVERTED - _KEPT), -1.0, 1.0)
