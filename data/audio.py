"""Audio in: any common file as blocks of float32 samples at the wanted rate, in constant memory.

Audio out is `AudioWriter` in `data.audio_writer`; its names can be imported from here too.

Arrays are float32 of shape (channels, samples); full scale is [-1, 1], which float files may exceed.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import soundfile
import soxr

from data.audio_formats import check_output, matching_subtype
from data.audio_headers import READABLE_FORMATS, check_complete, container_of, cut_off
from data.audio_writer import AudioWriter
from data.errors import UserError
from data.mp3 import Mp3Stream, copy_with_length_header, inspect_mp3

__all__ = [
    "AudioInfo",
    "AudioReader",
    "AudioWriter",
    "check_output",
    "matching_subtype",
    "probe_audio",
    "read_audio",
    "resampled_length",
    "scan_audio",
]

_BLOCK_FRAMES = 65536  # decoded at a time
_UNKNOWN_LENGTH = 2**62  # libsndfile gives 2**63 - 1 for streams that do not say how long they are
# How many samples fewer than announced are no sign of a cut file. The length header of an MP3 counts frames of 1152
# samples, and encoders disagree by one or two of them. An Ogg stream whose first page starts before time zero has fewer
# than libsndfile announces, by less than a block; that it is whole is known from the mark at its end.
_LENGTH_SLACK = {"MP3": 2 * 1152, "OGG": 8192}


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
    """

    path: Path
    sample_rate: int
    channels: int
    frames: int
    format: str
    subtype: str

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.frames / self.sample_rate


class _SequentialFile(soundfile.SoundFile):
    """A SoundFile that is only ever read from front to back.

    SoundFile moves a seekable file to where it already stands after every read. With Opus at 16 kHz and below
    libsndfile may then deliver other samples than in one long read, and a FLAC error is lost.
    """

    def seekable(self) -> bool:
        return False


