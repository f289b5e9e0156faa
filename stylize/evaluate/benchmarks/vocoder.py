"""The vocoder benchmark: metrics on unseen recordings, probes, costs, targets, pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from data.sources import list_split
from melgan import Vocoder
from melgan.layers import plain_state_dict
from stylize.evaluate.benchmarks.settings import VOCODER_SUFFIXES, VocoderSettings
from stylize.evaluate.benchmarks.verdict import check_targets, load_targets, plain
from stylize.evaluate.benchmarks.vocoder_report import format_report, save_pictures
from stylize.evaluate.excerpts import Excerpt, pick_excerpts
from stylize.evaluate.metrics.similarity import StyleClassifier
from stylize.evaluate.metrics.statistics import summarize
from stylize.evaluate.metrics.vocoder import (
    BATCH,
    WITHOUT_ITERATIONS,
    Method,
    compare_blocks,
    copy_synthesis,
    embed_all,
    find_methods,
    measure_artifacts,
    measure_methods,
    mels_of,
    probe,
    stack_excerpts,
    synthesize,
)
from stylize.evaluate.report import describe_machine, report_files, write_json, write_text
from stylize.evaluate.speed import PAPER, paper_generator, quiet_noise, summarize_speed, time_in_turns, torch_threads
from stylize.evaluate.systems import ORIGINAL
from stylize_core.errors import UserError
from stylize_core.mel import MelConfig
from stylize_core.metrics.distribution import kernel_audio_distance, median_distance
from stylize_core.model_folder import read_training_record
from travelgan import Translator

logger = logging.getLogger(__name__)

UNSEEN_SPLITS = ("test", "test_groove", "test_soundfont")


def run_evaluation(settings: VocoderSettings) -> str:
    """Measure vocoders and write the files of the settings; returns the page."""
    settings = settings.check()
    vocoders = {str(model): Vocoder.from_pretrained(model) for model in settings.models}
    methods = find_methods(vocoders)
    sample_rate = methods[0].mel_config.sample_rate
    translator = Translator.from_pretrained(settings.translated) if settings.translated else None
    fitting = same_front_end(translator, methods) if translator else []
    classifier = StyleClassifier.from_pretrained()
    sources = {
        name: unseen_excerpts(folder, settings.excerpts, settings.seconds, sample_rate)
        for name, folder in settings.folders.items()
    }
    plan = {name: getattr(settings, name) for name in ("excerpts", "seconds", "speed_seconds", "repeats", "threads")}
    with torch_threads(settings.threads):
        document: dict[str, Any] = {
            "machine": describe_machine(settings.threads),
            "plan": plan,
            "models": {name: read_training(Path(name)) for name in vocoders},
            "sources": {name: _measure_source(excerpts, methods, classifier) for name, excerpts in sources.items()},
            "probes": _probe_all(vocoders, methods, next(iter(sources.values()))),
            "costs": measure_costs(vocoders, methods, settings.speed_seconds, settings.repeats),
        }
        if translator:
            translated = measure_translated(translator, fitting, sources, classifier)
            document["translated"] = {"translator": str(settings.translated), **translated}
    document["verdict"] = decide(document)
    page = format_report(document)
    if settings.output is not None:
        files = report_files(settings.output, VOCODER_SUFFIXES)
        write_json(files[".json"], document)
        write_text(files[".md"], page)
    if settings.pictures is not None:
        settings.pictures.mkdir(exist_ok=True)
        save_pictures(settings.pictures, methods, vocoders, sources)
    return page


def unseen_excerpts(folder: Path, count: int | None, seconds: float, sample_rate: int) -> list[Excerpt]:
    """Excerpts of the held-out recordings of a folder."""
    files = [path for split in UNSEEN_SPLITS for path in list_split(folder, split)]
    excerpts = pick_excerpts(files, len(files) if count is None else count, seconds, sample_rate)
    if not excerpts:
        raise UserError(f"the test split of {folder} has no audible recording of {seconds:g} s")
    return excerpts


def _measure_source(
    excerpts: Sequence[Excerpt], methods: Sequence[Method], classifier: StyleClassifier
) -> dict[str, Any]:
    originals = stack_excerpts(excerpts, methods)
    seconds = originals.shape[1] / methods[0].mel_config.sample_rate
    measured = measure_methods(copy_synthesis(methods, originals), methods, classifier)
    return {"excerpts": len(excerpts), "seconds": round(seconds, 3), **measured}


def _probe_all(
    vocoders: Mapping[str, Vocoder], methods: Sequence[Method], excerpts: Sequence[Excerpt]
) -> dict[str, Any]:
    music = np.concatenate([excerpt.wav for excerpt in excerpts[:3]])
    probes: dict[str, Any] = {method.name: probe(method, music) for method in methods}
    for name, vocoder in vocoders.items():
        frame = vocoder.mel_config.hop_length
        probes[name]["blocks"] = compare_blocks(vocoder, music[: len(music) // frame * frame])
        logger.info("probed: %s", name)
    return probes


def decide(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Verdicts on every target for every model."""
    targets = load_targets("vocoder")
    verdicts: list[dict[str, Any]] = []
    for model in document["models"]:
        for source, quality in document["sources"].items():
            rival = quality["rows"][model]["griffin_lim"]
            found = check_targets(targets["source"], document, model=model, source=source, rival=rival)
            verdicts += plain(found, model=model, recordings=source)
        verdicts += plain(check_targets(targets["model"], document, model=model), model=model, recordings="")
    return verdicts


