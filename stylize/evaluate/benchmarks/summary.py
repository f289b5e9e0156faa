"""Means with intervals of splits and systems, of strengths and mixtures, and against the baseline."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from stylize.evaluate.benchmarks.bench import Row, Split
from stylize.evaluate.metrics.content import CONTENT_METRICS
from stylize.evaluate.metrics.statistics import mean_interval, summarize
from stylize.evaluate.metrics.style import Reference
from stylize.evaluate.systems import BASELINE, COPY_CONTENT, Pair, Pipeline

if TYPE_CHECKING:
    from stylize.pipeline import Stylizer

CONTENT = "content"
"""The mean of the four content metrics."""
REDUCTION = "mel_reduction"
"""1 - mean mel L1 to the ground truth / that of the input."""
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
STRENGTH, MIXTURE = "strength", "mixture"
ROUNDING = 0.005
"""Smaller steps back are ignored."""
STYLE_METRICS = ("classified_as_target", "target_probability", "source_probability")


def summarize_split(split: Split, reference: Reference, seed: int = 0) -> dict[str, Any]:
    """Means of every system of a split, and how often its outputs are classified as each target style."""
    by_system = rows_by_system(split.rows)
    unchanged = {row.pair: row for row in by_system.get(COPY_CONTENT, [])}
    per_target = max(1, round(len(split.pairs) / max(1, len({pair.target for pair in split.pairs}))))
    return {
        "pairs": len(split.pairs),
        "songs": len({pair.song for pair in split.pairs}),
        "accuracy": split.accuracy,
        "reference_clips": reference.clips_per_style,
        "floor": reference.floor(per_target, seed) | {"clips_per_style": per_target},
        "systems": {name: summarize_system(rows, unchanged, reference, seed) for name, rows in by_system.items()},
        "targets": {name: count_targets(rows) for name, rows in by_system.items()},
    }


def rows_by_system(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of each system, in order of appearance."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.system, []).append(row)
    return found


def summarize_system(
    rows: Sequence[Row], unchanged: Mapping[str, Row], reference: Reference, seed: int = 0
) -> dict[str, Any]:
    """Means of one system with intervals over songs."""
    songs = [row.song for row in rows]
    metrics = {name: summarize([row.metrics[name] for row in rows], songs, seed=seed) for name in rows[0].metrics}
    metrics[CONTENT] = summarize([content_of(row) for row in rows], songs, seed=seed)
    if "mel_to_truth" in rows[0].metrics and all(row.pair in unchanged for row in rows):
        after = [row.metrics["mel_to_truth"] for row in rows]
        before = [unchanged[row.pair].metrics["mel_to_truth"] for row in rows]
        low, high = mean_interval(after, songs, before, seed=seed)
        mean = 1 - statistics.fmean(after) / max(statistics.fmean(before), 1e-12)
        metrics[REDUCTION] = {"mean": mean, "low": 1 - high, "high": 1 - low}
    elapsed = [row.elapsed for row in rows if row.elapsed is not None]
    seconds = sum(row.seconds for row in rows)
    return {
        "pairs": len(rows),
        "songs": len(set(songs)),
        "metrics": metrics,
        "distances": reference.distances(embeddings_by_target(rows)),
        "real_time_factor": seconds / max(sum(elapsed), 1e-9) if len(elapsed) == len(rows) else None,
    }


def embeddings_by_target(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Distinct embeddings of a system's outputs for each target style."""
    found: dict[str, dict[bytes, np.ndarray]] = {}
    for row in rows:
        found.setdefault(row.target, {})[row.embedding.tobytes()] = row.embedding
    return {style: np.stack(list(vectors.values())) for style, vectors in sorted(found.items())}


def content_of(row: Row) -> float:
    """The mean of the four content metrics of a row."""
    return statistics.fmean(row.metrics[name] for name in CONTENT_METRICS)


