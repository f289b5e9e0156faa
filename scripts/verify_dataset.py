"""Check the recordings of a data set, file by file: exit code 1 where one has a fault, 2 for bad input."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from data.errors import UserError
from data.verify import FAULTS, GenreSummary, summarise, verify_folder
from stylize.program import run_program


def get_parser() -> argparse.ArgumentParser:
    """The command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.verify_dataset",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder tree, GENRE/GENRE.NNNNN.wav or one folder above it")
    parser.add_argument("--sample-rate", type=int, default=22050, help="rate every file should have, Hz")
    parser.add_argument("--min-seconds", type=float, default=5.0, help="shorter files are a fault")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="files decoded at a time")
    return parser


def make_table(summaries: Sequence[GenreSummary]) -> Table:
    """A row per genre and one for all."""
    table = Table()
    table.add_column("genre")
    plurals = {"dot-file": "dot-files", "duplicate": "duplicates"}
    for column in ("files", "seconds", *(plurals.get(fault, fault) for fault in FAULTS)):
        table.add_column(column, justify="right")
    total = GenreSummary(
        "all",
        sum(row.files for row in summaries),
        sum(row.seconds for row in summaries),
        {fault: sum(row.faults[fault] for row in summaries) for fault in FAULTS},
    )
    for row in (*summaries, total):
        if row is total:
            table.add_section()
        counts = (str(row.faults[fault]) for fault in FAULTS)
        table.add_row(escape(row.genre), str(row.files), f"{row.seconds:.1f}", *counts)
    return table


def check(options: argparse.Namespace) -> int:
    """Run the check, print the table and a line `PATH: fault: what` for each fault."""
    if options.sample_rate <= 0:
        raise UserError(f"--sample-rate must be above zero, got {options.sample_rate}")
    if not options.min_seconds >= 0:
        raise UserError(f"--min-seconds must not be negative, got {options.min_seconds}")
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("checking")
        reports = verify_folder(
            options.folder,
            sample_rate=options.sample_rate,
            min_seconds=options.min_seconds,
            jobs=options.jobs,
            progress=lambda done, files: bar.update(task, completed=done, total=files),
        )
    width = None if sys.stdout.isatty() else 120
    Console(width=width).print(make_table(summarise(reports)))
    for report in reports:
        for fault, line in report.faults.items():
            print(f"{report.path}: {fault}: {line}")
    return 1 if any(report.faults for report in reports) else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run; the exit code."""
    options = get_parser().parse_args(arguments)
    return run_program(partial(check, options))


if __name__ == "__main__":
    sys.exit(main())
