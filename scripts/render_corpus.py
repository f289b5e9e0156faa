"""Render a corpus in GTZAN's layout: the same seeded songs in ten genres, with MMA and FluidSynth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from data.corpus.check import check_corpus
from data.corpus.demo import render_demo_song, render_style_examples
from data.corpus.renderer import CorpusPlan, render_corpus
from data.corpus.synthesis import check_tools
from data.errors import UserError
from scripts.command_line import run_command


def command(
    out: Annotated[Path | None, typer.Argument(help="Corpus folder; an unfinished one is completed.")] = None,
    songs: Annotated[int, typer.Option(help="Ordinary songs (of ten, one is valid and one test).")] = 48,
    test_songs: Annotated[int, typer.Option(help="Songs in each tier test_groove and test_soundfont.")] = 3,
    extra_songs: Annotated[int, typer.Option(help="Songs for training alone, in bands of their own.")] = 0,
    training_songs: Annotated[int, typer.Option(help="Songs for training alone, in bands of the corpus.")] = 0,
    seconds: Annotated[float, typer.Option(help="Length of every file in seconds.")] = 24.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same corpus.")] = 0,
    jobs: Annotated[int, typer.Option(help="Files rendered at the same time.")] = 2,
    check: Annotated[bool, typer.Option("--check", help="Instead: measure the first songs of OUT.")] = False,
    demo_song: Annotated[Path | None, typer.Option(help="Instead: one song to this .flac or .ogg.")] = None,
    demo_genre: Annotated[str, typer.Option(help="Genre of the demo song.")] = "country",
    style_examples: Annotated[Path | None, typer.Option(help="Instead: GENRE.ogg of 8 s to this folder.")] = None,
) -> None:
    """Render OUT/GENRE/GENRE.NNNNN.wav and OUT/manifest.jsonl: the same songs in all ten GTZAN genres."""
    if [out, demo_song, style_examples].count(None) != 2:
        raise UserError("give a corpus folder, --demo-song FILE or --style-examples FOLDER, and only one of them")
    if out is not None and check:
        print_check(out)
        return
    check_tools()
    if demo_song is not None:
        render_demo_song(demo_song, demo_genre)
        return
    if style_examples is not None:
        render_style_examples(style_examples)
        return
    assert out is not None
    counts = render_corpus(out, CorpusPlan(songs, test_songs, seconds, seed, extra_songs, training_songs), jobs)
    finished, total = next(counts)  # what can be wrong with the request shows before the bar appears
    columns = (TextColumn("rendering"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("rendering", total=total, completed=finished)
        for finished, _ in counts:
            progress.update(bar, completed=finished)


def print_check(out: Path) -> None:
    """Print the measurements of `data.corpus.check.check_corpus`."""
    lengths, (lowest, highest), genres = check_corpus(out)
    print(f"samples in a file: {sorted(lengths)}, peaks: {lowest:.1f} to {highest:.1f} dB")
    print("genre      files  rms/dB  silence/s  chroma same song  other song  onset lag/ms")
    for name, genre in genres.items():
        print(
            f"{name:10} {genre.files:5}  {genre.rms:6.1f}  {genre.silence:9.1f}  {genre.chroma_same:16.2f}"
            f"  {genre.chroma_other:10.2f}  {genre.lag:12.1f}"
        )


if __name__ == "__main__":
    run_command(command)
