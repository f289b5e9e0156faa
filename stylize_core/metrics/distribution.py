"""Distances between sets of embeddings: kernel and Fréchet audio distance, and their floors.

They need no pairs of clips. Read each figure beside :func:`real_against_real` and the number of clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from torch import Tensor

Embeddings = np.ndarray | Tensor
Distance = Callable[[np.ndarray, np.ndarray], float]

KERNEL_SCALE = 100.0
"""Kernel audio distances are given times this, as in the paper."""
MIN_CLIPS = 2
"""One clip has no spread."""


def kernel_audio_distance(
    embeddings: Embeddings, reference: Embeddings, bandwidth: float | None = None, biased: bool = False
) -> float:
    """Kernel audio distance (KAD, arXiv 2502.15602, section 3): squared maximum mean discrepancy, times 100.

    The kernel is exp(-|x - y|^2 / (2 bandwidth^2)). The unbiased estimator is right for independent sets, does not
    depend on the number of clips, and scatters about 0 for equal distributions. The biased one (V-statistic) is never
    negative, and 0 for equal sets; copy synthesis, whose outputs are paired with the originals, needs it.

    Args:
        embeddings: of the clips to measure.
        reference: of the clips they should be like.
        bandwidth: of the kernel; by default :func:`median_distance` of the reference. Give one number for all rows
            of a table that have different references.
        biased: use the V-statistic.

    Shape:
        (n, d) and (m, d) -> about 0 to 200.

    Raises:
        ValueError: see :func:`check_embeddings`; a bandwidth that is not positive.
    """
    measured, expected = check_embeddings(embeddings, reference)
    width = median_distance(expected) if bandwidth is None else _check_bandwidth(bandwidth)
    within = [_gaussian_kernel(clips, clips, width) for clips in (measured, expected)]
    across = _gaussian_kernel(measured, expected, width).mean()
    means = [kernel.mean() if biased else _mean_off_diagonal(kernel) for kernel in within]
    squared = float(means[0] + means[1] - 2 * across)
    return KERNEL_SCALE * (max(squared, 0.0) if biased else squared)


def paired_kernel_terms(embeddings: Embeddings, reference: Embeddings, bandwidth: float | None = None) -> np.ndarray:
    """Terms of the biased kernel audio distance of paired sets, whose mean it is, for a bootstrap over pairs.

    Shape:
        (n, d) and (n, d) -> (n, n), symmetric.
    """
    measured, expected = check_embeddings(embeddings, reference)
    if len(measured) != len(expected):
        raise ValueError(f"got {len(measured)} and {len(expected)} clips, expected pairs")
    width = median_distance(expected) if bandwidth is None else _check_bandwidth(bandwidth)
    across = _gaussian_kernel(measured, expected, width)
    within = _gaussian_kernel(measured, measured, width) + _gaussian_kernel(expected, expected, width)
    return np.asarray(KERNEL_SCALE * (within - across - across.T))


def median_distance(reference: Embeddings) -> float:
    """Median Euclidean distance between two different clips of a set: the bandwidth of the paper (section 3.2).

    Shape: (n, d) -> above 0.
    """
    from scipy.spatial.distance import pdist

    (expected,) = check_embeddings(reference)
    median = float(np.median(pdist(expected)))
    if not median > 0:
        raise ValueError("most clips of the reference have equal embeddings; give other clips or a bandwidth")
    return median


def common_bandwidth(references: Iterable[Embeddings]) -> float:
    """One bandwidth for the sets of several styles: distances with bandwidths of their own would not be in one unit.

    Returns:
        the median of their :func:`median_distance`; 1 where there is no set.
    """
    medians = [median_distance(reference) for reference in references]
    return float(np.median(medians)) if medians else 1.0


def frechet_audio_distance(embeddings: Embeddings, reference: Embeddings) -> float:
    """Fréchet audio distance (FAD, arXiv 1812.08466, section 3) of the Gaussians that fit two sets.

    Biased by the number of clips, unlike :func:`kernel_audio_distance`: compare equal numbers of clips only, and use
    more clips than the embedding has components.

    Shape:
        (n, d) and (m, d) -> 0 or more, in squared units of the embedding.
    """
    measured, expected = check_embeddings(embeddings, reference)
    both = np.concatenate([measured, expected])
    if len(both) <= both.shape[1]:  # the same distance, faster, in the space that the clips span
        both = (both - both.mean(axis=0)) @ np.linalg.svd(both - both.mean(axis=0), full_matrices=False)[2].T
        measured, expected = both[: len(measured)], both[len(measured) :]
    moments = [(clips.mean(axis=0), np.cov(clips, rowvar=False, ddof=1)) for clips in (measured, expected)]
    return gaussian_frechet_distance(*moments[0], *moments[1])


def gaussian_frechet_distance(
    mean: np.ndarray, covariance: np.ndarray, reference_mean: np.ndarray, reference_covariance: np.ndarray
) -> float:
    """Squared Fréchet (Wasserstein-2) distance of two Gaussians (Dowson and Landau, 1982).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). The trace of the last root is the sum of the singular values of
    C1^(1/2) C2^(1/2); both roots come from eigendecompositions of symmetric matrices, so nothing turns complex.

    Shape:
        (d,), (d, d), (d,), (d, d) -> 0 or more; covariances symmetric, one component may be given as a scalar.
    """
    roots, traces = [], []
    for matrix in (covariance, reference_covariance):
        values, vectors = np.linalg.eigh(np.atleast_2d(np.asarray(matrix, dtype=np.float64)))
        values = values.clip(min=0.0)
        roots.append((vectors * np.sqrt(values)) @ vectors.T)
        traces.append(values.sum())
    shared = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    shift = np.square(np.asarray(mean, dtype=np.float64) - np.asarray(reference_mean, dtype=np.float64)).sum()
    return max(0.0, float(shift + traces[0] + traces[1] - 2 * shared))


def real_against_real(reference: Embeddings, distance: Distance, repeats: int = 20, seed: int = 0) -> np.ndarray:
    """Distances between random halves of one set: what a measure says where nothing differs.

    The halves are half as large as the set, which raises measures that are biased by the number of clips.

    Shape:
        (n, d) -> (repeats,).
    """
    (clips,) = check_embeddings(reference)
    half = len(clips) // 2
    if half < MIN_CLIPS:
        raise ValueError(f"got {len(clips)} clips, expected at least {2 * MIN_CLIPS} for two halves")
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(repeats):
        order = generator.permutation(len(clips))
        values.append(distance(clips[order[:half]], clips[order[half : 2 * half]]))
    return np.array(values)


def check_embeddings(*sets: Embeddings) -> list[np.ndarray]:
    """Sets of embeddings in double precision.

    Raises:
        ValueError: not (n, d), fewer than 2 clips, NaN or infinite values, different widths.
    """
    checked = [
        np.asarray(clips.detach().cpu() if isinstance(clips, Tensor) else clips, dtype=np.float64) for clips in sets
    ]
    for clips in checked:
        if clips.ndim != 2 or len(clips) < MIN_CLIPS or not clips.shape[1]:
            raise ValueError(f"got embeddings of shape {clips.shape}, expected (n, d) with at least {MIN_CLIPS} clips")
        if not np.isfinite(clips).all():
            raise ValueError("got embeddings that are NaN or infinite, expected finite ones")
        if clips.shape[1] != checked[0].shape[1]:
            raise ValueError(f"got embeddings of {checked[0].shape[1]} and of {clips.shape[1]} components")
    return checked


def _gaussian_kernel(one: np.ndarray, other: np.ndarray, bandwidth: float) -> np.ndarray:
    from scipy.spatial.distance import cdist

    return np.asarray(np.exp(cdist(one, other, "sqeuclidean") / (-2 * bandwidth**2)))


def _mean_off_diagonal(kernel: np.ndarray) -> float:
    return float((kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1)))


def _check_bandwidth(bandwidth: float) -> float:
    if not (np.isfinite(bandwidth) and bandwidth > 0):
        raise ValueError(f"got bandwidth {bandwidth}, expected a positive number")
    return bandwidth
