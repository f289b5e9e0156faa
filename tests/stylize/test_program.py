"""What every program does the same: exit codes, one line for an error, signals, output that nobody reads."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest
import typer

from stylize.program import EarlyStopError, invoke, run_program
from stylize_core.errors import UserError


@pytest.fixture(autouse=True)
def default_signals() -> Iterator[None]:
    """As in a terminal; tests may be run below nohup."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        assert signal.getsignal(number) is signal.SIG_DFL
        signal.signal(number, handler)


def raising(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("no such\nsong"), 2, "error: no such song"),
        (PermissionError(13, "Permission denied", "/root/x"), 2, "error: /root/x: Permission denied"),
        (KeyboardInterrupt(), 130, "stopped"),
        (EarlyStopError("stopped at 3"), 130, "stopped at 3"),
    ],
)
def test_exit_codes(capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str) -> None:
    assert run_program(lambda: raising(error)) == code
    assert capsys.readouterr().err == line + "\n"
    assert run_program(lambda: None) == 0
    assert run_program(lambda: 1) == 1


def test_a_fault_of_the_program_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_program(lambda: 1 // 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals(number: signal.Signals) -> None:
    cleaned = []

    def work() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(signal.SIGTERM if number != signal.SIGINT else signal.SIGHUP)  # in one burst
            cleaned.append(True)

    if number == signal.SIGINT:
        assert run_program(lambda: signal.raise_signal(number)) == 130
    else:
        assert run_program(work) == 128 + number
        assert cleaned == [True]


def test_signals_do_what_ctrl_c_does_just_then() -> None:
    asked = []

    def work() -> int:
        previous = signal.signal(signal.SIGINT, lambda *_: asked.append(True))
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.signal(signal.SIGINT, previous)
        raise EarlyStopError("the result so far was kept")

    assert run_program(work) == 143
    assert asked == [True]


def test_signals_reach_a_job_in_the_background() -> None:
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run_program(lambda: signal.raise_signal(signal.SIGTERM)) == 143
    finally:
        signal.signal(signal.SIGINT, previous)


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    assert run_program(lambda: signal.raise_signal(signal.SIGHUP)) == 0
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_that_nobody_reads(
    stream: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as pipe:
        monkeypatch.setattr(f"sys.{stream}", pipe)

        def work() -> int:
            for _ in range(3):
                print("x" * 100_000, file=getattr(sys, stream), flush=True)
            return 1

        assert run_program(work) == 1
    assert capfd.readouterr() == ("", "")


def test_output_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert run_program(lambda: print("a result")) == 2
    assert capsys.readouterr().err == "error: the output cannot be written: No space left on device\n"


def test_no_output_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)  # >&-
    monkeypatch.setattr("sys.stderr", None)
    assert run_program(lambda: print("a result")) == 0
    assert run_program(lambda: raising(UserError("no such song"))) == 2


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer(add_completion=False)

    @app.command()
    def twice(number: int) -> int:
        return 2 * number

    assert run_program(lambda: invoke(app, ["3"], "twice")) == 6
    assert run_program(lambda: invoke(app, ["three"], "twice")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and line.endswith("(`twice --help` shows the options)")
