"""Answers on disk: idempotent, newest first, logged, never lost when the server is killed."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.exceptions import HTTPException

from studies.listening_load import Client, running_server
from stylize.listening import store as store_module
from stylize.listening.store import Answer, Store, read_answers
from stylize_core.errors import UserError

TRIAL = "0123"


def answer(value: int, sequence: int, listener: int = 1, slot: str = "x") -> Answer:
    return Answer(listener, "screen", slot, slot, value, sequence)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "answers.sqlite3", TRIAL) as made:
        made.add_listener().result()
        made.add_listener().result()
        yield made


def log_of(path: Path) -> list[tuple[int, int]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT value, sequence FROM log ORDER BY entry").fetchall()


def test_the_newest_answer_counts_in_whatever_order_they_come(store: Store) -> None:
    for value, sequence in ((10, 1), (30, 3), (30, 3), (20, 2)):
        store.save(answer(value, sequence)).result()
    assert [each.value for each in store.answers_of(1)] == [30]
    assert store.answers_of(2) == []
    # Every change is logged once, an answer that was sent twice is not.
    assert log_of(store.path) == [(10, 1), (30, 3), (20, 2)]


def test_the_log_cannot_be_changed(store: Store) -> None:
    store.save(answer(10, 1)).result()
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        for statement in ("UPDATE log SET value = 99", "DELETE FROM log"):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(statement)


def test_an_acknowledged_answer_is_on_disk_with_full_synchronization(store: Store) -> None:
    store.save(answer(42, 1)).result()
    assert [each.value for each in read_answers(store.path)] == [42]
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_tokens_are_found_and_not_kept(store: Store) -> None:
    token = store.add_listener().result()
    listener = store.find_listener(token)
    assert listener is not None and listener.number == 3
    assert store.find_listener(token[:-1] + "!") is None
    store.set_place(3, 7).result()
    assert store.find_listener(token) == store_module.Listener(3, 7)
    files = list(store.path.parent.glob("answers.sqlite3*"))
    assert len(files) == 3  # with the write-ahead log and its index
    assert not any(token.encode() in path.read_bytes() for path in files)


def test_a_store_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite3"
    with Store(path, TRIAL) as first:
        token = first.add_listener().result()
        first.save(answer(5, 1)).result()
    with Store(path, TRIAL) as again:
        assert again.find_listener(token) is not None
        assert [each.value for each in again.answers_of(1)] == [5]
    with pytest.raises(UserError, match="holds answers to another trial"):
        Store(path, "4567")


def test_files_that_are_no_answers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, but more than a hundred bytes of text " * 10)
    for call in (lambda: Store(tmp_path / "text", TRIAL), lambda: read_answers(tmp_path / "text")):
        with pytest.raises(UserError, match="text"):
            call()
    with pytest.raises(UserError, match="cannot be used"):
        Store(tmp_path / "no" / "folder", TRIAL)
    with pytest.raises(UserError, match="no answers yet"):
        read_answers(tmp_path / "nothing")


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_CHANGES", 2)
    with Store(tmp_path / "answers.sqlite3", TRIAL, max_listeners=1) as store:
        store.add_listener().result()
        with pytest.raises(HTTPException, match="no more than 1 listeners"):
            store.add_listener().result()
        store.save(answer(1, 1)).result()
        store.save(answer(2, 2)).result()
        with pytest.raises(HTTPException, match="no more than 2 changes"):
            store.save(answer(3, 3)).result()
        assert [each.value for each in store.answers_of(1)] == [2]


def test_a_failing_write_fails_its_batch_alone(store: Store) -> None:
    def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(sqlite3.OperationalError):
        store.submit(fail).result()
    store.save(answer(7, 1)).result()
    assert [each.value for each in store.answers_of(1)] == [7]


def test_many_threads_lose_nothing(store: Store) -> None:
    def write(start: int) -> None:
        for number in range(50):
            store.save(answer(number, number, slot=f"{start}-{number}")).result()

    threads = [threading.Thread(target=write, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.answers_of(1)) == 400


class Submitter(threading.Thread):
    """A listener who answers until told to stop, and notes what was acknowledged."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.client = Client(port)
        self.session = self.client.begin()
        self.acknowledged: list[tuple[str, str, int, int]] = []

    def run(self) -> None:
        sounds = [(screen["id"], each["id"]) for screen in self.session["screens"] for each in screen["stimuli"]]
        with contextlib.suppress(OSError, Exception):
            for sequence in range(1, 10**6):
                screen, stimulus = sounds[sequence % len(sounds)]
                value = (sequence * 37) % 101
                body = {"screen": screen, "stimulus": stimulus, "value": value, "sequence": sequence}
                assert self.client.request("/api/answers", body) == {"saved": True}
                self.acknowledged.append((screen, stimulus, value, sequence))


def test_nothing_is_acknowledged_before_it_is_written(trial_folder: Path, tmp_path: Path) -> None:
    """While somebody else holds the file, an answer waits; a server that said so first could lose it."""
    answers = tmp_path / "answers.sqlite3"
    with running_server(trial_folder, answers) as (_, port):
        client = Client(port)
        screen = client.begin()["screens"][0]
        body = {"screen": screen["id"], "stimulus": screen["stimuli"][0]["id"], "value": 5, "sequence": 1}
        for path, sent in (("/api/answers", body), ("/api/place", {"place": 4})):
            with contextlib.closing(sqlite3.connect(answers, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                request = threading.Thread(target=client.request, args=(path, sent), daemon=True)
                request.start()
                request.join(timeout=0.5)
                assert request.is_alive()
                other.execute("ROLLBACK")
            request.join(timeout=30)
            assert not request.is_alive()
        assert client.request("/api/session")["place"] == 4
    assert [each.value for each in read_answers(answers)] == [5]


def test_kill_9_loses_no_acknowledged_answer(trial_folder: Path, tmp_path: Path) -> None:
    """The server is killed at random moments until a hundred submissions were acknowledged."""
    answers = tmp_path / "answers.sqlite3"
    chance = random.Random(0)
    acknowledged: list[tuple[str, str, int, int]] = []
    while len(acknowledged) < 100:
        with running_server(trial_folder, answers) as (process, port):
            crowd = [Submitter(port) for _ in range(3)]
            for listener in crowd:
                listener.start()
            wanted = chance.randint(5, 40)
            while sum(len(listener.acknowledged) for listener in crowd) < wanted:
                time.sleep(0.0005)
            process.kill()
            for listener in crowd:
                listener.join(timeout=30)
        acknowledged += [each for listener in crowd for each in listener.acknowledged]
    with contextlib.closing(sqlite3.connect(answers)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        log = connection.execute("SELECT screen, stimulus, value, sequence FROM log").fetchall()
    for each in acknowledged:
        log.remove(each)  # as often as it was acknowledged, by one listener or another
