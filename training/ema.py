"""Exponential moving average (EMA) of weights: what is validated, sampled and exported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Keeps `average = decay * average + (1 - decay) * weights` of several modules.

    Args:
        modules: modules by name.
        decay: upper limit of the decay, which is `updates / (10 + updates)` early in training; 0 for no average.
    """

    def __init__(self, modules: Mapping[str, nn.Module], decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema_decay must be at least 0 and below 1, got {decay}")
        self.modules, self.decay, self.updates = dict(modules), decay, 0
        self.weights = {key: value.clone() for key, value in self._current().items()}

    def _current(self) -> dict[str, Tensor]:
        return {
            f"{name}/{key}": value.detach()
            for name, module in self.modules.items()
            for key, value in module.state_dict().items()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Move the average toward the current weights."""
        self.updates += 1
        decay = min(self.decay, self.updates / (10 + self.updates))
        for key, value in self._current().items():
            average = self.weights[key]
            if average.is_floating_point():
                average.lerp_(value.to(average), 1 - decay)
            else:
                average.copy_(value)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Give the modules the averaged weights within the block, and their own after it."""
        backup = {key: value.clone() for key, value in self._current().items()}
        self._load(self.weights)
        try:
            yield
        finally:
            self._load(backup)

    def _load(self, weights: Mapping[str, Tensor]) -> None:
        for name, module in self.modules.items():
            module.load_state_dict(below(weights, f"{name}/"))


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names have a prefix, named without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
