"""How every script turns a function into a command: errors in one line, exit codes that say what happened."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import typer

from data.errors import UserError


def run_command(function: Callable[..., Any]) -> None:
    """Run `function` as a command; a :class:`UserError` becomes `error: ...` on stderr and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(function)
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        raise SystemExit(130) from None
