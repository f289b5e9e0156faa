"""The server of a listening test: a page, blind sounds, and answers that are on disk before they are acknowledged."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from stylize.listening.methods import HIGHEST, LOWEST, PAIRED
from stylize.listening.store import CHOICE, Answer, Listener, Store
from stylize.listening.trial import Screen, Trial, audio_file
from stylize.local_app import EmptyRequest, make_local_app, read_object

PAGES = Path(__file__).parent / "pages"
HEARD_TIMES = 1.5
"""How often a listener hears a sound of a screen, as a guess of how long a test takes."""
MAX_BYTES = 2048
"""Of a request's body; an answer has about 150."""
MAX_SEQUENCE = 2**53 - 1
"""The largest whole number that JavaScript counts to."""
MAX_ID = 64
FIRST_PLACES = 3
"""Places before the first screen: welcome, level, training."""
_TOKEN = re.compile(r"bearer ([A-Za-z0-9_-]{32})", re.IGNORECASE)


@dataclass(frozen=True)
class NewAnswer:
    """A rating or a choice, as the page sends it."""

    screen: str
    stimulus: str
    value: int
    sequence: int

    def __post_init__(self) -> None:
        if not (0 < len(self.screen) <= MAX_ID and 0 < len(self.stimulus) <= MAX_ID):
            raise ValueError("screen and stimulus must be short texts")
        if not 0 <= self.sequence <= MAX_SEQUENCE:
            raise ValueError(f"sequence must be from 0 to {MAX_SEQUENCE}")

    def to_answer(self, trial: Trial, listener: int) -> Answer:
        """The answer to something that the trial asks."""
        screen = trial.screen.get(self.screen)
        if screen is None or self.stimulus not in screen.stimuli:
            raise HTTPException(404, "the trial has no such screen, or the screen no such sound")
        low, high = (1, 1) if trial.method == PAIRED else (LOWEST, HIGHEST)
        if not low <= self.value <= high:
            raise HTTPException(400, f"value must be from {low} to {high}")
        slot = CHOICE if trial.method == PAIRED else self.stimulus
        return Answer(listener, screen.id, slot, self.stimulus, self.value, self.sequence)


@dataclass(frozen=True)
class NewPlace:
    """How far a listener has come: welcome, level, training, the screens, the end."""

    place: int


class ListeningServer:
    """Answers requests about the trial in a folder."""

    def __init__(self, trial: Trial, folder: Path, store: Store) -> None:
        self.trial, self.store = trial, store
        paths = (audio_file(folder, stimulus.id) for stimulus in trial.stimuli)
        self._sounds = {path.name: path for path in paths}
        self._last_place = FIRST_PLACES + len(trial.screens)

    async def sound(self, request: Request) -> Response:
        """A sound; without date or file attributes, which would tell in what order the systems were rendered."""
        path = self._sounds.get(request.path_params["name"])
        if path is None:
            raise HTTPException(404, "there is no such sound")
        content = await run_in_threadpool(path.read_bytes)
        return Response(content, media_type="audio/wav", headers={"Cache-Control": "private, max-age=86400, immutable"})

    async def describe(self, request: Request) -> Response:
        """What anybody may know before beginning."""
        trial = self.trial
        seconds = sum(
            trial.song[screen.song].seconds * (len(screen.stimuli) + len(screen.examples)) * HEARD_TIMES
            for screen in trial.screens
        )
        return JSONResponse(
            {"trial": trial.id, "title": trial.title, "screens": len(trial.screens), "seconds": round(seconds)}
        )

    async def add_listener(self, request: Request) -> Response:
        """Begin: a token for a new listener."""
        await read_object(request, EmptyRequest, MAX_BYTES)
        return JSONResponse({"token": await asyncio.wrap_future(self.store.add_listener())}, 201)

    async def session(self, request: Request) -> Response:
        """Everything that one listener needs: the screens in the listener's order, and what was answered so far."""
        listener = await self._listener(request)
        answers = await run_in_threadpool(self.store.answers_of, listener.number)
        trial = self.trial
        training = trial.screen[trial.training]
        return JSONResponse(
            {
                "trial": trial.id,
                "title": trial.title,
                "method": trial.method,
                "place": min(listener.place, self._last_place),
                "level": _sound_url(trial.level),
                "training": self._describe(training, trial.labels_for(listener.number, training)),
                "screens": [self._describe(*each) for each in trial.order_for(listener.number)],
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
        answer = (await read_object(request, NewAnswer, MAX_BYTES)).to_answer(self.trial, listener.number)
        await asyncio.wrap_future(self.store.save(answer))
        return JSONResponse({"saved": True})

    async def place(self, request: Request) -> Response:
        """Remember how far the listener has come."""
        listener = await self._listener(request)
        place = (await read_object(request, NewPlace, MAX_BYTES)).place
        if not 0 <= place <= self._last_place:
            raise HTTPException(400, f"place must be from 0 to {self._last_place}")
        await asyncio.wrap_future(self.store.set_place(listener.number, place))
        return JSONResponse({"saved": True})

    async def _listener(self, request: Request) -> Listener:
        token = _TOKEN.fullmatch(request.headers.get("authorization", ""))
        # A look-up by index takes some microseconds, a thread for it several times as long.
        listener = None if token is None else self.store.find_listener(token[1])
        if listener is None:
            raise HTTPException(401, "this listener is not known")
        return listener

    def _describe(self, screen: Screen, labels: list[str]) -> dict[str, Any]:
        """A screen as the page shows it: nothing in it identifies a system."""
        song, question = self.trial.song[screen.song], self.trial.question(screen)
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
    """The application for a trial. For `hosts` see :func:`stylize.local_app.make_local_app`."""
    server = ListeningServer(trial, folder, store)
    routes = [
        Route("/audio/{name}", server.sound),
        Route("/api/trial", server.describe),
        Route("/api/listeners", server.add_listener, methods=["POST"]),
        Route("/api/session", server.session),
        Route("/api/answers", server.answer, methods=["POST"]),
        Route("/api/place", server.place, methods=["POST"]),
    ]
    return make_local_app(routes, PAGES, hosts)


def _sound_url(identity: str) -> str:
    return f"audio/{identity}.wav"
