"""The ablation trains its variants, writes a row for each, and goes on after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from data.errors import UserError
from scripts.study_translator import VARIANTS, format_row, study
from training.config import load_config
from travelgan.experiment import TranslatorTraining


@pytest.fixture
def config(translator_values: dict[str, Any], tmp_path: Path, fresh_accelerate: None) -> Path:
    path = tmp_path / "translator.yaml"
    path.write_text(yaml.safe_dump(translator_values))
    return path


def test_every_variant_changes_something_the_configuration_knows() -> None:
    reference = load_config("configs/translator.yaml", TranslatorTraining, [])
    for name, values in VARIANTS.items():
        changes = [value.format(steps=7, double=22, half=3) for value in values]
        changed = load_config("configs/translator.yaml", TranslatorTraining, changes)
        assert (changed == reference) == (name == "the reference")


def test_a_row_for_each_variant(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("travelgan.validation.chroma_cosine", lambda *arguments: 0.5)
    output, work = tmp_path / "table.md", tmp_path / "runs"
    given: dict[str, Any] = {"steps": 2, "pretrain_steps": 1, "batch_size": 2, "work": work, "output": output}
    study(config, only=["identity"], **given)
    rows = output.read_text().splitlines()
    assert rows[0] == "`python -m scripts.study_translator --steps 2 --pretrain-steps 1 --batch-size 2`"
    assert len(rows) == 5 and rows[4].startswith("| without identity | ") and rows[4].split(" | ")[3] == "0.500"
    run = work / "without_identity"
    settings = yaml.safe_load((run / "config.yaml").read_text())
    assert (settings["weights"]["identity"], settings["weights"]["pair"], settings["pretrain_steps"]) == (0, 10, 1)
    records = (run / "metrics.jsonl").read_text()
    study(config, only=["identity"], **given)  # all is there: nothing is trained
    assert (run / "metrics.jsonl").read_text() == records
    assert output.read_text().splitlines() == rows


def test_what_cannot_be_is_said_first(config: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no variant has tuba in its name; there are: the reference, "):
        study(config, only=["tuba"], work=tmp_path / "runs")
    with pytest.raises(UserError, match="--pretrain-steps is 5; expected less than --steps, 5"):
        study(config, steps=5, pretrain_steps=5)
    with pytest.raises(UserError, match="create it first"):
        study(config, output=tmp_path / "none" / "table.md")


def test_what_was_not_measured_is_a_dash() -> None:
    measures = {"valid/target_rate": 0.425, "valid/source_rate": 0.0, "valid/chroma": 0.9, "valid/score": 1.325}
    assert format_row("x", measures) == "| x | 42 % | 0 % | 0.900 | - | 1.325 |"
