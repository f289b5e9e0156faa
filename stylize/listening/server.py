"""The server of a listening test: a page, blind sounds, and answers that are on disk before they are acknowledged.

Every file that can be fetched stands in a table made at the start; no path is ever put together from a request.
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from stylize.json_requests import RefusedError, read_object, reply_gone, reply_http, reply_json, reply_refused
from stylize.listening.methods import PAIRED, Question
from stylize.listening.requests import (
    FIRST_PLACES,
    MOST_BYTES,
    parse_answer,
    parse_place,
    parse_token,
)
from stylize.listening.store import Listener, Store, TooManyError
from stylize.listening.trial import Screen, Trial, audio_file
from stylize.local_server import Guard, read_pages, security_headers

PAGES = Path(__file__).parent / "pages"
HEARD_TIMES = 1.5
"""How often a listener hears a sound of a screen, as a guess of how long a test takes."""


class ListeningServer:
    """Answers requests about one trial.

    Args:
        trial: as read from its folder.
        folder: of the trial.
        store: for the answers.
    """

    def __init__(self, trial: Trial, folder: Path, store: Store) -> None:
        self.trial, self.store = trial, store
        self._pages = read_pages(PAGES)
        paths = (audio_file(folder, stimulus.id) for stimulus in trial.stimuli)
        self._sounds = {path.name: path for path in paths}

    async def page(self, request: Request) -> Response:
        """A file of the page."""
        found = self._pages.get(request.path_params.get("name", "index.html"))
        if found is None:
            raise RefusedError(404, "there is no such page")
        return Response(found[0], media_type=found[1], headers={"Cache-Control": "no-cache"})

    async def sound(self, request: Request) -> Response:
        """A sound; without date or file attributes, which would tell in what order the systems were rendered."""
        path = self._sounds.get(request.path_params["name"])
        if path is None:
            raise RefusedError(404, "there is no such sound")
        content = await run_in_threadpool(path.read_bytes)
        return Response(content, media_type="audio/wav", headers={"Cache-Control": "private, max-age=86400, immutable"})

    async def describe(self, request: Request) -> Response:
        """What anybody may know before beginning."""
        trial = self.trial
        seconds = sum(
            trial.song[screen.song].seconds * (len(screen.stimuli) + len(screen.examples)) * HEARD_TIMES
            for screen in trial.screens
        )
        return reply_json(
            {"trial": trial.id, "title": trial.title, "screens": len(trial.screens), "seconds": round(seconds)}
        )

    async def add_listener(self, request: Request) -> Response:
        """Begin: a token for a new listener."""
        if await read_object(request, MOST_BYTES):
            raise RefusedError(400, "expected an empty object")
        return reply_json({"token": await asyncio.wrap_future(self.store.add_listener())}, 201)

    async def session(self, request: Request) -> Response:
        """Everything that one listener needs: the screens in the listener's order, and what was answered so far."""
        listener = await self._listener(request)
        answers = await run_in_threadpool(self.store.answers_of, listener.number)
        trial = self.trial
        training = trial.screen[trial.training]
        order = trial.order_for(listener.number)
        return reply_json(
            {
                "trial": trial.id,
                "title": trial.title,
                "method": trial.method,
                "place": min(listener.place, FIRST_PLACES + len(order)),
                "level": _sound_url(trial.level),
                "training": self._describe(training, trial.labels_for(listener.number, training)),
                "screens": [self._describe(screen, labels) for screen, labels in order],
                "answers": [
                    {name: getattr(answer, name) for name in ("screen", "stimulus", "value", "sequence")}
                    for answer in answers
                ],
                "sequence": max((answer.sequence for answer in answers), default=0),
            }
        )

    async def answer(self, request: Request) -> Response:
        """Keep an answer; the reply is sent when it is on the disk."""
        listener = await self._listener(request)
        answer = parse_answer(await read_object(request, MOST_BYTES), self.trial, listener)
        await asyncio.wrap_future(self.store.save(answer))
        return reply_json({"saved": True})

    async def place(self, request: Request) -> Response:
        """Remember how far the listener has come."""
        listener = await self._listener(request)
        place = parse_place(await read_object(request, MOST_BYTES), self.trial)
        await asyncio.wrap_future(self.store.set_place(listener.number, place))
        return reply_json({"saved": True})

    async def _listener(self, request: Request) -> Listener:
        # A look-up by index takes some microseconds, a thread for it several times as long.
        listener = self.store.find_listener(parse_token(request.headers.get("authorization")))
        if listener is None:
            raise RefusedError(401, "this listener is not known")
        return listener

    def _describe(self, screen: Screen, labels: list[str]) -> dict[str, Any]:
        """A screen as the page shows it: nothing in it says what a sound is."""
        song = self.trial.song[screen.song]
        question: Question = self.trial.question(screen)
        return {
            "id": screen.id,
            "title": question.title.format(style=song.style),
            "text": question.text,
            "labels": question.labels,
            "choice": self.trial.method == PAIRED,
            "seconds": song.seconds,
            "examples": [{"role": role, "sound": _sound_url(identity)} for role, identity in screen.examples],
            "style": song.style,
            "stimuli": [{"id": identity, "sound": _sound_url(identity)} for identity in labels],
        }


def make_app(trial: Trial, folder: Path, store: Store, hosts: tuple[str, ...] | None = None) -> ASGIApp:
    """The application for a trial.

    Args:
        trial: as read from its folder.
        folder: of the trial.
        store: for the answers.
        hosts: names under which the server may be asked; None for any.
    """
    server = ListeningServer(trial, folder, store)
    routes = [
        Route("/", server.page),
        Route("/audio/{name}", server.sound),
        Route("/api/trial", server.describe),
        Route("/api/listeners", server.add_listener, methods=["POST"]),
        Route("/api/session", server.session),
        Route("/api/answers", server.answer, methods=["POST"]),
        Route("/api/place", server.place, methods=["POST"]),
        Route("/{name}", server.page),
    ]

    app = Starlette(
        routes=routes,
        exception_handlers={
            RefusedError: reply_refused,
            TooManyError: _refuse_too_many,
            HTTPException: reply_http,
            ClientDisconnect: reply_gone,
            sqlite3.Error: _fail,
            OSError: _fail,
        },
    )
    app.router.redirect_slashes = False  # nothing lies anywhere else
    return Guard(app, hosts, security_headers())


def _sound_url(identity: str) -> str:
    return f"audio/{identity}.wav"


async def _refuse_too_many(request: Request, error: Exception) -> Response:
    return reply_json({"error": str(error)}, 429)


async def _fail(request: Request, error: Exception) -> Response:
    """The answer was not kept; the page sends it again."""
    return reply_json({"error": "the server cannot write at the moment"}, 503)
