"""Checkpoints to go on from: every tensor in one safetensors file, everything else in JSON, both or neither.

    RUN/checkpoints/step-00001000/tensors.safetensors    networks, optimizers, moving average
    RUN/checkpoints/step-00001000/state.json             step, configuration, parameter groups, best value, rollbacks
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from data.errors import UserError
from training.average import MovingAverage

FORMAT_VERSION = 1


@dataclass
class TrainingState:
    """Everything that a run owns and a resumed run needs.

    Attributes:
        modules, optimizers, average: as in the experiment.
        config: the resolved configuration, to be compared at resume.
        step: finished steps.
        best: best validation value so far.
        minutes: training time so far, over all resumes.
        rollbacks: how many times the run diverged and went back to an earlier state.
        rolled_back_to: name of the checkpoint that it last went back to.
    """

    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    average: MovingAverage
    config: dict[str, Any]
    step: int = 0
    best: float | None = None
    minutes: float = 0.0
    rollbacks: int = 0
    rolled_back_to: str | None = None


def save_checkpoint(run_folder: Path, state: TrainingState, keep: int = 2) -> Path:
    """Write a checkpoint under a temporary name, rename it, then drop all but the newest `keep`.

    Raises:
        UserError: the disk is full; older checkpoints are untouched.
    """
    parent = run_folder / "checkpoints"
    parent.mkdir(parents=True, exist_ok=True)
    final = parent / f"step-{state.step:08d}"
    tensors = {f"module/{name}/{key}": value for name, module in state.modules.items()
               for key, value in module.state_dict().items()}  # fmt: skip
    tensors |= {f"average/{key}": value for key, value in state.average.weights.items()}
    document: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "step": state.step,
        "best": state.best,
        "minutes": state.minutes,
        "rollbacks": state.rollbacks,
        "rolled_back_to": state.rolled_back_to,
        "average_updates": state.average.updates,
        "config": state.config,
        "optimizers": {},
    }
    for name, optimizer in state.optimizers.items():
        values = optimizer.state_dict()
        document["optimizers"][name] = values["param_groups"]
        for index, entries in values["state"].items():
            tensors |= {f"optimizer/{name}/{index}/{key}": torch.as_tensor(v) for key, v in entries.items()}
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=parent))
    try:
        save_file({k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()},
                  temporary / "tensors.safetensors")  # fmt: skip
        (temporary / "state.json").write_text(json.dumps(document), encoding="utf-8")
        if final.exists():
            shutil.rmtree(final)
        os.replace(temporary, final)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write the checkpoint {final} ({error}); earlier checkpoints are intact") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in [*list_checkpoints(run_folder)[:-keep], *parent.glob(".writing-*")]:  # the latter from a killed run
        shutil.rmtree(old, ignore_errors=True)
    return final


def list_checkpoints(run_folder: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    return sorted((run_folder / "checkpoints").glob("step-*"))


def load_checkpoint(folder: Path, state: TrainingState) -> None:
    """Put a checkpoint into `state`: networks, optimizers, average, step, best value, minutes.

    Raises:
        UserError: the checkpoint is damaged or of another version, or was made with other networks.
    """
    try:
        document = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "tensors.safetensors", device="cpu")
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"the checkpoint {folder} cannot be read ({error}); delete it to go on from the one before") \
            from None  # fmt: skip
    version = document.get("format_version") if isinstance(document, dict) else None
    if version != FORMAT_VERSION:
        raise UserError(f"{folder} has format version {version}, expected {FORMAT_VERSION}")
    try:
        for name, module in state.modules.items():
            module.load_state_dict(_below(tensors, f"module/{name}/"), strict=True)
        for name, optimizer in state.optimizers.items():
            groups = document["optimizers"][name]
            entries: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(tensors, f"optimizer/{name}/").items():
                index, field = key.split("/")
                entries.setdefault(int(index), {})[field] = value
            optimizer.load_state_dict({"state": entries, "param_groups": groups})
        average = _below(tensors, "average/")
        state.average.weights = {key: average[key].to(value.device) for key, value in state.average.weights.items()}
        state.average.updates = document["average_updates"]
        state.step, state.best, state.minutes = document["step"], document["best"], document["minutes"]
        # Checkpoints of the first versions name neither.
        state.rollbacks, state.rolled_back_to = document.get("rollbacks", 0), document.get("rolled_back_to")
    except (RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder} was made with other networks ({reason}); choose another run folder") from None


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
