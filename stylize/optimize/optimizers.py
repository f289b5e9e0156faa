"""L-BFGS and Adam within bounds, on the input's own device and in its own precision.

Both are generators of evaluated points, first the init, then one for each iteration; who iterates decides when to stop.
They are written out because no library has them at the price. `torch.optim.LBFGS` knows no bounds, and the first
optimizer of `torch.optim`, Adam too, imports PyTorch's compiler: 886 modules, 6 s of processor time.
SciPy's L-BFGS-B, the reference of the tests, reaches the same losses in as many evaluations, but in double precision
and on the CPU alone; its own work took 34 ms (165,504 values) and 109 ms (440,750 values) for each evaluation, with 20
pairs on one core, where this one takes 8 and 18 ms.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

Bounds = tuple[float | None, float | None]
"""Lowest and highest value, None for no bound."""

SUFFICIENT_DECREASE = 1e-4
CURVATURE = 0.9
"""The Wolfe conditions with the constants of Nocedal and Wright, "Numerical optimization", section 3.1."""

ADAM_MEAN_DECAY, ADAM_SQUARE_DECAY, ADAM_GUARD = 0.9, 0.999, 1e-8

LINE_EVALUATIONS = 20
"""After so many evaluations along one line, the best point on it is taken."""


@dataclass(frozen=True)
class Point:
    """A spectrogram or picture and what is known of it.

    Losses may be of any size, so the optimizers work in units in which the init's gradient has a root mean square of 1.
    """

    x: Tensor  # (planes, rows, columns)
    height: float  # the loss in these units
    gradient: Tensor  # of the loss in these units, in the shape of `x`
    total: float  # the loss itself
    terms: dict[str, Tensor]  # of the loss


Evaluate = Callable[[Tensor], Point]


def project(x: Tensor, bounds: Bounds) -> Tensor:
    """The nearest values within the bounds, always a new tensor."""
    low, high = bounds
    return x.clone() if low is None and high is None else x.clamp(low, high)


def adam(evaluate: Evaluate, init: Tensor, bounds: Bounds, learning_rate: Callable[[int], float]) -> Iterator[Point]:
    """Adam (arXiv 1412.6980, algorithm 1, with its constants) with projection onto the bounds; without end.

    `init` is within the bounds; `learning_rate` maps the iteration, from 0, to units of `x`.
    """
    x, mean, square = init, torch.zeros_like(init), torch.zeros_like(init)
    for iteration in count():
        point = evaluate(x)
        yield point
        mean.lerp_(point.gradient, 1 - ADAM_MEAN_DECAY)
        square.mul_(ADAM_SQUARE_DECAY).addcmul_(point.gradient, point.gradient, value=1 - ADAM_SQUARE_DECAY)
        step = learning_rate(iteration) / (1 - ADAM_MEAN_DECAY ** (iteration + 1))
        scale = (square / (1 - ADAM_SQUARE_DECAY ** (iteration + 1))).sqrt_().add_(ADAM_GUARD)
        x = project(torch.addcdiv(x, mean, scale, value=-step), bounds)


def lbfgs(evaluate: Evaluate, init: Tensor, bounds: Bounds, memory: int, first_step: float) -> Iterator[Point]:
    """L-BFGS (Nocedal and Wright, section 7.2) with projection onto the bounds; ends at a minimum along the line.

    Values at a bound that would leave it are held, and the inverse Hessian of the free ones is estimated from the last
    changes (Bertsekas, "Projected Newton methods", SIAM Journal on Control and Optimization 20, 1982).

    Args:
        evaluate: the loss and its gradient.
        init: within the bounds.
        bounds: of all values.
        memory: number of pairs of changes.
        first_step: root mean square of the first change, in units of `x`.
    """
    pairs: deque[_Pair] = deque(maxlen=memory)
    point = evaluate(init)
    yield point
    while True:
        free = _free(point, bounds)
        gradient = point.gradient * free
        size = math.sqrt(_dot(gradient, gradient) / gradient.numel())
        if size == 0:
            return
        ascent = _precondition(gradient, pairs, free)
        if ascent is None:
            ascent = gradient * (first_step / size)
        following = _search_line(evaluate, point, ascent.neg_(), bounds)
        if following is None:
            return
        pair = _Pair.between(point, following)
        if pair is not None:
            pairs.append(pair)
        point = following
        yield point


@dataclass(frozen=True)
class _Pair:
    """A change of `x` and the change of the gradient it made."""

    step: Tensor
    change: Tensor
    product: float
    min_product: float

    @classmethod
    def between(cls, before: Point, after: Point) -> _Pair | None:
        """None without positive curvature, which the estimate needs to stay positive definite."""
        step, change = after.x - before.x, after.gradient - before.gradient
        product = _dot(step, change)
        min_product = torch.finfo(step.dtype).eps * math.sqrt(_dot(step, step) * _dot(change, change))
        return cls(step, change, product, min_product) if product > min_product else None


def _precondition(gradient: Tensor, pairs: deque[_Pair], free: Tensor) -> Tensor | None:
    """The estimated inverse Hessian of the free values times the gradient; None where nothing is known of it.

    Nocedal and Wright, algorithm 7.4, with all pairs reduced to the values that `free` marks by 1, and not by 0.
    """
    result = gradient.clone()
    held = not bool(free.all())  # where no value is held, there is nothing to reduce and every product is known
    room = torch.empty_like(result) if held else result
    used: list[tuple[_Pair, float, float]] = []
    scale = 0.0
    for pair in reversed(pairs):
        reduced = torch.mul(pair.change, free, out=room) if held else pair.change
        product = _dot(pair.step, reduced) if held else pair.product
        if product > pair.min_product:
            factor = _dot(pair.step, result) / product
            result.sub_(reduced, alpha=factor)
            scale = scale or product / _dot(reduced, reduced)
            used.append((pair, product, factor))
    if not used:
        return None
    result.mul_(scale)
    for pair, product, factor in reversed(used):
        amount = factor - _dot(pair.change, result) / product
        if held:
            result.addcmul_(pair.step, free, value=amount)
        else:
            result.add_(pair.step, alpha=amount)
    return result


def _search_line(evaluate: Evaluate, origin: Point, direction: Tensor, bounds: Bounds) -> Point | None:
    """A point of the projected line that meets the weak Wolfe conditions, or else the farthest that is low enough."""
    first_slope = _dot(origin.gradient, direction)
    near, near_height, near_slope = 0.0, origin.height, first_slope
    far, far_height = math.inf, math.inf
    found: Point | None = None
    at = 1.0
    visible = torch.finfo(direction.dtype).eps * abs(origin.height)
    for _ in range(LINE_EVALUATIONS):
        if found is None and -first_slope * at < visible:
            break  # what it can fall by is lost in rounding
        aim = torch.add(origin.x, direction, alpha=at)
        point = evaluate(project(aim, bounds))
        expected = min(0.0, _dot(origin.gradient, point.x - origin.x))
        if point.height >= origin.height or point.height > origin.height + SUFFICIENT_DECREASE * expected:
            far, far_height = at, point.height
        else:
            slope = _dot(point.gradient * (point.x == aim), direction)
            if slope >= CURVATURE * first_slope:
                return point
            found = point
            bend = (slope - near_slope) / (at - near)
            near, near_height, near_slope = at, point.height, slope
        if far < math.inf:
            at = near + (far - near) * _lowest_part(far - near, near_height, near_slope, far_height)
        else:
            at = near * min(10.0, max(2.0, 1 - near_slope / (bend * near))) if bend > 0 else near * 4.0
    return found


def _lowest_part(length: float, height: float, slope: float, far_height: float) -> float:
    """Where between two points the parabola through their heights with this slope at the first is lowest, as a part."""
    excess = far_height - height - slope * length
    return min(0.9, max(0.1, -slope * length / (2 * excess))) if excess > 0 else 0.5


def _free(point: Point, bounds: Bounds) -> Tensor:
    """1 for each value, 0 for those at a bound that a step down the gradient would take beyond it."""
    low, high = bounds
    held = torch.zeros_like(point.x, dtype=torch.bool)
    if low is not None:
        held |= (point.x <= low) & (point.gradient > 0)
    if high is not None:
        held |= (point.x >= high) & (point.gradient < 0)
    return (~held).to(point.x)


def _dot(first: Tensor, second: Tensor) -> float:
    return float(torch.dot(first.flatten(), second.flatten()))
