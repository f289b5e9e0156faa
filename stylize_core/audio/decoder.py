"""Decoding with libsndfile: one stream of a file from front to back, within bounds, silently."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import soundfile

from stylize_core.audio.kinds import READABLE_FORMATS, conversion
from stylize_core.audio.streams import Stream, StreamFile
from stylize_core.errors import UserError

SAMPLE_RATES = (1000, 768000)
"""Hz; a header that says less or more is wrong, or would make a short file long to work on."""

MAX_CHANNELS = 64
UNKNOWN_LENGTH = 2**62  # libsndfile returns 2**63 - 1 samples for streams of unknown length
_BLOCK = 65536


class Decoder(soundfile.SoundFile):  # type: ignore[misc,unused-ignore]
    """An open stream that is only read from front to back.

    SoundFile seeks after every read of a seekable file; libsndfile may then decode Opus at 16 kHz and below
    differently, and a FLAC error is lost. UserErrors name a stream that cannot be decoded or is out of bounds.
    """

    def __init__(self, path: Path, stream: Stream) -> None:
        self._quiet = _quiet_decoder if stream.container == "MP3" else nullcontext
        self._parts: StreamFile | None = None
        try:
            self._parts = StreamFile(path, stream.pieces) if stream.pieces else None
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        try:
            with self._quiet():
                super().__init__(os.fsencode(path) if self._parts is None else self._parts, "r")
        except soundfile.LibsndfileError as error:
            self._close_parts()
            raise UserError(
                f"{path} cannot be decoded ({reason(error)}), expected {READABLE_FORMATS}; {conversion(path)}"
            ) from error
        try:
            self._check_bounds(path)
        except UserError:
            self.close()
            raise

    def seekable(self) -> bool:
        """False, so that SoundFile does not seek by itself."""
        return False

    def next_block(self, frames: int) -> np.ndarray:
        """The next samples, (samples, channels); none at the end."""
        with self._quiet():
            return np.asarray(self.read(frames, dtype="float32", always_2d=True))

    def move_to(self, frame: int) -> None:
        """Go to a sample."""
        with self._quiet():
            self.seek(frame)

    def close(self) -> None:
        """Close the stream and its file."""
        super().close()
        self._close_parts()

    def _close_parts(self) -> None:
        if self._parts is not None:
            self._parts.close()

    def _check_bounds(self, path: Path) -> None:
        lowest, highest = SAMPLE_RATES
        if not lowest <= self.samplerate <= highest:
            raise UserError(
                f"{path} says that it has {self.samplerate} samples a second, expected {lowest} to {highest} Hz: "
                f"its header is wrong; export it again from the program that made it"
            )
        if self.channels > MAX_CHANNELS:
            raise UserError(f"{path} has {self.channels} channels, expected at most {MAX_CHANNELS}")


def decoded_length(path: Path, stream: Stream) -> int:
    """Samples per channel, by decoding; a decoder's error ends the count and is reported on reading."""
    frames = 0
    with Decoder(path, stream) as decoder:
        try:
            while block := len(decoder.next_block(max(1, _BLOCK // decoder.channels))):
                frames += block
        except soundfile.LibsndfileError:
            pass
    return frames


def reason(error: soundfile.LibsndfileError) -> str:
    """The message of libsndfile, without its prefix and full stop."""
    return str(error.error_string).removeprefix("Error : ").strip().rstrip(".")


class _Silencer:
    """Redirects the C library's `stderr`, to which the MP3 decoder writes; `sys.stderr` is unaffected."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._nowhere: int | None = None
        try:
            library = ctypes.CDLL(None)
            library.fopen.restype = ctypes.c_void_p
            name = "stderr" if hasattr(library, "stderr") else "__stderrp"
            self._stderr = ctypes.c_void_p.in_dll(library, name)
            self._own = self._stderr.value
            self._nowhere = library.fopen(os.fsencode(os.devnull), b"w")
        except (OSError, ValueError, TypeError, AttributeError):  # another C library: its messages appear
            pass

    @contextmanager
    def __call__(self) -> Iterator[None]:
        if not self._nowhere:
            yield
            return
        with self._lock:
            self._users += 1
            self._stderr.value = self._nowhere
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._stderr.value = self._own


_quiet_decoder = _Silencer()
