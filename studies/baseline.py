"""Experiments on the baseline: which of its many settings matter, judged by measures that it does not optimize.

Every case is run on the same pairs of recordings. Results are appended to a file line by line, so that an interrupted
study goes on where it stopped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from data.folder import Clip, index_folder
from stylize.evaluate.metrics.similarity import (
    Sound,
    StyleClassifier,
    harmony_similarity,
    rhythm_similarity,
    timbre_distance,
)
from stylize.optimize.options import OptimizeOptions
from stylize.optimize.run import stylize_by_optimization
from stylize_core.audio.reader import read_audio
from stylize_core.errors import UserError
from stylize_core.plain import parse_json, read_lines

RATE = 22050
COPY_CONTENT, COPY_STYLE = "content copied", "style copied"


@dataclass(frozen=True)
class Pair:
    """A recording to be changed and one that shows how, both excerpts, of different songs and genres."""

    content: Path
    style: Path
    style_genre: str

    @property
    def name(self) -> str:
        """Both, in short."""
        return f"{self.content.stem}+{self.style.stem}"


@dataclass(frozen=True)
class Case:
    """One setting of the baseline.

    Args:
        question: key of the question that it helps to answer.
        label: what it is called in tables and plots.
        options: fields of :class:`stylize.optimize.options.OptimizeOptions` that differ from the defaults.
        series: cases of a question with the same series make one curve.
        place: where on the curve, in order.
    """

    question: str
    label: str
    options: Mapping[str, Any] = field(default_factory=dict)
    series: str = ""
    place: float = 0.0

    @property
    def key(self) -> str:
        """Equal for equal settings, whatever the question: these are run once.

        Cases name their network and their content weight, so that a key means the same whatever the defaults are.
        """
        return json.dumps(dict(sorted(self.options.items())))


@dataclass(frozen=True)
class Measurement:
    """What a case came to on one pair.

    Args:
        key: of the case, or one of the copies.
        pair: its name.
        harmony: chroma cosine to the content.
        rhythm: correlation of onset strengths with the content.
        style: cosine of the classifier's embeddings of result and style.
        heard: probability that the classifier gives to the style's genre.
        timbre: distance of MFCC statistics from the style.
        content_loss, style_loss, total: relative losses at the end; NaN where they are no part of the objective.
        seconds: of the whole run.
        evaluations: of the objective.
    """

    key: str
    pair: str
    harmony: float
    rhythm: float
    style: float
    heard: float
    timbre: float
    content_loss: float = math.nan
    style_loss: float = math.nan
    total: float = math.nan
    seconds: float = math.nan
    evaluations: int = 0


NUMBERS = tuple(name for name in Measurement.__dataclass_fields__ if name not in ("key", "pair"))


def choose_pairs(corpus: Path, work: Path, count: int, seconds: float) -> list[Pair]:
    """Excerpts of unheard songs: every pair has a content and a style of its own song and genre.

    Args:
        corpus: rendered corpus.
        work: folder for the excerpts.
        count: number of pairs.
        seconds: length of an excerpt, from the middle of the song.

    Raises:
        UserError: no corpus, or fewer than two songs in its test split.
    """
    clips = [clip for clip in index_folder(corpus) if clip.split == "test"]
    songs, genres = sorted({clip.song for clip in clips}), sorted({clip.genre for clip in clips})
    if len(songs) < 2 or len(genres) < 2:
        raise UserError(f"{corpus} has {len(songs)} songs in {len(genres)} genres to test with; expected two or more")
    found = {(clip.song, clip.genre): clip for clip in clips}
    work.mkdir(parents=True, exist_ok=True)
    pairs = []
    for index in range(count):
        content = found[songs[index % len(songs)], genres[(3 * index) % len(genres)]]
        style = found[songs[(index + 1) % len(songs)], genres[(3 * index + 4) % len(genres)]]
        excerpts = [_excerpt(clip, work, seconds) for clip in (content, style)]
        pairs.append(Pair(excerpts[0], excerpts[1], style.genre))
    return pairs


def _excerpt(clip: Clip, work: Path, seconds: float) -> Path:
    path = work / f"{clip.path.stem}.wav"
    if not path.exists():
        wav, _ = read_audio(clip.path, sample_rate=RATE)
        length = min(round(seconds * RATE), wav.shape[1])
        start = (wav.shape[1] - length) // 2
        soundfile.write(path, wav[0, start : start + length], RATE, subtype="PCM_16")
    return path


class Study:
    """Runs cases on pairs and remembers what was measured.

    Args:
        pairs: of recordings.
        work: folder for results and for `measurements.jsonl`.
        likeness: the judge of style.
        progress: is told of every measurement.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        work: Path,
        likeness: StyleClassifier,
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.pairs, self.work, self.likeness, self.progress = list(pairs), work, likeness, progress
        self._file = work / "measurements.jsonl"
        self._known: dict[tuple[str, str], Measurement] = {}
        if self._file.exists():
            for number, line in enumerate(read_lines(self._file), start=1):
                try:
                    measurement = Measurement(**parse_json(line))
                except (ValueError, TypeError):
                    raise UserError(f"line {number} of {self._file} is no measurement; remove it") from None
                self._known[measurement.key, measurement.pair] = measurement

    def run(self, cases: Iterable[Case]) -> None:
        """Run what has not been run yet."""
        for pair in self.pairs:
            for key, path in ((COPY_CONTENT, pair.content), (COPY_STYLE, pair.style)):
                if (key, pair.name) not in self._known:
                    self._keep(self._measure(key, pair, path))
        for case in cases:
            for pair in self.pairs:
                if (case.key, pair.name) not in self._known:
                    self._keep(self._run_case(case, pair))
                    self.progress(f"{case.question}: {case.label} on {pair.name}")

    def of(self, key: str) -> list[Measurement]:
        """The measurements of a case, by its key, on all pairs."""
        return [self._known[key, pair.name] for pair in self.pairs]

    def mean(self, key: str) -> dict[str, float]:
        """The means of a case over the pairs, and the standard error of each as `NAME_error`."""
        values = {name: np.array([getattr(row, name) for row in self.of(key)], dtype=float) for name in NUMBERS}
        means = {name: float(np.mean(column)) for name, column in values.items()}
        count = max(1, len(self.pairs) - 1)
        errors = {f"{name}_error": float(np.std(column) / math.sqrt(count)) for name, column in values.items()}
        return means | errors

    def _run_case(self, case: Case, pair: Pair) -> Measurement:
        output = self.work / "result.wav"
        options = OptimizeOptions(pair.content, pair.style, output, force=True, **case.options)
        result = stylize_by_optimization(options)
        last = result.history.rows[-1].step
        return self._measure(
            case.key,
            pair,
            output,
            content_loss=last.terms.get("content", math.nan),
            style_loss=last.terms.get("style", math.nan),
            total=last.total,
            seconds=result.elapsed,
            evaluations=last.evaluations,
        )

    def _measure(self, key: str, pair: Pair, path: Path, **losses: Any) -> Measurement:
        sound, content, style = (Sound.read(file) for file in (path, pair.content, pair.style))
        return Measurement(
            key=key,
            pair=pair.name,
            harmony=harmony_similarity(sound, content),
            rhythm=rhythm_similarity(sound, content),
            style=self.likeness.style_similarity(sound, style),
            heard=self.likeness.genre_probabilities(sound).get(pair.style_genre, math.nan),
            timbre=timbre_distance(sound, style),
            **losses,
        )

    def _keep(self, measurement: Measurement) -> None:
        self._known[measurement.key, measurement.pair] = measurement
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(measurement)) + "\n")


