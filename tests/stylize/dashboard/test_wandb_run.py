"""An offline run of a trial holds all there is to upload, and none of what must not be; read with wandb's own tools."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stylize.dashboard.command import make_dashboard
from stylize.dashboard.content import Content, describe_models, wandb_runs_of, without_paths
from stylize.dashboard.tracking import make_artifact, make_table, metric_names, summary_values
from stylize.listening.results import evaluate
from stylize.listening.trial import ANSWERS_NAME, MANIFEST_NAME, Trial
from tests.stylize.dashboard.conftest import LISTENERS, Dashboard

Record = dict[str, Any]


def run_wandb(*arguments: object) -> str:
    """What wandb's command says."""
    result = subprocess.run(
        [sys.executable, "-m", "wandb", *map(str, arguments)],
        env=os.environ | {"WANDB_MODE": "offline", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def records(dashboard: Dashboard) -> list[Record]:
    """All records of the run, as wandb's own reader prints them."""
    (file,) = Path(str(dashboard.made.run)).glob("*.wandb")
    lines = run_wandb("leet", "inspect", "--json", file).splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"num"')]


def of_type(records: list[Record], kind: str) -> list[Record]:
    return [record[kind] for record in records if record["type"] == kind]


def entries_of(artifact: Record) -> dict[str, Path]:
    """The files of an artifact where they wait to be uploaded; their digests are seen to be right."""
    entries = {each["path"]: Path(each["local_path"]) for each in artifact["manifest"]["contents"]}
    for each in artifact["manifest"]["contents"]:
        digest = hashlib.md5(Path(each["local_path"]).read_bytes()).digest()
        assert base64.b64encode(digest).decode() == each["digest"]
    return entries


@pytest.fixture(scope="module")
def artifacts(records: list[Record]) -> dict[str, Record]:
    """By the names of their tables, or by their types."""
    found = {}
    for artifact in of_type(records, "artifact"):
        tables = [each["path"] for each in artifact["manifest"]["contents"] if each["path"].endswith(".table.json")]
        found[tables[0].removesuffix(".table.json") if tables else artifact["type"]] = artifact
    assert len(found) == len(of_type(records, "artifact"))
    return found


def rows_of(artifact: Record, name: str) -> list[Record]:
    """The rows of a table."""
    table = json.loads(entries_of(artifact)[f"{name}.table.json"].read_text())
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


def test_the_run_is_complete(dashboard: Dashboard, records: list[Record]) -> None:
    assert records[-1]["type"] == "exit" and records[-1]["exit"]["exit_code"] == 0
    assert dashboard.made.wandb.startswith("W&B: offline")
    for files in of_type(records, "files"):
        assert all((Path(str(dashboard.made.run)) / "files" / each["path"]).is_file() for each in files["files"])
    (run,) = of_type(records, "run")
    assert run["run_id"] == f"trial-{dashboard.trial.id}"  # one run per trial: later answers go there too
    assert run["display_name"] == dashboard.trial.title and run["job_type"] == "listening-test"


def test_what_is_to_be_uploaded_waits_beside_the_run(dashboard: Dashboard, artifacts: dict[str, Record]) -> None:
    place = Path(str(dashboard.made.run)).parent
    for artifact in artifacts.values():
        assert all(path.is_relative_to(place) for path in entries_of(artifact).values())
    assert not (place.parent / ".local" / "share" / "wandb" / "artifacts").exists()  # the test's HOME


def test_the_table_has_a_row_for_each_song_and_system(dashboard: Dashboard, artifacts: dict[str, Record]) -> None:
    entries, rows = entries_of(artifacts["trial"]), rows_of(artifacts["trial"], "trial")
    songs, systems = [song.name for song in dashboard.trial.songs], ["copy-content", "griffin-lim", "vocoder"]
    assert [(row["song"], row["system"]) for row in rows] == [(song, name) for song in songs for name in systems]
    for row in rows:
        for column in ("original", "example", "output"):
            assert row[column]["_type"] == "audio-file" and row[column]["path"] in entries
            assert row[f"{column} mel"]["_type"] == "image-file" and row[f"{column} mel"]["path"] in entries
        assert row["content n"] == row["quality n"] == LISTENERS
    first = rows[0]
    assert first["chroma"] == pytest.approx(1, abs=1e-4) and first["onsets"] == pytest.approx(1, abs=1e-4)
    assert first["content rating"] == pytest.approx(90 + (1 + 2 + 0 + 1 + 2 + 0 + 1) / 7)
    assert first["content low"] < first["content rating"] < first["content high"]
    assert rows[2]["quality rating"] == pytest.approx(first["quality rating"] - 50)  # vocoder 40, copy 90


def test_each_input_is_stored_once(dashboard: Dashboard, artifacts: dict[str, Record]) -> None:
    entries = entries_of(artifacts["trial"])
    sounds = [path for path in entries if path.endswith(".wav")]
    # Two songs by two systems, two originals that are the copies too, and one example for both.
    assert len(sounds) == 2 * 2 + 2 + 1
    assert len({entries[path].read_bytes() for path in sounds}) == len(sounds)
    assert len([path for path in entries if path.endswith(".png")]) == len(sounds)


def test_cells_with_the_same_sound_share_one_object(dashboard: Dashboard) -> None:
    """W&B then copies it once, and never meets one path from two objects."""
    table = make_table(dashboard.made.content, dashboard.page.parent)
    cells = [table.columns.index(name) for name in ("original", "original mel", "example", "example mel")]
    for row in table.data[:3]:  # the first song
        assert all(row[cell] is table.data[0][cell] for cell in cells)
    copy = table.data[0]
    assert copy[2] == "copy-content" and copy[table.columns.index("output")] is copy[cells[0]]
    assert table.data[3][cells[0]] is not copy[cells[0]] and table.data[3][cells[2]] is copy[cells[2]]


def test_summary_config_and_plots(dashboard: Dashboard, records: list[Record]) -> None:
    summary = {name: value for each in of_type(records, "summary") for name, value in each["update"].items()}
    totals = dashboard.made.content.totals["vocoder"]["quality"]
    assert summary["vocoder/quality_rating"] == pytest.approx(totals.mean)
    assert summary["vocoder/quality_rating_low"] == pytest.approx(totals.low)
    assert summary["vocoder/quality_rating_count"] == totals.count == 2 * LISTENERS
    assert summary["copy_content/style_similarity"] == pytest.approx(
        dashboard.made.content.mean_measures("copy-content")["style similarity"]
    )
    assert summary["left_out"] == 0
    names = set(summary_values(dashboard.made.content))
    assert names <= set(summary) and all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(/\w+)?", name) for name in names)
    assert summary["vocoder/chroma"] == pytest.approx(dashboard.made.content.mean_measures("vocoder")["chroma"])
    assert summary["listeners"] == LISTENERS
    (history,) = of_type(records, "history")
    assert {name for name in history["item"] if name.endswith("._type")} >= {
        f"plots/ratings_{question}._type" for question in ("content", "style", "quality")
    }
    (run,) = of_type(records, "run")
    config = run["config"]["update"]
    (vocoder,) = [system for system in dashboard.trial.systems if system.name == "vocoder"]
    digest = vocoder.details["vocoder"]["weights_sha256"]
    assert config["systems"]["vocoder"]["vocoder"] == {
        "folder": dashboard.order.vocoder.name,
        "weights_sha256": digest,
        "training": {"steps": 0},
        "wandb_runs": [],
    }
    assert config["systems"]["griffin-lim"] == {"kind": "griffin-lim", "iterations": 2}
    assert set(config["songs"]) == {song.name for song in dashboard.trial.songs}
    assert str(dashboard.order.vocoder) not in json.dumps(config)


def test_which_systems_differ(dashboard: Dashboard, artifacts: dict[str, Record]) -> None:
    rows = rows_of(artifacts["differences"], "differences")
    assert len(rows) == 3 * 3 and "pairs" not in artifacts
    (row,) = [
        row for row in rows if (row["question"], row["second"]) == ("style", "vocoder") and row["first"][0] == "c"
    ]
    assert (row["first"], row["difference"], row["pairs"]) == ("copy-content", pytest.approx(50), LISTENERS)
    # Seven of seven agree: 2 / 2^7, and Holm's factor for three pairs.
    assert (row["p"], row["adjusted"]) == (pytest.approx(2 / 128), pytest.approx(6 / 128))


def test_metric_names_are_such_as_w_and_b_can_sort() -> None:
    systems = ("copy-content", "copy_content", "a/b", "2.1", "<script>", "---")
    assert list(metric_names(systems).values()) == [
        "copy_content",
        "copy_content_2",
        "a_b",
        "system_2_1",
        "script",
        "system_",
    ]


def test_the_trial_goes_with_its_key_and_without_its_listeners(
    dashboard: Dashboard, artifacts: dict[str, Record], tmp_path: Path
) -> None:
    artifact = artifacts["listening-trial"]
    entries = entries_of(artifact)
    sounds = {f"audio/{stimulus.id}.wav" for stimulus in dashboard.trial.stimuli}
    assert set(entries) == sounds | {MANIFEST_NAME, "summaries.csv", "differences.csv"}
    for name, path in entries.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(path, tmp_path / name)
    read = Trial.read(tmp_path)  # what comes back from W&B is a trial again
    assert read.stimuli == dashboard.trial.stimuli and read.screens == dashboard.trial.screens
    assert str(dashboard.folder.parent) not in (tmp_path / MANIFEST_NAME).read_text()
    assert "listener," not in (tmp_path / "summaries.csv").read_text().splitlines()[0]


def test_a_trial_without_answers_stays_blind(
    dashboard: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    content = dashboard.made.content
    unanswered = dataclasses.replace(content, results=evaluate(content.trial, [], []))
    artifact = make_artifact(unanswered, dashboard.folder)
    assert {Path(path).parts[0] for path in artifact.manifest.entries} == {"audio"}
    assert artifact.metadata["blind"] is True


def test_wandb_would_upload_it(dashboard: Dashboard) -> None:
    run = Path(str(dashboard.made.run))
    said = run_wandb("sync", "--dry-run", run)
    assert "Would sync 1 run(s)" in said and f"run-trial-{dashboard.trial.id}.wandb" in said


def test_training_is_told_only_of_the_same_weights(dashboard: Dashboard, tmp_path: Path) -> None:
    folder = tmp_path / "vocoder"
    shutil.copytree(str(dashboard.order.vocoder), folder)
    (vocoder,) = [system for system in dashboard.trial.systems if system.name == "vocoder"]
    details = {"vocoder": vocoder.details["vocoder"] | {"folder": str(folder)}}
    trial = dataclasses.replace(dashboard.trial, systems=(dataclasses.replace(vocoder, details=details),))
    (model,) = describe_models(trial).values()
    assert model["training"] == {"steps": 0} and model["systems"] == ["vocoder"] and model["wandb_runs"] == []
    (weights,) = folder.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes() + b"\0")
    (model,) = describe_models(trial).values()
    assert model["training"] is None


def test_a_model_is_linked_to_the_runs_that_trained_it(tmp_path: Path) -> None:
    best = tmp_path / "run" / "best"
    best.mkdir(parents=True)
    for name in ("run-20261102_101500-later", "offline-run-20261101_090000-first-one", "latest-run", "debug.log"):
        (tmp_path / "run" / "wandb" / name).mkdir(parents=True)
    assert wandb_runs_of(best) == []  # no run of a training: whose runs these are is not known
    (tmp_path / "run" / "config.yaml").touch()
    assert wandb_runs_of(best) == ["first-one", "later"]


def test_folders_are_named_without_the_way_to_them() -> None:
    details = {"vocoder": {"folder": "/home/me/runs/small/best", "weights_sha256": "0"}, "folder": "/home/me/sounds"}
    assert without_paths(details) == {
        "vocoder": {"folder": "small/best", "weights_sha256": "0"},
        "folder": "sounds",
    }


def test_off_writes_no_run(dashboard: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    seen: list[Content] = []

    def collect(*arguments: object) -> Content:
        seen.append(dashboard.made.content)
        return dashboard.made.content

    monkeypatch.setattr("stylize.dashboard.content.collect", collect)
    answers = dashboard.folder / ANSWERS_NAME
    made = make_dashboard(dashboard.folder, output=tmp_path / "page", wandb="off", answers=answers)
    assert made.run is None and seen and made.page.is_file() and not (tmp_path / "wandb").exists()
