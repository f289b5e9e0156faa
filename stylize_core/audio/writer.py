"""Audio out: blocks of float32 samples into a file that appears complete under its name, or not at all.

The samples go to a temporary float file first; once the peak is known, a second pass applies the gain, encodes, and
renames the result into place.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import soundfile

from stylize_core.atomic import atomic_path, disk_errors, unfinished_file
from stylize_core.audio.formats import check_output, check_precision, encoding_for, open_encoder, quantize
from stylize_core.audio.limiter import CEILING_DB, FULL_SCALE
from stylize_core.audio.loudness import Mastering
from stylize_core.audio.tags import copy_tags
from stylize_core.errors import UserError

logger = logging.getLogger(__name__)

_BLOCK_FRAMES = 65536  # encoded at a time
_LOSSY_MARGIN_DB = 1.0  # overshoot of a decoded file
_RIFF_LIMIT = 2**32 - 65536  # bytes of samples that fit into a plain wav file with its chunks


class AudioWriter:
    """Writes an audio file block by block, in constant memory; a context manager.

    Leaving the context without an exception puts the file in place; any exception, Ctrl-C included, leaves the folder
    as it was. The file has exactly the samples written, without an encoder's delay, in every format.

    A peak beyond full scale turns down the whole file, with a warning; with `mastering`, peaks are limited instead. (A
    lossy format may still overshoot a little when decoded.)

    Args:
        path: the file; its extension sets the format (wav, flac, ogg, opus, mp3).
        sample_rate: Hz.
        channels: 1 is mono.
        subtype: libsndfile's encoding, see `matching_subtype`; None is the format's default.
        force: whether an existing file may be replaced.
        mastering: sets the loudness and limits peaks; None writes the samples at their level.
        quality: of ogg, opus and mp3, 0 (smallest) to 10 (best); None is about 200 kbit/s.
        tags_from: a file whose tags are copied as far as possible.

    Attributes:
        frames: samples per channel written so far.
        peak: the largest absolute sample so far.
        gain: the factor applied to the file.

    Raises:
        UserError: as `check_output`; from `write` and on leaving the context: the disk is full or fails.
    """

    def __init__(
        self,
        path: str | Path,
        sample_rate: int,
        channels: int,
        subtype: str | None = None,
        force: bool = False,
        mastering: Mastering | None = None,
        quality: float | None = None,
        tags_from: Path | None = None,
    ) -> None:
        self.path = Path(path)
        check_output(self.path, force, sample_rate, channels, subtype)
        check_precision(self.path, None, quality)
        self.sample_rate = sample_rate
        self.channels = channels
        self.frames = 0
        self.peak = 0.0
        self.gain = 1.0
        self._force = force
        self._mastering = mastering
        self._encoding = encoding_for(self.path)
        self._subtype = subtype or self._encoding.subtypes[0]
        self._quality = self._encoding.quality if quality is None else quality
        self._tags_from = tags_from
        self._cleanup = contextlib.ExitStack()
        self._raw: BinaryIO | None = None

    def __enter__(self) -> Self:
        with disk_errors(self.path), contextlib.ExitStack() as stack:
            self._raw_path = stack.enter_context(unfinished_file(self.path.parent, ".f32"))
            self._raw = stack.enter_context(self._raw_path.open("wb"))
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._raw = None
            with contextlib.suppress(OSError):  # of a full disk, reported before
                self._cleanup.close()

    def write(self, block: np.ndarray) -> None:
        """Append a block, (channels, samples).

        Raises:
            ValueError: wrong shape.
            UserError: samples that are NaN or infinite; the disk is full or fails.
        """
        if self._raw is None:
            raise ValueError("AudioWriter writes only inside its with statement")
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise ValueError(f"got a block of shape {block.shape}, expected ({self.channels}, samples)")
        block_peak = float(np.abs(block).max(initial=0.0))
        if not math.isfinite(block_peak):
            raise UserError(
                f"got NaN or infinite samples after {self.frames / self.sample_rate:.3f} s of {self.path}: "
                "the model that made them is damaged (use another or export it again), or its input far too loud"
            )
        with disk_errors(self.path):
            self._raw.write(np.ascontiguousarray(block.T, dtype=np.float32).data)
        self.peak = max(self.peak, block_peak)
        self.frames += block.shape[1]

    def _finish(self) -> None:
        """The second pass: set the gain, encode, and put the file in place."""
        if self.frames == 0:
            raise ValueError(f"no samples were written to {self.path}")
        assert self._raw is not None
        if self.peak > 1.0 and self._mastering is None:
            self.gain = FULL_SCALE / self.peak
            logger.warning(
                "%s: peak %.3f is over full scale, the whole file is turned down by %.2f dB (gain %.4f)",
                self.path, self.peak, -20 * math.log10(self.gain), self.gain,
            )  # fmt: skip
        with disk_errors(self.path):
            self._raw.close()
            if self._mastering is not None:
                ceiling_db = CEILING_DB - (_LOSSY_MARGIN_DB if self._encoding.quality is not None else 0.0)
                self._mastering.fit(self._raw_blocks, self.sample_rate, self.channels, ceiling_db)
                self.gain = self._mastering.gain
        with atomic_path(self.path, self._force) as path:
            with path.open("r+b") as encoded:
                self._encode_in_thread(encoded)
            if self._tags_from is not None and not copy_tags(self._tags_from, path):
                with path.open("w+b") as encoded:  # again, in case the file was left half changed
                    self._encode_in_thread(encoded)

    def _encode_in_thread(self, encoded: BinaryIO) -> None:
        """Encode in a second thread: Ctrl-C, raised in the main thread, would be lost in libsndfile's callbacks."""
        cancelled = threading.Event()
        with ThreadPoolExecutor(max_workers=1) as pool:
            encoding = pool.submit(self._encode, encoded, cancelled)
            try:
                encoding.result()
            except BaseException:
                cancelled.set()
                raise

    def _encode(self, encoded: BinaryIO, cancelled: threading.Event) -> None:
        output = _OutputFile(encoded)
        try:
            with open_encoder(output, self._container(), self._subtype, self.sample_rate, self.channels,
                              self._quality) as encoder:  # fmt: skip
                for block in self._finished_blocks():
                    if cancelled.is_set():
                        break
                    encoder.write(quantize(np.ascontiguousarray(block.T), self._subtype))
                    output.raise_failure()
        except (soundfile.SoundFileError, AssertionError) as error:  # soundfile asserts that all was written
            output.raise_failure()
            raise UserError(f"{self.path} cannot be encoded: {error}") from error
        output.raise_failure()

    def _finished_blocks(self) -> Iterator[np.ndarray]:
        """The recording at its final level."""
        if self._mastering is not None:
            return self._mastering.apply(self._raw_blocks(), self.sample_rate, self.channels)
        return (block * np.float32(self.gain) for block in self._raw_blocks())

    def _raw_blocks(self) -> Iterator[np.ndarray]:
        """The recording as written."""
        with self._raw_path.open("rb") as raw:
            while (block := np.fromfile(raw, np.float32, _BLOCK_FRAMES * self.channels)).size:
                yield block.reshape(-1, self.channels).T

    def _container(self) -> str:
        """The format; a wav file too large for 32-bit sizes is written as RF64 (EBU 3306)."""
        bytes_per_sample = {"PCM_16": 2, "PCM_24": 3, "DOUBLE": 8}.get(self._subtype, 4)
        size = self.frames * self.channels * bytes_per_sample
        return "RF64" if self._encoding.format == "WAV" and size > _RIFF_LIMIT else self._encoding.format


class _OutputFile:
    """Keeps the first OSError of the file libsndfile writes to, which libsndfile does not report."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._failure: OSError | None = None

    def raise_failure(self) -> None:
        """Raise the first error, if there was one."""
        if self._failure is not None:
            raise self._failure

    def write(self, data: bytes) -> int:
        if self._failure is None:
            try:
                return self._file.write(data)
            except OSError as error:
                self._failure = error
        return 0

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)  # writes out what is buffered
        except OSError as error:
            self._failure = self._failure or error
            return -1

    def tell(self) -> int:
        return self._file.tell()
