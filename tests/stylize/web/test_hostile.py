"""`stylize web` in a process of its own, and 200 requests as no browser sends them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from tests.conftest import TinyModels

SECRET = b"nobody may read this"
BINARY = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}
HEAD = "POST /api/songs?name=x.wav HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"


@dataclass
class Server:
    """A running server, whose temporary files are in `folder`."""

    process: subprocess.Popen[str]
    port: int
    folder: Path
    cookie: str = ""

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Cookie": self.cookie} | named)
        reply = connection.getresponse()
        return reply.status, reply.read()

    def raw(self, request: bytes) -> tuple[int, bytes]:
        """Send bytes as they are."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(request)
            reply = http.client.HTTPResponse(connection)
            reply.begin()
            return reply.status, reply.read()

    def visit(self) -> str:
        """Open the page as somebody new: the cookie."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/")
        reply = connection.getresponse()
        reply.read()
        return reply.headers["Set-Cookie"].partition(";")[0]

    def order(self, **values: Any) -> tuple[int, bytes]:
        return self.ask("POST", "/api/jobs", json.dumps(values).encode(), **JSON)

    def files(self) -> dict[str, int]:
        """Path and bytes of what lies there; the server may remove a file while this looks at it."""
        sizes = {}
        for folder, _, names in os.walk(self.folder):
            for path in (Path(folder) / name for name in names):
                with contextlib.suppress(FileNotFoundError):
                    sizes[str(path)] = path.stat().st_size
        return sizes


@pytest.fixture
def server(tmp_path: Path, tiny_models: TinyModels) -> Iterator[Server]:
    models = ["--model", str(tiny_models.translator), "--vocoder", str(tiny_models.vocoder)]
    options = ["--port", "0", "--threads", "1", "--device", "cpu", "--max-seconds", "20", "--max-megabytes", "1"]
    folder = tmp_path / "temporary"
    folder.mkdir()
    (folder / "secret").write_bytes(SECRET)
    (tmp_path / "secret").write_bytes(SECRET)
    process = subprocess.Popen(
        [sys.executable, "-m", "stylize.cli", "web", *options, *models],
        env=os.environ | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # tests may be run below nohup
    )
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
    assert found, process.stderr and process.stderr.read()
    yield Server(process, int(found[1]), folder)
    process.kill()
    process.communicate()


PATHS = [
    "/../../../../etc/passwd",
    "/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%5c..%5csecret",
    "/....//....//etc/passwd",
    "//etc/passwd",
    "/etc/passwd",
    "/secret",
    "/../secret",
    "/server.py",
    "/../server.py",
    "/..%2fserver.py",
    "/%252e%252e%252fserver.py",
    "/pages/index.html",
    "/index.html%00.js",
    "/INDEX.HTML",
    "/app.js/",
    "/%00",
    "/%ff%fe",
    "/" + "a" * 5000,
    "/api",
    "/api/",
    "/api/songs",
    "/api/songs/..%2f..%2fsecret",
    "/api/jobs",
    "/api/jobs/../about/../../etc/passwd",
    "/api/jobs/..",
    "/api/jobs/%2e%2e/output.wav",
    "/api/jobs/*/output.wav",
    "/api/jobs/" + "x" * 32,
    "/api/jobs/" + "x" * 32 + "/output.wav",
    "/api/jobs/" + "x" * 32 + "/..%2f..%2f..%2fetc%2fpasswd",
    "/api/jobs/" + "9" * 3000,
    "/api/jobs/-1",
    "/api/jobs/JOB/../../../../etc/passwd",
    "/api/jobs/JOB/..%2fsong",
    "/api/jobs/JOB/song",
    "/api/jobs/JOB/secret",
    "/api/jobs/JOB/%2fetc%2fpasswd",
    "/api/jobs/JOB/..%2f..%2f..%2fsecret",
    "/api/jobs/JOB/output.wav%00",
    "/api/jobs/JOB/output.wav/",
    "/api/jobs/JOB/OUTPUT.WAV",
    "/api/jobs/JOB/output.wav;x",
    "/api/jobs/SONG/output.wav",
    "/api/jobs/SONG/input.flac",
    "/api/jobs/FOLDER/output.wav",
    "/api/jobs/FOLDER",
    "/api/songs/SONG",
    "/api/songs/SONG/song",
    "/proc/self/environ",
    "/%2fproc%2fself%2fcmdline",
    "/..%c0%af..%c0%afetc/passwd",
    "/.%2e/.%2e/secret",
    "/style.css%00.html",
    "/style.css/../server.py",
    "/__pycache__/server.pyc",
    "/.git/config",
    "/favicon.ico/../../secret",
    "/openapi.json",
    "/api/about/..%2f..%2fsecret",
    "/api/songs/example",
    "/api/jobs/JOB/input.flac/../song",
    "/api/jobs/JOB/input.flac%20",
    "/api/jobs/JOB/output.mp3",
    "/api/jobs/JOB%00/output.wav",
    "/api/jobs/JOBx/output.wav",
    "/api/jobs/%4a%4fB/output.wav",
]
METHODS = [
    ("PUT", "/api/songs"),
    ("PATCH", "/api/jobs/JOB"),
    ("POST", "/"),
    ("POST", "/app.js"),
    ("DELETE", "/api/about"),
    ("DELETE", "/app.js"),
    ("DELETE", "/api/songs/..%2f..%2fsecret"),
    ("DELETE", "/api/jobs/SONG"),
    ("DELETE", "/api/songs/JOB"),
    ("POST", "/api/jobs/JOB/output.wav"),
    ("TRACE", "/"),
    ("PROPFIND", "/"),
    ("PUT", "/api/jobs/JOB/output.wav"),
    ("PATCH", "/api/songs/SONG"),
    ("OPTIONS", "/api/songs"),
    ("BREW", "/api/jobs"),
    ("DELETE", "/api/songs/*"),
    ("DELETE", "/api/jobs/FOLDER"),
]
ORDERS: list[dict[str, Any]] = [
    {},
    {"song": "SONG"},
    {"song": "/etc/passwd", "to": {"jazz": 1}, "strength": 1},
    {"song": "../secret", "to": {"jazz": 1}, "strength": 1},
    {"song": "JOB", "to": {"jazz": 1}, "strength": 1},
    {"song": "SONG", "like": "../../secret", "strength": 1},
    {"song": "SONG", "like": "FOLDER", "strength": 1},
    {"song": ["SONG"], "to": {"jazz": 1}, "strength": 1},
    {"song": {"id": "SONG"}, "to": {"jazz": 1}, "strength": 1},
    {"song": 10**30, "to": {"jazz": 1}, "strength": 1},
    {"song": "SONG", "to": {"jazz": 1}, "strength": 10**300},
    {"song": "SONG", "to": {"jazz": 1}, "strength": -0.1},
    {"song": "SONG", "to": {"jazz": 1}, "strength": "1"},
    {"song": "SONG", "to": {"jazz": 1}, "strength": [1]},
    {"song": "SONG", "to": {"jazz": 10**400}, "strength": 1},
    {"song": "SONG", "to": {"jazz": -1, "metal": 2}, "strength": 1},
    {"song": "SONG", "to": {"jazz:1,metal": 1}, "strength": 1},
    {"song": "SONG", "to": {"../../secret": 1}, "strength": 1},
    {"song": "SONG", "to": "jazz", "strength": 1},
    {"song": "SONG", "to": {"jazz": 1}, "strength": 1, "output": "/etc/passwd"},
    {"song": "SONG", "to": {"jazz": 1}, "strength": 1, "model": "../../secret"},
    {"song": None, "to": {"jazz": 1}, "strength": 1},
    {"song": True, "to": {"jazz": 1}, "strength": 1},
    {"song": "", "to": {"jazz": 1}, "strength": 1},
    {"song": "SONG\0", "to": {"jazz": 1}, "strength": 1},
    {"song": "SONG/../SONG", "to": {"jazz": 1}, "strength": 1},
    {"song": "SONG", "to": {"jazz": 1}, "strength": True},
    {"song": "SONG", "to": {"jazz": 1}, "strength": {}},
    {"song": "SONG", "to": {"jazz": None}, "strength": 1},
    {"song": "SONG", "to": {"jazz": [1]}, "strength": 1},
    {"song": "SONG", "to": {"JAZZ": 1}, "strength": 1},
    {"song": "SONG", "to": {"": 1}, "strength": 1},
    {"song": "SONG", "to": {"<script>": 1}, "strength": 1},
    {"song": "SONG", "to": None, "strength": 1},
    {"song": "SONG", "like": ["SONG"], "strength": 1},
    {"song": "SONG", "like": "JOB", "strength": 1},
    {"song": "SONG", "like": "", "strength": 1},
    {"song": "SONG", "to": {"jazz": 1}, "like": "SONG", "strength": 1},
]
UPLOADS = [
    (b"", "song.wav"),
    (b"#!/bin/sh\nrm -rf /\n", "song.wav"),
    (b"<?php system($_GET['c']); ?>" * 40, "../../shell.php"),
    (b"<svg onload='alert(1)'/>" * 40, "x.svg"),
    (b"MZ" + bytes(4000), "song.exe"),
    (b"PK\x03\x04" + bytes(4000), "song.zip"),
    (b"\x1f\x8b\x08" + bytes(4000), "song.wav.gz"),
    (b"%PDF-1.7" + bytes(4000), "song.pdf"),
    (b"\x1aE\xdf\xa3" + bytes(4000), "song.webm"),
    (b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(4000), "song.mp3"),
    (b"\xff\xfb\x90\x64" * 1000, "song.mp3"),
    (b"OggS" * 1000, "song.ogg"),
    (b"fLaC\x00\x00\x00\x22" + b"\xff" * 4000, "song.flac"),
    (b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff" + bytes(4000), "song.wav"),
    (b"RIFF\x24\x00\x00\x00WAVEjunk\x00\x00\x00\x00" * 400, "song.wav"),
    (b"FORM\x7f\xff\xff\xffAIFFSSND\xff\xff\xff\xff" + bytes(4000), "song.aiff"),
    (b".snd\xff\xff\xff\xff\xff\xff\xff\xff" + bytes(4000), "song.au"),
    (bytes(1_000_001), "too large.wav"),
    (b"RIFF" + bytes(40), "song.wav"),
    (b"RIFX\xff\xff\xff\xffWAVEfmt " + bytes(4000), "song.wav"),
    (b"RF64\xff\xff\xff\xffWAVEds64" + b"\xff" * 4000, "song.wav"),
    (b"riff\x2e\x91\xcf\x11" + b"\xff" * 4000, "song.w64"),
    (b"caff\x00\x01\x00\x00" + bytes(4000), "song.caf"),
    (b"\x00\x00\x00\x20ftypM4A " + bytes(4000), "song.m4a"),
    (b"OggS\x00\x02" + b"\xff" * 4000, "song.opus"),
    (b"GIF89a" + bytes(4000), "song.wav"),
    (b"\x7fELF" + bytes(4000), "song.mp3"),
    ("\u202e".encode() * 500, "\u202egnp.wav"),
    (b"\xef\xbb\xbf<html>" * 100, "song.html"),
    (b"\x00" * 44, "CON.wav"),
]
COOKIES = ["", *(f"stylize-visitor={value}" for value in ("", "../../secret", "x" * 4000, "NONE"))]
RAW = [
    HEAD + "Content-Length: 1000000000\r\n\r\nRIFF000000",
    HEAD + "Content-Length: -1\r\n\r\n",
    HEAD + "Content-Length: 1e3\r\n\r\n",
    HEAD + "Content-Length: " + "9" * 4000 + "\r\n\r\n",
    HEAD + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nRIFF00",
    HEAD + "Transfer-Encoding: chunked\r\nX: COOKIE\r\n\r\nzzz\r\n",
    HEAD + "Transfer-Encoding: gzip\r\n\r\n",
    HEAD.replace("octet-stream", "json") + "Content-Length: 2\r\n\r\n{}",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
    "GET /../../../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "GET http://127.0.0.1/../secret HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "GET file:///etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "GET / HTTP/x\r\nHost: 127.0.0.1\r\n\r\n",
    "GET /\x00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "GET /secret HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + "y" * 100_000 + "\r\n\r\n",
    "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n",
    HEAD + "Content-Length: 0x10\r\n\r\n",
    HEAD + "Content-Length: +5\r\n\r\nRIFF0",
    HEAD + "Content-Length: 5, 5\r\n\r\nRIFF0",
    HEAD + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nX: COOKIE\r\n\r\nzzz\r\n",
    "DELETE /api/songs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "DELETE /api/songs HTTP/1.1\r\nHost: evil.example\r\nX: COOKIE\r\n\r\n",
    "GET / HTTP/1.1\r\nHost:\r\n\r\n",
]
RANGES = ["bytes=999999999-", "bytes=5-1", "lines=1-2", "bytes=-", "bytes=a-b"]


def make_result(server: Server, wav: bytes) -> tuple[str, str]:
    """A song and its job, which is done."""
    status, reply = server.ask("POST", "/api/songs?name=x.wav", wav, **BINARY)
    assert status == 201
    song = json.loads(reply)["song"]
    status, reply = server.order(song=song, to={"jazz": 1}, strength=1)
    assert status == 201
    job = json.loads(reply)["job"]
    while json.loads(server.ask("GET", f"/api/jobs/{job}")[1])["state"] != "done":
        time.sleep(0.02)
    return song, job


def hostile_requests(server: Server, song: str, job: str, folder: str) -> Iterator[tuple[str, int, bytes]]:
    """What was asked, and the answer."""

    def fill(text: str) -> str:
        return text.replace("JOB", job).replace("SONG", song).replace("FOLDER", folder)

    for path in PATHS:
        yield path, *server.ask("GET", fill(path))
    for method, path in METHODS:
        yield f"{method} {path}", *server.ask(method, fill(path), b"{}", **JSON)
    for order in ORDERS:
        yield f"{order}"[:200], *server.ask("POST", "/api/jobs", fill(json.dumps(order)).encode(), **JSON)
    for content, name in UPLOADS:
        path = f"/api/songs?name={quote(name)}"
        yield f"{path} {content[:9]!r}", *server.ask("POST", path, content, **BINARY)
    stranger = server.visit()
    for cookie in (*COOKIES, stranger):
        for path in (f"/api/jobs/{job}", f"/api/jobs/{job}/output.wav", f"/api/jobs/{job}/input.flac"):
            yield f"{path} {cookie}"[:200], *server.ask("GET", path, Cookie=cookie)
        yield f"removal {cookie}"[:200], *server.ask("DELETE", f"/api/songs/{song}", Cookie=cookie)
    for text in RAW:
        yield repr(text[:200]), *server.raw(text.replace("X: COOKIE", f"Cookie: {server.cookie}").encode("latin-1"))
    for ranges in RANGES:
        yield ranges[:200], *server.ask("GET", f"/api/jobs/{job}/output.wav", Range=ranges)


def watch_an_upload(server: Server) -> None:
    """What was sent is on the disk before the rest is, and gone when nobody sends the rest."""
    before = server.files()

    def received() -> int:
        return sum(size for path, size in server.files().items() if path not in before)

    head = HEAD + f"Cookie: {server.cookie}\r\nContent-Length: 900000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head.encode() + b"RIFF" + bytes(500_000))
        wait_until(lambda: received() > 400_000)
    wait_until(lambda: server.files() == before)


def too_much_without_a_length(server: Server) -> bytes:
    """The refusal of an upload in pieces comes although it never ends."""
    head = HEAD + f"Cookie: {server.cookie}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head.encode())
        for _ in range(101):
            connection.sendall(b"2710\r\n" + bytes(10_000) + b"\r\n")
        return connection.recv(2000)


def wait_until(holds: Callable[[], bool], what: str = "") -> None:
    """The limit is for a test that fails."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def test_hostile_requests_are_refused_and_nothing_is_left(server: Server, songs: Any) -> None:
    server.cookie = server.visit()
    song, job = make_result(server, songs.write(server.folder.parent / "given.wav", 22050).read_bytes())
    (root,) = server.folder.glob("stylize-web-*")
    assert root.stat().st_mode & 0o077 == 0
    folders = [path.name for path in (root / "files").iterdir()]
    assert len(folders) == 2
    for folder in folders:
        (root / "files" / folder / "secret").write_bytes(SECRET)
    files = server.files()
    count = 0
    for asked, status, reply in hostile_requests(server, song, job, folders[0]):
        count += 1
        assert 400 <= status < 500, asked
        assert len(reply) < 500 and b"root:" not in reply and SECRET not in reply, asked
        assert str(server.folder).encode() not in reply and b"Traceback" not in reply, asked
        assert b"\n" not in reply.strip(), asked
        wait_until(lambda: server.files() == files, asked)  # what was broken off is removed after its refusal
    assert count >= 200
    watch_an_upload(server)
    assert b"413" in too_much_without_a_length(server)
    wait_until(lambda: server.files() == files)
    assert server.ask("GET", "/api/about", Host=f"localhost:{server.port}")[0] == 200
    assert server.ask("GET", f"/api/jobs/{job}/output.wav", Range="bytes=0-3") == (206, b"RIFF")
    server.process.send_signal(signal.SIGHUP)  # the terminal was closed
    output, problems = server.process.communicate(timeout=60)
    assert (server.process.returncode, problems) == (0, "")
    assert output == "stopped; every song was removed\n"
    assert [path.name for path in server.folder.iterdir()] == ["secret"]
