"""How every script turns a function into a command: errors in one line, exit codes that say what happened."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import typer

from stylize.program import HELP_OPTIONS, invoke, run_program


def run_command(function: Callable[..., Any]) -> None:
    """Run `function` as a command, as `stylize.program.run_program` does, and exit."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(context_settings=HELP_OPTIONS)(function)

    def work() -> int:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        return invoke(app)

    sys.exit(run_program(work))
