"""The moving average against the recursion written out, and weights that come back after it was looked at."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from melgan.layers import add_weight_norm
from training.ema import EMA


def module_of(value: float) -> nn.Linear:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, value)
    return module


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9])
def test_it_is_the_recursion(decay: float) -> None:
    module = module_of(4.0)
    average = EMA({"net": module}, decay)
    expected = 4.0
    for update in range(1, 40):
        value = float(update % 7)
        nn.init.constant_(module.weight, value)
        average.update()
        kept = min(decay, update / (10 + update))
        expected = kept * expected + (1 - kept) * value
        assert average.weights["net/weight"].item() == pytest.approx(expected, rel=1e-5)


def test_early_updates_forget_the_random_start() -> None:
    module = module_of(100.0)
    average = EMA({"net": module}, 0.9999)
    nn.init.constant_(module.weight, 0.0)
    for _ in range(20):
        average.update()
    assert average.weights["net/weight"].item() < 1e-3


def test_counters_are_copied_not_averaged() -> None:
    module = nn.BatchNorm1d(2)
    average = EMA({"net": module}, 0.9)
    module(torch.randn(8, 2))
    module(torch.randn(8, 2))
    average.update()
    assert average.weights["net/num_batches_tracked"].item() == 2


def test_swapping_in_and_out() -> None:
    first, second = module_of(1.0), add_weight_norm(nn.Conv1d(1, 1, 3))
    average = EMA({"first": first, "second": second}, 0.5)
    nn.init.constant_(first.weight, 3.0)
    average.update()
    own = {key: value.clone() for key, value in second.state_dict().items()}
    with average.swapped_in():
        assert first.weight.item() == pytest.approx(3.0 - 2.0 / 11)
    assert first.weight.item() == 3.0
    assert all(torch.equal(value, own[key]) for key, value in second.state_dict().items())


def test_weights_come_back_after_an_error_and_the_average_is_not_trained() -> None:
    module = module_of(1.0)
    average = EMA({"net": module}, 0.5)
    nn.init.constant_(module.weight, 3.0)
    with pytest.raises(KeyboardInterrupt), average.swapped_in():
        nn.init.constant_(module.weight, 7.0)
        raise KeyboardInterrupt
    assert module.weight.item() == 3.0
    assert average.weights["net/weight"].item() == 1.0


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_impossible_decays_are_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="decay must be"):
        EMA({}, decay)
