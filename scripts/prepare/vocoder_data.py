"""All that a vocoder learns from: the rendered corpus, free recordings, folders of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data import vocoder_data as prepared
from data.corpus.renderer import CorpusPlan, render_corpus
from data.recordings import Limits, Skipped, prepare
from scripts.command_line import Jobs, Seed
from scripts.prepare.console import print_table, show_progress, track
from scripts.prepare.corpus import Seconds, Songs, TestSongs
from scripts.prepare.recordings import COLUMNS, MaxMinutes, MinSeconds, SkipMissing
from stylize_core.errors import UserError


def vocoder_data(
    output: Annotated[Path, typer.Option("-o", "--output", help="For corpus/, recordings/, summary.")] = Path("."),
    songs: Songs = 48,
    test_songs: TestSongs = 3,
    seconds: Seconds = 24.0,
    seed: Seed = 0,
    jobs: Jobs = 2,
    folder: Annotated[list[Path] | None, typer.Option(help="GTZAN or any folder with audio; may be repeated.")] = None,
    skip_corpus: Annotated[bool, typer.Option("--skip-corpus", help="Render nothing.")] = False,
    skip_recordings: Annotated[bool, typer.Option("--skip-recordings", help="Use no Debian packages.")] = False,
    skip_missing: SkipMissing = False,
    max_minutes_per_source: MaxMinutes = 30.0,
    min_seconds: MinSeconds = 15.0,
) -> None:
    """Make what is missing, decode and check all of it; exit code 1 where a file has a fault."""
    limits = Limits(shortest=min_seconds, per_source=60 * max_minutes_per_source)
    folders = prepared.name_folders(folder or [], output)
    if skip_corpus and skip_recordings and not folders:
        raise UserError("nothing to do: corpus and recordings are skipped, and there is no --folder")
    plan = CorpusPlan(songs, test_songs, seconds, seed)
    packages = None if skip_recordings else prepared.find_packages(output / prepared.RECORDINGS, skip_missing)
    parts, skipped = [], []
    if not skip_corpus:
        show_progress("rendering", render_corpus(output / prepared.CORPUS, plan, jobs))
        parts.append(prepared.CORPUS)
    for name, excerpts, unusable in prepared.plan_parts(packages, folders, limits):
        made = track(prepare(excerpts, output / name), f"converting to {name}", len(excerpts))
        skipped += [*unusable, *(one for one in made if isinstance(one, Skipped))]
        parts.append(name)
    files = [file for part in parts for file in prepared.list_files(output / part)]
    faults, notes = prepared.check_files(output, parts, files, min_seconds=min(min_seconds, seconds), jobs=jobs)
    prepared.write_summary(output, parts, files, skipped, faults, notes)
    typer.echo("\n".join([*prepared.describe_skipped(skipped), *notes, *faults, f"{len(faults)} faults"]))
    print_table(COLUMNS, prepared.count(files), ("all", "", "", len(files), sum(file.seconds for file in files) / 60))
    made_of = ",".join(str(output / part) for part in parts)
    typer.echo(f"python -m scripts.train configs/vocoder.yaml --run runs/vocoder 'data.folders=[{made_of}]'")
    if faults:
        raise typer.Exit(1)
