"""Other renditions of a corpus' songs: band, instruments, soundfont and levels drawn anew.

What a song sounds like in a genre is drawn by lot, so the corpus' version is one right answer of many. Other renditions
show how far right answers lie apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from data.corpus.arrangement import arrange, mma_text
from data.corpus.renderer import in_parallel, is_complete, write_song_file
from data.corpus.songs import write_song
from data.corpus.synthesis import SAMPLE_RATE, check_tools, render
from stylize_core.errors import UserError


def rendition_path(root: Path, number: int, genre: str, rendition: int) -> Path:
    """Where a rendition is: GENRE/GENRE.NNNNN.renditionK.wav."""
    return root / genre / f"{genre}.{number:05d}.rendition{rendition}.wav"


def render_renditions(
    root: Path, songs: Iterable[tuple[int, str]], renditions: int, seconds: float, seed: int = 0, jobs: int = 1
) -> Iterator[tuple[int, int]]:
    """Render what is missing of renditions 1 to `renditions` of songs; call again to go on after an interruption.

    Args:
        root: folder of the renditions, made when missing.
        songs: number and genre of each.
        renditions: of each.
        seconds: length of every file, that of the corpus.
        seed: that of the corpus.
        jobs: files rendered at the same time.

    Yields:
        (finished files, all files), first for what was there already, then after every file.

    Raises:
        UserError: the folder cannot be written, or a tool is missing or failed.
    """
    samples = round(seconds * SAMPLE_RATE)
    wanted = [(number, genre, rendition) for number, genre in songs for rendition in range(1, renditions + 1)]
    missing = [task for task in wanted if not is_complete(rendition_path(root, *task), samples)]
    there = len(wanted) - len(missing)
    yield there, len(wanted)
    if missing:
        check_tools()

    def work(task: tuple[int, str, int]) -> None:
        number, genre, rendition = task
        arrangement = arrange(seed, number, genre, rendition)
        text = mma_text(write_song(seed, number, seconds), arrangement)
        wav = render(text, arrangement.soundfont, samples, arrangement.mix)
        path = rendition_path(root, *task)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_song_file(path, wav)

    try:
        for finished, _ in enumerate(in_parallel(work, missing, jobs), start=there + 1):
            yield finished, len(wanted)
    except OSError as error:
        raise UserError(f"cannot write the renditions in {root}: {error.strerror or error}") from error
