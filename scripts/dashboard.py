"""Show a listening trial: a page that opens from the disk, and a run of Weights & Biases.

python -m scripts.dashboard trial
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts.command_line import run_command


def dashboard(
    trial: Annotated[Path, typer.Argument(help="Folder of a trial.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the page; default: TRIAL-dashboard.")
    ] = None,
    wandb: Annotated[str, typer.Option(help="auto (offline without a key), online, offline or off.")] = "auto",
    answers: Annotated[Path | None, typer.Option(help="Default: those in the trial's folder, if any.")] = None,
    webmushra: Annotated[list[Path] | None, typer.Option(help="CSV file of webMUSHRA; may be repeated.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a dashboard.")] = False,
) -> None:
    """Sounds, mels, measures and ratings of a trial. It names the systems: listeners should not see it before."""
    from stylize.dashboard.command import make_dashboard

    made = make_dashboard(
        trial,
        output=output,
        wandb=wandb,
        answers=answers,
        webmushra=tuple(webmushra or ()),
        force=force,
        progress=lambda text: print(text, flush=True),
    )
    print(made.page)
    if not made.content.results.listeners:
        print("no answers yet: the page names the systems, show it to nobody who is to listen")
    print(made.wandb)


if __name__ == "__main__":
    run_command(dashboard)
