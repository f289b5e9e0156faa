"""The command from a small corpus to tables, plot, JSON and CSV, with tiny networks; and pairs for other systems."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import soundfile
import torch

from scripts import evaluate as script
from scripts.command_line import run_command
from stylize.evaluate.benchmarks.settings import Settings
from stylize.evaluate.benchmarks.translator import Evaluation, log_to_wandb
from stylize.evaluate.benchmarks.translator_report import flat_summary
from stylize_core.errors import UserError

if TYPE_CHECKING:
    from tests.conftest import TinyModels

Evaluate = Callable[..., str]
SYSTEMS = ["copy-content", "copy-style", "translator", "translator-by-example"]
TRUTHS = ["ground-truth", "ground-truth-vocoder"]


@pytest.fixture
def evaluate(
    small_corpus: Path,
    tiny_models: TinyModels,
    bright_classifier: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Evaluate:
    """The command on the small corpus; gives what it printed."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> str:
        common = ["--corpus", small_corpus, "--model", tiny_models.translator, "--vocoder", tiny_models.vocoder]
        common += ["--seconds", 2, "--baseline-pairs", 0, "--device", "cpu", "--threads", torch.get_num_threads()]
        monkeypatch.setattr("sys.argv", ["evaluate", *map(str, (*common, *arguments))])
        with pytest.raises(SystemExit) as stop:
            run_command(script.evaluate)
        printed = capsys.readouterr()
        assert stop.value.code in (0, None), printed.err
        return printed.out

    return call


def without_times(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text())
    for name in ("machine", "minutes", "measured_rows", "settings", "versus_baseline"):
        del report[name]
    for split in report["splits"].values():
        for system in split["systems"].values():
            del system["real_time_factor"]
    return report


