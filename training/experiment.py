"""Interface between the training loop and a model: networks, training step, validation, samples, export."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset


class Update(Protocol):
    """One optimizer step, given by the loop: zero gradients, backward, average over processes, clip, step."""

    def __call__(self, optimizer: str, loss: Tensor) -> Tensor:
        """Minimize `loss` with the named optimizer; returns the norm of the gradients before clipping."""
        ...


@dataclass(frozen=True)
class Sample:
    """A validation clip at the current step.

    Args:
        name: file name without suffix, the same over the whole run.
        wav: waveform (samples,), or None.
        sample_rate: Hz.
        mels: pictures to show side by side, title to log-mel (n_mels, T).
        fixed: the clip never changes (an input or a reference) and is written once.
    """

    name: str
    wav: np.ndarray | None
    sample_rate: int
    mels: Mapping[str, np.ndarray]
    fixed: bool = False


class Experiment(ABC):
    """A model under training.

    Attributes:
        config_class: dataclass of the configuration.
        dataset: training items, indexed by `(epoch, index)` and a pure function of it.
        modules: the networks by name; the loop moves, saves and restores them.
        optimizers: by name; the loop steps, saves and restores them.
        averaged: names of the modules with an exponential moving average (EMA); the first is exported.
        best_measure: validation measure that selects the best state; lower is better where `lower_is_better`.
        min_share: items of a batch that every process needs at least.
        free_settings: settings that a resumed run may change, beside the loop's own.
    """

    config_class: type[Any]
    dataset: Dataset[Any]
    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    averaged: tuple[str, ...]
    best_measure: str
    lower_is_better: bool = True
    min_share: int = 1
    free_settings: frozenset[str] = frozenset()

    @abstractmethod
    def training_step(self, batch: Any, step: int, update: Update) -> dict[str, Tensor]:
        """One step of every network; returns the raw losses by name, detached."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Measures on the fixed validation clips, with the averaged weights in place."""

    def samples(self) -> Sequence[Sample]:
        """The fixed validation clips, with the averaged weights in place; none by default."""
        return []

    def export(self, folder: Path, training: dict[str, Any]) -> None:
        """Write the model folder for inference, with the averaged weights in place."""
        model: Any = self.modules[self.averaged[0]]
        model.save_pretrained(folder, training)


def sample_pair(
    original: str, output: str, wavs: Sequence[np.ndarray], sample_rate: int, mels: Mapping[str, Tensor]
) -> list[Sample]:
    """An input, fixed, with a picture of the first of the mels, and what was made of it, with pictures of all.

    Args:
        original: name of the input.
        output: name of the output.
        wavs: waveforms of both.
        sample_rate: Hz.
        mels: pictures, title to log-mel; the first is the input's.
    """
    pictures = {title: mel.numpy() for title, mel in mels.items()}
    first = dict(list(pictures.items())[:1])
    return [Sample(original, wavs[0], sample_rate, first, fixed=True), Sample(output, wavs[1], sample_rate, pictures)]


def minimize(
    update: Update, optimizer: str, losses: Mapping[str, Tensor], weights: Mapping[str, float]
) -> dict[str, Tensor]:
    """Minimize the weighted sum of losses; returns the losses, detached, and the norm of the gradients."""
    norm = update(optimizer, weighted_sum(losses, weights))
    return {name: loss.detach() for name, loss in losses.items()} | {"gradient_norm": norm}


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Keep gradients from the parameters of `modules` within the block; gradients still flow through them."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Evaluate `modules` without gradients within the block, and restore their modes after it."""
    modes = [(child, child.training) for module in modules for child in module.modules()]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for child, mode in modes:
            child.training = mode


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Sum of losses, each times its weight, once.

    Raises:
        ValueError: a loss without a weight or a weight without a loss.
    """
    if set(losses) != set(weights):
        raise ValueError(f"losses {sorted(losses)} and weights {sorted(weights)} do not name the same terms")
    return torch.stack([losses[name] * weights[name] for name in losses]).sum()
