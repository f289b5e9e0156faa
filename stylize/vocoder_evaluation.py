"""The whole evaluation of vocoders: every measure on every source, costs, probes, and what became of the aims."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from melgan import Vocoder
from stylize.benchmark import describe_machine
from stylize.likeness import Likeness
from stylize.vocoder_cost import measure_costs, read_training
from stylize.vocoder_probes import compare_blocks, probe
from stylize.vocoder_quality import (
    Excerpt,
    Method,
    copy_synthesis,
    find_methods,
    judge,
    stack_excerpts,
    unseen_excerpts,
)
from stylize.vocoder_translated import measure_translated, same_front_end
from stylize.vocoder_verdict import decide
from travelgan import Translator

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationPlan:
    """How much is measured.

    Args:
        excerpts: from each source; None for one of every file.
        seconds: length of an excerpt; 3 or more, for the classifier.
        speed_seconds: of music for the times.
        repeats: of the times.
        threads: of PyTorch.
    """

    excerpts: int | None = None
    seconds: float = 4.0
    speed_seconds: float = 20.0
    repeats: int = 3
    threads: int = 2


@dataclass(frozen=True)
class Evaluation:
    """What is measured, and the material that pictures are made from.

    Args:
        document: all figures, plain values.
        methods: the rows.
        vocoders: by name.
        sources: the excerpts of each source.
    """

    document: dict[str, Any]
    methods: list[Method]
    vocoders: dict[str, Vocoder]
    sources: dict[str, list[Excerpt]]


def evaluate_vocoders(
    models: Sequence[Path], folders: Mapping[str, Path], plan: EvaluationPlan, translator: Path | None = None
) -> Evaluation:
    """Load vocoders and measure all there is to measure.

    Args:
        models: vocoder folders.
        folders: recordings by name of the source.
        plan: how much.
        translator: also measure on mels that this translator made.

    Raises:
        UserError: models that cannot be loaded or compared, no usable recordings.
    """
    vocoders = {str(model): Vocoder.from_pretrained(model) for model in models}
    methods = find_methods(vocoders)
    loaded = Translator.from_pretrained(translator) if translator else None
    fitting = same_front_end(loaded, methods) if loaded else []
    likeness = Likeness.from_pretrained()
    sample_rate = methods[0].mel_config.sample_rate
    sources = {
        name: unseen_excerpts(folder, plan.excerpts, plan.seconds, sample_rate) for name, folder in folders.items()
    }
    before = torch.get_num_threads()
    torch.set_num_threads(plan.threads)
    try:
        document: dict[str, Any] = {
            "machine": describe_machine(plan.threads),
            "plan": asdict(plan),
            "models": {name: read_training(Path(name)) for name in vocoders},
            "sources": {name: _measure_source(excerpts, methods, likeness) for name, excerpts in sources.items()},
            "probes": _probe_all(vocoders, methods, next(iter(sources.values()))),
            "costs": measure_costs(vocoders, methods, plan.speed_seconds, plan.repeats),
        }
        if loaded:
            translated = measure_translated(loaded, fitting, sources, likeness)
            document["translated"] = {"translator": str(translator), **translated}
    finally:
        torch.set_num_threads(before)
    document["verdict"] = [asdict(finding) for finding in decide(document)]
    return Evaluation(document, methods, vocoders, sources)


def _measure_source(excerpts: Sequence[Excerpt], methods: Sequence[Method], likeness: Likeness) -> dict[str, Any]:
    originals = stack_excerpts(excerpts, methods)
    seconds = originals.shape[1] / methods[0].mel_config.sample_rate
    measured = judge(copy_synthesis(methods, originals), methods, likeness)
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
