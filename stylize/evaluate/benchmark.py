"""Run systems on pairs and measure what they make."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from stylize.evaluate.content import Analysis, analyse, content_kept, nearness_to_truth
from stylize.evaluate.material import Excerpts, Pair
from stylize.evaluate.measurements import Measurements, Row
from stylize.evaluate.multipitch import RATE
from stylize.evaluate.style import Accuracy, Judge
from stylize.evaluate.systems import COPY_CONTENT, COPY_STYLE, GROUND_TRUTH, System

logger = logging.getLogger(__name__)

FORMAT = 1
"""Raise it when a measure changes: rows measured before are then measured again."""
NEWS_SECONDS = 15.0
"""How often a running benchmark says how far it is."""


@dataclass
class Tier:
    """A tier, its systems, and what they came to.

    Args:
        name: of the tier.
        pairs: in a balanced order.
        systems: in the order of the table.
        accuracy: of the judge on untouched clips of the tier; None where no genre is known.
        rows: what was measured.
    """

    name: str
    pairs: Sequence[Pair]
    systems: Sequence[System]
    accuracy: Accuracy | None = None
    rows: list[Row] = field(default_factory=list)

    @property
    def work(self) -> list[tuple[Pair, System]]:
        """What is to be measured, pair by pair."""
        return [(pair, system) for pair in self.pairs for system in self.systems if system.applies(pair)]


class Bench:
    """Measures rows, or takes them from those that were measured before.

    Args:
        judge: hears styles.
        judge_key: of its weights.
        excerpts: of the recordings.
        measurements: where rows are kept.
        say: is told how far it is.
    """

    def __init__(
        self,
        judge: Judge,
        judge_key: str,
        excerpts: Excerpts,
        measurements: Measurements,
        say: Callable[[str], None] = logger.info,
    ) -> None:
        self.judge, self.judge_key, self.excerpts = judge, judge_key, excerpts
        self.measurements, self._say = measurements, say
        # Inputs and truths are in many pairs.
        self._analyse_file = lru_cache(maxsize=96)(lambda path: analyse(excerpts.load(path)))

    def run(self, tier: Tier) -> None:
        """Fill in the rows of a tier."""
        work, began, said, measured = tier.work, time.monotonic(), time.monotonic(), 0
        for number, (pair, system) in enumerate(work, start=1):
            key = self.key(pair, system)
            row = self.measurements.get(key)
            if row is None:
                row = self.measure(pair, system, key)
                self.measurements.add(row)
                measured += 1
            tier.rows.append(row)
            now = time.monotonic()
            if now - said >= NEWS_SECONDS or number == len(work):
                left = (now - began) / number * (len(work) - number)
                ending = f", about {left:.0f} s to go" if number < len(work) else f"; {measured} of them measured now"
                self._say(f"{tier.name}: {number} of {len(work)} results{ending}")
                said = now

    def key(self, pair: Pair, system: System) -> str:
        """Digest of all that a row depends on."""
        digest = hashlib.sha256()
        about = (FORMAT, self.judge_key, system.name, system.key, pair.tier, pair.name, pair.source_style, pair.target)
        digest.update(repr(about).encode())
        for path in (pair.source, pair.truth, pair.style, pair.example):
            digest.update(self._digest(path) if path is not None else b"-")
        return digest.hexdigest()[:24]

    @lru_cache(maxsize=4096)  # noqa: B019  (a bench lives as long as the command)
    def _digest(self, path: object) -> bytes:
        return hashlib.sha256(self.excerpts.load(path).tobytes()).digest()  # type: ignore[arg-type]

    def measure(self, pair: Pair, system: System, key: str = "") -> Row:
        """Run a system on a pair and measure the result."""
        made = system.make(pair, self.excerpts)
        source, truth = self.excerpts.of_pair(pair)
        wav = made.wav if len(made.wav) == len(source) else _as_long(made.wav, len(source))
        known = {COPY_CONTENT: pair.source, GROUND_TRUTH: pair.truth, COPY_STYLE: pair.style}.get(system.name)
        result = self._analysis(known, wav)
        heard = self.judge.listen(wav)
        measures = {
            "target_heard": float(heard.genre == pair.target),
            "source_heard": float(heard.genre == pair.source_style),
            "target_probability": float(heard.probabilities.get(pair.target, 0.0)),
            "source_probability": float(heard.probabilities.get(pair.source_style, 0.0)),
        }
        measures |= content_kept(result, self._analyse_file(pair.source))
        if truth is not None:
            measures |= nearness_to_truth(result, self._analyse_file(pair.truth))
        return Row(
            key=key,
            tier=pair.tier,
            pair=pair.name,
            song=pair.song,
            source_style=pair.source_style,
            target=pair.target,
            system=system.name,
            heard=heard.genre,
            measures=measures,
            seconds=len(source) / RATE,
            elapsed=made.elapsed,
            embedding=heard.embedding,
        )

    def _analysis(self, path: object, wav: np.ndarray) -> Analysis:
        """Of a file as it is, remembered; of anything else, made anew."""
        if path is not None and len(self.excerpts.load(path)) == len(wav):  # type: ignore[arg-type]
            return self._analyse_file(path)  # type: ignore[arg-type]
        return analyse(wav)


def _as_long(wav: np.ndarray, samples: int) -> np.ndarray:
    """Another song, cut or continued with silence to the length of the input."""
    return np.pad(wav[:samples], (0, max(0, samples - len(wav))))


def embeddings_by_target(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Embeddings of a system's outputs for each target style; equal ones, of clips used twice, count once."""
    found: dict[str, dict[bytes, np.ndarray]] = {}
    for row in rows:
        found.setdefault(row.target, {})[row.embedding.tobytes()] = row.embedding
    return {style: np.stack(list(vectors.values())) for style, vectors in sorted(found.items())}
