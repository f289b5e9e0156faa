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
MEASURES = ("mr_stft", "mel_l1", "chroma", "frame_lines")


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


def frame_rate_lines(wav: np.ndarray, frame_rate: float, sample_rate: int) -> float:
    """How far the spectrum stands out at multiples of the frame rate, mean over them, decibels.

    A vocoder that repeats itself with every frame has lines there, heard as a buzz. At each multiple, the largest power
    within 0.5 Hz is compared with the mean from 3 to 15 Hz away. Noise has about 3 dB, music what its notes make of
    it, so look at the difference from the original.

    Args:
        wav: (samples,), of half a second or more.
        frame_rate: Hz.
        sample_rate: Hz.

    Raises:
        ValueError: too short to tell such lines from their surroundings.
    """
    if len(wav) < sample_rate / 2:
        raise ValueError(f"got {len(wav) / sample_rate:.2f} s, expected at least 0.5 s")
    power = np.abs(np.fft.rfft(wav * np.hanning(len(wav)))) ** 2 + 1e-12
    hertz = len(wav) / sample_rate  # bins
    heights = []
    for line in np.arange(frame_rate, sample_rate / 2 - 20, frame_rate):
        at, near, begin, end = (round(distance * hertz) for distance in (line, 0.5, 3, 15))
        beside = np.concatenate([power[at - end : at - begin], power[at + begin : at + end]]).mean()
        heights.append(10 * np.log10(power[at - near : at + near + 1].max() / beside))
    return float(np.mean(heights))


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
    frame_rate = sample_rate / hop_length
    values: dict[str, list[tuple[float, ...]]] = {name: [] for name in (*methods, TOP_ROW)}
    for number, excerpt in enumerate(excerpts, start=1):
        original = torch.from_numpy(excerpt[: len(excerpt) // hop_length * hop_length])
        with torch.inference_mode():
            mel = log_mel(original[None])
            wavs = {name: method(mel).reshape(-1) for name, method in methods.items()}
        for name, wav in {**wavs, TOP_ROW: original}.items():
            distance = multi_resolution_stft_distance(wav, original)
            lines = frame_rate_lines(wav.numpy(), frame_rate, sample_rate)
            chroma = chroma_cosine(wav, original, sample_rate)
            values[name].append((distance, mel_l1(wav, original), chroma, lines))
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
    return measure_vocoders({"vocoder": vocoder}, folder, count, seconds)


def measure_vocoders(vocoders: Mapping[str, Vocoder], folder: Path, count: int, seconds: float = 5.0) -> dict[str, Any]:
    """Compare vocoders of one front-end, each with and without its refinement, with Griffin-Lim.

    Args:
        vocoders: by name, in evaluation mode.
        folder: see :func:`measure_vocoder`; count and seconds too.

    Raises:
        UserError: as there, and vocoders of different front-ends.
    """
    config = next(iter(vocoders.values())).mel_config
    for name, vocoder in vocoders.items():
        if difference := config.describe_difference(vocoder.mel_config):
            raise UserError(
                f"{name} has another mel front-end than the first vocoder ({difference}); compare like with like"
            )
    excerpts = pick_excerpts(list_split(folder, "test"), count, seconds, config.sample_rate)
    if not excerpts:
        raise UserError(f"the test split of {folder} has no recording of {seconds:g} s that can be heard")
    methods: dict[str, Callable[[Tensor], Tensor]] = {}
    for name, vocoder in vocoders.items():
        methods[name] = vocoder
        if vocoder.refine_iterations:
            methods[f"{name} without refinement"] = vocoder.generator
    methods[f"Griffin-Lim, {GRIFFIN_LIM_ITERATIONS} iterations"] = GriffinLim(config, GRIFFIN_LIM_ITERATIONS)
    measured = compare_vocoders(methods, excerpts, LogMel(config))
    return {"excerpts": len(excerpts), "seconds": seconds, "methods": measured}


def format_quality(sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A markdown table: a row for each method on each source."""
    lines = [
        "| recordings never seen | excerpts | method | MR-STFT distance | mel L1 (decades) | chroma cosine "
        "| lines at the frame rate (dB) |",
        "|---|---|---|---|---|---|---|",
    ]
    for source, quality in sources.items():
        for method, row in quality["methods"].items():
            lines.append(
                f"| {source} | {quality['excerpts']} × {quality['seconds']:g} s | {method} "
                f"| {row['mr_stft']:.3f} | {row['mel_l1']:.3f} | {row['chroma']:.3f} | {row['frame_lines']:.1f} |"
            )
    return lines
