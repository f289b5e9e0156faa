"""The optimization itself: from an init to the best result within the bounds, with a history, ended in good order."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from stylize.optimize.objective import LossReport
from stylize.optimize.optimizers import Bounds, Point, adam, lbfgs, project
from stylize.optimize.options import OptimizeOptions
from stylize.optimize.reporting import Step

FINISHED, CONVERGED, INTERRUPTED, NOT_FINITE = "finished", "converged", "interrupted", "not finite"

STEP_PART = 0.25
"""Adam's step for a learning rate of 1, and the first that L-BFGS tries, as a part of the standard deviation."""

MEMORY = 5
"""Pairs of changes from which L-BFGS estimates curvature."""

PATIENCE = 10
"""Iterations that the tolerance looks back."""

ROUNDING = 1e-8
"""A loss that has fallen to this part of the init's is rounding: single precision gains nothing from it."""

Objective = Callable[[Tensor], LossReport]


@dataclass(frozen=True)
class Outcome:
    """Result of an optimization."""

    result: Tensor  # the point with the lowest total; the init if none was evaluated
    history: list[Step]  # the init and every iteration
    stopped: str  # FINISHED, CONVERGED, INTERRUPTED or NOT_FINITE


def optimize(
    objective: Objective,
    init: Tensor,
    options: OptimizeOptions,
    *,
    bounds: Bounds = (0.0, None),
    on_step: Callable[[Step], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    max_evaluations: int | None = None,
) -> Outcome:
    """Change a spectrogram or picture until its loss is low.

    The same arguments give the same result, bit for bit, on the same machine with the same number of threads.

    Args:
        objective: the loss. Steps are measured by its attribute `spread`, 1 where it has none.
        init: (planes, rows, columns), of the type and on the device to work in; projected onto the bounds first.
        options: the optimizer, iterations, learning rates and tolerance.
        bounds: lowest and highest value, None for no bound; values beyond them are never evaluated.
        on_step: called with the init and after every iteration.
        stop: called before every evaluation; True ends the optimization.
        max_evaluations: of the objective; None for no limit.
    """
    low, high = bounds
    if low is not None and high is not None and not low < high:
        raise ValueError(f"got the bounds {low:g} and {high:g}; the first must be below the second")
    run = _Run(objective, project(init.detach(), bounds), options, on_step, stop, max_evaluations)
    try:
        with _repeatable():
            stopped = run.follow(_points(run, options, bounds, STEP_PART * float(getattr(objective, "spread", 1.0))))
    except _StopError as error:
        stopped = error.reason
    return Outcome(run.best, run.history, stopped)


def _points(run: _Run, options: OptimizeOptions, bounds: Bounds, unit: float) -> Iterator[Point]:
    """The points of the chosen optimizer, the init first."""
    if options.optimizer == "lbfgs":
        return lbfgs(run.evaluate, run.best, bounds, MEMORY, first_step=unit)

    def learning_rate(iteration: int) -> float:
        decayed = iteration >= options.decay_iteration
        return unit * (options.decayed_learning_rate if decayed else options.learning_rate)

    return adam(run.evaluate, run.best, bounds, learning_rate)


class _StopError(Exception):
    """Ends the optimization from within an evaluation."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class _Run:
    """Evaluates, keeps the best, and writes the history."""

    objective: Objective
    best: Tensor
    options: OptimizeOptions
    on_step: Callable[[Step], None] | None
    stop: Callable[[], bool]
    max_evaluations: int | None
    best_total: float = math.inf
    history: list[Step] = field(default_factory=list)
    evaluations: int = 0
    scale: float = 1.0
    began: float = field(default_factory=time.monotonic)

    def evaluate(self, x: Tensor) -> Point:
        """The loss and its gradient; stops when asked to, at the limit, and where they are not finite."""
        if self.stop():
            raise _StopError(INTERRUPTED)
        if self.evaluations == self.max_evaluations:
            raise _StopError(FINISHED)
        with torch.enable_grad():
            variable = x.detach().requires_grad_()
            report = self.objective(variable)
            (gradient,) = torch.autograd.grad(report.total, variable)
        self.evaluations += 1
        total = float(report.total.detach())
        if not (math.isfinite(total) and bool(gradient.isfinite().all())):
            raise _StopError(NOT_FINITE)
        if self.evaluations == 1:
            self.scale = 1 / (_root_mean_square(gradient) or 1.0)
        point = Point(variable.detach(), total * self.scale, gradient * self.scale, total, report.terms)
        if total < self.best_total:
            self.best, self.best_total = point.x, total
        return point

    def follow(self, points: Iterator[Point]) -> str:
        """Take one point per iteration; the reason for the end."""
        for point in islice(points, self.options.iterations + 1):
            self._record(point)
            if self._has_converged():
                return CONVERGED
        return FINISHED if len(self.history) > self.options.iterations else CONVERGED

    def _record(self, point: Point) -> None:
        values = torch.stack(list(point.terms.values())).tolist() if point.terms else []
        terms = dict(zip(point.terms, values, strict=True))
        seconds = time.monotonic() - self.began
        self.history.append(Step(len(self.history), self.evaluations, seconds, point.total, terms))
        if self.on_step is not None:
            self.on_step(self.history[-1])

    def _has_converged(self) -> bool:
        """Is the total nothing but rounding, or has it fallen by less than the tolerance over the last iterations?

        A total that rises is no sign of it: Adam's first steps are often too long.
        """
        if 0 <= self.history[-1].total <= ROUNDING * self.history[0].total:
            return True
        if self.options.tolerance == 0 or len(self.history) <= PATIENCE:
            return False
        before, now = self.history[-1 - PATIENCE].total, self.history[-1].total
        return 0 <= before - now < self.options.tolerance * abs(before)


def _root_mean_square(values: Tensor) -> float:
    """Without squaring what is too small or too large for its square."""
    largest = float(values.abs().max())
    return largest * float((values / largest).square().mean().sqrt()) if largest else 0.0


def _repeatable() -> AbstractContextManager[None]:
    """Convolutions whose result does not depend on timing, on graphics cards."""
    cudnn = torch.backends.cudnn
    return cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32)
