"""How long and how a run goes, whatever the model: the part `loop` of every training configuration."""

from __future__ import annotations

import math
from dataclasses import dataclass

from training.precision import PRECISIONS

FREE_SETTINGS = (
    "steps", "log_every", "validate_every", "checkpoint_minutes", "keep_checkpoints", "wandb", "workers",
    "max_rollbacks", "mixed_precision",
)  # fmt: skip
"""Of the loop: how long, how often, where to report and in which precision may change between resumes; what is trained
may not."""


@dataclass(frozen=True)
class LoopConfig:
    """How long and how a run goes, whatever the model.

    Args:
        steps: steps in the whole run, over all resumes.
        batch_size: items in a step, over all processes.
        seed: of everything random.
        mixed_precision: `auto`, `no` or `bf16`; auto is bf16 where the hardware has it, see :mod:`training.precision`.
        workers: processes that read data.
        warmup_steps: over which the learning rates grow from 0.
        decay_steps: over which they then fall along a cosine; 0 for never.
        final_lr_scale: what they fall to, relative to the configured ones; 1 for never.
        gradient_clip: largest norm of an optimizer's gradients; 0 for no limit.
        ema_decay: of the exponential moving average of weights.
        log_every: steps between two lines of metrics.
        validate_every: steps between two validations.
        checkpoint_minutes: minutes between two checkpoints.
        keep_checkpoints: how many of the newest are kept.
        wandb: `auto`, `online`, `offline` or `off`.
        rollback_after: updates of an optimizer that were left out in a row, because their gradients were not finite,
            after which the run goes back to its newest checkpoint. It does so at once where weights are not finite.
        rollback_lr_scale: what each going back multiplies the learning rates by, for the rest of the run.
        max_rollbacks: how often a run may go back; what goes wrong after that ends it.
    """

    steps: int
    batch_size: int = 16
    seed: int = 0
    mixed_precision: str = "auto"
    workers: int = 1
    warmup_steps: int = 0
    decay_steps: int = 0
    final_lr_scale: float = 1.0
    gradient_clip: float = 0.0
    ema_decay: float = 0.999
    log_every: int = 20
    validate_every: int = 1000
    checkpoint_minutes: float = 5.0
    keep_checkpoints: int = 2
    wandb: str = "auto"
    rollback_after: int = 20
    rollback_lr_scale: float = 0.5
    max_rollbacks: int = 4

    def __post_init__(self) -> None:
        if self.mixed_precision not in PRECISIONS:
            raise ValueError(f"mixed_precision must be auto, no or bf16, got {self.mixed_precision!r}")
        for name in ("steps", "batch_size", "log_every", "validate_every", "keep_checkpoints", "rollback_after"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("seed", "max_rollbacks"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if (self.decay_steps > 0) != (self.final_lr_scale != 1):
            raise ValueError(
                f"decay_steps {self.decay_steps} and final_lr_scale {self.final_lr_scale:g} mean nothing without each "
                "other; set both or neither"
            )
        if not 0 < self.rollback_lr_scale <= 1:
            raise ValueError(f"rollback_lr_scale must be above 0 and at most 1, got {self.rollback_lr_scale}")


def learning_rate_scale(config: LoopConfig, step: int) -> float:
    """What the learning rates are multiplied by at a step: linear warm-up, then a cosine to `final_lr_scale`."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if not config.decay_steps:
        return 1.0
    progress = min((step - config.warmup_steps) / config.decay_steps, 1.0)
    return config.final_lr_scale + (1 - config.final_lr_scale) * 0.5 * (1 + math.cos(math.pi * progress))
