"""Vocoders on mels that a translator made: back into their own style, and into another one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylize.evaluate.excerpts import Excerpt
from stylize.evaluate.metrics.similarity import StyleClassifier
from stylize.evaluate.metrics.statistics import summarize
from stylize.evaluate.metrics.vocoder import (
    BATCH,
    Method,
    embed_all,
    measure_artifacts,
    measure_methods,
    mels_of,
    stack_excerpts,
    synthesize,
)
from stylize.evaluate.systems import ORIGINAL
from stylize_core.errors import UserError
from stylize_core.metrics.distribution import kernel_audio_distance, median_distance
from travelgan import Translator

logger = logging.getLogger(__name__)

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
    pairs = zip(mels.split(BATCH), styles.split(BATCH), strict=True)
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
