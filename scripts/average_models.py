"""Average two models of the same build into one: the weighted mean of their weights.

python -m scripts.average_models FIRST SECOND -o OUT [--share 0.5]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts.command_line import run_command


def average(
    first: Annotated[Path, typer.Argument(help="Model folder.")],
    second: Annotated[Path, typer.Argument(help="Model folder of the same build.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")],
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the second.")] = 0.5,
) -> None:
    """Write the mean of two models, with what is known of both."""
    from training.weight_averaging import average_models

    average_models({first: 1 - share, second: share}, output)
    typer.echo(f"{1 - share:g} of {first} and {share:g} of {second} are {output}")


if __name__ == "__main__":
    run_command(average)
