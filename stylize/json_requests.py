"""What the servers of the pages share about requests: a JSON object comes in, one line of JSON says why not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

BODY_SECONDS = 10.0
"""A body that has not come by then is given up."""


class RefusedError(Exception):
    """A request that is not done.

    Args:
        status: of HTTP, 400 to 503.
        message: one line for the person at the page.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def reply_json(values: dict[str, Any], status: int = 200) -> JSONResponse:
    """A reply that no browser keeps."""
    return JSONResponse(values, status, headers={"Cache-Control": "no-store"})


def content_type(request: Request) -> str:
    """The type of a request's body, in lower case and without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_object(request: Request, most_bytes: int) -> dict[str, Any]:
    """The JSON object in a request's body, of which no more is read than a request can have.

    Raises:
        RefusedError: another type, which is also what a foreign page cannot send unasked; too large, too slow, or no
            JSON object.
    """
    if content_type(request) != "application/json":
        raise RefusedError(415, "expected a request of type application/json")
    too_large = RefusedError(413, f"the request has more than {most_bytes} bytes")
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or len(announced) > 12 or int(announced) > most_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > most_bytes:
                    raise too_large
    except TimeoutError:
        raise RefusedError(408, "the request did not come in time") from None
    return _parse_object(bytes(body))


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the request is no JSON") from None
    if not isinstance(values, dict):
        raise RefusedError(400, "the request is no JSON object")
    return values


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


async def reply_refused(request: Request, error: Exception) -> Response:
    """To a :class:`RefusedError`."""
    assert isinstance(error, RefusedError)
    return reply_json({"error": error.message}, error.status)


async def reply_http(request: Request, error: Exception) -> Response:
    """To what the framework refuses."""
    assert isinstance(error, HTTPException)
    return reply_json({"error": error.detail}, error.status_code)


async def reply_gone(request: Request, error: Exception) -> Response:
    """To a browser that went away."""
    return reply_json({"error": "the request was broken off"}, 400)
