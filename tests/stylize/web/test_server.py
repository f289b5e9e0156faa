"""Songs through the server: results, and several people at once."""

from __future__ import annotations

import io
import re
import threading
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from stylize.listening.stimuli import measure_loudness

RATE = 22050


def test_a_result_has_the_length_rate_and_channels_of_the_song(visitor: Any, finished: tuple[str, str]) -> None:
    _, job = finished
    for name in ("output.wav", "output.flac"):
        wav, rate = visitor.hear(job, name)
        assert wav.shape == (64000, 2) and rate == 32000
        assert np.sqrt(np.mean(wav**2)) > 0.01
        reply = visitor.get(f"/api/jobs/{job}/{name}")
        assert soundfile.info(io.BytesIO(reply.content)).subtype == "PCM_24"
    given, rate = visitor.hear(job, "input.flac")
    assert given.shape == (64000, 2) and rate == 32000
    output, _ = visitor.hear(job)
    assert not np.allclose(given, output, atol=0.05)
    assert measure_loudness(output.T, rate) == pytest.approx(measure_loudness(given.T, rate), abs=0.5)


def test_pictures_show_both_mels(visitor: Any, finished: tuple[str, str], bundled_stylizer: Any) -> None:
    pictures = [
        np.asarray(Image.open(io.BytesIO(visitor.get(f"/api/jobs/{finished[1]}/{name}.png").content)))
        for name in ("input", "output")
    ]
    for picture in pictures:
        assert picture.shape[:2] == (bundled_stylizer.mel_config.n_mels, 173)  # frames of 256 samples in 2 s
        assert picture[..., :3].std() > 10
    assert not np.array_equal(pictures[0], pictures[1])


def test_what_was_asked_for_is_told(visitor: Any, finished: tuple[str, str]) -> None:
    reply = visitor.get(f"/api/jobs/{finished[1]}").json()
    assert reply["to"] == {"metal": 0.75, "jazz": 0.25}
    assert reply["strength"] == 0.8
    assert reply["song"]["name"] == "my <song>.wav"
    assert reply["song"]["seconds"] == 2.0
    assert reply["progress"] == 1.0


def test_strength_0_and_another_song_as_example(visitor: Any, encode: Any) -> None:
    song = visitor.add(encode(1.0))
    like = visitor.add(encode(1.0, 500.0, "OGG"), "wanted.ogg")
    jobs = [visitor.start(song, like=like), visitor.start(song, like=like, strength=0.0)]
    assert [visitor.wait(job)["state"] for job in jobs] == ["done", "done"]
    styled, own = (visitor.hear(job)[0] for job in jobs)
    assert styled.shape == own.shape == (RATE, 1)
    assert np.abs(styled - own).max() > 0.01
    reply = visitor.get(f"/api/jobs/{jobs[0]}").json()
    assert reply["like"] == "wanted.ogg"
    assert reply["notes"][0].startswith("the reference was taken for ")


def test_a_page_that_was_loaded_again_finds_its_songs_and_results(visitor: Any, encode: Any) -> None:
    person = visitor.another()
    assert person.get("/api/entries").json() == {"songs": [], "jobs": []}
    song, like = person.add(encode(0.5)), person.add(encode(0.4, 500.0, "OGG"), "wanted.ogg")
    jobs = [person.start(song, strength=0.0), person.start(song, like=like, strength=0.0)]
    finished = [person.wait(job) for job in jobs]
    found = person.get("/api/entries").json()
    assert [(each["song"], each["name"]) for each in found["songs"]] == [(song, "song.wav"), (like, "wanted.ogg")]
    assert found["jobs"] == finished
    assert [(job["like_song"], job["seconds_left"]) for job in finished] == [(None, 0), (like, 0)]
    assert visitor.another().get("/api/entries").json() == {"songs": [], "jobs": []}


def test_a_song_can_be_heard_before_it_is_made(visitor: Any, encode: Any) -> None:
    song = visitor.add(encode(0.4, 500.0, "OGG"), "song.ogg")
    reply = visitor.get(f"/api/songs/{song}/input.flac")
    assert reply.headers["Content-Type"] == "audio/flac" and "no-store" in reply.headers["Cache-Control"]
    wav, rate = soundfile.read(io.BytesIO(reply.content))
    assert (rate, len(wav)) == (RATE, round(0.4 * RATE)) and np.abs(wav).max() > 0.1
    part = visitor.get(f"/api/songs/{song}/input.flac", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"fLaC")
    visitor.refused(visitor.get(f"/api/songs/{song}/output.wav"), 404)
    visitor.refused(visitor.another().get(f"/api/songs/{song}/input.flac"), 404, "choose it again")


