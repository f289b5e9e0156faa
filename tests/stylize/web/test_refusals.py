"""Files and requests that are refused: each with one line, and nothing is left of them."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import itertools
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from starlette.exceptions import HTTPException

from stylize.local_app import security_headers
from stylize.web.limits import Limits
from stylize.web.requests import display_name
from stylize.web.server import receive_file
from stylize.web.songs import check_song, copy_playable
from stylize_core.audio.reader import probe_audio

RATE = 22050


def hostile_files(encode: Callable[..., bytes]) -> dict[str, tuple[bytes, int, str]]:
    good = encode(1.0)
    broken = np.zeros(RATE, np.float32)
    broken[1000] = np.nan
    nan = io.BytesIO()
    soundfile.write(nan, broken, RATE, format="WAV", subtype="FLOAT")
    rate_lie = bytearray(good)
    rate_lie[24:28] = struct.pack("<I", 500_000)
    no_rate = bytearray(good)
    no_rate[24:28] = struct.pack("<I", 2**31)
    slow = bytearray(good)
    slow[24:28] = struct.pack("<I", 1)
    huge_data = bytearray(good)
    huge_data[40:44] = struct.pack("<I", 1_000_000_000)
    flac = bytearray(encode(1.0, format="FLAC"))
    unknown = bytes(flac[:21]) + bytes([flac[21] & 0xF0]) + bytes(4) + bytes(flac[26:-9])
    return {
        "empty": (b"", 422, "empty (0 bytes)"),
        "text": (b"<script>alert(1)</script>" * 20, 415, "is not audio"),
        "picture": (b"\x89PNG\r\n\x1a\n" + bytes(500), 415, "is not audio"),
        "archive": (b"PK\x03\x04" + bytes(500), 415, "is not audio"),
        "truncated": (good[: len(good) // 2], 422, " is cut off: 22028 of 44100 bytes of audio are there; get the"),
        "huge header": (bytes(huge_data), 422, "cut off"),
        "no header": (good[:20], 415, "cannot be decoded"),
        "rate": (bytes(rate_lie), 422, "samples a second"),
        "no rate": (bytes(no_rate), 415, "cannot be decoded"),
        "1 Hz": (bytes(slow), 422, "samples a second"),
        "too long": (encode(6.0, rate=8000), 422, "longer than 5 s of music (6 s)"),
        "channels": (encode(0.2, channels=6), 422, "6 channels"),
        "nan": (nan.getvalue(), 422, "NaN"),
        "unknown length": (unknown, 422, "cut off"),
        "broken flac": (bytes(flac[:3000]) + bytes(3000), 422, "of 1.0 s"),
        "zeros": (bytes(10000), 415, "is not audio"),
        "mp3 of nothing": (b"ID3" + bytes(1000), 422, ""),
    }


NAMES = ("song.wav", "../../etc/passwd", "a\x00b\n.mp3", "<img src=x onerror=alert(1)>.wav", "x" * 5000 + ".flac", "")


def test_bad_files_end_in_one_line_and_leave_nothing(open_page: Any, encode: Any) -> None:
    with open_page(max_seconds=5.0) as visitor:
        files = hostile_files(encode)
        for (kind, (content, status, words)), name in itertools.product(files.items(), NAMES):
            if name.endswith(".mp3") and status == 415:
                continue  # a name may say that it is an MP3; the test below has those
            line = visitor.refused(visitor.send(content, name), status, *([] if "mp3" in name else [words]))
            assert len(line) < 600, kind
            assert kind == "empty" or line.startswith(f"{display_name(name)} "), line
            assert visitor.files() == [], kind


@pytest.mark.parametrize("announced", [0, RATE])
def test_what_is_there_counts_and_not_what_a_header_says(open_page: Any, encode: Any, announced: int) -> None:
    """A header that promises none or one second of the eight that are there."""
    flac = bytearray(encode(8.0, format="FLAC"))
    flac[22:26] = struct.pack(">I", announced)
    with open_page(max_seconds=9.0) as visitor:
        reply = visitor.send(bytes(flac), "lie.flac")
        assert (reply.status_code, reply.json()["seconds"]) == (201, 8.0)
    with open_page(max_seconds=5.0) as visitor:
        visitor.refused(visitor.send(bytes(flac), "lie.flac"), 422, "longer than 5 s of music (8 s)")


def test_a_song_that_says_it_is_too_long_is_not_decoded(
    tmp_path: Path, encode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylize.web.songs.copy_playable", None)
    path = tmp_path / "song"
    path.write_bytes(encode(6.0, format="FLAC"))
    with pytest.raises(HTTPException, match="422: x.flac is longer than 5 s of music"):
        check_song(path, "x.flac", Limits(max_seconds=5.0))


def test_decoding_is_ended_by_what_is_found_and_not_by_a_header(tmp_path: Path, encode: Any) -> None:
    """Whatever a header promised, and however slow it is."""
    path = tmp_path / "song"
    path.write_bytes(encode(8.0))
    promised = dataclasses.replace(probe_audio(path), frames=RATE)
    with pytest.raises(HTTPException, match="422: x.wav is longer than 5 s of music"):
        copy_playable(promised, "x.wav", Limits(max_seconds=5.0))
    with pytest.raises(HTTPException, match=r"422: x.wav takes longer than 0 s to decode"):
        copy_playable(promised, "x.wav", Limits(check_seconds=0.0))
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_stops_coming_is_given_up(tmp_path: Path) -> None:
    async def parts(pauses: tuple[float, ...]) -> AsyncIterator[bytes]:
        for pause in pauses:
            await asyncio.sleep(pause)
            yield b"RIFF"

    def request(pauses: tuple[float, ...]) -> Any:
        return SimpleNamespace(headers={}, stream=lambda: parts(pauses))

    limits = Limits(upload_seconds=1.2, stall_seconds=0.4)
    refused = {
        (30.0,): "0.4 s without anything",
        (0.0, 30.0): "0.4 s without anything",
        (0.1,) * 300: r"\(1.2 s\); send it again",
    }
    for number, (pauses, words) in enumerate(refused.items()):
        with pytest.raises(HTTPException, match=words) as refusal:
            asyncio.run(receive_file(request(pauses), tmp_path / str(number), limits))
        assert refusal.value.status_code == 408
    asyncio.run(receive_file(request((0.0, 0.2, 0.2, 0.2)), tmp_path / "slow", limits))
    assert (tmp_path / "slow").read_bytes() == b"RIFF" * 4


def test_text_that_says_it_is_an_mp3(visitor: Any) -> None:
    before = visitor.files()
    visitor.refused(visitor.send(b"no music " * 100, "song.mp3"), 422, "song.mp3")
    assert visitor.files() == before


def test_size_is_counted_and_not_believed(open_page: Any, encode: Any) -> None:
    good = encode(1.0)

    def parts() -> Iterator[bytes]:
        for _ in range(1000):
            yield bytes(10_000)

    with open_page(max_bytes=50_000) as visitor:
        visitor.refused(visitor.send(parts()), 413, "more than 0.05 MB")  # in chunks, without any length
        visitor.refused(visitor.send(b"x", headers={"Content-Length": "1000000000"}), 413, "more than 0.05 MB")
        visitor.refused(visitor.send(b"x", headers={"Content-Length": "-5"}), 413)
        visitor.refused(visitor.send(b"x", headers={"Content-Length": "9" * 5000}), 413)
        assert visitor.files() == []
        assert visitor.send(iter([good[:20000], good[20000:]])).status_code == 201


def test_uploads_of_another_type_are_refused(visitor: Any, encode: Any) -> None:
    """A foreign page can send these types without being asked for permission."""
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""):
        visitor.refused(visitor.send(encode(0.1), headers={"Content-Type": kind}), 415, "octet-stream")
    reply = visitor.post("/api/jobs", content=b"{}", headers={"Content-Type": "text/plain"})
    visitor.refused(reply, 415, "application/json")


BAD_ORDERS: list[tuple[dict[str, Any], int, str]] = [
    ({"to": {"polka": 1}}, 422, "unknown style 'polka'; this model knows: blues"),
    ({"to": {}}, 422, "no style is chosen"),
    ({"to": {"jazz": 0}}, 422, "no style is chosen"),
    ({"to": {"jazz": -1}}, 400, "jazz must be a number from 0 to 1e+09, got -1"),
    ({"to": {"jazz": "1"}}, 400, "jazz must be a number"),
    ({"to": {"jazz": True}}, 400, "jazz must be a number"),
    ({"to": {"jazz": 10**400}}, 400, "digits"),
    ({"to": {"jazz": 1e300}}, 400, "jazz must be a number"),
    ({"to": ["jazz"]}, 400, "to must hold keys and values"),
    ({"to": "jazz"}, 400, "to must hold keys and values"),
    ({"to": {"jazz": 1}, "strength": 1.5}, 400, "strength must be a number from 0 to 1, got 1.5"),
    ({"to": {"jazz": 1}, "strength": None}, 400, "strength must be a number"),
    ({"to": {"jazz": 1}, "strength": "1"}, 400, "strength must be a number"),
    ({"to": {"jazz": 1}, "like": "x" * 32}, 400, "either to or like"),
    ({"to": {"jazz": 1}, "output": "/etc/passwd"}, 400, "unknown key 'output'"),
    ({"like": "/etc/passwd"}, 404, "not here any more"),
    ({"like": "x" * 32}, 404, "not here any more"),
    ({"like": None}, 400, "either to or like"),
    ({"like": 7}, 400, "like must be text"),
]


@pytest.mark.parametrize(("values", "status", "words"), BAD_ORDERS)
def test_bad_orders(visitor: Any, finished: tuple[str, str], values: dict[str, Any], status: int, words: str) -> None:
    body = {"song": finished[0], "strength": 1.0} | values
    visitor.refused(visitor.post("/api/jobs", json=body), status, words)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b'{"song": NaN}', b"\xff\xfe", b"[" * 4000, b'{"a":' * 600, bytes(5000)]
)
def test_bodies_that_are_no_order(visitor: Any, body: bytes) -> None:
    reply = visitor.post("/api/jobs", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code in (400, 413)
    visitor.refused(reply, reply.status_code)


def test_only_ids_of_the_right_kind_reach_a_file(visitor: Any, finished: tuple[str, str]) -> None:
    """More of these, with paths that this client would tidy up, are in test_command.py."""
    song, job = finished
    folder = next(iter(visitor.store.root.iterdir())).name
    for path in (f"jobs/{song}", f"jobs/{folder}", f"jobs/{job}/song", f"jobs/{job}/{folder}", f"songs/{song}/song"):
        visitor.refused(visitor.get(f"/api/{path}"), 404)
    visitor.refused(visitor.get(f"/api/songs/{song}"), 405)
    for path in (f"songs/{job}", f"jobs/{song}", "songs/x", "jobs/%00"):
        visitor.refused(visitor.delete(f"/api/{path}"), 404)
    assert visitor.wait(job)["state"] == "done"


def test_every_reply_forbids_everything_else(visitor: Any) -> None:
    for path in ("/", "/app.js", "/nothing", "/api/about"):
        headers = visitor.get(path).headers
        assert all(headers[name] == value for name, value in security_headers(media=True, microphone=True).items())
        assert "unsafe" not in headers["content-security-policy"]
    page = visitor.get("/").text
    assert "http://" not in page and "https://" not in page and "style=" not in page
