"""The server of the page: songs come in, wait for the one worker, and results go out to their visitor alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from stylize.local_app import EmptyRequest, check_content_type, make_local_app, read_object, receive_body
from stylize.web.limits import MEGABYTE, Limits
from stylize.web.requests import COOKIE, MAX_BYTES, StyleRequest, display_name, new_id, read_visitor
from stylize.web.songs import EXAMPLE_SONG, PLAYABLE_NAME, check_song, song_path
from stylize.web.store import Job, Song, State, Store
from stylize.web.work import RESULT_TYPES, mel_ticks, work_on

if TYPE_CHECKING:
    from stylize.pipeline import Stylizer

logger = logging.getLogger(__name__)

PAGES = Path(__file__).parent / "pages"
CHECKS_AT_ONCE = 2


class WebServer:
    """Answers requests with a loaded stylizer; its store has the limits of what is taken."""

    def __init__(self, stylizer: Stylizer, store: Store) -> None:
        self.styles, self.limits, self.store = stylizer.styles, store.limits, store
        self._stylizer = stylizer
        # One worker: the models are loaded once and songs never mix.
        self._worker = ThreadPoolExecutor(1, "stylize-web-worker")
        self._ticks = mel_ticks(stylizer)
        self._uploads = 0
        self._checks = asyncio.Semaphore(CHECKS_AT_ONCE)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """From start to end of the server; no file is left behind."""
        cleaner = asyncio.create_task(self._clean())
        try:
            yield
        finally:
            cleaner.cancel()
            self.store.stop()  # after at most one more block of the song in work
            await asyncio.to_thread(self._worker.shutdown)
            self.store.close()

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(min(30.0, max(0.05, self.limits.keep_seconds / 4)))
            try:
                await run_in_threadpool(self.store.remove_old)
            except Exception:  # the next round must come
                logger.exception("old files were not removed")

    async def about(self, request: Request) -> Response:
        """What the page must know before anything is sent."""
        return JSONResponse(
            {
                "styles": list(self.styles),
                "max_seconds": self.limits.max_seconds,
                "max_bytes": self.limits.max_bytes,
                "keep_minutes": round(self.limits.keep_seconds / 60, 1),
                "example": EXAMPLE_SONG.is_file(),
                "ticks": self._ticks,
            }
        )

    async def add_song(self, request: Request) -> Response:
        """Take a file, check it, and give it an id."""
        visitor = read_visitor(request.cookies)
        check_content_type(request, "application/octet-stream")
        if self._uploads >= self.limits.max_uploads:
            raise HTTPException(503, "many songs are being sent at the moment; try again in a minute")
        self._uploads += 1
        try:
            name = display_name(request.query_params.get("name"))
            return await self._take(visitor, name, lambda path: receive_file(request, path, self.limits))
        finally:
            self._uploads -= 1

    async def add_example(self, request: Request) -> Response:
        """Take the bundled song."""
        visitor = read_visitor(request.cookies)
        await read_object(request, EmptyRequest, MAX_BYTES)

        async def copy(path: Path) -> None:
            await run_in_threadpool(shutil.copyfile, EXAMPLE_SONG, path)

        return await self._take(visitor, EXAMPLE_SONG.name, copy)

    async def _take(self, visitor: str, name: str, fetch: Callable[[Path], Awaitable[None]]) -> Response:
        self.store.check_room()
        folder = self.store.new_folder()
        path = song_path(folder, name)
        try:
            await fetch(path)
            async with self._checks:
                info = await run_in_threadpool(check_song, path, name, self.limits)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return JSONResponse(_describe_song(self.store.add_song(visitor, folder, name, info)), 201)

    async def list_entries(self, request: Request) -> Response:
        """All that this visitor has here, for a page that was loaded again; an open page asks so that it is kept."""
        songs, jobs = self.store.entries(read_visitor(request.cookies))
        return JSONResponse({"songs": list(map(_describe_song, songs)), "jobs": list(map(self._describe_job, jobs))})

    async def song_file(self, request: Request) -> Response:
        """A song as it came, in a form that browsers play."""
        song = self.store.song(read_visitor(request.cookies), request.path_params["id"])
        files = {PLAYABLE_NAME: (song.playable, "audio/flac")}
        return _send_file(files, request)

    async def result(self, request: Request) -> Response:
        """A file of a job that is done, or the song that went in."""
        job = self._job(request)
        files = {PLAYABLE_NAME: (job.song.playable, "audio/flac")}
        if job.state is State.DONE:
            files |= {name: (job.folder / name, kind) for name, kind in RESULT_TYPES.items()}
        return _send_file(files, request)

    async def add_job(self, request: Request) -> Response:
        """Put a song in the queue."""
        visitor = read_visitor(request.cookies)
        wanted = (await read_object(request, StyleRequest, MAX_BYTES)).normalized(self.styles)
        self.store.check_room()
        job = self.store.add_job(visitor, wanted)
        self._worker.submit(work_on, job, self._stylizer, self.store)
        return JSONResponse(self._describe_job(job), 201)

    async def show_job(self, request: Request) -> Response:
        """How far a job is."""
        return JSONResponse(self._describe_job(self._job(request)))

    def _job(self, request: Request) -> Job:
        return self.store.job(read_visitor(request.cookies), request.path_params["id"])

    async def remove_song(self, request: Request) -> Response:
        """Remove a song and what was made of it."""
        return await self._remove(self.store.remove_song, request)

    async def remove_job(self, request: Request) -> Response:
        """Stop a job, or remove its result."""
        return await self._remove(self.store.remove_job, request)

    async def remove_all(self, request: Request) -> Response:
        """Remove everything of this visitor."""
        return await self._remove(self.store.remove_all, request)

    async def _remove(self, remove: Callable[..., None], request: Request) -> Response:
        await run_in_threadpool(remove, read_visitor(request.cookies), *request.path_params.values())
        return JSONResponse({"removed": True})

    def _describe_job(self, job: Job) -> dict[str, Any]:
        return {
            "job": job.id,
            "state": job.state,
            "ahead": self.store.ahead_of(job),
            "progress": round(job.progress, 3),
            "seconds_left": round(self.store.seconds_left(job), 1),
            "notes": job.notes,
            "error": job.error,
            "song": _describe_song(job.song),
            "to": job.request.to,
            "like": None if job.like is None else job.like.name,
            "like_song": None if job.like is None else job.like.id,
            "strength": job.request.strength,
        }


async def receive_file(request: Request, path: Path, limits: Limits) -> None:
    """Write a request's body to a file, which is left for the caller to remove where this fails."""
    size = f"{limits.max_bytes / MEGABYTE:g} MB"
    too_large = f"the file has more than {size}; send a shorter one, or an mp3 or ogg of it"
    with path.open("xb") as file:
        await receive_body(
            request, file.write, limits.max_bytes, too_large, limits.upload_seconds, limits.stall_seconds
        )
        if file.tell() == 0:
            raise HTTPException(422, "the file is empty (0 bytes); choose a recording")


