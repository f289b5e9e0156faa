"""The options of `stylize web`: what cannot be done is said in one line, before any model is loaded."""

from __future__ import annotations

import socket
import tempfile

import pytest

from stylize.cli import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "--port"),
        (["--max-seconds", "nan"], "--max-seconds"),
        (["--max-seconds", "0"], "max-seconds"),
        (["--max-megabytes", "-1"], "max-megabytes"),
        (["--keep-minutes", "inf"], "--keep-minutes inf"),
        (["--device", "gpu"], "device 'gpu'"),
        (["--model", "/nothing/here"], "/nothing/here"),
        (["--host", "203.0.113.7", "--port", "0"], "cannot listen at 203.0.113.7:0"),
        (["--host", "no such name", "--port", "0"], "cannot listen at no such name:0"),
    ],
)
def test_wrong_options_end_in_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["web", *arguments]) == 2
    output, problems = capsys.readouterr()
    assert problems.startswith("error: ") and problems.count("\n") == 1 and words in problems
    assert output == ""


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["web", "--port", str(port)]) == 2
    assert f"cannot listen at 127.0.0.1:{port}" in capsys.readouterr().err


def test_no_room_for_temporary_files(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nothing/here")
    assert main(["web", "--port", "0"]) == 2
    output, problems = capsys.readouterr()
    assert problems.startswith("error: cannot write temporary files") and problems.count("\n") == 1
    assert output == ""
