"""Where the pages of this project listen, and under which names."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stylize_core.errors import UserError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LOCAL = "127.0.0.1"
LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
BACKLOG = 1024
PALETTE = Path(__file__).parent / "pages" / "palette.css"
"""Colors and type of all pages; each has a style sheet of its own beside it."""
_ELSEWHERE = "192.0.2.1", 9  # an address for documentation (RFC 5737); nothing is sent there

HostOption = Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for every network.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")]


def bind(host: str, port: int) -> socket.socket:
    """A socket at an address, so that a port that is taken is found before anything else."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(BACKLOG)  # whoever comes before the server runs waits
    except OSError as error:
        bound.close()
        raise UserError(f"cannot listen at {host}:{port} ({error.strerror or error}); try another --port") from None
    return bound


def names_of(bound: socket.socket, host: str) -> tuple[str, ...] | None:
    """Names under which a server at this socket may be reached; None, for any, where other machines can reach it."""
    is_local = ipaddress.ip_address(bound.getsockname()[0]).is_loopback
    return (*LOCAL_NAMES, host.lower()) if is_local else None


def address_of(bound: socket.socket, host: str) -> str:
    """The address to type into a browser; that of this machine where the server listens at all of them."""
    if ipaddress.ip_address(bound.getsockname()[0]).is_unspecified:
        host = _own_address() or host
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{bound.getsockname()[1]}/"


def _own_address() -> str | None:
    """The address under which other machines of the network know this one; None without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return address


def print_address(bound: socket.socket, host: str, note: str, use: str) -> None:
    """Print where a page is found, and what everyone can do with it who can reach this machine."""
    print(f"{address_of(bound, host)}  ({note}Ctrl-C ends it)", flush=True)
    if names_of(bound, host) is None:
        print(f"everyone who can reach this machine can {use}", flush=True)


def run_app(app: ASGIApp, bound: socket.socket, max_connections: int) -> None:
    """Serve an application until a signal ends it; nothing about visitors is logged."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        limit_concurrency=max_connections,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
        ws="none",
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signals that ended it again
        uvicorn.Server(config).run(sockets=[bound])
