"""The command `stylize web`: a page to use the system."""

from __future__ import annotations

import contextlib
import math
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import UserError
from stylize.local_server import LOCAL, address_of, bind, names_of, run_app
from stylize.models import check_device_name, read_pair
from stylize.web.limits import MEGABYTE, Limits

if TYPE_CHECKING:
    from stylize.pipeline import Stylizer
    from stylize.web.shelf import Shelf


def web_command(
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for every network.")] = LOCAL,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8080,
    max_seconds: Annotated[float, typer.Option(min=1, help="Longest song, seconds.")] = 600.0,
    max_megabytes: Annotated[float, typer.Option(min=0.01, max=10000, help="Largest file.")] = 120.0,
    job_seconds: Annotated[float, typer.Option(min=1, help="Work on a song is given up after so long.")] = 900.0,
    keep_minutes: Annotated[float, typer.Option(min=0.1, help="Files nobody asks for are removed then.")] = 30.0,
    model: Annotated[Path | None, typer.Option(help="Translator folder; default: the bundled one.")] = None,
    vocoder: Annotated[Path | None, typer.Option(help="Vocoder folder; default: the bundled one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores.")] = None,
) -> int:
    """Open a page on which songs can be dropped or recorded, and heard in another style."""
    check_device_name(device)
    for option, value in (
        ("--max-seconds", max_seconds),
        ("--max-megabytes", max_megabytes),
        ("--job-seconds", job_seconds),
        ("--keep-minutes", keep_minutes),
    ):
        if not math.isfinite(value):
            raise UserError(f"got {option} {value}; expected a number")
    pair = read_pair(model, vocoder)
    limits = Limits(
        max_seconds=max_seconds,
        max_bytes=round(max_megabytes * MEGABYTE),
        job_seconds=job_seconds,
        keep_seconds=60 * keep_minutes,
    )
    with ended_by_signals(), bind(host, port) as bound, contextlib.closing(open_shelf(limits)) as shelf:
        import torch

        from stylize.pipeline import Stylizer

        if threads is not None:
            torch.set_num_threads(threads)
        serve(Stylizer.from_pretrained(pair.translator, pair.vocoder, device), shelf, bound, host)
    print("stopped; every song was removed")
    return 0


def serve(stylizer: Stylizer, shelf: Shelf, bound: socket.socket, host: str) -> None:
    """Run the server until a signal ends it.

    Args:
        stylizer: with its models loaded.
        shelf: where files are kept.
        bound: where to listen.
        host: the address as it was given.
    """
    from stylize.web.server import make_app
    from stylize.web.work import measure_pace

    hosts = names_of(bound, host)
    print(f"{address_of(bound, host)}  (Ctrl-C ends it)", flush=True)
    if hosts is None:
        print("everyone who can reach this machine can use the page", flush=True)
    threading.Thread(target=measure_pace, args=(stylizer, shelf.pace), daemon=True).start()
    run_app(make_app(stylizer, shelf, hosts=hosts), bound, most_connections=200)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C, TERM and a closed terminal end a block in order, so that files are removed.

    uvicorn raises the signals that ended it again when it is done; the default would then end the process on the spot.
    """
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, _interrupt)}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup ignores it
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def open_shelf(limits: Limits) -> Shelf:
    """The place for everybody's files.

    Raises:
        UserError: there is no folder for temporary files that can be written to.
    """
    from stylize.web.shelf import Shelf  # its locks are POSIX; the other commands do without

    try:
        return Shelf(limits)
    except OSError as error:
        raise UserError(f"cannot write temporary files ({error}); set TMPDIR to a folder with some room") from None
