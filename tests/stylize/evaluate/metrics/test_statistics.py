"""Statistics by values worked out by hand, and against scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from stylize.evaluate.metrics.statistics import (
    bootstrap_interval,
    holm,
    mean_interval,
    signed_rank_p,
    summarize,
    wilson_interval,
)


def interval(groups: list[list[float]], seed: int = 0, resamples: int = 10000) -> tuple[float, float]:
    values = [value for group in groups for value in group]
    labels = [number for number, group in enumerate(groups) for _ in group]
    return mean_interval(values, labels, resamples=resamples, seed=seed)


def test_signed_rank_by_hand() -> None:
    # All six differences positive: of the 2^6 signs two are as extreme, so p = 2/64.
    assert signed_rank_p([1, 2, 3, 4, 5, 6]) == pytest.approx(2 / 64)
    # Only the largest is negative: W = 6; 14 of the 64 subsets of 1..6 add up to 6 or less, so p = 28/64.
    assert signed_rank_p([1, 2, 3, 4, 5, -6]) == pytest.approx(28 / 64)
    # Zeros are left out before ranks are given: the third of six is negative, and 5 of 64 subsets add up to 3 or less.
    assert signed_rank_p([0, 1, 2, -3, 4, 5, 6]) == pytest.approx(10 / 64)
    assert signed_rank_p([0, 0, 0]) == 1.0
    assert signed_rank_p([]) == 1.0


def test_signed_rank_is_what_enumeration_gives() -> None:
    differences = np.array([0.5, -1.5, 2.5, 3.5, -4.5, 5.5, 6.5, 7.5])
    ranks = np.arange(1, 9)
    observed = ranks[differences > 0].sum()
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product((0, 1), repeat=8)
    ]
    tail = min(np.mean([total >= observed for total in sums]), np.mean([total <= observed for total in sums]))
    assert signed_rank_p(list(differences)) == pytest.approx(2 * tail)


def test_holm_by_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04, times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, and the last may not be below 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


@pytest.mark.parametrize(("wins", "count"), [(0, 1), (0, 9), (1, 2), (6, 8), (50, 100), (9, 9)])
def test_wilson_s_interval_is_scipy_s(wins: int, count: int) -> None:
    expected = stats.binomtest(wins, count).proportion_ci(method="wilson")
    assert wilson_interval(wins / count, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_as_many_listeners_are_drawn_as_there_are() -> None:
    # Of four, the one with 8 is drawn k times, binomial (4, 1/4): k = 3 is the 97.5 % point, and 3 * 8 / 4 = 6.
    assert interval([[0], [0], [0], [8]]) == (0.0, 6.0)


def test_intervals_agree_with_scipy() -> None:
    values = np.random.default_rng(0).normal(60, 15, size=(25, 4))
    low, high = interval([list(row) for row in values])
    means = (values.mean(axis=1),)
    expected = stats.bootstrap(means, np.mean, n_resamples=20000, method="percentile", rng=np.random.default_rng(1))
    assert low == pytest.approx(expected.confidence_interval.low, abs=0.25)
    assert high == pytest.approx(expected.confidence_interval.high, abs=0.25)


def test_listeners_are_drawn_and_not_ratings() -> None:
    """Ratings that agree within listeners and differ between them are worth as much as the listeners."""
    groups = [[float(10 * listener)] * 50 for listener in range(10)]
    low, high = interval(groups)
    alone_low, alone_high = interval([[value] for group in groups for value in group])
    assert (high - low) > 4 * (alone_high - alone_low)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    chance = np.random.default_rng(5)
    held = 0
    for trial in range(300):
        listeners = 50 + chance.normal(0, 10, size=30)
        groups = [list(chance.normal(mean, 5, size=3)) for mean in listeners]
        low, high = interval(groups, seed=trial, resamples=500)
        held += low <= 50 <= high
    assert 0.89 <= held / 300 <= 0.98


def test_whole_songs_are_drawn() -> None:
    songs = ["a"] * 8 + ["b"] * 2
    assert mean_interval([1.0] * 8 + [0.0] * 2, songs) == (0.0, 1.0)
    low, high = mean_interval([1.0] * 8 + [0.0] * 2)
    assert 0.3 < low < 0.8 < high <= 1
    assert mean_interval([1.0, 3.0], divisors=[2.0, 6.0]) == (0.5, 0.5)
    assert summarize([2.0, 2.0]) == {"mean": 2.0, "low": 2.0, "high": 2.0}


def test_any_statistic_of_drawn_groups() -> None:
    values = np.arange(20.0)
    low, high = bootstrap_interval(20, lambda drawn: np.median(values[drawn], axis=1))
    expected = stats.bootstrap((values,), np.median, n_resamples=5000, method="percentile").confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1.5)
    assert bootstrap_interval(20, lambda drawn: values[drawn].mean(axis=1), seed=1) != (low, high)
    with pytest.raises(ValueError, match="no group"):
        mean_interval([])
    with pytest.raises(ValueError, match="not finite"):
        mean_interval([1.0, float("nan")])
