"""Whole optimizations, small: what they must reach, how they may end, and that they are repeatable."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stylize.optimize import engine
from stylize.optimize.engine import Outcome, optimize
from stylize.optimize.objective import LossReport, Objective, measure_style
from stylize.optimize.options import OPTIMIZERS, OptimizeOptions
from stylize.optimize.reporting import Step
from stylize.optimize.transfer import make_init

options = partial(OptimizeOptions, Path("content.wav"), Path("style.wav"), content_weight=1.0)
both = pytest.mark.parametrize("optimizer", OPTIMIZERS)


class TinyNetwork(nn.Module):
    """One layer as the default network has, with fewer channels."""

    def __init__(self, rows: int, width: int, taps: int) -> None:
        super().__init__()
        kernel = torch.randn(width, rows, taps, generator=torch.Generator().manual_seed(0))
        self.kernel = kernel * math.sqrt(2 / (rows * taps))

    def forward(self, x: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        convolved = nn.functional.conv1d(x, self.kernel, padding="same")
        features = {"conv_1": convolved, "relu_1": torch.relu(convolved)}
        return {name: features[name] for name in layers}


def texture(rows: int, columns: int, seed: int) -> Tensor:
    """Bands that come and go, (1, rows, columns), not negative; every seed has its own spectrum and rhythm."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = 3 * torch.rand(1, rows, 1, generator=generator) ** 2
    noise = torch.rand(1, rows, columns, generator=generator)
    beat = 1 + torch.sin(torch.arange(columns) * (0.2 + 0.1 * seed))
    return spectrum * (0.5 * noise + beat)


def objective_for(
    rows: int,
    columns: int,
    weights: OptimizeOptions,
    width: int = 48,
    taps: int = 5,
    content: bool = True,
    style: bool = True,
    layer: str = "relu_1",
) -> Objective:
    network: Any = TinyNetwork(rows, width, taps)
    target = measure_style(network, lambda map_: map_, texture(rows, columns + 20, 2), {"relu_1": 1.0}, False)
    return Objective(
        network,
        layout=lambda map_: map_,
        content=texture(rows, columns, 1) if content else None,
        style=target if style else None,
        content_layers={layer: 1.0},
        options=weights,
    )


def noise_like(rows: int, columns: int, kind: str = "uniform") -> Tensor:
    return make_init(options(init=kind), torch.zeros(1, rows, columns), None, 0)


class Bowl:
    """mean(curvature * (map - target)^2) + floor, with what goes wrong at a certain evaluation."""

    def __init__(
        self, target: Tensor, fail_at: int = -1, fail: Callable[[Tensor], Tensor] | None = None, floor: float = 0.0
    ) -> None:
        self.target, self.fail_at, self.fail, self.floor = target, fail_at, fail, floor
        self.maps: list[Tensor] = []
        self.totals: list[float] = []

    def __call__(self, map_: Tensor) -> LossReport:
        total = (torch.logspace(-1, 1, map_.shape[-1]) * (map_ - self.target).square()).mean() + self.floor
        self.maps.append(map_.detach().clone())
        if self.fail is not None and len(self.maps) == self.fail_at:
            total = self.fail(map_)
        self.totals.append(float(total.detach()))
        return LossReport(total, {"bowl": total.detach(), "twice": 2 * total.detach()})


TARGET = torch.randn(1, 4, 30, generator=torch.Generator().manual_seed(3))
START = torch.zeros(1, 4, 30)
ANYWHERE = (None, None)


