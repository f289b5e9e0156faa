"""Started by `accelerate launch`: the real commands in every process, which then write down what they hold.

accelerate launch --multi_gpu --num_processes 2 two_processes.py OUT NAME=CONFIG ...
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, os.getcwd())

from safetensors.torch import save_file
from torch import Tensor

import melgan.experiment
import training.tracking
import travelgan.validation
from scripts.train_melgan import train_melgan
from scripts.train_travelgan import train_travelgan
from training.checkpoint import TrainingState
from training.loop import Trainer

COMMANDS = {"vocoder": train_melgan, "translator": train_travelgan}


def tensors_of(state: TrainingState) -> dict[str, Tensor]:
    """Weights and averages under the names that a checkpoint gives them."""
    tensors = {
        f"module/{name}/{key}": value
        for name, module in state.modules.items()
        for key, value in module.state_dict().items()
    }
    return tensors | {f"average/{key}": value for key, value in state.average.weights.items()}


def main(out: Path, runs: list[str]) -> None:
    # Slow to start, and not the subject.
    melgan.experiment.chroma_cosine = travelgan.validation.chroma_cosine = lambda *arguments: 0.5  # type: ignore
    training.tracking.plot_mels = lambda mels, path: path.touch()
    finished = []
    original = Trainer.run

    def run(self: Trainer, max_minutes: float | None = None) -> dict[str, float]:
        measures = original(self, max_minutes)
        finished.append(self)
        return measures

    Trainer.run = run  # type: ignore[method-assign]
    for name, config in (entry.split("=", 1) for entry in runs):
        COMMANDS[name](Path(config), [], out / name, None, "auto")
        trainer = finished[-1]
        rank, processes = trainer.accelerator.process_index, trainer.accelerator.num_processes
        tensors = {key: value.contiguous() for key, value in tensors_of(trainer.state).items()}
        digest = hashlib.sha256()
        for key in sorted(tensors):
            digest.update(key.encode() + tensors[key].numpy().tobytes())
        save_file(tensors, out / f"{name}.{rank}.safetensors")
        report = {"processes": processes, "step": trainer.state.step, "digest": digest.hexdigest()}
        (out / f"{name}.{rank}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
