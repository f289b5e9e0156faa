"""Recordings: reading, cutting, splitting, resuming, and saying what was left out."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data import recordings
from data.recordings import Limits, Recording, Skipped
from scripts.command_line import run_command
from scripts.prepare.recordings import recordings as command
from stylize_core.errors import UserError


def write_tone(path: Path, seconds: float, rate: int = 44100, frequency: float = 440.0, channels: int = 2) -> None:
    time = np.arange(round(seconds * rate)) / rate
    tone = 0.5 * np.sin(2 * np.pi * frequency * time)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.stack([tone] * channels, axis=1), rate)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six usable files, one of them in an archive, and one of every kind that is skipped."""
    folder = tmp_path / "songs"
    for index in range(5):
        write_tone(folder / f"tone {index}.wav", 2.0 + index / 4, frequency=220.0 * (index + 1))
    write_tone(folder / "inner" / "packed.ogg", 3.0, rate=48000, channels=1)
    with zipfile.ZipFile(folder / "archive.pk3", "w") as archive:
        archive.write(folder / "inner" / "packed.ogg", "sound/packed.ogg")
    (folder / "inner" / "packed.ogg").unlink()
    (folder / "copy.wav").write_bytes((folder / "tone 0.wav").read_bytes())
    (folder / "broken.mp3").write_text("this is a text file")
    (folder / "module.xm").write_bytes(b"Extended Module: ")
    write_tone(folder / "short.wav", 0.3)
    soundfile.write(folder / "silent.flac", np.zeros(3 * 22050), 22050)
    return folder


def prepare(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["recordings", *map(str, arguments)])
        run_command(command)
    return int(ended.value.code or 0)


def run(folder: Path, output: Path, *more: str) -> int:
    return prepare("-o", output, "--folder", folder, "--min-seconds", "1", *more)


def test_folder_is_converted_and_every_file_left_out_is_named(folder, tmp_path, capsys):
    output = tmp_path / "out"
    assert run(folder, output) == 0
    printed = capsys.readouterr().out
    for name, reason in [
        ("tone 0.wav", "copy of another file"),
        ("broken.mp3", "unreadable"),
        ("module.xm", "tracker module"),
        ("short.wav", "too short: 0.3 s of 1 s"),
        ("silent.flac", "silent"),
    ]:
        assert any(name in line and reason in line for line in printed.splitlines()), (name, reason)
    entries = [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]
    assert {entry["file"] for entry in entries} == {
        "songs/copy.flac",
        "songs/packed.flac",
        *(f"songs/tone_{index}.flac" for index in range(1, 5)),
    }
    assert sorted(entry["split"] for entry in entries) == ["train"] * 5 + ["valid"]
    for entry in entries:
        info = soundfile.info(output / entry["file"])
        assert (info.samplerate, info.channels, info.subtype) == (22050, 1, "PCM_16")
        assert info.frames / 22050 == pytest.approx(entry["seconds"], abs=1e-3)
    assert not list(output.rglob("*.part"))


def test_resampling_keeps_the_tone(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "BLOCK_SAMPLES", 1000)
    write_tone(tmp_path / "tone.wav", 2.0, rate=48000, frequency=1001.3)
    recordings.convert(Recording("songs", "tone", tmp_path / "tone.wav", start=0.5, seconds=1.0), tmp_path / "out.flac")
    wav, _ = soundfile.read(tmp_path / "out.flac")
    expected = 0.5 * np.sin(2 * np.pi * 1001.3 * (0.5 + np.arange(22050) / 22050))
    assert len(wav) == 22050
    np.testing.assert_allclose(wav[200:-200], expected[200:-200], atol=1e-3)


@pytest.mark.parametrize("frames", [99, 100, 101, 200, 201])
def test_block_ends_lose_nothing(tmp_path, monkeypatch, frames):
    monkeypatch.setattr(recordings, "BLOCK_SAMPLES", 100)
    soundfile.write(tmp_path / "a.wav", np.full(frames, 0.25), 22050)
    recordings.convert(Recording("songs", "a", tmp_path / "a.wav", seconds=frames / 22050), tmp_path / "a.flac")
    wav, _ = soundfile.read(tmp_path / "a.flac")
    assert len(wav) == frames
    np.testing.assert_allclose(wav, 0.25, atol=1e-4)


def test_second_run_converts_only_what_is_missing(folder, tmp_path, monkeypatch):
    output = tmp_path / "out"
    run(folder, output)
    manifest = (output / "manifest.jsonl").read_text()
    (output / "songs" / "packed.flac").unlink()
    converted = []
    original = recordings.convert

    def spy(excerpt, path):
        converted.append(path.name)
        return original(excerpt, path)

    monkeypatch.setattr(recordings, "convert", spy)
    run(folder, output)
    assert converted == ["packed.flac", "silent.flac"]
    assert (output / "manifest.jsonl").read_text() == manifest


