"""The table of a comparison, in known numbers, and its figure."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from stylize.evaluate.compare import (
    EXPLANATION,
    METRICS,
    SYSTEMS,
    ComparisonRow,
    ComparisonTable,
    Metrics,
)
from stylize.evaluate.figures import MelPanel, draw_mels, save_figure
from stylize.evaluate.report import write_text


def row(style: str, system: str, elapsed: float | None, chroma: float, timbre: float = 12.345) -> ComparisonRow:
    metrics = Metrics(chroma=chroma, onsets=-0.25, style=0.5, genre=0.125, timbre=timbre)
    return ComparisonRow(style, "metal", system, Path("out", f"{style}.{system}.wav"), 10.0, elapsed, metrics)


def table(*styles: str) -> ComparisonTable:
    rows = []
    for index, style in enumerate(styles):
        rows += [
            row(style, "copy-content", None, 1.0),
            row(style, "copy-style", None, 0.5),
            row(style, "translator", 0.5 + index, 0.8),
            row(style, "baseline", 40.0, 0.6 + 0.2 * index, timbre=2.0 * index),
        ]
    return ComparisonTable("song.wav", tuple(rows))


def test_text_has_a_line_for_each_system() -> None:
    assert table("rock").text() == "\n".join(
        [
            "content: song.wav",
            "",
            "style: rock, classified as metal",
            "                  seconds  x real time   chroma   onsets    style    genre   timbre",
            "  copy-content          -            -    1.000   -0.250    0.500    0.125    12.35",
            "  copy-style            -            -    0.500   -0.250    0.500    0.125    12.35",
            "  translator         0.50           20    0.800   -0.250    0.500    0.125    12.35",
            "  baseline          40.00         0.25    0.600   -0.250    0.500    0.125     0.00",
            "",
            EXPLANATION,
        ]
    )


def test_means_are_over_styles_and_times_are_added_up() -> None:
    both = table("rock", "jazz")
    factor, metrics = both.mean("baseline")
    assert factor == pytest.approx(20 / 80)
    assert (metrics.chroma, metrics.timbre) == (pytest.approx(0.7), pytest.approx(1.0))
    assert both.mean("translator")[0] == pytest.approx(20 / 2)  # 10 s in 0.5 s and in 1.5 s, not (20 + 6.7) / 2
    assert both.mean("copy-style") == (None, both.rows[1].metrics)
    assert both.styles == ["rock", "jazz"]
    lines = both.text().splitlines()
    assert lines[16:19] == [
        "mean of 2 styles",
        "                  seconds  x real time   chroma   onsets    style    genre   timbre",
        "  copy-content          -            -    1.000   -0.250    0.500    0.125    12.35",
    ]
    assert lines[21] == "  baseline              -         0.25    0.700   -0.250    0.500    0.125     1.00"


def test_csv_has_all_numbers() -> None:
    rows = list(csv.DictReader(table("rock", "jazz").csv().splitlines()))
    assert [(line["style"], line["system"]) for line in rows] == [
        (style, system) for style in ("rock", "jazz") for system in SYSTEMS
    ]
    assert rows[7] == {
        "content": "song.wav", "style": "jazz", "style_genre": "metal", "system": "baseline",
        "file": "jazz.baseline.wav", "seconds": "10", "elapsed": "40", "real_time_factor": "0.25",
        "chroma": "0.8", "onsets": "-0.25", "style_similarity": "0.5", "genre": "0.125", "timbre": "2",
    }  # fmt: skip
    assert rows[0]["elapsed"] == rows[0]["real_time_factor"] == ""


def test_every_measure_is_in_the_explanation() -> None:
    assert all(name in EXPLANATION for name in METRICS)


def test_figure_is_a_png_with_a_row_for_each_style(tmp_path: Path) -> None:
    mel = np.random.default_rng(0).uniform(-5, 1, (12, 40))
    panels = [MelPanel(name, mel, 2.0) for name in SYSTEMS]
    sizes = []
    for count in (1, 3):
        save_figure(draw_mels([panels] * count), tmp_path / "figure.png")
        data = (tmp_path / "figure.png").read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        sizes.append((int.from_bytes(data[16:20]), int.from_bytes(data[20:24])))
    assert sizes[0][0] == sizes[1][0] and sizes[1][1] == 3 * sizes[0][1]
    silent = np.full((12, 40), -5.0)
    save_figure(draw_mels([[MelPanel("silence", silent, 2.0)]]), tmp_path / "silent.png")


def test_any_file_name_can_be_shown(tmp_path: Path) -> None:
    write_text(tmp_path / "table.csv", table("caf\udce9 $1", "jazz").csv())
    assert "caf\\udce9 $1," in (tmp_path / "table.csv").read_text(encoding="utf-8")
    panel = MelPanel("caf\udce9 $_{", np.zeros((12, 40)), 2.0)
    save_figure(draw_mels([[panel]]), tmp_path / "figure.png")
