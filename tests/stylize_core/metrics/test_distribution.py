"""Distances between sets of embeddings: closed forms, a plain implementation, floors, intervals, refusals."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from stylize_core.metrics.distribution import (
    common_bandwidth,
    frechet_audio_distance,
    gaussian_frechet_distance,
    kernel_audio_distance,
    median_distance,
    paired_kernel_terms,
    real_against_real,
)

RNG = np.random.default_rng


def with_moments(clips: int, mean: np.ndarray, covariance: np.ndarray, seed: int) -> np.ndarray:
    """Embeddings whose sample mean and covariance are exactly the given ones."""
    raw = RNG(seed).standard_normal((clips, len(mean)))
    raw -= raw.mean(axis=0)
    whitened = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return mean + whitened @ np.linalg.cholesky(covariance).T


def plain_distance(embeddings: np.ndarray, reference: np.ndarray, bandwidth: float, biased: bool) -> float:
    """The definition, sum by sum."""

    def mean_kernel(one: np.ndarray, other: np.ndarray, same: bool) -> float:
        terms = [
            math.exp(-sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) / (2 * bandwidth**2))
            for i, x in enumerate(one)
            for j, y in enumerate(other)
            if biased or not same or i != j
        ]
        return sum(terms) / len(terms)

    within = mean_kernel(embeddings, embeddings, True) + mean_kernel(reference, reference, True)
    return 100 * (within - 2 * mean_kernel(embeddings, reference, False))


@pytest.mark.parametrize("biased", [False, True])
def test_kernel_distance_is_the_plain_double_loop(biased: bool) -> None:
    embeddings, reference = RNG(0).standard_normal((7, 3)) + 0.5, RNG(1).standard_normal((9, 3))
    distances = [math.dist(reference[i], reference[j]) for i in range(9) for j in range(i)]
    bandwidth = float(np.median(distances))
    assert median_distance(reference) == pytest.approx(bandwidth, rel=1e-12)
    for width in (None, 0.7):
        expected = plain_distance(embeddings, reference, width or bandwidth, biased)
        assert kernel_audio_distance(embeddings, reference, width, biased) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_of_two_points_by_hand() -> None:
    # Sets {0, 2} and {1, 3}, bandwidth 2: kernels of distance 1, 2, 3 are e^(-1/8), e^(-1/2), e^(-9/8).
    one, two, three = (math.exp(-(distance**2) / 8) for distance in (1, 2, 3))
    sets = np.array([[0.0], [2.0]]), np.array([[1.0], [3.0]])
    across = (3 * one + three) / 4
    assert kernel_audio_distance(*sets) == pytest.approx(200 * (two - across), rel=1e-12)
    assert kernel_audio_distance(*sets, biased=True) == pytest.approx(200 * ((1 + two) / 2 - across), rel=1e-12)


def test_equal_sets_are_at_no_distance() -> None:
    clips = RNG(0).standard_normal((40, 64))  # fewer clips than components: singular covariances
    shuffled = RNG(1).permutation(clips)
    assert kernel_audio_distance(clips, clips, biased=True) == 0.0
    assert 0 <= kernel_audio_distance(shuffled, clips, biased=True) < 1e-10
    assert 0 <= frechet_audio_distance(clips, clips) < 1e-9
    assert 0 <= frechet_audio_distance(shuffled, clips) < 1e-9
    # What the unbiased estimator says of copies is below what it says of anything real.
    assert kernel_audio_distance(clips, clips) < -1


def test_frechet_distance_of_gaussians_in_closed_form() -> None:
    # Axes of deviations (1, 2) against (3, 1), means (3, 4) apart: 25 + (1 - 3)^2 + (2 - 1)^2.
    axes = [np.diag([1.0, 4.0]), np.diag([9.0, 1.0])]
    first, second = (
        with_moments(50, mean, axis, seed)
        for seed, (mean, axis) in enumerate(zip(np.array([[0, 0], [3, 4]]), axes, strict=True))
    )
    assert frechet_audio_distance(first, second) == pytest.approx(30.0, rel=1e-9)
    assert frechet_audio_distance(second, first) == pytest.approx(30.0, rel=1e-9)
    # Turned against each other, covariances do not commute; in two dimensions tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt|AB|).
    turn = np.array([[math.cos(0.7), -math.sin(0.7)], [math.sin(0.7), math.cos(0.7)]])
    turned = turn @ axes[1] @ turn.T
    root = math.sqrt(np.trace(axes[0] @ turned) + 2 * math.sqrt(np.linalg.det(axes[0]) * np.linalg.det(turned)))
    third = with_moments(50, np.zeros(2), turned, 2)
    assert frechet_audio_distance(first, third) == pytest.approx(5 + 10 - 2 * root, rel=1e-9)
    # Flat clouds, one along each axis: nothing of one is in the other.
    flat = [
        gaussian_frechet_distance(np.zeros(2), axis, np.zeros(2), np.diag([0.0, 9.0]))
        for axis in (np.diag([4.0, 0.0]), np.diag([0.0, 4.0]))
    ]
    assert flat == pytest.approx([13.0, 1.0], rel=1e-9)
    assert gaussian_frechet_distance(np.zeros(1), np.array(4.0), np.ones(1), np.array(9.0)) == pytest.approx(2.0)


def test_halves_of_a_set_are_near_the_floor_and_others_are_not() -> None:
    clips = RNG(0).standard_normal((400, 8))
    first, second = clips[:200], clips[200:]
    for distance in (frechet_audio_distance, kernel_audio_distance, partial(kernel_audio_distance, biased=True)):
        floor = real_against_real(clips, distance, repeats=30, seed=1)
        assert floor.shape == (30,) and floor.std() > 0
        assert abs(distance(first, second) - floor.mean()) < 4 * floor.std()
        assert distance(first, second + 0.5) > floor.mean() + 10 * floor.std()
        np.testing.assert_array_equal(floor, real_against_real(clips, distance, repeats=30, seed=1))
        assert not np.array_equal(floor, real_against_real(clips, distance, repeats=30, seed=2))
    unbiased = real_against_real(clips, kernel_audio_distance, repeats=100)
    assert abs(unbiased.mean()) < 3 * unbiased.std() / math.sqrt(100) + 0.05


def test_distances_grow_with_a_shift() -> None:
    clips, other = RNG(0).standard_normal((100, 16)), RNG(1).standard_normal((90, 16))
    for distance in (frechet_audio_distance, kernel_audio_distance, partial(kernel_audio_distance, biased=True)):
        values = [distance(other + shift, clips) for shift in (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)]
        assert values == sorted(values) and values[-1] > values[0] + 10
    base = frechet_audio_distance(other, other)
    assert frechet_audio_distance(other + 0.5, other) - base == pytest.approx(16 * 0.25, rel=1e-9)


def test_paired_terms_are_what_the_biased_distance_is_made_of() -> None:
    reference = RNG(0).standard_normal((12, 5))
    embeddings = reference + 0.3 * RNG(1).standard_normal((12, 5))
    width = median_distance(reference)
    terms = paired_kernel_terms(embeddings, reference)
    assert terms.mean() == pytest.approx(kernel_audio_distance(embeddings, reference, biased=True), rel=1e-9)
    drawn = [3, 3, 0, 7]
    expected = kernel_audio_distance(embeddings[drawn], reference[drawn], width, biased=True)
    assert terms[np.ix_(drawn, drawn)].mean() == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="got 11 and 12 clips"):
        paired_kernel_terms(embeddings[1:], reference)


def test_tensors_are_as_good_as_arrays() -> None:
    embeddings, reference = (RNG(seed).standard_normal((5, 3)).astype(np.float32) for seed in (0, 1))
    tensors = torch.from_numpy(embeddings).requires_grad_(), torch.from_numpy(reference)
    for distance in (frechet_audio_distance, kernel_audio_distance):
        assert distance(*tensors) == distance(embeddings, reference)


def test_the_common_bandwidth_is_the_median_of_the_styles_own() -> None:
    line = np.array([[0.0], [1.0], [2.0]])  # distances 1, 1 and 2
    assert common_bandwidth([line, 3 * line, 7 * line]) == 3.0
    assert common_bandwidth([]) == 1.0


def test_refusals() -> None:
    clips = RNG(0).standard_normal((6, 4))
    broken = clips.copy()
    broken[2, 1] = np.nan
    for distance in (frechet_audio_distance, kernel_audio_distance):
        for pair in ((clips[:1], clips), (clips, clips[:1])):
            with pytest.raises(ValueError, match=r"shape \(1, 4\), expected \(n, d\) with at least 2 clips"):
                distance(*pair)
        for pair in ((broken, clips), (clips, broken)):
            with pytest.raises(ValueError, match="NaN or infinite"):
                distance(*pair)
        with pytest.raises(ValueError, match="4 and of 3 components"):
            distance(clips, clips[:, :3])
        with pytest.raises(ValueError, match=r"shape \(4,\)"):
            distance(clips[0], clips)
    with pytest.raises(ValueError, match="bandwidth 0.0"):
        kernel_audio_distance(clips, clips, bandwidth=0.0)
    with pytest.raises(ValueError, match="equal embeddings"):
        kernel_audio_distance(clips, np.ones((6, 4)))
    with pytest.raises(ValueError, match="got 3 clips, expected at least 4"):
        real_against_real(clips[:3], frechet_audio_distance)
