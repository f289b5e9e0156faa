"""Train a model from a recipe, or resume where it stopped.

python -m scripts.train configs/vocoder.yaml --run runs/vocoder [name=value ...]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts.command_line import run_command

EXPERIMENTS = {
    "vocoder": "melgan.experiment:VocoderExperiment",
    "translator": "travelgan.experiment:TranslatorExperiment",
    "classifier": "training.genre_experiment:ClassifierExperiment",
    "autoencoder": "stylize.optimize.training.autoencoder:AutoencoderExperiment",
}
"""Where the class of each experiment that a recipe can name is."""


def train(
    config: Annotated[Path, typer.Argument(help="YAML file, see configs/.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Values to change, such as loop.steps=100.")] = None,
    run: Annotated[Path | None, typer.Option(help="Run folder, by default runs/NAME; an existing one resumes.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop after this many minutes.")] = None,
    device: Annotated[str, typer.Option(help="auto or cpu.")] = "auto",
) -> None:
    """Train a vocoder, translator, classifier or autoencoder.

    Checkpoints, metrics, samples and the best model are left in the run folder.
    """
    from training.recipe import read_recipe, run_recipe

    recipe = read_recipe(config, EXPERIMENTS, overrides or [])
    typer.echo(run_recipe(recipe, run or Path("runs") / config.stem, max_minutes, device))


if __name__ == "__main__":
    run_command(train)