def _send_file(files: dict[str, tuple[Path, str]], request: Request) -> Response:
    path, media_type = files.get(request.path_params["name"], (None, ""))
    if path is None or not path.is_file():
        raise HTTPException(404, "there is no such file here (any more)")
    return FileResponse(path, media_type=media_type, headers={"Cache-Control": "private, no-store"})


def _describe_song(song: Song) -> dict[str, Any]:
    info = song.info
    return {
        "song": song.id,
        "name": song.name,
        "seconds": info.seconds,
        "sample_rate": info.sample_rate,
        "channels": info.channels,
    }


def make_app(stylizer: Stylizer, store: Store, hosts: tuple[str, ...] | None = None) -> ASGIApp:
    """The application; it closes the store at its end. For `hosts` see :func:`stylize.local_app.make_local_app`."""
    server = WebServer(stylizer, store)
    routes = [
        Route("/api/about", server.about),
        Route("/api/songs", server.add_song, methods=["POST"]),
        Route("/api/songs", server.remove_all, methods=["DELETE"]),
        Route("/api/songs/example", server.add_example, methods=["POST"]),
        Route("/api/songs/{id}", server.remove_song, methods=["DELETE"]),
        Route("/api/songs/{id}/{name}", server.song_file),
        Route("/api/entries", server.list_entries),
        Route("/api/jobs", server.add_job, methods=["POST"]),
        Route("/api/jobs/{id}", server.show_job, methods=["GET"]),
        Route("/api/jobs/{id}", server.remove_job, methods=["DELETE"]),
        Route("/api/jobs/{id}/{name}", server.result),
    ]
    return make_local_app(
        routes, PAGES, hosts, media=True, microphone=True, on_index=_know_visitor, lifespan=server.lifespan
    )


def _know_visitor(request: Request, response: Response) -> None:
    """Give a visitor without a cookie one. It has no path, so that it fits below any address of a reverse proxy."""
    try:
        read_visitor(request.cookies)
    except HTTPException:
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, new_id(), path=None, httponly=True, samesite="lax", secure=secure)
