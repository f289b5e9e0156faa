"""Long recordings in overlapping blocks: spectrograms in, optimized ones joined, waveform out, in constant memory.

Blocks are equally long and share at least the overlap with their neighbors::

    columns   |-----------------------------------------------|
    block 1   [=============~~~~~)                              ~ shared, cross-faded
    block 2                [~~~~~=========~~~~~)
    block 3                              [~~~~~===============)

The joined spectrogram is decoded in windows of its own. A window begins within what the last one gave: the inverse
goes on from those samples, which makes the phases agree; see
:meth:`stylize.optimize.representations.Representation.decode`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stylize.blocks import HeldSamples, ReadSamples
from stylize.optimize.representations import Representation

DECODE_CONTEXT_SECONDS = 2.0
"""What a window is decoded beyond what is kept of it, on either side: the receptive field of the bundled vocoder."""


@dataclass(frozen=True)
class BlockGrid:
    """How a spectrogram is cut along its columns."""

    total: int  # columns of the spectrogram
    length: int  # columns of every block
    count: int  # how many blocks there are

    @classmethod
    def for_total(cls, total: int, block: int, overlap: int) -> BlockGrid:
        """The fewest equally long blocks of at most `block` columns that share at least `overlap` columns.

        `overlap` is at most a quarter of `block`, so that no three blocks share a column.
        """
        if total < 1 or not 0 < overlap <= block / 4:
            raise ValueError(f"got total {total}, block {block}, overlap {overlap}; expected 0 < overlap <= block / 4")
        if total <= block:
            return cls(total, total, 1)
        count = -(-(total - overlap) // (block - overlap))
        return cls(total, -(-(total + (count - 1) * overlap) // count), count)

    def start(self, block: int) -> int:
        """First column of a block, numbered from 0."""
        return 0 if self.count == 1 else block * (self.total - self.length) // (self.count - 1)

    def stop(self, block: int) -> int:
        """Column after the last one of a block."""
        return self.start(block) + self.length

    def shared_before(self, block: int) -> int:
        """Columns that a block shares with the one before it."""
        return 0 if block == 0 else self.stop(block - 1) - self.start(block)


def iterate_blocks(
    read: ReadSamples, channels: int, samples: int, representation: Representation, grid: BlockGrid
) -> Iterator[list[Tensor]]:
    """The spectrograms of a recording's blocks, one for each channel, equal to those parts of the full spectrogram.

    Samples that `read` lacks at the end are silence.
    """
    hop = representation.hop_length
    context = -(-representation.context_samples // hop)
    held = HeldSamples(read, channels)
    for block in range(grid.count):
        first = max(0, grid.start(block) - context)
        stop = samples if block == grid.count - 1 else min(samples, (grid.stop(block) + context) * hop)
        held.drop_before(first * hop)
        if not held.fill(stop):
            held.pad_end(stop)
        left = grid.start(block) - first
        wavs = np.ascontiguousarray(held.cut(first * hop, stop))
        yield [representation.encode(torch.from_numpy(wav))[..., left : left + grid.length] for wav in wavs]


class BlockJoiner:
    """Cross-fades blocks where they overlap."""

    def __init__(self, grid: BlockGrid) -> None:
        self._grid = grid
        self._block = 0
        self.tail: Tensor | None = None
        """What the last block shares with the next one, as it was optimized there."""

    def push(self, x: Tensor) -> Tensor:
        """Take a block, (planes, rows, length of a block); give the columns that are final, (planes, rows, columns)."""
        grid, block = self._grid, self._block
        if x.shape[-1] != grid.length or block >= grid.count:
            raise ValueError(f"got {x.shape[-1]} columns for block {block} of {grid}")
        shared = grid.shared_before(block)
        if self.tail is not None:
            weight = ((torch.arange(shared, device=x.device) + 0.5) / shared).to(x)
            x = torch.cat([torch.lerp(self.tail, x[..., :shared], weight), x[..., shared:]], dim=-1)
        self._block += 1
        if self._block == grid.count:
            self.tail = None
            return x
        kept = grid.length - grid.shared_before(self._block)
        self.tail = x[..., kept:]
        return x[..., :kept]


class BlockDecoder:
    """Turns the columns of a spectrogram into the samples of a recording as they come.

    Columns are decoded in windows. Beside its output, a window has a stretch that it keeps back, with which the next
    window starts, and a stretch of context that is dropped::

        window 1   |===================~~~~~.....|               = output   ~ kept back   . dropped
        window 2                       |~~~~~===============~~~~~.....|
    """

    def __init__(self, representation: Representation, samples: int) -> None:
        self._representation, self._samples = representation, samples
        self._context = round(DECODE_CONTEXT_SECONDS * representation.sample_rate / representation.hop_length)
        self._held: Tensor | None = None
        self._first = 0  # column of the recording with which what is held begins; all before it was given
        self._kept: Tensor | None = None  # samples from there on that the last window kept back

    def push(self, columns: Tensor, last: bool) -> np.ndarray:
        """Take columns, (1, rows, columns), of at least 0; give the samples that are final, (samples,), if any."""
        held = columns if self._held is None else torch.cat([self._held, columns], dim=-1)
        self._held, hop = held, self._representation.hop_length
        if last:
            return self._decode(held, self._samples - self._first * hop).numpy()
        given = held.shape[-1] - 2 * self._context
        if given <= 0:
            return np.zeros(0, np.float32)
        wav = self._decode(held, held.shape[-1] * hop)
        self._kept = wav[given * hop : (given + self._context) * hop].clone()
        self._held = held[..., given:].clone()
        self._first += given
        return wav[: given * hop].numpy()

    def _decode(self, held: Tensor, length: int) -> Tensor:
        if not held.any() and (self._kept is None or not self._kept.any()):  # silence stays silence
            return torch.zeros(length)
        return self._representation.decode(held, length, start_wav=self._kept, first_frame=self._first).float().cpu()
