"""Bootstrap intervals, Wilson's interval, Holm's correction and the tests that tables use."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 1000

Statistic = Callable[[np.ndarray], np.ndarray]


def bootstrap_interval(
    groups: int, statistic: Statistic, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval (Efron, 1979) of a statistic.

    Args:
        groups: number of groups, drawn with replacement.
        statistic: of drawn group indices, (resamples, groups) -> (resamples,).
        resamples: number of draws.
        seed: of the draws.
    """
    if groups < 1:
        raise ValueError("got no group, expected at least one")
    found = statistic(np.random.default_rng(seed).integers(groups, size=(resamples, groups)))
    if not np.isfinite(found).all():
        raise ValueError("got values that are not finite, expected finite ones")
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def mean_interval(
    values: Sequence[float] | np.ndarray,
    groups: Sequence[Any] | None = None,
    divisors: Sequence[float] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """The bootstrap interval of a mean, or of a ratio of means.

    Args:
        values: one for each clip.
        groups: the song or listener of each value, drawn together; None for one group per value.
        divisors: values whose mean is the divisor of the ratio.
        resamples: number of draws.
        seed: of the draws.
    """
    names, index = np.unique(np.arange(len(values)) if groups is None else np.asarray(groups), return_inverse=True)
    totals = np.bincount(index, weights=np.asarray(values, dtype=np.float64), minlength=len(names))
    weights = None if divisors is None else np.asarray(divisors, dtype=np.float64)
    counts = np.bincount(index, weights=weights, minlength=len(names))

    def ratio(drawn: np.ndarray) -> np.ndarray:
        return np.asarray(totals[drawn].sum(axis=1) / np.maximum(counts[drawn].sum(axis=1), 1e-12))

    return bootstrap_interval(len(names), ratio, resamples, seed)


def summarize(
    values: Sequence[float], groups: Sequence[Any] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Mean, and `low` and `high` of its interval."""
    low, high = mean_interval(values, groups, resamples=resamples, seed=seed)
    return {"mean": statistics.fmean(values), "low": low, "high": high}


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval (1927) of a share of `count` draws; scipy's takes whole numbers of successes alone."""
    z = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z / (1 + z**2 / count) * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    return max(0.0, center - spread), min(1.0, center + spread)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted by Holm's method; statsmodels takes 90 ms for what are three lines, and brings pandas."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(np.arange(len(order), 0, -1) * np.asarray(p_values)[order]).clip(max=1.0)
    return adjusted.tolist()


def signed_rank_p(differences: Sequence[float]) -> float:
    """P of the two-sided Wilcoxon signed-rank test; 1 where no difference is other than 0."""
    from scipy.stats import wilcoxon

    if not any(differences):
        return 1.0
    return float(wilcoxon(differences, zero_method="wilcox", alternative="two-sided").pvalue)


def binomial_p(wins: int, count: int) -> float:
    """P of the two-sided binomial test against one half; 1 for no draws."""
    from scipy.stats import binomtest

    return float(binomtest(wins, count, 0.5).pvalue) if count else 1.0
