"""Models are averaged weight by weight; others are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scripts.average_models import average
from stylize_core.errors import UserError
from tests.conftest import TinyModels
from travelgan import Translator


def changed(folder: Path, output: Path) -> Translator:
    model = Translator.from_pretrained(folder)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    model.save_pretrained(output, {"step": 7})
    return Translator.from_pretrained(output)


def test_weights_are_the_weighted_mean_and_both_parts_are_named(tiny_models: TinyModels, tmp_path: Path) -> None:
    first = Translator.from_pretrained(tiny_models.translator)
    second = changed(tiny_models.translator, tmp_path / "second")
    average(tiny_models.translator, tmp_path / "second", tmp_path / "mixed", 0.25)
    mixed = Translator.from_pretrained(tmp_path / "mixed").state_dict()
    for name, value in first.state_dict().items():
        expected = 0.75 * value + 0.25 * second.state_dict()[name]
        torch.testing.assert_close(mixed[name], expected, atol=2e-3, rtol=2e-3)  # stored in half precision
    parts = json.loads((tmp_path / "mixed" / "config.json").read_text())["training"]["averaged"]
    assert [part["share"] for part in parts] == [0.75, 0.25]
    assert parts[1]["training"]["step"] == 7


def test_a_share_of_nothing_is_the_first(tiny_models: TinyModels, tmp_path: Path) -> None:
    changed(tiny_models.translator, tmp_path / "second")
    average(tiny_models.translator, tmp_path / "second", tmp_path / "mixed", 0.0)
    first = Translator.from_pretrained(tiny_models.translator).state_dict()
    mixed = Translator.from_pretrained(tmp_path / "mixed").state_dict()
    assert all(torch.equal(first[name], mixed[name]) for name in first)


def test_refusals(tiny_models: TinyModels, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="differ in kind"):
        average(tiny_models.translator, tiny_models.vocoder, tmp_path / "mixed", 0.5)
    with pytest.raises(UserError, match="model folder not found"):
        average(tiny_models.translator, tmp_path / "nothing", tmp_path / "mixed", 0.5)
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="exists"):
        average(tiny_models.translator, tiny_models.translator, tmp_path / "there", 0.5)
    assert not (tmp_path / "mixed").exists()


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    folder, output = str(tmp_path), str(tmp_path / "out")
    command = [sys.executable, "-m", "scripts.average_models", folder, folder, "-o", output]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith("error:") and result.stderr.count("\n") == 1
