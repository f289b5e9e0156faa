"""The ablation trains its variants, writes a row for each, and goes on after a stop."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.train import EXPERIMENTS
from studies.ablation import REFERENCE, VARIANTS, format_row, study
from stylize_core.errors import UserError
from training.recipe import read_recipe


@pytest.fixture
def config(translator_values: dict[str, Any], tmp_path: Path, fresh_accelerate: None) -> Path:
    path = tmp_path / "translator.yaml"
    path.write_text(yaml.safe_dump(translator_values | {"experiment": "translator"}))
    return path


def test_every_run_changes_something_the_configuration_knows() -> None:
    seen = []
    for values in VARIANTS.values():
        changes = [value.format(steps=7, third=2, double=22, half=3) for value in (*REFERENCE, *values)]
        seen.append(read_recipe(Path("configs/translator_two_domains.yaml"), EXPERIMENTS, changes).stages[0].config)
    assert all(one != other for one, other in itertools.combinations(seen, 2))


def test_a_row_for_each_run(config: Path, tmp_path: Path, quick_validation: None) -> None:
    output, work = tmp_path / "table.md", tmp_path / "runs"
    given: dict[str, Any] = {"steps": 2, "batch_size": 2, "work": work, "output": output}
    study(config, only=["identity"], **given)
    rows = output.read_text().splitlines()
    assert rows[0].startswith("`python -m studies.ablation")
    untouched, changed = ([cell.strip() for cell in row.strip("| ").split("|")] for row in rows[4:])
    assert untouched[0] == "the input as it is" and changed[0] == "without identity"
    assert untouched[4] == changed[4] == "0.500"
    run = work / "without_identity"
    measured = json.loads((run / "measured.json").read_text())
    assert measured["input"]["changed"] == 0 < measured["output"]["changed"]
    assert measured["input"]["to_truth"] == pytest.approx(measured["input"]["input_to_truth"])
    settings = yaml.safe_load((run / "config.yaml").read_text())
    assert (settings["method"]["weights"]["identity"], settings["loop"]["decay_steps"]) == (0, 2)
    records = (run / "metrics.jsonl").read_text()
    study(config, only=["identity"], **given)  # all is there: nothing is trained
    assert (run / "metrics.jsonl").read_text() == records
    assert output.read_text().splitlines() == rows


def test_what_cannot_be_is_said_first(config: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run has tuba in its name; there are: the reference, "):
        study(config, only=["tuba"], work=tmp_path / "runs")
    with pytest.raises(UserError, match="create it first"):
        study(config, output=tmp_path / "none" / "table.md")


def test_what_was_not_measured_is_a_dash() -> None:
    measured = {"target_rate": 0.425, "source_rate": 0.0, "chroma": 0.9}
    assert format_row("x", measured) == "| x | 42 % | - | 0 % | 0.900 | - |"
