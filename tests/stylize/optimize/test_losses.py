"""Losses by hand, against finite differences, and against the loops of their definitions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from stylize.optimize.losses import (
    bound_penalty,
    gram_matrix,
    histogram_loss,
    sort_channels,
    squared_distance,
    total_variation,
)

Loss = Callable[[Tensor], Tensor]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matched_by_numpy(values: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Histogram matching of one channel by plain ranks and NumPy's own quantiles (Hazen's, at (k - 1/2) / n)."""
    ranks = np.array([np.sum(values < value) for value in values])
    return np.quantile(target, (ranks + 0.5) / len(values), method="hazen")


def test_gram_matrix_by_hand() -> None:
    features = torch.tensor([[[1.0, 2.0, 3.0], [0.0, 1.0, -1.0]]])
    # (1 + 4 + 9) / 3, (0 + 2 - 3) / 3, (0 + 1 + 1) / 3.
    expected = torch.tensor([[[14.0, -1.0], [-1.0, 2.0]]]) / 3
    torch.testing.assert_close(gram_matrix(features), expected)


def test_gram_matrix_counts_positions_of_pictures_and_keeps_the_maps_of_a_batch_apart() -> None:
    features = noise(2, 3, 4, 5)
    for one, gram in zip(features, gram_matrix(features), strict=True):
        assert gram[1, 2].item() == pytest.approx(sum((one[1] * one[2]).flatten().tolist()) / 20)


def test_gram_matrix_does_not_know_order_or_length() -> None:
    features = noise(1, 4, 30)
    shuffled = features[..., torch.randperm(30, generator=torch.Generator().manual_seed(1))]
    torch.testing.assert_close(gram_matrix(shuffled), gram_matrix(features))
    torch.testing.assert_close(gram_matrix(features.repeat(1, 1, 2)), gram_matrix(features))


@pytest.mark.parametrize("shape", [(3, 4), (1, 3, 0)])
def test_gram_matrix_needs_positions(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(B, C, positions, ...\), got \("):
        gram_matrix(torch.zeros(shape))


def test_content_and_style_loss_by_hand() -> None:
    first, second = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[4.0, 0.0]]])
    assert squared_distance(first, second).item() == pytest.approx((9 + 4) / 2)
    grams = torch.tensor([[[1.0, 2.0], [2.0, 3.0]]]), torch.tensor([[[0.0, 2.0], [2.0, 0.0]]])
    assert squared_distance(*grams).item() == pytest.approx((1 + 9) / 4)


def test_distances_refuse_what_would_be_broadcast() -> None:
    with pytest.raises(ValueError, match=r"equal shapes, got \(1, 3, 4\) and \(1, 3, 1\)"):
        squared_distance(torch.zeros(1, 3, 4), torch.zeros(1, 3, 1))


def test_total_variation_by_hand() -> None:
    map_ = torch.tensor([[[0.0, 1.0, 3.0], [5.0, 1.0, 3.0]]])
    # Down the rows: |5|, 0, 0 over 3; along the columns: 1, 2, 4, 2 over 4.
    assert total_variation(map_).item() == pytest.approx(5 / 3 + 9 / 4)


def test_total_variation_of_planes_is_their_mean_and_no_edge_counts_between_them() -> None:
    planes = noise(3, 4, 5)
    means = [total_variation(plane[None]) for plane in planes]
    torch.testing.assert_close(total_variation(planes), torch.stack(means).mean())
    flat = torch.tensor([1.0, 7.0])[:, None, None].expand(2, 3, 3)
    assert total_variation(flat).item() == 0


@pytest.mark.parametrize(("shape", "expected"), [((1, 1, 3), 1.5), ((1, 3, 1), 1.5), ((1, 1, 1), 0.0)])
def test_total_variation_of_a_single_row_or_column(shape: tuple[int, ...], expected: float) -> None:
    map_ = torch.tensor([0.0, 1.0, 3.0])[: shape[1] * shape[2]].reshape(shape).requires_grad_()
    value = total_variation(map_)
    assert value.item() == expected
    value.backward()
    assert map_.grad is not None and map_.grad.isfinite().all()


def test_sorted_channels_by_hand() -> None:
    features = torch.tensor([[[[3.0, 1.0], [2.0, 0.0]], [[-1.0, 5.0], [5.0, -2.0]]]])
    assert sort_channels(features).tolist() == [[0.0, 1.0, 2.0, 3.0], [-2.0, -1.0, 5.0, 5.0]]
    with pytest.raises(ValueError, match="a batch of 2"):
        sort_channels(torch.zeros(2, 1, 3))


