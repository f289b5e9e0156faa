"""What users ask for: names and folders, defaults, and one line for everything that is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts import evaluate as script
from scripts.command_line import run_command
from stylize.evaluate.benchmarks.settings import Settings, VocoderSettings, check_leaks, check_settings, parse_named
from stylize.models import BUNDLED_TRANSLATOR, BUNDLED_VOCODER
from stylize_core.errors import UserError

if TYPE_CHECKING:
    from tests.conftest import TinyModels

Refused = Callable[..., str]


def test_names_and_folders() -> None:
    assert parse_named("--system", "mine=out/wavs") == ("mine", Path("out/wavs"))
    assert parse_named("--model", "runs/a=b/model", "") == ("", Path("runs/a=b/model"))
    assert parse_named("--model", "model", "only") == ("only", Path("model"))
    for text in ("out", "=out", "mine="):
        with pytest.raises(UserError, match="expected NAME=DIR"):
            parse_named("--system", text)


def test_models_and_their_vocoders() -> None:
    (model,) = Settings().named_models
    assert (model.row, model.translator, model.vocoder) == ("translator", BUNDLED_TRANSLATOR, BUNDLED_VOCODER)
    models = Settings(models=("old=a", "new=b"), vocoders=("new=v", "w")).named_models
    assert [(model.row, model.vocoder) for model in models] == [
        ("translator, old", Path("w")),
        ("translator, new", Path("v")),
    ]
    (other,) = Settings(vocoders=("multiband=v",)).named_models
    assert (other.example_row, other.translator) == ("translator-by-example, multiband", BUNDLED_TRANSLATOR)
    with pytest.raises(UserError, match="no model 'x'; known: old"):
        Settings(models=("old=a",), vocoders=("x=v",)).named_models  # noqa: B018
    with pytest.raises(UserError, match="twice"):
        Settings(models=("old=a", "old=b")).named_models  # noqa: B018


def test_splits_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    settings = Settings(corpus=tmp_path / "corpus", recordings=tmp_path / "none")
    assert settings.rendered_splits == ["test", "test_groove", "test_soundfont"] and not settings.has_real_split
    assert Settings(splits=("real", "test")).rendered_splits == ["test"]
    assert Settings(splits=("real", "test")).has_real_split and not Settings(splits=("test",)).has_real_split


@pytest.fixture
def refused(
    tmp_path: Path, small_corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refused:
    """The command where it must fail with one line, which is returned; exit code 2, nothing measured."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["evaluate", "--corpus", str(small_corpus), *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            run_command(script.evaluate)
        assert stop.value.code == 2
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1
        assert not list(tmp_path.rglob("measurements.jsonl"))
        return printed.err

    return call


