"""Answers on disk: SQLite in which every acknowledged answer survives a crash of program or machine.

One row for the last answer to everything asked, and a log to which every change is added and nothing is taken from.
All writes go through one thread, which commits at once what has come in meanwhile: an answer is acknowledged after its
commit has reached the disk (journal mode WAL, synchronous FULL), and fifty listeners wait for one `fsync`, not fifty.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from data.errors import UserError

CHOICE = "choice"
"""Slot of the answer to a paired comparison; ratings have the id of their stimulus."""
MOST_CHANGES = 20000
"""A listener cannot log more, so that none can fill the disk."""
SCHEMA_VERSION = 1
_TOGETHER = 200  # writes in one transaction
_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS listeners (
    number INTEGER PRIMARY KEY,
    token_hash BLOB NOT NULL UNIQUE,
    place INTEGER NOT NULL DEFAULT 0,
    began REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS answers (
    listener INTEGER NOT NULL REFERENCES listeners (number),
    screen TEXT NOT NULL,
    slot TEXT NOT NULL,
    stimulus TEXT NOT NULL,
    value INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    received REAL NOT NULL,
    PRIMARY KEY (listener, screen, slot)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (
    entry INTEGER PRIMARY KEY AUTOINCREMENT,
    listener INTEGER NOT NULL,
    screen TEXT NOT NULL,
    slot TEXT NOT NULL,
    stimulus TEXT NOT NULL,
    value INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    received REAL NOT NULL,
    UNIQUE (listener, screen, slot, stimulus, value, sequence)
);
CREATE TRIGGER IF NOT EXISTS log_is_never_changed BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'log'); END;
CREATE TRIGGER IF NOT EXISTS log_is_never_cut BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'log'); END;
"""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer:
    """What a listener said.

    Args:
        listener: number of the listener.
        screen: id of the screen.
        slot: id of the stimulus that was rated, or `choice`.
        stimulus: id of the stimulus that was rated or chosen.
        value: 0 to 100; 1 for a choice.
        sequence: grows with every change that a listener makes; the answer with the highest one counts.
    """

    listener: int
    screen: str
    slot: str
    stimulus: str
    value: int
    sequence: int


@dataclass(frozen=True)
class Listener:
    """Who takes the test.

    Args:
        number: from 1.
        place: how far the listener has come.
    """

    number: int
    place: int


class TooManyError(Exception):
    """No more listeners, or no more changes of one, are taken."""


def hash_token(token: str) -> bytes:
    """What is kept of a token: whoever reads the file cannot pose as a listener."""
    return hashlib.sha256(token.encode()).digest()