def test_histogram_loss_by_hand() -> None:
    features = torch.tensor([[[5.0, 1.0, 3.0]]])
    # 1, 3, 5 take the values 0, 4, 4 in this order: squares 1, 1, 1.
    assert histogram_loss(features, torch.tensor([[0.0, 4.0, 4.0]])).item() == pytest.approx(1.0)
    # Quantiles of 0, 10 at 1/6, 3/6 and 5/6, which lie at 1/4 and 3/4: 0, 5, 10.
    assert histogram_loss(features, torch.tensor([[0.0, 10.0]])).item() == pytest.approx((1 + 4 + 25) / 3)
    # Six values for three positions: between each pair.
    six = torch.tensor([[0.0, 2.0, 2.0, 4.0, 4.0, 6.0]])
    assert histogram_loss(features, six).item() == 0


@pytest.mark.parametrize("count", [7, 20, 31])
def test_histogram_loss_equals_numpys_quantiles(count: int) -> None:
    features, target = noise(1, 3, 4, 5), noise(1, 3, count, seed=1)
    squares = [
        (channel - matched_by_numpy(channel, other)) ** 2
        for channel, other in zip(features.reshape(3, 20).numpy(), target[0].numpy(), strict=True)
    ]
    value = histogram_loss(features, sort_channels(target))
    assert value.item() == pytest.approx(np.mean(squares))


def test_histogram_loss_takes_the_matched_values_for_constants() -> None:
    features = noise(1, 2, 9).requires_grad_()
    target = sort_channels(noise(1, 2, 14, seed=1))
    histogram_loss(features, target).backward()
    matched = np.stack([
        matched_by_numpy(channel, other)
        for channel, other in zip(features[0].detach().numpy(), target.numpy(), strict=True)
    ])  # fmt: skip
    expected = 2 * (features.detach() - torch.from_numpy(matched)) / features.numel()
    torch.testing.assert_close(features.grad, expected)


def test_histogram_loss_does_not_know_order_and_counts_channels() -> None:
    features = noise(1, 3, 16)
    assert histogram_loss(features, sort_channels(features.flip(2))).item() == 0
    with pytest.raises(ValueError, match="3 channels and a target of 2"):
        histogram_loss(features, torch.zeros(2, 16))


def test_bound_penalty_by_hand() -> None:
    map_ = torch.tensor([[[-2.0, 0.0, 0.5, 4.0]]])
    assert bound_penalty(map_).item() == pytest.approx((4 + 9) / 4)
    assert bound_penalty(map_, -1.0, 2.0).item() == pytest.approx((1 + 4) / 4)
    inner = map_.clone().requires_grad_()
    value = bound_penalty(inner, 0.0, float("inf"))
    assert value.item() == pytest.approx(1.0)
    value.backward()
    assert inner.grad is not None and inner.grad.tolist() == [[[-1.0, 0.0, 0.0, 0.0]]]


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(lambda x: gram_matrix(x[None]), id="gram_matrix"),
        pytest.param(lambda x: squared_distance(x, noise(3, 5, 6, seed=1)), id="content"),
        pytest.param(lambda x: squared_distance(gram_matrix(x[None]), gram_matrix(noise(1, 3, 9, seed=1))), id="style"),
        pytest.param(total_variation, id="total_variation"),
        pytest.param(lambda x: histogram_loss(x[None], sort_channels(noise(1, 3, 30, seed=1))), id="histogram"),
        pytest.param(lambda x: histogram_loss(x[None], sort_channels(noise(1, 3, 13, seed=1))), id="shorter histogram"),
        pytest.param(lambda x: bound_penalty(x, -0.5, 0.4), id="bound"),
    ],
)
def test_gradients_equal_finite_differences(loss: Loss) -> None:
    assert torch.autograd.gradcheck(loss, (noise(3, 5, 6).requires_grad_(),))


def test_single_precision_stays_single() -> None:
    features = noise(1, 3, 8).float()
    target = sort_channels(noise(1, 3, 5)).float()
    values = [
        squared_distance(gram_matrix(features), gram_matrix(features * 2)),
        squared_distance(features, features * 2),
        total_variation(features),
        histogram_loss(features, target),
        bound_penalty(features),
    ]
    assert {value.dtype for value in values} == {torch.float32}
    assert {tuple(value.shape) for value in values} == {()}
