"""The command `stylize compare`: options, and the table at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stylize.optimize.compare import CompareOrder, compare
from stylize.optimize.options import REPRESENTATIONS
from stylize.optimize.reporting import choose_reporter

DEFAULT = CompareOrder(content=Path(), styles=(), output=Path())


def compare_command(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="A recording.")],
    styles: Annotated[list[Path], typer.Argument(metavar="STYLE", help="Recordings in the wanted styles.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for sounds, table and figure.")],
    seconds: Annotated[float, typer.Option(help="Excerpt from the middle of each recording.")] = DEFAULT.seconds,
    iterations: Annotated[int, typer.Option(help="Of the optimization.")] = DEFAULT.iterations,
    representation: Annotated[
        str, typer.Option(help=f"Of the optimization: {', '.join(REPRESENTATIONS)}.")
    ] = DEFAULT.representation,
    network: Annotated[str | None, typer.Option(help="Of the optimization; see optimize.")] = DEFAULT.network,
    content_weight: Annotated[float, typer.Option(help="Of the optimization.")] = DEFAULT.content_weight,
    style_weight: Annotated[float, typer.Option(help="Of the optimization.")] = DEFAULT.style_weight,
    model: Annotated[Path | None, typer.Option(help="Translator folder; default: the bundled one.")] = DEFAULT.model,
    vocoder: Annotated[Path | None, typer.Option(help="Vocoder folder; default: the bundled one.")] = DEFAULT.vocoder,
    classifier: Annotated[
        Path | None, typer.Option(help="Folder of the genre classifier that judges; default: the bundled one.")
    ] = DEFAULT.classifier,
    seed: Annotated[int, typer.Option(help="Of the random network.")] = DEFAULT.seed,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = DEFAULT.device,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores.")] = DEFAULT.threads,
    force: Annotated[bool, typer.Option("--force", help="The folder may hold files already.")] = DEFAULT.force,
) -> int:
    """One pass beside optimization: the same song in the style of recordings by both, with times and measures."""
    arguments = dict(locals())  # all of them, and nothing else yet
    order = CompareOrder(**arguments | {"styles": tuple(styles)})
    with choose_reporter(order.iterations) as reporter:
        table = compare(order, reporter)
    print(table.text())
    print(f"{order.output}: results, table.csv, figure.png", flush=True)
    return 0
