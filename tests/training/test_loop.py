"""The loop on a problem worked out by hand: schedule, averages, limits, broken gradients, best state, resuming."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from melgan.experiment import VocoderExperiment, VocoderTraining
from stylize_core.config import build, to_plain
from stylize_core.errors import UserError
from training import loop
from training.checkpoint import list_checkpoints
from training.loop import LoopConfig, Trainer, make_accelerator


def read_metrics(trainer: Trainer) -> list[dict[str, float]]:
    return [json.loads(line) for line in (trainer.run_folder / "metrics.jsonl").read_text().splitlines()]


def best(trainer: Trainer) -> dict[str, Any]:
    return json.loads((trainer.run_folder / "best" / "model.json").read_text())


def test_the_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    config = LoopConfig(steps=1, warmup_steps=4, decay_steps=10, final_lr_scale=0.2)
    scales = [config.learning_rate_scale(step) for step in (0, 1, 3, 4, 9, 14, 1000)]
    assert scales == pytest.approx([0.25, 0.5, 1.0, 1.0, 0.6, 0.2, 0.2])
    quarter = LoopConfig(steps=1, decay_steps=8, final_lr_scale=0.0).learning_rate_scale(2)
    assert quarter == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert LoopConfig(steps=1).learning_rate_scale(10**6) == 1.0


def test_every_step_uses_its_rate(make_trainer: Any, line_experiment: Any) -> None:
    experiment = line_experiment(lr=0.4)
    make_trainer(experiment, steps=4, warmup_steps=2, decay_steps=2, final_lr_scale=0.0).run()
    assert experiment.rates == pytest.approx([0.2, 0.4, 0.4, 0.2])


def test_a_step_is_gradient_descent(make_trainer: Any) -> None:
    trainer = make_trainer(steps=3)
    measures = trainer.run()
    weight = 10.0
    for _ in range(3):
        weight -= 0.1 * (weight - 1.5)  # items 0, 1, 2, 3
    assert trainer.experiment.pupil.weight.item() == pytest.approx(weight)
    assert measures == {"valid/score": 1.0}
    assert trainer.state.step == 3


def test_metrics_are_logged_at_the_first_step_and_every_so_often(make_trainer: Any) -> None:
    trainer = make_trainer(steps=7, log_every=3, validate_every=5)
    trainer.run()
    lines = read_metrics(trainer)
    assert [line["step"] for line in lines if "loss" in line] == [1, 3, 6]
    assert [line["step"] for line in lines if "valid/score" in line] == [5, 7]
    assert lines[0]["loss"] == pytest.approx(((10 - 1.5) ** 2 + 1.25) / 2)
    assert lines[0]["gradient_norm"] == pytest.approx(8.5)


def test_gradients_are_clipped_and_their_norm_is_the_one_before(make_trainer: Any) -> None:
    trainer = make_trainer(steps=1, gradient_clip=0.5)
    trainer.run()
    assert trainer.experiment.pupil.weight.item() == pytest.approx(10 - 0.1 * 0.5, abs=1e-5)
    assert read_metrics(trainer)[0]["gradient_norm"] == pytest.approx(8.5)


def test_the_average_is_what_is_validated_sampled_and_exported(make_trainer: Any) -> None:
    trainer = make_trainer(steps=3, ema_decay=0.5)
    trainer.run()
    weight, average = 10.0, 10.0
    for update in range(1, 4):
        weight -= 0.1 * (weight - 1.5)
        kept = update / (10 + update)
        average = kept * average + (1 - kept) * weight
    assert trainer.experiment.seen == pytest.approx([average])
    assert best(trainer)["weight"] == pytest.approx(average)
    assert trainer.experiment.pupil.weight.item() == pytest.approx(weight)


def test_randomness_belongs_to_seed_and_step_not_to_what_was_drawn_before(
    make_trainer: Any, line_experiment: Any
) -> None:
    runs = {}
    for name, settings in {"a": {}, "b": {"validate_every": 1}, "c": {"seed": 1}}.items():
        experiment = line_experiment()
        make_trainer(experiment, run=name, steps=3, **settings).run()
        runs[name] = experiment.drawn
    assert runs["a"] == runs["b"]
    assert len({*runs["a"], *runs["c"]}) == 6


def test_an_update_that_is_not_finite_is_left_out(
    make_trainer: Any, line_experiment: Any, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = make_trainer(line_experiment(broken_from_epoch=2), steps=5)  # an epoch is a step here
    trainer.run()
    assert trainer.experiment.pupil.weight.item() == pytest.approx(1.5 + 8.5 * 0.9**2)
    assert trainer.experiment.judge.weight.item() > 0.3  # the other network went on
    assert caplog.text.count("gradients of pupil are not finite") == 3


@pytest.fixture
def every_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint every four steps, whatever the clock says."""

    def step(self: Trainer, batch: Any) -> Any:
        losses = original(self, batch)
        if self.state.step % 4 == 0:
            self._checkpoint()
        return losses

    original = Trainer.step
    monkeypatch.setattr(Trainer, "step", step)


