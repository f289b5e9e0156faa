"""The part `loop` of every training configuration: length, pace and recovery of a run, whatever the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from stylize_core.mel import MelConfig
from training.precision import PRECISIONS

FREE_SETTINGS = (
    "steps", "log_every", "validate_every", "checkpoint_minutes", "keep_checkpoints", "wandb", "workers",
    "max_rollbacks", "mixed_precision",
)  # fmt: skip
"""Settings of the loop that may change when a run resumes."""


def check_at_least(least: int, **values: float) -> None:
    """Raise :class:`ValueError` where one of the named values is below `least`."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def check_together(**values: object) -> None:
    """Raise :class:`ValueError` where some of the named values are set and others are not."""
    if len({bool(value) for value in values.values()}) > 1:
        listed = " and ".join(
            f"{name} {list(value) if isinstance(value, tuple) else value}" for name, value in values.items()
        )
        raise ValueError(f"{listed} mean nothing without each other; set both or neither")


@dataclass(frozen=True)
class LoopConfig:
    """Length, pace and recovery of a run.

    Args:
        steps: steps in the whole run, over all resumes.
        batch_size: items in a step, over all processes.
        seed: seed of all random numbers.
        mixed_precision: `auto`, `no` or `bf16`; auto is bf16 where the hardware has it.
        workers: processes that read data.
        warmup_steps: steps over which the learning rates grow from 0.
        decay_steps: steps over which they then fall along a cosine; 0 for never.
        final_lr_scale: factor on the learning rates after the decay; 1 for no decay.
        gradient_clip: largest norm of an optimizer's gradients; 0 for no limit.
        ema_decay: decay of the exponential moving average of weights.
        log_every: steps between two lines of metrics.
        validate_every: steps between two validations.
        checkpoint_minutes: minutes between two checkpoints.
        keep_checkpoints: number of the newest checkpoints kept.
        wandb: `auto`, `online`, `offline` or `off`.
        rollback_after: consecutive updates of an optimizer skipped for gradients that are not finite, after which the
            run returns to its newest checkpoint. Weights that are not finite do so at once.
        rollback_lr_scale: factor on the learning rates for each rollback.
        max_rollbacks: rollbacks allowed; the next failure ends the run.
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
            check_at_least(1, **{name: getattr(self, name)})
        check_at_least(0, seed=self.seed, max_rollbacks=self.max_rollbacks)
        if (self.decay_steps > 0) != (self.final_lr_scale != 1):
            raise ValueError(
                f"decay_steps {self.decay_steps} and final_lr_scale {self.final_lr_scale:g} mean nothing without each "
                "other; set both or neither"
            )
        if not 0 < self.rollback_lr_scale <= 1:
            raise ValueError(f"rollback_lr_scale must be above 0 and at most 1, got {self.rollback_lr_scale}")

    def learning_rate_scale(self, step: int) -> float:
        """Factor on the learning rates at a step: linear warm-up, then a cosine to `final_lr_scale`."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if not self.decay_steps:
            return 1.0
        progress = min((step - self.warmup_steps) / self.decay_steps, 1.0)
        return self.final_lr_scale + (1 - self.final_lr_scale) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True, kw_only=True)
class AudioData:
    """Recordings that a network learns from.

    Args:
        folders: genre trees, prepared recordings or any folders with audio at the mel's sample rate.
        split_seed: seed of the split by hash, see :func:`data.sources.list_split`.
        segment_frames: length of a training segment, mel frames.
        gain_db: largest random gain of a segment, decibels.
        validation_clips: number of fixed validation clips, spread evenly over the folders.
        validation_frames: length of a validation clip, mel frames.
    """

    folders: tuple[str, ...]
    split_seed: int = 0
    segment_frames: int
    gain_db: float = 6.0
    validation_clips: int
    validation_frames: int = 344

    def __post_init__(self) -> None:
        for name in ("segment_frames", "validation_clips", "validation_frames"):
            check_at_least(1, **{name: getattr(self, name)})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """What every training configuration has.

    Args:
        loop: steps, batch, precision.
        mel: the front-end.
        learning_rate: learning rate of the main optimizer.
        init_from: model folder with the initial weights, to fine-tune.
    """

    loop: LoopConfig
    mel: MelConfig = field(default_factory=MelConfig)
    learning_rate: float = 2e-4
    init_from: str | None = None
