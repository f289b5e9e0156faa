"""The command `stylize web`: a page to use the system."""

from __future__ import annotations

import contextlib
import math
import threading
from typing import Annotated

import typer

from stylize.local_server import LOCAL, HostOption, PortOption, bind, names_of, print_address, run_app
from stylize.models import check_device_name, read_pair
from stylize.options import DeviceOption, ModelOption, ThreadsOption, VocoderOption
from stylize.web.limits import MEGABYTE, Limits
from stylize_core.errors import UserError

DEFAULT_MEGABYTES = Limits.max_bytes / MEGABYTE


def web_command(
    host: HostOption = LOCAL,
    port: PortOption = 8080,
    max_seconds: Annotated[float, typer.Option(min=1, help="Longest song, seconds.")] = Limits.max_seconds,
    max_megabytes: Annotated[float, typer.Option(min=0.01, max=10000, help="Largest file.")] = DEFAULT_MEGABYTES,
    job_seconds: Annotated[
        float, typer.Option(min=1, help="Work on a song is given up after so long.")
    ] = Limits.job_seconds,
    keep_minutes: Annotated[
        float, typer.Option(min=0.1, help="Files nobody asks for are removed then.")
    ] = Limits.keep_seconds / 60,
    model: ModelOption = None,
    vocoder: VocoderOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> int:
    """Open a page on which songs can be dropped or recorded, and played in another style."""
    check_device_name(device)
    limits = Limits(
        max_seconds=_finite("--max-seconds", max_seconds),
        max_bytes=round(_finite("--max-megabytes", max_megabytes) * MEGABYTE),
        job_seconds=_finite("--job-seconds", job_seconds),
        keep_seconds=60 * _finite("--keep-minutes", keep_minutes),
    )
    pair = read_pair(model, vocoder)
    with bind(host, port) as bound:
        from stylize.web.store import Store  # its locks are POSIX; the other commands do without

        try:
            store = Store(limits)
        except OSError as error:
            raise UserError(f"cannot write temporary files ({error}); set TMPDIR to a folder with some room") from None
        with contextlib.closing(store):
            import torch

            from stylize.pipeline import Stylizer
            from stylize.web.server import make_app
            from stylize.web.work import measure_pace

            if threads is not None:
                torch.set_num_threads(threads)
            stylizer = Stylizer.from_pretrained(pair.translator, pair.vocoder, device)
            print_address(bound, host, "", "use the page")
            threading.Thread(target=measure_pace, args=(stylizer, store.pace), daemon=True).start()
            run_app(make_app(stylizer, store, hosts=names_of(bound, host)), bound, max_connections=200)
    print("stopped; every song was removed")
    return 0


def _finite(option: str, value: float) -> float:
    if not math.isfinite(value):
        raise UserError(f"got {option} {value}; expected a number")
    return value
