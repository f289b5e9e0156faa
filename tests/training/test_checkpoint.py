"""Checkpoints: a resumed run is the run that never stopped, to the bit; half a checkpoint is none."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from data.errors import UserError
from melgan.experiment import VocoderExperiment, VocoderTraining
from training import checkpoint
from training.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from training.config import build, to_plain
from training.loop import Trainer, make_accelerator
from travelgan.experiment import TranslatorExperiment
from travelgan.training_config import TranslatorTraining


def everything(trainer: Trainer) -> dict[str, Tensor]:
    """All that a run owns: weights, optimizer states, averages."""
    state = trainer.state
    tensors = {
        f"{name}/{key}": value for name, module in state.modules.items() for key, value in module.state_dict().items()
    }
    for name, optimizer in state.optimizers.items():
        for index, entries in optimizer.state_dict()["state"].items():
            tensors |= {f"{name}/{index}/{key}": torch.as_tensor(value) for key, value in entries.items()}
    tensors |= {f"average/{key}": value for key, value in state.average.weights.items()}
    return {key: value.detach().clone() for key, value in tensors.items()}


def train(kind: str, values: dict[str, Any], run: Path, steps: int, workers: int = 0) -> Trainer:
    training, experiment = {
        "vocoder": (VocoderTraining, VocoderExperiment),
        "translator": (TranslatorTraining, TranslatorExperiment),
    }[kind]
    schedule = {"warmup_steps": 3, "decay_steps": 15, "steps": steps, "workers": workers}
    config = build(training, values | {"loop": values["loop"] | schedule}, "test")
    trainer = Trainer(experiment(config), config.loop, run, make_accelerator(config.loop, "cpu"), to_plain(config))
    trainer.run()
    return trainer


def losses(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "gradient_norm" in line]


@pytest.mark.parametrize("kind", ["vocoder", "translator"])
def test_ten_steps_and_ten_more_are_twenty(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, fresh_accelerate: None, quick_validation: None
) -> None:
    """Whatever comes between: a validation, and a process that reads the data."""
    values = request.getfixturevalue(f"{kind}_values")
    if kind == "vocoder":
        values |= {"pretrain_steps": 5, "refine_iterations": 1}
    straight = train(kind, values, tmp_path / "straight", 20)
    stopped = train(kind, values, tmp_path / "resumed", 10)
    halfway = everything(stopped)
    del stopped
    resumed = train(kind, values, tmp_path / "resumed", 20, workers=1)
    expected, found = everything(straight), everything(resumed)
    assert expected.keys() == found.keys()
    assert [key for key in expected if not torch.equal(expected[key], found[key])] == []
    assert resumed.state.average.updates == straight.state.average.updates == 20
    assert losses(tmp_path / "straight") == losses(tmp_path / "resumed")
    # The test would notice: the second half moved nearly all, and optimizers and averages are among them.
    unmoved = [key for key in halfway if torch.equal(halfway[key], found[key])]
    assert len(unmoved) < 0.1 * len(halfway)
    assert {key.split("/")[0] for key in expected} == {kind, "discriminator", "generator", "average"}


@pytest.fixture
def trainer(make_trainer: Any) -> Trainer:
    """A run with checkpoints at steps 2 and 4."""
    for steps in (2, 4):
        trainer = make_trainer(steps=steps)
        trainer.run()
    return trainer


def names(trainer: Trainer) -> list[str]:
    return sorted(path.name for path in (trainer.run_folder / "checkpoints").iterdir())


def test_a_checkpoint_is_tensors_and_plain_json(trainer: Trainer) -> None:
    folder = list_checkpoints(trainer.run_folder)[-1]
    assert sorted(path.name for path in folder.iterdir()) == ["state.json", "tensors.safetensors"]
    document = json.loads((folder / "state.json").read_text())
    assert (document["step"], document["best"], document["average_updates"]) == (4, 1.0, 4)
    assert document["config"]["kind"] == "line"


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
@pytest.mark.parametrize("written", [False, True])
def test_a_crash_while_writing_leaves_the_older_ones(
    trainer: Trainer, make_trainer: Any, monkeypatch: pytest.MonkeyPatch, failure: BaseException, written: bool
) -> None:
    weight = trainer.experiment.pupil.weight.item()

    def crash(tensors: dict[str, Tensor], path: Path) -> None:
        if written:
            path.write_bytes(b"half a file")
        raise failure

    monkeypatch.setattr(checkpoint, "save_file", crash)
    trainer.state.step = 5
    expected = UserError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected) as caught:
        save_checkpoint(trainer.run_folder, trainer.state)
    if expected is UserError:
        assert "No space left on device" in str(caught.value) and "earlier checkpoints are intact" in str(caught.value)
    assert names(trainer) == ["step-00000002", "step-00000004"]
    resumed = make_trainer(steps=4)
    assert (resumed.state.step, resumed.experiment.pupil.weight.item()) == (4, weight)


def test_what_a_killed_process_left_is_neither_loaded_nor_kept(trainer: Trainer, make_trainer: Any) -> None:
    left = trainer.run_folder / "checkpoints" / ".writing-abc"
    left.mkdir()
    (left / "tensors.safetensors").write_bytes(b"half")
    resumed = make_trainer(steps=6)
    assert resumed.state.step == 4
    resumed.run()
    assert names(trainer) == ["step-00000004", "step-00000006"]


def test_writing_the_same_step_again_replaces_it(trainer: Trainer) -> None:
    trainer.state.best = 0.25
    save_checkpoint(trainer.run_folder, trainer.state)
    assert names(trainer) == ["step-00000002", "step-00000004"]
    trainer.state.best = None
    load_checkpoint(list_checkpoints(trainer.run_folder)[-1], trainer.state)
    assert trainer.state.best == 0.25


@pytest.mark.parametrize("keep", [1, 3])
def test_only_the_newest_are_kept(trainer: Trainer, keep: int) -> None:
    for step in (6, 8):
        trainer.state.step = step
        save_checkpoint(trainer.run_folder, trainer.state, keep)
    assert names(trainer) == [f"step-{step:08d}" for step in (2, 4, 6, 8)[-keep:]]


def damage(folder: Path, how: str) -> None:
    tensors, state = folder / "tensors.safetensors", folder / "state.json"
    if how == "truncated":
        tensors.write_bytes(tensors.read_bytes()[:-10])
    elif how == "empty":
        tensors.write_bytes(b"")
    elif how == "no tensors":
        tensors.unlink()
    elif how == "half json":
        state.write_text(state.read_text()[:40])
    elif how == "no json":
        state.unlink()


@pytest.mark.parametrize("how", ["truncated", "empty", "no tensors", "half json", "no json"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_usable(
    trainer: Trainer, make_trainer: Any, how: str
) -> None:
    older, newest = list_checkpoints(trainer.run_folder)
    damage(newest, how)
    with pytest.raises(UserError, match="cannot be read .*delete it to go on from the one before") as caught:
        make_trainer(steps=4)
    assert str(newest) in str(caught.value) and "\n" not in str(caught.value)
    for path in (*newest.iterdir(), newest):
        path.unlink() if path.is_file() else path.rmdir()
    assert make_trainer(steps=4).state.step == 2 and older.exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda document: document | {"format_version": 2}, "has format version 2, expected 1"),
        (lambda document: [], "has format version None"),
        (lambda document: {k: v for k, v in document.items() if k != "average_updates"}, "average_updates"),
        (lambda document: document | {"optimizers": {}}, "made with other networks"),
    ],
)
def test_foreign_documents(trainer: Trainer, make_trainer: Any, change: Any, problem: str) -> None:
    path = list_checkpoints(trainer.run_folder)[-1] / "state.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(UserError, match=problem):
        make_trainer(steps=4)


def test_other_networks_are_refused(trainer: Trainer, make_trainer: Any, line_experiment: Any) -> None:
    for name, other in {"shape": torch.nn.Linear(2, 2, bias=False), "keys": torch.nn.Linear(1, 1)}.items():
        experiment = line_experiment()
        experiment.modules["judge"] = other
        with pytest.raises(UserError, match="made with other networks") as caught:
            make_trainer(experiment, steps=4)
        assert "\n" not in str(caught.value), name


def test_a_network_that_is_averaged_but_was_not_is_refused(make_trainer: Any, line_experiment: Any) -> None:
    make_trainer(steps=1).run()
    experiment = line_experiment()
    experiment.averaged = ("pupil", "judge")
    with pytest.raises(UserError, match="made with other networks"):
        make_trainer(experiment, steps=1)
