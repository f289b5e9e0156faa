"""Rows of measurements, appended to a file, from which an interrupted benchmark resumes."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stylize_core.errors import UserError
from stylize_core.plain import build, parse_json, read_lines


@dataclass(frozen=True)
class Row:
    """One system on one pair.

    Args:
        key: digest of everything the row depends on.
        split, pair, song, source_style, target: of the pair.
        system: its name.
        classified_as: the predicted genre.
        metrics: `classified_as_target`, `classified_as_source` (0 or 1), `target_probability`, `source_probability`,
            and those of :mod:`stylize.evaluate.metrics.content`.
        seconds, elapsed: of music, and of work (None for copies).
        embedding: of the output.
    """

    key: str
    split: str
    pair: str
    song: str
    source_style: str
    target: str
    system: str
    classified_as: str
    metrics: dict[str, float]
    seconds: float
    elapsed: float | None
    embedding: np.ndarray

    def to_json(self) -> str:
        """One line; the embedding as base64 of float32."""
        vector = base64.b64encode(np.asarray(self.embedding, dtype="<f4").tobytes()).decode()
        return json.dumps({**asdict(self), "embedding": vector})

    @classmethod
    def from_json(cls, line: str) -> Row:
        """Parse a line; raises ValueError."""
        try:
            values: dict[str, Any] = parse_json(line)
            vector = np.frombuffer(base64.b64decode(values.pop("embedding"), validate=True), dtype="<f4")
            return build(cls, values | {"embedding": vector}, "a measurement")
        except (KeyError, TypeError, AttributeError, UserError) as error:
            raise ValueError(str(error)) from None


class Measurements:
    """The rows of a file, by key; raises UserError for a file that is not readable or holds something else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: dict[str, Row] = {}
        try:
            lines = read_lines(path) if path.exists() else []
        except (OSError, ValueError):
            raise UserError(f"cannot read {path}; choose another --work folder") from None
        for number, line in enumerate(lines, start=1):
            try:
                row = Row.from_json(line)
            except ValueError:
                if number == len(lines):  # cut off by an interruption
                    path.write_text("".join(f"{complete}\n" for complete in lines[:-1]), encoding="utf-8")
                    break
                raise UserError(f"{path} line {number} is no measurement; choose another --work folder") from None
            self._rows[row.key] = row

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: str) -> Row | None:
        """The row with a key, if any."""
        return self._rows.get(key)

    def add(self, row: Row) -> None:
        """Append a row."""
        self._rows[row.key] = row
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(row.to_json() + "\n")
        except OSError as error:
            raise UserError(f"could not write {self.path}: {error.strerror or error}") from None
