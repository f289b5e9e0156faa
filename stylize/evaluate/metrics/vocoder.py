"""Methods from mel to waveform: metrics against Griffin-Lim on the same mels, and probes with known answers."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from melgan import Vocoder
from melgan.config import InverseSTFTHeadConfig, SubbandHeadConfig
from stylize.evaluate.excerpts import Excerpt
from stylize.evaluate.metrics.artifacts import (
    click_height,
    clipping,
    end_click,
    offset,
    peak_level,
    pre_echo,
    worst_line_over_original,
)
from stylize.evaluate.metrics.similarity import Sound, StyleClassifier
from stylize.evaluate.metrics.statistics import bootstrap_interval, summarize
from stylize.evaluate.systems import GRIFFIN_LIM, GRIFFIN_LIM_ITERATIONS, ORIGINAL
from stylize_core.errors import UserError
from stylize_core.mel import GriffinLim, LogMel, MelConfig
from stylize_core.metrics.distribution import (
    frechet_audio_distance,
    kernel_audio_distance,
    median_distance,
    paired_kernel_terms,
    real_against_real,
)
from stylize_core.metrics.waveform import chroma_cosine, mel_l1, multi_resolution_stft_distance

logger = logging.getLogger(__name__)

WITHOUT_ITERATIONS = " without Griffin-Lim iterations"
BATCH = 8
"""Excerpts synthesized at once."""
MIN_CLIPS = 3
"""Distances of distributions need so many, and one more where a set is halved."""
DISTANCES = ("mr_stft", "mel_l1", "chroma")


@dataclass(frozen=True)
class Method:
    """A way from mel to waveform.

    Args:
        name: of its row.
        mel_config: its front-end.
        synthesize: mel (B, n_mels, T) to wav (B, ..., T * hop_length).
        griffin_lim: the row of Griffin-Lim on the same mels.
        line_rate: of repetitions inside a frame, Hz: frames of a short inverse STFT, edges of sub-bands.
    """

    name: str
    mel_config: MelConfig
    synthesize: Callable[[Tensor], Tensor]
    griffin_lim: str
    line_rate: float | None = None


def find_methods(vocoders: Mapping[str, Vocoder]) -> list[Method]:
    """Each vocoder, with and without its Griffin-Lim iterations, and Griffin-Lim for each front-end."""
    rates = {name: vocoder.mel_config.sample_rate for name, vocoder in vocoders.items()}
    if len(set(rates.values())) > 1:
        listed = ", ".join(f"{name}: {rate} Hz" for name, rate in rates.items())
        raise UserError(f"the vocoders have different sample rates ({listed}); compare like with like")
    configs = list(dict.fromkeys(vocoder.mel_config for vocoder in vocoders.values()))
    names = {config: GRIFFIN_LIM for config in configs}
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
            methods.append(Method(f"{name}{WITHOUT_ITERATIONS}", config, vocoder.generator, names[config], rate))
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
    """Excerpts as a batch, (n, samples), cut to complete frames of every method."""
    frame = math.lcm(*(method.mel_config.hop_length for method in methods))
    samples = min(len(excerpt.wav) for excerpt in excerpts) // frame * frame
    return torch.from_numpy(np.stack([excerpt.wav[:samples] for excerpt in excerpts]))


@torch.inference_mode()
def mels_of(wavs: Tensor, mel_config: MelConfig) -> Tensor:
    """Mels of waveforms, a few at a time: (n, samples) -> (n, n_mels, T)."""
    log_mel = LogMel(mel_config)
    return torch.cat([log_mel(batch) for batch in torch.split(wavs, BATCH)])


@torch.inference_mode()
def synthesize(method: Method, mels: Tensor) -> np.ndarray:
    """Waveforms from mels, a few at a time: (n, n_mels, T) -> (n, T * hop_length)."""
    wavs = [method.synthesize(batch).reshape(len(batch), -1) for batch in torch.split(mels, BATCH)]
    return torch.cat(wavs).float().numpy()


def copy_synthesis(methods: Sequence[Method], originals: Tensor) -> dict[str, np.ndarray]:
    """The waveforms, (n, samples), of each method from the originals' mels; the originals are last."""
    made = {}
    for method in methods:
        made[method.name] = synthesize(method, mels_of(originals, method.mel_config))
        logger.info("synthesized: %s", method.name)
    return {**made, ORIGINAL: originals.numpy()}