def make_cases(iterations: int = 200) -> list[Case]:
    """All cases of the study.

    Args:
        iterations: of every case but those that ask about iterations or take half as many.
    """
    return [
        *_layer_cases(iterations // 2),
        *_balance_cases(iterations),
        *_iteration_cases(),
        *_layout_cases(iterations),
        *_network_cases(iterations),
        *_default_cases(iterations),
        *_histogram_cases(iterations),
    ]


RANDOM: Mapping[str, Any] = {"network": "random", "width": 512}
"""The random network of most cases: a quarter of its usual width, to save time; one question compares the two."""

DEEP: Mapping[str, Any] = {"network": "random", "layers": 4, "width": 512}
"""The random network whose layers are compared."""


def _layer_cases(iterations: int) -> list[Case]:
    """Content alone and style alone, from noise, at each layer of a deep random network; these take half as many."""
    cases = []
    for layer in range(1, DEEP["layers"] + 1):
        for kind in ("conv", "relu"):
            name = f"{kind}_{layer}"
            options = dict(DEEP) | {"init": "uniform", "iterations": iterations}
            content = options | {"content_layer": name, "content_weight": 1.0, "style_weight": 0.0}
            style = options | {"style_layer": name, "content_weight": 0.0}
            cases.append(Case("layers", f"content alone, {name}", content, f"content, {kind}", layer))
            cases.append(Case("layers", f"style alone, {name}", style, f"style, {kind}", layer))
    return cases


CONTENT_WEIGHTS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def _balance_cases(iterations: int) -> list[Case]:
    return [
        Case("balance", f"content {weight:g} : style 1",
             dict(RANDOM) | {"content_weight": weight, "iterations": iterations}, "random network", weight)
        for weight in CONTENT_WEIGHTS
    ]  # fmt: skip


def _iteration_cases() -> list[Case]:
    """Adam's learning rate decays at nine tenths of its iterations, as in the documents (180 of 200)."""
    cases = []
    for iterations in (50, 100, 200, 400):
        usual: dict[str, Any] = dict(RANDOM) | {"content_weight": 1.0, "iterations": iterations}
        cases.append(Case("iterations", f"L-BFGS, {iterations}", usual, "L-BFGS", iterations))
        for rate in (1.0, 0.1):
            options = usual | {
                "optimizer": "adam",
                "learning_rate": rate,
                "decayed_learning_rate": rate / 30,
                "decay_iteration": iterations * 9 // 10,
            }
            label = f"Adam, rate {rate:g}"
            cases.append(Case("iterations", f"{label}, {iterations}", options, label, iterations))
    return cases


def _curve(
    question: str,
    series: str,
    options: Mapping[str, Any],
    iterations: int,
    weights: tuple[float, ...] = (0.03, 0.3, 3.0),
) -> list[Case]:
    """Points of a trade-off curve."""
    return [
        Case(question, f"{series}, content {weight:g} : style 1",
             dict(options) | {"content_weight": weight, "iterations": iterations}, series, weight)
        for weight in weights
    ]  # fmt: skip


def _layout_cases(iterations: int) -> list[Case]:
    kinds: dict[str, dict[str, Any]] = {
        "frequency as channels": dict(RANDOM),
        "time as channels": dict(RANDOM) | {"layout": "time"},
        "2-D": {"network": "random", "layout": "2d"},
    }
    return [case for name, options in kinds.items() for case in _curve("layout", name, options, iterations)]


def _network_cases(iterations: int) -> list[Case]:
    kinds: dict[str, dict[str, Any]] = {
        "random, 512 channels": dict(RANDOM),
        "random, 2048 channels": {"network": "random", "width": 2048},
        "random, 4 layers": dict(DEEP),
        "autoencoder": {"network": "autoencoder"},
        "siamese": {"network": "siamese"},
    }
    return [case for name, options in kinds.items() for case in _curve("network", name, options, iterations)]


def _default_cases(iterations: int) -> list[Case]:
    """Which network, content layer and balance a user should get who names none; more points than in the others.

    The curve of what became the default goes on until the content has no weight at all and is only the start.
    """
    usual = (0.03, 0.1, 0.3, 1.0)
    kinds: dict[str, tuple[dict[str, Any], tuple[float, ...]]] = {
        "autoencoder, content relu_2": ({"network": "autoencoder"}, (0.0, 0.003, 0.01, *usual)),
        "autoencoder, content relu_1": ({"network": "autoencoder", "content_layer": "relu_1"}, usual),
        "siamese, content relu_2": ({"network": "siamese"}, usual),
        "siamese, content relu_1": ({"network": "siamese", "content_layer": "relu_1"}, (0.003, *usual)),
        "random": (dict(RANDOM), usual),
    }
    return [
        case
        for name, (options, weights) in kinds.items()
        for case in _curve("default", name, options, iterations, weights)
    ]


def _histogram_cases(iterations: int) -> list[Case]:
    kinds: dict[str, dict[str, Any]] = {
        "Gram": dict(RANDOM),
        "Gram and histogram": dict(RANDOM) | {"histogram_weight": 1.0},
        "histogram": dict(RANDOM) | {"histogram_weight": 1.0, "style_weight": 0.0},
    }
    cases = []
    for name, options in kinds.items():
        cases += _curve("histogram", name, options, iterations)
    return cases