def count_parameters(network: nn.Module) -> int:
    """Number of parameters without weight norms."""
    return sum(value.numel() for value in plain_state_dict(network).values())


def count_multiply_adds(synthesize: Callable[[Tensor], Tensor], mel_config: MelConfig, seconds: float = 2.0) -> float:
    """Multiply-adds of convolutions and matrix products for a second of audio, counted over some seconds."""
    frames = round(seconds * mel_config.frames_per_second)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        synthesize(quiet_noise(mel_config, frames))
    return float(counter.get_total_flops() / 2 / (frames / mel_config.frames_per_second))


def measure_costs(
    vocoders: Mapping[str, Vocoder], methods: Sequence[Method], seconds: float, repeats: int
) -> dict[str, Any]:
    """Parameters, multiply-adds and times of all methods and of the paper's generator."""
    paper, paper_mel = paper_generator()
    networks = {method.name: (method.synthesize, method.mel_config) for method in methods} | {PAPER: (paper, paper_mel)}

    def task(synthesize: Callable[[Tensor], Tensor], mel_config: MelConfig) -> Callable[[], object]:
        mel = quiet_noise(mel_config, round(seconds * mel_config.frames_per_second))
        return torch.inference_mode()(lambda: synthesize(mel))

    tasks = {name: task(*network) for name, network in networks.items()}
    speeds = summarize_speed(time_in_turns(tasks, repeats), seconds, PAPER)
    costs: dict[str, Any] = {}
    for name, network in networks.items():
        speed = {key: speeds[name][key] for key in ("times_real_time", "times_baseline")}
        costs[name] = {"multiply_adds_per_second": count_multiply_adds(*network), **speed}
    for name, vocoder in vocoders.items():
        for row in (name, f"{name}{WITHOUT_ITERATIONS}"):
            if row in costs:
                costs[row]["parameters"] = count_parameters(vocoder.generator)
    costs[PAPER]["parameters"] = count_parameters(paper)
    return {"music_seconds": seconds, "repeats": repeats, "rows": costs}


def read_training(folder: Path) -> dict[str, float]:
    """Training steps and steps per hour, if the model folder records them."""
    training = read_training_record(folder)
    step, minutes = training.get("step"), training.get("minutes")
    known: dict[str, float] = {}
    if isinstance(step, int):
        known["steps"] = step
        if isinstance(minutes, int | float) and minutes > 0:
            known["steps_per_hour"] = 60 * step / minutes
    return known


MIN_OF_STYLE = 3
"""Required outputs and originals of a style."""


def same_front_end(translator: Translator, methods: Sequence[Method]) -> list[Method]:
    """The methods on the translator's front-end; raises UserError if there are none."""
    fitting = [method for method in methods if not translator.mel_config.describe_difference(method.mel_config)]
    if not fitting:
        difference = translator.mel_config.describe_difference(methods[0].mel_config)
        raise UserError(f"no vocoder has the translator's mel front-end ({difference}); give one that has")
    return fitting


