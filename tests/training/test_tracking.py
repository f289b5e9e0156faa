"""What a run leaves behind: numbers, sounds, pictures, and a W&B run that can be read."""

from __future__ import annotations

import json
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import soundfile

from stylize_core.errors import UserError
from training.experiment import Sample
from training.tracking import Tracker, plot_mels


def read_metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def sample(name: str = "clip", fixed: bool = False, level: float = 0.5) -> Sample:
    wav = level * np.sin(np.arange(2000) / 10).astype(np.float32)
    return Sample(name, wav, 22050, {"before": np.full((8, 20), -4.0), "after": np.zeros((8, 20))}, fixed)


def test_metrics_are_lines_of_json(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path / "run", {}, "off")
    tracker.metrics(1, {"loss": 0.123456789, "rate": 2.0})
    tracker.metrics(20, {"valid/chroma": 1e-9})
    assert read_metrics(tmp_path / "run") == [
        {"step": 1, "loss": 0.123457, "rate": 2.0},
        {"step": 20, "valid/chroma": 1e-9},
    ]


def test_a_resumed_run_drops_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, {}, "off")
    for step in (5, 10, 10, 15):
        tracker.metrics(step, {"loss": float(step)})
    Tracker(tmp_path, {}, "off", first_step=10).metrics(11, {"loss": 0.0})
    assert [line["step"] for line in read_metrics(tmp_path)] == [5, 10, 10, 11]


def test_half_a_line_left_by_a_kill_does_not_stop_a_resume(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, {}, "off")
    tracker.metrics(5, {"loss": 1.0})
    with tracker.metrics_path.open("a") as stream:
        stream.write('{"step": 6, "lo')
    Tracker(tmp_path, {}, "off", first_step=6).metrics(7, {"loss": 2.0})
    assert [line["step"] for line in read_metrics(tmp_path)] == [5, 7]


def test_samples_are_sounds_and_pictures(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, {}, "off")
    loud = sample("loud", level=3.0)
    tracker.samples(40, [sample(), loud, Sample("silent-movie", None, 22050, {"mel": np.zeros((8, 20))})])
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == [
        "clip.step-00000040.png",
        "clip.step-00000040.wav",
        "loud.step-00000040.png",
        "loud.step-00000040.wav",
        "silent-movie.step-00000040.png",
    ]
    wav, rate = soundfile.read(tmp_path / "samples" / "clip.step-00000040.wav")
    assert rate == 22050
    np.testing.assert_allclose(wav, sample().wav, atol=1e-4)
    clipped, _ = soundfile.read(tmp_path / "samples" / "loud.step-00000040.wav")
    assert np.sign(clipped[20]) == np.sign(loud.wav[20])  # clipped, not wrapped
    assert np.abs(clipped).max() <= 1.0


def test_a_fixed_sample_is_written_once(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, {}, "off")
    tracker.samples(10, [sample("input", fixed=True, level=0.5)])
    before = (tmp_path / "samples" / "input.wav").read_bytes()
    tracker.samples(20, [sample("input", fixed=True, level=0.1)])
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["input.png", "input.wav"]
    assert (tmp_path / "samples" / "input.wav").read_bytes() == before


def test_the_picture_shows_low_bands_at_the_bottom(tmp_path: Path) -> None:
    mel = np.full((40, 60), -4.0)
    mel[:10] = 1.0  # the lowest bands are loud
    plot_mels({"mel": mel}, tmp_path / "mel.png")
    picture = matplotlib.image.imread(tmp_path / "mel.png")[..., :3].sum(axis=2)
    height, width = picture.shape
    column = picture[height // 8 : -height // 3, width // 2]  # clear of title and axis
    below = picture[int(height * 0.72), width // 2]
    assert below > column.mean() + 0.5


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path / "run", {}, "offline", active=False)
    tracker.metrics(1, {"loss": 1.0})
    tracker.samples(1, [sample()])
    tracker.close()
    assert not (tmp_path / "run").exists()


def test_w_and_b_is_not_even_imported_when_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import would raise
    tracker = Tracker(tmp_path, {}, "off")
    tracker.metrics(1, {"loss": 1.0})
    tracker.samples(1, [sample()])
    tracker.close()
    assert not (tmp_path / "wandb").exists()


def test_an_unknown_mode_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'of' is unknown; choose one of auto, online, offline, off"):
        Tracker(tmp_path, {}, "of")


def read_wandb_records(file: Path) -> Iterator[Any]:
    """The records of a local W&B run file: blocks of 32 KiB with chunks of checksum, length, kind and bytes."""
    from wandb.proto import wandb_internal_pb2

    content, position, record = file.read_bytes(), 7, b""
    assert content[:4] == b":W&B"
    while position + 7 <= len(content):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        if position + 7 + length > len(content):
            return  # not yet written whole
        record += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(record)
            record = b""


def test_an_offline_w_and_b_run_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    tracker = Tracker(tmp_path / "vocoder", {"loop": {"steps": 30}}, "offline")
    tracker.metrics(10, {"loss": 0.5})
    tracker.samples(10, [sample()])
    tracker.metrics(20, {"loss": 0.25})
    tracker.close()
    (file,) = (tmp_path / "vocoder" / "wandb").glob("offline-run-*/run-*.wandb")
    for _ in range(200):  # W&B writes from a process of its own, which may lag behind
        records = list(read_wandb_records(file))
        if records and records[-1].HasField("exit"):
            break
        time.sleep(0.1)
    assert records[-1].HasField("exit")
    (run,) = [record.run for record in records if record.HasField("run")]
    assert (run.project, run.display_name) == ("music-style-transfer", "vocoder")
    assert {item.key: json.loads(item.value_json) for item in run.config.update}["loop"] == {"steps": 30}
    history = [
        {(item.key or ".".join(item.nested_key)): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    assert [(line["step"], line["loss"]) for line in history if "loss" in line] == [(10, 0.5), (20, 0.25)]
    (media,) = [line for line in history if any(key.startswith("audio/clip") for key in line)]
    assert media["step"] == 10
    stored = sorted(path.suffix for path in (file.parent / "files" / "media").rglob("*") if path.is_file())
    assert stored == [".png", ".wav"]
