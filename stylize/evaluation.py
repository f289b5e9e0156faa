"""Is a translated song heard as the target style, and is it still the same song? Floors and ceilings too.

On a rendered corpus the right answer is known: the same song as the corpus plays it in the target style. So
every measure is taken of five versions of each translation: the input as it is and through the vocoder (a
system that only copies), the output, and the corpus' own version as it is and through the vocoder (what could
be reached).
"""

from __future__ import annotations

import logging
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.audio import read_audio
from data.errors import UserError
from data.folder import Clip, index_folder
from data.mel import LogMel
from stylize.pipeline import Stylizer
from training.genre import GenreClassifier
from training.measures import chroma_cosine, mel_l1, onset_correlation

logger = logging.getLogger(__name__)

VERSIONS = (
    "input",
    "input through the vocoder",
    "translated",
    "ground truth",
    "ground truth through the vocoder",
)
SEGMENT_FRAMES = 256
"""Mel frames the classifier hears at a time; a song is what its segments are in the mean."""


@dataclass(frozen=True)
class Pair:
    """A song to translate, and the corpus' own answer."""

    source: Clip
    truth: Clip


@dataclass(frozen=True)
class Measured:
    """Measures of one version of one pair.

    Args:
        heard: the genre that the classifier hears.
        chroma: cosine of chroma to the input.
        onsets: correlation of onset strengths with the input.
        to_truth: mean L1 of log-mels to the ground truth, decades.
    """

    heard: str
    chroma: float
    onsets: float
    to_truth: float


def list_pairs(clips: Sequence[Clip], styles: Sequence[str], split: str) -> list[Pair]:
    """Every song of a split in every style with the same song in every other style, sorted.

    Args:
        clips: of a rendered corpus.
        styles: genres to translate from and to.
        split: such as `test`.
    """
    songs: dict[str, dict[str, Clip]] = {}
    for clip in clips:
        if clip.split == split and clip.genre in styles:
            songs.setdefault(clip.song, {})[clip.genre] = clip
    return [
        Pair(versions[source], versions[target])
        for _, versions in sorted(songs.items())
        for source in sorted(versions)
        for target in sorted(versions)
        if source != target
    ]


def choose_pairs(pairs: Sequence[Pair], count: int, seed: int = 0) -> list[Pair]:
    """A part of the pairs, always the same one, with every target style as often as any other (but for one).

    Args:
        pairs: to choose from.
        count: how many; at most all of them.
        seed: another one chooses others.
    """
    shuffled = list(pairs)
    random.Random(seed).shuffle(shuffled)
    turns: dict[str, int] = {}
    ranked = []
    for place, pair in enumerate(shuffled):
        turn = turns.get(pair.truth.genre, 0)
        turns[pair.truth.genre] = turn + 1
        ranked.append((turn, place, pair))
    ranked.sort(key=lambda entry: entry[:2])
    chosen = [pair for _, _, pair in ranked[:count]]
    return sorted(chosen, key=lambda pair: (pair.source.song, pair.source.genre, pair.truth.genre))


