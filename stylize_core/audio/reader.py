"""Audio in: any common file as float32 samples in [-1, 1], (channels, samples), in blocks and constant memory."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import soundfile
import soxr

from stylize_core.audio.decoder import UNKNOWN_LENGTH, Decoder, decoded_length, reason
from stylize_core.audio.downmix import Downmix, cell_samples, downmix
from stylize_core.audio.folder import say_once
from stylize_core.audio.formats import check_output, matching_subtype
from stylize_core.audio.headers import find_streams
from stylize_core.audio.kinds import conversion, cut_off, damaged
from stylize_core.audio.streams import Stream
from stylize_core.audio.writer import AudioWriter
from stylize_core.errors import UserError

__all__ = [
    "AudioInfo",
    "AudioReader",
    "AudioWriter",
    "ExactLengthResampler",
    "check_output",
    "matching_subtype",
    "probe_audio",
    "read_audio",
    "read_part",
    "resampled_length",
    "scan_audio",
]

LOUDEST = 1e4
"""Samples beyond this many times full scale are invalid, and would overflow in computations."""

_BLOCK_FRAMES = 65536  # decoded at a time, and fewer of many channels
_BLOCK_SAMPLES = 2**19


@dataclass(frozen=True)
class StreamInfo:
    """One stream of a file and its header: Hz, channels and samples per channel."""

    stream: Stream
    sample_rate: int
    channels: int
    frames: int


@dataclass(frozen=True)
class AudioInfo:
    """What is known about an audio file.

    Args:
        path: the file.
        sample_rate: Hz.
        channels: 1 is mono.
        frames: samples per channel.
        format: libsndfile's name of the container, such as WAV, FLAC, OGG, MP3 or AU.
        subtype: libsndfile's name of the encoding, such as PCM_16, FLOAT, VORBIS or OPUS.
        streams: several, as in joined and chained files, are read one after the other, like the first.
    """

    path: Path
    sample_rate: int
    channels: int
    frames: int
    format: str
    subtype: str
    streams: tuple[StreamInfo, ...] = dataclasses.field(default=(), repr=False, compare=False)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.frames / self.sample_rate


class ExactLengthResampler:
    """Resamples a stream to an exact length, however it is cut into blocks of shape (channels, n).

    Args:
        from_rate: Hz.
        to_rate: Hz.
        channels: of the stream.
        length: samples to deliver in all; None for the `resampled_length` of those pushed.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int, length: int | None = None) -> None:
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32")
        self._rates, self._channels, self._length = (from_rate, to_rate), channels, length
        self._taken = self._given = 0

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take samples in and give those that are ready."""
        self._taken += block.shape[1]
        return self._deliver(block, self._length)

    def finish(self) -> np.ndarray:
        """The remaining samples: soxr rounds the length down or up, so feed it silence, and cut or pad."""
        silence = np.zeros((self._channels, self._rates[0] // self._rates[1] + 2), np.float32)
        length = resampled_length(self._taken, *self._rates) if self._length is None else self._length
        rest = self._deliver(silence, length, last=True)
        return np.pad(rest, ((0, 0), (0, length - self._given)))

    def _deliver(self, block: np.ndarray, length: int | None, last: bool = False) -> np.ndarray:
        if self._stream is not None:
            block = self._stream.resample_chunk(np.ascontiguousarray(block.T), last=last).T
        block = block[:, : None if length is None else length - self._given]
        self._given += block.shape[1]
        return block


class AudioReader:
    """Reads an audio file from front to back in constant memory, and checks at its end that it is complete.

    Args:
        path: the file.
        sample_rate: Hz wanted; None keeps the file's own.
        mono: whether to give the mono mix (:mod:`stylize_core.audio.downmix`) in place of the channels.

    Raises:
        UserError: as `probe_audio`; and from `read`, as `scan_audio`.
    """

    def __init__(self, path: str | Path, sample_rate: int | None = None, mono: bool = False) -> None:
        self.info = probe_audio(path)
        self.sample_rate = self.info.sample_rate if sample_rate is None else sample_rate
        self.channels = 1 if mono else self.info.channels
        if self.sample_rate < 1:
            raise ValueError(f"sample_rate must be positive, got {self.sample_rate}")
        self._resampler: ExactLengthResampler | None = None
        if self.sample_rate != self.info.sample_rate:
            self._resampler = ExactLengthResampler(self.info.sample_rate, self.sample_rate, self.channels)
        self._downmix = Downmix(self.info.channels, self.info.sample_rate) if mono else None
        self._blocks = [np.zeros((self.channels, 0), np.float32)]  # decoded but not yet requested
        self._waiting = 0  # samples in them
        self._ended = False
        self.decoded_frames = 0  # samples per channel decoded so far, at the file's rate
        self._decoder: Decoder | None = None
        self._source = self._decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; further reads fail."""
        self._source.close()
        if self._decoder is not None:
            self._decoder.close()

    def read(self, samples: int) -> np.ndarray:
        """The next `samples` samples at the wanted rate, (channels, samples); fewer at the end, then none."""
        if samples < 1:
            raise ValueError(f"samples must be at least 1, got {samples}")
        while self._waiting < samples and not self._ended:
            self._buffer_next_block()
        waiting = self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks, axis=1)
        self._blocks = [waiting[:, samples:]]
        self._waiting = self._blocks[0].shape[1]
        return np.ascontiguousarray(waiting[:, :samples])

    def _buffer_next_block(self) -> None:
        block = next(self._source, None)
        self._ended = block is None
        if self._downmix is not None:
            block = self._downmix.finish() if block is None else self._downmix.push(block)
        if self._resampler is not None:
            parts = [] if block is None else [self._resampler.push(block)]
            block = np.concatenate([*parts, self._resampler.finish()], axis=1) if self._ended else parts[0]
        if block is not None:
            self._blocks.append(block)
            self._waiting += block.shape[1]

    def _decode(self) -> Generator[np.ndarray, None, None]:
        """The samples of all streams at the file's rate."""
        for part in self.info.streams:
            resampler = None
            if part.sample_rate != self.info.sample_rate:
                resampler = ExactLengthResampler(part.sample_rate, self.info.sample_rate, self.info.channels)
            for block in self._decode_stream(part):
                block = _with_channels(block, self.info.channels)
                yield self._counted(block if resampler is None else resampler.push(block))
            if resampler is not None:
                yield self._counted(resampler.finish())
        if self.decoded_frames == 0:
            raise _no_samples(self.info.path)

    def _counted(self, block: np.ndarray) -> np.ndarray:
        self.decoded_frames += block.shape[1]
        return block

    def _decode_stream(self, part: StreamInfo) -> Generator[np.ndarray, None, None]:
        """The samples of one stream; an incomplete one is refused at its end."""
        info, frames = self.info, 0
        self._decoder = Decoder(info.path, part.stream)
        with self._decoder as decoder:
            while True:
                try:
                    block = decoder.next_block(min(_BLOCK_FRAMES, _BLOCK_SAMPLES // part.channels))
                except soundfile.LibsndfileError as error:
                    raise cut_off(info.path, f"decoding fails after {self._seconds:.1f} s "
                                             f"of {info.seconds:.1f} s ({reason(error)})") from error  # fmt: skip
                if len(block) == 0:
                    break
                _check_samples(block, info.path, self.decoded_frames, info.sample_rate)
                frames += len(block)
                yield block.T
        if frames + part.stream.slack < part.frames:
            raise cut_off(info.path, f"{self._seconds:.1f} s of {info.seconds:.1f} s could be decoded")

    @property
    def _seconds(self) -> float:
        return self.decoded_frames / self.info.sample_rate


def probe_audio(path: str | Path) -> AudioInfo:
    """Read a file's header; next to nothing is decoded: MP3 frames are counted, Ogg pages checked.

    Raises:
        UserError: missing, a folder, unreadable, not audio, no samples, visibly cut off or damaged, or with a rate or
            channels out of bounds.
    """
    path = Path(path)
    parts, formats = [], []
    for stream in find_streams(path):
        with Decoder(path, stream) as file:
            frames = file.frames if file.frames < UNKNOWN_LENGTH else decoded_length(path, stream)
            parts.append(StreamInfo(stream, file.samplerate, file.channels, frames))
            formats.append((file.format, file.subtype))
        if frames < stream.least:
            raise damaged(path, f"{frames} of {stream.least} samples can be decoded, since its bitrate changes")
        if stream.note:
            say_once(logging.WARNING, f"{path}: {stream.note}")
    rate, channels = parts[0].sample_rate, parts[0].channels
    others = {part.channels for part in parts} - {1, channels}
    if others and channels > 1:
        raise UserError(f"{path} holds several recordings, with {channels} and with {others.pop()} channels, expected "
                        f"the same of all; {conversion(path)}")  # fmt: skip
    total = sum(resampled_length(part.frames, part.sample_rate, rate) for part in parts)
    if total == 0:
        raise _no_samples(path)
    return AudioInfo(path, rate, channels, total, *formats[0], tuple(parts))


def scan_audio(path: str | Path) -> AudioInfo:
    """Decode a whole file to validate it; `frames` is the number of samples really decoded.

    Raises:
        UserError: as `probe_audio`; also truncated, damaged, or with samples that are NaN, infinite or enormous.
    """
    with AudioReader(path) as reader:
        while reader.read(_BLOCK_FRAMES).size:
            pass
        return dataclasses.replace(reader.info, frames=reader.decoded_frames)


def read_audio(path: str | Path, sample_rate: int | None = None, mono: bool = True) -> tuple[np.ndarray, int]:
    """Read a whole file into memory; arguments and errors as `AudioReader`.

    Returns:
        The samples, shape (channels, samples), and their rate in Hz.
    """
    blocks = []
    with AudioReader(path, sample_rate, mono) as reader:
        while (block := reader.read(_BLOCK_FRAMES)).size:
            blocks.append(block)
        return np.concatenate(blocks, axis=1), reader.sample_rate


def resampled_length(frames: int, from_rate: int, to_rate: int) -> int:
    """Samples that `frames` samples become at another rate: ceil(frames * to_rate / from_rate)."""
    return -(-frames * to_rate // from_rate)


def read_part(info: AudioInfo, start: int, length: int) -> np.ndarray:
    """A piece of the mono mix, as `read_audio(info.path)[0][0, start : start + length]`, found by seeking.

    Fewer samples come where the file ends before. Errors are those of `scan_audio`.
    """
    if len(info.streams) != 1:
        with AudioReader(info.path, mono=True) as reader:
            while start > 0 and (skipped := reader.read(min(start, _BLOCK_FRAMES)).shape[1]):
                start -= skipped
            return np.asarray(reader.read(length)[0])
    cell = cell_samples(info.sample_rate)
    first, last = (max(0, start // cell - 1) * cell, ((start + length) // cell + 2) * cell)
    if info.channels == 1:
        first, last = start, start + length
    with Decoder(info.path, info.streams[0].stream) as decoder:
        try:
            decoder.move_to(first)
            block = decoder.next_block(last - first)
        except soundfile.LibsndfileError as error:
            raise damaged(info.path, f"decoding fails at {start / info.sample_rate:.1f} s ({reason(error)})") from error
    _check_samples(block, info.path, first, info.sample_rate)
    return downmix(block.T, info.sample_rate)[start - first : start - first + length]


def _with_channels(block: np.ndarray, channels: int) -> np.ndarray:
    """Match the channels of the first stream: mono is repeated, anything else mixed to mono first."""
    if len(block) == channels:
        return block
    return np.repeat(block.mean(axis=0, keepdims=True, dtype=np.float32), channels, axis=0)


def _check_samples(block: np.ndarray, path: Path, before: int, sample_rate: int) -> None:
    """Refuse invalid values; `before` samples precede the block."""
    if len(block) == 0 or max(block.max(), -block.min()) <= LOUDEST:  # NaN is neither
        return
    first_bad = before + int(np.argmin((np.abs(block) <= LOUDEST).all(axis=1)))
    what = "samples" if np.isfinite(block).all() else "NaN or infinite samples"
    beyond = f" beyond {LOUDEST:g} times full scale" if np.isfinite(block).all() else ""
    raise UserError(
        f"{path} contains {what}{beyond} (the first at {first_bad / sample_rate:.3f} s), expected finite numbers "
        f"around full scale; export it again from the program that made it"
    )


def _no_samples(path: Path) -> UserError:
    return UserError(f"{path} holds no samples (0.0 s of audio), expected a recording")
