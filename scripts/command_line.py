"""How every script turns functions into a command: errors in one line, exit codes that say what happened."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from stylize.program import HELP_OPTIONS, invoke, run_program

Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Files worked on at the same time.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same result.")]


def run_command(*functions: Callable[..., Any]) -> None:
    """Run a function as a command, or several as sub-commands of their names, as :func:`run_program` does, and exit."""
    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, context_settings=HELP_OPTIONS
    )
    for function in functions:
        app.command(context_settings=HELP_OPTIONS)(function)

    def work() -> int:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        return invoke(app)

    sys.exit(run_program(work))
