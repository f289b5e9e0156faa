"""How well vocoders give back recordings they never saw, beside Griffin-Lim on the same mels."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.audio import read_audio
from data.errors import UserError
from data.mel import GriffinLim, LogMel, MelConfig
from data.sources import list_split
from melgan import Vocoder
from melgan.config import InverseSTFTHeadConfig, SubbandHeadConfig
from stylize.artefacts import clipping, end_click, frame_rate_lines, offset, worst_line_over_original
from stylize.likeness import Likeness, Sound
from training.distribution import (
    bootstrap_interval,
    frechet_audio_distance,
    kernel_audio_distance,
    median_distance,
    paired_kernel_terms,
    real_against_real,
)
from training.measures import chroma_cosine, mel_l1, multi_resolution_stft_distance

logger = logging.getLogger(__name__)

GRIFFIN_LIM_ITERATIONS = 60
LEAST_PEAK = 0.01
"""Excerpts that stay below this (-40 dB) are passed over: what can be heard is to be compared."""
TOP_ROW = "original"
UNSEEN_SPLITS = ("test", "test_groove", "test_soundfont")
BATCH = 8
"""Excerpts synthesised at once."""
LEAST_CLIPS = 3
"""Distances of distributions need so many, and one more where a set is halved."""
QUICK_MEASURES = ("mr_stft", "mel_l1", "chroma", "frame_lines")

Synthesise = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a recording.

    Args:
        path: of the recording.
        wav: (samples,), in [-1, 1].
    """

    path: Path
    wav: np.ndarray


@dataclass(frozen=True)
class Method:
    """A way from a mel to a waveform.

    Args:
        name: of its row.
        mel_config: the front-end it hears.
        synthesise: mel (B, n_mels, T) to wav (B, ..., T * hop_length).
        griffin_lim: name of the row of Griffin-Lim on the same mels.
        line_rate: the rate of what the network repeats inside a frame, Hz: the frames of a short inverse STFT, the
            edges of sub-bands; None where there is nothing.
    """

    name: str
    mel_config: MelConfig
    synthesise: Synthesise
    griffin_lim: str
    line_rate: float | None = None


