"""The training loop of every model, on one process or several (`accelerate launch`).

Gradients are averaged over processes right before each optimizer step, so a step may call its networks in any order.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from stylize_core.atomic import atomic_write
from stylize_core.errors import UserError
from stylize_core.interruption import STOP_SIGNALS, StopSignals, leave_signals_to_main
from stylize_core.model_folder import read_training_record
from training.checkpoint import TrainingState, list_checkpoints, load_newest, save_checkpoint
from training.divergence import DivergedError, require_finite, roll_back
from training.ema import EMA
from training.experiment import Experiment
from training.loop_config import FREE_SETTINGS, LoopConfig
from training.precision import choose_precision
from training.progress import StepProgress
from training.run_folder import CONFIG_NAME, check_same_run
from training.sampler import StepSampler, derive_seed
from training.tracking import Tracker

logger = logging.getLogger(__name__)

LARGE_SHARE = 0.3
"""Validations that take a larger share of a run's time cause a warning."""
STOPPING = "stopping after this step, with a checkpoint; once more stops at once"


def make_accelerator(config: LoopConfig, device: str = "auto") -> Accelerator:
    """The accelerator of a run.

    Args:
        config: for the precision.
        device: `auto` or `cpu`. Several processes without a GPU use the CPU in either case; otherwise accelerate
            would not connect them.

    Raises:
        UserError: another device.
    """
    if device not in ("auto", "cpu"):
        raise UserError(f"device {device!r} is unknown; choose auto or cpu (CUDA_VISIBLE_DEVICES picks a GPU)")
    launched = "LOCAL_RANK" in os.environ
    cpu = device == "cpu" or (launched and not torch.cuda.is_available())
    available = [kind for kind in ("cuda", "mps") if getattr(torch, kind).is_available() and not cpu]
    precision, _ = choose_precision(config.mixed_precision, available[0] if available else "cpu")
    accelerator = Accelerator(mixed_precision=precision, cpu=cpu)
    if "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ and accelerator.num_processes == 1:
        logger.warning("accelerate launch was asked for several processes, started one: add --multi_gpu, on CPUs too")
    return accelerator


