"""Rendering of a corpus (plan, parallel work, resuming, manifest), and of songs and examples outside of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile

from data.corpus.arrangement import Arrangement, arrange, mma_text
from data.corpus.bands import STYLES
from data.corpus.songs import Song, song_numbers, split_of, write_song
from data.corpus.synthesis import SAMPLE_RATE, check_tools, render
from data.manifest import MANIFEST_NAME, format_record, read_records, write_records
from stylize_core.atomic import atomic_write
from stylize_core.errors import UserError

T = TypeVar("T")

# Songs outside every corpus
DEMO_SEED = 20190917  # far from any seed a corpus is likely to be made with
DEMO_NUMBER = 34  # in C major, with a fiddle when it is country
DEMO_SECONDS = 20.0
EXAMPLE_NUMBER = 38  # of 35 to 39 the song whose ten genres are classified best
EXAMPLE_SECONDS = 8.0
_DEMO_FORMATS = {".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}


@dataclass(frozen=True)
class CorpusPlan:
    """What a corpus consists of.

    Attributes:
        songs: number of ordinary songs (train, valid, test).
        test_songs: number of songs in each of the splits test_groove and test_soundfont.
        seconds: length of every file.
        seed: of everything.
        extra_songs: number of songs for training alone, in bands that no other song has.
        training_songs: number of songs for training alone, in the bands of the ordinary ones.
    """

    songs: int = 48
    test_songs: int = 3
    seconds: float = 24.0
    seed: int = 0
    extra_songs: int = 0
    training_songs: int = 0

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("songs", self.songs, 0, 10000),
            ("test songs", self.test_songs, 0, 1000),
            ("extra songs", self.extra_songs, 0, 1000),
            ("training songs", self.training_songs, 0, 1000),
            ("seconds", self.seconds, 1.0, 600.0),
        ):
            if not low <= value <= high:
                raise UserError(f"{name} must be {low} to {high}, got {value}")
        if not self.songs + self.test_songs + self.extra_songs + self.training_songs:
            raise UserError("songs, test songs, extra songs and training songs are all 0: nothing to render")


@dataclass(frozen=True)
class Task:
    """One file of a corpus, drawn but not rendered yet."""

    song: Song
    arrangement: Arrangement
    seconds: float

    @property
    def file(self) -> str:
        """Path below the corpus folder, "jazz/jazz.00003.wav"."""
        genre = self.arrangement.genre
        return f"{genre}/{genre}.{self.song.number:05d}.wav"

    @property
    def samples(self) -> int:
        """Length of the file at 22050 Hz."""
        return round(self.seconds * SAMPLE_RATE)

    def record(self) -> dict[str, Any]:
        """The file's line of the manifest."""
        song, arrangement = self.song, self.arrangement
        return {
            "file": self.file,
            "genre": arrangement.genre,
            "song": f"{song.number:05d}",
            "split": split_of(song.number),
            "seconds": self.seconds,
            "tempo": song.tempo,
            "key": song.key.name,
            "chords": [" ".join(chord.name for chord in bar) for bar in song.chords],
            "groove": arrangement.band.name,
            "soundfont": arrangement.soundfont,
            "melody_program": arrangement.melody_program,
            "seed": arrangement.seed,
        }


def plan_tasks(plan: CorpusPlan) -> list[Task]:
    """All files of a corpus, song by song in all genres."""
    tasks: list[Task] = []
    for number in song_numbers(plan.songs, plan.test_songs, plan.extra_songs, plan.training_songs):
        song = write_song(plan.seed, number, plan.seconds)
        tasks.extend(Task(song, arrange(plan.seed, number, genre), plan.seconds) for genre in sorted(STYLES))
    return tasks


def render_corpus(root: Path, plan: CorpusPlan, jobs: int = 1) -> Iterator[tuple[int, int]]:
    """Render what is missing of a corpus; after an interruption, call again to resume.

    A file appears only when it is complete, then its line in the manifest.

    Args:
        root: corpus folder, made when missing.
        plan: what to render.
        jobs: files rendered at the same time.

    Yields:
        (finished files, all files), first for what was there already, then after every file.

    Raises:
        UserError: the folder holds another corpus or cannot be written, or a tool failed.
    """
    if jobs < 1:
        raise UserError(f"jobs must be at least 1, got {jobs}")
    tasks, manifest = plan_tasks(plan), root / MANIFEST_NAME
    try:
        known = _known_files(root, tasks)
        finished = [task for task in tasks if task.file in known and is_complete(root / task.file, task.samples)]
        if len(finished) < len(tasks):
            check_tools()
        root.mkdir(parents=True, exist_ok=True)
        write_records(manifest, (task.record() for task in finished))
        yield len(finished), len(tasks)
        done = {task.file for task in finished}
        for task in _render_all(root, [task for task in tasks if task.file not in done], jobs):
            finished.append(task)
            yield len(finished), len(tasks)
        write_records(manifest, (task.record() for task in tasks))
    except OSError as error:
        raise UserError(f"cannot write the corpus in {root}: {error.strerror or error}") from error