class Evaluator:
    """Makes the versions of each pair and measures them.

    Args:
        stylizer: the models to judge.
        classifier: hears genres; trained apart from them.
        seconds: of each song from its start, None for all of it.

    Raises:
        UserError: models and classifier work at different sample rates.
    """

    def __init__(self, stylizer: Stylizer, classifier: GenreClassifier, seconds: float | None = None) -> None:
        self.stylizer, self.classifier, self.seconds = stylizer, classifier.eval(), seconds
        self.log_mel = LogMel(classifier.mel_config)
        self._loaded: dict[Path, tuple[np.ndarray, np.ndarray]] = {}
        self.sample_rate = stylizer.mel_config.sample_rate
        if classifier.mel_config.sample_rate != self.sample_rate:
            raise UserError(
                f"the classifier hears {classifier.mel_config.sample_rate} Hz and the models make "
                f"{self.sample_rate} Hz; train a classifier with the mel configuration of the models"
            )

    @torch.inference_mode()
    def heard_genre(self, wav: np.ndarray) -> str:
        """The genre with the largest mean probability over the segments of a waveform, (samples,)."""
        mel = self.log_mel(torch.from_numpy(wav)[None])[0]
        length = min(SEGMENT_FRAMES, mel.shape[1])
        count = mel.shape[1] // length
        segments = mel[:, : count * length].unflatten(1, (count, length)).transpose(0, 1)
        probability = self.classifier(segments).softmax(dim=1).mean(dim=0)
        return self.classifier.genres[int(probability.argmax())]

    def render(self, wav: np.ndarray, style: str, strength: float = 1.0) -> np.ndarray:
        """A waveform, (samples,), through the whole path; with strength 0 through the vocoder alone."""
        position = 0

        def read(samples: int) -> np.ndarray:
            nonlocal position
            position += samples
            return wav[None, position - samples : position]

        vector = self.stylizer.named_style(style)
        blocks = [block.wav[0] for block in self.stylizer.blocks(read, 1, vector, strength)]
        return np.concatenate(blocks)

    def load(self, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
        """A song as it is and through the vocoder; remembered, since it is in many pairs.

        Shape: (samples,) and (samples,).
        """
        if clip.path not in self._loaded:
            wav = read_audio(clip.path, self.sample_rate)[0][0]
            if self.seconds is not None:
                wav = wav[: round(self.seconds * self.sample_rate)]
            self._loaded[clip.path] = wav, self.render(wav, clip.genre, strength=0.0)
        return self._loaded[clip.path]

    def measure(self, pair: Pair) -> dict[str, Measured]:
        """Measure all :data:`VERSIONS` of a pair, on what both songs are long."""
        source, source_copy = self.load(pair.source)
        truth, truth_copy = self.load(pair.truth)
        length = min(len(source), len(truth))
        translated = self.render(source, pair.truth.genre)
        wavs = [wav[:length] for wav in (source, source_copy, translated, truth, truth_copy)]
        source, truth = wavs[0], wavs[3]
        return {
            version: Measured(
                heard=self.heard_genre(wav),
                chroma=chroma_cosine(wav, source, self.sample_rate),
                onsets=onset_correlation(wav, source, self.sample_rate),
                to_truth=mel_l1(wav, truth),
            )
            for version, wav in zip(VERSIONS, wavs, strict=True)
        }


def iterate_measured(
    evaluator: Evaluator, pairs: Sequence[Pair]
) -> Iterator[tuple[Pair, dict[str, Measured]]]:
    """Measure the pairs one after the other."""
    for number, pair in enumerate(pairs, start=1):
        yield pair, evaluator.measure(pair)
        logger.info("pair %d of %d: %s to %s", number, len(pairs), pair.source.path.name, pair.truth.genre)


def summarise(results: Sequence[tuple[Pair, Mapping[str, Measured]]]) -> dict[str, Any]:
    """Means over all pairs for each version, and how often each target style was reached.

    Args:
        results: pairs with the measures of their versions, at least one.
    """
    versions = {}
    for version in VERSIONS:
        rows = [(pair, measured[version]) for pair, measured in results]
        versions[version] = {
            "target_heard": statistics.fmean(row.heard == pair.truth.genre for pair, row in rows),
            "source_heard": statistics.fmean(row.heard == pair.source.genre for pair, row in rows),
            "chroma": statistics.fmean(row.chroma for _, row in rows),
            "onsets": statistics.fmean(row.onsets for _, row in rows),
            "to_truth": statistics.fmean(row.to_truth for _, row in rows),
        }
    targets = {}
    for target in sorted({pair.truth.genre for pair, _ in results}):
        heard = [
            (pair, measured["translated"].heard) for pair, measured in results if pair.truth.genre == target
        ]
        targets[target] = {
            "pairs": len(heard),
            "target_heard": sum(genre == target for _, genre in heard),
            "source_heard": sum(genre == pair.source.genre for pair, genre in heard),
        }
    return {
        "pairs": len(results),
        "songs": len({pair.source.song for pair, _ in results}),
        "versions": versions,
        "targets": targets,
    }


def evaluate_translation(
    stylizer: Stylizer,
    classifier: GenreClassifier,
    corpus: Path,
    *,
    split: str = "test",
    count: int | None = None,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Translate songs of a corpus that the models never saw, and measure what came out.

    Args:
        stylizer: the models to judge.
        classifier: hears genres.
        corpus: a rendered corpus, in which songs of the same number are the same song.
        split: of the corpus.
        count: pairs of song and target style to take, None for all.
        seconds: of each song from its start, None for all of it.

    Raises:
        UserError: no corpus, or none of its songs is there in two styles that models and classifier know.
    """
    evaluator = Evaluator(stylizer, classifier, seconds)
    styles = [style for style in stylizer.styles if style in classifier.genres]
    pairs = list_pairs(index_folder(corpus), styles, split)
    if not pairs:
        raise UserError(
            f"{corpus} has no song of split {split!r} in two of the styles {', '.join(styles) or '(none)'}; "
            "render a corpus with scripts.render_corpus"
        )
    chosen = choose_pairs(pairs, len(pairs) if count is None else count)
    summary = summarise(list(iterate_measured(evaluator, chosen)))
    asked = {"corpus": str(corpus), "split": split, "seconds": seconds}
    return {**asked, "pairs_available": len(pairs), **summary}
