"""The optimization itself: from a start to the best map within the bounds, with a history, ended in good order."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from stylize.optimize.descent import Bounds, Point, adam, lbfgs, project
from stylize.optimize.objective import LossReport
from stylize.optimize.settings import OptimizerConfig

FINISHED, CONVERGED, INTERRUPTED, NOT_FINITE = "finished", "converged", "interrupted", "not finite"

STEP_PART = 0.25
"""Adam's step for a learning rate of 1, and the first step that L-BFGS tries, as a part of the map's spread."""

ROUNDING = 1e-8
"""A loss that has fallen to this part of the start's is rounding: in single precision nothing can be gained from it."""

Objective = Callable[[Tensor], LossReport]


@dataclass(frozen=True)
class Step:
    """Where the optimization stands.

    Args:
        iteration: 0 is the start.
        evaluations: of the objective up to here.
        seconds: since the beginning.
        total: the loss.
        terms: of the loss, see :class:`stylize.optimize.objective.LossReport`.
    """

    iteration: int
    evaluations: int
    seconds: float
    total: float
    terms: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Args:
        map: the one with the lowest total among all that were evaluated; the start if none was.
        history: the start and every iteration.
        stopped: `finished` (all iterations or evaluations used), `converged` (nothing falls any more, or less than the
            tolerance), `interrupted` (Ctrl-C), `not finite` (a loss or a gradient was not).
    """

    map: Tensor
    history: list[Step]
    stopped: str


def optimize(
    objective: Objective,
    start: Tensor,
    config: OptimizerConfig,
    *,
    bounds: Bounds = (0.0, None),
    on_step: Callable[[Step], None] | None = None,
) -> Outcome:
    """Change a map until its loss is low.

    The same arguments give the same map, bit for bit, on the same machine with the same number of threads. Ctrl-C ends
    the optimization and not the program.

    Args:
        objective: the loss of a map. Steps are measured by its attribute `spread`, 1 where it has none.
        start: (planes, rows, columns), of the type and on the device to work in; projected onto the bounds first.
        config: optimizer and its settings.
        bounds: lowest and highest value of the map, None for no bound; no map beyond them is ever evaluated.
        on_step: called with the start and after every iteration.

    Raises:
        ValueError: bounds of which the lower is not below the upper.
    """
    low, high = bounds
    if low is not None and high is not None and not low < high:
        raise ValueError(f"got the bounds {low:g} and {high:g}; the first must be below the second")
    run = _Run(objective, project(start.detach(), bounds), config, on_step)
    try:
        with _repeatable():
            stopped = run.follow(_points(run, config, bounds, STEP_PART * float(getattr(objective, "spread", 1.0))))
    except _StopError as stop:
        stopped = stop.reason
    except KeyboardInterrupt:
        stopped = INTERRUPTED
    return Outcome(run.best, run.history, stopped)


def _points(run: _Run, config: OptimizerConfig, bounds: Bounds, unit: float) -> Iterator[Point]:
    """The points of the chosen optimizer, the start first."""
    if config.optimizer == "lbfgs":
        return lbfgs(run.evaluate, run.best, bounds, config.memory, first_step=unit)

    def learning_rate(iteration: int) -> float:
        decayed = iteration >= config.decay_iteration
        return unit * (config.decayed_learning_rate if decayed else config.learning_rate)

    return adam(run.evaluate, run.best, bounds, learning_rate)


class _StopError(Exception):
    """Ends the optimization from within an evaluation."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Run:
    """Evaluates maps, keeps the best, and writes the history."""

    def __init__(
        self, objective: Objective, start: Tensor, config: OptimizerConfig, on_step: Callable[[Step], None] | None
    ) -> None:
        self.objective, self.config, self.on_step = objective, config, on_step
        self.best, self.best_total = start, math.inf
        self.history: list[Step] = []
        self.evaluations = 0
        self.scale = 1.0
        self.began = time.monotonic()

    def evaluate(self, map_: Tensor) -> Point:
        """The loss and its gradient; stops at the limit of evaluations, and where they are not finite."""
        if self.evaluations == self.config.evaluations:
            raise _StopError(FINISHED)
        with torch.enable_grad():
            variable = map_.detach().requires_grad_()
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
            self.best, self.best_total = point.map, total
        return point

    def follow(self, points: Iterator[Point]) -> str:
        """Take so many points as there are iterations, and say why it ended."""
        for point in islice(points, self.config.iterations + 1):
            self._record(point)
            if self._has_converged():
                return CONVERGED
        return FINISHED if len(self.history) > self.config.iterations else CONVERGED

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
        patience = self.config.patience
        if self.config.tolerance == 0 or len(self.history) <= patience:
            return False
        before, now = self.history[-1 - patience].total, self.history[-1].total
        return 0 <= before - now < self.config.tolerance * abs(before)


def _root_mean_square(values: Tensor) -> float:
    """Without squaring what is too small or too large for its square."""
    largest = float(values.abs().max())
    return largest * float((values / largest).square().mean().sqrt()) if largest else 0.0


def _repeatable() -> AbstractContextManager[None]:
    """Convolutions whose result does not depend on timing, on graphics cards."""
    cudnn = torch.backends.cudnn
    return cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32)
