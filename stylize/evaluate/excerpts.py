"""Excerpts of recordings, and the loop over files that skips unreadable ones."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from stylize.evaluate.metrics.multipitch import RATE
from stylize_core.audio.reader import AudioReader, resampled_length
from stylize_core.errors import UserError

logger = logging.getLogger(__name__)

MIN_SECONDS = 2.0
"""Shorter recordings are skipped."""
MIN_PEAK = 0.01
"""Excerpts that stay below this (-40 dB) are skipped."""


@dataclass(frozen=True)
class Excerpt:
    """Part of a recording, (samples,)."""

    path: Path
    wav: np.ndarray


def read_excerpt(
    path: Path, seconds: float, sample_rate: int = RATE, start: float | None = None, mono: bool = True
) -> np.ndarray:
    """Read part of a recording, (channels, samples); shorter at its end.

    Args:
        path: the recording.
        seconds: length.
        sample_rate: of the result, Hz.
        start: seconds; None for the middle of the recording.
        mono: downmix the channels.
    """
    wanted = round(seconds * sample_rate)
    with AudioReader(path, sample_rate, mono=mono) as reader:
        length = resampled_length(reader.info.frames, reader.info.sample_rate, sample_rate)
        skipped = (length - wanted) // 2 if start is None else round(start * sample_rate)
        while skipped > 0 and (block := reader.read(min(skipped, 65536))).size:
            skipped -= block.shape[1]
        return reader.read(wanted)


def is_audible(wav: np.ndarray, samples: int) -> bool:
    """Whether an excerpt is as long as that and above `MIN_PEAK`."""
    return len(wav) >= samples and float(np.abs(wav).max()) >= MIN_PEAK


def each_readable(paths: Iterable[Path], load: Callable[[Path], np.ndarray]) -> Iterator[Excerpt]:
    """Excerpts of readable files; the others are logged as warnings."""
    for path in paths:
        try:
            wav = load(path)
        except UserError as error:
            logger.warning("skipped: %s", error)
        else:
            yield Excerpt(path, wav)


def pick_excerpts(files: Sequence[Path], count: int, seconds: float, sample_rate: int) -> list[Excerpt]:
    """The middles of files spread evenly over a list; unusable files are replaced by the next one."""
    samples = round(seconds * sample_rate)
    places = {path: place for place, path in enumerate(files)}
    excerpts: list[Excerpt] = []
    count, following = min(count, len(files)), 0
    for index in range(count):
        following = max(following, index * len(files) // count)
        readable = each_readable(files[following:], lambda path: read_excerpt(path, seconds, sample_rate)[0].copy())
        found = next((excerpt for excerpt in readable if is_audible(excerpt.wav, samples)), None)
        if found is None:
            break
        excerpts.append(found)
        following = places[found.path] + 1
    return excerpts


class Excerpts:
    """A cache of the middles of recordings, (samples,) mono at `RATE`, of some seconds at most."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.load = lru_cache(maxsize=256)(lambda path: read_excerpt(path, seconds)[0].copy())

    def audible(self, paths: Iterable[Path]) -> list[Path]:
        """The readable recordings whose excerpts are long and loud enough."""
        least = round(MIN_SECONDS * RATE)
        return [excerpt.path for excerpt in each_readable(paths, self.load) if is_audible(excerpt.wav, least)]


def fit_length(wav: np.ndarray, samples: int, slack: int, name: object) -> np.ndarray:
    """Cut a sound, (..., samples), to a length, or pad it with silence.

    Args:
        wav: the sound.
        samples: required length.
        slack: most samples to pad; raises UserError beyond.
        name: of the sound, for the message.
    """
    missing = samples - wav.shape[-1]
    if missing > slack:
        raise UserError(f"{name} has {wav.shape[-1]} samples, expected {samples}; results are as long as their inputs")
    return np.pad(wav[..., :samples], [(0, 0)] * (wav.ndim - 1) + [(0, max(0, missing))])
