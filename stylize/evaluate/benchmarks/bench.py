"""Runs systems on pairs; measured rows are appended to a file, from which an interrupted benchmark resumes."""

from __future__ import annotations

import base64
import hashlib
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from data.folder import Clip
from stylize.evaluate.benchmarks.pairs import load_pair
from stylize.evaluate.excerpts import Excerpts, each_readable, fit_length
from stylize.evaluate.metrics.content import analyze, content_kept, distance_to_truth
from stylize.evaluate.metrics.multipitch import RATE
from stylize.evaluate.metrics.similarity import StyleClassifier
from stylize.evaluate.metrics.statistics import mean_interval
from stylize.evaluate.metrics.style import Reference
from stylize.evaluate.systems import Copy, Pair, System
from stylize_core.errors import UserError
from stylize_core.plain import build, parse_json, read_lines

FORMAT = 2
"""Increment when a metric changes; older rows are then measured again."""
PROGRESS_SECONDS = 15.0
"""Between two progress messages."""


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
            except ValueError as error:
                if number == len(lines) and isinstance(error, json.JSONDecodeError):  # cut off by an interruption
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


@dataclass
class Split:
    """A split, its systems, and their rows; `accuracy` is the classifier's on unchanged clips."""

    name: str
    pairs: Sequence[Pair]
    systems: Sequence[System]
    accuracy: dict[str, Any] | None = None
    rows: list[Row] = field(default_factory=list)


class Bench:
    """Measures systems on pairs, unless the measurements have the row already."""

    def __init__(
        self,
        classifier: StyleClassifier,
        classifier_key: str,
        excerpts: Excerpts,
        measurements: Measurements,
        notify: Callable[[str], None],
    ) -> None:
        self.classifier, self.classifier_key, self.excerpts = classifier, classifier_key, excerpts
        self.measurements, self._notify = measurements, notify
        self._analyze_file = lru_cache(maxsize=96)(lambda path: analyze(excerpts.load(path)))
        self._digest = lru_cache(maxsize=4096)(lambda path: hashlib.sha256(excerpts.load(path).tobytes()).digest())

    def run(self, split: Split) -> None:
        """Measure the rows of a split."""
        work = [(pair, system) for pair in split.pairs for system in split.systems if system.applies(pair)]
        began = reported = time.monotonic()
        measured = 0
        for number, (pair, system) in enumerate(work, start=1):
            key = self.key(pair, system)
            row = self.measurements.get(key)
            if row is None:
                row = self.measure(pair, system, key)
                self.measurements.add(row)
                measured += 1
            split.rows.append(row)
            now = time.monotonic()
            if now - reported >= PROGRESS_SECONDS or number == len(work):
                left = (now - began) / number * (len(work) - number)
                ending = f", about {left:.0f} s to go" if number < len(work) else f"; {measured} of them measured now"
                self._notify(f"{split.name}: {number} of {len(work)} results{ending}")
                reported = now

    def key(self, pair: Pair, system: System) -> str:
        """Digest of everything a row depends on."""
        digest = hashlib.sha256()
        about = (FORMAT, self.classifier_key, system.name, system.key, pair.split, pair.name)
        digest.update(repr((*about, pair.source_style, pair.target)).encode())
        for path in (pair.source, pair.truth, pair.style, pair.example):
            digest.update(self._digest(path) if path is not None else b"-")
        return digest.hexdigest()[:24]

    def measure(self, pair: Pair, system: System, key: str = "") -> Row:
        """Run a system on a pair and measure the result."""
        output = system.make(pair, self.excerpts)
        source, truth = load_pair(pair, self.excerpts)
        wav = fit_length(output.wav, len(source), len(source), system.name)
        copied = system.path(pair) if isinstance(system, Copy) else None
        unchanged = copied is not None and len(self.excerpts.load(copied)) == len(wav)
        result = self._analyze_file(copied) if unchanged else analyze(wav)
        predicted = self.classifier.predict(wav)
        styles = {"target": pair.target, "source": pair.source_style}
        metrics = {f"classified_as_{role}": float(predicted.genre == style) for role, style in styles.items()}
        metrics |= {f"{role}_probability": float(predicted.probabilities.get(one, 0.0)) for role, one in styles.items()}
        metrics |= content_kept(result, self._analyze_file(pair.source))
        if truth is not None:
            metrics |= distance_to_truth(result, self._analyze_file(pair.truth))
        return Row(
            key=key,
            split=pair.split,
            pair=pair.name,
            song=pair.song,
            source_style=pair.source_style,
            target=pair.target,
            system=system.name,
            classified_as=predicted.genre,
            metrics=metrics,
            seconds=len(source) / RATE,
            elapsed=output.elapsed,
            embedding=predicted.embedding,
        )


def measure_accuracy(
    classifier: StyleClassifier, clips: Sequence[Clip], excerpts: Excerpts, seed: int = 0
) -> dict[str, Any] | None:
    """Accuracy of the classifier on clips of known genre; None if none is readable."""
    of_path = {clip.path: clip for clip in clips}
    read = [(of_path[each.path], each.wav) for each in each_readable(of_path, excerpts.load)]
    if not read:
        return None
    right = [classifier.predict(wav).genre == clip.genre for clip, wav in read]
    by_style: dict[str, list[bool]] = {}
    for (clip, _), correct in zip(read, right, strict=True):
        by_style.setdefault(clip.genre, []).append(correct)
    low, high = mean_interval(right, [clip.song for clip, _ in read], seed=seed)
    styles = {style: statistics.fmean(values) for style, values in sorted(by_style.items())}
    return {"clips": len(right), "right": statistics.fmean(right), "low": low, "high": high, "by_style": styles}


def read_reference(
    classifier: StyleClassifier,
    clips: Sequence[Clip],
    styles: Sequence[str],
    excerpts: Excerpts,
    per_style: int | None = None,
) -> Reference:
    """Embed real clips of each style."""
    embeddings = {}
    for style in styles:
        paths = sorted(clip.path for clip in clips if clip.genre == style)
        if per_style is not None and len(paths) > per_style:
            paths = [paths[index * len(paths) // per_style] for index in range(per_style)]
        vectors = [classifier.predict(each.wav).embedding for each in each_readable(paths, excerpts.load)]
        embeddings[style] = np.stack(vectors) if vectors else np.zeros((0, 1))
    return Reference(embeddings)
