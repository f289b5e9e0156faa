"""Many listeners at once: how long an answer takes, and whether any is lost."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import UserError
from stylize.listening.methods import HIGHEST, LOWEST
from stylize.listening.store import read_answers
from stylize.listening.trial import Trial


@dataclass(frozen=True)
class LoadResult:
    """What a run has found.

    Args:
        listeners: at once.
        answers: acknowledged.
        lost: acknowledged, and not in the file.
        failed: refused, or without any reply.
        seconds: of the run.
        median: time from sending an answer to its acknowledgement, milliseconds.
        late: what 95 % of the answers stay below, milliseconds.
        longest: milliseconds.
    """

    listeners: int
    answers: int
    lost: int
    failed: int
    seconds: float
    median: float
    late: float
    longest: float

    def describe(self) -> str:
        """In one line."""
        return (
            f"{self.listeners} listeners, {self.answers} answers in {self.seconds:.1f} s "
            f"({self.answers / self.seconds:.0f} a second): median {self.median:.1f} ms, "
            f"95 % below {self.late:.1f} ms, longest {self.longest:.1f} ms; failed {self.failed}, lost {self.lost}"
        )


@contextlib.contextmanager
def running_server(trial: Path, answers: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`stylize listen` in a process of its own, with the port that it listens at; ended with the block.

    Raises:
        UserError: it does not start.
    """
    command = [sys.executable, "-m", "stylize.cli", "listen", "run", str(trial)]
    command += ["--port", "0", "--answers", str(answers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        if not line.startswith("http://"):
            raise UserError(f"the server does not start: {process.stderr.read().strip() or line.strip()}")
        yield process, int(line.split("/")[2].rpartition(":")[2])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


class Client:
    """A listener's connection, which stays open.

    Args:
        port: of the server on this machine.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Content-Type": "application/json"}

    def request(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """GET, or POST where there is a body.

        Raises:
            OSError, http.client.HTTPException: no reply, or another one than success.
        """
        self._connection.request(
            "GET" if body is None else "POST", path, None if body is None else json.dumps(body), self._headers
        )
        response = self._connection.getresponse()
        content = response.read()
        if response.status >= 400:
            raise http.client.HTTPException(f"{response.status} {content[:200]!r}")
        return json.loads(content)

    def begin(self) -> dict[str, Any]:
        """Become a new listener; the session."""
        self._headers["Authorization"] = f"Bearer {self.request('/api/listeners', {})['token']}"
        return self.request("/api/session")

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


class _Listener(threading.Thread):
    """Moves sliders at random from the common start until the time is over, at least one."""

    def __init__(self, port: int, number: int, start: threading.Barrier, until: threading.Event, pause: float) -> None:
        super().__init__(daemon=True)
        self._client, self._random = Client(port), random.Random(number)
        self._start, self._until, self._pause = start, until, pause
        self.times: list[float] = []
        self.acknowledged: dict[tuple[str, str], int] = {}
        self.failed = 0

    def run(self) -> None:
        try:
            session = self._client.begin()
        except (OSError, http.client.HTTPException):
            self.failed += 1
            return
        finally:
            self._start.wait()
        places = [(screen["id"], sound["id"]) for screen in session["screens"] for sound in screen["stimuli"]]
        paired = session["method"] == "ab"
        for sequence in itertools.count(1):
            screen, stimulus = self._random.choice(places)
            value = 1 if paired else self._random.randint(LOWEST, HIGHEST)
            body = {"screen": screen, "stimulus": stimulus, "value": value, "sequence": sequence}
            started = time.perf_counter()
            try:
                self._client.request("/api/answers", body)
            except (OSError, http.client.HTTPException):
                self.failed += 1
            else:
                self.times.append(time.perf_counter() - started)
                self.acknowledged[screen, "choice" if paired else stimulus] = sequence
            if self._until.wait(self._random.uniform(0, 2 * self._pause)):
                break
        self._client.close()


def run_load(trial: Path, listeners: int = 50, seconds: float = 20.0, pause: float = 0.5) -> LoadResult:
    """Let listeners answer at once, with answers in a file of their own, and compare that with what was acknowledged.

    Args:
        trial: its folder.
        listeners: at once.
        seconds: of the run.
        pause: mean time between two answers of a listener, seconds.

    Raises:
        UserError: no trial, or a server that does not start.
    """
    Trial.read(trial)
    with tempfile.TemporaryDirectory(prefix="listening-load-") as folder:
        answers = Path(folder) / "answers.sqlite3"
        with running_server(trial, answers) as (_, port):
            start, until = threading.Barrier(listeners + 1), threading.Event()
            crowd = [_Listener(port, number, start, until, pause) for number in range(listeners)]
            for listener in crowd:
                listener.start()
            start.wait()  # until all have their sessions
            started = time.perf_counter()
            time.sleep(seconds)
            until.set()
            for listener in crowd:
                listener.join()
            elapsed = time.perf_counter() - started
        kept = sorted((answer.screen, answer.slot, answer.sequence) for answer in read_answers(answers))
    return _evaluate(crowd, kept, elapsed)


def _evaluate(crowd: Sequence[_Listener], kept: Sequence[tuple[str, str, int]], elapsed: float) -> LoadResult:
    """Every acknowledged answer must be there as often as it was acknowledged."""
    remaining = list(kept)
    lost = 0
    for listener in crowd:
        for (screen, slot), sequence in listener.acknowledged.items():
            try:
                remaining.remove((screen, slot, sequence))
            except ValueError:
                lost += 1
    times = sorted(1000 * value for listener in crowd for value in listener.times)
    if not times:
        raise UserError("no answer was acknowledged; give the run more --seconds")
    return LoadResult(
        listeners=len(crowd),
        answers=len(times),
        lost=lost,
        failed=sum(listener.failed for listener in crowd),
        seconds=elapsed,
        median=statistics.median(times),
        late=times[min(len(times) - 1, math.ceil(0.95 * len(times)) - 1)],
        longest=times[-1],
    )


def describe_processors() -> str:
    """How many processors the run had."""
    return f"{len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f} at the end"
