"""Signals: a checkpoint of the step they came in, the right exit status, and handlers as they were."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from stylize_core.interruption import STOP_SIGNALS
from training.checkpoint import list_checkpoints


def send_at(experiment: Any, step: int, number: int) -> Any:
    """The experiment, with a signal in the middle of a step."""
    original = experiment.training_step

    def training_step(batch: Any, at: int, update: Any) -> Any:
        losses = original(batch, at, update)
        if at == step:
            os.kill(os.getpid(), number)
        return losses

    experiment.training_step = training_step
    return experiment


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_step_is_finished_and_saved(
    make_trainer: Any, line_experiment: Any, capfd: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    before = [signal.getsignal(each) for each in STOP_SIGNALS]
    experiment = send_at(line_experiment(), 2, number)
    trainer = make_trainer(experiment, steps=9)
    with pytest.raises(SystemExit) as ended:
        trainer.run()
    assert ended.value.code == 128 + number
    assert [signal.getsignal(each) for each in STOP_SIGNALS] == before
    assert [path.name for path in list_checkpoints(trainer.run_folder)] == ["step-00000000", "step-00000003"]
    assert experiment.validations == 0
    said = capfd.readouterr().err
    assert "stopping after this step, with a checkpoint; once more stops at once" in said
    assert f"stopped by {number.name} at step 3, checkpoint written; the same command resumes from there" in said

    stopped = make_trainer(steps=9)
    stopped.run()
    whole = make_trainer(run="whole", steps=9)
    whole.run()
    assert stopped.experiment.pupil.weight.item() == whole.experiment.pupil.weight.item()


def test_a_signal_on_one_process_stops_all(make_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process saw SIGTERM; this one nothing."""
    trainer = make_trainer(steps=9)

    def on_any_process(*flags: bool) -> list[bool]:
        elsewhere = [False, False, *(number == signal.SIGTERM for number in STOP_SIGNALS)]
        return [mine or (other and trainer.state.step == 4) for mine, other in zip(flags, elsewhere, strict=True)]

    monkeypatch.setattr(trainer, "_on_any_process", on_any_process)
    with pytest.raises(SystemExit) as ended:
        trainer.run()
    assert ended.value.code == 128 + signal.SIGTERM
    assert list_checkpoints(trainer.run_folder)[-1].name == "step-00000004"
