"""The command `stylize listen`: run a listening test in the browser, or read its results."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from data.errors import UserError
from stylize.listening.trial import ANSWERS_NAME, Trial
from stylize.local_server import LOCAL, address_of, bind, names_of, run_app


def listen_command(
    trial: Annotated[Path, typer.Argument(metavar="TRIAL", help="Made by python -m scripts.listening_test build.")],
    results: Annotated[bool, typer.Option("--results", help="Print what was heard, and serve nothing.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="With --results: folder for CSV files and plots.")
    ] = None,
    unit: Annotated[str, typer.Option(help="With --results: what is compared: listener or rating.")] = "listener",
    webmushra: Annotated[
        list[Path] | None, typer.Option(help="With --results: CSV files that webMUSHRA wrote; read too.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="With --results: overwrite existing files.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for every network.")] = LOCAL,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    answers: Annotated[Path | None, typer.Option(help="File of the answers; default: TRIAL/answers.sqlite3.")] = None,
    most_listeners: Annotated[int, typer.Option(min=1, help="No more are taken.")] = 10000,
) -> int:
    """Let people rate the sounds of a trial in a browser; --results shows how they rated them."""
    loaded = Trial.read(trial)
    store = answers or trial / ANSWERS_NAME
    if results:
        from stylize.listening.report import print_results

        print_results(loaded, store, output=output, unit=unit, webmushra=tuple(webmushra or ()), force=force)
        return 0
    if output is not None or webmushra or force:
        raise UserError("-o, --webmushra and --force belong to --results")
    serve(loaded, trial, store, host, port, most_listeners)
    return 0


def serve(trial: Trial, folder: Path, answers: Path, host: str, port: int, most_listeners: int) -> None:
    """Run the server until Ctrl-C.

    Raises:
        UserError: no such address, the port is taken, the answers cannot be written.
    """
    from stylize.listening.server import make_app
    from stylize.listening.store import Store

    bound = bind(host, port)
    hosts = names_of(bound, host)
    with bound, Store(answers, trial.id, most_listeners) as store:
        print(f"{address_of(bound, host)}  ({len(trial.screens)} screens; Ctrl-C ends it)", flush=True)
        if hosts is None:
            print("everyone who can reach this machine can take the test", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            run_app(make_app(trial, folder, store, hosts=hosts), bound, most_connections=1000)
    print(f"stopped; the answers are in {answers}")
