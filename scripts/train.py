"""What the commands that train a network from a YAML file have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

ConfigPath = Annotated[Path, typer.Argument(help="YAML configuration, see configs/.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Values to change, such as loop.steps=100.")]
RunFolder = Annotated[Path, typer.Option(help="Run folder; an existing one is gone on with.")]
MaxMinutes = Annotated[float | None, typer.Option(help="Stop after this many minutes.")]
Device = Annotated[str, typer.Option(help="auto or cpu.")]


def train(
    config: Path,
    config_class: type[Any],
    experiment_class: Callable[[Any], Any],
    overrides: Sequence[str] | None,
    run: Path,
    max_minutes: float | None,
    device: str,
) -> None:
    """Train in a run folder, or go on there, with the folder locked.

    Raises:
        UserError: the configuration, its data or the run folder is of no use, or another process trains there.
        SystemExit: a signal stopped the run; see :meth:`training.loop.Trainer.run`.
    """
    from training.config import load_config, to_plain
    from training.loop import Trainer, make_accelerator
    from training.run_folder import locked

    resolved = load_config(config, config_class, overrides or [])
    accelerator = make_accelerator(resolved.loop, device)
    with locked(run, accelerator):
        experiment = experiment_class(resolved)
        trainer = Trainer(experiment, resolved.loop, run, accelerator, to_plain(experiment.config))
        measures = trainer.run(max_minutes)
    typer.echo(f"{run}: step {trainer.state.step}, {measures}; best model in {run / 'best'}")
