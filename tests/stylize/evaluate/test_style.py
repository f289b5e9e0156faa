"""What the judge says about sets of clips: floors, distances, accuracy, intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.folder import index_folder
from stylize.evaluate.material import Excerpts
from stylize.evaluate.style import (
    Judge,
    Reference,
    interval_over_songs,
    judge_accuracy,
    read_reference,
    small_frechet_distance,
)
from training.distribution import bootstrap_interval, frechet_audio_distance

STYLES = ("jazz", "metal")


def clouds(count: int, seed: int, apart: float = 0.0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {style: generator.standard_normal((count, 6)) + apart + place for place, style in enumerate(STYLES)}


def test_two_halves_of_one_set_are_near_the_floor() -> None:
    whole = clouds(240, seed=0)
    reference = Reference({style: clips[:120] for style, clips in whole.items()})
    other_half = {style: clips[120:] for style, clips in whole.items()}
    distances, floor = reference.distances(other_half), reference.floor(60)
    assert distances is not None and distances["clips"] == 240
    assert abs(distances["kad"]) < 1 and abs(floor["kad"]) < 1
    assert distances["fad"] < floor["fad"] < 1.0
    far = reference.distances(clouds(120, seed=1, apart=1.5))
    assert far is not None and far["kad"] > 20 and far["fad"] > 10


def test_the_other_style_is_far_away() -> None:
    reference = Reference(clouds(40, seed=0))
    right, swapped = clouds(9, seed=1), clouds(9, seed=1)
    swapped["jazz"], swapped["metal"] = swapped["metal"], swapped["jazz"]
    near, far = reference.distances(right), reference.distances(swapped)
    assert near is not None and far is not None and far["kad"] > near["kad"] + 10


def test_the_floor_is_of_as_many_clips() -> None:
    reference = Reference(clouds(40, seed=0))
    few, many = reference.floor(4), reference.floor(20)
    assert few["fad"] > many["fad"] * 1.5  # the bias of few clips
    assert few == reference.floor(4) != reference.floor(4, seed=1)


def test_styles_with_too_few_clips_do_not_count() -> None:
    reference = Reference({"jazz": clouds(10, 0)["jazz"], "metal": clouds(3, 0)["metal"]})
    assert reference.clips_per_style == 10
    outputs = {"jazz": clouds(1, 1)["jazz"], "metal": clouds(5, 1)["metal"]}
    assert reference.distances(outputs) is None
    nothing = Reference({})
    assert nothing.clips_per_style == 0 and np.isnan(nothing.floor(5)["kad"])


def test_untouched_clips_are_told_right(small_corpus: Path, judge: Judge) -> None:
    clips = [clip for clip in index_folder(small_corpus) if clip.split == "test"]
    accuracy = judge_accuracy(judge, clips, Excerpts(2.0))
    assert (accuracy.clips, accuracy.right, accuracy.low, accuracy.high) == (4, 1.0, 1.0, 1.0)
    assert accuracy.by_style == {"jazz": 1.0, "metal": 1.0}


def test_reference_clips_are_spread_evenly(small_corpus: Path, judge: Judge) -> None:
    clips, excerpts = index_folder(small_corpus), Excerpts(2.0)
    everything = read_reference(judge, clips, STYLES, excerpts)
    part = read_reference(judge, clips, STYLES, excerpts, per_style=4)
    assert everything.clips_per_style == 8
    np.testing.assert_array_equal(part.embeddings["jazz"], everything.embeddings["jazz"][::2])
    assert read_reference(judge, clips, ("polka",), excerpts).clips_per_style == 0


def test_whole_songs_are_drawn() -> None:
    songs = ["a"] * 8 + ["b"] * 2
    assert interval_over_songs(songs, [1.0] * 8 + [0.0] * 2) == (0.0, 1.0)
    low, high = interval_over_songs([str(index) for index in range(10)], [1.0] * 8 + [0.0] * 2)
    assert 0.3 < low < 0.8 < high <= 1
    assert interval_over_songs(["a", "b"], [1.0, 3.0], other=[2.0, 6.0]) == (0.5, 0.5)


@pytest.mark.parametrize("clips", [3, 12, 40])
def test_frechet_distance_of_few_clips_is_the_same(clips: int) -> None:
    generator = np.random.default_rng(0)
    judged, expected = generator.standard_normal((clips, 30)), generator.standard_normal((8, 30)) + 0.5
    assert small_frechet_distance(judged, expected) == pytest.approx(frechet_audio_distance(judged, expected), rel=1e-6)


def test_an_interval_is_the_percentile_bootstrap() -> None:
    values = np.random.default_rng(0).standard_normal(12)
    songs = [f"{number:02}" for number in range(12)]
    assert interval_over_songs(songs, values.tolist(), seed=3) == pytest.approx(bootstrap_interval(values, seed=3))
