"""Validation of a translator on fixed clips: target style, preserved harmony, realism."""

from __future__ import annotations

import hashlib
import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylize_core.classifier import GenreClassifier
from stylize_core.mel import GriffinLim, MelConfig
from stylize_core.metrics.distribution import MIN_CLIPS, common_bandwidth, kernel_audio_distance
from stylize_core.metrics.waveform import chroma_agreement, constant_q_chroma
from training.experiment import Sample, evaluating, sample_pair
from travelgan.translator import Translator

CHROMA_CLIPS = 10
"""Number of clips that are synthesized for chroma."""
CHROMA_ITERATIONS, SAMPLE_ITERATIONS = 4, 16
"""Griffin-Lim iterations. Chroma of 4 iterations and 10 updates ranks 66 translations as that of 16 and 100 does
(Spearman 0.98) and as that of the vocoder's output (0.96), in a quarter of the time."""
UPDATES = 10
"""Updates of Griffin-Lim's magnitudes."""


@dataclass(frozen=True)
class Translation:
    """A validation clip and its translation; mels (n_mels, T), styles as indices."""

    source: Tensor
    output: Tensor
    pair: Tensor | None
    source_style: int
    target_style: int


class Sounds:
    """Syntheses of mels by Griffin-Lim; those of sources, the same at every validation, are cached."""

    def __init__(self, config: MelConfig) -> None:
        self.config = config
        self._cache: dict[tuple[str, bytes], Any] = {}

    def of(self, translation: Translation) -> tuple[Tensor, Tensor]:
        """Waveforms of source and output of a translation, (samples,) each."""
        griffin_lim = GriffinLim(self.config, SAMPLE_ITERATIONS, updates=UPDATES)
        return self._pair("wav", translation, lambda mel: griffin_lim(mel[None])[0])

    def chroma(self, translation: Translation) -> float:
        """Chroma cosine of output and source."""
        griffin_lim = GriffinLim(self.config, CHROMA_ITERATIONS, updates=UPDATES)

        def chroma_of(mel: Tensor) -> np.ndarray:
            return constant_q_chroma(griffin_lim(mel[None])[0].numpy(), self.config.sample_rate)

        source, output = self._pair("chroma", translation, chroma_of)
        return chroma_agreement(output, source)

    def _pair(self, kind: str, translation: Translation, make: Callable[[Tensor], Any]) -> tuple[Any, Any]:
        """The results of `make` for source and output; those of sources are cached."""
        key = kind, hashlib.sha256(translation.source.numpy().tobytes()).digest()
        if key not in self._cache:
            self._cache[key] = make(translation.source)
        return self._cache[key], make(translation.output)


class RealSongs:
    """Embeddings of real songs of each style, to compare translations with.

    Args:
        classifier: trained independently of the translator; its embeddings are used.
        mels: (n_mels, T) log10 of real songs.
        styles: index of the style of each; styles with fewer than two distinct songs are left out.
    """

    def __init__(self, classifier: GenreClassifier, mels: Sequence[Tensor], styles: Sequence[int]) -> None:
        self.classifier = classifier
        distinct = {style: np.unique(vectors, axis=0) for style, vectors in self._embed(mels, styles).items()}
        self.embeddings = {style: vectors for style, vectors in distinct.items() if len(vectors) >= MIN_CLIPS}
        self.bandwidth = common_bandwidth(self.embeddings.values())

    def distance(self, mels: Sequence[Tensor], styles: Sequence[int]) -> float | None:
        """Kernel audio distance of mels from the real songs of their styles, mean over the styles.

        Returns:
            about 0 for real songs, up to 200; None where no style has two mels and two real songs.
        """
        distances = [
            kernel_audio_distance(vectors, self.embeddings[style], self.bandwidth)
            for style, vectors in self._embed(mels, styles).items()
            if style in self.embeddings and len(vectors) >= MIN_CLIPS
        ]
        return statistics.fmean(distances) if distances else None

    @torch.no_grad()
    def _embed(self, mels: Sequence[Tensor], styles: Sequence[int]) -> Mapping[int, np.ndarray]:
        found: dict[int, list[np.ndarray]] = {}
        for mel, style in zip(mels, styles, strict=True):
            found.setdefault(style, []).append(self.classifier.embed(mel[None])[0].float().numpy())
        return {style: np.stack(vectors) for style, vectors in sorted(found.items())}