class Store:
    """The answers to one trial; a context manager, to be used from any thread.

    Args:
        path: the file; made where it does not exist.
        trial: id of the trial.
        most_listeners: no more are taken.

    Raises:
        UserError: the file cannot be used, or belongs to another trial.
    """

    def __init__(self, path: Path, trial: str, most_listeners: int = 10000) -> None:
        self.path, self.most_listeners = path, most_listeners
        self._writes: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._connection = _open(path)
        try:
            with _transaction(self._connection):
                self._claim(trial)
        except sqlite3.Error as error:
            raise UserError(f"{path} cannot be written ({error}); choose another file with --answers") from None
        self._reader = _open(path)
        self._reading = threading.Lock()
        self._thread = threading.Thread(target=self._write_all, name="answers", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what is waiting, and close the file."""
        self._writes.put(None)
        self._thread.join()
        self._connection.close()
        self._reader.close()

    def _claim(self, trial: str) -> None:
        """Make the tables of a new file; see that an old one is this trial's."""
        for statement in _split(_SCHEMA):
            self._connection.execute(statement)
        for name, value in (("trial", trial), ("schema", str(SCHEMA_VERSION))):
            self._connection.execute("INSERT OR IGNORE INTO about VALUES (?, ?)", (name, value))
            (found,) = self._connection.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
            if found != value:
                raise UserError(f"{self.path} holds answers to another trial; choose another file with --answers")

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Do some work inside a transaction of the writing thread.

        Returns:
            done when the transaction is on the disk.
        """
        future: Future[Result] = Future()
        self._writes.put((work, future))
        return future

    def _write_all(self) -> None:
        """The writing thread: everything that waits goes into one transaction."""
        while (first := self._writes.get()) is not None:
            batch = [first]
            ended = False
            while len(batch) < _TOGETHER and not self._writes.empty():
                following = self._writes.get()
                if following is None:
                    ended = True
                    break
                batch.append(following)
            self._write(batch)
            if ended:
                return

    def _write(self, batch: list[tuple[Callable[[], Any], Future[Any]]]) -> None:
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with _transaction(self._connection):
                for work, future in batch:
                    try:
                        outcomes.append((future, work(), None))
                    except TooManyError as error:  # raised before anything is written
                        outcomes.append((future, None, error))
        except BaseException as error:
            outcomes = [(future, None, error) for _, future in batch]
        for future, result, failure in outcomes:
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)

    def add_listener(self) -> Future[str]:
        """A new listener; the token is the only way to come back as the same one.

        Raises:
            TooManyError: from the result, when there are too many.
        """

        def work() -> str:
            (count,) = self._connection.execute("SELECT COUNT(*) FROM listeners").fetchone()
            if count >= self.most_listeners:
                raise TooManyError(f"no more than {self.most_listeners} listeners are taken")
            token = secrets.token_urlsafe(24)
            self._connection.execute(
                "INSERT INTO listeners (token_hash, began) VALUES (?, ?)", (hash_token(token), time.time())
            )
            return token

        return self.submit(work)

    def save(self, answer: Answer) -> Future[None]:
        """Keep an answer; saving the same one again changes nothing, an older one does not replace a newer one.

        Raises:
            TooManyError: from the result, when the listener has made too many changes.
        """

        def work() -> None:
            (count,) = self._connection.execute(
                "SELECT COUNT(*) FROM log WHERE listener = ?", (answer.listener,)
            ).fetchone()
            if count >= MOST_CHANGES:
                raise TooManyError(f"no more than {MOST_CHANGES} changes are taken from one listener")
            values = (
                answer.listener,
                answer.screen,
                answer.slot,
                answer.stimulus,
                answer.value,
                answer.sequence,
                time.time(),
            )
            self._connection.execute(
                "INSERT OR IGNORE INTO log (listener, screen, slot, stimulus, value, sequence, received)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            self._connection.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET stimulus = excluded.stimulus, value = excluded.value,"
                " sequence = excluded.sequence, received = excluded.received"
                " WHERE excluded.sequence > answers.sequence",
                values,
            )

        return self.submit(work)

    def set_place(self, listener: int, place: int) -> Future[None]:
        """Remember how far a listener has come."""

        def work() -> None:
            self._connection.execute("UPDATE listeners SET place = ? WHERE number = ?", (place, listener))

        return self.submit(work)

    def find_listener(self, token: str) -> Listener | None:
        """Who has this token; None for nobody."""
        with self._reading:
            row = self._reader.execute(
                "SELECT number, place FROM listeners WHERE token_hash = ?", (hash_token(token),)
            ).fetchone()
        return None if row is None else Listener(*row)

    def answers_of(self, listener: int) -> list[Answer]:
        """The answers of one listener that count."""
        with self._reading:
            return _read_answers(self._reader, "WHERE listener = ?", (listener,))


def read_answers(path: Path) -> list[Answer]:
    """All answers that count, while the server may be running.

    Raises:
        UserError: no such file, or none of ours.
    """
    if not path.is_file():
        raise UserError(f"no answers yet: {path} is not there; `stylize listen run TRIAL` makes it")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as reader:
            return _read_answers(reader)
    except sqlite3.Error as error:
        raise UserError(f"{path} cannot be read ({error}); it is made by `stylize listen run TRIAL`") from None


def trial_of(path: Path) -> str | None:
    """The id of the trial that answers belong to; None where the file does not say."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as reader,
    ):
        row = reader.execute("SELECT value FROM about WHERE name = 'trial'").fetchone()
        return None if row is None else str(row[0])
    return None


def _read_answers(connection: sqlite3.Connection, where: str = "", values: tuple[int, ...] = ()) -> list[Answer]:
    rows = connection.execute(
        "SELECT listener, screen, slot, stimulus, value, sequence FROM answers "
        f"{where} ORDER BY listener, screen, slot",
        values,
    )
    return [Answer(*row) for row in rows]


def _open(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as error:
        raise UserError(f"{path} cannot be used for answers ({error}); choose another file with --answers") from None
    return connection


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _split(script: str) -> list[str]:
    """The statements of a script; those of a trigger belong to it."""
    statements, pending = [], ""
    for part in script.split(";"):
        pending += part + ";"
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
