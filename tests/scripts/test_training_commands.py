"""The commands that train, as a user starts them, and what they say when they cannot."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from melgan import Vocoder
from scripts.command_line import run_command
from scripts.train import train
from travelgan import Translator


@pytest.fixture
def start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fresh_accelerate: None, quick_validation: None
) -> Any:
    """A command within this process, which spares a start; returns exit code, stdout and stderr."""

    def start(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["train", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run_command(train)
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return start


@pytest.fixture
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    def config(kind: str) -> Path:
        path = tmp_path / f"{kind}.yaml"
        path.write_text(yaml.safe_dump(request.getfixturevalue(f"{kind}_values") | {"experiment": kind}))
        return path

    return config


@pytest.mark.parametrize(("kind", "model"), [("vocoder", Vocoder), ("translator", Translator)])
def test_a_run_and_its_continuation(
    start: Any, config: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, model: Any
) -> None:
    caplog.set_level("INFO")
    run = tmp_path / "runs" / "one"
    code, out, err = start(config(kind), "--run", run, "--device", "cpu", "loop.steps=2", "loop.seed=5")
    assert code == 0, err
    assert out.startswith(f"{run}: step 2, ") and f"best model in {run / 'best'}" in out
    assert "step 2/2" in err and "validation at step 2" in err
    assert sorted(path.name for path in run.iterdir()) == [
        "best", "checkpoints", "config.yaml", "metrics.jsonl", "samples",
    ]  # fmt: skip
    assert yaml.safe_load((run / "config.yaml").read_text())["loop"]["seed"] == 5
    model.from_pretrained(run / "best")

    code, out, err = start(config(kind), "--run", run, "--device", "cpu", "loop.steps=3", "loop.seed=5")
    assert code == 0 and f"{run}: step 3, " in out
    assert f"resumed from {run / 'checkpoints' / 'step-00000002'} (step 2)" in caplog.text
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 2, 3, 3]

    code, _, err = start(config(kind), "--run", run, "--device", "cpu", "loop.seed=6")
    assert code == 2
    assert "started with another configuration (loop.seed differ)" in err.splitlines()[-1]


def check_refused(result: tuple[int, str, str], problem: str) -> None:
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1, err
    assert problem in err


@pytest.mark.parametrize("kind", ["vocoder", "translator"])
def test_what_is_wrong_is_one_line_and_nothing_is_written(start: Any, config: Any, tmp_path: Path, kind: str) -> None:
    run = ("--run", tmp_path / "run", "--device", "cpu")
    path = config(kind)
    check_refused(start(tmp_path / "no.yaml", *run), "cannot read the configuration")
    check_refused(start(path, *run, "loop.stesp=3"), "unknown key 'stesp'; did you mean steps?")
    check_refused(start(path, *run, "loop.steps"), "is not of the form name=value")
    check_refused(start(path, *run, "loop.steps=0"), "steps must be at least 1")
    name = "data.folders=[/no/such/corpus]" if kind == "vocoder" else "data.folder=/no/such/corpus"
    check_refused(start(path, *run, name), "no such folder: /no/such/corpus")
    check_refused(start(path, *run[:3], "cuda:9"), "device 'cuda:9' is unknown")
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker_mode_is_said(start: Any, config: Any, tmp_path: Path) -> None:
    path = config("vocoder")
    check_refused(start(path, "--run", tmp_path / "run", "loop.wandb=of"), "wandb mode 'of' is unknown")


@pytest.mark.parametrize("kind", ["vocoder", "translator"])
def test_as_a_module(run_module: Any, config: Any, tmp_path: Path, kind: str) -> None:
    change, problem = {
        "vocoder": ("data.folders=[/no/such/corpus]", "no such folder: /no/such/corpus"),
        "translator": ("loop.stesp=3", f"{tmp_path}/translator.yaml: loop: unknown key 'stesp'; did you mean steps?"),
    }[kind]
    result = run_module("scripts.train", config(kind), "--run", tmp_path / "run", "--device", "cpu", change)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"error: {problem}\n")


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(SystemExit) as ended:
        run_command(interrupted)
    assert ended.value.code == 130
    assert "Traceback" not in capsys.readouterr().err


def test_files_whose_names_are_no_text(start: Any, tmp_path: Path, tone_corpus: Path, config: Any) -> None:
    corpus = tmp_path / "corpus"
    for path in tone_corpus.glob("*/*.wav"):
        target = corpus / path.parent.name / os.fsdecode(b"caf\xe9 " + path.name.encode())
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    code, _out, err = start(config("translator"), "--run", tmp_path / "run", "--device", "cpu", f"data.folder={corpus}")
    assert code == 0, err
