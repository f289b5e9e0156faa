"""Validation clips in an offline W&B run: a table at every validation, each input once; wandb's own reader reads it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.experiment import Sample
from training.tracking import Tracker, artifacts_staged_in

RATE = 22050
CLIPS = ("0-blues", "1-jazz")
Record = dict[str, Any]


def samples_of(step: int) -> list[Sample]:
    """Two inputs and what became of them at a step."""
    time = np.arange(RATE) / RATE
    found = []
    for index, name in enumerate(CLIPS):
        given = 0.3 * np.sin(2 * np.pi * (220 + 110 * index) * time).astype(np.float32)
        made = 0.3 * np.sin(2 * np.pi * (220 + step) * time).astype(np.float32)
        found.append(Sample(f"{name}-input", given, RATE, {"input": np.full((8, 20), -4.0)}, fixed=True))
        found.append(Sample(f"{name}-to-rock", made, RATE, {"output": np.zeros((8, 20))}))
    return found


def read_run(folder: Path) -> list[Record]:
    """All records of a run's folder, as wandb's own reader prints them."""
    (file,) = folder.glob("*.wandb")
    result = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)],
        env=os.environ | {"WANDB_MODE": "offline", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith('{"num"')]


def entries_of(artifact: Record) -> dict[str, Path]:
    """The files of an artifact, where they wait to be uploaded."""
    entries = {}
    for each in artifact["manifest"]["contents"]:
        entries[each["path"]] = Path(each["local_path"])
        digest = hashlib.md5(entries[each["path"]].read_bytes()).digest()
        assert base64.b64encode(digest).decode() == each["digest"]
    return entries


def tables_of(records: list[Record], name: str) -> list[list[Record]]:
    """The rows of every table that was logged under a name, in the order of time."""
    found = []
    for record in records:
        if record["type"] == "artifact":
            entries = entries_of(record["artifact"])
            if f"{name}.table.json" in entries:
                table = json.loads(entries[f"{name}.table.json"].read_text())
                found.append([dict(zip(table["columns"], row, strict=True)) for row in table["data"]])
                media = (cell["path"] for row in found[-1] for cell in row.values() if isinstance(cell, dict))
                assert set(media) <= set(entries)
    return found


def sounds_of(records: list[Record]) -> list[bytes]:
    """Every sound that waits to be uploaded, as often as it does."""
    artifacts = [entries_of(record["artifact"]) for record in records if record["type"] == "artifact"]
    return [path.read_bytes() for entries in artifacts for name, path in entries.items() if name.endswith(".wav")]


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No key, and a home of its own."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "WANDB_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def test_a_table_at_every_validation_and_each_input_once(offline: Path) -> None:
    run = offline / "translator"
    tracker = Tracker(run, {}, "auto")
    for step in (10, 20):
        tracker.samples(step, samples_of(step))
    tracker.close()
    (folder,) = (run / "wandb").glob("offline-run-*")
    records = read_run(folder)
    assert records[-1]["type"] == "exit"
    (inputs,) = tables_of(records, "validation/inputs")
    assert [row["input"] for row in inputs] == ["0-blues-input", "1-jazz-input"]
    outputs = tables_of(records, "validation/outputs")
    assert [[(row["step"], row["clip"], row["input"]) for row in table] for table in outputs] == [
        [(step, f"{name}-to-rock", f"{name}-input") for name in CLIPS] for step in (10, 20)
    ]
    for row in [*outputs[0], *outputs[1]]:
        assert (row["output"]["_type"], row["mels"]["_type"]) == ("audio-file", "image-file")
        assert 0 <= row["chroma"] <= 1 and -1 <= row["onsets"] <= 1
    sounds = sounds_of(records)
    for name in CLIPS:
        assert sounds.count((run / "samples" / f"{name}-input.wav").read_bytes()) == 1
        assert sounds.count((run / "samples" / f"{name}-to-rock.step-00000020.wav").read_bytes()) >= 1
    assert not [path for path in folder.rglob("*.wav")]  # what is in a table is not logged a second time
    history = [record["history"]["item"] for record in records if record["type"] == "history"]
    assert [line["step"] for line in history] == [10, 20]
    assert not (offline / "home").exists()  # nothing waits in the user's home


def test_a_resumed_run_doubles_no_row(offline: Path) -> None:
    run = offline / "translator"
    first = Tracker(run, {}, "off")
    for step in (10, 20):
        first.samples(step, samples_of(step))
    resumed = Tracker(run, {}, "off", first_step=10)
    rows = [json.loads(line) for line in resumed.comparisons_path.read_text().splitlines()]
    assert [row["step"] for row in rows] == [10, 10]
    resumed.samples(20, samples_of(20))
    rows = [json.loads(line) for line in resumed.comparisons_path.read_text().splitlines()]
    assert [(row["step"], row["name"]) for row in rows] == [
        (step, f"{name}-to-rock") for step in (10, 20) for name in CLIPS
    ]
    assert len(list((run / "samples").glob("*.wav"))) == 2 + 2 * 2


def test_a_place_that_the_user_chose_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", "/mine")
    with artifacts_staged_in(tmp_path):
        assert os.environ["WANDB_DATA_DIR"] == "/mine"
    assert os.environ["WANDB_DATA_DIR"] == "/mine"
    monkeypatch.delenv("WANDB_DATA_DIR")
    with pytest.raises(RuntimeError), artifacts_staged_in(tmp_path):
        assert os.environ["WANDB_DATA_DIR"] == str(tmp_path)
        raise RuntimeError
    assert "WANDB_DATA_DIR" not in os.environ