def translate_all(translator: Translator, batch: dict[str, Tensor], chunk: int = 8) -> list[Translation]:
    """Translate every clip of a validation batch to its named target style."""
    device = next(translator.parameters()).device
    outputs = []
    for start in range(0, len(batch["source"]), chunk):
        part = slice(start, start + chunk)
        style = translator.siamese.style_prototypes()[batch["target_style"][part].to(device)]
        outputs.append(translator(batch["source"][part].to(device), style).float().cpu())
    output = torch.cat(outputs)
    return [
        Translation(
            source=batch["source"][index],
            output=output[index],
            pair=batch["pair"][index] if batch["has_pair"][index] else None,
            source_style=int(batch["source_style"][index]),
            target_style=int(batch["target_style"][index]),
        )
        for index in range(len(output))
    ]


def recognition_measures(translator: Translator, batch: dict[str, Tensor]) -> dict[str, float]:
    """Accuracy of the siamese network on the clips themselves, and the mean margin of the own style, in cosine.

    `valid/recognized` is the accuracy; `valid/lead`, the margin, still rises where all clips are classified right.
    """
    device = next(translator.parameters()).device
    nearness = torch.stack([_nearness(translator, mel.to(device)) for mel in batch["source"]]).cpu()
    own = batch["source_style"][:, None]
    others = nearness.scatter(1, own, -math.inf).amax(dim=1)
    lead = nearness.gather(1, own)[:, 0] - others
    return {"valid/recognized": float((lead > 0).float().mean()), "valid/lead": float(lead.mean())}


def recognize(translator: Translator, mel: Tensor) -> str:
    """The named style nearest to a recording (n_mels, T), log10, by the siamese network."""
    return translator.styles[int(_nearness(translator, mel).argmax())]


@torch.no_grad()
def _nearness(translator: Translator, mel: Tensor) -> Tensor:
    """Cosine between the style of one recording and each named style, (styles,)."""
    return translator.siamese.style_prototypes() @ translator.style_of(mel[None])


def validation_measures(
    translator: Translator,
    translations: Sequence[Translation],
    classifier: GenreClassifier | None,
    real_songs: RealSongs | None = None,
    sounds: Sounds | None = None,
) -> dict[str, float]:
    """Named measures; `valid/score` is the target rate minus the source rate plus chroma, at most 2.

    With ground truth, `valid/nearer` is the relative decrease of the distance from it; with real songs,
    `valid/realism` is that of the kernel distance from real songs of the target style. Each adds at most 1.

    Args:
        translator: its front-end and siamese network are used.
        translations: of the validation clips; those to their own style count for identity alone.
        classifier: an independent classifier; without one the siamese network classifies, which favors the model.
        real_songs: songs of the named styles.
        sounds: cached syntheses of earlier validations.
    """
    moved = [t for t in translations if t.source_style != t.target_style]
    kept = [t for t in translations if t.source_style == t.target_style]
    found = _classify(translator, torch.stack([t.output for t in moved]), classifier)
    target = torch.tensor([t.target_style for t in moved])
    source = torch.tensor([t.source_style for t in moved])
    measures = {
        "valid/target_rate": float((found == target).float().mean()),
        "valid/source_rate": float((found == source).float().mean()),
        "valid/chroma": _mean_chroma(moved, sounds or Sounds(translator.mel_config)),
        "valid/changed": _mean([(t.output - t.source).abs().mean() for t in moved]),
    }
    if kept:
        measures["valid/identity"] = _mean([(t.output - t.source).abs().mean() for t in kept])
    paired = [(t, t.pair) for t in moved if t.pair is not None]
    if paired:
        measures["valid/to_truth"] = _mean([(t.output - pair).abs().mean() for t, pair in paired])
        measures["valid/input_to_truth"] = _mean([(t.source - pair).abs().mean() for t, pair in paired])
    measures["valid/score"] = measures["valid/target_rate"] - measures["valid/source_rate"] + measures["valid/chroma"]
    if measures.get("valid/input_to_truth"):
        measures["valid/nearer"] = 1 - measures["valid/to_truth"] / measures["valid/input_to_truth"]
        measures["valid/score"] += measures["valid/nearer"]
    if real_songs is not None:
        measures |= _realism(moved, real_songs)
        measures["valid/score"] += measures.get("valid/realism", 0.0)
    return measures