class Planted:
    """Makes the loss of an experiment not finite, or its weights, when the loop asks for these steps.

    Args:
        experiment: a :class:`LineExperiment`.
        when: of (step, how often the run went back), whether to.
        what: `loss`, `weight` or `buffer`.
    """

    def __init__(self, experiment: Any, when: Callable[[int, int], bool], what: str = "loss") -> None:
        self.experiment, self.when, self.what = experiment, when, what
        self.trainer: Any = None
        self.steps: list[int] = []
        self.batches: list[list[float]] = []
        self.original = experiment.training_step
        experiment.training_step = self.training_step
        experiment.pupil.register_buffer("mean", torch.zeros(()))

    def training_step(self, batch: Tensor, step: int, update: Any) -> Any:
        self.steps.append(step)
        self.batches.append(batch.tolist())
        broken = self.when(step, self.trainer.state.rollbacks)
        losses = self.original(batch * math.nan if broken and self.what == "loss" else batch, step, update)
        if broken and self.what != "loss":
            with torch.no_grad():
                tensor = self.experiment.pupil.weight if self.what == "weight" else self.experiment.pupil.mean
                tensor.fill_(math.inf)
        return losses


def plant(
    make_trainer: Any, experiment: Any, when: Callable[[int, int], bool], what: str = "loss", **settings: Any
) -> Planted:
    planted = Planted(experiment, when, what)
    values = {"steps": 10, "batch_size": 2, "rollback_after": 3, "keep_checkpoints": 3}
    planted.trainer = make_trainer(experiment, **(values | settings))
    return planted


def test_after_too_many_the_run_goes_back_to_its_newest_checkpoint(
    make_trainer: Any, line_experiment: Any, every_few_steps: None, caplog: pytest.LogCaptureFixture
) -> None:
    planted = plant(make_trainer, line_experiment(length=40), lambda step, rollbacks: step >= 5 and not rollbacks)
    trainer = planted.trainer
    trainer.run()
    assert planted.steps == [0, 1, 2, 3, 4, 5, 6, 7, *range(4, 10)]  # 5, 6 and 7 are left out, 4 is where it goes on
    assert (trainer.state.step, trainer.state.rollbacks) == (10, 1)
    assert math.isfinite(trainer.experiment.pupil.weight.item())
    expected = (
        "step 7: gradients of pupil were not finite 3 times in a row; went back to .*step-00000004 .1 of 4 times."
    )
    assert re.search(expected, caplog.text)
    # Half the rate from there on, and other batches.
    assert trainer.experiment.rates == pytest.approx([0.1] * 8 + [0.05] * 6)
    assert planted.batches[8] != planted.batches[4]
    assert trainer.experiment.drawn[8] != trainer.experiment.drawn[4]
    assert {"step": 4, "rollbacks": 1.0} in read_metrics(trainer)