def measure_methods(
    made: Mapping[str, np.ndarray], methods: Sequence[Method], classifier: StyleClassifier
) -> dict[str, Any]:
    """Measure the waveforms of each method against the originals.

    Returns:
        `floor`: distribution distances between halves of the originals; `rows`: the metrics of each method.
    """
    originals = made[ORIGINAL]
    sample_rate = methods[0].mel_config.sample_rate
    embeddings = {name: embed_all(classifier, wavs, sample_rate) for name, wavs in made.items()}
    enough = len(originals) >= MIN_CLIPS
    values = {
        name: [distances(wav, original, sample_rate) for wav, original in zip(wavs, originals, strict=True)]
        for name, wavs in made.items()
    }
    logger.info("measured: %d excerpts by %d methods", len(originals), len(made))
    reference = embeddings[ORIGINAL]
    terms = {name: paired_kernel_terms(vectors, reference) for name, vectors in embeddings.items()} if enough else {}
    by_name = {method.name: method for method in methods}
    rows: dict[str, Any] = {}
    for name, wavs in made.items():
        rival = by_name[name].griffin_lim if name in by_name else None
        row: dict[str, Any] = {"griffin_lim": rival, "bins": by_name[name].mel_config.n_mels if rival else None}
        for metric in DISTANCES:
            own = [entry[metric] for entry in values[name]]
            row[metric] = summarize(own)
            if rival and rival != name:
                differences = [mine - other[metric] for mine, other in zip(own, values[rival], strict=True)]
                row[metric]["minus_griffin_lim"] = summarize(differences)
        if enough:
            row["kad"] = summarize_kernel_distance(terms[name], terms.get(rival or ""))
            row["fad"] = frechet_audio_distance(embeddings[name], reference)
        rows[name] = row | measure_artifacts(wavs, originals, by_name.get(name, methods[0]))
    return {"floor": _floor(reference) if len(originals) > MIN_CLIPS else None, "rows": rows}


def distances(wav: np.ndarray, original: np.ndarray, sample_rate: int) -> dict[str, float]:
    """The distances of a pair; `mel_l1` is on the 80 bins of the MelGAN paper for all methods."""
    return {
        "mr_stft": multi_resolution_stft_distance(wav, original),
        "mel_l1": mel_l1(wav, original),
        "chroma": chroma_cosine(wav, original, sample_rate),
    }


def measure_artifacts(wavs: np.ndarray, originals: np.ndarray | None, method: Method) -> dict[str, Any]:
    """Artifacts of waveforms, (n, samples), relative to those of the originals if given."""
    config = method.mel_config
    clips, own = list(wavs), None if originals is None else list(originals)
    rates = (config.frames_per_second, config.sample_rate)
    line = worst_line_over_original(clips, own, *rates)
    single = [worst_line_over_original([clip], own and [own[i]], *rates).decibels for i, clip in enumerate(clips)]
    found: dict[str, Any] = {"line": {"decibels": line.decibels, "hertz": line.hertz, "worst_excerpt": max(single)}}
    if method.line_rate is not None:
        line = worst_line_over_original(clips, own, method.line_rate, config.sample_rate)
        found["inner_line"] = {"decibels": line.decibels, "hertz": line.hertz}
    clicks = [end_click(wav, config.hop_length) for wav in wavs]
    if originals is not None:
        before = (end_click(original, config.hop_length) for original in originals)
        clicks = [after - own_click for after, own_click in zip(clicks, before, strict=True)]
    clipped = [clipping(wav) for wav in wavs]
    return found | {
        "end_click": summarize(clicks),
        "clipped_samples": sum(each.samples for each in clipped),
        "flat_runs": sum(each.flat_runs for each in clipped),
        "offset": max(offset(wav) for wav in wavs),
    }


def embed_all(classifier: StyleClassifier, wavs: np.ndarray, sample_rate: int) -> np.ndarray:
    """Embeddings of waveforms: (n, samples) -> (n, embedding_size)."""
    return np.stack([classifier.embedding(Sound(wav, sample_rate)).numpy() for wav in wavs])


