"""Progress of a run on the console: a bar on a terminal, otherwise lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class StepProgress:
    """Steps done, losses, step rate and time left.

    Args:
        first_step: steps already done.
        steps: steps in the whole run.
        max_minutes: limit of this call, which bounds the time left.
        active: False on all processes but the first.
    """

    def __init__(self, first_step: int, steps: int, max_minutes: float | None, active: bool = True) -> None:
        self.first_step, self.steps, self.max_minutes, self.active = first_step, steps, max_minutes, active
        self.console = Console(file=sys.stderr)
        self.started = time.monotonic()
        self.bar: Progress | None = None
        if active and self.console.is_terminal:
            self.bar = Progress(
                MofNCompleteColumn(),
                BarColumn(bar_width=20),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
                console=self.console,
            )
            self.task = self.bar.add_task("", total=steps, completed=first_step)

    def __enter__(self) -> StepProgress:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def report(self, step: int, losses: Mapping[str, float]) -> None:
        """Show the losses of a step."""
        if not self.active:
            return
        elapsed = time.monotonic() - self.started
        rate = (step - self.first_step) / max(elapsed, 1e-9)
        left = (self.steps - step) / max(rate, 1e-9)
        if self.max_minutes is not None:
            left = min(left, max(60 * self.max_minutes - elapsed, 0))
        shown = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
        text = f"{rate:.2f} steps/s, {_clock(left)} left | {shown}"
        if self.bar is not None:
            self.bar.update(self.task, completed=step, description=text)
        else:
            print(f"step {step}/{self.steps} {text}", file=sys.stderr, flush=True)

    def validated(self, step: int, measures: Mapping[str, float], share: float) -> None:
        """Show the measures of a validation, above the bar, and the share of the time that validations take."""
        if not self.active:
            return
        text = f"validation at step {step}: " + ", ".join(f"{name} {value:.4f}" for name, value in measures.items())
        text += f" ({100 * share:.0f} % of the time so far is validation)"
        if self.bar is not None:
            self.bar.console.print(text)
        else:
            print(text, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