def measure_translated(
    translator: Translator,
    methods: Sequence[Method],
    sources: Mapping[str, Sequence[Excerpt]],
    classifier: StyleClassifier,
) -> dict[str, Any]:
    """Measure methods on translated mels of every source.

    Returns:
        by source: `identity`, as :func:`measure_methods` with `asked_l1`; `cross`, as :func:`measure_cross`, for
        excerpts in folders named after the translator's styles.
    """
    measured: dict[str, Any] = {"identity": {}, "cross": {}}
    for name, excerpts in sources.items():
        originals = stack_excerpts(excerpts, methods)
        mels = mels_of(originals, translator.mel_config)
        own = [find_style(translator, excerpt, mel) for excerpt, mel in zip(excerpts, mels, strict=True)]
        asked = translate(translator, mels, torch.stack(own))
        made = {method.name: synthesize(method, asked) for method in methods}
        quality = measure_methods({**made, ORIGINAL: originals.numpy()}, methods, classifier)
        for method in methods:
            quality["rows"][method.name]["asked_l1"] = summarize(distance_to_asked(made[method.name], asked, method))
        measured["identity"][name] = {"excerpts": len(excerpts), **quality}
        logger.info("translated: %s, own style", name)
        if all(excerpt.path.parent.name in translator.styles for excerpt in excerpts):
            measured["cross"][name] = measure_cross(translator, methods, excerpts, classifier)
            logger.info("translated: %s, other styles", name)
    return measured


@torch.inference_mode()
def find_style(translator: Translator, excerpt: Excerpt, mel: Tensor) -> Tensor:
    """The style of an excerpt, (style_size,): by its folder's name if known, else by its mel, (n_mels, T)."""
    genre = excerpt.path.parent.name
    return translator.style_vector({genre: 1.0}) if genre in translator.styles else translator.style_of(mel[None])


@torch.inference_mode()
def translate(translator: Translator, mels: Tensor, styles: Tensor) -> Tensor:
    """Translate mels, each to its style: (n, n_mels, T), (n, style_size) -> (n, n_mels, T)."""
    pairs = zip(torch.split(mels, BATCH), torch.split(styles, BATCH), strict=True)
    return torch.cat([translator(mel, style) for mel, style in pairs])


def distance_to_asked(wavs: np.ndarray, asked: Tensor, method: Method) -> list[float]:
    """L1 distance of the mels of waveforms, (n, samples), to the requested ones, (n, n_mels, T), log10 units."""
    own = mels_of(torch.from_numpy(wavs), method.mel_config)
    return (own - asked).abs().mean(dim=(1, 2)).tolist()


def other_style(styles: Sequence[str], genre: str, number: int) -> str:
    """The target style of an excerpt: never its own, the next one for the next number."""
    return styles[(styles.index(genre) + 1 + number % (len(styles) - 1)) % len(styles)]


def measure_cross(
    translator: Translator, methods: Sequence[Method], excerpts: Sequence[Excerpt], classifier: StyleClassifier
) -> dict[str, Any]:
    """Measure methods on each excerpt in another style, where no original exists.

    Returns:
        `rows`: for each method `asked_l1`, absolute artifacts, and `kad`, the unbiased kernel audio distance to
        originals of the style, mean over styles; `styles`: how many; `untranslated_kad`: of the excerpts themselves.
    """
    styles = list(translator.styles)
    genres = [excerpt.path.parent.name for excerpt in excerpts]
    targets = [other_style(styles, genre, number) for number, genre in enumerate(genres)]
    originals = stack_excerpts(excerpts, methods)
    vectors = torch.stack([translator.style_vector({target: 1.0}) for target in targets]).detach()
    asked = translate(translator, mels_of(originals, translator.mel_config), vectors)
    sample_rate = methods[0].mel_config.sample_rate
    reference = embed_all(classifier, originals.numpy(), sample_rate)

    def to_styles(embeddings: np.ndarray) -> dict[str, float] | None:
        distances = distances_to_styles(embeddings, targets, reference, genres)
        return summarize(distances) if distances else None

    rows: dict[str, Any] = {}
    for method in methods:
        wavs = synthesize(method, asked)
        rows[method.name] = {
            "griffin_lim": method.griffin_lim,
            "asked_l1": summarize(distance_to_asked(wavs, asked, method)),
            "kad": to_styles(embed_all(classifier, wavs, sample_rate)),
            **measure_artifacts(wavs, None, method),
        }
    count = len(distances_to_styles(reference, targets, reference, genres))
    return {"excerpts": len(excerpts), "styles": count, "untranslated_kad": to_styles(reference), "rows": rows}


def distances_to_styles(
    embeddings: np.ndarray, targets: Sequence[str], reference: np.ndarray, genres: Sequence[str]
) -> list[float]:
    """Unbiased kernel audio distance of outputs to originals, (n, d) and (m, d), of each style with enough of both."""
    bandwidth = median_distance(reference)
    distances = []
    for style in sorted(set(targets) & set(genres)):
        outputs = embeddings[[target == style for target in targets]]
        originals = reference[[genre == style for genre in genres]]
        if min(len(outputs), len(originals)) >= MIN_OF_STYLE:
            distances.append(kernel_audio_distance(outputs, originals, bandwidth))
    return distances
