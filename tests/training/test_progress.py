"""Progress as lines in a log file; the bar of a terminal is the same text."""

from __future__ import annotations

import re

import pytest

from training import progress
from training.progress import StepProgress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_rate_and_time_left(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with StepProgress(1000, 5000, None) as shown:
        clock[0] += 50
        shown.report(1100, {"stft": 1.23456, "mel": 0.5})
    assert capsys.readouterr().err == "step 1100/5000 2.00 steps/s, 0:32:30 left | stft 1.235 mel 0.500\n"


def test_time_left_ends_with_max_minutes(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with StepProgress(0, 10**6, max_minutes=2) as shown:
        clock[0] += 50
        shown.report(100, {})
        clock[0] += 100
        shown.report(300, {})
    lines = capsys.readouterr().err.splitlines()
    assert "0:01:10 left" in lines[0] and "0:00:00 left" in lines[1]


def test_validations_are_shown(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with StepProgress(0, 10, None) as shown:
        shown.validated(5, {"valid/chroma": 0.98765}, 0.123)
    said = "validation at step 5: valid/chroma 0.9877 (12 % of the time so far is validation)\n"
    assert capsys.readouterr().err == said


def test_other_processes_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with StepProgress(0, 10, None, active=False) as shown:
        shown.report(5, {"loss": 1.0})
        shown.validated(5, {"loss": 1.0}, 0.5)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    with StepProgress(0, 10, None) as shown:
        assert shown.bar is not None
        shown.report(5, {"loss": 1.0})
        shown.validated(5, {"valid/chroma": 0.5}, 0.5)
    text = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "5/10" in text and "loss 1.000" in text and "validation at step 5: valid/chroma 0.5" in text