def test_another_limit_replaces_files_and_removes_stale_ones(folder, tmp_path):
    output = tmp_path / "out"
    run(folder, output)
    (folder / "tone 4.wav").unlink()
    other = tmp_path / "other"
    write_tone(other / "kept.wav", 2.0)
    run(other, output)
    assert run(folder, output, "--max-minutes-per-source", "0.1") == 0
    entries = recordings.read_manifest(output)
    assert "other/kept.flac" in entries and "songs/tone_4.flac" not in entries
    assert not (output / "songs" / "tone_4.flac").exists()
    assert sum(entry.seconds for entry in entries.values() if entry.source == "songs") <= 6.01


def test_interrupted_conversion_leaves_no_file(tmp_path, monkeypatch):
    write_tone(tmp_path / "tone.wav", 1.0)

    read = recordings.AudioReader.read

    def interrupted(reader, samples):
        if reader.decoded_frames:
            raise KeyboardInterrupt
        return read(reader, min(samples, 1000))

    monkeypatch.setattr(recordings.AudioReader, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        recordings.convert(
            Recording("s", "tone", tmp_path / "tone.wav", seconds=1.0),
            tmp_path / "o" / "t.flac",
        )
    assert list((tmp_path / "o").iterdir()) == []


def measured(*seconds: float) -> list[Recording]:
    return [Recording("s", f"n{index}", Path("x"), seconds=value) for index, value in enumerate(seconds)]


def test_a_limit_is_shared_evenly_and_cut_from_the_middle():
    kept = recordings.plan_excerpts(measured(50, 100, 400), Limits(per_source=250, excerpt=45))
    assert [(excerpt.start, excerpt.seconds) for excerpt in kept] == [(0, 50), (0, 100), (150, 100)]


def test_short_shares_use_fewer_recordings():
    kept = recordings.plan_excerpts(measured(*[300.0] * 20), Limits(per_source=200, excerpt=45))
    assert [excerpt.seconds for excerpt in kept].count(45) == 4
    assert sum(excerpt.seconds for excerpt in kept) == pytest.approx(200)


def test_nothing_is_cut_below_the_limit():
    kept = recordings.plan_excerpts(measured(50, 60), Limits(per_source=1000))
    assert [(excerpt.start, excerpt.seconds) for excerpt in kept] == [(0, 50), (0, 60)]


def test_splits_depend_on_names_alone_and_leave_test_sources_whole():
    songs = [Recording("s", f"n{index}", Path("x"), split="mixed") for index in range(20)]
    forward = {one.name: one.split for one in recordings.share_mixed(songs)}
    backward = {one.name: one.split for one in recordings.share_mixed(songs[::-1])}
    assert forward == backward
    assert list(forward.values()).count("valid") == 2
    assert {one.split for one in recordings.share_mixed([Recording("s", "a", Path("x"), split="test")])} == {"test"}
    assert set(recordings.TEST_PACKAGES) <= set(recordings.PACKAGES)


def test_truncated_file_is_named_and_not_written(tmp_path):
    write_tone(tmp_path / "tone.flac", 4.0)
    whole = (tmp_path / "tone.flac").read_bytes()
    (tmp_path / "tone.flac").write_bytes(whole[: len(whole) // 2])
    excerpt = Recording("s", "tone", tmp_path / "tone.flac", seconds=4.0)
    results = list(recordings.prepare([excerpt], tmp_path / "out"))
    assert [type(result) for result in results] == [Skipped]
    assert not list((tmp_path / "out").rglob("*.flac"))


def test_missing_packages_give_the_apt_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("data.debian_packages.package_files", lambda package: [])
    assert prepare("-o", tmp_path / "out", "--package", "some-music") == 2
    assert "apt-get install -y --no-install-recommends some-music" in capsys.readouterr().err


@pytest.mark.parametrize(("folder_name", "message"), [("nowhere", "no such folder"), ("empty", "no audio in")])
def test_bad_folders(tmp_path, capsys, folder_name, message):
    (tmp_path / "empty").mkdir()
    assert prepare("-o", tmp_path / "out", "--folder", tmp_path / folder_name) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_foreign_manifest_is_refused(tmp_path):
    (tmp_path / "manifest.jsonl").write_text('{"title": "other"}\n')
    with pytest.raises(UserError, match="no manifest of recordings"):
        recordings.read_manifest(tmp_path)


def test_manifests_with_the_old_name_of_a_key_are_read(folder, tmp_path):
    run(folder, tmp_path / "out")
    path = tmp_path / "out" / "manifest.jsonl"
    entries = recordings.read_manifest(tmp_path / "out")
    path.write_text(path.read_text().replace('"license"', '"licence"'))
    assert '"licence"' in path.read_text() and recordings.read_manifest(tmp_path / "out") == entries


def test_full_disk_ends_the_run(tmp_path, monkeypatch):
    write_tone(tmp_path / "tone.wav", 1.0)

    def full(writer, block):
        raise UserError("the disk is full")

    monkeypatch.setattr(recordings.AudioWriter, "write", full)
    excerpt = Recording("s", "tone", tmp_path / "tone.wav", seconds=1.0)
    with pytest.raises(UserError, match="disk is full"):
        list(recordings.prepare([excerpt], tmp_path / "out"))
    assert not list((tmp_path / "out" / "s").iterdir())
