"""Curves of runs are read as they were written, smoothed by a median, and drawn; other folders are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.plot_training import plot
from stylize.evaluate.curves import read_curves, running_median
from stylize_core.errors import UserError


def write_run(folder: Path, level: float) -> Path:
    folder.mkdir()
    records = [{"step": step, "pair": level + step / 100} for step in range(0, 100, 10)]
    records.append({"step": 90, "valid/score": level})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def test_curves_are_read_by_name(tmp_path: Path) -> None:
    curves = read_curves(write_run(tmp_path / "run", 1.0))
    assert curves["pair"][:2] == [(0, 1.0), (10, 1.1)] and len(curves["pair"]) == 10
    assert curves["valid/score"] == [(90, 1.0)]


def test_the_running_median_leaves_single_peaks_out() -> None:
    curve = [(step, 100.0 if step == 5 else float(step)) for step in range(11)]
    smooth = running_median(curve, 3)
    assert [step for step, _ in smooth] == list(range(11))
    assert [value for _, value in smooth] == [0.5, 1, 2, 3, 4, 6, 7, 7, 8, 9, 9.5]


def test_every_run_has_a_line_of_its_own_in_every_panel(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "first", 1.0), write_run(tmp_path / "second", 5.0)
    for name, runs in (("one", [first]), ("two", [first, second])):
        plot(runs, tmp_path / f"{name}.png")
    one, two = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int) for name in ("one", "two"))

    def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
        return bool((np.abs(picture - np.array(colour)).sum(axis=-1) < 12).sum() > 20)

    blue, orange = (31, 119, 180), (255, 127, 14)
    assert has(one, blue) and not has(one, orange)
    assert has(two, blue) and has(two, orange)


def test_only_some_panels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot([write_run(tmp_path / "run", 1.0)], tmp_path / "some.png", ["valid/"])
    assert capsys.readouterr().out.startswith("1 panels of 1 runs")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no metrics.jsonl"),
        ("", "recorded nothing yet"),
        ('{"step": 1, "pair": 1}\n{"step": 2, "pa', "line 2 of"),
        ('{"pair": 1}\n', "line 1 of"),
        ("[1]\n", "line 1 of"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(UserError, match=message):
        plot([tmp_path], tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_a_picture_is_not_overwritten_and_unknown_panels_are_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 1.0)
    (tmp_path / "mine.png").write_bytes(b"mine")
    with pytest.raises(UserError, match="--force"):
        plot([run], tmp_path / "mine.png")
    with pytest.raises(UserError, match="there are: pair, valid/score"):
        plot([run], tmp_path / "none.png", ["loss"])
    with pytest.raises(UserError, match="named twice"):
        plot([run, run], tmp_path / "none.png")
    assert (tmp_path / "mine.png").read_bytes() == b"mine"
