"""Inits: their distributions, their seeds, and what cannot be an init."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import scipy.stats
import torch

from stylize.optimize.options import OptimizeOptions
from stylize.optimize.transfer import make_init
from stylize_core.errors import UserError

CONTENT = torch.zeros(1, 100, 200)
options = partial(OptimizeOptions, Path("content.wav"), Path("style.wav"))


def truncated(lower: float, upper: float, mean: float, std: float) -> OptimizeOptions:
    return options(init="truncated-normal", init_lower=lower, init_upper=upper, init_mean=mean, init_std=std)


@pytest.mark.parametrize(
    ("chosen", "distribution"),
    [
        (options(init="uniform"), scipy.stats.uniform(0, 0.1)),
        (options(init="normal"), scipy.stats.norm(0, 1)),
        (options(init="truncated-normal"), scipy.stats.truncnorm(-2, 2, 0.5, 0.25)),
        (truncated(0.0, 3.0, -1.0, 0.5), scipy.stats.truncnorm(2, 8, -1, 0.5)),
        (truncated(-9.0, 0.0, 2.0, 0.5), scipy.stats.truncnorm(-22, -4, 2, 0.5)),
        (truncated(4.0, 5.0, 1.0, 0.5), scipy.stats.truncnorm(6, 8, 1, 0.5)),
    ],
)
def test_noise_has_its_distribution(chosen: OptimizeOptions, distribution) -> None:  # type: ignore[no-untyped-def]
    init = make_init(chosen, CONTENT, None, 0)
    assert init.shape == CONTENT.shape and init.dtype == torch.float32
    assert scipy.stats.kstest(init.double().flatten().numpy(), distribution.cdf).pvalue > 1e-3
    low, high = distribution.support()
    assert low <= float(init.min()) and float(init.max()) <= high + 1e-6


@pytest.mark.parametrize("kind", ["uniform", "normal", "truncated-normal"])
def test_noise_is_decided_by_its_seed_alone(kind: str) -> None:
    first = make_init(options(init=kind), CONTENT, None, 3)
    state = torch.get_rng_state()
    torch.manual_seed(99)
    assert torch.equal(make_init(options(init=kind), CONTENT, None, 3), first)
    assert not torch.equal(make_init(options(init=kind), CONTENT, None, 4), first)
    torch.set_rng_state(state)


def test_content_and_file_are_copied() -> None:
    content, file = torch.rand(1, 2, 3), torch.rand(1, 2, 3)
    for kind, source in (("content", content), ("other.wav", file)):
        made = make_init(options(init=kind), content, file, 0)
        assert torch.equal(made, source)
        made.zero_()
        assert source.abs().sum() > 0


def test_a_file_of_another_shape_is_refused() -> None:
    with pytest.raises(UserError, match=r"the init file has the shape 1 x 2 x 3, expected .* 1 x 2 x 4"):
        make_init(options(init="other.wav"), torch.zeros(1, 2, 4), torch.zeros(1, 2, 3), 0)
