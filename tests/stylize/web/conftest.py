"""The server of the page with the bundled models, and a short song."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient

from stylize import Stylizer
from stylize.web.limits import Limits
from stylize.web.server import make_app
from stylize.web.store import Store

RATE = 22050
SECONDS = 3
BINARY = {"Content-Type": "application/octet-stream"}

Encode = Callable[..., bytes]


class Visitor:
    """Somebody at the page, and what the server keeps."""

    def __init__(self, client: TestClient, store: Store) -> None:
        self.client, self.store = client, store
        client.cookies.clear()
        self.cookie = client.get("/").headers["Set-Cookie"].partition(";")[0]
        client.cookies.clear()  # visitors share this client

    def another(self) -> Visitor:
        """Somebody else, with a browser of their own."""
        return Visitor(self.client, self.store)

    def ask(self, method: str, path: str, **values: Any) -> Any:
        headers = {"Cookie": self.cookie} | values.pop("headers", {})
        reply = self.client.request(method, path, headers=headers, **values)
        self.client.cookies.clear()
        return reply

    def get(self, path: str, **values: Any) -> Any:
        return self.ask("GET", path, **values)

    def post(self, path: str, **values: Any) -> Any:
        return self.ask("POST", path, **values)

    def delete(self, path: str, **values: Any) -> Any:
        return self.ask("DELETE", path, **values)

    def send(self, content: Any, name: str = "song.wav", headers: dict[str, str] | None = None) -> Any:
        return self.post("/api/songs", params={"name": name}, content=content, headers=BINARY | (headers or {}))

    def add(self, content: bytes, name: str = "song.wav") -> str:
        reply = self.send(content, name)
        assert reply.status_code == 201, reply.text
        return reply.json()["song"]

    def order(self, song: str, strength: float = 1.0, **values: Any) -> Any:
        values = values or {"to": {"metal": 1}}
        return self.post("/api/jobs", json={"song": song, "strength": strength, **values})

    def start(self, song: str, **values: Any) -> str:
        reply = self.order(song, **values)
        assert reply.status_code == 201, reply.text
        return reply.json()["job"]

    def wait(self, job: str) -> Any:
        """The job when it has ended; the test's own time limit is the only one."""
        while (reply := self.get(f"/api/jobs/{job}").json())["state"] in ("waiting", "working"):
            time.sleep(0.02)
        return reply

    def hear(self, job: str, name: str = "output.wav") -> tuple[np.ndarray, int]:
        reply = self.get(f"/api/jobs/{job}/{name}")
        assert reply.status_code == 200, reply.text
        return soundfile.read(io.BytesIO(reply.content), always_2d=True)

    def refused(self, reply: Any, status: int, *words: str) -> str:
        """One line, without a path of this machine or a traceback."""
        assert reply.status_code == status, reply.text
        line = reply.json()["error"]
        assert list(reply.json()) == ["error"]
        for word in words:
            assert word in line
        assert "\n" not in line and "Traceback" not in line
        assert str(self.store.root) not in line and "/tmp" not in line
        return line

    def files(self) -> list[Path]:
        return sorted(path for path in self.store.root.rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def encode() -> Encode:
    """A chord as a file of any format."""

    def encode(
        seconds: float = SECONDS, pitch: float = 220.0, format: str = "WAV", rate: int = RATE, **values: Any
    ) -> bytes:
        channels = values.pop("channels", 1)
        moments = np.arange(round(seconds * rate)) / rate
        wav = sum(0.2 / part * np.sin(2 * np.pi * pitch * part * moments) for part in (1, 2, 3))
        wav = wav * (1 + 0.5 * np.sin(2 * np.pi * 2 * moments))
        samples = np.stack([wav * (1 - 0.3 * channel) for channel in range(channels)], axis=1)
        file = io.BytesIO()
        soundfile.write(file, samples, rate, format=format, **values)
        return file.getvalue()

    return encode


@pytest.fixture(scope="session")
def bundled_stylizer() -> Stylizer:
    return Stylizer.from_pretrained(device="cpu")


Open = Callable[..., "contextlib.AbstractContextManager[Visitor]"]


@pytest.fixture(scope="session")
def open_page(bundled_stylizer: Stylizer) -> Open:
    """Run a server with some limits, as long as a `with` lasts."""

    @contextlib.contextmanager
    def run(
        stylizer: Any = bundled_stylizer, clock: Callable[[], float] = time.monotonic, **limits: Any
    ) -> Iterator[Visitor]:
        store = Store(Limits(**limits), clock)
        with TestClient(make_app(stylizer, store), raise_server_exceptions=False) as client:
            yield Visitor(client, store)
        assert not store.root.exists()

    return run


@pytest.fixture(scope="module")
def visitor(open_page: Open) -> Iterator[Visitor]:
    with open_page() as visitor:
        yield visitor


@pytest.fixture(scope="module")
def finished(visitor: Any, encode: Any) -> tuple[str, str]:
    """A stereo song at another rate than the models', and its job."""
    song = visitor.add(encode(2.0, rate=32000, channels=2, subtype="PCM_24"), "../../my <song>.wav")
    job = visitor.start(song, to={"metal": 3, "jazz": 1}, strength=0.8)
    assert visitor.wait(job)["state"] == "done"
    return song, job
