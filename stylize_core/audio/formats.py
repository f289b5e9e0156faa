"""What can be written: formats by extension, their checks, and encoders."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from stylize_core.atomic import check_output_file
from stylize_core.errors import UserError


@dataclass(frozen=True)
class Encoding:
    """How files with an extension are written.

    Args:
        format: libsndfile's container.
        subtypes: libsndfile's encodings on offer; the first is the default.
        quality: default, 0 (smallest) to 10 (best); None for lossless encodings.
        sample_rates: the supported rates in Hz; None for any.
    """

    format: str
    subtypes: tuple[str, ...]
    quality: float | None = None
    sample_rates: tuple[int, ...] | None = None


# The qualities give about 200 kbit/s for stereo music at 44.1 or 48 kHz.
_ENCODINGS = {
    ".wav": Encoding("WAV", ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    ".flac": Encoding("FLAC", ("PCM_16", "PCM_24")),
    ".ogg": Encoding("OGG", ("VORBIS",), 6.5),
    ".opus": Encoding("OGG", ("OPUS",), 3.5, (8000, 12000, 16000, 24000, 48000)),
    ".mp3": Encoding("MP3", ("MPEG_LAYER_III",), 9.0, (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)),
}
_BITS = {"PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
PRECISIONS = {"16": "PCM_16", "24": "PCM_24", "32": "PCM_32", "float": "FLOAT"}
"""What `--bits` takes, and libsndfile's name for it."""
BEST_QUALITY = 10.0


def matching_subtype(source_subtype: str, path: str | Path, bits: str | None = None) -> str | None:
    """The encoding of a file with this extension: the one asked for, else the one that keeps a source's precision.

    A WAV file takes over float and 24 bits, a FLAC file stores both as 24 bits; all else is 16 bits. None for lossy
    formats.

    Args:
        source_subtype: `AudioInfo.subtype` of the source.
        path: the output, of which only the extension counts.
        bits: one of `PRECISIONS`, or None.
    """
    extension = Path(path).suffix.lower()
    if extension not in (".wav", ".flac"):
        return None
    if bits is not None:
        return PRECISIONS[bits]
    if source_subtype in ("FLOAT", "DOUBLE"):
        return "FLOAT" if extension == ".wav" else "PCM_24"
    return "PCM_24" if source_subtype in ("PCM_24", "PCM_32") else "PCM_16"


def check_precision(path: str | Path, bits: str | None, quality: float | None) -> None:
    """Refuse a precision or a quality that files with this extension do not have.

    Args:
        path: the output, of which only the extension counts.
        bits: one of `PRECISIONS`, or None for any.
        quality: 0 to `BEST_QUALITY`, or None for any.

    Raises:
        UserError: an unknown extension, or an unknown or unsupported value.
    """
    path = Path(path)
    encoding = encoding_for(path)
    if bits is not None:
        offered = [name for name, subtype in PRECISIONS.items() if subtype in encoding.subtypes]
        if bits not in offered:
            there = f"{path.suffix} has {', '.join(offered)}" if offered else f"{path.suffix} has --quality instead"
            raise UserError(f"{path}: got --bits {bits}; {there}")
    if quality is not None:
        if encoding.quality is None:
            raise UserError(f"{path}: got --quality {quality:g}; {path.suffix} has --bits instead")
        if not 0 <= quality <= BEST_QUALITY:
            raise UserError(f"got --quality {quality:g}; expected 0 (smallest) to {BEST_QUALITY:g} (best)")


def check_output(
    path: str | Path,
    force: bool = False,
    sample_rate: int | None = None,
    channels: int | None = None,
    subtype: str | None = None,
) -> None:
    """Check whether an audio file can be written, before any work is done. Leaves no trace.

    Args:
        path: the file; its extension sets the format.
        force: whether an existing file may be replaced.
        sample_rate: Hz; None is not checked.
        channels: None is not checked.
        subtype: the encoding; None is the format's default.

    Raises:
        UserError: unknown extension; as `check_output_file`; a rate, channels or encoding that the format lacks.
    """
    path = Path(path)
    encoding = encoding_for(path)
    check_output_file(path, force)
    _check_encoding(path, encoding, sample_rate, channels, subtype)


def encoding_for(path: Path) -> Encoding:
    """How a file with this extension is written; a UserError lists the known ones."""
    encoding = _ENCODINGS.get(path.suffix.lower())
    if encoding is None:
        known = " ".join(extension.removeprefix(".") for extension in _ENCODINGS)
        found = f"the unknown extension {path.suffix}" if path.suffix else "no extension"
        raise UserError(f"{path} has {found}; use one of: {known}")
    return encoding


def _check_encoding(
    path: Path, encoding: Encoding, sample_rate: int | None, channels: int | None, subtype: str | None
) -> None:
    """Refuse a rate, a number of channels or an encoding that the format does not have."""
    if subtype is not None and subtype not in encoding.subtypes:
        raise UserError(f"{path}: no encoding {subtype} there; use one of: {', '.join(encoding.subtypes)}")
    if sample_rate is None:
        return
    name = path.suffix.removeprefix(".")
    rates = encoding.sample_rates
    if rates is not None and sample_rate not in rates:
        next_rate = min((rate for rate in rates if rate >= sample_rate), default=rates[-1])
        raise UserError(
            f"{path}: {name} cannot store {sample_rate} Hz (only {', '.join(map(str, rates))}); "
            f"use --sample-rate {next_rate}, or the extension ogg, flac or wav"
        )
    try:
        with open_encoder(io.BytesIO(), encoding.format, subtype or encoding.subtypes[0], sample_rate,
                           channels or 1, encoding.quality):  # fmt: skip
            pass
    except soundfile.SoundFileError as error:
        raise UserError(
            f"{path}: {name} cannot store {channels or 1} channels at {sample_rate} Hz; "
            f"use the extension wav, or flac for up to 8 channels"
        ) from error


def open_encoder(
    file: Any, container: str, subtype: str, sample_rate: int, channels: int, quality: float | None
) -> soundfile.SoundFile:
    """Open libsndfile's encoder; quality is None where there is no choice."""
    # The MP3 encoder refuses 1.
    compression_level = None if quality is None else min(1 - quality / BEST_QUALITY, 0.999)
    return soundfile.SoundFile(
        file, "w", sample_rate, channels, subtype, format=container, compression_level=compression_level
    )


def quantize(samples: np.ndarray, subtype: str) -> np.ndarray:
    """Round to the encoding's integers as libsndfile takes them, left-justified in 16 or 32 bits; else return floats.

    Full scale is 2 ** (bits - 1), as in reading, so that integer files are unchanged; +1.0 becomes the largest integer.
    """
    bits = _BITS.get(subtype)
    if bits is None:
        return samples
    full_scale = 2 ** (bits - 1)
    integers = np.clip(np.rint(samples.astype(np.float64) * full_scale), -full_scale, full_scale - 1)
    if bits == 16:
        return np.asarray(integers, np.int16)
    return np.asarray(integers.astype(np.int64) << (32 - bits), np.int32)