class Trainer:
    """Runs an experiment in a run folder, and resumes from the newest checkpoint there.

    Args:
        experiment: networks, step, validation.
        config: length and pace.
        run_folder: for checkpoints, metrics, samples and the exported model `RUN/best`.
        accelerator: see :func:`make_accelerator`.
        resolved: the whole configuration as plain values.

    Raises:
        UserError: the run folder belongs to another configuration, its checkpoint is damaged, or a batch cannot be
            divided among the processes.
    """

    def __init__(
        self,
        experiment: Experiment,
        config: LoopConfig,
        run_folder: Path,
        accelerator: Accelerator,
        resolved: dict[str, Any],
    ) -> None:
        self.experiment, self.config, self.run_folder = experiment, config, run_folder
        self.accelerator = accelerator
        for module in experiment.modules.values():
            module.to(accelerator.device)
        self.state = TrainingState(
            modules=experiment.modules,
            optimizers=experiment.optimizers,
            ema=EMA({name: experiment.modules[name] for name in experiment.averaged}, config.ema_decay),
            config=resolved,
        )
        self.base_rates = {
            name: [group["lr"] for group in optimizer.param_groups] for name, optimizer in experiment.optimizers.items()
        }
        self.skipped = dict.fromkeys(experiment.optimizers, 0)
        self.measures: dict[str, float] = {}
        self.validated_at, self.validations = -1, 0
        self.started, self.validating = time.monotonic(), 0.0
        self.watched = [
            tensor
            for module in experiment.modules.values()
            for tensor in (*module.parameters(), *module.buffers())
            if tensor.is_floating_point()
        ]
        init = resolved.get("init_from")
        self.init = {} if init is None else {"init": read_training_record(init)}
        self._check_shares()
        self._write_or_check_config(resolved)
        checkpoints = list_checkpoints(run_folder)
        if checkpoints:
            loaded = load_newest(checkpoints, self.state)
            logger.info("resumed from %s (step %d)", loaded, self.state.step)
        self.has_checkpoint = bool(checkpoints)
        accelerator.wait_for_everyone()  # before the first process writes

    def _check_shares(self) -> None:
        processes, needed = self.accelerator.num_processes, self.experiment.min_share
        if self.config.batch_size % processes or self.config.batch_size // processes < needed:
            raise UserError(
                f"a batch of {self.config.batch_size} cannot be shared out to {processes} processes, equally and at "
                f"least {needed} each; change loop.batch_size or the number of processes"
            )

    def _write_or_check_config(self, resolved: dict[str, Any]) -> None:
        path = self.run_folder / CONFIG_NAME
        kinds = {"": type(getattr(self.experiment, "config", None)), "loop": LoopConfig}
        free = {f"loop.{name}" for name in FREE_SETTINGS} | self.experiment.free_settings
        check_same_run(self.run_folder, resolved, kinds, free)
        self.accelerator.wait_for_everyone()  # no process reads the file while it is written
        if self.accelerator.is_main_process:
            self.run_folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as stream:
                stream.write(yaml.safe_dump(resolved, sort_keys=False).encode())
        self.accelerator.wait_for_everyone()

    def run(self, max_minutes: float | None = None) -> dict[str, float]:
        """Train up to `steps` or for `max_minutes`, then checkpoint and validate; returns the last measures.

        Raises:
            SystemExit: SIGINT, SIGTERM or SIGHUP came; a checkpoint is written, and the status is 128 + its number.
        """
        main = self.accelerator.is_main_process
        if main:
            precision = choose_precision(self.config.mixed_precision, self.accelerator.device)
            logger.info("mixed precision: %s (%s)", *precision)
        tracker = Tracker(self.run_folder, self.state.config, self.config.wandb, main, self.state.step)
        with (
            StopSignals(message=STOPPING if main else "", launched=self.accelerator.num_processes > 1) as signals,
            StepProgress(self.state.step, self.config.steps, max_minutes, active=main) as progress,
        ):
            if not self.has_checkpoint:
                self._checkpoint()  # for a rollback
            stopped_by = self._train(tracker, progress, signals, max_minutes)
            if stopped_by is None and self.validated_at != self.state.step:
                self._validate(tracker, progress)
            self._checkpoint()
        tracker.close()
        if stopped_by is not None:
            if main:
                name, number = stopped_by.name, self.state.step
                message = f"stopped by {name} at step {number}, checkpoint written; the same command resumes from there"
                print(message, file=sys.stderr, flush=True)
            raise SystemExit(128 + stopped_by)
        return self.measures

    def _train(
        self, tracker: Tracker, progress: StepProgress, signals: StopSignals, max_minutes: float | None
    ) -> signal.Signals | None:
        """Steps, checkpoints and validations; returns the signal that ended them, the same on all processes."""
        self.started = last_checkpoint = time.monotonic()
        minutes_before = self.state.minutes
        batches = self._batches()
        while True:
            now = time.monotonic()
            over = max_minutes is not None and now - self.started > 60 * max_minutes
            over = over or self.state.step >= self.config.steps
            checkpoint_due = now - last_checkpoint > 60 * self.config.checkpoint_minutes
            came = [signals.number == number for number in STOP_SIGNALS]
            over, checkpoint_due, *came = self._on_any_process(over, checkpoint_due, *came)
            if any(came):
                return STOP_SIGNALS[came.index(True)]
            if over:
                return None
            if checkpoint_due:
                self._checkpoint()
                last_checkpoint = now
            try:
                losses = self.step(next(batches))
            except DivergedError as reason:
                self._roll_back(str(reason), tracker)
                batches = self._batches()
                continue
            self.state.minutes = minutes_before + (time.monotonic() - self.started) / 60
            if self.state.step % self.config.log_every == 0 or self.state.step == 1:
                values = self._gather(losses)
                tracker.metrics(self.state.step, values)
                progress.report(self.state.step, values)
            if self.state.step % self.config.validate_every == 0:
                self._validate(tracker, progress)

    def step(self, batch: Any) -> dict[str, Tensor]:
        """One training step, seeded by (seed, rollbacks, step, process).

        Raises:
            DivergedError: the weights are not finite, or too many consecutive updates were skipped.
        """
        torch.manual_seed(derive_seed("step", self._seed, self.state.step, self.accelerator.process_index))
        scale = self.config.learning_rate_scale(self.state.step) * self.config.rollback_lr_scale**self.state.rollbacks
        for name, optimizer in self.experiment.optimizers.items():
            for group, rate in zip(optimizer.param_groups, self.base_rates[name], strict=True):
                group["lr"] = rate * scale
        batch = _to_device(batch, self.accelerator.device)
        with self.accelerator.autocast():
            losses = self.experiment.training_step(batch, self.state.step, self.update)
        require_finite(self.watched)  # before the average includes them
        self.state.ema.update()
        self.state.step += 1
        return losses

    def update(self, optimizer: str, loss: Tensor) -> Tensor:
        """Minimize a loss with one optimizer; an update whose gradients are not finite is skipped.

        Raises:
            DivergedError: too many consecutive updates were skipped.
        """
        chosen = self.experiment.optimizers[optimizer]
        chosen.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        parameters = [p for group in chosen.param_groups for p in group["params"] if p.grad is not None]
        self._average_gradients([p.grad for p in parameters if p.grad is not None])
        limit = self.config.gradient_clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        if torch.isfinite(norm):
            chosen.step()
            self.skipped[optimizer] = 0
        else:
            self.skipped[optimizer] += 1
            logger.warning("step %d: gradients of %s are not finite, update left out", self.state.step, optimizer)
            if self.skipped[optimizer] >= self.config.rollback_after:
                raise DivergedError(
                    f"gradients of {optimizer} were not finite {self.skipped[optimizer]} times in a row"
                )
        chosen.zero_grad(set_to_none=True)
        return norm.detach()

    def _average_gradients(self, gradients: list[Tensor]) -> None:
        if self.accelerator.num_processes == 1 or not gradients:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        flat = self.accelerator.reduce(flat, reduction="mean")
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.reshape(gradient.shape))

    def _batches(self) -> Iterator[Any]:
        sampler = StepSampler(
            len(self.experiment.dataset),  # type: ignore[arg-type]
            self.config.batch_size,
            self._seed,
            self.state.step,
            self.accelerator.process_index,
            self.accelerator.num_processes,
        )
        loader: Iterable[Any] = DataLoader(
            self.experiment.dataset,
            batch_sampler=sampler,
            num_workers=self.config.workers,
            pin_memory=self.accelerator.device.type == "cuda",
            worker_init_fn=leave_signals_to_main,
        )
        return iter(loader)

    @property
    def _seed(self) -> int:
        seed, rollbacks = self.config.seed, self.state.rollbacks
        return derive_seed("rollback", seed, rollbacks) % 2**31 if rollbacks else seed

    def _roll_back(self, reason: str, tracker: Tracker) -> None:
        """Restore the last valid state, and save the number of rollbacks at once."""
        roll_back(self.run_folder, self.state, reason, self.config.max_rollbacks, self.accelerator)
        self.skipped = dict.fromkeys(self.experiment.optimizers, 0)
        tracker.metrics(self.state.step, {"rollbacks": self.state.rollbacks})
        self._checkpoint()

    def _on_any_process(self, *flags: bool) -> list[bool]:
        """Each flag, True on all processes where it is True on one: clocks differ."""
        if self.accelerator.num_processes == 1:
            return list(flags)
        counts = self.accelerator.reduce(torch.tensor(flags, device=self.accelerator.device).float(), reduction="sum")
        return [bool(count > 0) for count in counts.tolist()]

    def _gather(self, losses: dict[str, Tensor]) -> dict[str, float]:
        values = torch.stack([value.detach().float().reshape(()) for value in losses.values()])
        if self.accelerator.num_processes > 1:
            values = self.accelerator.reduce(values, reduction="mean")
        return dict(zip(losses, values.tolist(), strict=True))

    def _checkpoint(self) -> None:
        if self.accelerator.is_main_process:
            save_checkpoint(self.run_folder, self.state, self.config.keep_checkpoints)
        self.accelerator.wait_for_everyone()

    def _validate(self, tracker: Tracker, progress: StepProgress) -> None:
        """Measure, sample and, if best so far, export, with the averaged weights, on one process."""
        begun, self.validated_at = time.monotonic(), self.state.step
        if self.accelerator.is_main_process:
            with self.state.ema.swapped_in():
                self.measures = measures = self.experiment.validate()
                tracker.metrics(self.state.step, measures)
                tracker.samples(self.state.step, self.experiment.samples())
                if self._is_better(measures[self.experiment.best_measure]):
                    self.state.best = measures[self.experiment.best_measure]
                    self.experiment.export(
                        self.run_folder / "best",
                        {
                            "step": self.state.step,
                            "minutes": round(self.state.minutes, 1),
                            "measures": {name: float(f"{value:.5g}") for name, value in measures.items()},
                            "config": self.state.config,
                            **self.init,
                        },
                    )
            progress.validated(self.state.step, measures, self._validation_share(begun))
        self.accelerator.wait_for_everyone()

    def _validation_share(self, begun: float) -> float:
        """Share of this call's time that validations took so far; a large one causes one warning."""
        now = time.monotonic()
        self.validating += now - begun
        self.validations += 1
        share = self.validating / max(now - self.started, 1e-9)
        if self.validations == 2 and share > LARGE_SHARE:
            logger.warning(
                "validation takes %.0f %% of the time: raise loop.validate_every (%d), or lower data.validation_clips",
                100 * share,
                self.config.validate_every,
            )
        return share

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.experiment.lower_is_better else -1
        return math.isfinite(value) and (self.state.best is None or sign * value < sign * self.state.best)


def _to_device(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, dict):
        return {name: _to_device(value, device) for name, value in batch.items()}
    return batch.to(device, non_blocking=True)
