"""Mels of whole files kept on disk, computed once per content and `MelConfig`, read as memory maps."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from data.manifest import file_digest
from stylize_core.atomic import atomic_write
from stylize_core.audio.reader import read_audio
from stylize_core.errors import UserError
from stylize_core.mel import LogMel, MelConfig
from stylize_core.plain import one_line
from stylize_core.tensor_files import read_header

logger = logging.getLogger(__name__)

_FORMAT = 2
_TENSOR, _MADE_OF = "mel", "audio and crc32"
_BLOCK_SECONDS = 60
_MAX_OPEN = 256  # memory maps, each with a file descriptor


class MelCacheError(UserError):
    """The cache folder cannot be written; no fault of the audio file."""


class MelCache:
    """Log-mels by content: the same samples under another name are not computed again.

    A mel lies in `FOLDER/CONFIG/mels/` under the SHA-256 of its audio file: a safetensors file with that hash and the
    CRC-32 of the mel in its header. Both are checked once in a process (2 ms per minute of music) or when the file has
    changed; a mismatch is computed again. `FOLDER/CONFIG/index/` keeps the hash by path, size and modification time.
    Writes are atomic: several processes may share a folder.

    Args:
        folder: where the mels are kept; made where it does not exist.
        mel_config: the front-end; each one has its own mels in the folder.
    """

    def __init__(self, folder: Path, mel_config: MelConfig) -> None:
        self.folder = Path(folder)
        self.mel_config = mel_config
        described = json.dumps({"format": _FORMAT, **mel_config.to_dict()}, sort_keys=True)
        self._home = self.folder / hashlib.sha256(described.encode()).hexdigest()[:16]
        self._open: OrderedDict[str, np.ndarray] = OrderedDict()
        self._checked: dict[tuple[str, int, int], tuple[int, tuple[int, ...]]] = {}
        self._log_mel: LogMel | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Worker processes open the maps they need themselves."""
        return self.__dict__ | {"_open": OrderedDict(), "_checked": {}, "_log_mel": None}

    def load(self, path: Path) -> np.ndarray:
        """The log10 mel of a whole file, mixed to mono at the front-end's rate.

        Shape:
            (n_mels, samples // hop_length), float16, read-only memory map.

        Raises:
            UserError: the file cannot be read, or is shorter than a frame.
            MelCacheError: the cache cannot be written.
        """
        path = Path(path)
        try:
            status = path.stat()
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        signature = f"{os.path.abspath(path)}|{status.st_size}|{status.st_mtime_ns}"
        if signature in self._open:
            self._open.move_to_end(signature)
            return self._open[signature]
        mel = self._load_indexed(signature)
        if mel is None:
            mel = self._load_hashed(path, signature)
        self._open[signature] = mel
        if len(self._open) > _MAX_OPEN:
            self._open.popitem(last=False)
        return mel

    def _index_file(self, signature: str) -> Path:
        name = hashlib.sha256(signature.encode("utf-8", "surrogateescape")).hexdigest()
        return self._home / "index" / name[:2] / f"{name}.txt"

    def _mel_file(self, digest: str) -> Path:
        return self._home / "mels" / digest[:2] / f"{digest}.safetensors"

    def _load_indexed(self, signature: str) -> np.ndarray | None:
        """The mel of a known file, without reading its audio."""
        path = self._index_file(signature)
        try:
            digest, _, name = path.read_text(encoding="ascii").partition(" ")
        except (OSError, UnicodeDecodeError):
            return None
        # The second word detects a file of the index that was copied from elsewhere.
        return self._map(digest) if len(digest) == 64 and digest.isalnum() and name == path.stem else None

    def _load_hashed(self, path: Path, signature: str) -> np.ndarray:
        digest = file_digest(path)
        mel = self._map(digest)
        if mel is None:
            made = self.compute(path)
            _store(self._mel_file(digest), save({_TENSOR: made}, {_MADE_OF: f"{digest} {_crc32(made)}"}))
            mel = self._map(digest)
            if mel is None:
                raise MelCacheError(f"the mel just written to {self._mel_file(digest)} cannot be read back")
        index = self._index_file(signature)
        _store(index, f"{digest} {index.stem}".encode())
        return mel

    def _map(self, digest: str) -> np.ndarray | None:
        """Memory map of a stored mel; None where there is none, or with a warning where it is damaged."""
        path = self._mel_file(digest)
        try:
            status = path.stat()
            version = digest, status.st_size, status.st_mtime_ns
            if version not in self._checked:
                self._checked[version] = self._check(path, digest)
            offset, shape = self._checked[version]
            return np.memmap(path, np.float16, "r", offset, shape)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("the cached mel %s is damaged (%s); it is made again", path, one_line(error))
            with contextlib.suppress(OSError):
                path.unlink()
            return None

    def _check(self, path: Path, digest: str) -> tuple[int, tuple[int, ...]]:
        """Offset and shape of the mel in a file; ValueError where it is not what was written."""
        header = read_header(path)
        shape = header.shapes.get(_TENSOR, ())
        if (len(header.shapes), header.dtypes.get(_TENSOR), shape[:1]) != (1, "F16", (self.mel_config.n_mels,)):
            raise ValueError("it holds no mel of this front-end")
        audio, _, crc = header.metadata.get(_MADE_OF, "").partition(" ")
        if audio != digest:
            raise ValueError("it is of another audio file")
        if crc != _crc32(np.memmap(path, np.float16, "r", header.offset, shape)):
            raise ValueError("its contents have changed")
        return header.offset, shape

    def compute(self, path: Path) -> np.ndarray:
        """The mel of a file, (n_mels, samples // hop_length) float16, without the cache; in blocks of a minute."""
        config = self.mel_config
        wav, _ = read_audio(path, sample_rate=config.sample_rate, mono=True)
        samples = wav.reshape(-1)
        frames = len(samples) // config.hop_length
        if not frames:
            raise UserError(f"{path} is shorter than a mel frame: {len(samples)} of {config.hop_length} samples")
        padded = torch.from_numpy(np.pad(samples, config.context, mode="reflect").astype(np.float32, copy=False))
        if self._log_mel is None:
            self._log_mel = LogMel(config)
        mel = np.empty((config.n_mels, frames), dtype=np.float16)
        block = max(1, _BLOCK_SECONDS * config.sample_rate // config.hop_length)
        for start in range(0, frames, block):
            stop = min(start + block, frames)
            chunk = padded[start * config.hop_length : stop * config.hop_length + 2 * config.context]
            with torch.inference_mode():
                mel[:, start:stop] = self._log_mel(chunk[None], padded=True)[0].numpy()
        return mel


def _crc32(mel: np.ndarray) -> str:
    return f"{zlib.crc32(mel.reshape(-1).view(np.uint8).data):08x}"


def _store(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as stream:
            stream.write(content)
    except (OSError, UserError) as error:
        raise MelCacheError(f"cannot write the mel cache in {path.parent}: {one_line(error)}") from error
