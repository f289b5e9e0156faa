"""A data set checked file by file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from data.verify import FAULTS, GenreSummary, summarize, verify_folder
from scripts.command_line import Jobs
from scripts.prepare.console import print_table, progress_bar

CPUS = os.cpu_count() or 1


def verify(
    folder: Annotated[Path, typer.Argument(help="Folder tree, GENRE/GENRE.NNNNN.wav or one folder above it.")],
    sample_rate: Annotated[int, typer.Option(min=1, help="Rate every file should have, Hz.")] = 22050,
    min_seconds: Annotated[float, typer.Option(help="Shorter files are a fault.")] = 5.0,
    jobs: Jobs = CPUS,
) -> None:
    """Print a table of faults and a line for each; exit code 1 where a file has one."""
    with progress_bar() as progress:
        bar = progress.add_task("checking")
        reports = verify_folder(
            folder,
            sample_rate=sample_rate,
            min_seconds=min_seconds,
            jobs=jobs,
            progress=lambda done, files: progress.update(bar, completed=done, total=files),
        )
    *genres, total = summarize(reports)
    columns = ("genre", "files", "seconds", *FAULTS)
    print_table(columns, map(_row, genres), _row(total))
    for report in reports:
        for fault, line in report.faults.items():
            print(f"{report.path}: {fault}: {line}")
    if any(report.faults for report in reports):
        raise typer.Exit(1)


def _row(summary: GenreSummary) -> tuple[object, ...]:
    return (summary.genre, summary.files, summary.seconds, *(summary.faults[fault] for fault in FAULTS))
