"""Data set check: a made-up tree with every fault, each found once, named and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from data.verify import summarize, verify_folder
from stylize_core.audio.reader import read_audio
from stylize_core.errors import UserError
from tests.fuzz.audio import RATE, SECONDS, id3_tag, make_file


def write_noise(path: Path, seconds: float = 1.0, rate: int = 8000, seed: int = 0, level: float = 0.1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-level, level, round(seconds * rate))
    soundfile.write(path, noise, rate, subtype="PCM_16")


FAULTS_OF_TREE = {
    "blues/blues.00001.wav": {"too short"},
    "blues/blues.00002.wav": {"silent"},
    "blues/blues.00003.wav": {"silent"},  # as silent as the other, yet no duplicate
    "blues/blues.00004.wav": {"wrong rate"},
    "blues/._blues.00000.wav": {"dot-file"},
    "jazz/jazz.00000.flac": {"duplicate"},
    "jazz/jazz.00001.wav": {"unreadable"},
    "jazz/jazz.00002.wav": {"unreadable"},
    "jazz/jazz.00003.wav": {"unreadable"},
    "jazz/jazz.00054.wav": {"unreadable"},
    "jazz/jazz.00005.wav": {"too short", "wrong rate"},
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two good files and one or more of each fault."""
    root = tmp_path / "genres"
    write_noise(root / "blues/blues.00000.wav", seed=1)
    write_noise(root / "jazz/jazz.00004.wav", seed=2)
    write_noise(root / "blues/blues.00001.wav", seconds=0.4, seed=3)
    write_noise(root / "blues/blues.00002.wav", level=0.0)
    write_noise(root / "blues/blues.00003.wav", level=0.0)
    write_noise(root / "blues/blues.00004.wav", rate=11025, seed=4)
    write_noise(root / "jazz/jazz.00005.wav", rate=11025, seconds=0.2, seed=5)
    (root / "blues/._blues.00000.wav").write_bytes(b"\0\5\x16\7 not audio")
    samples, rate = soundfile.read(root / "blues/blues.00000.wav", dtype="int16")
    soundfile.write(root / "jazz/jazz.00000.flac", samples, rate)
    (root / "jazz/jazz.00001.wav").write_text("this is no audio at all")
    whole = (root / "jazz/jazz.00004.wav").read_bytes()
    (root / "jazz/jazz.00002.wav").write_bytes(whole[: len(whole) // 2])
    soundfile.write(root / "jazz/jazz.00003.wav", np.array([0.1, np.nan] * 8000), 8000, subtype="FLOAT")
    (root / "jazz/jazz.00054.wav").write_bytes(whole[:44])
    (root / "jazz/notes.txt").write_text("no audio, no fault")
    return tmp_path


def test_each_fault_is_found_where_it_is_and_nowhere_else(tree: Path) -> None:
    reports = verify_folder(tree, sample_rate=8000, min_seconds=0.5)
    found = {report.path.relative_to(tree / "genres").as_posix(): set(report.faults) for report in reports}
    assert found == {"blues/blues.00000.wav": set(), "jazz/jazz.00004.wav": set()} | FAULTS_OF_TREE


def test_duplicate_names_its_original(tree: Path) -> None:
    lines = [report.faults.get("duplicate") for report in verify_folder(tree, sample_rate=8000)]
    assert [line for line in lines if line] == [f"same samples as {tree / 'genres/blues/blues.00000.wav'}"]


def test_same_samples_at_another_rate_are_no_duplicate(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 8000)
    (tmp_path / "x").mkdir()
    for rate in (8000, 11025):
        soundfile.write(tmp_path / f"x/{rate}.wav", samples, rate)
    assert not any("duplicate" in report.faults for report in verify_folder(tmp_path))


def test_summary_counts_by_genre(tree: Path) -> None:
    blues, jazz, _ = summarize(verify_folder(tree, sample_rate=8000, min_seconds=0.5))
    assert (blues.genre, blues.files, jazz.genre, jazz.files) == ("blues", 5, "jazz", 7)
    assert blues.seconds == pytest.approx(4.4) and jazz.seconds == pytest.approx(2.2)
    assert blues.faults == {
        "unreadable": 0, "dot-file": 1, "too short": 1, "silent": 2, "duplicate": 0, "wrong rate": 1
    }  # fmt: skip
    assert jazz.faults == {
        "unreadable": 4, "dot-file": 0, "too short": 1, "silent": 0, "duplicate": 1, "wrong rate": 1
    }  # fmt: skip


def test_recordings_without_genres_are_checked_too(tmp_path: Path) -> None:
    write_noise(tmp_path / "a.wav")
    write_noise(tmp_path / "b.wav", seconds=0.1, seed=1)
    summary, total = summarize(verify_folder(tmp_path, sample_rate=8000, min_seconds=0.5))
    assert (summary.genre, summary.files, summary.faults["too short"]) == ("(no genre)", 2, 1)
    assert (total.genre, total.files, total.faults) == ("all", 2, summary.faults)


def test_progress_counts_to_the_end(tree: Path) -> None:
    calls: list[tuple[int, int]] = []
    verify_folder(tree, progress=lambda done, files: calls.append((done, files)))
    assert calls == [(done, 13) for done in range(1, 14)]


def test_folder_must_exist_and_hold_audio(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        verify_folder(tmp_path / "missing")
    with pytest.raises(UserError, match="no audio in"):
        verify_folder(tmp_path)


def test_command_names_each_file_and_fault_on_a_line_and_exits_with_1(tree: Path, run_module) -> None:
    result = run_module("scripts.prepare", "verify", tree, "--sample-rate", 8000, "--min-seconds", 0.5)
    output = result.stdout
    assert result.returncode == 1 and "Traceback" not in result.stderr
    for name, faults in FAULTS_OF_TREE.items():
        for fault in faults:
            path = tree / "genres" / name
            assert sum(line.startswith(f"{path}: {fault}: ") for line in output.splitlines()) == 1
    assert "blues.00000.wav: " not in output.replace("._blues.00000.wav", "")
    row = next(line for line in output.splitlines() if "│ jazz" in line)
    assert [cell.strip() for cell in row.strip("│ ").split("│")] == ["jazz", "7", "2.2", *"401011"]


def test_command_on_a_good_tree_exits_with_0(tmp_path: Path, run_module) -> None:
    write_noise(tmp_path / "odd [name]/a.wav")
    result = run_module("scripts.prepare", "verify", tmp_path, "--sample-rate", 8000, "--min-seconds", 0)
    assert result.returncode == 0 and "odd [name]" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [["missing"], [".", "--sample-rate", "0"], [".", "--min-seconds", "-1"], [".", "--min-seconds", "nan"],
     [".", "--sample-rate", "fast"]],
)  # fmt: skip
def test_command_refuses_bad_arguments_with_one_line(arguments, tmp_path, monkeypatch, run_module) -> None:
    monkeypatch.chdir(tmp_path)
    write_noise(tmp_path / "x/a.wav")
    result = run_module("scripts.prepare", "verify", *arguments)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


def test_odd_files_are_seen_as_they_are_heard(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The check reads as everything else does: all of a file, or a fault."""
    mp3, ogg, wav = make_file("mp3-cbr"), make_file("vorbis"), make_file("wav-16")
    songs = {
        "chained.ogg": ogg * 2, "joined.mp3": mp3 + id3_tag(60) + mp3, "wrapped.wav": wav[:4] + bytes(4) + wav[8:40]
        + (len(wav) // 2).to_bytes(4, "little") + wav[44:], "hole.mp3": mp3 + bytes(100_000) + mp3,
    }  # fmt: skip
    (tmp_path / "x").mkdir()
    for name, content in songs.items():
        (tmp_path / "x" / name).write_bytes(content)
    (tmp_path / "x/half.ogg").write_bytes(ogg[: len(ogg) // 2])
    (tmp_path / "x/song.m4a").write_bytes(b"")
    reports = {report.path.name: report for report in verify_folder(tmp_path, sample_rate=RATE, min_seconds=1.0)}
    assert set(reports.pop("half.ogg").faults) == {"unreadable"}
    assert [name for name, report in reports.items() if report.faults] == ["joined.mp3"]  # as hole.mp3
    expected = {name: SECONDS if name == "wrapped.wav" else 2 * SECONDS for name in songs}
    assert {name: report.seconds for name, report in reports.items()} == pytest.approx(expected, abs=1e-3)
    assert "1 file in" in caplog.text and "song.m4a" in caplog.text


def test_a_channel_that_is_the_others_inverse_is_not_silent(tmp_path: Path) -> None:
    left = np.random.default_rng(0).uniform(-0.1, 0.1, 8000)
    soundfile.write(tmp_path / "a.wav", np.stack([left, -left], axis=1), 8000)
    mono, _ = read_audio(tmp_path / "a.wav", 4000)
    assert np.square(mono).mean() > 0.3 * np.square(left).mean()
