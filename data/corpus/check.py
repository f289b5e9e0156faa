"""Measurements of a rendered corpus that reveal faults at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, groupby, product
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from data.corpus.songs import BEATS_PER_BAR
from data.manifest import MANIFEST_NAME, read_records
from stylize_core.errors import UserError

_FLUX_HOP = 128
_LARGEST_LAG_SECONDS = 0.1
_QUIET = 10.0 ** (-50.0 / 20.0)


@dataclass(frozen=True)
class _FileCheck:
    """Measurements of one file: see :func:`bar_chroma` for `chroma`; `flux` is the spectral flux, mean 0."""

    genre: str
    song: str
    samples: int
    peak: float
    rms: float
    silence: float
    chroma: np.ndarray
    flux: np.ndarray
    sample_rate: int


@dataclass(frozen=True)
class GenreCheck:
    """Measurements of a genre: means over its files, and its agreement with the other genres.

    Attributes:
        files: how many.
        rms: mean in dB.
        silence: longest stretch below -50 dB in any file, in seconds.
        chroma_same: correlation of bar chroma with other genres' renderings of the same song.
        chroma_other: the same with the next song, which is chance.
        lag: median absolute time shift, in milliseconds, that best aligns the onsets with another genre's rendering.
    """

    files: int
    rms: float
    silence: float
    chroma_same: float
    chroma_other: float
    lag: float


def check_corpus(root: Path, songs: int = 12) -> tuple[set[int], tuple[float, float], dict[str, GenreCheck]]:
    """Measure the first songs of a corpus.

    Returns:
        All lengths that occur in samples; lowest and highest peak in dB; measurements by genre.

    Raises:
        UserError: no manifest, or fewer than two songs.
    """
    path = root / MANIFEST_NAME
    if not path.is_file():
        raise UserError(f"no {MANIFEST_NAME} in {root}; render a corpus there first")
    try:
        records = read_records(path)
        chosen = list(dict.fromkeys(record["song"] for record in records))[:songs]
    except (KeyError, TypeError):
        raise UserError(f"{path} is no manifest of a rendered corpus: a line has no name of a song") from None
    if len(chosen) < 2:
        raise UserError(f"{root} holds {len(chosen)} song, at least 2 are needed for a comparison")
    checks = [_check_file(root, record) for record in records if record["song"] in chosen]
    peaks = [check.peak for check in checks]
    return {check.samples for check in checks}, (min(peaks), max(peaks)), _by_genre(checks, chosen)


def format_check(lengths: set[int], peaks: tuple[float, float], genres: dict[str, GenreCheck]) -> str:
    """The measurements of :func:`check_corpus` as text."""
    lines = [
        f"samples in a file: {sorted(lengths)}, peaks: {peaks[0]:.1f} to {peaks[1]:.1f} dB",
        "genre      files  rms/dB  silence/s  chroma same song  other song  onset lag/ms",
    ]
    for name, one in genres.items():
        levels = f"{name:10} {one.files:5}  {one.rms:6.1f}  {one.silence:9.1f}"
        lines.append(f"{levels}  {one.chroma_same:16.2f}  {one.chroma_other:10.2f}  {one.lag:12.1f}")
    return "\n".join(lines)


def _check_file(root: Path, record: dict[str, Any]) -> _FileCheck:
    wav, rate = soundfile.read(root / record["file"], dtype="float32")
    tenths = wav[: len(wav) // (rate // 10) * (rate // 10)].reshape(-1, rate // 10)
    quiet = np.sqrt(np.mean(tenths**2, axis=1)) < _QUIET
    flux = _spectral_flux(wav)
    return _FileCheck(
        genre=record["genre"],
        song=record["song"],
        samples=len(wav),
        peak=20.0 * np.log10(np.abs(wav).max()),
        rms=20.0 * np.log10(np.sqrt(np.mean(wav**2))),
        silence=max((len(list(run)) for is_quiet, run in groupby(quiet) if is_quiet), default=0) / 10.0,
        chroma=bar_chroma(wav, rate, BEATS_PER_BAR * 60.0 / record["tempo"]),
        flux=flux - flux.mean(),
        sample_rate=rate,
    )


def bar_chroma(wav: np.ndarray, sample_rate: int, seconds_per_bar: float) -> np.ndarray:
    """Magnitude of each pitch class between 100 Hz and 1 kHz in every whole bar, (bars, 12).

    Each bar has mean 0 and norm 1, so that the product of two is their correlation.
    """
    length = round(seconds_per_bar * sample_rate)
    starts = np.arange(0.0, len(wav) - length + 1, seconds_per_bar * sample_rate).astype(int)
    bars = np.stack([wav[start : start + length] for start in starts]) * np.hanning(length)
    frequencies = np.fft.rfftfreq(length, 1.0 / sample_rate)
    inside = (frequencies > 100.0) & (frequencies < 1000.0)
    pitch_classes = np.round(12.0 * np.log2(frequencies[inside] / 440.0) + 9.0).astype(int) % 12
    spectrum = np.abs(np.fft.rfft(bars, axis=1))[:, inside]
    chroma = np.stack([spectrum[:, pitch_classes == number].sum(axis=1) for number in range(12)], axis=1)
    chroma -= chroma.mean(axis=1, keepdims=True)
    return np.asarray(chroma / np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-9))


def onset_lag(first: np.ndarray, second: np.ndarray, sample_rate: int) -> float:
    """Seconds by which the second spectral flux has to come earlier to fit the first best, within 0.1 s."""
    reach = int(_LARGEST_LAG_SECONDS * sample_rate / _FLUX_HOP)
    lags = range(-reach, reach + 1)
    inner = first[reach:-reach]
    scores = [float(inner @ second[reach + lag : len(second) - reach + lag]) for lag in lags]
    return lags[int(np.argmax(scores))] * _FLUX_HOP / sample_rate


def _spectral_flux(wav: np.ndarray) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(wav, 4 * _FLUX_HOP)[::_FLUX_HOP]
    magnitude = np.log1p(100.0 * np.abs(np.fft.rfft(frames * np.hanning(4 * _FLUX_HOP), axis=1)))
    return np.asarray(np.maximum(np.diff(magnitude, axis=0), 0.0).mean(axis=1))


def _by_genre(checks: Sequence[_FileCheck], songs: Sequence[str]) -> dict[str, GenreCheck]:
    found = {(check.genre, check.song): check for check in checks}
    compared: dict[str, list[tuple[float, float, float]]] = {genre: [] for genre in sorted({c.genre for c in checks})}
    for (one, two), (index, song) in product(combinations(compared, 2), enumerate(songs)):
        first, second = found.get((one, song)), found.get((two, song))
        strange = found.get((two, songs[(index + 1) % len(songs)]))
        if first is None or second is None or strange is None:
            continue  # a corpus still being rendered
        lag = 1000.0 * abs(onset_lag(first.flux, second.flux, first.sample_rate))
        agreements = _agreement(first.chroma, second.chroma), _agreement(first.chroma, strange.chroma)
        for genre in (one, two):
            compared[genre].append((*agreements, lag))
    result = {}
    for genre, rows in compared.items():
        files = [check for check in checks if check.genre == genre]
        same, other, lags = np.array(rows or [(np.nan,) * 3]).T
        result[genre] = GenreCheck(
            files=len(files),
            rms=float(np.mean([check.rms for check in files])),
            silence=max(check.silence for check in files),
            chroma_same=float(same.mean()),
            chroma_other=float(other.mean()),
            lag=float(np.median(lags)),
        )
    return result


def _agreement(first: np.ndarray, second: np.ndarray) -> float:
    bars = min(len(first), len(second))
    return float(np.mean(np.sum(first[:bars] * second[:bars], axis=1)))
