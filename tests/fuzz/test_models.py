"""A seeded part of the fuzz of model folders, in this process; the whole is `python -m tests.fuzz.models`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz import models as fuzz_models
from tests.fuzz.models import Outcome, try_case

TINY = [base for base in fuzz_models.BASES if not base.startswith("bundled")]


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time and memory are of the whole test process here; the script measures one of its own."""
    monkeypatch.setattr(fuzz_models, "MOST_SECONDS", float("inf"))
    monkeypatch.setattr(fuzz_models, "MOST_MEGABYTES", float("inf"))


@pytest.mark.parametrize("base", TINY)
def test_damaged_folders_are_used_or_refused_in_one_line(base: str, tmp_path: Path, unlimited: None) -> None:
    outcomes = [try_case(seed, base, tmp_path) for seed in range(1000, 1012)]
    assert [outcome for outcome in outcomes if outcome.result == "FAULT"] == []
    assert {outcome.result for outcome in outcomes} <= {"runs", "refused"}


def test_folders_that_are_whole_run(tmp_path: Path, unlimited: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_models, "_mutate_config", lambda rng, text: ("nothing", text.encode()))
    monkeypatch.setattr(fuzz_models, "_mutate_text", lambda rng, text: ("nothing", text.encode()))
    monkeypatch.setattr(fuzz_models, "_mutate_weights", lambda rng, content: ("nothing", content))
    for base in fuzz_models.BASES:
        outcome = try_case(0, base, tmp_path)
        assert (outcome.result, outcome.detail) == ("runs", "finite"), outcome


@pytest.mark.parametrize("error", [RuntimeError("boom"), fuzz_models.UserError("two\nlines"), RecursionError()])
def test_what_is_no_line_for_a_user_is_a_fault(
    tmp_path: Path, unlimited: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*arguments: object) -> str:
        raise error

    monkeypatch.setattr(fuzz_models, "_use", fail)
    assert try_case(3, "classifier", tmp_path).result == "FAULT"
    assert not list(tmp_path.iterdir())


def test_a_case_is_a_function_of_its_seed(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        done = fuzz_models.mutate(5, "vocoder", tmp_path / name / "model")
        made.append((done, *(path.read_bytes() for path in sorted((tmp_path / name / "model").iterdir()))))
    assert made[0] == made[1]


def test_the_table_counts_every_case() -> None:
    outcomes = [Outcome(seed, "vocoder", "m", result, "", 0.1, 100.0) for seed, result in enumerate(("runs", "FAULT"))]
    table = fuzz_models._table(outcomes)
    assert "vocoder                  1        0       1" in table and "2 cases" in table


def test_mutations_reach_every_part(tmp_path: Path) -> None:
    """Of the description: no key of mel or model is left alone by all of them."""
    text = (fuzz_models._made("translator") / "config.json").read_text()
    done = "".join(fuzz_models._mutate_config(np.random.default_rng(seed), text)[0] for seed in range(600))
    document = json.loads(text)
    assert [name for part in ("mel", "model") for name in document[part] if f" {part}.{name}" not in done] == []
