"""Recovery of a run that diverges: restore the last valid state and continue with lower learning rates.

Batches and random numbers are a function of (seed, step), so the number of rollbacks is part of the seed.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from stylize_core.errors import UserError
from training.checkpoint import TrainingState, list_checkpoints, load_newest, step_of

logger = logging.getLogger(__name__)


class DivergedError(Exception):
    """The weights or gradients are not finite; the message is a clause."""


def require_finite(tensors: Sequence[Tensor]) -> None:
    """Raise :class:`DivergedError` where a parameter or buffer holds NaN, infinity, or a value whose square is."""
    if not torch.isfinite(torch.nn.utils.get_total_norm(tensors)):
        raise DivergedError("weights are not finite")


def roll_back(
    run_folder: Path, state: TrainingState, reason: str, max_rollbacks: int, accelerator: Accelerator
) -> None:
    """Restore the newest checkpoint into `state`, and count the rollback.

    If the last rollback restored the newest checkpoint too, that one is deleted and the one before it restored. The
    time spent and the best measure so far stay.

    Args:
        run_folder: folder of the run.
        state: state of the run, for the caller to save.
        reason: what failed, for messages.
        max_rollbacks: rollbacks allowed in a run.
        accelerator: synchronizes all processes.

    Raises:
        UserError: there were `max_rollbacks` rollbacks already, or no checkpoint can be read.
    """
    if state.rollbacks >= max_rollbacks:
        raise UserError(
            f"{reason} at step {state.step}, after going back {state.rollbacks} times to an earlier state; start again "
            "with a smaller learning rate or gradient clip, or allow more with loop.max_rollbacks"
        )
    checkpoints = [folder for folder in list_checkpoints(run_folder) if step_of(folder) <= state.step]
    accelerator.wait_for_everyone()  # before a process changes what another one lists
    step, rollbacks, best, minutes = state.step, state.rollbacks, state.best, state.minutes
    again = len(checkpoints) > 1 and checkpoints[-1].name == state.rolled_back_to
    if not checkpoints:
        raise UserError(f"{reason} at step {state.step}, and {run_folder} has no checkpoint to go back to")
    good = load_newest(checkpoints[:-1] if again else checkpoints, state)
    state.rollbacks, state.best, state.minutes, state.rolled_back_to = rollbacks + 1, best, minutes, good.name
    logger.warning("step %d: %s; went back to %s (%d of %d times)", step, reason, good, state.rollbacks, max_rollbacks)
    accelerator.wait_for_everyone()  # before a process deletes what another one reads
    if again and accelerator.is_main_process:
        shutil.rmtree(checkpoints[-1], ignore_errors=True)
