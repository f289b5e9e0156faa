"""Targets, monotonicity and tables from figures that are known."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stylize.evaluate.benchmarks.bench import Row
from stylize.evaluate.benchmarks.summary import (
    CONTENT,
    REDUCTION,
    STEPS,
    compare_with_baseline,
    rises,
    style_at_content,
    summarize_sweep,
)
from stylize.evaluate.benchmarks.translator_report import format_split, format_sweep, rows_csv, save_trade_off
from stylize.evaluate.benchmarks.verdict import Verdict, check_targets, format_verdicts, load_targets, plain
from stylize.evaluate.metrics.content import CONTENT_METRICS, TRUTH_METRICS
from stylize.evaluate.metrics.style import Reference

FORWARD, EXAMPLE = "translator", "translator-by-example"


def system(target: float, source: float, content: float, reduction: float = 0.4) -> dict[str, Any]:
    means = {"classified_as_target": target, "classified_as_source": source, REDUCTION: reduction, CONTENT: content}
    means |= dict.fromkeys(CONTENT_METRICS, content) | dict.fromkeys(TRUTH_METRICS, 0.5)
    measures = {name: {"mean": mean, "low": mean - 0.05, "high": mean + 0.05} for name, mean in means.items()}
    return {"pairs": 9, "songs": 3, "metrics": measures, "distances": None, "real_time_factor": 12.0}


def splits(target: float, content: float = 0.7, source: float = 0.05, reduction: float = 0.4) -> dict[str, Any]:
    systems = {
        FORWARD: system(target, source, content, reduction),
        EXAMPLE: system(target, source, content),
        "ground-truth": system(1.0, 0.0, 0.6, 1.0),
    }
    common = {"pairs": 9, "songs": 3, "accuracy": None, "reference_clips": 0, "floor": {"clips_per_style": 1}}
    counts = {"jazz": {"pairs": 5, "classified_as_target": 1}, "metal": {"pairs": 4, "classified_as_target": 4}}
    targets = {FORWARD: counts}
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
    return {"split": "test", "system": FORWARD, **summarize_sweep(rows, [])}


def row(name: str, style: float, content: float, pair: str = "p", elapsed: float = 1.0) -> Row:
    measures = {"classified_as_target": float(style > 0.5), "target_probability": style}
    measures |= {"source_probability": 1 - style}
    measures |= {"classified_as_source": 0.0} | dict.fromkeys(CONTENT_METRICS, content)
    return Row("k", "test", pair, "s", "jazz", "metal", name, "pop", measures, 10.0, elapsed, np.zeros(3, np.float32))


GOOD_SWEEP = sweep([0.0, 0.1, 0.4, 0.8, 0.9], [1.0, 0.95, 0.9, 0.8, 0.7])
VERSUS = {"pairs": 3.0, "style": 0.8, "baseline_style": 0.3, "baseline_content": 0.8, "speed_ratio": 120.0}


def decide(found: dict[str, Any], sweep: Any = GOOD_SWEEP, versus: Any = VERSUS) -> list[Verdict]:
    report = {"splits": found, "sweep": sweep, "versus_baseline": versus}
    return check_targets(load_targets("translator")["all"], report, translator=FORWARD, by_example=EXAMPLE)


def verdicts(found: dict[str, Any], sweep: Any = GOOD_SWEEP, versus: Any = VERSUS) -> dict[str, bool | None]:
    return {verdict.target: verdict.met for verdict in decide(found, sweep, versus)}


def test_a_good_model_meets_all_targets() -> None:
    found = verdicts(splits(0.85))
    assert set(found.values()) == {True} and len(found) == 17


@pytest.mark.parametrize(
    ("found", "missed"),
    [
        (splits(0.79), ["known grooves: classified as the target style in at least 80 %"]),
        (splits(0.85, source=0.1), ["classified as the source style in less than 10 %"]),
        (splits(0.85, content=0.59), ["content kept at least as well"] * 3),
        (splits(0.85, reduction=0.29), ["at least 30 % below"] * 3),
        (splits(0.59), ["target style in at least 80 %", *["target style in at least 60 %"] * 4]),
    ],
)
def test_a_missed_target_is_missed(found: dict[str, Any], missed: list[str]) -> None:
    texts = [text for text, met in verdicts(found).items() if met is False]
    assert len(texts) == len(missed)
    for part in missed:
        assert any(part in text for text in texts)


def test_real_recordings_may_be_a_little_worse() -> None:
    found = splits(0.85, content=0.75)
    found["real"]["systems"] = {FORWARD: system(0.85, 0.05, 0.66)}
    assert set(verdicts(found).values()) == {True}
    found["real"]["systems"] = {FORWARD: system(0.85, 0.05, 0.64)}
    assert [text for text, met in verdicts(found).items() if not met] == [
        "real recordings, held-out sources: chroma and onsets no worse than on rendered songs minus 0.1"
    ]


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    found = verdicts({"test": splits(0.85)["test"]}, sweep=None, versus=None)
    assert list(found.values()).count(None) == 12 and False not in found.values()
    table = format_verdicts(plain(decide({}, None, None)))
    assert all("| - | not measured in this run |" in line for line in table[4:])


def test_a_verdict_names_its_figures() -> None:
    found = {verdict.target.partition(":")[0]: verdict.found for verdict in reversed(decide(splits(0.85)))}
    assert found["new songs, known grooves"] == "85 % (80 % to 90 %), ground truth 100 %"
    assert found["ahead of the baseline in style at equal content"] == (
        "probability of the target style 0.800 against 0.300, content kept by both 0.800, pairs 3"
    )
    assert found["--strength from 0 to 1"].startswith("style 0.000 0.100 0.400 0.800 0.900, content 1.000")


def test_baseline_and_speed_by_hand() -> None:
    rows = [row("baseline", 0.3, 0.85, "p", elapsed=100.0), row("baseline", 0.9, 0.2, "elsewhere", elapsed=1.0)]
    rows += [row(FORWARD, 0.9, 0.7, name, elapsed=0.5) for name in ("p", "q")]
    strengths = [row(f"strength {step:g}", step, 1 - 0.3 * step) for step in STEPS]
    found = compare_with_baseline(rows, strengths, FORWARD, Reference({}))
    expected = {"pairs": 1, "baseline_content": 0.85, "baseline_style": 0.3, "style": 0.5, "speed_ratio": 200}
    assert found == pytest.approx(expected)
    assert compare_with_baseline(rows[2:], strengths, FORWARD, Reference({})) is None
    behind = verdicts(splits(0.85), versus=VERSUS | {"style": 0.2, "speed_ratio": 99.0})
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
    assert list(verdicts(splits(0.85), sweep=bad).values()).count(False) == 2
    assert "does **not** rise at every step" in "\n".join(format_sweep(bad)).lower()


def test_a_split_names_its_worst_styles() -> None:
    lines = format_split("test", splits(0.85)["test"], FORWARD)
    assert lines[0] == "## new songs, known grooves (`test`)"
    assert "the worst styles first: jazz 1 of 5, metal 4 of 4." in lines[-1]
    header, forward = lines[4], lines[6]
    assert header.count("|") == forward.count("|")
    assert forward.startswith("| translator | 9 | 85 % [80, 90] | 5 % | - | - | 0.700 |")


def test_csv_has_a_line_for_each_pair_and_system() -> None:
    text = rows_csv([row(FORWARD, 1 / 3, 0.7), row("baseline", 0.2, 0.6)])
    lines = list(csv.DictReader(text.splitlines()))
    assert [line["system"] for line in lines] == [FORWARD, "baseline"]
    assert lines[0]["target_probability"] == "0.333333" and lines[0]["mel_to_truth"] == ""


def test_the_plot_shows_every_system_of_every_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    points: list[tuple[float, float, str]] = []
    monkeypatch.setattr(
        Axes, "errorbar", lambda self, x, y, label, **options: points.append((float(x), float(y), label))
    )
    found = splits(0.85)
    del found["real"]
    save_trade_off(tmp_path / "plot.png", found, GOOD_SWEEP)
    assert points == [(0.7, 0.85, FORWARD), (0.7, 0.85, EXAMPLE), (0.6, 1.0, "ground-truth")] * 3
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
