"""Manifests: one JSON object a line for each finished file of a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stylize_core.atomic import atomic_write
from stylize_core.errors import UserError
from stylize_core.names import readable
from stylize_core.plain import one_line, parse_json, read_lines

MANIFEST_NAME = "manifest.jsonl"


def read_records(path: Path) -> list[dict[str, Any]]:
    """The objects of a manifest, without empty lines and a last line cut off by an interruption.

    Raises:
        UserError: it cannot be read, or another line is no JSON object.
    """
    try:
        lines = read_lines(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({one_line(error)}); repair or remove it") from None
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
        except ValueError as error:
            if number == len(lines) and isinstance(error, json.JSONDecodeError):
                break
            record = None
        if not isinstance(record, dict):
            raise UserError(f"line {number} of {path} is no JSON object; repair or remove the file")
        records.append(record)
    return records


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content; UserError where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def format_record(record: Mapping[str, Any]) -> str:
    """The line of an object."""
    return readable(json.dumps(record, ensure_ascii=False)) + "\n"


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write a manifest; UserError where it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as stream:
        stream.write("".join(map(format_record, records)).encode("utf-8"))