def count_targets(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """For each target style: outputs, how many are classified as it, and how many still as their source."""
    by_target: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.target):
        by_target.setdefault(row.target, []).append(row)
    names = ("classified_as_target", "classified_as_source")
    return {
        style: {"pairs": len(found), **{name: sum(int(row.metrics[name]) for row in found) for name in names}}
        for style, found in by_target.items()
    }


def sweep_systems(stylizer: Stylizer, weights: str) -> list[Pipeline]:
    """The pipeline at every strength, then with every share of the target style in a mixture with the source style."""
    mixtures = {0.0: "SOURCE", 1.0: "TARGET"}
    mixed = {step: mixtures.get(step, f"TARGET:{step:g},SOURCE:{1 - step:g}") for step in STEPS}
    return [
        *(Pipeline(f"{STRENGTH} {step:g}", stylizer, weights, strength=step) for step in STEPS),
        *(Pipeline(f"{MIXTURE} {step:g}", stylizer, weights, mixture=mixture) for step, mixture in mixed.items()),
    ]


def summarize_sweep(rows: Sequence[Row], pairs: Sequence[Pair]) -> dict[str, Any]:
    """For strength and mixture: means at every step, and whether style only rises and content only falls."""
    summary: dict[str, Any] = {"pairs": len(pairs)}
    for kind in (STRENGTH, MIXTURE):
        steps = [mean_of_step(rows, kind, step) for step in STEPS]
        summary[kind] = {
            "steps": [{"step": step, **means} for step, means in zip(STEPS, steps, strict=True)],
            "style_rises": rises([means["target_probability"] for means in steps]),
            "content_falls": rises([-means[CONTENT] for means in steps]),
        }
    return summary


def mean_of_step(rows: Sequence[Row], kind: str, step: float) -> dict[str, float]:
    """Means of style and content of all rows of one step."""
    chosen = [row for row in rows if row.system == f"{kind} {step:g}"]
    means = {name: statistics.fmean(row.metrics[name] for row in chosen) for name in STYLE_METRICS}
    return means | {CONTENT: statistics.fmean(map(content_of, chosen))}


def rises(values: Sequence[float]) -> bool:
    """Whether values never fall by `ROUNDING` or more, and the last is above the first."""
    return all(after > before - ROUNDING for before, after in pairwise(values)) and values[-1] > values[0]


def style_at_content(curve: Sequence[Mapping[str, float]], content: float) -> float:
    """The probability of the target style at an amount of content, interpolated between strengths in rising order."""
    best = curve[0]["target_probability"]
    for weaker, stronger in pairwise(curve):
        if stronger[CONTENT] >= content:
            best = stronger["target_probability"]
        elif weaker[CONTENT] >= content:
            part = (weaker[CONTENT] - content) / (weaker[CONTENT] - stronger[CONTENT])
            return weaker["target_probability"] + part * (stronger["target_probability"] - weaker["target_probability"])
    return best


def compare_with_baseline(
    rows: Sequence[Row], sweep_rows: Sequence[Row], system: str, reference: Reference
) -> dict[str, float] | None:
    """Style at equal content, and speed, on the pairs of both baseline and sweep; None if there are none."""
    systems = rows_by_system(rows)
    swept = {row.pair for row in sweep_rows}
    baseline = [row for row in systems.get(BASELINE, []) if row.pair in swept]
    pairs = {row.pair for row in baseline}
    forward = [row for row in systems.get(system, []) if row.pair in pairs]
    if not baseline or not forward:
        return None
    slow, fast = (summarize_system(part, {}, reference) for part in (baseline, forward))
    curve = [mean_of_step([row for row in sweep_rows if row.pair in pairs], STRENGTH, step) for step in STEPS]
    content = slow["metrics"][CONTENT]["mean"]
    return {
        "pairs": len(pairs),
        "baseline_content": content,
        "baseline_style": slow["metrics"]["target_probability"]["mean"],
        "style": style_at_content(curve, content),
        "speed_ratio": fast["real_time_factor"] / slow["real_time_factor"],
    }
