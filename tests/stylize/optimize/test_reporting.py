"""Progress, and the history of a run: exact numbers in the CSV file, curves, an offline run of W&B."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from stylize.optimize.images import Panel, save_panels
from stylize.optimize.reporting import BarReporter, History, HistoryRow, LineReporter, Place, Step, choose_reporter
from stylize_core.errors import UserError


@pytest.fixture
def history() -> History:
    history = History()
    for block in (1, 2):
        for iteration in range(3):
            total = 10.0 / (iteration + block)
            terms = {"content": total / 4, "style": 3 * total / 4, "style/relu_1": 1e-9}
            step = Step(iteration, 2 * iteration + 1, 0.5 * iteration, total, terms)
            history.rows.append(HistoryRow(Place(block, 2), step))
    return history


def test_csv_has_every_iteration_and_term(history: History, tmp_path: Path) -> None:
    history.write_csv(tmp_path / "history.csv")
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert list(rows[0]) == [
        "block", "channel", "iteration", "evaluations", "seconds", "total", "content", "style", "style/relu_1",
    ]  # fmt: skip
    assert [(row["block"], row["iteration"]) for row in rows] == [(b, i) for b in "12" for i in "012"]
    assert rows[4] == {
        "block": "2",
        "channel": "1",
        "iteration": "1",
        "evaluations": "3",
        "seconds": "0.500",
        "total": "3.3333333",
        "content": "0.83333333",
        "style": "2.5",
        "style/relu_1": "1e-09",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_a_term_that_is_missing_in_a_row_is_empty(tmp_path: Path) -> None:
    steps = (Step(0, 1, 0.0, 1.0, {"content": 1.0}), Step(1, 2, 0.1, 0.5, {"style": 0.5}))
    history = History([HistoryRow(Place(), step) for step in steps])
    history.write_csv(tmp_path / "history.csv")
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[1:] == ["1,1,0,1,0.000,1,1,", "1,1,1,2,0.100,0.5,,0.5"]


def test_an_old_file_is_kept_when_writing_fails(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "history.csv").write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(UserError, match="disk full while writing .*history.csv"):
        history.write_csv(tmp_path / "history.csv")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("history.csv", "old")]


def test_curves(history: History, tmp_path: Path) -> None:
    history.save_curves(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_panels_of_sound(tmp_path: Path) -> None:
    import numpy as np

    image = np.random.default_rng(0).random((8, 50))
    save_panels(tmp_path / "maps.png", [Panel("content", image, 2.0), Panel("style", image[:, :20], 1.0)])
    assert (tmp_path / "maps.png").read_bytes()[:4] == b"\x89PNG"


def steps(count: int, total: float = 2.0) -> Iterator[Step]:
    for iteration in range(count + 1):
        yield Step(iteration, iteration, 0.0, total / (iteration + 1), {"style": 0.25, "style/relu_1": 0.25})


class TestProgress:
    def test_a_line_at_every_tenth_of_all_blocks(self, capsys: pytest.CaptureFixture[str]) -> None:
        reporter = LineReporter(iterations=100)
        for block in (1, 2):
            for step in steps(100):
                reporter.step(Place(block, 2), step)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 10
        assert lines[2] == " 30 %: iteration 60 of 100 in block 1 of 2: total 0.03279, style 0.25"
        assert lines[9].startswith("100 %: iteration 100 of 100 in block 2 of 2: ")

    def test_lines_begin_anew_with_a_note(self, capsys: pytest.CaptureFixture[str]) -> None:
        reporter = LineReporter(iterations=10)
        for _ in range(2):
            reporter.note("a system")
            for step in steps(10):
                reporter.step(Place(), step)
        assert capsys.readouterr().err.count(" %: ") == 20

    def test_a_bar_with_every_loss_on_a_terminal(self) -> None:
        console = Console(file=io.StringIO(), force_terminal=True, width=120)
        with BarReporter(10, console) as reporter:
            reporter.note("network [random]")
            for step in steps(5):
                reporter.step(Place(1, 2, 2, 2), step)
            reporter._progress.refresh()
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert "network [random]" in text
        assert "block 1 of 2, channel 2 of 2" in text
        assert "38%" in text  # the second of four maps, half done
        assert "total 0.3333, style 0.25" in text

    def test_lines_where_there_is_no_terminal(self) -> None:
        assert isinstance(choose_reporter(10), LineReporter)
