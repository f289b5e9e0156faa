"""Distances of sets of clips from real ones, and their floors."""

from __future__ import annotations

import numpy as np

from stylize.evaluate.metrics.style import Reference

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