def summarize_kernel_distance(terms: np.ndarray, rival: np.ndarray | None) -> dict[str, Any]:
    """Kernel audio distance with its interval, and as a share of Griffin-Lim's."""
    count = len(terms)

    def distance(matrix: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        weights = np.stack([np.bincount(draw, minlength=count) for draw in drawn]) / count
        return np.asarray(((weights @ matrix) * weights).sum(axis=1).clip(min=0.0))

    def part(drawn: np.ndarray) -> np.ndarray:
        return distance(terms, drawn) / np.maximum(distance(rival, drawn), 1e-12)  # type: ignore[arg-type]

    everything = np.arange(count)[None]
    low, high = bootstrap_interval(count, lambda drawn: distance(terms, drawn))
    summary: dict[str, Any] = {"mean": float(distance(terms, everything)[0]), "low": low, "high": high}
    if rival is not None and distance(rival, everything)[0] > 0:
        low, high = bootstrap_interval(count, part)
        summary["part_of_griffin_lim"] = {"mean": float(part(everything)[0]), "low": low, "high": high}
    return summary


def _floor(originals: np.ndarray) -> dict[str, float]:
    bandwidth = median_distance(originals)
    kernel = real_against_real(originals, lambda one, two: kernel_audio_distance(one, two, bandwidth, True))
    return {"kad": float(kernel.mean()), "fad": float(real_against_real(originals, frechet_audio_distance).mean())}


PROBE_SECONDS = 2.0
CLICK_SECONDS = 0.02
"""Time constant of the decaying noise of a click."""
CLICK_LEVEL = 0.5
FADE_SECONDS = 0.3
"""A vocoder may fade out for this long after a sound."""
BLOCK_FRAMES = 150
"""Chosen so that block boundaries are far from those of 4 s excerpts."""


def probe(method: Method, music: np.ndarray) -> dict[str, float]:
    """Peak level of digital silence, and from 0.3 s after the end of music (dBFS); :func:`pre_echo` of a click (dB)."""
    sample_rate = method.mel_config.sample_rate
    fade = round(FADE_SECONDS * sample_rate)
    silence = np.zeros(round(PROBE_SECONDS * sample_rate), dtype=np.float32)
    half = music[: len(silence) // 2].astype(np.float32)
    ending = np.concatenate([half, silence])
    click = make_click(sample_rate)
    made = [resynthesize(method, signal) for signal in (silence, ending, click)]
    return {
        "silence": peak_level(made[0]),
        "silence_after_sound": peak_level(made[1][len(half) + fade :]),
        "pre_echo": pre_echo(made[2], click[: len(made[2])], len(click) // 2, sample_rate),
    }


def make_click(sample_rate: int) -> np.ndarray:
    """Silence with decaying noise from its middle on, (samples,)."""
    samples = round(PROBE_SECONDS * sample_rate)
    time = np.arange(samples - samples // 2) / sample_rate
    noise = np.random.default_rng(0).uniform(-1, 1, len(time))
    wav = np.zeros(samples, dtype=np.float32)
    wav[samples // 2 :] = CLICK_LEVEL * noise * np.exp(-time / CLICK_SECONDS)
    return wav


def resynthesize(method: Method, wav: np.ndarray) -> np.ndarray:
    """Synthesize the mel of a signal, (samples,), cut to complete frames."""
    with torch.inference_mode():
        mel = LogMel(method.mel_config)(torch.from_numpy(wav)[None])
    return np.asarray(synthesize(method, mel)[0])


@torch.inference_mode()
def synthesize_in_blocks(vocoder: Vocoder, mel: Tensor, block_frames: int = BLOCK_FRAMES) -> Tensor:
    """Synthesize a mel, (1, n_mels, T), in blocks with the vocoder's context, (T * hop_length,)."""
    hop_length, frames = vocoder.mel_config.hop_length, mel.shape[-1]
    pieces = []
    for start in range(0, frames, block_frames):
        stop = min(start + block_frames, frames)
        first, last = max(0, start - vocoder.context_frames), min(frames, stop + vocoder.context_frames)
        wav = vocoder(mel[..., first:last], first)[0, 0]
        pieces.append(wav[(start - first) * hop_length : (stop - first) * hop_length])
    return torch.cat(pieces)


def compare_blocks(vocoder: Vocoder, music: np.ndarray) -> dict[str, Any]:
    """Compare synthesis in blocks with that of the whole song.

    Returns:
        `worst`: highest click at a block boundary over the original's, dB; `difference`: largest difference from the
        whole song, dBFS; `joins`: their number.
    """
    hop_length = vocoder.mel_config.hop_length
    with torch.inference_mode():
        mel = LogMel(vocoder.mel_config)(torch.from_numpy(music)[None])
        whole = vocoder(mel)[0, 0].numpy()
    joined = synthesize_in_blocks(vocoder, mel).numpy()
    places = range(BLOCK_FRAMES * hop_length, len(joined) - 2 * hop_length + 1, BLOCK_FRAMES * hop_length)
    heights = [click_height(joined, at, hop_length) - click_height(music, at, hop_length) for at in places]
    return {"worst": max(heights), "difference": peak_level(joined - whole), "joins": len(heights)}