class TestWhatItReaches:
    @both
    def test_texture_from_noise_has_the_style(self, optimizer: str) -> None:
        objective = objective_for(12, 60, options(content_weight=0.0, style_weight=1.0), content=False)
        outcome = optimize(objective, noise_like(12, 60), options(optimizer=optimizer))
        first, last = outcome.history[0].terms["style"], outcome.history[-1].terms["style"]
        assert first == pytest.approx(1.0)
        assert last < first / 100
        assert outcome.result.min() >= 0

    def test_content_alone_from_noise_brings_back_the_map(self) -> None:
        objective = objective_for(12, 60, options(), style=False, layer="conv_1")
        content = texture(12, 60, 1)
        outcome = optimize(objective, noise_like(12, 60, "normal"), options(iterations=300))
        error = (outcome.result - content).square().mean() / content.var()
        assert error < 1e-4
        assert outcome.history[-1].terms["content"] < 1e-4

    @pytest.mark.parametrize("kind", ["content", "uniform"])
    @pytest.mark.parametrize(("style_weight", "evaluations"), [(1.0, 40), (10.0, 40), (100.0, 100)])
    def test_lbfgs_ends_below_adam_at_equal_evaluations(self, kind: str, style_weight: float, evaluations: int) -> None:
        rows, columns = 32, 80
        totals = {}
        for optimizer in OPTIMIZERS:
            objective = objective_for(rows, columns, options(style_weight=style_weight), width=320, taps=11)
            start = texture(rows, columns, 1) if kind == "content" else noise_like(rows, columns)
            chosen = options(optimizer=optimizer, iterations=evaluations, decay_iteration=evaluations * 9 // 10)
            outcome = optimize(objective, start, chosen, max_evaluations=evaluations)
            totals[optimizer] = float(objective(outcome.result).total)
            assert outcome.history[-1].evaluations <= evaluations
        assert totals["lbfgs"] < totals["adam"]

    def test_the_default_ends_close_to_the_best_from_the_content(self) -> None:
        objective = objective_for(32, 80, options(style_weight=10.0), width=320, taps=11)
        default = optimize(objective, texture(32, 80, 1), options())
        longer = optimize(objective, texture(32, 80, 1), options(iterations=1000))
        assert longer.history[-1].total <= default.history[-1].total < 1.02 * longer.history[-1].total

    @both
    def test_a_bowl_is_left_at_its_bottom(self, optimizer: str) -> None:
        outcome = optimize(Bowl(TARGET), START, options(optimizer=optimizer), bounds=ANYWHERE)
        torch.testing.assert_close(outcome.result, TARGET, rtol=0, atol=0.02)

    @both
    @pytest.mark.parametrize("size", [1e-24, 1e24])
    def test_the_size_of_the_loss_does_not_matter(self, optimizer: str, size: float) -> None:
        class Scaled(Bowl):
            def __call__(self, map_: Tensor) -> LossReport:
                report = super().__call__(map_)
                return LossReport(size * report.total, report.terms)

        outcome = optimize(Scaled(TARGET), START, options(optimizer=optimizer), bounds=ANYWHERE)
        torch.testing.assert_close(outcome.result, TARGET, rtol=0, atol=0.02)

    def test_adams_steps_follow_the_spread_and_the_decay(self) -> None:
        class Slope:
            spread = 0.4

            def __call__(self, map_: Tensor) -> LossReport:
                return LossReport(10 - map_.sum(), {})

        config = options(
            optimizer="adam", iterations=6, learning_rate=2.0, decayed_learning_rate=0.5, decay_iteration=4
        )
        values = [10 - step.total for step in optimize(Slope(), torch.zeros(1, 1, 1), config).history]
        steps = [after - before for before, after in pairwise(values)]
        assert steps == pytest.approx([0.2] * 4 + [0.05] * 2, rel=1e-4)  # a quarter of 0.4 is 0.1


class TestBounds:
    @both
    @pytest.mark.parametrize("bounds", [(0.0, None), (-0.3, 0.2), (None, 0.1)])
    def test_hold_in_every_evaluation(self, optimizer: str, bounds: tuple[float | None, float | None]) -> None:
        low, high = bounds
        bowl = Bowl(TARGET)
        outcome = optimize(bowl, 3 * TARGET, options(optimizer=optimizer, iterations=300), bounds=bounds)
        for map_ in (*bowl.maps, outcome.result):
            assert low is None or map_.min() >= low
            assert high is None or map_.max() <= high
        # The bottom of this bowl within the bounds is its bottom, value by value, projected.
        torch.testing.assert_close(outcome.result, TARGET.clamp(low, high), rtol=0, atol=0.02)

    def test_the_start_is_projected_and_not_changed(self) -> None:
        start = torch.full((1, 4, 30), -1.0)
        bowl = Bowl(TARGET)
        optimize(bowl, start, options(iterations=2))
        assert bowl.maps[0].unique().tolist() == [0.0]
        assert start.unique().tolist() == [-1.0]

    def test_crossed_bounds_are_an_error_of_the_program(self) -> None:
        with pytest.raises(ValueError, match="got the bounds 1 and 0; the first must be below"):
            optimize(Bowl(TARGET), START, options(), bounds=(1.0, 0.0))


@both
class TestEnds:
    def run(
        self,
        bowl: Bowl,
        optimizer: str,
        on_step: Callable[[Step], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
        max_evaluations: int | None = None,
        **values: Any,
    ) -> Outcome:
        chosen = options(optimizer=optimizer, **{"iterations": 40, "decay_iteration": 1000, **values})
        return optimize(
            bowl, START, chosen, bounds=ANYWHERE, on_step=on_step, stop=stop, max_evaluations=max_evaluations
        )

    def lowest(self, bowl: Bowl, count: int) -> Tensor:
        """The best of the first maps that were evaluated."""
        return bowl.maps[min(range(count), key=bowl.totals.__getitem__)]

    @pytest.mark.parametrize("evaluation", [1, 2, 3, 9])
    def test_a_stop_keeps_the_best_so_far(self, optimizer: str, evaluation: int) -> None:
        bowl = Bowl(TARGET)
        outcome = self.run(bowl, optimizer, stop=lambda: len(bowl.maps) == evaluation - 1)
        assert outcome.stopped == "interrupted"
        assert len(bowl.maps) == evaluation - 1
        expected = self.lowest(bowl, evaluation - 1) if evaluation > 1 else START
        assert torch.equal(outcome.result, expected)
        assert len(outcome.history) <= evaluation - 1

    def test_ctrl_c_itself_is_not_hidden(self, optimizer: str) -> None:
        def interrupt(_: Tensor) -> Tensor:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.run(Bowl(TARGET, 3, interrupt), optimizer)

    @pytest.mark.parametrize("evaluation", [1, 2, 9])
    @pytest.mark.parametrize(
        "fail",
        [
            pytest.param(lambda map_: map_.sum() * math.nan, id="nan"),
            pytest.param(lambda map_: map_.sum() + math.inf, id="infinite"),
            pytest.param(lambda map_: (map_ - map_).sqrt().sum() - 1e9, id="only the gradient"),
        ],
    )
    def test_what_is_not_finite_ends_it_with_the_last_good_map(
        self, optimizer: str, evaluation: int, fail: Callable[[Tensor], Tensor]
    ) -> None:
        bowl = Bowl(TARGET, evaluation, fail)
        outcome = self.run(bowl, optimizer)
        assert outcome.stopped == "not finite"
        assert len(bowl.maps) == evaluation
        expected = self.lowest(bowl, evaluation - 1) if evaluation > 1 else START
        assert torch.equal(outcome.result, expected)
        assert all(math.isfinite(step.total) for step in outcome.history)

    def test_other_errors_are_not_hidden(self, optimizer: str) -> None:
        def fail(_: Tensor) -> Tensor:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            self.run(Bowl(TARGET, 3, fail), optimizer)

    def test_all_iterations(self, optimizer: str) -> None:
        shown: list[Step] = []
        bowl = Bowl(TARGET)
        outcome = self.run(bowl, optimizer, shown.append, iterations=7)
        assert outcome.stopped == "finished"
        assert shown == outcome.history
        assert [step.iteration for step in shown] == list(range(8))
        assert shown[-1].evaluations == len(bowl.maps)
        assert [step.evaluations for step in shown][:1] == [1]
        assert all(before.seconds <= after.seconds for before, after in pairwise(shown))
        for step in shown:
            assert step.total == pytest.approx(bowl.totals[step.evaluations - 1])
            assert step.terms == pytest.approx({"bowl": step.total, "twice": 2 * step.total})

    @pytest.mark.parametrize("evaluations", [1, 2, 13])
    def test_evaluations_are_capped(self, optimizer: str, evaluations: int) -> None:
        bowl = Bowl(TARGET)
        outcome = self.run(bowl, optimizer, max_evaluations=evaluations)
        assert outcome.stopped == "finished"
        assert len(bowl.maps) == evaluations
        assert torch.equal(outcome.result, self.lowest(bowl, evaluations))

    def test_the_map_is_the_best_of_all(self, optimizer: str) -> None:
        bowl = Bowl(TARGET)
        outcome = self.run(bowl, optimizer, iterations=15, learning_rate=20.0)
        assert torch.equal(outcome.result, self.lowest(bowl, len(bowl.maps)))
        assert not outcome.result.requires_grad

    def test_early_stop(self, optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine, "PATIENCE", 5)
        config: dict[str, Any] = {"iterations": 2000, "learning_rate": 0.2}
        outcome = self.run(Bowl(TARGET, floor=0.1), optimizer, tolerance=0.1, **config)
        totals = [step.total for step in outcome.history]
        assert outcome.stopped == "converged"
        assert 5 < len(totals) < 500
        falls = [1 - totals[index] / totals[index - 5] for index in range(5, len(totals))]
        assert 0 <= falls[-1] < 0.1
        assert not any(0 <= fall < 0.1 for fall in falls[:-1])
        patient = self.run(Bowl(TARGET, floor=0.1), optimizer, tolerance=0.001, **config)
        assert len(patient.history) > len(totals)

    def test_a_rising_total_is_no_sign_of_an_end(self, optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Adam's first steps, far too long here, raise the total for longer than the patience."""
        monkeypatch.setattr(engine, "PATIENCE", 2)
        outcome = self.run(Bowl(0.1 * TARGET), optimizer, tolerance=1e-3, learning_rate=4.0, iterations=300)
        assert outcome.history[-1].total < 0.5 * outcome.history[0].total


def test_lbfgs_ends_by_itself_at_the_bottom() -> None:
    outcome = optimize(Bowl(TARGET), TARGET, options(), bounds=ANYWHERE)
    assert outcome.stopped == "converged"
    assert [step.total for step in outcome.history] == [0.0]
    assert torch.equal(outcome.result, TARGET)
    floor = optimize(Bowl(TARGET, floor=1.0), START, options(iterations=5000), bounds=ANYWHERE)
    assert floor.stopped == "converged"
    assert floor.history[-1].total == pytest.approx(1.0)
    assert floor.history[-1].evaluations < 300


@both
def test_a_loss_that_is_nothing_but_rounding_ends_it(optimizer: str) -> None:
    outcome = optimize(Bowl(TARGET), START, options(optimizer=optimizer, iterations=5000), bounds=ANYWHERE)
    parts = [step.total / outcome.history[0].total for step in outcome.history]
    assert outcome.stopped == "converged"
    assert parts[-1] <= 1e-8 < min(parts[:-1])


class TestRepeatable:
    def run(self, optimizer: str, seed: int, objective: Objective | None = None) -> Outcome:
        objective = objective or objective_for(12, 60, options(style_weight=5.0))
        start = make_init(options(init="uniform"), torch.zeros(1, 12, 60), None, seed)
        return optimize(objective, start, options(optimizer=optimizer, iterations=30))

    @both
    def test_same_seed_same_map_bit_for_bit(self, optimizer: str) -> None:
        first = self.run(optimizer, seed=5)
        torch.manual_seed(123)
        second = self.run(optimizer, seed=5)
        assert torch.equal(first.result, second.result)
        assert [step.total for step in first.history] == [step.total for step in second.history]
        assert [step.terms for step in first.history] == [step.terms for step in second.history]
        assert not torch.equal(first.result, self.run(optimizer, seed=6).result)

    @both
    def test_an_objective_may_be_used_again(self, optimizer: str) -> None:
        objective = objective_for(12, 60, options(style_weight=5.0))
        first = self.run(optimizer, 5, objective)
        assert torch.equal(self.run(optimizer, 5, objective).result, first.result)

    def test_graphics_cards_are_asked_for_it_and_their_settings_left_as_they_were(self) -> None:
        cudnn = torch.backends.cudnn
        seen = []

        class Looking(Bowl):
            def __call__(self, map_: Tensor) -> LossReport:
                seen.append((cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32))
                return super().__call__(map_)

        before = (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32)
        optimize(Looking(TARGET), START, options(iterations=1))
        assert seen[0] == (before[0], False, True, before[3])
        assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32) == before


@both
def test_type_of_the_start_is_kept_and_gradients_may_be_off(optimizer: str) -> None:
    start = texture(4, 20, 1).double()
    bowl = Bowl(torch.zeros(1, 4, 20, dtype=torch.float64))
    with torch.no_grad():
        outcome = optimize(bowl, start, options(optimizer=optimizer, iterations=3))
    assert outcome.result.dtype == torch.float64
    assert outcome.history[-1].total < outcome.history[0].total
