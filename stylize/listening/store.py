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
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from starlette.exceptions import HTTPException

from stylize.listening.trial import MAX_LISTENERS
from stylize_core.errors import UserError

CHOICE = "choice"
"""Slot of the answer to a paired comparison; ratings have the id of their stimulus."""
MAX_CHANGES = 20000
"""A listener cannot log more, so that none can fill the disk."""
SCHEMA_VERSION = 1
_TOGETHER = 200  # writes in one transaction
_COLUMNS = "listener, screen, slot, stimulus, value, sequence"
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS listeners (
        number INTEGER PRIMARY KEY, token_hash BLOB NOT NULL UNIQUE, place INTEGER NOT NULL DEFAULT 0,
        began REAL NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS answers (
        listener INTEGER NOT NULL REFERENCES listeners (number), screen TEXT NOT NULL, slot TEXT NOT NULL,
        stimulus TEXT NOT NULL, value INTEGER NOT NULL, sequence INTEGER NOT NULL, received REAL NOT NULL,
        PRIMARY KEY (listener, screen, slot)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS log (
        entry INTEGER PRIMARY KEY AUTOINCREMENT, listener INTEGER NOT NULL, screen TEXT NOT NULL, slot TEXT NOT NULL,
        stimulus TEXT NOT NULL, value INTEGER NOT NULL, sequence INTEGER NOT NULL, received REAL NOT NULL,
        UNIQUE (listener, screen, slot, stimulus, value, sequence)
    )""",
    "CREATE TRIGGER IF NOT EXISTS log_is_never_changed BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'log'); END",
    "CREATE TRIGGER IF NOT EXISTS log_is_never_cut BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'log'); END",
)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer:
    """Answer of a listener."""

    listener: int  # number of the listener
    screen: str  # id of the screen
    slot: str  # id of the stimulus that was rated, or `choice`
    stimulus: str  # id of the stimulus that was rated or chosen
    value: int  # 0 to 100; 1 for a choice
    sequence: int  # grows with every change that a listener makes; the answer with the highest one counts


@dataclass(frozen=True)
class Listener:
    """Who takes the test, by number from 1, and how far the listener has come."""

    number: int
    place: int


def hash_token(token: str) -> bytes:
    """What is kept of a token: whoever reads the file cannot pose as a listener."""
    return hashlib.sha256(token.encode()).digest()


class Store:
    """The answers to one trial; a context manager, to be used from any thread."""

    def __init__(self, path: Path, trial: str, max_listeners: int = MAX_LISTENERS) -> None:
        self.path, self.max_listeners = path, max_listeners
        self._writes: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        try:
            self._connection, self._reader = _open(path), _open(path)
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                self._claim(trial)
        except sqlite3.Error as error:
            raise UserError(f"{path} cannot be used ({error}); choose another file with --answers") from None
        self._reading = threading.Lock()
        self._thread = threading.Thread(target=self._write_all, name="answers", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is waiting, and close the file."""
        self._writes.put(None)
        self._thread.join()
        self._connection.close()
        self._reader.close()

    def _claim(self, trial: str) -> None:
        """Make the tables of a new file; check that an old one is this trial's."""
        for statement in _SCHEMA:
            self._connection.execute(statement)
        for name, value in (("trial", trial), ("schema", str(SCHEMA_VERSION))):
            self._connection.execute("INSERT OR IGNORE INTO about VALUES (?, ?)", (name, value))
            (found,) = self._connection.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
            if found != value:
                raise UserError(f"{self.path} holds answers to another trial; choose another file with --answers")

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Do some work inside a transaction of the writing thread; done when the transaction is on the disk."""
        future: Future[Result] = Future()
        self._writes.put((work, future))
        return future

    def _write_all(self) -> None:
        """The writing thread: everything that waits goes into one transaction."""
        ended = False
        while not ended:
            batch = [self._writes.get()]
            while len(batch) < _TOGETHER and not self._writes.empty():
                batch.append(self._writes.get())
            ended = None in batch
            self._write([item for item in batch if item is not None])

    def _write(self, batch: list[tuple[Callable[[], Any], Future[Any]]]) -> None:
        outcomes: list[Any] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                for work, _ in batch:
                    try:
                        outcomes.append(work())
                    except HTTPException as refusal:  # raised before anything is written
                        outcomes.append(refusal)
        except BaseException as error:
            outcomes = [error] * len(batch)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def add_listener(self) -> Future[str]:
        """A new listener, if there are not too many; the token is the only way to come back as the same one."""

        def work() -> str:
            (count,) = self._connection.execute("SELECT COUNT(*) FROM listeners").fetchone()
            if count >= self.max_listeners:
                raise HTTPException(429, f"no more than {self.max_listeners} listeners are taken")
            token = secrets.token_urlsafe(24)
            self._connection.execute(
                "INSERT INTO listeners (token_hash, began) VALUES (?, ?)", (hash_token(token), time.time())
            )
            return token

        return self.submit(work)

    def save(self, answer: Answer) -> Future[None]:
        """Keep an answer; saving the same one again changes nothing, an older one does not replace a newer one."""

        def work() -> None:
            (count,) = self._connection.execute(
                "SELECT COUNT(*) FROM log WHERE listener = ?", (answer.listener,)
            ).fetchone()
            if count >= MAX_CHANGES:
                raise HTTPException(429, f"no more than {MAX_CHANGES} changes are taken from one listener")
            values = (*astuple(answer), time.time())
            self._connection.execute(
                f"INSERT OR IGNORE INTO log ({_COLUMNS}, received) VALUES (?, ?, ?, ?, ?, ?, ?)", values
            )
            self._connection.execute(
                f"INSERT INTO answers ({_COLUMNS}, received) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET stimulus = excluded.stimulus, value = excluded.value,"
                " sequence = excluded.sequence, received = excluded.received"
                " WHERE excluded.sequence > answers.sequence",
                values,
            )

        return self.submit(work)

    def set_place(self, listener: int, place: int) -> Future[Any]:
        """Remember how far a listener has come."""
        statement = "UPDATE listeners SET place = ? WHERE number = ?"
        return self.submit(lambda: self._connection.execute(statement, (place, listener)))

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
            return _select_answers(self._reader, "WHERE listener = ?", listener)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def _select_answers(connection: sqlite3.Connection, where: str = "", *values: int) -> list[Answer]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM answers {where} ORDER BY listener, screen, slot", values)
    return [Answer(*row) for row in rows]


def read_answers(path: Path, trial: str | None = None) -> list[Answer]:
    """All answers that count, while the server may be running; of the trial with that id, or of any."""
    if not path.is_file():
        raise UserError(f"no answers yet: {path} is not there; `stylize listen run TRIAL` makes it")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as reader:
            (found,) = reader.execute("SELECT value FROM about WHERE name = 'trial'").fetchone() or (trial,)
            if trial not in (None, found):
                raise UserError(f"{path} belongs to another trial; choose another file with --answers")
            return _select_answers(reader)
    except sqlite3.Error as error:
        raise UserError(f"{path} cannot be read ({error}); it is made by `stylize listen run TRIAL`") from None
