"""The translator's benchmark: style reached, content kept, distance to the ground truth, on songs no model saw.

python -m scripts.evaluate --output docs/benchmark
"""

from __future__ import annotations

from typing import Any

import typer

from scripts.command_line import run_command
from stylize.evaluate.benchmarks.settings import Settings, check_settings
from stylize.options import with_options


@with_options(Settings)
def evaluate(values: dict[str, Any]) -> int:
    """Measure systems on songs that no model saw; print and write a table for each split, the targets and a plot."""
    settings = Settings(**values)
    check_settings(settings)  # before PyTorch is loaded

    from stylize.evaluate.benchmarks.translator import Evaluation, log_to_wandb

    def notify(text: str) -> None:
        typer.echo(text, err=True)

    evaluation = Evaluation(settings, notify)
    if settings.export_pairs is not None:
        manifest = evaluation.export(settings.export_pairs)
        typer.echo(f"{manifest}: run your system on it, then come back with --system NAME=DIR and the same options")
        return 0
    report = evaluation.run()
    typer.echo(report["markdown"])
    notify(log_to_wandb(settings, report))
    return 0


if __name__ == "__main__":
    run_command(evaluate)
