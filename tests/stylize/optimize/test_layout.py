"""Which axis becomes the channels, on maps small enough to write down."""

from __future__ import annotations

import pytest
import torch

from stylize.optimize.networks import fit_columns, make_layout, network_shape
from stylize_core.errors import UserError

MAP = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
TWO_PLANES = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[7.0, 8.0, 9.0], [10.0, 11.0, 12.0]]])


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("frequency", [[[1, 2, 3], [4, 5, 6]]]),
        ("time", [[[1, 4], [2, 5], [3, 6]]]),
        ("2d", [[[[1, 2, 3], [4, 5, 6]]]]),
    ],
)
def test_one_plane_by_hand(layout: str, expected: list[object]) -> None:
    assert make_layout(layout, (1, 2, 3))(MAP).tolist() == expected


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("frequency", [[[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]]),
        ("time", [[[1, 4], [2, 5], [3, 6], [7, 10], [8, 11], [9, 12]]]),
        ("2d", [TWO_PLANES.tolist()]),
    ],
)
def test_two_planes_by_hand(layout: str, expected: list[object]) -> None:
    assert make_layout(layout, (2, 2, 3))(TWO_PLANES).tolist() == expected


@pytest.mark.parametrize("layout", ["frequency", "time", "2d"])
@pytest.mark.parametrize("map_", [MAP, TWO_PLANES])
def test_the_network_shape_is_that_of_the_view(layout: str, map_: torch.Tensor) -> None:
    dimensions, in_channels = network_shape(layout, tuple(map_.shape))
    batch = make_layout(layout, tuple(map_.shape))(map_)
    assert (batch.ndim - 2, batch.shape[1], batch.shape[0]) == (dimensions, in_channels, 1)


@pytest.mark.parametrize("layout", ["frequency", "time", "2d"])
def test_gradients_come_back_to_their_place(layout: str) -> None:
    map_ = TWO_PLANES.clone().requires_grad_()
    (make_layout(layout, (2, 2, 3))(map_) ** 2).sum().backward()
    torch.testing.assert_close(map_.grad, 2 * TWO_PLANES)


def test_a_style_may_have_other_columns_except_where_they_are_channels() -> None:
    wider = torch.zeros(1, 2, 7)
    assert make_layout("frequency", (1, 2, 3))(wider).shape == (1, 2, 7)
    assert make_layout("2d", (1, 2, 3))(wider).shape == (1, 1, 2, 7)
    with pytest.raises(ValueError, match=r"expected the shape \(1, 2, 3\) for the layout time, got \(1, 2, 7\)"):
        make_layout("time", (1, 2, 3))(wider)
    with pytest.raises(ValueError, match="expected the shape"):
        make_layout("frequency", (1, 2, 3))(torch.zeros(1, 5, 3))


def test_an_unknown_layout_is_named_with_the_known_ones() -> None:
    for function in (make_layout, network_shape):
        with pytest.raises(UserError, match="unknown layout 'frequencies'; did you mean frequency"):
            function("frequencies", (1, 2, 3))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [(1, [1]), (3, [1, 2, 3]), (5, [1, 2, 3, 2, 1]), (9, [1, 2, 3, 2, 1, 2, 3, 2, 1])],
)
def test_columns_are_cut_or_reflected(columns: int, expected: list[int]) -> None:
    fitted = fit_columns(MAP, columns)
    assert fitted[0, 0].tolist() == expected
    assert (fitted[0, 1] - fitted[0, 0] == 3).all()


def test_a_single_column_is_repeated_and_none_is_refused() -> None:
    assert fit_columns(MAP[..., 1:2], 4)[0].tolist() == [[2] * 4, [5] * 4]
    with pytest.raises(ValueError, match=r"got the shape \(1, 2, 0\)"):
        fit_columns(MAP[..., :0], 4)