def test_from_corpus_to_tables(evaluate: Evaluate, small_recordings: Path, tmp_path: Path) -> None:
    options = ["--recordings", small_recordings, "--split", "test", "--split", "real"]
    options += ["--pairs", 2, "--real-pairs", 1, "--sweep-pairs", 1]
    printed = evaluate(*options, "--output", "page")
    assert (tmp_path / "page.md").read_text() == printed.removesuffix("\n")
    assert "![content across, style up](page.png)" in printed
    report = json.loads((tmp_path / "page.json").read_text())
    assert list(report["splits"]) == ["test", "real"]
    assert list(report["splits"]["test"]["systems"]) == SYSTEMS + TRUTHS
    assert list(report["splits"]["real"]["systems"]) == SYSTEMS
    untouched, truth = (report["splits"]["test"]["systems"][name]["metrics"] for name in (SYSTEMS[0], TRUTHS[0]))
    assert (untouched["classified_as_target"]["mean"], truth["classified_as_target"]["mean"]) == (0, 1)
    assert report["splits"]["real"]["songs"] == 1  # the silent one is left out
    assert [step["step"] for step in report["sweep"]["strength"]["steps"]] == [0, 0.25, 0.5, 0.75, 1]
    with (tmp_path / "page.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == report["rows"] == report["measured_rows"] == 2 * 6 + 4 + 10
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")

    # The same again: nothing is measured twice; and from nothing: the same numbers.
    evaluate(*options, "--output", "again")
    assert json.loads((tmp_path / "again.json").read_text())["measured_rows"] == 0
    evaluate(*options, "--work", "elsewhere")
    assert without_times(tmp_path / "elsewhere/report.json") == without_times(tmp_path / "page.json")
    assert without_times(tmp_path / "again.json") == without_times(tmp_path / "page.json")


def test_other_systems_take_part(evaluate: Evaluate, tmp_path: Path) -> None:
    options = ["--split", "test", "--sweep-pairs", 0, "--pairs", 2]
    assert "come back with --system NAME=DIR" in evaluate(*options, "--export-pairs", "out")
    lines = [json.loads(line) for line in (tmp_path / "out/manifest.jsonl").read_text().splitlines()]
    assert len(lines) == 2 and {line["split"] for line in lines} == {"test"}
    (tmp_path / "results").mkdir()
    for line in lines:
        wav, rate = soundfile.read(tmp_path / "out" / line["style_example"])
        assert (len(wav), rate) == (44100, 22050)
        assert line["source_style"] != line["target_style"] and line["output"] == f"{line['pair']}.wav"
        soundfile.write(
            tmp_path / "results" / line["output"], soundfile.read(tmp_path / "out" / line["input"])[0], rate
        )
    evaluate(*options, "--system", "echo=results")
    systems = json.loads((tmp_path / "runs/evaluate/report.json").read_text())["splits"]["test"]["systems"]
    echo, copy = (systems[name]["metrics"] for name in ("echo", "copy-content"))
    assert {name: value["mean"] for name, value in echo.items()} == pytest.approx(
        {name: value["mean"] for name, value in copy.items()}, abs=1e-3
    )


def test_the_baseline_runs_on_its_share(evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stylize.optimize import run

    asked = []

    def optimize(order: run.OptimizeOptions, reporter: object = None) -> run.OptimizeResult:
        asked.append(order)
        assert order.output is not None
        wav, rate = soundfile.read(order.style)
        soundfile.write(order.output, wav, rate)
        return run.OptimizeResult(order.output, elapsed=50.0, seconds=2.0)

    monkeypatch.setattr(run, "stylize_by_optimization", optimize)
    evaluate("--pairs", 2, "--baseline-pairs", 3, "--sweep-pairs", 1)
    report = json.loads((tmp_path / "runs/evaluate/report.json").read_text())
    pairs = [report["splits"][split]["systems"]["baseline"]["pairs"] for split in ("test", "test_groove")]
    assert pairs == [2, 1] and len(asked) == 3
    baseline = report["splits"]["test"]["systems"]["baseline"]
    assert baseline["metrics"]["classified_as_target"]["mean"] == 1
    assert baseline["real_time_factor"] == pytest.approx(0.04)
    assert report["versus_baseline"]["pairs"] == 1 and report["versus_baseline"]["speed_ratio"] > 1
    plain = run.OptimizeOptions(asked[0].content, asked[0].style)
    for name in ("iterations", "network", "content_weight", "style_weight", "representation", "init"):
        assert getattr(asked[0], name) == getattr(plain, name)


def test_what_models_and_material_must_have(
    small_corpus: Path, tiny_models: TinyModels, bright_classifier: None, tmp_path: Path
) -> None:
    def settings(**options: Any) -> Settings:
        return Settings(
            corpus=small_corpus,
            recordings=tmp_path / "none",
            work=tmp_path / "work",
            models=(str(tiny_models.translator),),
            vocoders=(str(tiny_models.vocoder),),
            device="cpu",
            threads=torch.get_num_threads(),
            **options,
        )

    with pytest.raises(UserError, match="has no song of split test_soundfont in two of jazz, metal"):
        Evaluation(settings(splits=("test_soundfont",)), print)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="lacks 8 of 8 results"):
        Evaluation(settings(systems=(f"mine={tmp_path / 'empty'}",)), print)
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    soundfile.write(quiet / "a.wav", [0.0] * 66150, 22050)
    with pytest.raises(UserError, match="has no recording that is audible in its middle, among 1"):
        Evaluation(settings(folders=(quiet,)), print)


def test_a_run_of_weights_and_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    logged: list[dict[str, Any]] = []

    class Run:
        log, finish = logged.append, staticmethod(lambda: None)
        dir = str(tmp_path / "wandb" / "offline-run-1" / "files")

    modes = []

    def init(**options: Any) -> type[Run]:
        modes.append(options["mode"])
        return Run

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr(wandb, "Image", lambda path: path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    system = {"metrics": {"chroma": {"mean": 0.5, "low": 0.4, "high": 0.6}}, "distances": {"kad": 1.0}}
    report = {"splits": {"test": {"systems": {"x": system}}}, "targets": [], "settings": {}}
    assert flat_summary(report) == {"test/x/chroma": 0.5, "test/x/kad": 1.0}
    assert log_to_wandb(Settings(work=tmp_path), report) == "W&B: off (as configured)" and not logged
    place = log_to_wandb(Settings(work=tmp_path, wandb="auto"), report)
    assert place.startswith(f"W&B: offline (WANDB_MODE=offline), in {tmp_path / 'wandb' / 'offline-run-1'};")
    assert modes == ["offline"] and logged[0]["test/x/chroma"] == 0.5
    assert logged[0]["trade-off"] == str(tmp_path / "report.png")