def test_going_back_restores_the_state(make_trainer: Any, line_experiment: Any, every_few_steps: None) -> None:
    """What was learned since the checkpoint is forgotten, by networks, optimizers and averages alike."""
    planted = plant(
        make_trainer, line_experiment([0.5]), lambda step, rollbacks: step >= 6 and not rollbacks,
        steps=5, batch_size=4, ema_decay=0.5, validate_every=5,
    )  # fmt: skip
    trainer = planted.trainer
    trainer.run()  # 5 steps; its checkpoint is the state to compare with
    wanted = {name: value.clone() for name, value in trainer.experiment.judge.state_dict().items()}
    moments = trainer.experiment.optimizers["judge"].state_dict()["state"][0]["exp_avg"].clone()
    average = trainer.state.ema.weights["pupil/weight"].clone()
    trainer.config = dataclasses.replace(trainer.config, steps=12)
    trainer.state.minutes, trainer.state.best = 7.0, 0.25
    seen = []

    def load_and_look(*arguments: Any) -> None:
        seen.append(trainer.experiment.judge.weight.item())
        original(*arguments)
        torch.testing.assert_close(trainer.experiment.judge.state_dict(), wanted)
        torch.testing.assert_close(trainer.state.ema.weights["pupil/weight"], average)
        torch.testing.assert_close(trainer.experiment.optimizers["judge"].state_dict()["state"][0]["exp_avg"], moments)
        assert (trainer.state.step, trainer.state.best) == (5, 0.25) and trainer.state.minutes >= 7.0

    original = loop.roll_back
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "roll_back", load_and_look)
        patch.setattr(Trainer, "_checkpoint", lambda self: None)
        trainer.run()
    assert len(seen) == 1 and seen[0] != wanted["weight"].item()


@pytest.mark.parametrize("what", ["weight", "buffer"])
def test_weights_that_are_not_finite_are_noticed_at_once(
    make_trainer: Any, line_experiment: Any, every_few_steps: None, what: str
) -> None:
    planted = plant(make_trainer, line_experiment(), lambda step, rollbacks: step == 5 and not rollbacks, what)
    trainer = planted.trainer
    trainer.run()
    assert planted.steps == [0, 1, 2, 3, 4, 5, *range(4, 10)]
    for tensor in (*trainer.watched, *trainer.state.ema.weights.values()):
        assert torch.isfinite(tensor).all()


def test_a_state_that_fails_again_is_given_up_for_the_one_before(
    make_trainer: Any, line_experiment: Any, every_few_steps: None
) -> None:
    planted = plant(make_trainer, line_experiment(), lambda step, rollbacks: step == 9 and rollbacks < 2, "weight",
                    steps=12)  # fmt: skip
    trainer = planted.trainer
    trainer.run()
    assert planted.steps == [*range(10), 8, 9, *range(4, 12)]
    assert trainer.state.rollbacks == 2
    assert trainer.experiment.rates[-1] == pytest.approx(0.025)


def test_trouble_before_the_first_checkpoint_goes_back_to_the_start(make_trainer: Any, line_experiment: Any) -> None:
    planted = plant(make_trainer, line_experiment(), lambda step, rollbacks: step == 2 and not rollbacks, "weight")
    trainer = planted.trainer
    trainer.run()
    assert planted.steps == [0, 1, 2, *range(10)]


def test_after_a_few_times_the_run_ends_in_one_line(
    make_trainer: Any, line_experiment: Any, every_few_steps: None
) -> None:
    planted = plant(make_trainer, line_experiment(), lambda step, rollbacks: step >= 4, max_rollbacks=2)
    trainer = planted.trainer
    with pytest.raises(UserError, match="gradients of pupil were not finite 3 times in a row at step ") as caught:
        trainer.run()
    assert "after going back 2 times to an earlier state; start again with a smaller" in str(caught.value)
    assert "\n" not in str(caught.value)
    # Each time the count begins anew; the second time it goes back further, to the start.
    assert planted.steps == [*range(7), 4, 5, 6, *range(7)]
    # The last good state is on disk, and more rollbacks may be allowed later.
    planted = plant(make_trainer, line_experiment(), lambda step, rollbacks: False, max_rollbacks=9)
    assert planted.trainer.state.rollbacks == 2 and 0 <= planted.trainer.state.step <= 4
    planted.trainer.run()
    assert planted.trainer.experiment.rates[-1] == pytest.approx(0.025)


