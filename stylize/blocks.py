"""Cutting a song of any length into overlapping windows of whole mel frames, in constant memory.

A window is a block and `context_frames` on either side; its mel needs `mel_context` samples more::

    song      |-------------------------------------------------------------|
    block 1   [==========)~~~~~.                           ~ context frames, computed and dropped
    block 2         ~~~~~[==========)~~~~~.                . samples that only the mel needs
    block 3             .~~~~~[==========)~~~~~.

At the true start and end of the song a window has no context: the networks see the edge, as they would in the
whole song, and the samples beyond it are reflected, as :class:`stylize_core.mel.LogMel` reflects them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

ReadSamples = Callable[[int], np.ndarray]
"""`read(n)` gives the next samples, (channels, <= n); none at the end of the song."""


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple that is not below the value."""
    return -(-value // multiple) * multiple


def read_excerpt(read: ReadSamples, first: int, count: int | None) -> ReadSamples:
    """Read `count` samples of a song after its first `first` ones (None: all) as if they were the song."""
    left = math.inf if count is None else count

    def read_part(samples: int) -> np.ndarray:
        nonlocal left, first
        while first > 0 and (dropped := read(min(first, 65536)).shape[1]):
            first -= dropped
        part = read(int(min(samples, left))) if left else read(1)[:, :0]
        left -= part.shape[1]
        return part

    return read_part


@dataclass(frozen=True)
class BlockLayout:
    """How a song is cut."""

    hop_length: int  # samples per mel frame
    mel_context: int  # samples that the mel needs on either side of a window
    frame_multiple: int  # starts and lengths of windows are multiples of it, frames
    context_frames: int  # frames computed and dropped on either side of a block
    block_frames: int  # frames of a block
    minimum_frames: int  # what a shorter song is padded to with zeros, so that every layer has what it reflects

    @classmethod
    def for_networks(
        cls,
        *,
        hop_length: int,
        mel_context: int,
        frame_multiple: int,
        network_contexts: tuple[int, ...],
        block_frames: int,
        further_context: int = 0,
    ) -> BlockLayout:
        """The layout for networks that run one after the other.

        Each of them sees, and reflects at most, `network_contexts` frames on either side; the stages after them see
        `further_context` more, without reflecting any. `block_frames` is rounded up to a multiple.
        """
        if block_frames < 1:
            raise ValueError(f"block_frames must be at least 1, got {block_frames}")
        minimum = max(*network_contexts, mel_context // hop_length) + 1
        return cls(
            hop_length=hop_length,
            mel_context=mel_context,
            frame_multiple=frame_multiple,
            context_frames=round_up(sum(network_contexts) + further_context, frame_multiple),
            block_frames=round_up(block_frames, frame_multiple),
            minimum_frames=round_up(minimum, frame_multiple),
        )

    def song_frames(self, samples: int) -> int:
        """Frames of a song of so many samples, once its end is padded with zeros."""
        frames = round_up(-(-samples // self.hop_length), self.frame_multiple)
        return max(frames, self.minimum_frames)


@dataclass(frozen=True)
class Window:
    """One block of a song with its surroundings."""

    samples: np.ndarray  # (channels, (frames of the window) * hop_length + 2 * mel_context)
    first_frame: int  # where the window starts in the song, frames
    start: int  # where the block starts in the song, frames
    stop: int  # where the block ends in the song, frames
    song_samples: int  # how many samples of the block are the song's own; the rest is padding at its end


def iterate_windows(read: ReadSamples, channels: int, layout: BlockLayout) -> Iterator[Window]:
    """Cut a song of `channels` channels into windows, holding one window of samples at a time."""
    hop, context = layout.hop_length, layout.mel_context
    held = HeldSamples(read, channels)
    start = 0
    total_frames: int | None = None
    while total_frames is None or start < total_frames:
        last = start + layout.block_frames + layout.context_frames
        if total_frames is None and not held.fill(last * hop + context):
            total_frames = layout.song_frames(held.song_samples)
            held.pad_end(total_frames * hop)
        stop = start + layout.block_frames
        if total_frames is not None:
            last, stop = min(last, total_frames), min(stop, total_frames)
        first = max(0, start - layout.context_frames)
        own = held.song_samples if total_frames is not None else stop * hop
        yield Window(
            samples=held.cut(first * hop - context, last * hop + context),
            first_frame=first,
            start=start,
            stop=stop,
            song_samples=int(np.clip(own - start * hop, 0, (stop - start) * hop)),
        )
        start = stop
        held.drop_before((start - layout.context_frames) * hop - context)


class HeldSamples:
    """The samples of a song around the present position; read forwards, dropped when done with."""

    def __init__(self, read: ReadSamples, channels: int) -> None:
        self._read = read
        self._samples = np.zeros((channels, 0), dtype=np.float32)
        self._origin = 0  # position in the song of the first sample held
        self.song_samples = 0  # samples read so far

    def fill(self, stop: int) -> bool:
        """Read up to a position; False when the song ends before it."""
        pieces = [self._samples]
        while self.song_samples < stop:
            piece = self._read(stop - self.song_samples)
            if piece.shape[1] == 0:
                break
            pieces.append(piece)
            self.song_samples += piece.shape[1]
        self._samples = np.concatenate(pieces, axis=1)
        return self.song_samples >= stop

    def pad_end(self, stop: int) -> None:
        """Append zeros up to a position."""
        missing = stop - self._origin - self._samples.shape[1]
        self._samples = np.pad(self._samples, ((0, 0), (0, missing)))

    def cut(self, start: int, stop: int) -> np.ndarray:
        """Samples from start to stop; what lies outside of the song is reflected at its edge."""
        end = self._origin + self._samples.shape[1]
        inside = self._samples[:, max(start, 0) - self._origin : min(stop, end) - self._origin]
        outside = (max(0, -start), max(0, stop - end))
        return np.pad(inside, ((0, 0), outside), mode="reflect") if any(outside) else inside

    def drop_before(self, position: int) -> None:
        """Forget everything before a position."""
        count = max(0, position - self._origin)
        self._samples = self._samples[:, count:].copy()
        self._origin += count
