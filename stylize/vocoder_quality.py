"""How well a vocoder gives back recordings it never saw, beside Griffin-Lim on the same mels."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.audio import read_audio
from data.errors import UserError
from data.mel import GriffinLim, LogMel
from data.sources import list_split
from melgan import Vocoder
from training.measures import chroma_cosine, mel_l1, multi_resolution_stft_distance

logger = logging.getLogger(__name__)

GRIFFIN_LIM_ITERATIONS = 60
LEAST_PEAK = 0.01
"""Excerpts that stay below this (-40 dB) are passed over: what can be heard is to be compared."""
TOP_ROW = "original"
MEASURES = ("mr_stft", "mel_l1", "chroma")


def pick_excerpts(files: Sequence[Path], count: int, seconds: float, sample_rate: int) -> list[np.ndarray]:
    """The middles of files spread evenly over a list; the same list gives the same excerpts.

    Files that are too short or too quiet there give way to the next one in the list.

    Args:
        files: to choose from, in order.
        count: excerpts wanted, each from another file; fewer where there are fewer files.
        seconds: length of an excerpt.
        sample_rate: of the excerpts, Hz.

    Shape:
        each (samples,), in [-1, 1].
    """
    samples = round(seconds * sample_rate)
    excerpts: list[np.ndarray] = []
    count = min(count, len(files))
    following = 0
    for index in range(count):
        following = max(following, index * len(files) // count)
        while following < len(files):
            wav = read_audio(files[following], sample_rate)[0][0]
            following += 1
            start = (len(wav) - samples) // 2
            excerpt = wav[max(start, 0) : max(start, 0) + samples]
            if start >= 0 and np.abs(excerpt).max() >= LEAST_PEAK:
                excerpts.append(excerpt)
                break
    return excerpts


def compare_vocoders(
    methods: Mapping[str, Callable[[Tensor], Tensor]], excerpts: Sequence[np.ndarray], log_mel: LogMel
) -> dict[str, Any]:
    """Measure how near each method comes to the excerpts from their mels alone.

    Args:
        methods: mel (1, n_mels, T) to wav (..., T * hop_length), by name.
        excerpts: (samples,) each; cut to whole frames.
        log_mel: the front-end of the mels.

    Returns:
        means of each measure for each method and for the originals themselves, the best that can be had.
    """
    hop_length, sample_rate = log_mel.config.hop_length, log_mel.config.sample_rate
    values: dict[str, list[tuple[float, float, float]]] = {name: [] for name in (*methods, TOP_ROW)}
    for number, excerpt in enumerate(excerpts, start=1):
        original = torch.from_numpy(excerpt[: len(excerpt) // hop_length * hop_length])
        with torch.inference_mode():
            mel = log_mel(original[None])
            wavs = {name: method(mel).reshape(-1) for name, method in methods.items()}
        for name, wav in {**wavs, TOP_ROW: original}.items():
            distance = multi_resolution_stft_distance(wav, original)
            values[name].append((distance, mel_l1(wav, original), chroma_cosine(wav, original, sample_rate)))
        logger.info("vocoder: excerpt %d of %d", number, len(excerpts))
    return {
        name: dict(zip(MEASURES, map(statistics.fmean, zip(*rows, strict=True)), strict=True))
        for name, rows in values.items()
    }


def measure_vocoder(vocoder: Vocoder, folder: Path, count: int, seconds: float = 5.0) -> dict[str, Any]:
    """Compare a vocoder with Griffin-Lim on the test split of a folder of recordings.

    Args:
        vocoder: in evaluation mode.
        folder: a corpus, prepared recordings or any folder with audio, see :func:`data.sources.list_split`.
        count: excerpts, each from another file.
        seconds: length of an excerpt.

    Raises:
        UserError: no folder, or no usable recording in its test split.
    """
    config = vocoder.mel_config
    excerpts = pick_excerpts(list_split(folder, "test"), count, seconds, config.sample_rate)
    if not excerpts:
        raise UserError(f"the test split of {folder} has no recording of {seconds:g} s that can be heard")
    griffin_lim = f"Griffin-Lim, {GRIFFIN_LIM_ITERATIONS} iterations"
    methods: dict[str, Callable[[Tensor], Tensor]] = {"vocoder": vocoder}
    if vocoder.refine_iterations:
        methods["vocoder without refinement"] = vocoder.generator
    methods[griffin_lim] = GriffinLim(config, GRIFFIN_LIM_ITERATIONS)
    measured = compare_vocoders(methods, excerpts, LogMel(config))
    return {"excerpts": len(excerpts), "seconds": seconds, "methods": measured}


def format_quality(sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A markdown table: a row for each method on each source."""
    lines = [
        "| recordings never seen | excerpts | method | MR-STFT distance | mel L1 (decades) | chroma cosine |",
        "|---|---|---|---|---|---|",
    ]
    for source, quality in sources.items():
        for method, row in quality["methods"].items():
            lines.append(
                f"| {source} | {quality['excerpts']} × {quality['seconds']:g} s | {method} "
                f"| {row['mr_stft']:.3f} | {row['mel_l1']:.3f} | {row['chroma']:.3f} |"
            )
    return lines
