"""The songs and jobs that are here: each with an id that cannot be guessed and a folder of its own."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from stylize.json_requests import RefusedError
from stylize.web.limits import Limits
from stylize.web.pace import Clock, Course, Pace
from stylize.web.requests import StyleRequest, new_identity
from stylize.web.songs import CheckedSong
from stylize.web.temporary import RunFolder


@dataclass(kw_only=True)
class Entry:
    """What is kept.

    Args:
        id: unguessable.
        visitor: whose it is; for everybody else it is not there.
        folder: of its files, and of nothing else.
        touched: when it was last asked for.
    """

    id: str
    visitor: str
    folder: Path
    touched: float
    stored_bytes: int = 0


@dataclass(kw_only=True)
class Song(Entry):
    """A song that was sent and found good."""

    name: str
    checked: CheckedSong


class State(StrEnum):
    """What has become of a job."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


@dataclass(kw_only=True)
class Job(Entry):
    """A song to be stylized.

    Args:
        request: what was asked for.
        song: what is stylized.
        like: the example of the style, if there is one.
        course: of the work, once it has begun.
        notes: what its owner should know about the result, sentences.
        stop: set when nobody wants it any more.
    """

    request: StyleRequest
    song: Song
    like: Song | None
    state: State = State.WAITING
    course: Course | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None
    stop: threading.Event = field(default_factory=threading.Event)

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