def test_a_resumed_run_remembers_that_it_went_back(
    make_trainer: Any, line_experiment: Any, every_few_steps: None
) -> None:
    """Stopped after it went back, it does what it would have done without the stop: batches, draws, rates, weights."""

    def when(step: int, rollbacks: int) -> bool:
        return step >= 5 and not rollbacks

    runs = {}
    for name, stops in {"straight": (14,), "resumed": (8, 14)}.items():
        batches, drawn, rates = [], [], []
        for steps in stops:
            planted = plant(make_trainer, line_experiment(length=40), when, run=name, steps=steps)
            trainer = planted.trainer
            trainer.run()
            batches += planted.batches
            drawn += trainer.experiment.drawn
            rates += trainer.experiment.rates
        runs[name] = (batches, drawn, rates, trainer.experiment.pupil.weight.item(), trainer.state.rollbacks)
    assert runs["straight"] == runs["resumed"]
    assert runs["straight"][-1] == 1


def test_no_time_at_all_still_leaves_a_checkpoint_and_a_validation(make_trainer: Any) -> None:
    trainer = make_trainer(steps=50)
    assert trainer.run(max_minutes=0) == {"valid/score": 1.0}
    assert trainer.state.step == 0
    assert [path.name for path in list_checkpoints(trainer.run_folder)] == ["step-00000000"]
    assert best(trainer)["step"] == 0
    assert make_trainer(steps=50).run() == {"valid/score": 1.0}


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock takes ten seconds."""
    now = iter(range(0, 10**6, 10))
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(now))))


def test_a_run_stops_when_its_time_is_over_and_goes_on_later(make_trainer: Any, ticking: None) -> None:
    trainer = make_trainer(steps=12)
    trainer.run(max_minutes=1.5)
    assert 0 < trainer.state.step < 12
    minutes = trainer.state.minutes
    assert 0 < minutes <= 1.5 + 1 / 6 + 1e-9  # the step that had begun is finished, a look at the clock later
    resumed = make_trainer(steps=12)
    assert (resumed.state.step, resumed.state.minutes) == (trainer.state.step, minutes)
    resumed.run()
    assert resumed.state.step == 12 and resumed.state.minutes > minutes


def test_checkpoints_come_every_few_minutes_and_the_newest_are_kept(make_trainer: Any, ticking: None) -> None:
    trainer = make_trainer(steps=20, checkpoint_minutes=1.0, keep_checkpoints=3)
    written = []
    original = trainer._checkpoint

    def checkpoint() -> None:
        original()
        written.append(trainer.state.step)

    trainer._checkpoint = checkpoint
    trainer.run()
    assert 4 <= len(written) <= 11 and written[-1] == 20
    kept = [f"step-{step:08d}" for step in sorted(set(written))[-3:]]
    assert [path.name for path in list_checkpoints(trainer.run_folder)] == kept


@pytest.mark.parametrize(
    ("scores", "lower", "expected"),
    [
        ([3.0, 1.0, 2.0], True, 4),
        ([3.0, 1.0, 2.0], False, 2),
        ([float("nan"), 5.0, float("nan")], True, 4),
        ([2.0, 2.0, 2.0], True, 2),
    ],
)
def test_the_best_by_validation_is_kept_not_the_last(
    make_trainer: Any, line_experiment: Any, scores: list[float], lower: bool, expected: int
) -> None:
    experiment = line_experiment(scores)
    experiment.lower_is_better = lower
    trainer = make_trainer(experiment, steps=6, validate_every=2)
    trainer.run()
    assert best(trainer)["step"] == expected
    assert best(trainer)["weight"] == pytest.approx(experiment.seen[expected // 2 - 1])


def test_a_resumed_run_remembers_the_best(make_trainer: Any, line_experiment: Any) -> None:
    make_trainer(line_experiment([1.0]), steps=2).run()
    make_trainer(line_experiment([5.0]), steps=4).run()
    assert best(make_trainer(steps=4))["step"] == 2
    make_trainer(line_experiment([0.5]), steps=6).run()
    assert best(make_trainer(steps=6))["step"] == 6


def test_nothing_finite_exports_nothing(make_trainer: Any, line_experiment: Any) -> None:
    trainer = make_trainer(line_experiment([float("nan")]), steps=1)
    trainer.run()
    assert not (trainer.run_folder / "best").exists()


def test_a_finished_run_that_is_started_again_trains_no_further(make_trainer: Any) -> None:
    first = make_trainer(steps=3)
    first.run()
    again = make_trainer(steps=3)
    assert again.run() == {"valid/score": 1.0}
    assert again.experiment.pupil.weight.item() == first.experiment.pupil.weight.item()
    assert again.experiment.drawn == []


def test_a_run_folder_belongs_to_its_configuration(make_trainer: Any) -> None:
    make_trainer(steps=1).run()
    before = (make_trainer(steps=1).run_folder / "config.yaml").read_text()
    with pytest.raises(UserError, match=r"started with another configuration \(loop.batch_size, loop.seed differ\)"):
        make_trainer(steps=1, seed=3, batch_size=2)
    with pytest.raises(UserError, match="loop.gradient_clip differ"):
        make_trainer(steps=1, gradient_clip=1.0)
    assert (make_trainer(steps=1).run_folder / "config.yaml").read_text() == before


def test_how_long_and_how_often_may_change(make_trainer: Any, line_experiment: Any) -> None:
    make_trainer(steps=1).run()
    trainer = make_trainer(
        steps=9, log_every=2, validate_every=3, checkpoint_minutes=9.0, keep_checkpoints=5, wandb="off", workers=0
    )
    assert yaml.safe_load((trainer.run_folder / "config.yaml").read_text())["loop"]["steps"] == 9
    experiment = line_experiment()
    experiment.free_settings = frozenset({"loop.seed"})
    make_trainer(experiment, steps=9, seed=4)


def test_what_validations_take_of_the_time_is_said(
    make_trainer: Any,
    line_experiment: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = [0.0]

    def took(seconds: float, original: Any) -> Any:
        def timed(*arguments: Any) -> Any:
            clock[0] += seconds
            return original(*arguments)

        return timed

    for validation, warned in ((1.0, False), (4.0, True)):
        monkeypatch.setattr("training.loop.time.monotonic", lambda: clock[0])
        experiment = line_experiment()
        experiment.training_step = took(1.0, experiment.training_step)
        experiment.validate = took(validation, experiment.validate)
        make_trainer(experiment, run=str(validation), steps=12, validate_every=4, checkpoint_minutes=99.0).run()
        share = 100 * validation / (4 + validation)
        assert capsys.readouterr().err.count(f"({share:.0f} % of the time so far is validation)") == 3
        warning = "validation takes 50 % of the time: raise loop.validate_every (4), or lower data.validation_clips"
        assert caplog.text.count(warning) == warned


def without(values: Any, *names: str) -> Any:
    """Plain values as an earlier version wrote them, which did not know these settings yet."""
    return {name: without(value, *names) if isinstance(value, dict) else value for name, value in values.items()
            if name not in names}  # fmt: skip


def test_a_run_that_was_started_before_a_setting_existed_can_go_on(make_trainer: Any) -> None:
    path = make_trainer(steps=1).run_folder / "config.yaml"
    path.write_text(yaml.safe_dump(without(yaml.safe_load(path.read_text()), "rollback_after", "seed")))
    written_in_full = dataclasses.asdict(LoopConfig(steps=2, batch_size=4, workers=0, wandb="off", ema_decay=0.0))
    make_trainer(**written_in_full)
    path.write_text(yaml.safe_dump(without(yaml.safe_load(path.read_text()), "rollback_after", "seed")))
    with pytest.raises(UserError, match=r"\(loop.rollback_after, loop.seed differ\)"):
        make_trainer(**(written_in_full | {"rollback_after": 7, "seed": 1}))
    make_trainer(**(written_in_full | {"max_rollbacks": 9}))  # this one is about how long


def test_so_it_is_with_the_settings_of_the_model(
    vocoder_values: dict[str, Any], tmp_path: Path, fresh_accelerate: None
) -> None:
    """And with values that are none any more: they are differences, not failures."""
    config = build(VocoderTraining, vocoder_values, "test")
    experiment = VocoderExperiment(config)

    def start(resolved: dict[str, Any]) -> Trainer:
        return Trainer(experiment, config.loop, tmp_path, make_accelerator(config.loop, "cpu"), resolved)

    resolved = to_plain(config)
    start(resolved)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(without(resolved, "subbands", "stft_sizes", "max_rollbacks", "rollback_lr_scale")))
    with pytest.raises(UserError, match=r"another configuration \(stft_sizes differ\)"):
        start(resolved)  # its stft_sizes are not the default ones
    path.write_text(yaml.safe_dump(without(resolved, "subbands", "max_rollbacks", "rollback_lr_scale")))
    start(resolved)
    path.write_text(yaml.safe_dump(resolved | {"generator": resolved["generator"] | {"head": "no more"}}))
    with pytest.raises(UserError, match=r"another configuration \(generator.head differ\)"):
        start(resolved)


def test_a_damaged_configuration_in_the_run_folder_is_said(make_trainer: Any) -> None:
    path = make_trainer(steps=1).run_folder / "config.yaml"
    path.write_text("loop: [half")
    with pytest.raises(UserError, match=r"config.yaml is damaged"):
        make_trainer(steps=1)


@pytest.mark.parametrize(("batch_size", "processes", "least"), [(3, 2, 1), (2, 2, 2), (1, 2, 1)])
def test_batches_that_cannot_be_shared_out_are_refused(
    line_experiment: Any, tmp_path: Path, batch_size: int, processes: int, least: int
) -> None:
    experiment = line_experiment()
    experiment.min_share = least
    accelerator = SimpleNamespace(device=torch.device("cpu"), num_processes=processes)
    config = LoopConfig(steps=1, batch_size=batch_size)
    with pytest.raises(UserError, match=f"a batch of {batch_size} cannot be shared out to {processes} processes"):
        Trainer(experiment, config, tmp_path / "run", accelerator, {})  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_another_device_is_refused(fresh_accelerate: None) -> None:
    with pytest.raises(UserError, match="device 'cuda:1' is unknown; choose auto or cpu"):
        make_accelerator(LoopConfig(steps=1), "cuda:1")
    assert make_accelerator(LoopConfig(steps=1), "cpu").device == torch.device("cpu")


def test_a_launch_that_started_one_process_of_several_is_said(
    fresh_accelerate: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_accelerator(LoopConfig(steps=1), "cpu")
    assert caplog.text == ""
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")  # what `accelerate launch --cpu --num_processes 2` leaves
    monkeypatch.setenv("MASTER_PORT", "29500")
    make_accelerator(LoopConfig(steps=1), "cpu")
    assert "several processes, started one: add --multi_gpu" in caplog.text


@pytest.mark.parametrize(
    "values",
    [{"steps": 0}, {"batch_size": 0}, {"log_every": 0}, {"validate_every": 0}, {"keep_checkpoints": 0},
     {"rollback_after": 0}],
)  # fmt: skip
def test_impossible_loops_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(values))} must be at least 1, got 0"):
        LoopConfig(**({"steps": 1} | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"max_rollbacks": -1}, "max_rollbacks must be at least 0, got -1"),
        ({"rollback_lr_scale": 0.0}, "rollback_lr_scale must be above 0 and at most 1, got 0.0"),
        ({"rollback_lr_scale": 1.5}, "rollback_lr_scale must be above 0 and at most 1, got 1.5"),
    ],
)
def test_impossible_rollbacks_are_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        LoopConfig(**({"steps": 1} | values))  # type: ignore[arg-type]
