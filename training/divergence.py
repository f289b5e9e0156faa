"""What a run does when its numbers stop being numbers: back to the last good state, on along another way, more slowly.

Batches and draws are a function of (seed, step) and would lead a run back into the same trouble. So the number of times
that it went back counts as a part of the seed, and each time lowers the learning rates.
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
from training.sampler import derive_seed

logger = logging.getLogger(__name__)


class DivergedError(Exception):
    """The networks are, or will soon be, no use; the message says why, in half a sentence."""


def seed_after(seed: int, rollbacks: int) -> int:
    """The seed of a run that went back so many times: its own as long as it never did."""
    return derive_seed("rollback", seed, rollbacks) % 2**31 if rollbacks else seed


def require_finite(tensors: Sequence[Tensor]) -> None:
    """Check parameters and buffers, all at once.

    Raises:
        DivergedError: one of them holds a NaN or an infinite value, or one so large that its square is.
    """
    if not torch.isfinite(torch.nn.utils.get_total_norm(tensors)):
        raise DivergedError("weights are not finite")


def roll_back(
    run_folder: Path, state: TrainingState, reason: str, max_rollbacks: int, accelerator: Accelerator
) -> None:
    """Put the last good state into `state`, with its number of rollbacks one higher, for the caller to save.

    That is the newest checkpoint; or the one before it, if the run went back to the newest one already and made no
    other since: then that one is deleted. The time spent and the best measure so far stay as they are.

    Args:
        run_folder: of the run.
        state: of the run.
        reason: what went wrong.
        max_rollbacks: so many are allowed in a run.
        accelerator: all processes take part.

    Raises:
        UserError: the run went back `max_rollbacks` times already, or no checkpoint can be read.
    """
    if state.rollbacks >= max_rollbacks:
        raise UserError(
            f"{reason} at step {state.step}, after going back {state.rollbacks} times to an earlier state; start again "
            "with a smaller learning rate or gradient clip, or allow more with loop.max_rollbacks"
        )
    checkpoints = [folder for folder in list_checkpoints(run_folder) if step_of(folder) <= state.step]
    accelerator.wait_for_everyone()  # before one process changes what another one is listing
    step, rollbacks, best, minutes = state.step, state.rollbacks, state.best, state.minutes
    again = len(checkpoints) > 1 and checkpoints[-1].name == state.rolled_back_to
    if not checkpoints:
        raise UserError(f"{reason} at step {state.step}, and {run_folder} has no checkpoint to go back to")
    good = load_newest(checkpoints[:-1] if again else checkpoints, state)
    state.rollbacks, state.best, state.minutes, state.rolled_back_to = rollbacks + 1, best, minutes, good.name
    logger.warning("step %d: %s; went back to %s (%d of %d times)", step, reason, good, state.rollbacks, max_rollbacks)
    accelerator.wait_for_everyone()  # nobody may change a checkpoint while another one reads it
    if again and accelerator.is_main_process:
        shutil.rmtree(checkpoints[-1], ignore_errors=True)
