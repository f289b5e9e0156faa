"""How far translations are from real songs of their style, by the embeddings of a genre classifier.

A rate of classified styles does not see whether a translation sounds like music or like the mean of much music; a
distance between sets does.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from stylize_core.classifier import GenreClassifier
from stylize_core.metrics.distribution import MIN_CLIPS, common_bandwidth, kernel_audio_distance


class RealSongs:
    """Embeddings of real songs of each style, which translations are compared with.

    Args:
        classifier: whose embeddings are used; trained apart from the translator.
        mels: (n_mels, T) log10 of real songs.
        styles: number of the style of each; styles with fewer than two songs that differ are left out.
    """

    def __init__(self, classifier: GenreClassifier, mels: Sequence[Tensor], styles: Sequence[int]) -> None:
        self.classifier = classifier
        distinct = {style: np.unique(vectors, axis=0) for style, vectors in self._embed(mels, styles).items()}
        self.embeddings = {style: vectors for style, vectors in distinct.items() if len(vectors) >= MIN_CLIPS}
        self.bandwidth = common_bandwidth(self.embeddings.values())

    def distance(self, mels: Sequence[Tensor], styles: Sequence[int]) -> float | None:
        """Kernel audio distance of sounds from the real songs of a style, mean over the styles.

        Args:
            mels: (n_mels, T) log10 of the sounds.
            styles: number of the style that each should have.

        Returns:
            about 0 for real songs, up to 200; None where no style has two sounds and two real songs.
        """
        embedded = self._embed(mels, styles)
        distances = [
            kernel_audio_distance(sounds, self.embeddings[style], self.bandwidth)
            for style, sounds in embedded.items()
            if style in self.embeddings and len(sounds) >= MIN_CLIPS
        ]
        return statistics.fmean(distances) if distances else None

    @torch.no_grad()
    def _embed(self, mels: Sequence[Tensor], styles: Sequence[int]) -> Mapping[int, np.ndarray]:
        found: dict[int, list[np.ndarray]] = {}
        for mel, style in zip(mels, styles, strict=True):
            found.setdefault(style, []).append(self.classifier.embed(mel[None])[0].float().numpy())
        return {style: np.stack(vectors) for style, vectors in sorted(found.items())}