def _realism(moved: Sequence[Translation], real_songs: RealSongs) -> dict[str, float]:
    """Distances of outputs and of inputs from real songs of the target styles, and the relative decrease."""
    styles = [t.target_style for t in moved]
    distance = real_songs.distance([t.output for t in moved], styles)
    of_inputs = real_songs.distance([t.source for t in moved], styles)
    if distance is None or of_inputs is None:
        return {}
    measures = {"valid/kad": distance, "valid/input_kad": of_inputs}
    return measures | ({"valid/realism": 1 - distance / of_inputs} if of_inputs > 0 else {})


def _classify(translator: Translator, mels: Tensor, classifier: GenreClassifier | None) -> Tensor:
    device = next(translator.parameters()).device
    if classifier is None:
        with evaluating(translator):
            embedding: Tensor = translator.siamese(mels.to(device)).style.cpu()
            return (embedding @ translator.siamese.style_prototypes().cpu().T).argmax(dim=1)
    with torch.no_grad():
        logits = classifier(mels)
    # By name: the classifier may have more genres than the translator has styles.
    indices = {name: index for index, name in enumerate(translator.styles)}
    return torch.tensor([indices.get(classifier.genres[genre], -1) for genre in logits.argmax(dim=1).tolist()])


def _mean_chroma(translations: Sequence[Translation], sounds: Sounds) -> float:
    values = [sounds.chroma(translation) for translation in _spread(translations, CHROMA_CLIPS)]
    return sum(values) / len(values)


def validation_samples(
    translator: Translator, translations: Sequence[Translation], sounds: Sounds | None = None
) -> list[Sample]:
    """Four translations as audio and pictures."""
    sounds = sounds or Sounds(translator.mel_config)
    rate = sounds.config.sample_rate
    samples = []
    moved = [t for t in translations if t.source_style != t.target_style]
    for index, translation in enumerate(_spread(moved, 4)):
        source, target = translator.styles[translation.source_style], translator.styles[translation.target_style]
        mels = {f"{source} (input)": translation.source, f"to {target}": translation.output}
        if translation.pair is not None:
            mels[f"{target} (truth)"] = translation.pair
        wavs = [wav.numpy() for wav in sounds.of(translation)]
        name = f"{index}-{_file_name(source)}"
        samples += sample_pair(f"{name}-input", f"{name}-to-{_file_name(target)}", wavs, rate, mels)
    return samples


def _file_name(style: str) -> str:
    """A style as part of a file name that W&B and every file system accept."""
    return re.sub(r"[^\w.-]+", "_", style)


def _mean(values: Sequence[Tensor]) -> float:
    return float(torch.stack(list(values)).mean())


def _spread(items: Sequence[Translation], count: int) -> list[Translation]:
    # The styles of clips alternate: a stride coprime to their number covers all styles, and no clip twice.
    count, stride = min(count, len(items)), max(1, len(items) // count)
    while math.gcd(stride, len(items)) > 1:
        stride += 1
    return [items[index * stride % len(items)] for index in range(count)]
