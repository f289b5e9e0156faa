"""Aims, monotonicity and tables from figures that are known."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stylize.evaluate.aims import compare_with_baseline, judge_aims
from stylize.evaluate.content import CONTENT_MEASURES, TRUTH_MEASURES
from stylize.evaluate.measurements import Row
from stylize.evaluate.plots import save_trade_off
from stylize.evaluate.report import format_aims, format_sweep, format_tier, write_csv
from stylize.evaluate.style import Reference
from stylize.evaluate.summary import CONTENT, REDUCTION
from stylize.evaluate.sweep import STEPS, rises, style_at_content, summarise_sweep

FORWARD, EXAMPLE = "feed-forward", "feed-forward by example"


def system(heard: float, source: float, content: float, reduction: float = 0.4) -> dict[str, Any]:
    means = {"target_heard": heard, "source_heard": source, REDUCTION: reduction, CONTENT: content}
    means |= dict.fromkeys(CONTENT_MEASURES, content) | dict.fromkeys(TRUTH_MEASURES, 0.5)
    measures = {name: {"mean": mean, "low": mean - 0.05, "high": mean + 0.05} for name, mean in means.items()}
    return {"pairs": 9, "songs": 3, "measures": measures, "distances": None, "real_time_factor": 12.0}


def tiers(heard: float, content: float = 0.7, source: float = 0.05, reduction: float = 0.4) -> dict[str, Any]:
    systems = {
        FORWARD: system(heard, source, content, reduction),
        EXAMPLE: system(heard, source, content),
        "ground truth": system(1.0, 0.0, 0.6, 1.0),
    }
    common = {"pairs": 9, "songs": 3, "accuracy": None, "reference_clips": 0, "floor": {"clips_per_style": 1}}
    targets = {FORWARD: {"jazz": {"pairs": 5, "target_heard": 1}, "metal": {"pairs": 4, "target_heard": 4}}}
    return {
        name: {**common, "systems": systems, "targets": targets}
        for name in ("test", "test_groove", "test_soundfont", "real")
    }


def sweep(style: list[float], content: list[float]) -> dict[str, Any]:
    rows = [
        row(f"{kind} {step:g}", style[i], content[i])
        for kind in ("strength", "mixture")
        for i, step in enumerate(STEPS)
    ]
    return {"tier": "test", "system": FORWARD, **summarise_sweep(rows, [])}


def row(name: str, style: float, content: float, pair: str = "p", elapsed: float = 1.0) -> Row:
    measures = {"target_heard": float(style > 0.5), "target_probability": style, "source_probability": 1 - style}
    measures |= {"source_heard": 0.0} | dict.fromkeys(CONTENT_MEASURES, content)
    return Row("k", "test", pair, "s", "jazz", "metal", name, "pop", measures, 10.0, elapsed, np.zeros(3, np.float32))


GOOD_SWEEP = sweep([0.0, 0.1, 0.4, 0.8, 0.9], [1.0, 0.95, 0.9, 0.8, 0.7])
VERSUS = {"pairs": 3.0, "style": 0.8, "baseline_style": 0.3, "baseline_content": 0.8, "speed_ratio": 120.0}


def verdicts(found: dict[str, Any], sweep: Any = GOOD_SWEEP, versus: Any = VERSUS) -> dict[str, bool | None]:
    return {aim.text: aim.met for aim in judge_aims(found, FORWARD, EXAMPLE, sweep, versus)}


def test_a_good_model_meets_all_aims() -> None:
    found = verdicts(tiers(0.85))
    assert set(found.values()) == {True} and len(found) == 17


@pytest.mark.parametrize(
    ("found", "missed"),
    [
        (tiers(0.79), ["known grooves: target style heard in at least 80 %"]),
        (tiers(0.85, source=0.1), ["source style heard in less than 10 %"]),
        (tiers(0.85, content=0.59), ["content kept at least as well"] * 3),
        (tiers(0.85, reduction=0.29), ["at least 30 % below"] * 3),
        (tiers(0.59), ["heard in at least 80 %", *["heard in at least 60 %"] * 4]),
    ],
)
def test_a_missed_aim_is_missed(found: dict[str, Any], missed: list[str]) -> None:
    texts = [text for text, met in verdicts(found).items() if met is False]
    assert len(texts) == len(missed)
    for part in missed:
        assert any(part in text for text in texts)


def test_real_recordings_may_be_a_little_worse() -> None:
    found = tiers(0.85, content=0.75)
    found["real"]["systems"] = {FORWARD: system(0.85, 0.05, 0.66)}
    assert set(verdicts(found).values()) == {True}
    found["real"]["systems"] = {FORWARD: system(0.85, 0.05, 0.64)}
    assert [text for text, met in verdicts(found).items() if not met] == [
        "real recordings, held-out sources: chroma and onsets no worse than on rendered songs minus 0.1"
    ]


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    found = verdicts({"test": tiers(0.85)["test"]}, sweep=None, versus=None)
    assert list(found.values()).count(None) == 12 and False not in found.values()
    table = format_aims(judge_aims({}, FORWARD, EXAMPLE, None, None))
    assert all("| - | not measured in this run |" in line for line in table[4:])


def test_baseline_and_speed_by_hand() -> None:
    rows = [row("baseline", 0.3, 0.85, "p", elapsed=100.0), row("baseline", 0.9, 0.2, "elsewhere", elapsed=1.0)]
    rows += [row(FORWARD, 0.9, 0.7, name, elapsed=0.5) for name in ("p", "q")]
    strengths = [row(f"strength {step:g}", step, 1 - 0.3 * step) for step in STEPS]
    found = compare_with_baseline(rows, strengths, FORWARD, Reference({}))
    expected = {"pairs": 1, "baseline_content": 0.85, "baseline_style": 0.3, "style": 0.5, "speed_ratio": 200}
    assert found == pytest.approx(expected)
    assert compare_with_baseline(rows[2:], strengths, FORWARD, Reference({})) is None
    behind = verdicts(tiers(0.85), versus=VERSUS | {"style": 0.2, "speed_ratio": 99.0})
    assert list(behind.values()).count(False) == 2


def test_style_at_equal_content_lies_between_strengths() -> None:
    curve = [{"target_probability": step, CONTENT: 1 - step / 2} for step in STEPS]
    assert style_at_content(curve, 0.75) == pytest.approx(0.5)
    assert style_at_content(curve, 0.7) == pytest.approx(0.6)
    assert style_at_content(curve, 0.1) == 1.0
    assert style_at_content(curve, 1.5) == 0.0


def test_rising_means_rising() -> None:
    assert rises([0.0, 0.1, 0.1, 0.5]) and not rises([0.0, 0.2, 0.1, 0.5]) and not rises([0.3, 0.3])
    bad = sweep([0.0, 0.1, 0.05, 0.8, 0.9], [1.0, 0.95, 0.97, 0.8, 0.7])
    assert not bad["strength"]["style_rises"] and not bad["mixture"]["content_falls"]
    assert list(verdicts(tiers(0.85), sweep=bad).values()).count(False) == 2
    assert "does **not** rise at every step" in "\n".join(format_sweep(bad)).lower()


def test_a_tier_names_its_worst_styles() -> None:
    lines = format_tier("test", tiers(0.85)["test"], FORWARD)
    assert lines[0] == "## new songs, known grooves (`test`)"
    assert "the worst styles first: jazz 1 of 5, metal 4 of 4." in lines[-1]
    header, forward = lines[4], lines[6]
    assert header.count("|") == forward.count("|")
    assert forward.startswith("| feed-forward | 9 | 85 % [80, 90] | 5 % | - | - | 0.700 |")


def test_csv_has_a_line_for_each_pair_and_system(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", [row(FORWARD, 1 / 3, 0.7), row("baseline", 0.2, 0.6)])
    with (tmp_path / "rows.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [line["system"] for line in lines] == [FORWARD, "baseline"]
    assert lines[0]["target_probability"] == "0.333333" and lines[0]["mel_to_truth"] == ""


def test_the_plot_shows_every_system_of_every_tier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    points: list[tuple[float, float, str]] = []
    monkeypatch.setattr(
        Axes, "errorbar", lambda self, x, y, label, **options: points.append((float(x), float(y), label))
    )
    found = tiers(0.85)
    del found["real"]
    save_trade_off(tmp_path / "plot.png", found, GOOD_SWEEP)
    assert points == [(0.7, 0.85, FORWARD), (0.7, 0.85, EXAMPLE), (0.6, 1.0, "ground truth")] * 3
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
