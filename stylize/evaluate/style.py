"""Is a style reached? What a genre classifier hears, and how far sets of its embeddings are from real clips."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.folder import Clip
from stylize.evaluate.material import Excerpts
from stylize.evaluate.multipitch import RATE
from stylize.likeness import Likeness, Sound
from training.distribution import (
    LEAST_CLIPS,
    common_bandwidth,
    frechet_audio_distance,
    kernel_audio_distance,
    real_against_real,
)

LEAST_REFERENCE = 2 * LEAST_CLIPS
"""Clips of a style that a distance needs, so that two halves of them can be compared."""
FLOOR_REPEATS = 20
RESAMPLES = 1000


@dataclass(frozen=True)
class Heard:
    """What the classifier hears in a clip.

    Args:
        probabilities: of each genre it knows.
        embedding: (embedding_size,).
    """

    probabilities: Mapping[str, float]
    embedding: np.ndarray

    @property
    def genre(self) -> str:
        """The most probable one."""
        return max(self.probabilities, key=self.probabilities.__getitem__)


class Judge:
    """Listens to clips.

    Args:
        likeness: the classifier, trained apart from all systems.
    """

    def __init__(self, likeness: Likeness) -> None:
        self.likeness = likeness

    @property
    def genres(self) -> tuple[str, ...]:
        """Those it can tell apart."""
        return self.likeness.classifier.genres

    def listen(self, wav: np.ndarray) -> Heard:
        """What is heard in a waveform, (samples,) at `RATE`, the mean over windows of 3 s."""
        sound = Sound(wav, RATE)
        return Heard(self.likeness.genre_probabilities(sound), self.likeness.embedding(sound).numpy())


@dataclass(frozen=True)
class Accuracy:
    """How often the judge is right about untouched clips of a tier.

    Args:
        clips: how many.
        right: part of them told right.
        low, high: 95 % interval over songs.
        by_style: part told right of each style.
    """

    clips: int
    right: float
    low: float
    high: float
    by_style: Mapping[str, float]


def judge_accuracy(judge: Judge, clips: Sequence[Clip], excerpts: Excerpts, seed: int = 0) -> Accuracy:
    """Let the judge tell the genre of clips that it knows.

    Args:
        judge: the classifier.
        clips: at least one.
        excerpts: what is heard of each.
        seed: of the bootstrap.
    """
    right = [judge.listen(excerpts.load(clip.path)).genre == clip.genre for clip in clips]
    by_style: dict[str, list[bool]] = {}
    for clip, correct in zip(clips, right, strict=True):
        by_style.setdefault(clip.genre, []).append(correct)
    low, high = interval_over_songs([clip.song for clip in clips], [float(correct) for correct in right], seed)
    styles = {style: statistics.fmean(values) for style, values in sorted(by_style.items())}
    return Accuracy(len(clips), statistics.fmean(right), low, high, styles)


def interval_over_songs(
    songs: Sequence[str], values: Sequence[float], seed: int = 0, other: Sequence[float] | None = None
) -> tuple[float, float]:
    """95 % bootstrap interval of a mean, in which whole songs are drawn: clips of one song are alike.

    Args:
        songs: which song each value is of.
        values: one of each clip.
        seed: of the draws.
        other: divisors; given these, the interval is of the mean of the values over the mean of these.
    """
    sums: dict[str, np.ndarray] = {}
    divisors = [1.0] * len(values) if other is None else other
    for song, value, divisor in zip(songs, values, divisors, strict=True):
        sums[song] = sums.get(song, np.zeros(2)) + np.array([value, divisor])

    # What training.distribution.bootstrap_interval does, all draws at once: there are hundreds of intervals.
    of_songs = np.stack([sums[song] for song in sorted(sums)])
    draws = np.random.default_rng(seed).integers(len(of_songs), size=(RESAMPLES, len(of_songs)))
    totals = of_songs[draws].sum(axis=1)
    low, high = np.quantile(totals[:, 0] / np.maximum(totals[:, 1], 1e-12), [0.025, 0.975])
    return float(low), float(high)


class Reference:
    """Embeddings of real clips of each style, which sets of translations should be like.

    Args:
        embeddings: (clips, embedding_size) of each style; styles with fewer than `LEAST_REFERENCE` are left out.
    """

    def __init__(self, embeddings: Mapping[str, np.ndarray]) -> None:
        self.embeddings = {style: clips for style, clips in embeddings.items() if len(clips) >= LEAST_REFERENCE}
        self.bandwidth = common_bandwidth(self.embeddings.values())
        self._floors: dict[tuple[int, int], dict[str, float]] = {}  # several tiers ask for the same

    @property
    def clips_per_style(self) -> int:
        """The smallest number of clips that a style is compared with; 0 where there are none."""
        return min((len(clips) for clips in self.embeddings.values()), default=0)

    def kernel_distance(self, judged: np.ndarray, expected: np.ndarray) -> float:
        """Kernel audio distance with the common bandwidth."""
        return kernel_audio_distance(judged, expected, self.bandwidth)

    def distances(self, outputs: Mapping[str, np.ndarray]) -> dict[str, float] | None:
        """Mean over the target styles of the distances of their outputs from their real clips.

        Args:
            outputs: embeddings (clips, embedding_size) by target style; styles with one output do not count.

        Returns:
            `kad`, `fad` and `clips`, how many outputs were compared; None where no style has two.
        """
        usable = {
            style: clips for style, clips in outputs.items() if len(clips) >= LEAST_CLIPS and style in self.embeddings
        }
        if not usable:
            return None
        return {
            "kad": self._mean(usable, self.kernel_distance),
            "fad": self._mean(usable, small_frechet_distance),
            "clips": sum(map(len, usable.values())),
        }

    def _mean(self, outputs: Mapping[str, np.ndarray], distance: Callable[[np.ndarray, np.ndarray], float]) -> float:
        return statistics.fmean(distance(clips, self.embeddings[style]) for style, clips in outputs.items())

    def floor(self, clips: int, seed: int = 0) -> dict[str, float]:
        """What the distances come to where nothing differs: so many real clips of a style against its others.

        Args:
            clips: of a style on the judged side; at most half of the reference is taken.
            seed: of the choice.
        """
        means: dict[str, float] = {}
        if (clips, seed) in self._floors:
            return dict(self._floors[clips, seed])
        for name, distance in (("kad", self.kernel_distance), ("fad", small_frechet_distance)):

            def unequal(one: np.ndarray, other: np.ndarray, distance: object = distance) -> float:
                taken = max(LEAST_CLIPS, min(clips, len(one)))
                return distance(one[:taken], np.concatenate([one[taken:], other]))  # type: ignore[operator]

            values = [
                real_against_real(reference, unequal, FLOOR_REPEATS, seed).mean()
                for reference in self.embeddings.values()
            ]
            means[name] = float(np.mean(values)) if values else float("nan")
        self._floors[clips, seed] = dict(means)
        return means


def small_frechet_distance(judged: np.ndarray, expected: np.ndarray) -> float:
    """Fréchet audio distance of few clips: the same, in the space that the clips span, which is quicker by far."""
    both = np.concatenate([judged, expected]).astype(np.float64)
    if len(both) > both.shape[1]:
        return frechet_audio_distance(judged, expected)
    centred = both - both.mean(axis=0)
    basis = np.linalg.svd(centred, full_matrices=False)[2]
    small = centred @ basis.T
    return frechet_audio_distance(small[: len(judged)], small[len(judged) :])


def read_reference(
    judge: Judge, clips: Sequence[Clip], styles: Sequence[str], excerpts: Excerpts, per_style: int | None = None
) -> Reference:
    """Listen to real clips of each style.

    Args:
        judge: the classifier.
        clips: of these, those of the styles are taken.
        styles: the target styles.
        excerpts: what is heard of each.
        per_style: at most so many, evenly spread; None for all.
    """
    embeddings = {}
    for style in styles:
        paths: list[Path] = sorted(clip.path for clip in clips if clip.genre == style)
        if per_style is not None and len(paths) > per_style:
            paths = [paths[index * len(paths) // per_style] for index in range(per_style)]
        vectors = [judge.listen(excerpts.load(path)).embedding for path in paths]
        embeddings[style] = np.stack(vectors) if vectors else np.zeros((0, 1))
    return Reference(embeddings)
