"""Draw the losses and validation metrics of runs, a panel for each, a line for each run.

python -m scripts.plot_training RUN... -o curves.png [--only valid/]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts.command_line import run_command


def plot(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="PNG file to write.")],
    only: Annotated[list[str] | None, typer.Option(help="How names of panels begin; may be repeated.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Draw what runs recorded."""
    from stylize.evaluate.curves import plot_runs
    from stylize.picture import check_picture

    check_picture(output, force)
    typer.echo(f"{plot_runs(runs, output, only or ())} panels of {len(runs)} runs are {output}")


if __name__ == "__main__":
    run_command(plot)
