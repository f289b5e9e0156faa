"""Starts: their distributions, their seeds, and what cannot be a start."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch

from data.errors import UserError
from stylize.optimize.choices import START_KINDS
from stylize.optimize.settings import Start
from stylize.optimize.starts import make_start

SHAPE = (1, 100, 200)


def draw(start: Start, seed: int = 0) -> torch.Tensor:
    return make_start(start, SHAPE, content=None, file=None, seed=seed)


@pytest.mark.parametrize(
    ("start", "distribution"),
    [
        (Start("uniform"), scipy.stats.uniform(0, 0.1)),
        (Start("normal"), scipy.stats.norm(0, 1)),
        (Start("truncated-normal"), scipy.stats.truncnorm(-2, 2, 0.5, 0.25)),
        (Start("truncated-normal", 0.0, 3.0, -1.0, 0.5), scipy.stats.truncnorm(2, 8, -1, 0.5)),
        (Start("truncated-normal", -9.0, 0.0, 2.0, 0.5), scipy.stats.truncnorm(-22, -4, 2, 0.5)),
        (Start("truncated-normal", 4.0, 5.0, 1.0, 0.5), scipy.stats.truncnorm(6, 8, 1, 0.5)),
    ],
)
def test_noise_has_its_distribution(start: Start, distribution) -> None:  # type: ignore[no-untyped-def]
    map_ = draw(start)
    assert map_.shape == SHAPE and map_.dtype == torch.float32
    assert scipy.stats.kstest(map_.double().flatten().numpy(), distribution.cdf).pvalue > 1e-3
    low, high = distribution.support()
    assert low <= float(map_.min()) and float(map_.max()) <= high + 1e-6


@pytest.mark.parametrize("kind", ["uniform", "normal", "truncated-normal"])
def test_noise_is_decided_by_its_seed_alone(kind: str) -> None:
    first = draw(Start(kind), seed=3)
    state = torch.get_rng_state()
    torch.manual_seed(99)
    assert torch.equal(draw(Start(kind), seed=3), first)
    assert not torch.equal(draw(Start(kind), seed=4), first)
    torch.set_rng_state(state)


def test_a_given_map_is_copied() -> None:
    content, file = torch.rand(1, 2, 3, dtype=torch.float64), torch.rand(1, 2, 3)
    for kind, source in (("content", content), ("file", file)):
        made = make_start(Start(kind), (1, 2, 3), content=content, file=file, seed=0)
        assert torch.equal(made, source) and made.dtype == source.dtype
        made.zero_()
        assert source.abs().sum() > 0


def test_a_map_of_another_shape_is_refused() -> None:
    with pytest.raises(UserError, match=r"the start \(file\) has the shape 1 x 2 x 3, expected .* 1 x 2 x 4"):
        make_start(Start("file"), (1, 2, 4), content=None, file=torch.zeros(1, 2, 3), seed=0)


@pytest.mark.parametrize("kind", ["content", "file"])
def test_a_missing_map_is_an_error_of_the_program(kind: str) -> None:
    with pytest.raises(ValueError, match=f"the start '{kind}' needs a map, got None"):
        make_start(Start(kind), (1, 2, 3), content=None, file=None, seed=0)


def test_all_kinds_can_be_made() -> None:
    map_ = torch.ones(1, 2, 3)
    for kind in START_KINDS:
        assert make_start(Start(kind), (1, 2, 3), content=map_, file=map_, seed=0).shape == (1, 2, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "zeros"}, "unknown start 'zeros'; known: content, uniform, normal, truncated-normal, file"),
        ({"lower": 1.0, "upper": 1.0}, "from 1 to 1 with mean 0.5 and deviation 0.25; expected numbers with lower < "),
        ({"deviation": 0.0}, "deviation 0; expected"),
        ({"mean": math.nan}, "mean nan"),
        ({"upper": math.inf}, "to inf"),
        ({"kind": "truncated-normal", "mean": 9.0, "deviation": 1.0}, "more than 6 deviations (1) from its mean 9"),
        ({"kind": "truncated-normal", "mean": -9.0, "deviation": 1.0}, "more than 6 deviations (1) from its mean -9"),
    ],
)
def test_starts_that_cannot_be_are_refused(values: dict, message: str) -> None:
    with pytest.raises(UserError) as refusal:
        Start(**values)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