def pick_excerpts(files: Sequence[Path], count: int, seconds: float, sample_rate: int) -> list[Excerpt]:
    """The middles of files spread evenly over a list; the same list gives the same excerpts.

    Files that are too short or too quiet there give way to the next one in the list.

    Args:
        files: to choose from, in order.
        count: excerpts wanted, each from another file; fewer where there are fewer files.
        seconds: length of an excerpt.
        sample_rate: of the excerpts, Hz.
    """
    samples = round(seconds * sample_rate)
    excerpts: list[Excerpt] = []
    count = min(count, len(files))
    following = 0
    for index in range(count):
        following = max(following, index * len(files) // count)
        while following < len(files):
            path = files[following]
            wav = read_audio(path, sample_rate)[0][0]
            following += 1
            start = (len(wav) - samples) // 2
            excerpt = wav[max(start, 0) : max(start, 0) + samples]
            if start >= 0 and np.abs(excerpt).max() >= LEAST_PEAK:
                excerpts.append(Excerpt(path, excerpt))
                break
    return excerpts


def unseen_excerpts(folder: Path, count: int | None, seconds: float, sample_rate: int) -> list[Excerpt]:
    """Excerpts of everything that a folder keeps out of training.

    Args:
        folder: a corpus (unseen songs, grooves and soundfont), prepared recordings (unseen sources) or any folder with
            audio, see :func:`data.sources.list_split`.
        count: excerpts, each from another file; None for all files.
        seconds: length of an excerpt.
        sample_rate: of the excerpts, Hz.

    Raises:
        UserError: no folder, or no usable recording among them.
    """
    files = [path for split in UNSEEN_SPLITS for path in list_split(folder, split)]
    excerpts = pick_excerpts(files, len(files) if count is None else count, seconds, sample_rate)
    if not excerpts:
        raise UserError(f"the test split of {folder} has no recording of {seconds:g} s that can be heard")
    return excerpts


def find_methods(vocoders: Mapping[str, Vocoder]) -> list[Method]:
    """Each vocoder, with and without its refinement, and Griffin-Lim for each of their front-ends.

    Args:
        vocoders: by name, in evaluation mode.

    Raises:
        UserError: different sample rates.
    """
    rates = {name: vocoder.mel_config.sample_rate for name, vocoder in vocoders.items()}
    if len(set(rates.values())) > 1:
        listed = ", ".join(f"{name}: {rate} Hz" for name, rate in rates.items())
        raise UserError(f"the vocoders have different sample rates ({listed}); compare like with like")
    configs = list(dict.fromkeys(vocoder.mel_config for vocoder in vocoders.values()))
    names = {config: f"Griffin-Lim, {GRIFFIN_LIM_ITERATIONS} iterations" for config in configs}
    if len(configs) > 1:
        names = {config: f"{name}, {config.n_mels} bins" for config, name in names.items()}
    if len(set(names.values())) < len(configs):
        names = {config: f"{name}, n_fft {config.n_fft}" for config, name in names.items()}
    methods = []
    for name, vocoder in vocoders.items():
        config = vocoder.mel_config
        rate = repetition_rate(vocoder)
        methods.append(Method(name, config, vocoder, names[config], rate))
        if vocoder.refine_iterations:
            methods.append(Method(f"{name} without refinement", config, vocoder.generator, names[config], rate))
    for config, name in names.items():
        methods.append(Method(name, config, GriffinLim(config, GRIFFIN_LIM_ITERATIONS), name))
    return methods


def repetition_rate(vocoder: Vocoder) -> float | None:
    """The rate of what a generator repeats inside a mel frame, Hz; see :class:`Method`."""
    head, mel_config = vocoder.generator.config.head, vocoder.mel_config
    if isinstance(head, InverseSTFTHeadConfig) and head.hop_length < mel_config.hop_length:
        return mel_config.sample_rate / head.hop_length
    return mel_config.sample_rate / (2 * head.subbands) if isinstance(head, SubbandHeadConfig) else None


def stack_excerpts(excerpts: Sequence[Excerpt], methods: Sequence[Method]) -> Tensor:
    """Excerpts as one batch, cut to whole frames of every method, (n, samples)."""
    frame = math.lcm(*(method.mel_config.hop_length for method in methods))
    samples = min(len(excerpt.wav) for excerpt in excerpts) // frame * frame
    return torch.from_numpy(np.stack([excerpt.wav[:samples] for excerpt in excerpts]))


@torch.inference_mode()
def synthesise(method: Method, mels: Tensor) -> np.ndarray:
    """Waveforms from mels, a few at a time.

    Shape: (n, n_mels, T) -> (n, T * hop_length).
    """
    wavs = [method.synthesise(batch).reshape(len(batch), -1) for batch in mels.split(BATCH)]
    return torch.cat(wavs).float().numpy()


@torch.inference_mode()
def copy_synthesis(methods: Sequence[Method], originals: Tensor) -> dict[str, np.ndarray]:
    """What each method makes of the originals' mels, by name; the originals are the last.

    Shape: (n, samples) -> (n, samples) each.
    """
    made = {}
    for method in methods:
        log_mel = LogMel(method.mel_config)
        made[method.name] = synthesise(method, torch.cat([log_mel(batch) for batch in originals.split(BATCH)]))
        logger.info("synthesised: %s", method.name)
    return {**made, TOP_ROW: originals.numpy()}


def judge(made: Mapping[str, np.ndarray], methods: Sequence[Method], likeness: Likeness) -> dict[str, Any]:
    """Measure how near the waveforms of each method come to the originals, with intervals over excerpts.

    Args:
        made: waveforms by method and the originals, as :func:`copy_synthesis` gives them.
        methods: that made them.
        likeness: whose embeddings the distances of distributions use.

    Returns:
        `floor`: kernel and Fréchet distance of halves of the originals; `rows`: the measures of each method.
    """
    originals = made[TOP_ROW]
    sample_rate = methods[0].mel_config.sample_rate
    embeddings = {name: embed_all(likeness, wavs, sample_rate) for name, wavs in made.items()}
    enough = len(originals) >= LEAST_CLIPS
    values = {
        name: [nearness(wav, original, sample_rate) for wav, original in zip(wavs, originals, strict=True)]
        for name, wavs in made.items()
    }
    logger.info("measured: %d excerpts by %d methods", len(originals), len(made))
    terms = _kernel_terms(embeddings) if enough else {}
    by_name = {method.name: method for method in methods}
    rows: dict[str, Any] = {}
    for name, wavs in made.items():
        rival = by_name[name].griffin_lim if name in by_name else None
        row: dict[str, Any] = {"griffin_lim": rival, "bins": by_name[name].mel_config.n_mels if rival else None}
        for measure in ("mr_stft", "mel_l1", "chroma"):
            own = [entry[measure] for entry in values[name]]
            row[measure] = summarise(own)
            if rival and rival != name:
                differences = [mine - other[measure] for mine, other in zip(own, values[rival], strict=True)]
                row[measure]["minus_griffin_lim"] = summarise(differences)
        if enough:
            row["kad"] = summarise_kernel_distance(terms[name], terms.get(rival or ""))
            row["fad"] = frechet_audio_distance(embeddings[name], embeddings[TOP_ROW])
        reference = by_name.get(name, methods[0])
        row |= measure_faults(wavs, originals, reference)
        rows[name] = row
    return {"floor": _floor(embeddings[TOP_ROW]) if len(originals) > LEAST_CLIPS else None, "rows": rows}


def nearness(wav: np.ndarray, original: np.ndarray, sample_rate: int) -> dict[str, float]:
    """The three measures of a pair; `mel_l1` is on the 80 bins of the MelGAN paper, whatever the methods hear."""
    return {
        "mr_stft": multi_resolution_stft_distance(wav, original),
        "mel_l1": mel_l1(wav, original),
        "chroma": chroma_cosine(wav, original, sample_rate),
    }


def measure_faults(wavs: np.ndarray, originals: np.ndarray | None, method: Method) -> dict[str, Any]:
    """Artefacts of waveforms, over those of their originals where these are given; see :mod:`stylize.artefacts`.

    Shape: (n, samples) each.
    """
    config = method.mel_config
    clips, own = list(wavs), None if originals is None else list(originals)
    rate = config.frames_per_second
    line = worst_line_over_original(clips, own, rate, config.sample_rate)
    single = [
        worst_line_over_original([clip], own and [own[index]], rate, config.sample_rate).decibels
        for index, clip in enumerate(clips)
    ]
    faults: dict[str, Any] = {"line": {"decibels": line.decibels, "hertz": line.hertz, "worst_excerpt": max(single)}}
    if method.line_rate is not None:
        line = worst_line_over_original(clips, own, method.line_rate, config.sample_rate)
        faults["inner_line"] = {"decibels": line.decibels, "hertz": line.hertz}
    clicks = [end_click(wav, config.hop_length) for wav in wavs]
    if originals is not None:
        clicks = [
            click - end_click(original, config.hop_length) for click, original in zip(clicks, originals, strict=True)
        ]
    clipped = [clipping(wav) for wav in wavs]
    faults["end_click"] = summarise(clicks)
    faults["clipped_samples"] = sum(found.samples for found in clipped)
    faults["flat_runs"] = sum(found.flat_runs for found in clipped)
    faults["offset"] = max(offset(wav) for wav in wavs)
    return faults


def embed_all(likeness: Likeness, wavs: np.ndarray, sample_rate: int) -> np.ndarray:
    """What the classifier makes of each waveform: (n, samples) -> (n, embedding_size)."""
    return np.stack([likeness.embedding(Sound(wav, sample_rate)).numpy() for wav in wavs])


def summarise(values: Sequence[float]) -> dict[str, Any]:
    """Mean over excerpts and its bootstrap interval of 95 %."""
    low, high = bootstrap_interval(values)
    return {"mean": statistics.fmean(values), "low": low, "high": high}


def summarise_kernel_distance(terms: np.ndarray, rival: np.ndarray | None) -> dict[str, Any]:
    """Kernel audio distance of pairs with its interval, and how much of that of Griffin-Lim it is.

    Args:
        terms: see :func:`training.distribution.paired_kernel_terms`.
        rival: the same for Griffin-Lim.
    """

    def distance(matrix: np.ndarray, drawn: np.ndarray) -> float:
        return max(0.0, float(matrix[np.ix_(drawn, drawn)].mean()))

    everything = np.arange(len(terms))
    low, high = bootstrap_interval(everything, lambda drawn: distance(terms, drawn))
    summary: dict[str, Any] = {"mean": distance(terms, everything), "low": low, "high": high}
    if rival is not None and distance(rival, everything) > 0:

        def ratio(drawn: np.ndarray) -> float:
            return distance(terms, drawn) / max(distance(rival, drawn), 1e-12)

        low, high = bootstrap_interval(everything, ratio)
        summary["part_of_griffin_lim"] = {"mean": ratio(everything), "low": low, "high": high}
    return summary


def _kernel_terms(embeddings: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    reference = embeddings[TOP_ROW]
    bandwidth = median_distance(reference)
    return {name: paired_kernel_terms(vectors, reference, bandwidth) for name, vectors in embeddings.items()}


def _floor(originals: np.ndarray) -> dict[str, float]:
    """Distances of halves of the originals, which no copy need be below: the yardstick for those of the methods."""
    bandwidth = median_distance(originals)
    return {
        "kad": float(
            real_against_real(originals, lambda one, two: kernel_audio_distance(one, two, bandwidth, True)).mean()
        ),
        "fad": float(real_against_real(originals, frechet_audio_distance).mean()),
    }


def measure_vocoder(vocoder: Vocoder, folder: Path, count: int, seconds: float = 5.0) -> dict[str, Any]:
    """The main measures only, of a vocoder and of Griffin-Lim on the test split of a folder of recordings.

    Args:
        vocoder: in evaluation mode.
        folder: a corpus, prepared recordings or any folder with audio, see :func:`data.sources.list_split`.
        count: excerpts, each from another file.
        seconds: length of an excerpt.

    Raises:
        UserError: no folder, or no usable recording in its test split.
    """
    methods = find_methods({"vocoder": vocoder})
    config = vocoder.mel_config
    excerpts = pick_excerpts(list_split(folder, "test"), count, seconds, config.sample_rate)
    if not excerpts:
        raise UserError(f"the test split of {folder} has no recording of {seconds:g} s that can be heard")
    made = copy_synthesis(methods, stack_excerpts(excerpts, methods))
    measured = {}
    for name, wavs in made.items():
        rows = [
            nearness(wav, original, config.sample_rate)
            | {"frame_lines": frame_rate_lines(wav, config.frames_per_second, config.sample_rate)}
            for wav, original in zip(wavs, made[TOP_ROW], strict=True)
        ]
        measured[name] = {measure: statistics.fmean(row[measure] for row in rows) for measure in QUICK_MEASURES}
    return {"excerpts": len(excerpts), "seconds": seconds, "methods": measured}


def format_quality(sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A markdown table of :func:`measure_vocoder`: a row for each method on each source."""
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
