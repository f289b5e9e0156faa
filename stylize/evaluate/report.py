"""Reports of measurements: Markdown tables, CSV and JSON files, the machine they were made on."""

from __future__ import annotations

import csv
import datetime
import io
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylize_core.atomic import atomic_write, check_writable
from stylize_core.errors import UserError
from stylize_core.names import readable

MISSING = "-"
REPORT_SUFFIXES = (".md", ".json", ".csv", ".png")


def report_files(output: Path, suffixes: Sequence[str] = REPORT_SUFFIXES) -> dict[str, Path]:
    """The files of a report by suffix."""
    base = output.with_suffix("") if output.suffix in suffixes else output
    return {suffix: base.with_name(base.name + suffix) for suffix in suffixes}


def check_report(output: Path, suffixes: Sequence[str], force: bool) -> None:
    """Raise UserError where a report cannot be written or would replace files without `force`."""
    folder = output.parent
    if not folder.is_dir():
        raise UserError(f"folder not found: {folder}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"the folder {folder} is not writable; choose another --output")
    for path in report_files(output, suffixes).values():
        if path.exists() and not force:
            raise UserError(f"{path} exists already; choose another --output or use --force to replace it")


def check_folder(folder: Path, force: bool, option: str = "-o") -> None:
    """Raise UserError for a folder that cannot be made or written to, or that is not empty without `force`."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; give a folder with {option}")
    check_writable(folder if folder.is_dir() else folder.absolute().parent)
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise UserError(f"the folder {folder} exists and is not empty; choose another one or use --force")


def write_text(path: Path, text: str) -> Path:
    """Write a text atomically, characters that are no UTF-8 escaped."""
    with atomic_write(path) as stream:
        stream.write(readable(text).encode())
    return path


def write_json(path: Path, document: Mapping[str, Any]) -> Path:
    """Write plain values; errors as :func:`write_text`."""
    return write_text(path, json.dumps(document, indent=1) + "\n")


def format_csv(columns: Sequence[str], rows: Iterable[Iterable[Any]], digits: int | None = 6) -> str:
    """Rows as CSV; None becomes an empty cell, numbers have so many significant digits, None for all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([f"{cell:.{digits}g}" if digits and isinstance(cell, float) else cell for cell in row])
    return text.getvalue()


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int | None = None) -> list[str]:
    """Lines of a Markdown table; columns from `numbers_from` on are aligned to the right."""
    right = len(titles) if numbers_from is None else numbers_from
    rule = ["---:" if place >= right else "---" for place in range(len(titles))]
    return [f"| {' | '.join(cells)} |" for cells in (titles, rule, *rows)]


def interval(summary: Mapping[str, float] | None, digits: int = 3) -> str:
    """A mean with its interval."""
    if summary is None:
        return MISSING
    mean, low, high = (f"{summary[key]:.{digits}f}" for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def number(value: float | None, digits: int = 1, separator: str = "") -> str:
    """A number with a fixed number of decimals, and a separator of thousands."""
    return MISSING if value is None else f"{value:{separator}.{digits}f}"


def percent(value: float) -> str:
    """A share as a whole percentage."""
    return f"{100 * value:.0f} %"


def describe_machine(threads: int) -> dict[str, Any]:
    """Processor, cores, versions, threads and date, on which measurements depend."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "processor": read_processor_name(Path("/proc/cpuinfo")),
        "cores": cores,
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }


def read_processor_name(cpuinfo: Path) -> str:
    """The processor's model name from /proc/cpuinfo, else from Python."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def format_machine(machine: Mapping[str, Any]) -> str:
    """The machine in one line."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads used; "
        f"{machine['system']}, Python {machine['python']}, PyTorch {machine['torch']}; {machine['date']}"
    )
