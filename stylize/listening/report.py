"""Results of a listening test: tables for the terminal, CSV files, plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from stylize.evaluate.report import check_folder, format_csv, table, write_json, write_text
from stylize.listening.results import Results, read_results
from stylize.listening.statistics import (
    LEVEL,
    LISTENER,
    UNITS,
    Difference,
    PairedResult,
    Preference,
    Rating,
    Screened,
    Summary,
)
from stylize.listening.trial import Trial
from stylize_core.errors import UserError

TABLES: dict[str, tuple[type, str]] = {
    "ratings": (Rating, "ratings"),
    "preferences": (Preference, "preferences"),
    "summary": (Summary, "summaries"),
    "differences": (Difference, "differences"),
    "pairs": (PairedResult, "pairs"),
    "screened": (Screened, "screened"),
}
"""Files of the results: the kind of their rows, and the attribute that holds them."""


def print_results(
    trial: Trial,
    answers: Path,
    *,
    output: Path | None = None,
    unit: str = LISTENER,
    webmushra: Sequence[Path] = (),
    force: bool = False,
) -> Results:
    """Evaluate the answers to a trial, print the tables, and write them to a folder if one is given."""
    if unit not in UNITS:
        raise UserError(f"got --unit {unit}; expected {' or '.join(UNITS)}")
    if output is not None:
        check_folder(output, force)
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
        f"{len(results.ratings) + len(results.preferences)} answers that count"
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
    rows = []
    for row in (row for row in results.summaries if row.question == question):
        interval = "–" if row.low is None else f"{row.low:.1f} to {row.high:.1f}"
        counts = (row.listeners, row.songs, row.ratings)
        rows.append([row.system, f"{row.mean:.1f}", interval, f"{row.median:.1f}", *map(str, counts)])
    titles = (question, "mean", "95 % interval", "median", "listeners", "songs", "ratings")
    return ["", *table(titles, rows, numbers_from=1)] if rows else []


def _difference_lines(results: Results, question: str) -> list[str]:
    rows = [
        [f"{row.first} – {row.second}", f"{row.difference:+.1f}", str(row.pairs), f"{row.p:.2g}", _marked(row.adjusted)]
        for row in results.differences
        if row.question == question
    ]
    titles = (f"{question}: Wilcoxon by {results.unit}", "difference", "pairs", "p", "p (Holm)")
    return ["", *table(titles, rows, numbers_from=1)] if rows else []


def _pair_lines(results: Results, question: str) -> list[str]:
    rows = [
        [
            f"{row.first} over {row.second}",
            f"{row.wins} of {row.choices} ({100 * row.share:.0f} %)",
            f"{100 * row.low:.0f} to {100 * row.high:.0f} %",
            str(row.listeners),
            f"{row.votes_for} of {row.votes}",
            f"{row.p:.2g}",
            _marked(row.adjusted),
        ]
        for row in results.pairs
        if row.question == question
    ]
    titles = (f"{question}: binomial by {results.unit}", "preferred", "95 % interval", "listeners", "votes", "p")
    return ["", *table((*titles, "p (Holm)"), rows, numbers_from=1)] if rows else []


def _marked(p: float) -> str:
    return f"{p:.2g} *" if p < LEVEL else f"{p:.2g}"


def write_results(results: Results, output: Path) -> list[Path]:
    """Write CSV files, `results.json` and plots into a folder, which is made."""
    from stylize.listening.plots import save_plots

    output.mkdir(exist_ok=True)
    written = []
    document: dict[str, Any] = {
        "trial": results.trial.id,
        "title": results.trial.title,
        "method": results.trial.method,
        "listeners": results.listeners,
        "unit": results.unit,
        "caution": results.caution,
    }
    for name, (kind, attribute) in TABLES.items():
        rows = getattr(results, attribute)
        document[name] = [asdict(row) for row in rows]
        if rows or kind is Screened:
            written.append(write_text(output / f"{name}.csv", format_rows(kind, rows)))
    return [*written, write_json(output / "results.json", document), *save_plots(results, output)]


def format_rows(kind: type, rows: Sequence[Any]) -> str:
    """A table of dataclasses as CSV."""
    return format_csv([each.name for each in fields(kind)], (asdict(row).values() for row in rows), digits=None)
