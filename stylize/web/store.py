"""The songs and jobs that are on the server: each with an id that cannot be guessed and a folder of its own.

All folders lie in one temporary folder that only this user can read. It is removed when the server ends, and by the
next server where a kill left it: a lock in it is held for as long as its process lives, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from starlette.exceptions import HTTPException

from stylize.progress import Clock, Course, Pace
from stylize.web.limits import Limits
from stylize.web.requests import StyleRequest, new_id
from stylize.web.songs import PLAYABLE_NAME
from stylize_core.audio.reader import AudioInfo

PREFIX = "stylize-web-"
_LOCK_NAME = "lock"


@dataclass(kw_only=True)
class Entry:
    """What is kept; for everybody but its visitor it is not there."""

    id: str
    visitor: str
    folder: Path  # of its files, and of nothing else
    touched: float  # when it was last asked for
    stored_bytes: int = 0


@dataclass(kw_only=True)
class Song(Entry):
    """A song that was uploaded and checked."""

    name: str
    info: AudioInfo  # with the number of samples really there

    @property
    def playable(self) -> Path:
        """The same as FLAC."""
        return self.folder / PLAYABLE_NAME


class State(StrEnum):
    """State of a job."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


@dataclass(kw_only=True)
class Job(Entry):
    """A song to be stylized."""

    request: StyleRequest
    song: Song
    like: Song | None  # the example of the style
    state: State = State.WAITING
    course: Course | None = None  # of the work, once it has begun
    notes: tuple[str, ...] = ()  # what its owner should know about the result
    error: str | None = None
    stop: threading.Event = field(default_factory=threading.Event)  # set when nobody wants it any more

    @property
    def is_open(self) -> bool:
        """Whether work on it is still to be done."""
        return self.state in (State.WAITING, State.WORKING)

    @property
    def progress(self) -> float:
        """The share of the work that is done."""
        if self.state is State.DONE:
            return 1.0
        return self.course.progress if self.course is not None else 0.0


Kept = TypeVar("Kept", bound=Entry)


