"""Does a style come in step by step: strengths from 0 to 1, and mixtures of the source style with the target style."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from stylize.evaluate.material import Pair
from stylize.evaluate.measurements import Row
from stylize.evaluate.summary import CONTENT, content_of
from stylize.evaluate.systems import FeedForward

if TYPE_CHECKING:
    from stylize.pipeline import Stylizer

STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
STRENGTH, MIXTURE = "strength", "mixture"
ROUNDING = 0.005
"""A step back by less than this is none: probabilities near 0 move by as much without a reason."""
STYLE_MEASURES = ("target_heard", "target_probability", "source_probability")


def sweep_systems(stylizer: Stylizer, key: str) -> list[FeedForward]:
    """The pipeline at every strength, then with every share of the target style in a mixture with the source style."""
    mixtures = ["SOURCE", *(f"TARGET:{step:g},SOURCE:{1 - step:g}" for step in STEPS[1:-1]), "TARGET"]
    return [
        *(FeedForward(f"{STRENGTH} {step:g}", stylizer, key, strength=step) for step in STEPS),
        *(
            FeedForward(f"{MIXTURE} {step:g}", stylizer, key, mixture=mixture)
            for step, mixture in zip(STEPS, mixtures, strict=True)
        ),
    ]


def summarise_sweep(rows: Sequence[Row], pairs: Sequence[Pair]) -> dict[str, Any]:
    """Means at every step, and whether style only rises and content only falls.

    Returns:
        plain values: `pairs`, and for strength and mixture `steps` (means of the measures), `style_rises` and
        `content_falls`.
    """
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
    """Means of style and content of all rows of one step.

    Raises:
        ValueError: there is none.
    """
    chosen = [row for row in rows if row.system == f"{kind} {step:g}"]
    if not chosen:
        raise ValueError(f"no row of {kind} {step:g}")
    means = {name: statistics.fmean(row.measures[name] for row in chosen) for name in STYLE_MEASURES}
    return means | {CONTENT: statistics.fmean(map(content_of, chosen))}


def rises(values: Sequence[float]) -> bool:
    """Whether no value is below the one before it by `ROUNDING` or more, and the last is above the first."""
    return all(after > before - ROUNDING for before, after in pairwise(values)) and values[-1] > values[0]


def style_at_content(curve: Sequence[Mapping[str, float]], content: float) -> float:
    """The style measure that a system reaches where it keeps so much content, between the steps of its strength.

    Args:
        curve: `content` and `target_probability` of each strength, the weakest first.
        content: to be kept at least; where all strengths keep more, the strongest counts, and where all keep less, the
            weakest.
    """
    best = curve[0]["target_probability"]
    for weaker, stronger in pairwise(curve):
        if stronger[CONTENT] >= content:
            best = stronger["target_probability"]
        elif weaker[CONTENT] >= content:
            part = (weaker[CONTENT] - content) / (weaker[CONTENT] - stronger[CONTENT])
            return weaker["target_probability"] + part * (stronger["target_probability"] - weaker["target_probability"])
    return best
