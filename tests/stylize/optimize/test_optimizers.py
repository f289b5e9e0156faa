"""L-BFGS and Adam against SciPy's and PyTorch's own, and the line search on functions of one value."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice, pairwise

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from stylize.optimize.optimizers import Bounds, Point, _Pair, _precondition, _search_line, adam, lbfgs, project

Height = Callable[[Tensor], Tensor]
SHAPE = (1, 5, 8)


def noise(seed: int = 0) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def quadratic(map_: Tensor) -> Tensor:
    """Curvatures from 0.01 to 100 along directions that no axis follows."""
    directions = torch.linalg.qr(noise(1).reshape(5, 8).T @ noise(2).reshape(5, 8) + torch.eye(8)).Q
    turned = (map_ - noise(3)) @ directions
    return (torch.logspace(-2, 2, 8, dtype=torch.float64) * turned.square()).sum()


def valley(map_: Tensor) -> Tensor:
    """Rosenbrock's, which is not convex."""
    flat = map_.flatten()
    return (100 * (flat[1:] - flat[:-1].square()).square() + (1 - flat[:-1]).square()).sum()


class Evaluator:
    """Counts evaluations and keeps the maps."""

    def __init__(self, height: Height) -> None:
        self.height = height
        self.maps: list[Tensor] = []
        self.heights: list[float] = []

    def __call__(self, map_: Tensor) -> Point:
        variable = map_.detach().requires_grad_()
        total = self.height(variable)
        (gradient,) = torch.autograd.grad(total, variable)
        self.maps.append(map_)
        self.heights.append(total.item())
        return Point(map_, total.item(), gradient, total.item(), {})


def descend(height: Height, start: Tensor, bounds: Bounds, iterations: int = 500) -> tuple[Point, Evaluator]:
    evaluate = Evaluator(height)
    *_, last = islice(lbfgs(evaluate, project(start, bounds), bounds, 20, 0.1), iterations + 1)
    return last, evaluate


def by_scipy(height: Height, start: Tensor, bounds: Bounds) -> list[float]:
    """The heights that SciPy's L-BFGS-B evaluates."""
    evaluate = Evaluator(height)

    def value_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        point = evaluate(torch.tensor(flat).reshape(SHAPE))
        return point.height, point.gradient.numpy().ravel()

    scipy.optimize.minimize(
        value_and_gradient,
        project(start, bounds).numpy().ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=[bounds] * start.numel(),
        options={"maxcor": 20, "ftol": 0.0, "gtol": 1e-9},
    )
    return evaluate.heights


def evaluations_to(part: float, heights: list[float], lowest: float) -> int:
    """How many it took to come so near to the lowest, as a part of the way from the start."""
    return next(index for index, height in enumerate(heights) if height - lowest <= part * (heights[0] - lowest))


@pytest.mark.parametrize("bounds", [(None, None), (0.0, None), (None, 0.3), (-0.2, 0.4)])
@pytest.mark.parametrize("height", [quadratic, valley])
def test_lbfgs_ends_where_scipys_ends(height: Height, bounds: Bounds) -> None:
    start = 0.5 * noise(4)
    mine, evaluate = descend(height, start, bounds)
    theirs = by_scipy(height, start, bounds)
    assert mine.height == pytest.approx(theirs[-1], rel=1e-6, abs=1e-9)
    count = evaluations_to(1e-6, evaluate.heights, theirs[-1])
    assert count < 1.3 * evaluations_to(1e-6, theirs, theirs[-1]) + 5


@pytest.mark.parametrize("bounds", [(0.0, None), (None, 0.3), (-0.2, 0.4)])
def test_no_map_beyond_the_bounds_is_evaluated(bounds: Bounds) -> None:
    low, high = bounds
    _, evaluate = descend(valley, 3 * noise(4), bounds)
    steps = islice(adam(evaluate, project(3 * noise(4), bounds), bounds, lambda _: 0.3), 50)
    assert sum(1 for _ in steps) == 50
    everything = torch.stack(evaluate.maps)
    assert low is None or float(everything.min()) == low
    assert high is None or float(everything.max()) == high


def test_values_held_at_a_bound_let_go_when_the_slope_turns() -> None:
    def height(map_: Tensor) -> Tensor:
        first, second = map_[0, 0]
        return (first - 1).square() + 50 * (second - first + 0.5).square()

    start = torch.tensor([[[-1.0, 0.0]]], dtype=torch.float64)  # the second is held at 0 until the first passes 1/2
    last, evaluate = descend(height, start, (0.0, None))
    assert torch.stack(evaluate.maps)[1, 0, 0, 1] == 0
    torch.testing.assert_close(last.x, torch.tensor([[[1.0, 0.5]]], dtype=torch.float64), rtol=0, atol=1e-6)


