"""What the servers of the pages share: the application, its files, JSON requests, and one line of JSON per refusal.

Own code in four places where Starlette has some, because others may reach these servers:

* Each file is listed when the application is made; no path is ever built from a request.
* Host names are checked against DNS rebinding here, since TrustedHostMiddleware does not read `[::1]:8000`.
* The security headers are added outside the application, so that they are on error pages too.
* A body is counted while it arrives, because its announced length may be a lie, and dropped when it stalls.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stylize.local_server import PALETTE
from stylize_core.errors import UserError
from stylize_core.plain import build, one_line, parse_json

logger = logging.getLogger(__name__)

BODY_SECONDS = 10.0
"""A JSON body that has not arrived by then is given up."""
INDEX = "index.html"
PAGE_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
TROUBLE = "something went wrong on the server, and not with the request; try again, or tell whoever runs the server"
DISK_TROUBLE = "the server cannot write at the moment; try again, or tell whoever runs it"

T = TypeVar("T")


@dataclass(frozen=True)
class EmptyRequest:
    """A request with an empty body."""


def security_headers(*, media: bool = False, microphone: bool = False) -> dict[str, str]:
    """Headers that allow nothing but what a page needs: audio elements (`media`), recording (`microphone`)."""
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


class LocalMiddleware:
    """Adds the security headers and `no-store` to every reply; refuses host names other than `hosts`, None for any."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] | None, headers: Mapping[str, str]) -> None:
        self._app, self._hosts = app, hosts
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], *self._headers]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": headers}
            await send(message)

        app = self._app
        if scope["type"] == "http" and self._hosts is not None and _host_of(scope) not in self._hosts:
            app = JSONResponse({"error": "this server is not reached under that name"}, 421)
        await app(scope, receive, send_with_headers)


def _host_of(scope: Scope) -> str:
    host: str = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    name, _, port = host.rpartition(":")
    return (name if port.isdigit() and not host.endswith("]") else host).strip("[]").lower()


def make_local_app(
    routes: Sequence[Route],
    pages: Path,
    hosts: tuple[str, ...] | None,
    *,
    media: bool = False,
    microphone: bool = False,
    on_index: Callable[[Request, Response], None] = lambda request, response: None,
    lifespan: Any = None,
) -> ASGIApp:
    """An application that serves the files of a page and its API.

    `hosts` are names under which the server may be reached, None for any; `on_index` is called with each request for
    the page itself and its reply.
    """
    paths = [PALETTE, *pages.iterdir()]
    files = {path.name: (path.read_bytes(), PAGE_TYPES[path.suffix]) for path in paths if path.suffix in PAGE_TYPES}

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", INDEX)
        if name not in files:
            raise HTTPException(404, "there is no such page")
        content, media_type = files[name]
        response = Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})
        if name == INDEX:
            on_index(request, response)
        return response

    app = Starlette(
        routes=[Route("/", page), *routes, Route("/{name}", page)],
        lifespan=lifespan,
        exception_handlers=dict.fromkeys(
            (HTTPException, ClientDisconnect, OSError, sqlite3.Error, Exception), _reply_error
        ),
    )
    app.router.redirect_slashes = False
    return LocalMiddleware(app, hosts, security_headers(media=media, microphone=microphone))


async def _reply_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code)
    if isinstance(error, ClientDisconnect):
        return JSONResponse({"error": "the request was broken off"}, 400)
    if isinstance(error, OSError | sqlite3.Error):
        logger.error("a request failed: %s", error)
        return JSONResponse({"error": DISK_TROUBLE}, 503)
    return JSONResponse({"error": TROUBLE}, 500)  # Starlette logs the traceback


def check_content_type(request: Request, expected: str) -> None:
    """Refuse a body of another type; a foreign page cannot send these without being asked for permission."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != expected:
        raise HTTPException(415, f"expected a request of type {expected}")


async def receive_body(
    request: Request,
    write: Callable[[bytes], object],
    max_bytes: int,
    too_large: str,
    seconds: float,
    stall_seconds: float | None = None,
) -> None:
    """Pass a request's body on in pieces, as long as it is neither too large nor too slow.

    It must arrive in `seconds`, and is given up after `stall_seconds` without a single byte.
    """
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or len(announced) > 15 or int(announced) > max_bytes:
        raise HTTPException(413, too_large)
    received, now = 0, asyncio.get_running_loop().time
    end, stall_seconds = now() + seconds, stall_seconds or seconds
    try:
        async with asyncio.timeout(min(seconds, stall_seconds)) as patience:
            async for part in request.stream():
                received += len(part)
                if received > max_bytes:
                    raise HTTPException(413, too_large)
                write(part)
                patience.reschedule(min(end, now() + stall_seconds))
    except TimeoutError:
        took = f"{seconds:g} s" if now() >= end else f"{stall_seconds:g} s without anything"
        raise HTTPException(408, f"the request stopped arriving ({took}); send it again") from None


async def read_object(request: Request, kind: type[T], max_bytes: int) -> T:
    """A dataclass (see :func:`stylize_core.plain.build`) from the JSON object in a request's body."""
    check_content_type(request, "application/json")
    body = bytearray()
    await receive_body(request, body.extend, max_bytes, f"the request has more than {max_bytes} bytes", BODY_SECONDS)
    try:
        return build(kind, parse_json(body.decode("utf-8")), "request")
    except UserError as error:
        raise HTTPException(400, str(error)) from None
    except ValueError as error:
        raise HTTPException(400, f"the request is not JSON: {one_line(error, 120)}") from None
