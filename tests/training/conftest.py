"""An experiment so small that its training can be worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from training.experiment import Experiment, Sample, Update
from training.loop import LoopConfig, Trainer, make_accelerator


class Targets(Dataset[Tensor]):
    """Items 0, 1, 2, ...; not a number from an epoch on."""

    def __init__(self, length: int, broken_from_epoch: int | None = None) -> None:
        self.length, self.broken_from_epoch = length, broken_from_epoch

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, item: tuple[int, int]) -> Tensor:
        epoch, index = item
        broken = self.broken_from_epoch is not None and epoch >= self.broken_from_epoch
        return torch.tensor(float("nan") if broken else float(index))


class LineExperiment(Experiment):
    """Draws `pupil.weight` to the mean of the items, and `judge.weight`, never broken, to 1.

    Args:
        scores: what the validations give, one after the other; after the last one that one again.
    """

    averaged = ("pupil",)
    best_measure = "valid/score"

    def __init__(
        self, scores: Sequence[float] = (1.0,), length: int = 4, broken_from_epoch: int | None = None, lr: float = 0.1
    ) -> None:
        self.pupil, self.judge = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.pupil.weight, 10.0)
        nn.init.constant_(self.judge.weight, 0.0)
        self.modules = {"pupil": self.pupil, "judge": self.judge}
        self.optimizers = {
            "pupil": torch.optim.SGD(self.pupil.parameters(), lr=lr),
            "judge": torch.optim.Adam(self.judge.parameters(), lr=lr),
        }
        self.scores, self.validations = list(scores), 0
        self.targets = Targets(length, broken_from_epoch)
        self.rates: list[float] = []
        self.drawn: list[float] = []
        self.seen: list[float] = []

    @property
    def dataset(self) -> Dataset[Any]:
        return self.targets

    def training_step(self, batch: Tensor, step: int, update: Update) -> dict[str, Tensor]:
        self.rates.append(self.optimizers["pupil"].param_groups[0]["lr"])
        self.drawn.append(float(torch.rand(())))
        update("judge", (self.judge.weight - 1).square().sum())
        loss = (self.pupil.weight - batch).square().mean() / 2
        norm = update("pupil", loss)
        return {"loss": loss.detach(), "gradient_norm": norm}

    def validate(self) -> dict[str, float]:
        self.seen.append(self.pupil.weight.item())
        score = self.scores[min(self.validations, len(self.scores) - 1)]
        self.validations += 1
        torch.rand(7)  # validations may draw what they like
        return {"valid/score": score}

    def samples(self) -> Sequence[Sample]:
        return [Sample("weight", None, 1, {"weight": np.full((2, 2), self.pupil.weight.item())})]

    def export(self, folder: Path, training: dict[str, Any]) -> None:
        folder.mkdir(exist_ok=True)
        document = {"weight": self.pupil.weight.item(), "step": training["step"], "measures": training["measures"]}
        (folder / "model.json").write_text(json.dumps(document))


MakeTrainer = Callable[..., Trainer]


@pytest.fixture
def line_experiment() -> type[LineExperiment]:
    return LineExperiment


@pytest.fixture
def make_trainer(tmp_path: Path, fresh_accelerate: None, monkeypatch: pytest.MonkeyPatch) -> MakeTrainer:
    """A trainer of a :class:`LineExperiment` in a run folder; called again with the same folder it resumes."""
    monkeypatch.setattr("training.tracking.plot_mels", lambda mels, path: path.touch())

    def make(experiment: Experiment | None = None, run: str = "run", **settings: Any) -> Trainer:
        values = {"steps": 4, "batch_size": 4, "workers": 0, "wandb": "off", "ema_decay": 0.0} | settings
        config = LoopConfig(**values)
        resolved = {"loop": values, "kind": "line"}
        return Trainer(
            experiment or LineExperiment(), config, tmp_path / run, make_accelerator(config, "cpu"), resolved
        )

    return make
