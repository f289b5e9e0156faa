"""The command line as it is used: golden paths, folders, Ctrl-C, the other commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from stylize import Stylizer
from stylize.cli import main
from stylize.pipeline import Result
from stylize.report import describe_result

if TYPE_CHECKING:
    from tests.conftest import RunModule, TinyModels
    from tests.stylize.conftest import Refused, Run, Songs


@pytest.mark.parametrize(
    ("name", "channels", "rate"),
    [
        ("a.wav", 1, 22050),
        ("b.wav", 2, 44100),
        ("c.mp3", 2, 44100),
        ("d.ogg", 1, 32000),
        ("e.flac", 3, 48000),
    ],
)
def test_any_song_keeps_length_rate_and_channels(
    run: Run,
    songs: Songs,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    channels: int,
    rate: int,
) -> None:
    song = songs.write(place / name, 30_001, channels, rate)
    frames = len(soundfile.read(song)[0])
    assert run(song, "--to", "jazz", "-o", "out.wav") == 0
    wav, written_rate = soundfile.read("out.wav", always_2d=True)
    assert (wav.shape, written_rate) == ((frames, channels), rate)
    assert wav.std() > 0.001
    printed = capsys.readouterr()
    assert printed.out.startswith(f"out.wav: {frames / rate:.1f} s of music in ")
    assert "x real time" in printed.out
    assert printed.err == ""


def test_command_name_is_optional_and_options_may_come_first(run: Run, songs: Songs, place: Path) -> None:
    songs.write(place / "song.wav", 5000)
    assert run("--to", "jazz", "-o", "a.wav", "song.wav") == 0
    assert run("song", "song.wav", "--to", "jazz", "-o", "b.wav") == 0
    assert (place / "a.wav").read_bytes() == (place / "b.wav").read_bytes()


def test_default_name_and_sample_rate(run: Run, songs: Songs, place: Path) -> None:
    song = songs.write(place / "music" / "song.wav", 22050, rate=22050)
    assert run(song, "--to", "jazz", "--sample-rate", 16000) == 0
    info = soundfile.info("song.jazz.wav")
    assert (info.frames, info.samplerate) == (16000, 16000)


@pytest.mark.parametrize("loudness", ["loud", "-71", "0", "nan"])
def test_loudness_that_is_none_is_refused(refused: Refused, songs: Songs, place: Path, loudness: str) -> None:
    song = songs.write(place / "song.wav", 5000)
    line = refused(song, "--to", "jazz", "--loudness", loudness)
    assert f"got the loudness '{loudness}'; expected song, off, or -70 to -5 (LUFS)" in line


def test_an_unsure_reference_and_a_song_that_hardly_changes_are_said() -> None:
    result = Result(Path("out.wav"), 10.0, 1.0, {"jazz": 0.5, "blues": 0.47, "metal": 0.03}, by_example=True)
    first, *notes = describe_result(result).splitlines()
    assert first == "out.wav: 10.0 s of music in 1.0 s, 10.0x real time; 50 % jazz, 47 % blues, mel changed by 0.0 dB"
    assert [note[:42] for note in notes] == [
        "note: the reference was taken for 50 % jaz",
        "note: almost nothing changed (0.0 dB in th",
    ]


def test_precision_of_the_song_is_kept(run: Run, songs: Songs, place: Path) -> None:
    song = songs.write(place / "song.wav", 5000, subtype="PCM_24")
    assert run(song, "--to", "jazz", "-o", "out.wav") == 0
    assert soundfile.info("out.wav").subtype == "PCM_24"


def test_reference_in_place_of_a_name(run: Run, songs: Songs, place: Path) -> None:
    song, reference = songs.write(place / "song.wav", 20_000), songs.write(place / "ref.wav", 40_000)
    assert run(song, "--like", reference) == 0
    assert run(song, "--to", "jazz") == 0
    like, named = soundfile.read("song.like-ref.wav")[0], soundfile.read("song.jazz.wav")[0]
    assert like.shape == named.shape
    assert not np.array_equal(like, named)


def test_force_overwrites(run: Run, songs: Songs, place: Path) -> None:
    song = songs.write(place / "song.wav", 5000)
    (place / "out.wav").write_bytes(b"old")
    assert run(song, "--to", "jazz", "-o", "out.wav", "--force") == 0
    assert soundfile.info("out.wav").frames == 5000


def test_picture(run: Run, songs: Songs, place: Path) -> None:
    song = songs.write(place / "song.wav", 20_000)
    assert run(song, "--to", "jazz", "-o", "out.wav", "--picture", "mel.png") == 0
    assert (place / "mel.png").read_bytes()[:4] == b"\x89PNG"
    assert {path.name for path in place.iterdir()} == {"song.wav", "out.wav", "mel.png"}


def test_clipping_is_prevented_and_said(
    run: Run,
    songs: Songs,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    song = songs.write(place / "song.wav", 20_000)
    stylize_window = Stylizer._stylize_window

    def louder(self: Stylizer, *arguments: Any) -> Any:
        block = stylize_window(self, *arguments)
        block.wav[:] *= 2.0 / max(np.abs(block.wav).max(), 1e-9)
        return block

    monkeypatch.setattr(Stylizer, "_stylize_window", louder)
    assert run(song, "--to", "jazz", "-o", "out.wav", "--loudness", "off") == 0
    printed = capsys.readouterr()
    assert re.search(r"\nnote: peaks were limited by up to (6\.\d|7\.\d) dB, to -1 dBTP\n", printed.out)
    assert not caplog.records
    assert printed.err == ""
    assert np.abs(soundfile.read("out.wav")[0]).max() <= 10 ** (-1 / 20)


def test_silent_song_stays_silent(run: Run, place: Path) -> None:
    soundfile.write("song.wav", np.zeros((30_001, 2)), 44100)
    assert run("song.wav", "--to", "jazz", "-o", "out.wav") == 0
    wav = soundfile.read("out.wav")[0]
    assert wav.shape == (30_001, 2)
    assert not wav.any()


def test_folder(run: Run, songs: Songs, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    songs.write(place / "music" / "a.wav", 5000, rate=44100)
    songs.write(place / "music" / "deep" / "b.ogg", 7000)
    assert run("music", "--to", "jazz", "-o", "out") == 0
    assert {str(path.relative_to(place / "out")) for path in (place / "out").rglob("*.*")} == {
        "a.wav",
        "deep/b.ogg",
    }
    assert soundfile.info("out/a.wav").frames == 5000
    assert soundfile.info("out/deep/b.ogg").frames == 7000
    assert capsys.readouterr().out.count("x real time") == 2


def test_folder_goes_on_after_a_bad_file(
    run: Run, songs: Songs, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.wav", "c.wav"):
        songs.write(place / "music" / name, 5000)
    (place / "music" / "b.wav").write_text("no audio at all")
    assert run("music", "--to", "jazz", "-o", "out") == 2
    assert {path.name for path in (place / "out").iterdir()} == {"a.wav", "c.wav"}
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "b.wav" in lines[0]
    assert lines[1] == "error: 1 of 3 songs could not be stylized, for the reasons above"


def test_folder_of_bad_files_makes_no_output_folder(run: Run, place: Path) -> None:
    (place / "music").mkdir()
    (place / "music" / "b.wav").write_text("no audio at all")
    assert run("music", "--to", "jazz", "-o", "out") == 2
    assert not (place / "out").exists()


@pytest.mark.parametrize("old", [None, b"old"])
def test_ctrl_c_leaves_no_half_file(
    run: Run,
    songs: Songs,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    old: bytes | None,
) -> None:
    songs.write(place / "song.wav", 5000)
    if old is not None:
        (place / "out.wav").write_bytes(old)
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    blocks = Stylizer.blocks

    def interrupted(self: Stylizer, *arguments: Any) -> Any:
        yield from blocks(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Stylizer, "blocks", interrupted)
    assert run("song.wav", "--to", "jazz", "-o", "out.wav", "--force") == 130
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert capsys.readouterr().err == "stopped; nothing unfinished was kept\n"


def test_styles(tiny_models: TinyModels, capsys: pytest.CaptureFixture[str]) -> None:
    models = ["--model", str(tiny_models.translator), "--vocoder", str(tiny_models.vocoder)]
    assert main(["styles", *models]) == 0
    assert capsys.readouterr().out == "blues\njazz\nmetal\n"


def test_info(tiny_models: TinyModels, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tiny_models.vocoder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"vocoder in {tiny_models.vocoder}"
    size = (tiny_models.vocoder / "weights.safetensors").stat().st_size
    assert lines[1].endswith(f"{size / 1e6:.1f} MB")
    assert "mel.n_mels: 12" in lines
    assert "training.steps: 0" in lines


def test_info_of_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("error: model folder not found")


def test_help_shows_commands_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"]):
        assert main(arguments) == 0
        text = capsys.readouterr().out
        assert all(word in text for word in ("styles", "info", "--strength", "--like"))


def test_real_process(run_module: RunModule, tiny_models: TinyModels, songs: Songs, tmp_path: Path) -> None:
    song = songs.write(tmp_path / "song.wav", 5000)
    models = ("--model", tiny_models.translator, "--vocoder", tiny_models.vocoder)
    command = [sys.executable, "-m", "stylize.cli", song, "--to", "jazz", "-o", tmp_path / "out.wav", *models]
    good = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (good.returncode, good.stderr) == (0, "")
    bad = run_module("stylize.cli", tmp_path / "missing.wav", "--to", "jazz", "-o", tmp_path / "other.wav")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("error: ")


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys; from stylize.cli import main; main(['--help']); main(['missing.wav', '--to', 'jazz']); "
        "heavy = {'torch', 'torchaudio', 'librosa', 'matplotlib'} & set(sys.modules); sys.exit(str(heavy))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    first, last = result.stderr.splitlines()
    assert "missing.wav" in first
    assert last == "set()"
