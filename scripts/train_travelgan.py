"""Train a translator from a configuration, and go on where it stopped.

    python -m scripts.train_travelgan configs/translator.yaml --run runs/translator [name=value ...]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts.command_line import run_command


def train_travelgan(
    config: Annotated[Path, typer.Argument(help="YAML configuration, see configs/.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Values to change, such as loop.steps=100.")] = None,
    run: Annotated[Path, typer.Option(help="Run folder; an existing one is gone on with.")] = Path("runs/translator"),
    max_minutes: Annotated[float | None, typer.Option(help="Stop after this many minutes.")] = None,
    device: Annotated[str, typer.Option(help="auto or cpu.")] = "auto",
) -> None:
    """Train a translator; checkpoints, metrics, samples and the best model are left in the run folder."""
    from training.config import load_config, to_plain
    from training.loop import Trainer, make_accelerator
    from travelgan.experiment import TranslatorExperiment
    from travelgan.training_config import TranslatorTraining

    resolved = load_config(config, TranslatorTraining, overrides or [])
    accelerator = make_accelerator(resolved.loop, device)
    trainer = Trainer(TranslatorExperiment(resolved), resolved.loop, run, accelerator, to_plain(resolved))
    measures = trainer.run(max_minutes)
    typer.echo(f"{run}: step {trainer.state.step}, {measures}; best model in {run / 'best'}")


if __name__ == "__main__":
    run_command(train_travelgan)
