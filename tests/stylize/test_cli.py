"""The command line as it is used: golden paths, folders, Ctrl-C, the other commands."""

from __future__ import annotations

import json
import os
import re
import signal
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
    assert run("music", "--to", "jazz", "-o", "out") == 1
    assert {path.name for path in (place / "out").iterdir()} == {"a.wav", "c.wav"}
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "b.wav" in lines[0]
    assert lines[1] == "error: 1 of 3 songs could not be stylized, for the reasons above"


def test_folder_goes_on_after_a_place_that_cannot_be_written(
    run: Run, songs: Songs, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.wav", "deep/b.wav", "z.wav"):
        songs.write(place / "music" / name, 5000)
    (place / "out").mkdir()
    (place / "out" / "deep").write_text("a file where a folder is needed")
    assert run("music", "--to", "jazz", "-o", "out") == 1
    assert {path.name for path in (place / "out").iterdir()} == {"a.wav", "deep", "z.wav"}
    assert "error: out/deep/b.wav cannot be written: " in capsys.readouterr().err


def test_folder_of_bad_files_makes_no_output_folder(run: Run, place: Path) -> None:
    (place / "music").mkdir()
    (place / "music" / "b.wav").write_text("no audio at all")
    assert run("music", "--to", "jazz", "-o", "out") == 2
    assert not (place / "out").exists()


def test_several_songs(run: Run, songs: Songs, place: Path) -> None:
    songs.write(place / "a.wav", 5000)
    songs.write(place / "album" / "b.ogg", 5000)
    assert run("a.wav", "album", "--to", "JAZZ,metal", "-o", "out") == 0
    assert {str(path.relative_to(place)) for path in (place / "out").rglob("*.*")} == {
        "out/a.jazz+metal.wav",
        "out/album/b.ogg",
    }


def test_existing_results_are_left_out(
    run: Run, songs: Songs, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.wav", "b.wav"):
        songs.write(place / "music" / name, 5000)
    (place / "out").mkdir()
    (place / "out" / "a.wav").write_bytes(b"old")
    assert run("music", "--to", "jazz", "-o", "out", "--skip-existing") == 0
    assert (place / "out" / "a.wav").read_bytes() == b"old"
    assert soundfile.info("out/b.wav").frames == 5000
    assert capsys.readouterr().out.splitlines()[0] == "out/a.wav: exists already, left out"
    monkeypatch.setattr(Stylizer, "from_pretrained", None)  # not needed any more
    assert run("music", "--to", "jazz", "-o", "out", "--skip-existing", "--quiet") == 0
    assert capsys.readouterr().out == ""


def test_a_part_of_a_song(run: Run, songs: Songs, place: Path) -> None:
    wav = songs.make(60_000, 2, 44100)
    soundfile.write("song.wav", wav.T, 44100, subtype="FLOAT")
    soundfile.write("part.wav", wav[:, 8820:30870].T, 44100, subtype="FLOAT")
    assert run("song.wav", "--to", "jazz", "-o", "a.wav", "--offset", "0.2", "--duration", "0.5") == 0
    assert run("part.wav", "--to", "jazz", "-o", "b.wav") == 0
    cut, alone = (soundfile.read(name)[0] for name in ("a.wav", "b.wav"))
    assert cut.shape == alone.shape == (22050, 2)
    inner = slice(2205, -2205)  # at the ends the resampler has what was before and after
    assert np.abs(cut - alone)[inner].max() < 0.02 * np.abs(alone).max()
    assert run("song.wav", "--to", "jazz", "-o", "c.wav", "--offset", "1.25") == 0
    assert soundfile.info("c.wav").frames == 60_000 - 55_125


def test_formats_and_names(run: Run, songs: Songs, place: Path) -> None:
    songs.write(place / "song.wav", 5000)
    assert run("song.wav", "--to", "jazz", "--filename", "{style}-{name}.flac", "--bits", "24") == 0
    assert soundfile.info("jazz-song.flac").subtype == "PCM_24"
    assert run("song.wav", "--to", "jazz", "-o", "out.wav", "--bits", "float") == 0
    assert soundfile.info("out.wav").subtype == "FLOAT"
    for quality in (1, 9):
        assert run("song.wav", "--to", "jazz", "-o", f"{quality}.mp3", "--quality", quality) == 0
    assert (place / "1.mp3").stat().st_size < (place / "9.mp3").stat().st_size


def test_tags_are_carried_over(run: Run, songs: Songs, place: Path) -> None:
    with soundfile.SoundFile(place / "song.flac", "w", 22050, 1) as file:
        file.title = "Lied"
        file.write(songs.make(5000)[0])
    assert run("song.flac", "--to", "jazz", "-o", "out.mp3") == 0
    with soundfile.SoundFile("out.mp3") as file:
        assert file.title == "Lied"


def test_a_json_object_for_each_song(run: Run, songs: Songs, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    songs.write(place / "music" / "a.wav", 22050)
    (place / "music" / "b.wav").write_text("no audio at all")
    assert run("music", "--to", "jazz:1,metal:3", "-o", "out", "--json", "--verbose") == 1
    printed = capsys.readouterr()
    good, bad = (json.loads(line) for line in printed.out.splitlines())
    assert {name: good[name] for name in ("source", "output", "style", "like", "strength", "seconds")} == {
        "source": "music/a.wav",
        "output": "out/a.wav",
        "style": {"jazz": 0.25, "metal": 0.75},
        "like": None,
        "strength": 1.0,
        "seconds": 1.0,
    }
    assert good["elapsed"] > 0
    assert {"gain", "limited_db", "change_db"} <= set(good)
    assert (bad["source"], bad["output"]) == ("music/b.wav", "out/b.wav")
    assert bad["error"].startswith("music/b.wav is not audio")
    assert "music/a.wav: WAV PCM_16, 22050 Hz, 1 channels, 1.0 s; to out/a.wav" in printed.err


def test_any_file_name_on_any_console(
    run: Run, songs: Songs, place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [os.fsdecode(b"caf\xe9.wav"), "zażółć.wav"]
    for name in names:
        songs.write(place / "music" / "x.wav", 5000).rename(place / "music" / name)
    with open(1, "w", encoding="ascii", closefd=False) as console:
        monkeypatch.setattr("sys.stdout", console)
        assert run("music", "--to", "jazz", "-o", "out") == 0
        assert run(place / "music" / names[0], "--like", place / "music" / names[0], "--picture", "p.png") == 0
    assert sorted(path.name for path in (place / "out").iterdir()) == sorted(names)
    out = capfd.readouterr().out
    assert "out/caf\\udce9.wav: 0.2 s of music" in out
    assert "out/za\\u017c\\xf3\\u0142\\u0107.wav: 0.2 s" in out


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_as_ctrl_c_does(
    run: Run, songs: Songs, place: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    songs.write(place / "song.wav", 5000)
    blocks = Stylizer.blocks
    previous = signal.signal(number, signal.SIG_DFL)  # tests may be run below nohup

    def ended(self: Stylizer, *arguments: Any) -> Any:
        yield from blocks(self, *arguments)
        assert len(list(place.glob(".unfinished-*"))) == 1
        signal.raise_signal(number)

    monkeypatch.setattr(Stylizer, "blocks", ended)
    try:
        assert run("song.wav", "--to", "jazz", "-o", "out.wav") == 128 + number
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, previous)
    assert [path.name for path in place.iterdir()] == ["song.wav"]


def test_a_closed_pipe_does_not_end_an_album(
    run: Run, songs: Songs, place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        songs.write(place / "music" / name, 5000)
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        assert run("music", "--to", "jazz", "-o", "out") == 0
    assert len(list((place / "out").iterdir())) == 3
    assert capfd.readouterr().err == ""


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


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"stylize \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_completion(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for words, wanted in {"stylize --t": "--to", "stylize st": "styles", "stylize song.wav --to m": "metal"}.items():
        monkeypatch.setenv("_STYLIZE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        with pytest.raises(SystemExit):
            main([])
        assert wanted in capsys.readouterr().out.split()


def test_help_shows_commands_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["-h"]):
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