class Shelf:
    """Keeps songs and jobs in one temporary folder, which nobody else on this machine can read.

    Args:
        limits: how much is kept, and for how long.
        clock: seconds that only ever grow.

    Attributes:
        root: folder of all files.
        pace: what work on a song costs.
    """

    def __init__(self, limits: Limits, clock: Clock = time.monotonic) -> None:
        self.limits, self._clock = limits, clock
        self._run = RunFolder()
        self.root = self._run.files
        self._songs: dict[str, Song] = {}
        self._jobs: dict[str, Job] = {}  # in the order in which they came
        self._lock = threading.RLock()
        self.pace = Pace()

    def check_room(self) -> None:
        """Refuse what is new when too much is here.

        Raises:
            RefusedError: full.
        """
        with self._lock:
            entries: list[Entry] = [*self._songs.values(), *self._jobs.values()]
            stored = sum(entry.stored_bytes for entry in entries)
        is_full = len(entries) >= self.limits.most_entries or stored >= self.limits.most_stored_bytes
        if is_full or shutil.disk_usage(self.root).free < self.limits.least_free_bytes:
            raise RefusedError(503, "the server keeps as many songs as it can; try again in some minutes")

    def new_folder(self) -> tuple[str, Path]:
        """An id and an empty folder for it."""
        return new_identity(), Path(tempfile.mkdtemp(dir=self.root))

    def add_song(self, visitor: str, identity: str, folder: Path, name: str, checked: CheckedSong) -> Song:
        """Keep a song, whose files are in its folder already."""
        song = Song(
            id=identity,
            visitor=visitor,
            folder=folder,
            touched=self._clock(),
            stored_bytes=_size(folder),
            name=name,
            checked=checked,
        )
        with self._lock:
            self._songs[identity] = song
        return song

    def add_job(self, visitor: str, request: StyleRequest) -> Job:
        """Keep a job, which waits from now on.

        Raises:
            RefusedError: its songs are not here, or too many jobs wait.
        """
        with self._lock:
            song = self.song(visitor, request.song)
            like = None if request.like is None else self.song(visitor, request.like)
            waiting = [job for job in self._jobs.values() if job.is_open]
            if sum(job.visitor == visitor for job in waiting) >= self.limits.most_waiting_each:
                raise RefusedError(503, f"{self.limits.most_waiting_each} songs of yours are waiting; let one end")
            if len(waiting) > self.limits.most_waiting:
                raise RefusedError(503, f"{self.limits.most_waiting} songs are waiting already; try again in a minute")
            identity, folder = self.new_folder()
            job = Job(
                id=identity,
                visitor=visitor,
                folder=folder,
                touched=self._clock(),
                request=request,
                song=song,
                like=like,
            )
            self._jobs[identity] = job
            return job

    def song(self, visitor: str, identity: str) -> Song:
        """The visitor's song of that id.

        Raises:
            RefusedError: it is not here.
        """
        with self._lock:
            song = self._songs.get(identity)
            if song is None or song.visitor != visitor:
                raise RefusedError(404, "the song is not here any more; choose it again")
            song.touched = self._clock()
            return song

    def job(self, visitor: str, identity: str) -> Job:
        """The visitor's job of that id.

        Raises:
            RefusedError: it is not here.
        """
        with self._lock:
            job = self._jobs.get(identity)
            if job is None or job.visitor != visitor:
                raise RefusedError(404, "this result is not here any more; make it again")
            job.touched = job.song.touched = self._clock()
            return job

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
            job.course = Course(self.pace.expect(job.song.checked.info.seconds))
            job.state = State.WORKING

    def finish(self, job: Job, error: str | None) -> None:
        """Work on a job has ended, well or with one line about why not."""
        with self._lock:
            job.error, job.touched = error, self._clock()
            job.stored_bytes = _size(job.folder)
            if error is None and job.course is not None:
                self.pace.learn(job.song.checked.info.seconds, job.course.elapsed)
            job.state = State.DONE if error is None else State.FAILED
            if job.stop.is_set() or error is not None:
                shutil.rmtree(job.folder, ignore_errors=True)
                job.stored_bytes = 0

    def ahead_of(self, job: Job) -> int:
        """How many jobs come before one."""
        with self._lock:
            return len(self._before(job))

    def seconds_left(self, job: Job) -> float:
        """How long it takes, as far as one can tell, until a job and all before it are done."""
        with self._lock:
            return sum(self._left(each) for each in (*self._before(job), job) if each.is_open)

    def _before(self, job: Job) -> list[Job]:
        """Jobs that are worked on before one; none where that has ended."""
        waiting = [each for each in self._jobs.values() if each.is_open]
        return waiting[: waiting.index(job)] if job in waiting else []

    def _left(self, job: Job) -> float:
        return self.pace.expect(job.song.checked.info.seconds) if job.course is None else job.course.left

    def remove_song(self, visitor: str, identity: str) -> None:
        """Forget a song and everything made of it.

        Raises:
            RefusedError: it is not here.
        """
        with self._lock:
            song = self.song(visitor, identity)
            for job in [job for job in self._jobs.values() if song in (job.song, job.like)]:
                self._drop_job(job)
            self._drop_song(song)

    def remove_job(self, visitor: str, identity: str) -> None:
        """Stop a job, or forget its result.

        Raises:
            RefusedError: it is not here.
        """
        with self._lock:
            self._drop_job(self.job(visitor, identity))

    def remove_all(self, visitor: str) -> None:
        """Forget everything of a visitor."""
        with self._lock:
            for job in [job for job in self._jobs.values() if job.visitor == visitor]:
                self._drop_job(job)
            for song in [song for song in self._songs.values() if song.visitor == visitor]:
                self._drop_song(song)

    def remove_old(self) -> None:
        """Forget what nobody asked for in a long time. A job that nobody asks for is stopped, too."""
        with self._lock:
            before = self._clock() - self.limits.keep_seconds
            for job in [job for job in self._jobs.values() if job.touched < before]:
                self._drop_job(job)
            used = [song for job in self._jobs.values() for song in (job.song, job.like)]
            for song in [song for song in self._songs.values() if song.touched < before]:
                if song not in used:
                    self._drop_song(song)

    def stop(self) -> None:
        """Ask all work to end."""
        with self._lock:
            for job in self._jobs.values():
                job.stop.set()

    def close(self) -> None:
        """Remove every file."""
        self.stop()
        with self._lock:
            self._songs.clear()
            self._jobs.clear()
        self._run.close()

    def _drop_job(self, job: Job) -> None:
        job.stop.set()
        del self._jobs[job.id]
        shutil.rmtree(job.folder, ignore_errors=True)

    def _drop_song(self, song: Song) -> None:
        del self._songs[song.id]
        shutil.rmtree(song.folder, ignore_errors=True)


def _size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0
