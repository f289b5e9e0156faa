"""Rows of measurements, kept in a file as they come, so that an interrupted benchmark resumes."""

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
        key: equal where nothing can have changed: audio, system, classifier and metrics.
        split, pair, song, source_style, target: of the pair.
        system: its name.
        classified_as: the genre that the classifier predicts.
        metrics: `classified_as_target`, `classified_as_source` (0 or 1), `target_probability`, `source_probability`,
            and those of :mod:`stylize.evaluate.metrics.content`.
        seconds: of music.
        elapsed: seconds of work; None where nothing was to be done.
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
        """Read such a line.

        Raises:
            ValueError: it is no such line.
        """
        try:
            values: dict[str, Any] = parse_json(line)
            vector = np.frombuffer(base64.b64decode(values.pop("embedding"), validate=True), dtype="<f4")
            return build(cls, values | {"embedding": vector}, "a measurement")
        except (KeyError, TypeError, AttributeError, UserError) as error:
            raise ValueError(str(error)) from None


class Measurements:
    """All rows that were ever measured in a folder.

    Args:
        path: the file, a line for each row; made where it does not exist.

    Raises:
        UserError: it holds something else, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: dict[str, Row] = {}
        if not path.exists():
            return
        try:
            lines = read_lines(path)
        except (OSError, ValueError):
            raise UserError(f"cannot read {path}; choose another --work folder") from None
        for number, line in enumerate(lines, start=1):
            try:
                row = Row.from_json(line)
            except ValueError:
                if number == len(lines):  # an interruption can cut the last line; it is measured again
                    path.write_text("".join(f"{whole}\n" for whole in lines[:-1]), encoding="utf-8")
                    break
                raise UserError(f"{path} line {number} is no measurement; choose another --work folder") from None
            self._rows[row.key] = row

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: str) -> Row | None:
        """The row of that key, if it was measured."""
        return self._rows.get(key)

    def add(self, row: Row) -> None:
        """Keep a row, on disk at once."""
        self._rows[row.key] = row
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(row.to_json() + "\n")
        except OSError as error:
            raise UserError(f"could not write {self.path}: {error.strerror or error}") from None
