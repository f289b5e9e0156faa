"""Checkpoints to resume from: tensors in one safetensors file, everything else in JSON.

RUN/checkpoints/step-00001000/tensors.safetensors    networks, optimizers, EMA
RUN/checkpoints/step-00001000/state.json             step, configuration, parameter groups, best value, rollbacks
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from stylize_core.errors import UserError
from stylize_core.plain import build, check_range, one_line, read_json, show
from stylize_core.tensor_files import read_header
from training.ema import EMA, below

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2
STATE_NAME, TENSORS_NAME = "state.json", "tensors.safetensors"


class DamagedCheckpointError(UserError):
    """A checkpoint with a missing or damaged file; an older one may be intact."""


@dataclass(kw_only=True)
class RunProgress:
    """How far a run is.

    Attributes:
        step: finished steps.
        best: best validation value so far.
        minutes: training time so far, over all resumes.
        rollbacks: times that the run diverged and returned to an earlier state.
        rolled_back_to: name of the checkpoint that it last returned to.
    """

    step: int = 0
    best: float | None = None
    minutes: float = 0.0
    rollbacks: int = 0
    rolled_back_to: str | None = None


@dataclass
class TrainingState(RunProgress):
    """Everything that a run owns and a resumed run needs.

    Attributes:
        modules, optimizers, ema: as in the experiment.
        config: the resolved configuration, to be compared at resume.
    """

    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    ema: EMA
    config: dict[str, Any]


def save_checkpoint(run_folder: Path, state: TrainingState, keep: int = 2) -> Path:
    """Write a checkpoint under a temporary name, rename it, then drop all but the newest `keep`.

    Raises:
        UserError: the disk is full; older checkpoints are untouched.
    """
    parent = run_folder / "checkpoints"
    final = parent / f"step-{state.step:08d}"
    tensors = _named_weights(state)
    document: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        **{field.name: getattr(state, field.name) for field in fields(RunProgress)},
        "ema_updates": state.ema.updates,
        "config": state.config,
        "optimizers": {},
    }
    for name, optimizer in state.optimizers.items():
        values = optimizer.state_dict()
        document["optimizers"][name] = values["param_groups"]
        for index, entries in values["state"].items():
            tensors |= {f"optimizer/{name}/{index}/{key}": torch.as_tensor(v) for key, v in entries.items()}
    temporary = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=parent))
        save_file({k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}, temporary / TENSORS_NAME)
        (temporary / STATE_NAME).write_text(json.dumps(document), encoding="utf-8")
        if final.exists():
            shutil.rmtree(final)
        os.replace(temporary, final)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write the checkpoint {final} ({error}); earlier checkpoints are intact") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    # Later checkpoints precede a rollback; .writing- is from a killed run.
    written = [folder for folder in list_checkpoints(run_folder) if step_of(folder) <= state.step]
    for old in [*written[:-keep], *parent.glob(".writing-*")]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def list_checkpoints(run_folder: Path) -> list[Path]:
    """Checkpoints of a run, oldest first: folders with the exact names that :func:`save_checkpoint` gives."""
    folders = [folder for folder in (run_folder / "checkpoints").glob("step-*") if folder.is_dir()]
    return sorted((folder for folder in folders if step_of(folder) >= 0), key=step_of)


def step_of(folder: Path) -> int:
    """The step in the name of a checkpoint; -1 for another name."""
    match = re.fullmatch("step-([0-9]{8,15})", folder.name)
    return int(match[1]) if match and folder.name == f"step-{int(match[1]):08d}" else -1


def load_newest(folders: Sequence[Path], state: TrainingState) -> Path:
    """Load the newest intact checkpoint of a list, oldest first; a damaged one is skipped with a warning.

    Raises:
        UserError: none is intact, or one was made with other networks or by a newer version of this program.
    """
    reasons = []
    for folder in reversed(folders):
        try:
            load_checkpoint(folder, state)
        except DamagedCheckpointError as error:
            logger.warning("%s; it is passed over", error)
            reasons.append(str(error))
        else:
            return folder
    raise UserError(f"{reasons[0]}, and there is no older one that can; name another run folder to start again")


@dataclass(kw_only=True)
class _Document(RunProgress):
    """What `state.json` says."""

    step: int
    minutes: float
    best: float | None
    ema_updates: int
    config: dict[str, Any]
    optimizers: dict[str, Any]

    def __post_init__(self) -> None:
        check_range(0, 1e15, step=self.step, minutes=self.minutes)
        check_range(0, 1e15, ema_updates=self.ema_updates, rollbacks=self.rollbacks)
        lists = list(self.optimizers.values())
        if not all(isinstance(groups, list) and all(isinstance(group, dict) for group in groups) for groups in lists):
            raise ValueError("optimizers must hold a list of parameter groups each")


def load_checkpoint(folder: Path, state: TrainingState) -> None:
    """Load a checkpoint into `state`, checked before anything changes; settings of the optimizers stay the run's.

    Raises:
        DamagedCheckpointError: a file is missing or damaged.
        UserError: the checkpoint is of another version, or was made with other networks.
    """
    try:
        document = _read_document(folder)
        tensors = _read_tensors(folder, state)
        entries = {
            name: _optimizer_entries(name, optimizer, document, tensors) for name, optimizer in state.optimizers.items()
        }
    except (OSError, ValueError, SafetensorError) as error:
        raise DamagedCheckpointError(f"the checkpoint {folder} cannot be read ({one_line(error)})") from None
    except LookupError as error:
        raise UserError(
            f"{folder} was made with other networks ({one_line(error)}); choose another run folder"
        ) from None
    for name, module in state.modules.items():
        module.load_state_dict(below(tensors, f"module/{name}/"), strict=True)
    for name, optimizer in state.optimizers.items():
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": entries[name], "param_groups": groups})
    ema = below(tensors, "ema/")
    state.ema.weights = {key: ema[key].to(value.device) for key, value in state.ema.weights.items()}
    state.ema.updates = document.ema_updates
    for field in fields(RunProgress):
        setattr(state, field.name, getattr(document, field.name))


def _read_document(folder: Path) -> _Document:
    """Read and check `state.json`; :class:`ValueError` where it is damaged."""
    values = read_json(folder / STATE_NAME)
    version = values.get("format_version") if isinstance(values, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise UserError(f"{folder} has format version {version}, expected {FORMAT_VERSION}; update this program")
    if version != FORMAT_VERSION:
        raise ValueError(f"{STATE_NAME} has format version {show(version)}, expected {FORMAT_VERSION}")
    if isinstance(best := values.get("best"), float) and not math.isfinite(best):
        logger.warning("%s has a best value of %s, which is none: the next validation is the best so far", folder, best)
        values["best"] = None
    known = {field.name for field in fields(_Document)}
    try:
        document = build(_Document, {name: value for name, value in values.items() if name in known}, STATE_NAME)
    except UserError as error:
        raise ValueError(str(error)) from None
    if document.step != step_of(folder):
        raise ValueError(f"{STATE_NAME} is of step {document.step}")
    return document


def _named_weights(state: TrainingState) -> dict[str, Tensor]:
    """Networks and their EMA, named as in a checkpoint."""
    weights = {
        f"module/{name}/{key}": value
        for name, module in state.modules.items()
        for key, value in module.state_dict().items()
    }
    return weights | {f"ema/{key}": value for key, value in state.ema.weights.items()}


def _read_tensors(folder: Path, state: TrainingState) -> dict[str, Tensor]:
    """Read and check tensors; ValueError where they are damaged or not finite, LookupError for other networks."""
    header, own = read_header(folder / TENSORS_NAME), _named_weights(state)
    stored = {name: shape for name, shape in header.shapes.items() if not name.startswith("optimizer/")}
    for name in [*own, *stored]:
        if name not in own or tuple(own[name].shape) != stored.get(name):
            raise LookupError(f"{show(name)[1:-1]} is missing, new, or of another shape")
    tensors = load_file(folder / TENSORS_NAME, device="cpu")
    for name, value in own.items():
        if tensors[name].is_floating_point() != value.is_floating_point():
            raise ValueError(f"{name} is of type {header.dtypes[name]}")
    if not torch.isfinite(torch.nn.utils.get_total_norm([v for v in tensors.values() if v.is_floating_point()])):
        raise ValueError("it holds NaN or infinite values")
    return tensors


def _optimizer_entries(
    name: str, optimizer: torch.optim.Optimizer, document: _Document, tensors: Mapping[str, Tensor]
) -> dict[int, dict[str, Tensor]]:
    """State of each parameter by its number; ValueError where it is damaged, LookupError for other parameters."""
    own = optimizer.state_dict()["param_groups"]
    stored = document.optimizers.get(name)
    if stored is None or [group.get("params") for group in stored] != [group["params"] for group in own]:
        raise LookupError(f"the optimizer {name} has other parameters")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in below(tensors, f"optimizer/{name}/").items():
        index, _, field = key.partition("/")
        if not re.fullmatch("[0-9]{1,9}", index) or not field or not value.is_floating_point():
            raise ValueError(f"the optimizer {name} has an entry {show(key)}")
        if int(index) >= len(parameters) or (value.ndim and value.shape != parameters[int(index)].shape):
            raise LookupError(f"the optimizer {name} has parameters of other shapes")
        entries.setdefault(int(index), {})[field] = value
    if len({frozenset(entry) for entry in entries.values()}) > 1:
        raise ValueError(f"the optimizer {name} lacks a part of its state")
    return entries