def test_the_estimate_points_uphill_whatever_is_held() -> None:
    """Pairs whose curvature is negative, as a whole or among the free values, would make it indefinite."""
    generator = torch.Generator().manual_seed(0)
    points = []
    for _ in range(12):
        map_, gradient = torch.randn(2, 1, 1, 3, generator=generator, dtype=torch.float64)
        points.append(Point(map_, 0.0, gradient, 0.0, {}))
    pairs = [_Pair.between(before, after) for before, after in pairwise(points)]
    kept = deque(pair for pair in pairs if pair is not None)
    assert 0 < len(kept) < len(pairs)
    assert all(torch.dot(pair.step.flatten(), pair.change.flatten()) > 0 for pair in kept)
    for held in range(7):
        free = torch.tensor([[[float(not held >> index & 1) for index in range(3)]]], dtype=torch.float64)
        for pair in kept:
            gradient = torch.randn(free.shape, generator=generator, dtype=torch.float64) * free
            for chosen in (deque([pair]), kept):
                ascent = _precondition(gradient, chosen, free)
                assert ascent is None or float((ascent * gradient).sum()) > 0
                assert ascent is None or torch.equal(ascent * free, ascent)


def test_where_all_known_pairs_curve_the_wrong_way_nothing_is_known() -> None:
    pair = _Pair(torch.tensor([[[1.0, 1.0]]]), torch.tensor([[[-0.1, 1.0]]]), 0.9, 1e-7)
    gradient = torch.tensor([[[1.0, 0.0]]])
    assert _precondition(gradient, deque([pair]), torch.tensor([[[1.0, 0.0]]])) is None
    assert _precondition(gradient, deque([pair]), torch.ones(1, 1, 2)) is not None


def test_no_evaluations_are_spent_on_what_rounding_hides() -> None:
    _, evaluate = descend(quadratic, 0.5 * noise(5), (-0.4, 0.6))
    lowest = min(evaluate.heights)
    arrived = next(index for index, height in enumerate(evaluate.heights) if height <= lowest * (1 + 1e-13))
    assert len(evaluate.heights) < arrived + 15


def test_lbfgs_ends_at_a_minimum() -> None:
    def points(start: float, bounds: Bounds) -> list[Point]:
        map_ = torch.tensor([[[start]]], dtype=torch.float64)
        return list(lbfgs(Evaluator(lambda x: (x - 2).square().sum()), map_, bounds, 5, 0.1))

    assert [point.x.item() for point in points(2.0, (None, None))] == [2.0]
    assert [point.x.item() for point in points(0.0, (None, 0.0))] == [0.0]
    assert points(9.0, (None, None))[-1].x.item() == pytest.approx(2.0)


@pytest.mark.parametrize("first_step", [1e-6, 1e-2, 1e2, 1e6])
def test_the_first_step_may_be_far_too_short_or_too_long(first_step: float) -> None:
    evaluate = Evaluator(quadratic)
    points = lbfgs(evaluate, noise(4), (None, None), 20, first_step)
    first, second = islice(points, 2)
    assert second.height < 0.9 * first.height
    assert len(evaluate.maps) < 20


def test_a_region_curved_the_wrong_way_is_left() -> None:
    start = torch.full(SHAPE, 0.01, dtype=torch.float64)
    last, _ = descend(lambda x: (x.square() - 1).square().sum(), start, (None, None), iterations=20)
    assert last.height < 1e-8


def test_iterations_never_rise() -> None:
    points = islice(lbfgs(Evaluator(valley), noise(4), (None, None), 20, 0.1), 60)
    heights = [point.height for point in points]
    assert all(after < before for before, after in pairwise(heights))


def test_memory_is_limited_and_used() -> None:
    ends = []
    for memory in (1, 20):
        *_, last = islice(lbfgs(Evaluator(quadratic), noise(4), (None, None), memory, 0.1), 31)
        ends.append(last.height)
    assert ends[1] < 0.1 * ends[0]


@pytest.mark.parametrize("bounds", [(None, None), (0.0, None), (-0.2, 0.4)])
def test_adam_equals_pytorchs(bounds: Bounds) -> None:
    rates = [0.1] * 30 + [0.01] * 10
    variable = project(noise(4), bounds).requires_grad_()
    theirs = torch.optim.Adam([variable])
    mine: Iterator[Point] = adam(Evaluator(quadratic), project(noise(4), bounds), bounds, rates.__getitem__)
    for rate, point in zip(rates, mine, strict=False):
        torch.testing.assert_close(point.x, variable.detach())
        theirs.param_groups[0]["lr"] = rate
        theirs.zero_grad()
        quadratic(variable).backward()
        theirs.step()
        with torch.no_grad():
            variable.copy_(project(variable, bounds))


def test_projection_copies() -> None:
    map_ = torch.tensor([[[-1.0, 0.5, 2.0]]])
    for bounds, expected in (((None, None), [-1, 0.5, 2]), ((0.0, None), [0, 0.5, 2]), ((0.0, 1.0), [0, 0.5, 1])):
        projected = project(map_, bounds)
        assert projected[0, 0].tolist() == expected
        projected.fill_(math.pi)
    assert map_[0, 0].tolist() == [-1, 0.5, 2]


def test_a_point_that_is_hardly_lower_is_not_taken() -> None:
    """From 1 to just short of -1 a parabola falls by next to nothing, far less than its slope promises."""

    def parabola(map_: Tensor) -> Point:
        return Point(map_, float(map_.square().sum()), 2 * map_, float(map_.square().sum()), {})

    origin = parabola(torch.ones(1, 1, 1, dtype=torch.float64))
    found = _search_line(parabola, origin, torch.full_like(origin.x, -2 + 1e-6), (None, None))
    assert found is not None and abs(float(found.x)) < 0.9