def _render_all(root: Path, tasks: list[Task], jobs: int) -> Iterator[Task]:
    """Render in parallel, yield every task when its file and its manifest line are written."""
    with (root / MANIFEST_NAME).open("a") as manifest:
        for task in in_parallel(lambda task: _render_task(root, task), tasks, jobs):
            manifest.write(format_record(task.record()))
            manifest.flush()
            yield task


def in_parallel(work: Callable[[T], None], items: Sequence[T], jobs: int) -> Iterator[T]:
    """Work on items in threads and yield each when it is done; after an error or when closed, none is begun."""
    pool = ThreadPoolExecutor(jobs)
    try:
        futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            future.result()
            yield futures[future]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _render_task(root: Path, task: Task) -> None:
    arrangement = task.arrangement
    (root / arrangement.genre).mkdir(exist_ok=True)
    text = mma_text(task.song, arrangement)
    try:
        wav = render(text, arrangement.soundfont, task.samples, arrangement.mix)
    except UserError as error:
        raise UserError(f"{task.file} ({arrangement.band.name}): {error}") from error
    write_song_file(root / task.file, wav)


def write_song_file(path: Path, wav: np.ndarray, file_format: str = "WAV", subtype: str = "PCM_16") -> None:
    """Write a song as the corpus has them; UserError where the file cannot be written."""
    content = io.BytesIO()
    soundfile.write(content, wav, SAMPLE_RATE, subtype=subtype, format=file_format)
    with atomic_write(path) as stream:
        stream.write(content.getbuffer())


def _known_files(root: Path, tasks: list[Task]) -> set[str]:
    """The files in the manifest; UserError for the folder of another corpus."""
    planned = {task.file: task.record() for task in tasks}
    known = set()
    manifest = root / MANIFEST_NAME
    for line_number, record in enumerate(read_records(manifest) if manifest.exists() else (), start=1):
        file = str(record.get("file"))
        if file not in planned:
            raise UserError(
                f"{root} holds {file}, which this corpus would not have; ask for at least as many songs as "
                "before, or choose another folder"
            )
        if record != planned[file]:
            raise UserError(
                f"{root} holds another corpus (manifest line {line_number}: {file} was made with other "
                "settings); choose another folder or delete this one"
            )
        known.add(file)
    if not manifest.exists():
        foreign = next((file for file in planned if (root / file).exists()), None)
        if foreign is not None:
            raise UserError(f"{root} holds {foreign} but no {MANIFEST_NAME}; choose an empty or new folder")
    return known


def is_complete(path: Path, samples: int) -> bool:
    """Whether a file is there as :func:`write_song_file` leaves it."""
    try:
        info = soundfile.info(path)
    except (OSError, soundfile.LibsndfileError):
        return False
    found = (info.frames, info.samplerate, info.channels, info.subtype)
    return found == (samples, SAMPLE_RATE, 1, "PCM_16")


def render_demo_song(path: Path, genre: str, number: int = DEMO_NUMBER, seconds: float = DEMO_SECONDS) -> None:
    """Render one song in one genre.

    Args:
        path: file to write, .flac or .ogg (Vorbis), 22050 Hz mono; an existing one is replaced.
        genre: one of the ten.
        number: which of the demo songs.
        seconds: length of the song.

    Raises:
        UserError: unknown genre or extension, folder missing or not writable, or a tool failed.
    """
    if genre not in STYLES:
        raise UserError(f"unknown genre {genre!r}; known: {' '.join(sorted(STYLES))}")
    if path.suffix.lower() not in _DEMO_FORMATS:
        raise UserError(f"{path} ends in {path.suffix!r}: a demo song is written as {' or '.join(_DEMO_FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise UserError(f"folder {path.absolute().parent} does not exist")
    song, arrangement = write_song(DEMO_SEED, number, seconds), arrange(DEMO_SEED, number, genre)
    samples = round(seconds * SAMPLE_RATE)
    wav = render(mma_text(song, arrangement), arrangement.soundfont, samples, arrangement.mix)
    write_song_file(path, wav, *_DEMO_FORMATS[path.suffix.lower()])


def render_style_examples(folder: Path) -> None:
    """Render one short song in all ten genres, as FOLDER/GENRE.ogg; errors as :func:`render_demo_song`."""
    for genre in sorted(STYLES):
        render_demo_song(folder / f"{genre}.ogg", genre, EXAMPLE_NUMBER, EXAMPLE_SECONDS)
