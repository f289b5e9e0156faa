"""Helpers of every experiment: freezing, evaluating, adding losses up."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.experiment import evaluating, frozen, weighted_sum


def test_a_frozen_network_passes_gradients_on_and_gets_none() -> None:
    network = nn.Linear(2, 1)
    network.bias.requires_grad_(False)
    x = torch.randn(3, 2, requires_grad=True)
    with frozen(network):
        loss = network(x).sum()
    loss.backward()
    assert x.grad is not None and network.weight.grad is None
    assert network.weight.requires_grad and not network.bias.requires_grad


def test_it_thaws_after_an_error() -> None:
    network = nn.Linear(2, 1)
    with pytest.raises(RuntimeError), frozen(network):
        raise RuntimeError
    assert all(p.requires_grad for p in network.parameters())


def test_modes_come_back_module_by_module() -> None:
    network = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    network[1].eval()
    with pytest.raises(RuntimeError), evaluating(network):
        assert not any(module.training for module in network.modules())
        assert not torch.is_grad_enabled()
        raise RuntimeError
    assert [module.training for module in network.modules()] == [True, True, False, False]
    assert torch.is_grad_enabled()


def test_losses_are_weighed_once() -> None:
    losses = {"a": torch.tensor(2.0), "b": torch.tensor(3.0)}
    assert weighted_sum(losses, {"b": 10.0, "a": 0.5}).item() == pytest.approx(31.0)
    for weights in ({"a": 1.0}, {"a": 1.0, "b": 1.0, "c": 1.0}):
        with pytest.raises(ValueError, match="do not name the same terms"):
            weighted_sum(losses, weights)