class _Resampler:
    """A soxr stream that gives exactly `resampled_length` samples, however the input was cut into blocks."""

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        self._from_rate = from_rate
        self._to_rate = to_rate
        self._stream = soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32")
        self._channels = channels
        self._taken = 0
        self._given = 0

    def push(self, block: np.ndarray) -> np.ndarray:
        """Shape: (samples at from_rate, channels) -> (samples at to_rate, channels)."""
        self._taken += len(block)
        return self._count(self._stream.resample_chunk(np.ascontiguousarray(block)))

    def finish(self) -> np.ndarray:
        """The samples still inside. soxr rounds the length down or up, so feed it silence and cut at ceil."""
        silence = np.zeros((self._from_rate // self._to_rate + 2, self._channels), np.float32)
        tail = self._stream.resample_chunk(silence, last=True)
        total = resampled_length(self._taken, self._from_rate, self._to_rate)
        return self._count(tail[: total - self._given])

    def _count(self, block: np.ndarray) -> np.ndarray:
        self._given += len(block)
        return block


class AudioReader:
    """Reads an audio file from front to back, resampled on the way, in memory that does not grow.

    The end of the file is where it is checked that everything the header promised was there.

    Args:
        path: a wav, flac, ogg, opus, mp3, au or aiff file.
        sample_rate: Hz wanted; None keeps the file's own.
        mono: whether to give the mean of the channels as one channel.

    Raises:
        UserError: as `probe_audio`; and from `read`, as `scan_audio`.
    """

    def __init__(self, path: str | Path, sample_rate: int | None = None, mono: bool = False) -> None:
        self.info, mp3 = _inspect(Path(path))
        self.sample_rate = self.info.sample_rate if sample_rate is None else sample_rate
        self.channels = 1 if mono else self.info.channels
        if self.sample_rate < 1:
            raise ValueError(f"sample_rate must be positive, got {self.sample_rate}")
        self._resampler: _Resampler | None = None
        if self.sample_rate != self.info.sample_rate:
            self._resampler = _Resampler(self.info.sample_rate, self.sample_rate, self.channels)
        self._blocks = [np.zeros((0, self.channels), np.float32)]  # decoded but not yet asked for
        self._waiting = 0  # samples in them
        self._ended = False
        self.decoded_frames = 0  # samples per channel taken from the file so far, at its own rate
        self._copy: BinaryIO | None = None
        if mp3 is not None and not mp3.has_right_length_header:
            self._copy = copy_with_length_header(self.info.path, mp3)
        self._file = _open(self.info.path, self._copy)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; further reads fail."""
        self._file.close()
        if self._copy is not None:
            self._copy.close()

    def read(self, samples: int) -> np.ndarray:
        """The next `samples` samples at the wanted rate; fewer at the end, then none.

        Shape: (channels, at most samples).
        """
        if samples < 1:
            raise ValueError(f"samples must be at least 1, got {samples}")
        while self._waiting < samples and not self._ended:
            self._buffer_next_block()
        waiting = self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks)
        self._blocks = [waiting[samples:]]
        self._waiting = len(self._blocks[0])
        return np.ascontiguousarray(waiting[:samples].T)

    def _buffer_next_block(self) -> None:
        block = self._decode_block()
        self._ended = len(block) == 0
        if self.channels < self.info.channels:
            block = block.mean(axis=1, keepdims=True, dtype=np.float32)
        if self._resampler is not None:
            block = self._resampler.finish() if self._ended else self._resampler.push(block)
        self._blocks.append(block)
        self._waiting += len(block)

    def _decode_block(self) -> np.ndarray:
        """The next samples at the file's rate, none at its end. Shape: (samples, channels)."""
        path, rate = self.info.path, self.info.sample_rate
        try:
            block = self._file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise cut_off(path, f"decoding fails after {self.decoded_frames / rate:.1f} s "
                                f"of {self.info.seconds:.1f} s ({_reason(error)})") from error  # fmt: skip
        finite = np.isfinite(block)
        if not finite.all():
            first_bad = self.decoded_frames + int(np.argmin(finite.all(axis=1)))
            raise UserError(
                f"{path} contains NaN or infinite samples (the first at {first_bad / rate:.3f} s), expected "
                f"finite numbers; export it again from the program that made it"
            )
        self.decoded_frames += len(block)
        if len(block) == 0:
            self._check_all_was_there()
        return block

    def _check_all_was_there(self) -> None:
        if self.decoded_frames == 0:
            raise _no_samples(self.info.path)
        slack = _LENGTH_SLACK.get(self.info.format, 0)
        if self.decoded_frames + slack < self.info.frames:
            seconds = self.decoded_frames / self.info.sample_rate
            raise cut_off(self.info.path, f"{seconds:.1f} s of {self.info.seconds:.1f} s could be decoded")


def probe_audio(path: str | Path) -> AudioInfo:
    """Look at a file's header.

    Cheap, nothing is decoded: an MP3 has its frames counted, and only a FLAC stream that does not say how
    long it is must be decoded to know.

    Raises:
        UserError: missing, a folder, unreadable, not audio, no samples, or visibly cut off.
    """
    info, _ = _inspect(Path(path))
    return info


def scan_audio(path: str | Path) -> AudioInfo:
    """Decode a whole file, to be sure of it before it is worked on.

    Returns:
        The file's header, with the number of samples really decoded as `frames`.

    Raises:
        UserError: as `probe_audio`; also truncated, damaged, or with NaN or infinite samples.
    """
    with AudioReader(path) as reader:
        while reader.read(_BLOCK_FRAMES).size:
            pass
        return dataclasses.replace(reader.info, frames=reader.decoded_frames)


def read_audio(path: str | Path, sample_rate: int | None = None, mono: bool = True) -> tuple[np.ndarray, int]:
    """Read a whole file into memory.

    Args:
        path: the file.
        sample_rate: Hz wanted; None keeps the file's own.
        mono: whether to give the mean of the channels as one channel.

    Returns:
        The samples, shape (channels, samples), and their rate in Hz.

    Raises:
        UserError: as `scan_audio`.
    """
    blocks = []
    with AudioReader(path, sample_rate, mono) as reader:
        while (block := reader.read(_BLOCK_FRAMES)).size:
            blocks.append(block)
        return np.concatenate(blocks, axis=1), reader.sample_rate


def resampled_length(frames: int, from_rate: int, to_rate: int) -> int:
    """Samples that `frames` samples become at another rate: ceil(frames * to_rate / from_rate)."""
    return -(-frames * to_rate // from_rate)


def _inspect(path: Path) -> tuple[AudioInfo, Mp3Stream | None]:
    """A file's header, and its frames where it is an MP3.

    Files that are no audio or are cut off are refused before libsndfile sees them: its MP3 decoder would
    write warnings of its own to the terminal.
    """
    container = container_of(path)
    mp3 = None
    if container == "MP3":
        mp3 = inspect_mp3(path)
        if mp3.is_truncated:
            promised = f" of {mp3.promised_frames}" if mp3.promised_frames else ""
            raise cut_off(path, f"{mp3.frames}{promised} MP3 frames are complete")
        if not mp3.has_right_length_header:  # will be decoded from a copy that has one
            return AudioInfo(path, mp3.sample_rate, mp3.channels, mp3.samples, "MP3", "MPEG_LAYER_III"), mp3
    else:
        check_complete(path, container)
    with _open(path) as file:
        frames = file.frames if file.frames < _UNKNOWN_LENGTH else _decoded_length(file)
        if frames == 0:
            raise _no_samples(path)
        return AudioInfo(path, file.samplerate, file.channels, frames, file.format, file.subtype), mp3


def _open(path: Path, copy: BinaryIO | None = None) -> _SequentialFile:
    """Open an audio file, or a copy of it that decodes better."""
    try:
        return _SequentialFile(os.fsencode(path) if copy is None else copy.fileno(), closefd=copy is None)
    except soundfile.LibsndfileError as error:
        raise UserError(
            f"{path} cannot be decoded ({_reason(error)}), expected {READABLE_FORMATS}; "
            f"convert it first, for example: ffmpeg -i {shlex.quote(str(path))} song.wav"
        ) from error


def _decoded_length(file: _SequentialFile) -> int:
    """Samples per channel, by decoding; a decoder's error ends the count and is reported on reading."""
    frames = 0
    try:
        while block := len(file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
            frames += block
    except soundfile.LibsndfileError:
        pass
    return frames


def _no_samples(path: Path) -> UserError:
    return UserError(f"{path} holds no samples (0.0 s of audio), expected a recording")


def _reason(error: soundfile.LibsndfileError) -> str:
    """libsndfile's own words, without its prefix and full stop."""
    return error.error_string.removeprefix("Error : ").strip().rstrip(".")
