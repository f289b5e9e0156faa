"""Checkpoints: a resumed run is the run that never stopped, to the bit; half a checkpoint is none."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from melgan.experiment import VocoderExperiment, VocoderTraining
from stylize_core.config import build, to_plain
from stylize_core.errors import UserError
from training import checkpoint
from training.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
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
    tensors |= {f"ema/{key}": value for key, value in state.ema.weights.items()}
    return {key: value.detach().clone() for key, value in tensors.items()}


def train(kind: str, values: dict[str, Any], run: Path, steps: int, workers: int = 0) -> Trainer:
    training, experiment = {
        "vocoder": (VocoderTraining, VocoderExperiment),
        "translator": (TranslatorTraining, TranslatorExperiment),
    }[kind]
    schedule = {"warmup_steps": 3, "decay_steps": 6, "final_lr_scale": 0.1, "steps": steps, "workers": workers}
    config = build(training, values | {"loop": values["loop"] | schedule}, "test")
    trainer = Trainer(experiment(config), config.loop, run, make_accelerator(config.loop, "cpu"), to_plain(config))
    trainer.run()
    return trainer


def losses(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "gradient_norm" in line]


@pytest.mark.parametrize("kind", ["vocoder", "translator"])
def test_four_steps_and_four_more_are_eight(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, fresh_accelerate: None, quick_validation: None
) -> None:
    """Whatever comes between: a validation, and a process that reads the data."""
    values = request.getfixturevalue(f"{kind}_values")
    if kind == "vocoder":
        values["adversary"]["first_step"], values["refine_iterations"] = 2, 1
    straight = train(kind, values, tmp_path / "straight", 8)
    stopped = train(kind, values, tmp_path / "resumed", 4)
    halfway = everything(stopped)
    del stopped
    resumed = train(kind, values, tmp_path / "resumed", 8, workers=1)
    expected, found = everything(straight), everything(resumed)
    assert expected.keys() == found.keys()
    assert [key for key in expected if not torch.equal(expected[key], found[key])] == []
    assert resumed.state.ema.updates == straight.state.ema.updates == 8
    assert losses(tmp_path / "straight") == losses(tmp_path / "resumed")
    # The test would notice: the second half moved nearly all, and optimizers and averages are among them.
    unmoved = [key for key in halfway if torch.equal(halfway[key], found[key])]
    assert len(unmoved) < 0.1 * len(halfway)
    assert {key.split("/")[0] for key in expected} == {kind, "discriminator", "generator", "ema"}


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
    assert (document["step"], document["best"], document["ema_updates"]) == (4, 1.0, 4)
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
    elif how == "empty folder":
        tensors.unlink()
        state.unlink()
    elif how == "nan":
        stored = load_file(tensors)
        stored["module/pupil/weight"][0, 0] = float("nan")
        save_file(stored, tensors)


def rewrite(folder: Path, **changes: object) -> None:
    document = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps(document | changes))


def resumed_from_the_first(trainer: Trainer, make_trainer: Any, caplog: pytest.LogCaptureFixture, problem: str) -> None:
    """With one warning about the newest checkpoint, which stays; and in the state of the one before, whole."""
    older, newest = list_checkpoints(trainer.run_folder)
    before = {path.name: path.read_bytes() for path in newest.iterdir()}
    resumed = make_trainer(steps=4)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert str(newest) in warning and problem in warning and "\n" not in warning and len(warning) < 500
    assert {path.name: path.read_bytes() for path in newest.iterdir()} == before
    stored = load_file(older / "tensors.safetensors")
    assert resumed.state.step == resumed.state.ema.updates == 2
    assert torch.equal(resumed.experiment.pupil.weight.detach(), stored["module/pupil/weight"])
    state = resumed.experiment.optimizers["judge"].state_dict()["state"]
    assert torch.equal(state[0]["exp_avg"], stored["optimizer/judge/0/exp_avg"])


@pytest.mark.parametrize("how", ["truncated", "empty", "no tensors", "half json", "no json", "empty folder", "nan"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_gone_on_from(
    trainer: Trainer, make_trainer: Any, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    damage(list_checkpoints(trainer.run_folder)[-1], how)
    resumed_from_the_first(trainer, make_trainer, caplog, "cannot be read")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format_version": "1"}, "format version '1', expected 2"),
        ({"step": "4"}, "step must be a whole number, got '4'"),
        ({"step": 2}, "state.json is of step 2"),
        ({"step": True}, "step must be a whole number"),
        ({"step": -4}, "step must be from 0"),
        ({"minutes": "long"}, "minutes must be a number, got 'long'"),
        ({"minutes": None}, "minutes must be a number"),
        ({"minutes": float("nan")}, "minutes must be a finite number"),
        ({"best": [1]}, "best must be a number"),
        ({"ema_updates": 1.5}, "ema_updates must be a whole number"),
        ({"rollbacks": "no"}, "rollbacks must be a whole number"),
        ({"rolled_back_to": 3}, "rolled_back_to must be text"),
        ({"config": []}, "config must hold keys and values"),
        ({"optimizers": []}, "optimizers must hold keys and values"),
        ({"optimizers": {"pupil": 1, "judge": 2}}, "optimizers must hold a list of parameter groups"),
        ({"optimizers": {"pupil": ["lr"], "judge": []}}, "optimizers must hold a list of parameter groups"),
    ],
)
def test_a_wrong_type_in_the_state_is_damage(
    trainer: Trainer, make_trainer: Any, caplog: pytest.LogCaptureFixture, changes: dict[str, object], problem: str
) -> None:
    rewrite(list_checkpoints(trainer.run_folder)[-1], **changes)
    resumed_from_the_first(trainer, make_trainer, caplog, problem)


def test_hostile_json_in_the_state_is_damage(
    trainer: Trainer, make_trainer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (list_checkpoints(trainer.run_folder)[-1] / "state.json").write_text("[" * 100_000)
    resumed_from_the_first(trainer, make_trainer, caplog, "nested")


def test_settings_of_an_optimizer_are_those_of_the_run(trainer: Trainer, make_trainer: Any) -> None:
    newest = list_checkpoints(trainer.run_folder)[-1]
    optimizers = json.loads((newest / "state.json").read_text())["optimizers"]
    optimizers["judge"][0] |= {"betas": "fast", "lr": [], "eps": None}
    rewrite(newest, optimizers=optimizers)
    resumed = make_trainer(steps=6)
    assert resumed.experiment.optimizers["judge"].param_groups[0]["betas"] == (0.9, 0.999)
    resumed.run()
    assert resumed.state.step == 6


@pytest.mark.parametrize("best", [float("nan"), float("inf")])
def test_a_best_value_that_is_no_number_is_none(
    trainer: Trainer, make_trainer: Any, caplog: pytest.LogCaptureFixture, best: float
) -> None:
    rewrite(list_checkpoints(trainer.run_folder)[-1], best=best)
    resumed = make_trainer(steps=6)
    assert (resumed.state.step, resumed.state.best) == (4, None)
    assert "the next validation is the best so far" in caplog.text
    resumed.run()
    assert resumed.state.best == 1.0


def test_no_whole_checkpoint_is_one_line(trainer: Trainer, make_trainer: Any) -> None:
    for folder in list_checkpoints(trainer.run_folder):
        damage(folder, "truncated")
    with pytest.raises(UserError, match=r"step-00000004 cannot be read .*there is no older one that can") as caught:
        make_trainer(steps=4)
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_changes_nothing(trainer: Trainer) -> None:
    """Neither networks nor optimizers, though the damage is found in the last of them."""
    newest = list_checkpoints(trainer.run_folder)[-1]
    stored = load_file(newest / "tensors.safetensors")
    stored["module/pupil/weight"] += 1
    del stored["optimizer/judge/0/exp_avg"]
    stored["optimizer/judge/x/exp_avg"] = torch.ones(1, 1)
    save_file(stored, newest / "tensors.safetensors")
    before = everything(trainer)
    with pytest.raises(UserError, match="the optimizer judge has an entry 'x/exp_avg'"):
        load_checkpoint(newest, trainer.state)
    after = everything(trainer)
    assert all(torch.equal(after[key], value) for key, value in before.items())


COPIES = ("step-00000004 (copy)", "step-00000004.bak", "step-99999999-old", "step-9", "step-00000008.old", "kept")


def test_copies_of_checkpoints_are_neither_loaded_nor_removed(trainer: Trainer, make_trainer: Any) -> None:
    older, newest = list_checkpoints(trainer.run_folder)
    for name in COPIES:
        shutil.copytree(older, newest.with_name(name))
    newest.with_name("step-00000009").write_text("a file")
    resumed = make_trainer(steps=8)
    assert resumed.state.step == 4
    resumed.run()
    assert set(names(trainer)) == {"step-00000004", "step-00000008", "step-00000009", *COPIES}


def test_a_damaged_checkpoint_does_not_push_out_the_whole_ones(
    trainer: Trainer, make_trainer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    damage(list_checkpoints(trainer.run_folder)[-1], "truncated")
    resumed = make_trainer(steps=4)
    resumed.state.step = 3
    save_checkpoint(trainer.run_folder, resumed.state, keep=1)
    assert names(trainer) == ["step-00000003", "step-00000004"]
    assert make_trainer(steps=4).state.step == 3


def test_a_run_folder_that_is_a_file_is_one_line(tmp_path: Path, make_trainer: Any) -> None:
    (tmp_path / "run").write_text("something")
    with pytest.raises(UserError, match="run is a file; name a folder with --run"):
        make_trainer(steps=1)
    assert (tmp_path / "run").read_text() == "something"


def test_checkpoints_of_a_newer_program_are_not_passed_over(trainer: Trainer, make_trainer: Any) -> None:
    rewrite(list_checkpoints(trainer.run_folder)[-1], format_version=3)
    with pytest.raises(UserError, match="has format version 3, expected 2"):
        make_trainer(steps=4)


def test_checkpoints_without_an_optimizer_are_refused(trainer: Trainer, make_trainer: Any) -> None:
    rewrite(list_checkpoints(trainer.run_folder)[-1], optimizers={})
    with pytest.raises(UserError, match="made with other networks"):
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
