"""Results on paper: tables for the terminal, CSV files, plots."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from data.atomic import atomic_write
from data.errors import UserError
from data.names import readable
from stylize.listening.ratings import Preference, Rating, Screened
from stylize.listening.results import Results, read_results
from stylize.listening.statistics import LEVEL, LISTENER, UNITS, Difference, PairedResult, Summary
from stylize.listening.trial import Trial

TABLES: dict[str, type] = {
    "ratings.csv": Rating,
    "preferences.csv": Preference,
    "summary.csv": Summary,
    "differences.csv": Difference,
    "pairs.csv": PairedResult,
    "screened.csv": Screened,
}


def print_results(
    trial: Trial,
    answers: Path,
    *,
    output: Path | None = None,
    unit: str = LISTENER,
    webmushra: Sequence[Path] = (),
    force: bool = False,
) -> Results:
    """Read the answers to a trial, print what they say, and write it into a folder where one is given.

    Raises:
        UserError: nothing to read, a folder that holds something already.
    """
    if unit not in UNITS:
        raise UserError(f"got --unit {unit}; expected {' or '.join(UNITS)}")
    if output is not None:
        _check_folder(output, force)
    results = read_results(trial, answers, webmushra, unit)
    if not results.listeners:
        raise UserError(f"no answers in {answers} yet; `stylize listen` takes them")
    print("\n".join(format_results(results)))
    if output is not None:
        for path in write_results(results, output):
            print(path)
    return results


def format_results(results: Results) -> list[str]:
    """Markdown tables, with what is to be known to read them."""
    trial = results.trial
    lines = [
        f"{trial.title}: {trial.method}, {len(trial.songs)} songs, {results.listeners} listeners, "
        f"{len(results.ratings) + len(results.preferences)} answers that count",
    ]
    lines += [f"left out: listener {entry.listener}, {entry.reason}" for entry in results.screened]
    for question in trial.questions:
        lines += _summary_lines(results, question)
        lines += _difference_lines(results, question)
        lines += _pair_lines(results, question)
    if results.caution:
        lines += ["", results.caution]
    return lines


def _summary_lines(results: Results, question: str) -> list[str]:
    rows = [row for row in results.summaries if row.question == question]
    if not rows:
        return []
    lines = ["", f"| {question} | mean | 95 % interval | median | listeners | songs | ratings |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        interval = "–" if row.low is None else f"{row.low:.1f} to {row.high:.1f}"
        counts = f"{row.listeners} | {row.songs} | {row.ratings}"
        lines.append(f"| {row.system} | {row.mean:.1f} | {interval} | {row.median:.1f} | {counts} |")
    return lines


def _difference_lines(results: Results, question: str) -> list[str]:
    rows = [row for row in results.differences if row.question == question]
    if not rows:
        return []
    lines = [
        "",
        f"| {question}: Wilcoxon by {results.unit} | difference | pairs | p | p (Holm) |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        names = f"{row.first} – {row.second}"
        lines.append(f"| {names} | {row.difference:+.1f} | {row.pairs} | {row.p:.2g} | {_marked(row.adjusted)} |")
    return lines


def _pair_lines(results: Results, question: str) -> list[str]:
    rows = [row for row in results.pairs if row.question == question]
    if not rows:
        return []
    lines = [
        "",
        f"| {question}: binomial by {results.unit} | preferred | 95 % interval | listeners | votes | p | p (Holm) |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        share = f"{row.wins} of {row.choices} ({100 * row.share:.0f} %)"
        interval = f"{100 * row.low:.0f} to {100 * row.high:.0f} %"
        lines.append(
            f"| {row.first} over {row.second} | {share} | {interval} | {row.listeners} "
            f"| {row.votes_for} of {row.votes} | {row.p:.2g} | {_marked(row.adjusted)} |"
        )
    return lines


def _marked(p: float) -> str:
    return f"{p:.2g} *" if p < LEVEL else f"{p:.2g}"


def _check_folder(output: Path, force: bool) -> None:
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; give a folder with -o")
    if not output.absolute().parent.is_dir():
        raise UserError(f"the folder {output.absolute().parent} does not exist; create it first")
    if output.is_dir() and any(output.iterdir()) and not force:
        raise UserError(f"the folder {output} exists and is not empty; choose another one or use --force")
    if not os.access(output if output.is_dir() else output.absolute().parent, os.W_OK | os.X_OK):
        raise UserError(f"the folder {output} is not writable; choose another one")


def write_results(results: Results, output: Path) -> list[Path]:
    """Write CSV files, `results.json` and plots into a folder, which is made.

    Raises:
        UserError: the disk is full or fails.
    """
    from stylize.listening.plots import save_plots

    output.mkdir(exist_ok=True)
    tables: dict[str, Sequence[Any]] = {
        "ratings.csv": results.ratings,
        "preferences.csv": results.preferences,
        "summary.csv": results.summaries,
        "differences.csv": results.differences,
        "pairs.csv": results.pairs,
        "screened.csv": results.screened,
    }
    written = []
    for name, rows in tables.items():
        if rows or name == "screened.csv":
            written.append(_write(output / name, format_csv(TABLES[name], rows)))
    document = {
        "trial": results.trial.id,
        "title": results.trial.title,
        "method": results.trial.method,
        "listeners": results.listeners,
        "unit": results.unit,
        "caution": results.caution,
        **{name.removesuffix(".csv"): [asdict(row) for row in rows] for name, rows in tables.items()},
    }
    written.append(_write(output / "results.json", json.dumps(document, indent=1) + "\n"))
    return written + save_plots(results, output)


def format_csv(kind: type, rows: Sequence[Any]) -> str:
    """A table of dataclasses as CSV."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [each.name for each in fields(kind)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return stream.getvalue()


def _write(path: Path, text: str) -> Path:
    with atomic_write(path) as stream:
        stream.write(readable(text).encode())
    return path
