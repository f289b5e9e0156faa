"""What the translator is to reach, and whether it does, with the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stylize.evaluate.content import CONTENT_MEASURES
from stylize.evaluate.material import REAL_TIER, RENDERED_TIERS, TIER_TITLES
from stylize.evaluate.measurements import Row
from stylize.evaluate.style import Reference
from stylize.evaluate.summary import CONTENT, REDUCTION, rows_by_system, summarise_system
from stylize.evaluate.sweep import MIXTURE, STEPS, STRENGTH, mean_of_step, style_at_content
from stylize.evaluate.systems import BASELINE, GROUND_TRUTH

LEAST_HEARD = {"test": 0.8, "test_groove": 0.6, "test_soundfont": 0.6, REAL_TIER: 0.6}
MOST_SOURCE = 0.1
LEAST_REDUCTION = 0.3
LEAST_BY_EXAMPLE = 0.6
LEAST_SPEED_RATIO = 100.0
REAL_MARGIN = 0.1
SHORT = {"chroma": "chroma", "pitch_f1": "notes", "onset_f1": "onsets", "beat_f1": "beats"}

Tiers = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Aim:
    """One aim.

    Args:
        text: what is to be reached.
        met: whether it is; None where this run did not measure it.
        numbers: what was found.
    """

    text: str
    met: bool | None
    numbers: str


def judge_aims(
    tiers: Tiers,
    system: str,
    by_example: str,
    sweep: Mapping[str, Any] | None,
    versus_baseline: Mapping[str, float] | None,
) -> list[Aim]:
    """All aims.

    Args:
        tiers: summaries by name.
        system: name of the feed-forward system that is judged.
        by_example: name of its row by example.
        sweep: see :func:`stylize.evaluate.sweep.summarise_sweep`.
        versus_baseline: see :func:`compare_with_baseline`.
    """
    aims = []
    for tier in (*RENDERED_TIERS, REAL_TIER):
        aims += _style_aims(tiers, tier, system)
        aims.append(_content_aim(tiers, tier, system) if tier != REAL_TIER else _real_content_aim(tiers, system))
    aims += [_reduction_aim(tiers, tier, system) for tier in RENDERED_TIERS]
    aims += _baseline_aims(versus_baseline)
    aims.append(_heard_aim(tiers, "test", by_example, LEAST_BY_EXAMPLE, "by one example, unseen song and groove"))
    return [*aims, *(_monotone_aim(sweep, kind) for kind in (STRENGTH, MIXTURE))]


def _measures(tiers: Tiers, tier: str, system: str) -> Mapping[str, Mapping[str, float]] | None:
    found = tiers.get(tier, {}).get("systems", {}).get(system)
    return None if found is None else found["measures"]


def _percent(value: Mapping[str, float]) -> str:
    return f"{100 * value['mean']:.0f} % ({100 * value['low']:.0f} to {100 * value['high']:.0f})"


def _missing(text: str) -> Aim:
    return Aim(text, None, "not measured in this run")


def _heard_aim(tiers: Tiers, tier: str, system: str, least: float, where: str) -> Aim:
    text = f"{where}: target style heard in at least {100 * least:.0f} %"
    measures = _measures(tiers, tier, system)
    if measures is None:
        return _missing(text)
    found = _percent(measures["target_heard"])
    truth = _measures(tiers, tier, GROUND_TRUTH)
    if truth is not None:
        found += f"; ground truth {100 * truth['target_heard']['mean']:.0f} %"
    return Aim(text, measures["target_heard"]["mean"] >= least, found)


def _style_aims(tiers: Tiers, tier: str, system: str) -> list[Aim]:
    aims = [_heard_aim(tiers, tier, system, LEAST_HEARD[tier], TIER_TITLES[tier])]
    if tier == "test":
        text = f"{TIER_TITLES[tier]}: source style heard in less than {100 * MOST_SOURCE:.0f} %"
        measures = _measures(tiers, tier, system)
        if measures is None:
            return [*aims, _missing(text)]
        value = measures["source_heard"]
        aims.append(Aim(text, value["mean"] < MOST_SOURCE, _percent(value)))
    return aims


def _content_aim(tiers: Tiers, tier: str, system: str) -> Aim:
    text = f"{TIER_TITLES[tier]}: content kept at least as well as the ground truth keeps it, by all four measures"
    measures, yardstick = _measures(tiers, tier, system), _measures(tiers, tier, GROUND_TRUTH)
    if measures is None or yardstick is None:
        return _missing(text)
    pairs = {name: (measures[name]["mean"], yardstick[name]["mean"]) for name in CONTENT_MEASURES}
    numbers = ", ".join(f"{SHORT[name]} {value:.3f} ({bar:.3f})" for name, (value, bar) in pairs.items())
    return Aim(text, all(value >= bar for value, bar in pairs.values()), f"{numbers}; ground truth in brackets")


def _real_content_aim(tiers: Tiers, system: str) -> Aim:
    text = f"{TIER_TITLES[REAL_TIER]}: chroma and onsets no worse than on rendered songs minus {REAL_MARGIN:g}"
    real, rendered = _measures(tiers, REAL_TIER, system), _measures(tiers, "test", system)
    if real is None or rendered is None:
        return _missing(text)
    pairs = {name: (real[name]["mean"], rendered[name]["mean"]) for name in ("chroma", "onset_f1")}
    numbers = ", ".join(f"{SHORT[name]} {value:.3f} ({bar:.3f})" for name, (value, bar) in pairs.items())
    met = all(value >= bar - REAL_MARGIN for value, bar in pairs.values())
    return Aim(text, met, f"{numbers}; rendered songs in brackets")


def _reduction_aim(tiers: Tiers, tier: str, system: str) -> Aim:
    text = f"{TIER_TITLES[tier]}: mel L1 to the ground truth at least {100 * LEAST_REDUCTION:.0f} % below the input's"
    measures = _measures(tiers, tier, system)
    if measures is None or REDUCTION not in measures:
        return _missing(text)
    return Aim(text, measures[REDUCTION]["mean"] >= LEAST_REDUCTION, _percent(measures[REDUCTION]))


def _baseline_aims(found: Mapping[str, float] | None) -> list[Aim]:
    style = "ahead of the baseline in style at equal content"
    speed = f"at least {LEAST_SPEED_RATIO:.0f} × faster than the baseline"
    if found is None:
        return [_missing(style), _missing(speed)]
    numbers = (
        f"probability of the target style {found['style']:.3f} against {found['baseline_style']:.3f} where both keep "
        f"{found['baseline_content']:.3f} of the content; {found['pairs']:.0f} pairs"
    )
    return [
        Aim(style, found["style"] > found["baseline_style"], numbers),
        Aim(speed, found["speed_ratio"] >= LEAST_SPEED_RATIO, f"{found['speed_ratio']:.0f} ×"),
    ]


def compare_with_baseline(
    rows: Sequence[Row], sweep_rows: Sequence[Row], system: str, reference: Reference
) -> dict[str, float] | None:
    """Style at equal content, and speed, on the pairs that baseline and sweep were both run on.

    Args:
        rows: of the sweep's tier.
        sweep_rows: of the strengths.
        system: name of the feed-forward system.
        reference: real clips of the target styles.

    Returns:
        plain values; None where there is no such pair.
    """
    systems = rows_by_system(rows)
    swept = {row.pair for row in sweep_rows}
    baseline = [row for row in systems.get(BASELINE, []) if row.pair in swept]
    pairs = {row.pair for row in baseline}
    forward = [row for row in systems.get(system, []) if row.pair in pairs]
    if not baseline or not forward:
        return None
    slow, fast = (summarise_system(part, {}, reference) for part in (baseline, forward))
    curve = [mean_of_step([row for row in sweep_rows if row.pair in pairs], STRENGTH, step) for step in STEPS]
    content = slow["measures"][CONTENT]["mean"]
    return {
        "pairs": len(pairs),
        "baseline_content": content,
        "baseline_style": slow["measures"]["target_probability"]["mean"],
        "style": style_at_content(curve, content),
        "speed_ratio": fast["real_time_factor"] / slow["real_time_factor"],
    }


def _monotone_aim(sweep: Mapping[str, Any] | None, kind: str) -> Aim:
    name = "--strength" if kind == STRENGTH else "share of the target style in a mixture with the source style"
    text = f"{name} from 0 to 1: style measure up, content measure down"
    if sweep is None:
        return _missing(text)
    found = sweep[kind]
    parts = [" ".join(f"{step[measure]:.3f}" for step in found["steps"]) for measure in ("target_probability", CONTENT)]
    met = found["style_rises"] and found["content_falls"]
    return Aim(text, met, f"style {parts[0]}; content {parts[1]}")
