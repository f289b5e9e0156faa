"""Distances of translations from real songs: by hand, beside the distance of sets, and where nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from stylize_core.metrics.distribution import kernel_audio_distance
from travelgan.validation import RealSongs


class Ear:
    """An embedding of two numbers: level and deviation."""

    def embed(self, mel: Tensor) -> Tensor:
        return torch.stack([mel.mean(dim=(1, 2)), mel.std(dim=(1, 2))], dim=1)


def songs(level: float, count: int = 6, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [level + 0.1 * torch.randn(8, 20, generator=generator) for _ in range(count)]


@pytest.fixture
def real() -> RealSongs:
    mels = [*songs(-3.0), *songs(-1.0, seed=1)]
    return RealSongs(Ear(), mels, [0] * 6 + [2] * 6)  # type: ignore[arg-type]


def test_songs_of_the_style_are_near_and_others_are_far(real: RealSongs) -> None:
    own, other, between = (real.distance(songs(level, seed=5), [0] * 6) for level in (-3.0, -1.0, -2.9))
    assert own is not None and other is not None and between is not None
    assert abs(own) < 15 and other > 100
    assert own < between < other


def test_it_is_the_mean_over_styles_of_the_kernel_distance_with_one_bandwidth(real: RealSongs) -> None:
    mels, styles = [*songs(-2.9, 3), *songs(-1.1, 4)], [0] * 3 + [2] * 4
    embed = lambda some: Ear().embed(torch.stack(some)).numpy()  # noqa: E731
    expected = np.mean(
        [
            kernel_audio_distance(embed(mels[:3]), embed(songs(-3.0)), real.bandwidth),
            kernel_audio_distance(embed(mels[3:]), embed(songs(-1.0, seed=1)), real.bandwidth),
        ]
    )
    assert real.distance(mels, styles) == pytest.approx(expected, rel=1e-4)
    mixed = [3, 0, 4, 1, 5, 2, 6]
    assert real.distance([mels[i] for i in mixed], [styles[i] for i in mixed]) == pytest.approx(expected, rel=1e-4)


def test_what_has_no_spread_or_no_songs_is_left_out(real: RealSongs) -> None:
    assert real.distance(songs(-3.0, 1), [0]) is None
    assert real.distance(songs(-3.0, 4), [1] * 4) is None
    both = real.distance([*songs(-3.0, 4), *songs(-3.0, 4)], [0] * 4 + [1] * 4)
    assert both == real.distance(songs(-3.0, 4), [0] * 4)
    one = songs(-3.0, 1) * 4  # a short song whose stretches are all the same
    assert RealSongs(Ear(), one, [0] * 4).distance(songs(-3.0), [0] * 6) is None  # type: ignore[arg-type]
