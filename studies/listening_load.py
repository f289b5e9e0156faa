"""Load test of the listening server: `python -m studies.listening_load TRIAL` answers as many listeners at once.

Reports how long an acknowledgment takes and whether any acknowledged answer is missing from the file. The trial's own
answers are not touched.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from scripts.command_line import run_command
from stylize.listening.methods import HIGHEST, LOWEST, PAIRED
from stylize.listening.store import CHOICE, read_answers
from stylize.listening.trial import Trial
from stylize_core.errors import UserError


@dataclass(frozen=True)
class LoadResult:
    """What a run measured."""

    listeners: int  # at once
    answers: int  # acknowledged
    lost: int  # acknowledged, and not in the file
    failed: int  # refused, or without any reply
    seconds: float  # of the run
    median: float  # time from sending an answer to its acknowledgment, milliseconds
    late: float  # what 95 % of the answers stay below, milliseconds
    longest: float  # milliseconds

    def describe(self) -> str:
        """In one line, with how many processors there were."""
        return (
            f"{self.listeners} listeners, {self.answers} answers in {self.seconds:.1f} s "
            f"({self.answers / self.seconds:.0f} a second): median {self.median:.1f} ms, "
            f"95 % below {self.late:.1f} ms, longest {self.longest:.1f} ms; failed {self.failed}, lost {self.lost}; "
            f"{len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f} at the end"
        )


@contextlib.contextmanager
def running_server(trial: Path, answers: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`stylize listen` in a process of its own, with the port that it listens at; ended with the block."""
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
    """A listener's connection to a server on this machine, which stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Content-Type": "application/json"}
        self.close = self._connection.close

    def request(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """GET, or POST where there is a body; OSError and http.client.HTTPException where that does not succeed."""
        method, content = ("GET", None) if body is None else ("POST", json.dumps(body))
        self._connection.request(method, path, content, self._headers)
        response = self._connection.getresponse()
        reply = response.read()
        if response.status >= 400:
            raise http.client.HTTPException(f"{response.status} {reply[:200]!r}")
        values: dict[str, Any] = json.loads(reply)
        return values

    def begin(self) -> dict[str, Any]:
        """Become a new listener; the session."""
        self._headers["Authorization"] = f"Bearer {self.request('/api/listeners', {})['token']}"
        return self.request("/api/session")


def _answer(
    port: int, number: int, start: threading.Barrier, until: threading.Event, pause: float
) -> tuple[list[float], Counter[tuple[str, str, int]], int]:
    """Move sliders at random from the common start until the time is over, at least one."""
    client, chance, failed = Client(port), random.Random(number), 0
    times: list[float] = []
    acknowledged: dict[tuple[str, str], int] = {}
    try:
        session = client.begin()
    except (OSError, http.client.HTTPException):
        return times, Counter(), 1
    finally:
        start.wait()
    places = [(screen["id"], sound["id"]) for screen in session["screens"] for sound in screen["stimuli"]]
    paired = session["method"] == PAIRED
    for sequence in itertools.count(1):
        screen, stimulus = chance.choice(places)
        value = 1 if paired else chance.randint(LOWEST, HIGHEST)
        body = {"screen": screen, "stimulus": stimulus, "value": value, "sequence": sequence}
        started = time.perf_counter()
        try:
            client.request("/api/answers", body)
        except (OSError, http.client.HTTPException):
            failed += 1
        else:
            times.append(1000 * (time.perf_counter() - started))
            acknowledged[screen, CHOICE if paired else stimulus] = sequence
        if until.wait(chance.uniform(0, 2 * pause)):
            break
    client.close()
    return times, Counter((*place, sequence) for place, sequence in acknowledged.items()), failed


def run_load(trial: Path, listeners: int = 50, seconds: float = 20.0, pause: float = 0.5) -> LoadResult:
    """Let listeners answer at once, with a file of their own, and compare that with what was acknowledged."""
    Trial.read(trial)
    with tempfile.TemporaryDirectory(prefix="listening-load-") as folder, ThreadPoolExecutor(listeners) as crowd:
        path = Path(folder) / "answers.sqlite3"
        with running_server(trial, path) as (_, port):
            start, until = threading.Barrier(listeners + 1), threading.Event()
            work = [crowd.submit(_answer, port, number, start, until, pause) for number in range(listeners)]
            start.wait()  # until all have their sessions
            started = time.perf_counter()
            time.sleep(seconds)
            until.set()
            outcomes = [each.result() for each in work]
            elapsed = time.perf_counter() - started
        kept = Counter((answer.screen, answer.slot, answer.sequence) for answer in read_answers(path))
    times = [value for found, _, _ in outcomes for value in found]
    if not times:
        raise UserError("no answer was acknowledged; give the run more --seconds")
    # Every acknowledged answer must be there as often as it was acknowledged.
    lost = sum((acknowledged for _, acknowledged, _ in outcomes), Counter()) - kept
    failed = sum(failed for _, _, failed in outcomes)
    median, late, longest = np.quantile(times, [0.5, 0.95, 1.0], method="higher").tolist()
    return LoadResult(listeners, len(times), lost.total(), failed, elapsed, median, late, longest)


def load(
    trial: Annotated[Path, typer.Argument(metavar="TRIAL", help="Folder made by `stylize listen build`.")],
    listeners: Annotated[int, typer.Option(min=1, max=500, help="At once.")] = 50,
    seconds: Annotated[float, typer.Option(min=0.5, max=600, help="Duration of the run.")] = 20.0,
    pause: Annotated[float, typer.Option(min=0.0, help="Mean time between two answers of a listener.")] = 0.5,
) -> None:
    """Simulate many listeners at once; report latency and lost answers."""
    result = run_load(trial, listeners, seconds, pause)
    print(result.describe())
    if result.lost or result.failed:
        raise UserError(f"{result.lost} answers were lost, {result.failed} requests failed")


if __name__ == "__main__":
    run_command(load)
