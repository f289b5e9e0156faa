"""The evaluation of vocoders: every metric on every source of unseen recordings, costs, probes, verdicts, pictures."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.sources import list_split
from melgan import Vocoder
from stylize.evaluate.benchmarks.settings import VOCODER_SUFFIXES, VocoderSettings
from stylize.evaluate.benchmarks.verdict import check_targets, load_targets, plain
from stylize.evaluate.benchmarks.vocoder_report import format_report, save_pictures
from stylize.evaluate.benchmarks.vocoder_translated import measure_translated, same_front_end
from stylize.evaluate.costs import measure_costs, read_training
from stylize.evaluate.excerpts import Excerpt, pick_excerpts
from stylize.evaluate.metrics.probes import compare_blocks, probe
from stylize.evaluate.metrics.similarity import StyleClassifier
from stylize.evaluate.metrics.vocoder import Method, copy_synthesis, find_methods, measure_methods, stack_excerpts
from stylize.evaluate.report import describe_machine, report_files, write_json, write_text
from stylize.evaluate.speed import torch_threads
from stylize_core.errors import UserError
from travelgan import Translator

logger = logging.getLogger(__name__)

UNSEEN_SPLITS = ("test", "test_groove", "test_soundfont")


def run_evaluation(settings: VocoderSettings) -> str:
    """Measure vocoders and write what was asked for.

    Returns:
        the tables as Markdown.

    Raises:
        UserError: settings, models or recordings that cannot be used.
    """
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
    """Excerpts of everything that a folder keeps out of training."""
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
    """Probes of every method; blocks only of whole vocoders, which know where in a song they are."""
    music = np.concatenate([excerpt.wav for excerpt in excerpts[:3]])
    probes: dict[str, Any] = {method.name: probe(method, music) for method in methods}
    for name, vocoder in vocoders.items():
        frame = vocoder.mel_config.hop_length
        probes[name]["blocks"] = compare_blocks(vocoder, music[: len(music) // frame * frame])
        logger.info("probed: %s", name)
    return probes


def decide(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every target for every model, as plain values."""
    targets = load_targets("vocoder")
    verdicts: list[dict[str, Any]] = []
    for model in document["models"]:
        for source, quality in document["sources"].items():
            rival = quality["rows"][model]["griffin_lim"]
            found = check_targets(targets["source"], document, model=model, source=source, rival=rival)
            verdicts += plain(found, model=model, recordings=source)
        verdicts += plain(check_targets(targets["model"], document, model=model), model=model, recordings="")
    return verdicts
