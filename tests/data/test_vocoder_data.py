"""One command for the vocoder's data: made once, checked every time, faults named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data import recordings
from data import vocoder_data as prepared
from data.corpus.renderer import CorpusPlan, plan_tasks
from data.recordings import Recording
from scripts.command_line import run_command
from scripts.prepare.vocoder_data import vocoder_data

Run = Callable[..., tuple[int, str, str]]


def write_noise(path: Path, seconds: float, seed: int, rate: int = 44100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wav = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))
    soundfile.write(path, wav, rate, subtype="PCM_16")
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["prepare", "-o", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run_command(vocoder_data)
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Twelve recordings of a second, one too short, one silent, one no audio."""
    for number in range(12):
        write_noise(tmp_path / "own" / f"{number}.wav", 1.0, number)
    write_noise(tmp_path / "own" / "short.wav", 0.2, 99)
    soundfile.write(tmp_path / "own" / "silent.wav", np.zeros(44100), 44100)
    (tmp_path / "own" / "text.wav").write_text("no audio")
    return tmp_path / "own"


@pytest.fixture
def only_own(run: Run, own: Path, tmp_path: Path) -> Callable[[], tuple[int, str, str]]:
    return lambda: run(tmp_path / "out", "--folder", own, "--skip-corpus", "--skip-recordings", "--min-seconds", 0.5)


def summary(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "out" / prepared.SUMMARY).read_text())


def snapshot(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.flac")}


def test_an_own_folder_is_resampled_once_and_a_second_run_only_checks(only_own, tmp_path: Path, monkeypatch) -> None:
    code, out, _ = only_own()
    assert code == 0, out
    for name, reason in (("short.wav", "too short"), ("silent.wav", "silent"), ("text.wav", "unreadable")):
        assert any(name in line and reason in line for line in out.splitlines()), out
    found = summary(tmp_path)
    assert found["files"] == 12 and found["minutes"] == pytest.approx(12 / 60, abs=0.01) and not found["faults"]
    assert {row["split"] for row in found["rows"]} == {"train", "valid", "test"}
    assert all(row["source"] == "own" and row["license"] == "unknown" for row in found["rows"])
    info = soundfile.info(tmp_path / "out" / "own" / "own" / "3.flac")
    assert (info.samplerate, info.channels, info.frames) == (22050, 1, 22050)
    before = snapshot(tmp_path / "out")
    kept, convert = summary(tmp_path), recordings.convert
    converted: list[str] = []
    monkeypatch.setattr(recordings, "convert", lambda e, o: (converted.append(e.name), convert(e, o))[1])
    assert only_own()[0] == 0 and snapshot(tmp_path / "out") == before and summary(tmp_path) == kept
    assert converted == ["silent"]  # what left nothing behind is looked at again
    next(iter(before)).unlink()
    assert only_own()[0] == 0 and len(converted) == 3 and len(snapshot(tmp_path / "out")) == 12


def test_splits_of_a_folder_are_kept(run: Run, tone_corpus: Path, tmp_path: Path) -> None:
    code, out, _ = run(
        tmp_path / "out", "--folder", tone_corpus, "--skip-corpus", "--skip-recordings", "--min-seconds", 1
    )
    assert code == 0, out
    rows = {(row["source"], row["split"]): row["files"] for row in summary(tmp_path)["rows"]}
    assert rows == {(tone_corpus.name, "train"): 6, (tone_corpus.name, "valid"): 4}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "5.flac").write_bytes(b"fLaC"), "5.flac: unreadable"),
        (lambda folder: write_noise(folder / "5.flac", 1.0, 5), "5.flac: wrong rate: 44100 Hz"),
        (lambda folder: write_noise(folder / "5.flac", 0.8, 5, 22050), "5.flac: 0.80 s, its manifest says 1.00 s"),
        (lambda folder: write_noise(folder / "extra.flac", 1.0, 50, 22050), "extra.flac: in no manifest"),
        (lambda folder: soundfile.write(folder / "5.flac", np.zeros(22050), 22050), "5.flac: silent"),
    ],
)
def test_faults_of_files_are_named(damage, said: str, only_own, tmp_path: Path) -> None:
    only_own()
    damage(tmp_path / "out" / "own" / "own")
    code, out, _ = only_own()
    assert code == 1 and said in out.replace("\n", " "), out
    assert any(said in fault for fault in summary(tmp_path)["faults"])


