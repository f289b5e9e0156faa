"""Two processes on the CPU: equal weights on both, in the checkpoint, and near what one process makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from melgan.experiment import VocoderExperiment, VocoderTraining
from stylize_core.config import build, to_plain
from training.checkpoint import list_checkpoints
from training.loop import Trainer, make_accelerator

HERE = Path(__file__).parent
STEPS = 3


@dataclass(frozen=True)
class Launched:
    """What two processes left: values of the configurations, and the folder with reports and runs."""

    values: dict[str, dict[str, Any]]
    out: Path
    stderr: str

    def report(self, name: str, rank: int) -> dict[str, Any]:
        return json.loads((self.out / f"{name}.{rank}.json").read_text())

    def tensors(self, name: str, rank: int) -> dict[str, Tensor]:
        return load_file(self.out / f"{name}.{rank}.safetensors")


_LAUNCHED: dict[str, Launched] = {}


@pytest.fixture
def launched(
    vocoder_values: dict[str, Any], translator_values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Launched:
    """One launch for all tests: starting two processes takes most of the time."""
    if "once" in _LAUNCHED:
        return _LAUNCHED["once"]
    out = tmp_path_factory.mktemp("two-processes")
    # The L1 of mels alone: the spectral convergence in the STFT loss is a ratio over the batch, no mean of its items.
    vocoder_values |= {"adversary": None, "weights": {"stft": 0.0, "mel": 5.0}}
    values = {"vocoder": vocoder_values, "translator": translator_values}
    arguments = []
    for name, one in values.items():
        one["loop"] |= {"steps": STEPS, "batch_size": 4}
        (out / f"{name}.yaml").write_text(yaml.safe_dump(one | {"experiment": name}))
        arguments.append(f"{name}={out / name}.yaml")
    result = subprocess.run(
        [sys.executable, str(HERE / "two_processes.py"), str(out), *arguments],
        cwd=HERE.parent.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    _LAUNCHED["once"] = Launched(values, out, result.stderr)
    return _LAUNCHED["once"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vocoder", "translator"])
def test_weights_are_equal_on_both_and_in_the_checkpoint(launched: Launched, name: str) -> None:
    reports = [launched.report(name, rank) for rank in (0, 1)]
    assert reports[0] == reports[1]
    assert (reports[0]["processes"], reports[0]["step"]) == (2, STEPS)
    stored = load_file(list_checkpoints(launched.out / name)[-1] / "tensors.safetensors")
    held = launched.tensors(name, 1)
    assert {key for key in stored if not key.startswith("optimizer/")} == held.keys()
    assert all(torch.equal(stored[key], held[key]) for key in held)


@pytest.mark.slow
def test_a_mean_over_the_batch_trains_as_in_one_process(
    launched: Launched, tmp_path: Path, fresh_accelerate: None, quick_validation: None
) -> None:
    config = build(VocoderTraining, launched.values["vocoder"], "test")
    experiment = VocoderExperiment(config)
    start = {f"module/vocoder/{key}": value.clone() for key, value in experiment.vocoder.state_dict().items()}
    trainer = Trainer(experiment, config.loop, tmp_path, make_accelerator(config.loop, "cpu"), to_plain(config))
    trainer.run()
    two = launched.tensors("vocoder", 0)
    one = {f"module/vocoder/{key}": value for key, value in experiment.vocoder.state_dict().items()}
    moved = torch.cat([(one[key] - start[key]).flatten().abs() for key in one]).mean()
    apart = torch.cat([(one[key] - two[key]).flatten().abs() for key in one]).mean()
    assert moved > 1e-5
    assert apart < 0.1 * moved  # Adam makes steps of equal length of gradients that are all but zero
    lines = {
        place: [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
        for place in (tmp_path, launched.out / "vocoder")
    }
    mine, theirs = ([line for line in lines[place] if "stft" in line] for place in lines)
    assert [line["step"] for line in mine] == [line["step"] for line in theirs] == [1, 2, 3]
    for precision, here, there in zip((2e-5, 1e-2, 1e-2), mine, theirs, strict=True):
        for name in ("mel", "gradient_norm"):
            assert here[name] == pytest.approx(there[name], rel=precision)


@pytest.mark.slow
def test_one_process_alone_speaks(launched: Launched) -> None:
    assert launched.stderr.count("validation at step 3") == 2  # of two runs
    lines = (launched.out / "translator" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 3]
