"""Songs outside every corpus: one to try the models on, and short examples of the ten styles."""

from __future__ import annotations

from pathlib import Path

from data.corpus.arrangement import arrange, mma_text
from data.corpus.bands import STYLES
from data.corpus.renderer import write_song_file
from data.corpus.songs import write_song
from data.corpus.synthesis import SAMPLE_RATE, render
from stylize_core.errors import UserError

DEMO_SEED = 20190917  # far from any seed a corpus is likely to be made with
DEMO_NUMBER = 34  # in C major, with a fiddle when it is country
DEMO_SECONDS = 20.0
EXAMPLE_NUMBER = 38  # another song; of 35 to 39 the one whose ten genres a classifier tells best
EXAMPLE_SECONDS = 8.0
_FORMATS = {".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}


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
    if path.suffix.lower() not in _FORMATS:
        raise UserError(f"{path} ends in {path.suffix!r}: a demo song is written as {' or '.join(_FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise UserError(f"folder {path.absolute().parent} does not exist")
    song, arrangement = write_song(DEMO_SEED, number, seconds), arrange(DEMO_SEED, number, genre)
    samples = round(seconds * SAMPLE_RATE)
    wav = render(mma_text(song, arrangement), arrangement.soundfont, samples, arrangement.mix)
    write_song_file(path, wav, *_FORMATS[path.suffix.lower()])


def render_style_examples(folder: Path) -> None:
    """Render one short song in all ten genres, as FOLDER/GENRE.ogg; errors as :func:`render_demo_song`."""
    for genre in sorted(STYLES):
        render_demo_song(folder / f"{genre}.ogg", genre, EXAMPLE_NUMBER, EXAMPLE_SECONDS)
