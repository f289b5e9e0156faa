"""The server of the page: songs come in, wait for the one worker, and results go out to whoever knows their id.

No path is ever put together from a request: ids are looked up, and file names stand in tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from stylize.json_requests import (
    RefusedError,
    content_type,
    read_object,
    reply_gone,
    reply_http,
    reply_json,
    reply_refused,
)
from stylize.local_server import Guard, read_pages, security_headers
from stylize.web.requests import (
    COOKIE,
    MOST_BYTES,
    new_identity,
    parse_identity,
    parse_name,
    parse_style,
    parse_visitor,
)
from stylize.web.shelf import Job, Shelf, Song, State
from stylize.web.songs import PLAYABLE_NAME, check_song, copy_example, example_song, receive, song_path, too_large
from stylize.web.work import TROUBLE, Worker, mel_ticks

if TYPE_CHECKING:
    from stylize.pipeline import Stylizer

logger = logging.getLogger(__name__)

HEADERS = security_headers(media=True, microphone=True)
PAGES = Path(__file__).parent / "pages"
INDEX = "index.html"
RESULT_TYPES = {
    "output.wav": "audio/wav",
    "output.flac": "audio/flac",
    "input.png": "image/png",
    "output.png": "image/png",
}
CHECKS_AT_ONCE = 2


class Studio:
    """Answers requests.

    Args:
        stylizer: with its models loaded.
        shelf: where files are kept, and the limits of what is taken.
    """

    def __init__(self, stylizer: Stylizer, shelf: Shelf) -> None:
        self.styles, self.limits, self.shelf = stylizer.styles, shelf.limits, shelf
        self.worker = Worker(stylizer, shelf)
        self._ticks = mel_ticks(stylizer)
        self._pages = read_pages(PAGES)
        self._uploads = 0
        self._checks = asyncio.Semaphore(CHECKS_AT_ONCE)

    @contextlib.asynccontextmanager
    async def run(self, app: Starlette) -> AsyncIterator[None]:
        """From start to end of the server; no file is left behind."""
        self.worker.start()
        cleaner = asyncio.create_task(self._clean())
        try:
            yield
        finally:
            cleaner.cancel()
            await asyncio.to_thread(self.worker.close)
            self.shelf.close()

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(min(30.0, max(0.05, self.limits.keep_seconds / 4)))
            try:
                await run_in_threadpool(self.shelf.remove_old)
            except Exception:  # the next round must come
                logger.exception("old files were not removed")

    async def page(self, request: Request) -> Response:
        """A file of the page; with the first of them a visitor gets a cookie."""
        name = request.path_params.get("name", INDEX)
        found = self._pages.get(name)
        if found is None:
            raise RefusedError(404, "there is no such page")
        reply = Response(found[0], media_type=found[1], headers={"Cache-Control": "no-cache"})
        if name == INDEX:
            _know_visitor(request, reply)
        return reply

    async def about(self, request: Request) -> Response:
        """What the page must know before anything is sent."""
        limits = self.limits
        return reply_json(
            {
                "styles": list(self.styles),
                "max_seconds": limits.max_seconds,
                "max_bytes": limits.max_bytes,
                "keep_minutes": round(limits.keep_seconds / 60, 1),
                "example": example_song().is_file(),
                "ticks": self._ticks,
            }
        )

    async def add_song(self, request: Request) -> Response:
        """Take a file, check it, and give it an id."""
        visitor = parse_visitor(request.cookies)
        if content_type(request) != "application/octet-stream":
            raise RefusedError(415, "expected a request of type application/octet-stream")
        name = parse_name(request.query_params.get("name"))
        announced = request.headers.get("content-length", "0")
        if not announced.isdecimal() or len(announced) > 15 or int(announced) > self.limits.max_bytes:
            raise too_large(self.limits)
        if self._uploads >= self.limits.most_uploads:
            raise RefusedError(503, "many songs are being sent at the moment; try again in a minute")
        self._uploads += 1
        try:
            return await self._take(visitor, name, lambda path: receive(request.stream(), path, self.limits))
        finally:
            self._uploads -= 1

    async def add_example(self, request: Request) -> Response:
        """Take the bundled song."""
        visitor = parse_visitor(request.cookies)
        if await read_object(request, MOST_BYTES):
            raise RefusedError(400, "expected an empty object")

        async def copy(path: Path) -> None:
            await run_in_threadpool(copy_example, path.parent)

        return await self._take(visitor, example_song().name, copy)

    async def _take(self, visitor: str, name: str, fetch: Callable[[Path], Awaitable[None]]) -> Response:
        self.shelf.check_room()
        identity, folder = self.shelf.new_folder()
        path = song_path(folder, name)
        try:
            await fetch(path)
            async with self._checks:
                checked = await run_in_threadpool(check_song, path, name, self.limits)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return reply_json(_describe_song(self.shelf.add_song(visitor, identity, folder, name, checked)), 201)

    async def list_entries(self, request: Request) -> Response:
        """All that this visitor has here, for a page that was loaded again; an open page asks so that it is kept."""
        songs, jobs = self.shelf.entries(parse_visitor(request.cookies))
        return reply_json({"songs": list(map(_describe_song, songs)), "jobs": list(map(self._describe_job, jobs))})

    async def song_file(self, request: Request) -> Response:
        """A song as it came, in a form that browsers play."""
        song = self.shelf.song(parse_visitor(request.cookies), parse_identity(request.path_params["id"]))
        if request.path_params["name"] != PLAYABLE_NAME:
            raise RefusedError(404, "there is no such file here")
        return _send_file(song.checked.playable, "audio/flac")

    async def remove_song(self, request: Request) -> Response:
        """Forget a song and what was made of it."""
        visitor, identity = parse_visitor(request.cookies), parse_identity(request.path_params["id"])
        await run_in_threadpool(self.shelf.remove_song, visitor, identity)
        return reply_json({"removed": True})

    async def remove_songs(self, request: Request) -> Response:
        """Forget everything of this visitor."""
        await run_in_threadpool(self.shelf.remove_all, parse_visitor(request.cookies))
        return reply_json({"removed": True})

    async def add_job(self, request: Request) -> Response:
        """Put a song in the queue."""
        visitor = parse_visitor(request.cookies)
        wanted = parse_style(await read_object(request, MOST_BYTES), self.styles)
        self.shelf.check_room()
        job = self.shelf.add_job(visitor, wanted)
        self.worker.put(job)
        return reply_json(self._describe_job(job), 201)

    async def show_job(self, request: Request) -> Response:
        """How far a job is."""
        return reply_json(self._describe_job(self._job(request)))

    async def remove_job(self, request: Request) -> Response:
        """Stop a job, or forget its result."""
        visitor, identity = parse_visitor(request.cookies), parse_identity(request.path_params["id"])
        await run_in_threadpool(self.shelf.remove_job, visitor, identity)
        return reply_json({"removed": True})

    async def result(self, request: Request) -> Response:
        """A file of a job that is done, or the song that went in."""
        job, name = self._job(request), request.path_params["name"]
        if name == PLAYABLE_NAME:
            path, media_type = job.song.checked.playable, "audio/flac"
        elif name in RESULT_TYPES and job.state is State.DONE:
            path, media_type = job.folder / name, RESULT_TYPES[name]
        else:
            raise RefusedError(404, "there is no such file here")
        return _send_file(path, media_type)

    def _job(self, request: Request) -> Job:
        return self.shelf.job(parse_visitor(request.cookies), parse_identity(request.path_params["id"]))

    def _describe_job(self, job: Job) -> dict[str, Any]:
        return {
            "job": job.id,
            "state": job.state,
            "ahead": self.shelf.ahead_of(job),
            "progress": round(job.progress, 3),
            "seconds_left": round(self.shelf.seconds_left(job), 1),
            "notes": job.notes,
            "error": job.error,
            "song": _describe_song(job.song),
            "to": dict(job.request.weights) or None,
            "like": None if job.like is None else job.like.name,
            "like_song": None if job.like is None else job.like.id,
            "strength": job.request.strength,
        }


def _send_file(path: Path, media_type: str) -> Response:
    if not path.is_file():
        raise RefusedError(404, "this file is not here any more; make it again")
    return FileResponse(path, media_type=media_type, headers={"Cache-Control": "private, no-store"})


def _describe_song(song: Song) -> dict[str, Any]:
    info = song.checked.info
    return {
        "song": song.id,
        "name": song.name,
        "seconds": info.seconds,
        "sample_rate": info.sample_rate,
        "channels": info.channels,
    }


def make_app(stylizer: Stylizer, shelf: Shelf, hosts: tuple[str, ...] | None = None) -> ASGIApp:
    """The application.

    Args:
        stylizer: with its models loaded.
        shelf: where files are kept; it is closed at the end.
        hosts: names under which the server may be asked; None for any.
    """
    studio = Studio(stylizer, shelf)
    app = Starlette(
        routes=[
            Route("/", studio.page),
            Route("/api/about", studio.about),
            Route("/api/songs", studio.add_song, methods=["POST"]),
            Route("/api/songs", studio.remove_songs, methods=["DELETE"]),
            Route("/api/songs/example", studio.add_example, methods=["POST"]),
            Route("/api/songs/{id}", studio.remove_song, methods=["DELETE"]),
            Route("/api/songs/{id}/{name}", studio.song_file),
            Route("/api/entries", studio.list_entries),
            Route("/api/jobs", studio.add_job, methods=["POST"]),
            Route("/api/jobs/{id}", studio.show_job, methods=["GET"]),
            Route("/api/jobs/{id}", studio.remove_job, methods=["DELETE"]),
            Route("/api/jobs/{id}/{name}", studio.result),
            Route("/{name}", studio.page),
        ],
        lifespan=studio.run,
        exception_handlers={
            RefusedError: reply_refused,
            HTTPException: reply_http,
            ClientDisconnect: reply_gone,
            OSError: _refuse_full,
            Exception: _fail,
        },
    )
    app.router.redirect_slashes = False  # nothing lies anywhere else
    return Guard(app, hosts, HEADERS)


def _know_visitor(request: Request, reply: Response) -> None:
    """Give a visitor without a cookie one. It has no path, so that it fits below any address of a reverse proxy."""
    try:
        parse_visitor(request.cookies)
    except RefusedError:
        secure = request.url.scheme == "https"
        reply.set_cookie(COOKIE, new_identity(), path=None, httponly=True, samesite="lax", secure=secure)


async def _refuse_full(request: Request, error: Exception) -> Response:
    logger.error("a request failed: %s", error)
    return reply_json({"error": "the server cannot write at the moment; try again, or tell whoever runs it"}, 503)


async def _fail(request: Request, error: Exception) -> Response:
    """A bug of ours, or a full disk: the log has the reason, the person one line."""
    return reply_json({"error": TROUBLE}, 500)
