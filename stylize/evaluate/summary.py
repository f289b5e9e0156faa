"""From rows to means with intervals: plain values, the same for the same rows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stylize.evaluate.benchmark import Tier, embeddings_by_target
from stylize.evaluate.content import CONTENT_MEASURES
from stylize.evaluate.measurements import Row
from stylize.evaluate.style import Reference, interval_over_songs
from stylize.evaluate.systems import COPY_CONTENT

CONTENT = "content"
"""The mean of the four content measures."""
REDUCTION = "mel_reduction"
"""By how much a system shortens the way from the input to the truth: 1 - mean mel L1 / that of the input."""


def summarise_tier(tier: Tier, reference: Reference, seed: int = 0) -> dict[str, Any]:
    """Means of every system of a tier.

    Args:
        tier: measured.
        reference: real clips of the target styles.
        seed: of the bootstrap.

    Returns:
        plain values: `pairs`, `songs`, `accuracy` of the judge, `floor` of the distances, `systems`, and `targets`: how
        often each system's target style was heard.
    """
    by_system = rows_by_system(tier.rows)
    untouched = {row.pair: row for row in by_system.get(COPY_CONTENT, [])}
    per_target = max(1, round(len(tier.pairs) / max(1, len({pair.target for pair in tier.pairs}))))
    return {
        "pairs": len(tier.pairs),
        "songs": len({pair.song for pair in tier.pairs}),
        "accuracy": None if tier.accuracy is None else asdict(tier.accuracy),
        "reference_clips": reference.clips_per_style,
        "floor": reference.floor(per_target, seed) | {"clips_per_style": per_target},
        "systems": {name: summarise_system(rows, untouched, reference, seed) for name, rows in by_system.items()},
        "targets": {name: count_targets(rows) for name, rows in by_system.items()},
    }


def rows_by_system(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of each system, in the order in which the systems come first."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.system, []).append(row)
    return found


def summarise_system(
    rows: Sequence[Row], untouched: Mapping[str, Row], reference: Reference, seed: int = 0
) -> dict[str, Any]:
    """Means with intervals over songs of one system.

    Args:
        rows: of the system.
        untouched: the rows of the input by pair, for the reduction of distances.
        reference: real clips of the target styles.
        seed: of the bootstrap.
    """
    songs = [row.song for row in rows]
    measures = {}
    for name in rows[0].measures:
        measures[name] = _mean(songs, [row.measures[name] for row in rows], seed)
    measures[CONTENT] = _mean(songs, [content_of(row) for row in rows], seed)
    if "mel_to_truth" in rows[0].measures and all(row.pair in untouched for row in rows):
        measures[REDUCTION] = _reduction(rows, untouched, seed)
    elapsed = [row.elapsed for row in rows if row.elapsed is not None]
    seconds = sum(row.seconds for row in rows)
    return {
        "pairs": len(rows),
        "songs": len(set(songs)),
        "measures": measures,
        "distances": reference.distances(embeddings_by_target(rows)),
        "real_time_factor": seconds / max(sum(elapsed), 1e-9) if len(elapsed) == len(rows) else None,
    }


def content_of(row: Row) -> float:
    """The mean of the four content measures of a row."""
    return statistics.fmean(row.measures[name] for name in CONTENT_MEASURES)


def _mean(songs: Sequence[str], values: Sequence[float], seed: int) -> dict[str, float]:
    low, high = interval_over_songs(songs, values, seed)
    return {"mean": statistics.fmean(values), "low": low, "high": high}


def _reduction(rows: Sequence[Row], untouched: Mapping[str, Row], seed: int) -> dict[str, float]:
    """On the pairs that the system was run on."""
    distances = [row.measures["mel_to_truth"] for row in rows]
    before = [untouched[row.pair].measures["mel_to_truth"] for row in rows]
    low, high = interval_over_songs([row.song for row in rows], distances, seed, other=before)
    mean = 1 - statistics.fmean(distances) / max(statistics.fmean(before), 1e-12)
    return {"mean": mean, "low": 1 - high, "high": 1 - low}


def count_targets(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """For each target style: outputs, how many are heard as it, and how many still as their source."""
    counts: dict[str, dict[str, float]] = {}
    for row in sorted(rows, key=lambda row: row.target):
        count = counts.setdefault(row.target, {"pairs": 0, "target_heard": 0, "source_heard": 0})
        count["pairs"] += 1
        count["target_heard"] += int(row.measures["target_heard"])
        count["source_heard"] += int(row.measures["source_heard"])
    return counts