def test_the_bundled_song_can_be_taken(visitor: Any) -> None:
    reply = visitor.post("/api/songs/example", json={})
    assert reply.status_code == 201
    assert reply.json()["name"] == "demo_country.ogg" and reply.json()["seconds"] == 20.0
    assert visitor.delete(f"/api/songs/{reply.json()['song']}").status_code == 200


def test_two_people_at_once_get_their_own_songs(visitor: Any, encode: Any) -> None:
    """Two threads, songs of different lengths, many requests between each other."""
    lengths = {"first": 0.7, "second": 1.1}
    heard: dict[str, list[int]] = {"first": [], "second": []}
    given: dict[str, list[int]] = {"first": [], "second": []}

    def use(name: str) -> None:
        for round_number in range(2):
            song = visitor.add(encode(lengths[name] + round_number / 10), f"{name}.wav")
            job = visitor.start(song, strength=0.5)
            assert visitor.wait(job)["song"]["name"] == f"{name}.wav"
            heard[name].append(len(visitor.hear(job)[0]))
            given[name].append(len(visitor.hear(job, "input.flac")[0]))

    people = [threading.Thread(target=use, args=(name,)) for name in lengths]
    for person in people:
        person.start()
    for person in people:
        person.join()
    for name, seconds in lengths.items():
        assert heard[name] == given[name] == [round(seconds * RATE), round((seconds + 0.1) * RATE)]


def test_the_songs_of_others_are_not_there(visitor: Any, finished: tuple[str, str], encode: Any) -> None:
    """Not even for somebody who has read the ids from the address of the page."""
    song, job = finished
    thief = visitor.another()
    own = thief.add(encode(0.3))
    for path in (f"jobs/{job}", f"jobs/{job}/output.wav", f"jobs/{job}/input.flac", f"jobs/{job}/output.png"):
        thief.refused(thief.get(f"/api/{path}"), 404, "make it again")
    thief.refused(thief.order(song), 404, "choose it again")
    thief.refused(thief.order(own, like=song), 404, "choose it again")
    thief.refused(thief.delete(f"/api/songs/{song}"), 404)
    thief.refused(thief.delete(f"/api/jobs/{job}"), 404)
    assert thief.delete("/api/songs").json() == {"removed": True}
    thief.refused(thief.order(own), 404, "choose it again")
    assert visitor.get(f"/api/jobs/{job}").json()["state"] == "done"
    assert len(visitor.hear(job)[0]) == 64000


@pytest.mark.parametrize("cookie", ["", "other=1", "stylize-visitor=", "stylize-visitor=../../etc", "x" * 4000])
def test_nothing_is_done_without_a_cookie_of_this_page(
    visitor: Any, finished: tuple[str, str], encode: Any, cookie: str
) -> None:
    song, job = finished
    headers = {"Cookie": cookie}
    for method, path in (
        ("GET", "entries"),
        ("GET", f"songs/{song}/input.flac"),
        ("GET", f"jobs/{job}"),
        ("GET", f"jobs/{job}/output.wav"),
        ("DELETE", f"jobs/{job}"),
        ("DELETE", f"songs/{song}"),
        ("DELETE", "songs"),
        ("POST", "songs/example"),
        ("POST", "jobs"),
    ):
        visitor.refused(visitor.ask(method, f"/api/{path}", headers=headers), 403, "allow cookies")
    visitor.refused(visitor.send(encode(0.1), headers=headers), 403, "allow cookies")


def test_the_cookie_is_for_this_page_only(visitor: Any) -> None:
    given = visitor.client.get("/").headers["Set-Cookie"]
    assert re.fullmatch(r"stylize-visitor=[\w-]{32}; HttpOnly; SameSite=lax", given)
    visitor.client.cookies.clear()
    assert "; Secure" in visitor.client.get("https://testserver/").headers["Set-Cookie"]
    visitor.client.cookies.clear()
    for path in ("/", "/app.js", "/api/about"):
        assert "Set-Cookie" not in visitor.get(path).headers  # this visitor has one
    assert visitor.another().cookie != visitor.cookie
