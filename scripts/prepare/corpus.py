"""The rendered corpus: the same seeded songs in ten genres, with MMA and FluidSynth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data.corpus import check
from data.corpus.renderer import CorpusPlan, render_corpus, render_demo_song, render_style_examples
from scripts.command_line import Jobs, Seed
from scripts.prepare.console import show_progress

Songs = Annotated[int, typer.Option(help="Ordinary songs (of ten, one is valid and one test).")]
TestSongs = Annotated[int, typer.Option(help="Songs in each of the splits test_groove and test_soundfont.")]
Seconds = Annotated[float, typer.Option(help="Length of every file in seconds.")]


def corpus(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder; an unfinished one is completed.")] = Path(
        "corpus"
    ),
    songs: Songs = 48,
    test_songs: TestSongs = 3,
    extra_songs: Annotated[int, typer.Option(help="Songs for training alone, in bands of their own.")] = 0,
    training_songs: Annotated[int, typer.Option(help="Songs for training alone, in bands of the corpus.")] = 0,
    seconds: Seconds = 24.0,
    seed: Seed = 0,
    jobs: Jobs = 2,
) -> None:
    """Render GENRE/GENRE.NNNNN.wav and manifest.jsonl: the same songs in all ten GTZAN genres."""
    plan = CorpusPlan(songs, test_songs, seconds, seed, extra_songs, training_songs)
    show_progress("rendering", render_corpus(output, plan, jobs))


def check_corpus(folder: Annotated[Path, typer.Argument(help="Rendered corpus.")]) -> None:
    """Measure the first twelve songs of a corpus: levels, silence, and whether genres share harmony and rhythm."""
    typer.echo(check.format_check(*check.check_corpus(folder)))


def demo_song(
    output: Annotated[Path, typer.Option("-o", "--output", help="File ending in .flac or .ogg; replaced.")],
    genre: Annotated[str, typer.Option(help="One of the ten.")] = "country",
) -> None:
    """Render a song of 20 s that is in no corpus."""
    render_demo_song(output, genre)


def style_examples(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder that exists; examples are replaced.")],
) -> None:
    """Render GENRE.ogg of 8 s in each genre, another song that is in no corpus."""
    render_style_examples(output)
