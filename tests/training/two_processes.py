"""Starts two processes as `accelerate launch` does: the real commands in both, which then write down what they hold.

python two_processes.py OUT NAME=CONFIG ...

The two are forked when all is imported: importing takes longer than their training.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import socket
import sys
from pathlib import Path

sys.path.insert(0, os.getcwd())

import torch._dynamo  # by the first optimizer otherwise  # noqa: F401
from safetensors.torch import save_file
from torch import Tensor

import melgan.experiment
import stylize_core.metrics.waveform
import training.tracking
import travelgan.experiment
import travelgan.validation
from scripts.train import train
from training.checkpoint import TrainingState
from training.loop import Trainer


def tensors_of(state: TrainingState) -> dict[str, Tensor]:
    """Weights and averages under the names that a checkpoint gives them."""
    tensors = {
        f"module/{name}/{key}": value
        for name, module in state.modules.items()
        for key, value in module.state_dict().items()
    }
    return tensors | {f"ema/{key}": value for key, value in state.ema.weights.items()}


def main(out: Path, runs: list[str]) -> None:
    # Slow to start, and not the subject.
    for place in (melgan.experiment, stylize_core.metrics.waveform):
        place.chroma_cosine = lambda *arguments: 0.5  # type: ignore[attr-defined]
    travelgan.validation.Sounds.chroma = lambda *arguments: 0.5  # type: ignore[method-assign]
    travelgan.validation.SAMPLE_ITERATIONS = 1
    stylize_core.metrics.waveform.onset_correlation = lambda *arguments: 0.5
    training.tracking.plot_mels = lambda mels, path: path.touch()
    finished = []
    original = Trainer.run

    def run(self: Trainer, max_minutes: float | None = None) -> dict[str, float]:
        measures = original(self, max_minutes)
        finished.append(self)
        return measures

    Trainer.run = run  # type: ignore[method-assign]
    for name, config in (entry.split("=", 1) for entry in runs):
        train(Path(config), [], out / name, None, "auto")
        trainer = finished[-1]
        rank, processes = trainer.accelerator.process_index, trainer.accelerator.num_processes
        tensors = {key: value.contiguous() for key, value in tensors_of(trainer.state).items()}
        digest = hashlib.sha256()
        for key in sorted(tensors):
            digest.update(key.encode() + tensors[key].numpy().tobytes())
        save_file(tensors, out / f"{name}.{rank}.safetensors")
        report = {"processes": processes, "step": trainer.state.step, "digest": digest.hexdigest()}
        (out / f"{name}.{rank}.json").write_text(json.dumps(report))


def start(rank: int, port: int) -> None:
    """What a launcher sets, and the commands."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    main(Path(sys.argv[1]), sys.argv[2:])


if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [multiprocessing.get_context("fork").Process(target=start, args=(rank, port)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(max(abs(process.exitcode or 0) for process in processes))
