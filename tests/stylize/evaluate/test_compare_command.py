"""`stylize compare`: every option reaches the order, the table is printed, errors are one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stylize.cli import main
from stylize.evaluate import compare as module
from stylize.evaluate.compare import CompareOptions
from stylize.optimize.reporting import Reporter
from stylize_core.errors import UserError


class Table:
    """What a comparison gives."""

    def text(self) -> str:
        return "a table\nof two lines"


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> list[CompareOptions]:
    """The orders that would have been done."""
    taken: list[CompareOptions] = []

    def take(order: CompareOptions, reporter: Reporter) -> Table:
        assert isinstance(reporter, Reporter)
        taken.append(order)
        return Table()

    monkeypatch.setattr(module, "compare", take)
    return taken


def test_every_option_reaches_the_order(orders: list[CompareOptions], capsys: pytest.CaptureFixture[str]) -> None:
    wanted = CompareOptions(
        content=Path("song.wav"),
        styles=(Path("a.wav"), Path("b.mp3")),
        output=Path("out"),
        seconds=7.5,
        iterations=12,
        representation="cqt",
        network="siamese",
        content_weight=0.5,
        style_weight=2.0,
        model=Path("translator"),
        vocoder=Path("vocoder"),
        classifier=Path("classifier"),
        seed=3,
        device="cpu",
        threads=1,
        force=True,
    )
    options = []
    for field in dataclasses.fields(wanted):
        if field.name not in ("content", "styles", "force"):
            value = getattr(wanted, field.name)
            assert value != field.default, f"{field.name} must differ from its default here"
            options += [f"--{field.name.replace('_', '-')}", str(value)]
    assert main(["compare", "song.wav", "a.wav", "b.mp3", *options, "--force"]) == 0
    assert orders == [wanted]
    assert capsys.readouterr().out == "a table\nof two lines\nout: results, table.csv, figure.png\n"


def test_defaults_are_those_of_the_order(orders: list[CompareOptions]) -> None:
    assert main(["compare", "song.wav", "a.wav", "-o", "out"]) == 0
    assert orders == [CompareOptions(Path("song.wav"), (Path("a.wav"),), Path("out"))]


@pytest.mark.parametrize("arguments", [["song.wav", "-o", "out"], ["song.wav", "a.wav"], ["-o", "out"]])
def test_missing_arguments(
    orders: list[CompareOptions], capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(["compare", *arguments]) == 2
    assert not orders
    error = capsys.readouterr().err
    assert error.startswith("error: Missing ")
    assert error.count("\n") == 1


def test_an_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path) -> None:
    def fail(*_: object) -> None:
        raise UserError("not like\nthis")

    monkeypatch.setattr(module, "compare", fail)
    assert main(["compare", "song.wav", "a.wav", "-o", "out"]) == 2
    assert capsys.readouterr().err == "error: not like this\n"


def test_bad_input_without_any_stand_in(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("song.wav", np.ones(50_000), 22050)
    assert main(["compare", "song.wav", "missing.wav", "-o", "out"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (place / "out").exists()