def test_the_same_samples_in_two_splits_are_a_fault(only_own, tmp_path: Path) -> None:
    only_own()
    entries = recordings.read_manifest(tmp_path / "out" / "own")
    by_split = {split: [e.file for e in entries.values() if e.split == split] for split in ("train", "test")}
    folder = tmp_path / "out" / "own"
    shutil.copy(folder / by_split["train"][0], folder / by_split["train"][1])
    code, out, _ = only_own()
    assert code == 0 and "same samples as" in out  # worth knowing, no fault
    shutil.copy(folder / by_split["train"][2], folder / by_split["test"][0])
    code, out, _ = only_own()
    assert code == 1 and sum("same samples as" in fault for fault in summary(tmp_path)["faults"]) == 1


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, list[Path]]:
    """Two packages as if installed, one of them held out for tests, and one that is missing."""
    there = {
        name: [write_noise(tmp_path / "usr" / name / f"{n}.ogg.wav", 1.0, 10 * p + n) for n in range(6)]
        for p, name in enumerate(("band-music", "held-music"))
    }
    monkeypatch.setattr(recordings, "PACKAGES", (*there, "gone-music"))
    monkeypatch.setattr(recordings, "TEST_PACKAGES", ("held-music",))
    for place in ("data.recordings", "data.debian_packages"):
        monkeypatch.setattr(f"{place}.package_files", lambda name: there.get(name, []))
    monkeypatch.setattr("data.recordings.package_license", lambda name, path: "CC0")
    return there


def test_missing_packages_are_named_or_skipped(run: Run, packages, tmp_path: Path) -> None:
    arguments = (tmp_path / "out", "--skip-corpus", "--min-seconds", 0.5)
    code, _, err = run(*arguments)
    assert code == 2 and "apt-get install -y --no-install-recommends gone-music" in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    code, out, _ = run(*arguments, "--skip-missing")
    assert code == 0, out
    rows = {(row["source"], row["split"], row["license"]): row["files"] for row in summary(tmp_path)["rows"]}
    assert rows == {
        ("band-music", "train", "CC0"): 5,
        ("band-music", "valid", "CC0"): 1,
        ("held-music", "test", "CC0"): 6,
    }
    del packages["band-music"]  # uninstalled: what was converted stays
    assert run(*arguments, "--skip-missing")[0] == 0 and summary(tmp_path)["files"] == 12


def test_a_source_in_two_splits_is_a_fault(run: Run, packages, tmp_path: Path) -> None:
    arguments = (tmp_path / "out", "--skip-corpus", "--skip-missing", "--min-seconds", 0.5)
    run(*arguments)
    held = tmp_path / "out" / "recordings" / "held-music"
    entries = recordings.read_manifest(tmp_path / "out" / "recordings")
    packages.clear()
    changed = {
        name: recordings.Entry(**(vars(entry) | {"split": "train"} if name == "held-music/0_ogg.flac" else vars(entry)))
        for name, entry in entries.items()
    }
    assert (held / "0_ogg.flac").is_file()
    recordings.write_manifest(tmp_path / "out" / "recordings", changed)
    code, out, _ = run(*arguments)
    assert code == 1 and "held-music: the package is in test and train or valid" in out


def test_a_finished_corpus_is_checked_without_the_tools(run: Run, tmp_path: Path, monkeypatch) -> None:
    """Files as if rendered; with one of them missing, the tools would be needed, and are asked for."""
    tasks = plan_tasks(CorpusPlan(songs=1, test_songs=0, seconds=1.0, seed=0))
    for seed, task in enumerate(tasks):
        write_noise(tmp_path / "out" / "corpus" / task.file, 1.0, seed, 22050)
    manifest = tmp_path / "out" / "corpus" / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(task.record()) + "\n" for task in tasks))
    monkeypatch.setenv("PATH", os.devnull)
    arguments = (tmp_path / "out", "--skip-recordings", "--songs", 1, "--test-songs", 0, "--seconds", 1)
    code, out, _ = run(*arguments)
    assert code == 0, out
    assert summary(tmp_path)["rows"] == [
        {"source": "corpus", "split": "train", "license": "rendered here", "files": 10, "minutes": 0.17}
    ]
    assert "data.folders=[" in out
    (tmp_path / "out" / "corpus" / tasks[0].file).unlink()
    code, _, err = run(*arguments)
    assert code == 2 and "rendering needs mma" in err


def test_bad_requests_are_said_before_any_work(run: Run, tmp_path: Path, own: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "corpus").mkdir()
    for arguments, said in (
        ((out, "--skip-corpus", "--skip-recordings"), "nothing to do"),
        ((out, "--skip-corpus", "--skip-recordings", "--folder", tmp_path / "gone"), "no such folder"),
        ((out, "--skip-corpus", "--skip-recordings", "--folder", tmp_path / "corpus"), "cannot be called corpus"),
        ((tmp_path, "--skip-corpus", "--skip-recordings", "--folder", own), "choose another output folder"),
        ((out, "--songs", -1), "songs must be"),
        ((out, "--min-seconds", 100, "--max-minutes-per-source", 1), "--max-minutes-per-source 1"),
    ):
        code, _, err = run(*arguments)
        assert code == 2 and said in err and err.count("\n") == 1, err
    assert not out.exists()


def test_recordings_of_equal_stems_keep_apart(tmp_path: Path) -> None:
    for name in ("a/1.wav", "a/1.flac", "b/1.wav"):
        write_noise(tmp_path / "own" / name, 0.1, 0)
    found = prepared.find_with_splits(tmp_path / "own", "own")
    assert len({one.name for one in found}) == 3 and all(isinstance(one, Recording) for one in found)