def test_one_line_for_what_is_wrong(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a.txt").write_text("mine")
    (tmp_path / "old.json").write_text("mine")
    for arguments, expected in (
        (["--split", "polka"], "unknown split 'polka'; known: test, test_groove, test_soundfont, real"),
        (["--seconds", 1], "got --seconds 1; expected 2 to 600"),
        (["--seconds", "nan"], "got --seconds nan"),
        (["--device", "gpu"], "got device 'gpu'"),
        (["--wandb", "maybe"], "unknown wandb 'maybe'"),
        (["--folder", "nowhere"], "no such folder: nowhere"),
        (["--trained-on", "nowhere"], "no such folder: nowhere"),
        (["--split", "real"], "no such folder: recordings; make it with `scripts.prepare recordings`"),
        (["--corpus", "nowhere"], "neither nowhere nor recordings is a folder"),
        (["--corpus", "nowhere", "--split", "test"], "no such folder: nowhere; render it"),
        (["--output", "nowhere/page"], "folder not found: nowhere"),
        (["--output", "old"], "old.json exists already"),
        (["--output", "old.md"], "old.json exists already"),
        (["--export-pairs", "full"], "full exists and is not empty"),
        (["--system", "mine"], "got --system 'mine'; expected NAME=DIR"),
        (["--system", "mine=nowhere"], "the folder of --system mine=nowhere does not exist"),
        (["--system", "translator=full"], "got the system 'translator' twice"),
        (["--model", "nowhere"], "nowhere"),
        (["--model", "a", "--model", "b"], "got --model 'a'; expected NAME=DIR"),
    ):
        assert expected in refused(*arguments)
    assert (tmp_path / "old.json").read_text() == "mine"


def test_a_leak_stops_the_command(refused: Refused, small_corpus: Path, tmp_path: Path) -> None:
    leaking = tmp_path / "leaking"
    leaking.mkdir()
    lines = (small_corpus / "manifest.jsonl").read_text().splitlines()
    planted = json.loads(lines[0]) | {"song": "00005", "file": "jazz/copy.wav"}
    (leaking / "manifest.jsonl").write_text("\n".join([*lines, json.dumps(planted)]) + "\n")
    assert "leaks: the song 00005 of split test" in refused("--corpus", leaking)
    # The same song in another corpus that was trained on.
    (leaking / "manifest.jsonl").write_text(json.dumps(json.loads(lines[5]) | {"split": "train"}) + "\n")
    assert f"in the training side of {leaking}" in refused("--trained-on", leaking)


def test_a_model_says_what_it_was_trained_on(
    small_corpus: Path, tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the bundled models name folders relative to where they were trained
    other, model = tmp_path / "other", tmp_path / "model"
    other.mkdir()
    first = json.loads((small_corpus / "manifest.jsonl").read_text().splitlines()[5])
    (other / "manifest.jsonl").write_text(json.dumps(first | {"split": "train"}) + "\n")
    shutil.copytree(tiny_models.translator, model)
    config: dict[str, Any] = json.loads((model / "config.json").read_text())
    settings = Settings(corpus=small_corpus, recordings=tmp_path / "none", work=tmp_path / "work")
    assert check_leaks(settings) == (8, [small_corpus])
    settings = Settings(corpus=small_corpus, recordings=tmp_path / "none", models=(str(model),))
    own = {"config": {"data": {"folder": str(other), "cache": "nowhere"}}}
    started = {"config": {"data": {}}, "start": {"config": {}, "start": own}}
    for record in (own, started, {"mixed": [{"training": {}}, {"training": started}]}):
        (model / "config.json").write_text(json.dumps(config | {"training": record}))
        with pytest.raises(UserError, match=f"leaks: the song 00005 .* in the training side of {other}"):
            check_leaks(settings)


def test_own_recordings_that_were_trained_on(
    small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copy(small_corpus / "jazz/jazz.00005.wav", mine / "unseen.wav")
    settings = Settings(corpus=small_corpus, recordings=tmp_path / "none", folders=(mine,), work=tmp_path / "work")
    check_settings(settings)
    assert check_leaks(settings)[0] == 9
    shutil.copy(small_corpus / "jazz/jazz.00000.wav", mine / "seen.wav")
    with pytest.raises(UserError, match="seen.wav leaks"):
        check_leaks(settings)


def test_help_and_wrong_values_need_no_pytorch(tmp_path: Path) -> None:
    code = (
        "import sys; from scripts import evaluate; from stylize.evaluate.benchmarks.settings import Settings;"
        "Settings(); assert not {'torch', 'librosa', 'mir_eval'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_vocoder_settings_are_checked_first(tmp_path: Path, no_model: None) -> None:
    (tmp_path / "there.md").write_text("mine")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_text("mine")

    def check(models: tuple[Path, ...] = (tmp_path,), **options: Any) -> VocoderSettings:
        return VocoderSettings(models, **{"corpus": tmp_path, "recordings": tmp_path / "no"} | options).check()

    for options, message in (
        ({"output": tmp_path / "no" / "x.json"}, "folder not found"),
        ({"output": tmp_path / "there.json"}, "there.md exists already"),
        ({"pictures": tmp_path / "pictures"}, "pictures exists and is not empty"),
        ({"pictures": tmp_path / "there.md"}, "is a file; give a folder with --pictures"),
        ({"models": (tmp_path, tmp_path)}, "model twice"),
        ({"corpus": tmp_path / "no"}, "is a folder; give one"),
        ({"seconds": 2.0}, "got --seconds 2; expected at least 3"),
    ):
        with pytest.raises(UserError, match=message):
            check(**options)
    quick = check(output=tmp_path / "there.json", pictures=tmp_path / "pictures", force=True, quick=True)
    assert (quick.excerpts, quick.speed_seconds) == (3, 8.0)
    assert VocoderSettings((), corpus=tmp_path).check().models == (BUNDLED_VOCODER.relative_to(Path.cwd()),)
