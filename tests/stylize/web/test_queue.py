"""Work that waits, fails, is taken back or takes too long, and files that are removed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stylize.local_app import TROUBLE
from stylize.pipeline import Result
from stylize.web.store import remove_abandoned
from stylize_core.errors import UserError

RATE = 22050


def test_files_nobody_asks_for_are_removed(open_page: Any, encode: Any) -> None:
    now = [0.0]
    with open_page(keep_seconds=100.0, clock=lambda: now[0]) as visitor:
        song, like = visitor.add(encode(0.5)), visitor.add(encode(0.3))
        job = visitor.start(song, strength=0.0, like=like)
        visitor.wait(job)
        assert len(visitor.files()) == 8
        now[0] = 90.0
        visitor.get(f"/api/jobs/{job}")
        now[0] = 180.0
        visitor.store.remove_old()
        assert visitor.get(f"/api/jobs/{job}/output.wav").status_code == 200  # used 90 s ago
        assert len(visitor.files()) == 8  # the example, too, belongs to what is in use
        now[0] = 270.0
        visitor.get("/api/entries")  # as an open page does
        now[0] = 360.0
        visitor.store.remove_old()
        assert len(visitor.files()) == 8
        now[0] = 471.0
        visitor.store.remove_old()
        assert list(visitor.store.root.iterdir()) == []
        visitor.refused(visitor.get(f"/api/jobs/{job}"), 404, "not here any more")
        visitor.refused(visitor.order(song), 404, "choose it again")


def test_a_person_can_remove_everything_at_once(open_page: Any, encode: Any) -> None:
    with open_page() as visitor:
        song, other = visitor.add(encode(0.5)), visitor.add(encode(0.4))
        jobs = [visitor.start(song, strength=0.0), visitor.start(other, strength=0.0)]
        for job in jobs:
            visitor.wait(job)
        assert visitor.delete(f"/api/songs/{song}").status_code == 200
        visitor.refused(visitor.get(f"/api/jobs/{jobs[0]}/output.wav"), 404)
        assert len(visitor.hear(jobs[1])[0]) == round(0.4 * RATE)
        assert len(visitor.files()) == 6


class Slow:
    """Stands for the models; holds each song until it is let go, or fails."""

    def __init__(self, stylizer: Any, error: Exception | None = None) -> None:
        self.styles, self.mel_config, self.log_mel = stylizer.styles, stylizer.mel_config, stylizer.log_mel
        self.device, self.error = stylizer.device, error
        self.began, self.go = threading.Event(), threading.Event()
        self.converted = 0

    def style_for(self, order: Any) -> None:
        self.began.set()
        self.go.wait(30)

    def convert(self, info: Any, output: Any, style: None, order: Any, progress: Callable[[float], None]) -> Any:
        self.converted += 1
        if self.error is not None:
            raise self.error
        progress(info.seconds)
        soundfile.write(output, np.zeros((info.frames, info.channels)), info.sample_rate)
        return Result(output, info.seconds, 0.0, {"jazz": 1.0}, limited_db=6.0206)


def test_the_queue_has_an_order_and_an_end(open_page: Any, bundled_stylizer: Any, encode: Any) -> None:
    slow = Slow(bundled_stylizer)
    with open_page(slow, max_waiting=2) as visitor:
        song = visitor.add(encode(0.3))
        jobs = [visitor.start(song) for _ in range(3)]
        assert slow.began.wait(30)
        shown = [visitor.get(f"/api/jobs/{job}").json() for job in jobs]
        assert [job["ahead"] for job in shown] == [0, 1, 2]
        each = visitor.store.pace.expect(0.3)
        assert 0 <= shown[0]["progress"] < 1 and [job["progress"] for job in shown[1:]] == [0, 0]
        for place, job in enumerate(shown):  # what is left of the first, and all of those after it
            assert place * each - 0.1 <= job["seconds_left"] <= (place + 1) * each + 0.1
        visitor.refused(visitor.order(song), 503, "2 songs are waiting already")
        visitor.refused(visitor.get(f"/api/jobs/{jobs[1]}/output.wav"), 404)
        assert visitor.delete(f"/api/jobs/{jobs[1]}").status_code == 200  # cancelled while waiting
        assert visitor.get(f"/api/jobs/{jobs[2]}").json()["ahead"] == 1
        slow.go.set()
        assert visitor.wait(jobs[2])["state"] == "done"
        assert slow.converted == 2


def test_one_visitor_cannot_take_all_places(open_page: Any, bundled_stylizer: Any, encode: Any) -> None:
    slow = Slow(bundled_stylizer)
    with open_page(slow, max_waiting_each=2) as visitor:
        song = visitor.add(encode(0.3))
        jobs = [visitor.start(song) for _ in range(2)]
        visitor.refused(visitor.order(song), 503, "2 songs of yours are waiting")
        other = visitor.another()
        other.start(other.add(encode(0.2)))
        slow.go.set()
        assert visitor.wait(jobs[1])["state"] == "done"
        assert visitor.order(song).status_code == 201


def test_work_in_progress_is_cancelled_without_a_trace(open_page: Any, bundled_stylizer: Any, encode: Any) -> None:
    slow = Slow(bundled_stylizer)
    with open_page(slow) as visitor:
        song = visitor.add(encode(0.3))
        job, following = visitor.start(song), visitor.start(song)
        assert slow.began.wait(30)
        visitor.delete(f"/api/jobs/{job}")
        slow.go.set()
        assert visitor.wait(following)["state"] == "done"
        assert len(visitor.files()) == 6  # the song and one result
        assert slow.converted == 1  # nothing more was done for the other


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("the disk is full"), "the disk is full"),
        (ValueError("/secret/path: a bug"), TROUBLE),
        (MemoryError(), TROUBLE),
    ],
)
def test_failures_are_one_line_and_the_next_song_works(
    open_page: Any, bundled_stylizer: Any, encode: Any, error: Exception, line: str
) -> None:
    slow = Slow(bundled_stylizer, error)
    slow.go.set()
    with open_page(slow) as visitor:
        song = visitor.add(encode(0.3))
        reply = visitor.wait(visitor.start(song))
        assert (reply["state"], reply["error"]) == ("failed", line)
        slow.error = None
        assert visitor.wait(visitor.start(song))["state"] == "done"


def test_work_has_a_time_limit(open_page: Any, encode: Any) -> None:
    with open_page(job_seconds=0.0) as visitor:
        reply = visitor.wait(visitor.start(visitor.add(encode(0.3))))
        assert reply["state"] == "failed"
        assert "longer than 0 s and was given up" in reply["error"]


def test_a_silent_example_is_refused_by_name(open_page: Any, encode: Any) -> None:
    silence = io.BytesIO()
    soundfile.write(silence, np.zeros(RATE), RATE, format="WAV")
    with open_page() as visitor:
        like = visitor.add(silence.getvalue(), "quiet.wav")
        reply = visitor.wait(visitor.start(visitor.add(encode(0.3)), like=like))
        assert reply["error"].startswith("quiet.wav is silent")


def test_what_is_kept_has_an_end(open_page: Any, encode: Any) -> None:
    with open_page(max_entries=2) as visitor:
        visitor.add(encode(0.1))
        visitor.add(encode(0.1))
        visitor.refused(visitor.send(encode(0.1)), 503, "try again in some minutes")
    with open_page(max_stored_bytes=1000) as visitor:
        song = visitor.add(encode(0.1))
        visitor.refused(visitor.order(song), 503, "try again in some minutes")
    with open_page(min_free_bytes=10**18) as visitor:
        visitor.refused(visitor.send(encode(0.1)), 503, "try again in some minutes")


def test_a_disk_that_cannot_be_written_to(open_page: Any, encode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "/tmp/secret")

    with open_page() as visitor:
        with monkeypatch.context() as broken:
            broken.setattr("stylize.web.server.receive_file", fail)
            visitor.refused(visitor.send(encode(0.1)), 503, "cannot write at the moment")
        assert list(visitor.store.root.iterdir()) == []
        assert visitor.send(encode(0.1)).status_code == 201


def test_files_of_a_run_that_was_killed_are_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import time; from stylize.web.limits import Limits; from stylize.web.store import Store; "
        "run = Store(Limits()); print(run.root, flush=True); time.sleep(60)"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ | {"TMPDIR": str(tmp_path)}, text=True
        )
        for _ in range(2)
    ]
    try:
        folders = [Path(run.stdout.readline().strip()) for run in runs if run.stdout is not None]
        for folder in folders:
            assert folder.parent.stat().st_mode & 0o077 == 0
            (folder / "song").write_bytes(b"RIFF")
        foreign = tmp_path / "stylize-web-notes"  # somebody's own folder with such a name
        foreign.mkdir()
        runs[0].kill()
        runs[0].wait()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        remove_abandoned()
        assert sorted(tmp_path.iterdir()) == sorted([folders[1].parent, foreign])
        assert (folders[1] / "song").is_file()
    finally:
        for run in runs:
            run.kill()
            run.communicate()
