"""What a user can set about losses, start and optimizer, checked on construction and without PyTorch."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from data.errors import UserError
from stylize.optimize.choices import OPTIMIZERS, START_KINDS, check_choice


@dataclass(frozen=True)
class LossWeights:
    """How much each term of the loss counts.

    By default the terms are relative (see :class:`stylize.optimize.objective.Objective`), so that these are ratios.

    Args:
        content: of the distance from the content's features.
        style: of the distance from the style's Gram matrices.
        total_variation: of the restlessness of the map.
        histogram: of the distance from the style's histograms.
        bound: of values beyond the bounds, squared.

    Raises:
        UserError: a weight that is negative or not finite; content, style and histogram all 0.
    """

    content: float = 1.0
    style: float = 1.0
    total_variation: float = 0.0
    histogram: float = 0.0
    bound: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < math.inf:
                name = field.name.replace("_", " ")
                raise UserError(f"got the {name} weight {value:g}; expected a number of at least 0")
        if self.content == self.style == self.histogram == 0:
            raise UserError("the weights of content, style and histogram are all 0; give one of them a weight above 0")


@dataclass(frozen=True)
class Start:
    """Where the optimization starts.

    Args:
        kind: `content`; `uniform`, between 0 and 0.1; `normal`, mean 0 and deviation 1; `truncated-normal`; `file`.
        lower: of the truncated normal distribution, in the units of the map.
        upper: of the same.
        mean: of the same, before it is truncated.
        deviation: of the same, before it is truncated.

    Raises:
        UserError: an unknown kind, a distribution that does not exist or has next to nothing between its bounds.
    """

    kind: str = "content"
    lower: float = 0.0
    upper: float = 1.0
    mean: float = 0.5
    deviation: float = 0.25

    def __post_init__(self) -> None:
        check_choice("start", self.kind, START_KINDS)
        numbers = (self.lower, self.upper, self.mean, self.deviation)
        if not all(math.isfinite(number) for number in numbers) or self.lower >= self.upper or self.deviation <= 0:
            raise UserError(
                f"got a truncated normal start from {self.lower:g} to {self.upper:g} with mean {self.mean:g} and "
                f"deviation {self.deviation:g}; expected numbers with lower < upper and deviation > 0"
            )
        if self.kind == "truncated-normal" and self._deviations_to_mean() > 6:
            raise UserError(
                f"got a truncated normal start from {self.lower:g} to {self.upper:g}, more than 6 deviations "
                f"({self.deviation:g}) from its mean {self.mean:g}; move the mean or raise the deviation"
            )

    def _deviations_to_mean(self) -> float:
        """How far the mean lies outside of the bounds, in deviations."""
        return max(self.lower - self.mean, self.mean - self.upper, 0.0) / self.deviation


@dataclass(frozen=True)
class OptimizerConfig:
    """How the map is optimized.

    Args:
        optimizer: `lbfgs` or `adam`; both keep to hard bounds.
        iterations: changes of the map; one of L-BFGS takes one evaluation or a few, one of Adam exactly one.
        learning_rate: of Adam; 1 is a quarter of the spread (standard deviation) of the maps' values in each iteration.
            L-BFGS searches along a line instead.
        decayed_learning_rate: of Adam from `decay_iteration` on.
        decay_iteration: the first with the decayed learning rate.
        memory: pairs of changes from which L-BFGS estimates curvature.
        tolerance: stop once the total has fallen by less than this part of itself in `patience` iterations; 0: never.
        patience: iterations that `tolerance` looks back.
        evaluations: at most so many of the objective; None for no limit.

    Raises:
        UserError: an unknown optimizer, or a number out of its range.
    """

    optimizer: str = "lbfgs"
    iterations: int = 200
    learning_rate: float = 1.0
    decayed_learning_rate: float = 1 / 30
    decay_iteration: int = 180
    memory: int = 5
    tolerance: float = 0.0
    patience: int = 10
    evaluations: int | None = None

    def __post_init__(self) -> None:
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        for name in ("iterations", "memory", "patience", "evaluations"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise UserError(f"got {count} for {name}; expected at least 1")
        if self.decay_iteration < 0:
            raise UserError(f"got {self.decay_iteration} for decay_iteration; expected at least 0")
        for name in ("learning_rate", "decayed_learning_rate"):
            rate = getattr(self, name)
            if not 0 < rate < math.inf:
                raise UserError(f"got {rate:g} for {name}; expected a number above 0")
        if not 0 <= self.tolerance < 1:
            raise UserError(f"got the tolerance {self.tolerance:g}; expected a number from 0 to below 1")
