"""Distances of translations from real clips of their target styles, by embeddings of the classifier."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

import numpy as np

from stylize_core.metrics.distribution import (
    MIN_CLIPS,
    Distance,
    common_bandwidth,
    frechet_audio_distance,
    kernel_audio_distance,
    real_against_real,
)

MIN_REFERENCE = 2 * MIN_CLIPS
"""Clips of a style, two halves of which can be compared."""
FLOOR_REPEATS = 20


class Reference:
    """Embeddings of real clips, (clips, embedding_size), of each style with at least `MIN_REFERENCE`."""

    def __init__(self, embeddings: Mapping[str, np.ndarray]) -> None:
        self.embeddings = {style: clips for style, clips in embeddings.items() if len(clips) >= MIN_REFERENCE}
        bandwidth = common_bandwidth(self.embeddings.values())
        self._metrics: dict[str, Distance] = {
            "kad": lambda clips, expected: kernel_audio_distance(clips, expected, bandwidth),
            "fad": frechet_audio_distance,
        }
        self._floors: dict[tuple[int, int], dict[str, float]] = {}

    @property
    def clips_per_style(self) -> int:
        """The smallest number of clips of a style."""
        return min((len(clips) for clips in self.embeddings.values()), default=0)

    def distances(self, outputs: Mapping[str, np.ndarray]) -> dict[str, float] | None:
        """Mean distances of outputs, (clips, embedding_size), over target styles with two or more, and their number."""
        usable = {
            style: clips for style, clips in outputs.items() if len(clips) >= MIN_CLIPS and style in self.embeddings
        }
        if not usable:
            return None
        means = {
            name: statistics.fmean(metric(clips, self.embeddings[style]) for style, clips in usable.items())
            for name, metric in self._metrics.items()
        }
        return means | {"clips": sum(map(len, usable.values()))}

    def floor(self, clips: int, seed: int = 0) -> dict[str, float]:
        """The distances of a number of real clips of a style to its others."""
        if (clips, seed) not in self._floors:
            floors = {name: self._floor(metric, clips, seed) for name, metric in self._metrics.items()}
            self._floors[clips, seed] = floors
        return dict(self._floors[clips, seed])

    def _floor(self, metric: Distance, clips: int, seed: int) -> float:
        def unequal(one: np.ndarray, other: np.ndarray) -> float:
            taken = max(MIN_CLIPS, min(clips, len(one)))
            return metric(one[:taken], np.concatenate([one[taken:], other]))

        values = [real_against_real(clips, unequal, FLOOR_REPEATS, seed).mean() for clips in self.embeddings.values()]
        return float(np.mean(values)) if values else float("nan")
