"""What the pages of this project share: their files, where to listen, under which names, with which headers."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import UserError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL = "127.0.0.1"
LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
BACKLOG = 1024
PALETTE = Path(__file__).parent / "pages" / "palette.css"
"""Colours and type of all pages; each has a style sheet of its own beside it."""
PAGE_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_ELSEWHERE = "192.0.2.1", 9  # an address for documentation (RFC 5737); nothing is sent there


def read_pages(folder: Path) -> dict[str, tuple[bytes, str]]:
    """The files of a page and the palette, by name: content and media type.

    Args:
        folder: of the page.
    """
    paths = [PALETTE, *sorted(folder.iterdir())]
    return {path.name: (path.read_bytes(), PAGE_TYPES[path.suffix]) for path in paths if path.suffix in PAGE_TYPES}


def security_headers(*, media: bool = False, microphone: bool = False) -> dict[str, str]:
    """Headers that tell the browser to allow nothing but what a page needs.

    Args:
        media: sounds are played by audio elements.
        microphone: the page may ask to record.
    """
    return {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        + ("media-src 'self'; " if media else "")
        + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": f"camera=(), microphone=({'self' if microphone else ''}), geolocation=()",
    }


class Guard:
    """Adds the security headers to every reply, and refuses hosts that are not ours.

    A page elsewhere can make its own name point to this machine (DNS rebinding); the name then stands in `Host`.

    Args:
        app: what is guarded.
        hosts: names under which the server may be asked; None for any.
        headers: of :func:`security_headers`.
    """

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] | None, headers: Mapping[str, str]) -> None:
        self._app, self._hosts = app, hosts
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self._headers]}
            await send(message)

        if self._hosts is not None and _host_of(scope) not in self._hosts:
            from starlette.responses import JSONResponse

            refusal = {"error": "this server is not reached under that name"}
            response = JSONResponse(refusal, 421, headers={"Cache-Control": "no-store"})
            await response(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)


def _host_of(scope: Scope) -> str:
    host: str = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    name, _, port = host.rpartition(":")
    return (name if port.isdigit() and not host.endswith("]") else host).strip("[]").lower()


def bind(host: str, port: int) -> socket.socket:
    """A socket at an address, so that a port that is taken is found before anything else.

    Raises:
        UserError: no such address, no right to use it, or it is taken.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(BACKLOG)  # whoever comes before the server runs waits
    except OSError as error:
        bound.close()
        raise UserError(f"cannot listen at {host}:{port} ({error.strerror or error}); try another --port") from None
    return bound


def is_local(address: str) -> bool:
    """Whether an address can be reached from this machine only."""
    return ipaddress.ip_address(address).is_loopback


def names_of(bound: socket.socket, host: str) -> tuple[str, ...] | None:
    """Names under which a server at this socket may be asked; None, for any, where others can reach it.

    Args:
        bound: where it listens.
        host: the address as it was given.
    """
    return (*LOCAL_NAMES, host.lower()) if is_local(bound.getsockname()[0]) else None


def address_of(bound: socket.socket, host: str) -> str:
    """The address to be typed into a browser; that of this machine where the server listens at all of them.

    Args:
        bound: where it listens.
        host: the address as it was given.
    """
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


def run_app(app: ASGIApp, bound: socket.socket, most_connections: int) -> None:
    """Serve an application until a signal ends it; nothing about visitors is logged.

    Args:
        app: what is served.
        bound: where to listen.
        most_connections: more at once are refused.
    """
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        limit_concurrency=most_connections,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
        ws="none",
    )
    uvicorn.Server(config).run(sockets=[bound])