class Store:
    """Keeps songs and jobs within limits, all files below `root`; `pace` is what work on a song costs."""

    def __init__(self, limits: Limits, clock: Clock = time.monotonic) -> None:
        self.limits, self._clock = limits, clock
        remove_abandoned()
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.root = self._folder / "files"
        self.root.mkdir()
        self._file_lock = (self._folder / "unready").open("xb")
        fcntl.flock(self._file_lock, fcntl.LOCK_EX)
        (self._folder / "unready").rename(self._folder / _LOCK_NAME)  # a lock that can be found is held
        self._songs: dict[str, Song] = {}
        self._jobs: dict[str, Job] = {}  # in the order in which they came
        self._lock = threading.RLock()
        self.pace = Pace()

    def check_room(self) -> None:
        """Refuse what is new when too much is here."""
        with self._lock:
            entries: list[Entry] = [*self._songs.values(), *self._jobs.values()]
            stored = sum(entry.stored_bytes for entry in entries)
        is_full = len(entries) >= self.limits.max_entries or stored >= self.limits.max_stored_bytes
        if is_full or shutil.disk_usage(self.root).free < self.limits.min_free_bytes:
            raise HTTPException(503, "the server keeps as many songs as it can; try again in some minutes")

    def new_folder(self) -> Path:
        """An empty folder for the files of an entry."""
        return Path(tempfile.mkdtemp(dir=self.root))

    def add_song(self, visitor: str, folder: Path, name: str, info: AudioInfo) -> Song:
        """Keep a song, whose files are in its folder already."""
        song = Song(
            id=new_id(), visitor=visitor, folder=folder, touched=self._clock(), stored_bytes=_size(folder),
            name=name, info=info,
        )  # fmt: skip
        with self._lock:
            self._songs[song.id] = song
        return song

    def add_job(self, visitor: str, request: StyleRequest) -> Job:
        """Keep a job, which waits from now on."""
        with self._lock:
            song = self.song(visitor, request.song)
            like = None if request.like is None else self.song(visitor, request.like)
            waiting = [job for job in self._jobs.values() if job.is_open]
            if sum(job.visitor == visitor for job in waiting) >= self.limits.max_waiting_each:
                raise HTTPException(503, f"{self.limits.max_waiting_each} songs of yours are waiting; let one end")
            if len(waiting) > self.limits.max_waiting:
                raise HTTPException(503, f"{self.limits.max_waiting} songs are waiting already; try again in a minute")
            job = Job(
                id=new_id(), visitor=visitor, folder=self.new_folder(), touched=self._clock(),
                request=request, song=song, like=like,
            )  # fmt: skip
            self._jobs[job.id] = job
            return job

    def song(self, visitor: str, identity: str) -> Song:
        """The visitor's song of that id."""
        return self._find(self._songs, visitor, identity, "the song is not here any more; choose it again")

    def job(self, visitor: str, identity: str) -> Job:
        """The visitor's job of that id; its song counts as asked for, too."""
        job = self._find(self._jobs, visitor, identity, "this result is not here any more; make it again")
        job.song.touched = job.touched
        return job

    def _find(self, entries: Mapping[str, Kept], visitor: str, identity: str, missing: str) -> Kept:
        with self._lock:
            entry = entries.get(identity)
            if entry is None or entry.visitor != visitor:
                raise HTTPException(404, missing)
            entry.touched = self._clock()
            return entry

    def entries(self, visitor: str) -> tuple[list[Song], list[Job]]:
        """What is here of a visitor, in the order in which it came; it counts as asked for."""
        with self._lock:
            songs = [song for song in self._songs.values() if song.visitor == visitor]
            jobs = [job for job in self._jobs.values() if job.visitor == visitor]
            for entry in (*songs, *jobs):
                entry.touched = self._clock()
            return songs, jobs

    def begin(self, job: Job) -> None:
        """Work on a job starts."""
        with self._lock:
            job.course = Course(self.pace.expect(job.song.info.seconds))
            job.state = State.WORKING

    def finish(self, job: Job, error: str | None) -> None:
        """Work on a job has ended, well or with one line about why not."""
        with self._lock:
            job.error, job.touched = error, self._clock()
            if job.stop.is_set() or error is not None:
                shutil.rmtree(job.folder, ignore_errors=True)
            elif job.course is not None:
                self.pace.learn(job.song.info.seconds, job.course.elapsed)
            job.stored_bytes = _size(job.folder)
            job.state = State.DONE if error is None else State.FAILED

    def ahead_of(self, job: Job) -> int:
        """How many jobs come before one."""
        return max(0, len(self._up_to(job)) - 1)

    def seconds_left(self, job: Job) -> float:
        """The expected time until a job and all before it are done."""
        return sum(
            self.pace.expect(each.song.info.seconds) if each.course is None else each.course.left
            for each in self._up_to(job)
        )

    def _up_to(self, job: Job) -> list[Job]:
        """The open jobs up to one; none where that has ended."""
        with self._lock:
            waiting = [each for each in self._jobs.values() if each.is_open]
            return waiting[: waiting.index(job) + 1] if job in waiting else []

    def remove_song(self, visitor: str, identity: str) -> None:
        """Remove a song and everything made of it."""
        with self._lock:
            song = self.song(visitor, identity)
            self._drop([song, *(job for job in self._jobs.values() if song in (job.song, job.like))])

    def remove_job(self, visitor: str, identity: str) -> None:
        """Stop a job, or remove its result."""
        with self._lock:
            self._drop([self.job(visitor, identity)])

    def remove_all(self, visitor: str) -> None:
        """Remove everything of a visitor."""
        with self._lock:
            songs, jobs = self.entries(visitor)
            self._drop([*jobs, *songs])

    def remove_old(self) -> None:
        """Remove what nobody has asked for in a long time. A job that nobody asks for is stopped, too."""
        with self._lock:
            before = self._clock() - self.limits.keep_seconds
            self._drop([job for job in self._jobs.values() if job.touched < before])
            used = [song for job in self._jobs.values() for song in (job.song, job.like)]
            self._drop([song for song in self._songs.values() if song.touched < before and song not in used])

    def _drop(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if isinstance(entry, Job):
                entry.stop.set()
            self._songs.pop(entry.id, None)
            self._jobs.pop(entry.id, None)
            shutil.rmtree(entry.folder, ignore_errors=True)

    def stop(self) -> None:
        """Ask all work to end."""
        with self._lock:
            for job in self._jobs.values():
                job.stop.set()

    def close(self) -> None:
        """Remove every file; can be called twice."""
        self.stop()
        with self._lock:
            self._songs.clear()
            self._jobs.clear()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._file_lock.close()


def _size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0


def remove_abandoned() -> None:
    """Remove this user's folders of servers that no longer run."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            with (path / _LOCK_NAME).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except OSError:  # in use, or not one of ours
            continue
