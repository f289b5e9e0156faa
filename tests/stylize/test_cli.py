"""The command line: golden paths; bad input ends with one line, exit code 2 and nothing written."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import torch

from stylize import Stylizer
from stylize.cli import main

if TYPE_CHECKING:
    from tests.conftest import RunModule, TinyModels
    from tests.stylize.conftest import Songs

Run = Callable[..., int]
Refused = Callable[..., str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one."""
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(tiny_models: TinyModels, place: Path) -> Run:
    """The command with the tiny models."""

    def call(*arguments: object, model: Path | None = None, vocoder: Path | None = None) -> int:
        models = ["--model", model or tiny_models.translator, "--vocoder", vocoder or tiny_models.vocoder]
        device = [] if "--device" in arguments else ["--device", "cpu"]
        return main([*map(str, (*arguments, *models)), *device])

    return call


@pytest.fixture
def refused(run: Run, place: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """The command where it must fail with one line, which is returned, exit code 2 and nothing written."""

    def call(*arguments: object, **models: Path) -> str:
        before = contents(place)
        code = run(*arguments, **models)
        printed = capsys.readouterr()
        assert code == 2
        assert printed.out == ""
        assert printed.err.startswith("error: ")
        assert printed.err.count("\n") == 1
        assert contents(place) == before
        return printed.err

    return call


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model fails the test: what is wrong must have been found before."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(Stylizer, "from_pretrained", fail)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


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
    run: Run, songs: Songs, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    song = songs.write(place / "song.wav", 20_000)
    stylize_window = Stylizer._stylize_window

    def louder(self: Stylizer, *arguments: Any) -> Any:
        block = stylize_window(self, *arguments)
        block.wav[:] *= 2.0 / max(np.abs(block.wav).max(), 1e-9)
        return block

    monkeypatch.setattr(Stylizer, "_stylize_window", louder)
    assert run(song, "--to", "jazz", "-o", "out.wav") == 0
    printed = capsys.readouterr()
    assert "note: the result peaked at 2.00 and was turned down by 6.0 dB" in printed.out
    assert printed.err == ""
    assert np.abs(soundfile.read("out.wav")[0]).max() <= 1.0


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


@pytest.mark.usefixtures("no_model")
class TestKnownBeforeAModelLoads:
    """Everything here is refused with `Stylizer.from_pretrained` out of reach."""

    def test_missing_file(self, refused: Refused) -> None:
        assert "missing.mp3" in refused("missing.mp3", "--to", "jazz")

    def test_folder_without_audio(self, refused: Refused, place: Path) -> None:
        (place / "empty").mkdir()
        assert "no audio" in refused("empty", "--to", "jazz")

    def test_text_named_wav(self, refused: Refused, place: Path) -> None:
        (place / "song.wav").write_text("These are words, not samples.\n" * 50)
        assert "song.wav" in refused("song.wav", "--to", "jazz")

    def test_truncated_mp3(self, refused: Refused, songs: Songs, place: Path) -> None:
        song = songs.write(place / "song.mp3", 200_000)
        song.write_bytes(song.read_bytes()[: song.stat().st_size // 2])
        assert "song.mp3" in refused("song.mp3", "--to", "jazz")

    def test_truncated_wav(self, refused: Refused, songs: Songs, place: Path) -> None:
        song = songs.write(place / "song.wav", 50_000)
        song.write_bytes(song.read_bytes()[:40_000])
        assert "song.wav" in refused("song.wav", "--to", "jazz")

    def test_zero_samples(self, refused: Refused, place: Path) -> None:
        soundfile.write("song.wav", np.zeros(0), 22050)
        assert "no samples" in refused("song.wav", "--to", "jazz")

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_samples_that_are_no_numbers(self, refused: Refused, place: Path, value: float) -> None:
        wav = np.zeros(5000, dtype=np.float32)
        wav[4321] = value
        soundfile.write("song.wav", wav, 22050, subtype="FLOAT")
        assert "NaN or infinite" in refused("song.wav", "--to", "jazz")

    def test_unknown_style_lists_the_known(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert "blues, jazz, metal" in refused("song.wav", "--to", "polka")

    def test_mixture_that_does_not_add_up(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert "add up to 0.9" in refused("song.wav", "--to", "jazz:0.7,metal:0.2")

    @pytest.mark.parametrize("target", [(), ("--to", "jazz", "--like", "song.wav")])
    def test_not_exactly_one_target(
        self, refused: Refused, songs: Songs, place: Path, target: tuple[str, ...]
    ) -> None:
        songs.write(place / "song.wav", 5000)
        line = refused("song.wav", *target)
        assert "--to" in line
        assert "--like" in line

    def test_bad_reference(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert "missing.wav" in refused("song.wav", "--like", "missing.wav")

    def test_output_exists(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        (place / "out.wav").write_bytes(b"old")
        line = refused("song.wav", "--to", "jazz", "-o", "out.wav")
        assert "out.wav" in line
        assert "--force" in line

    def test_output_of_a_folder_exists(self, refused: Refused, songs: Songs, place: Path) -> None:
        for folder in ("music", "out"):
            songs.write(place / folder / "a.wav", 5000)
        assert "--force" in refused("music", "--to", "jazz", "-o", "out")

    def test_output_is_the_input(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert "input itself" in refused("song.wav", "--to", "jazz", "-o", "song.wav", "--force")

    def test_output_folder_is_missing(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert "does not exist" in refused("song.wav", "--to", "jazz", "-o", "no/out.wav")

    def test_output_is_not_writable(
        self, refused: Refused, songs: Songs, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        songs.write(place / "song.wav", 5000)
        # The super-user may write anywhere, so a read-only folder cannot be had in every test run.
        monkeypatch.setattr("os.access", lambda _, mode: not mode & os.W_OK)
        assert "not writable" in refused("song.wav", "--to", "jazz", "-o", "out.wav")

    def test_unknown_output_format(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert ".xyz" in refused("song.wav", "--to", "jazz", "-o", "out.xyz")

    def test_rate_that_the_format_lacks(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert "48000" in refused("song.wav", "--to", "jazz", "-o", "out.opus", "--sample-rate", 44100)

    def test_picture_exists(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        (place / "mel.png").write_bytes(b"old")
        assert "mel.png" in refused("song.wav", "--to", "jazz", "--picture", "mel.png")

    @pytest.mark.parametrize(
        "extra",
        [
            ("--strength", "1.5"),
            ("--strength", "loud"),
            ("--threads", "0"),
            ("--sample-rate", "7"),
            ("--device", "abacus"),
            ("--no-such-option",),
        ],
    )
    def test_bad_options(self, refused: Refused, songs: Songs, place: Path, extra: tuple[str, ...]) -> None:
        songs.write(place / "song.wav", 5000)
        refused("song.wav", "--to", "jazz", *extra)

    def test_models_of_different_mels(
        self, refused: Refused, songs: Songs, place: Path, tiny_models: TinyModels
    ) -> None:
        songs.write(place / "song.wav", 5000)
        folder = shutil.copytree(tiny_models.vocoder, place / "vocoder")
        config = json.loads((folder / "config.json").read_text())
        config["mel"]["n_mels"] = 80
        (folder / "config.json").write_text(json.dumps(config))
        assert "n_mels: 12 / 80" in refused("song.wav", "--to", "jazz", vocoder=folder)

    def test_another_kind_of_model(
        self, refused: Refused, songs: Songs, place: Path, tiny_models: TinyModels
    ) -> None:
        songs.write(place / "song.wav", 5000)
        line = refused("song.wav", "--to", "jazz", model=tiny_models.vocoder)
        assert "holds a vocoder, a translator is needed" in line

    def test_no_model_folder(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        (place / "foreign").mkdir()
        torch.save({"weight": torch.zeros(3)}, "model.pt")
        assert "not found" in refused("song.wav", "--to", "jazz", model=place / "nowhere")
        assert "not a model folder" in refused("song.wav", "--to", "jazz", model=place / "foreign")
        assert "model.pt is a file" in refused("song.wav", "--to", "jazz", model=place / "model.pt")


@pytest.mark.parametrize("which", ["translator", "vocoder"])
def test_pickle_in_place_of_weights(
    refused: Refused, songs: Songs, place: Path, tiny_models: TinyModels, which: str
) -> None:
    songs.write(place / "song.wav", 5000)
    folder = shutil.copytree(getattr(tiny_models, which), place / "bad")
    torch.save({"weight": torch.zeros(3)}, folder / "weights.safetensors")
    line = refused("song.wav", "--to", "jazz", **{"model" if which == "translator" else "vocoder": folder})
    assert "pickle" in line


@pytest.mark.parametrize("kept", [0, 5, 100, 0.5])
def test_corrupted_weights(
    refused: Refused, songs: Songs, place: Path, tiny_models: TinyModels, kept: float
) -> None:
    songs.write(place / "song.wav", 5000)
    folder = shutil.copytree(tiny_models.translator, place / "bad")
    weights = folder / "weights.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: int(len(data) * kept if kept < 1 else kept)])
    assert "bad/weights.safetensors" in refused("song.wav", "--to", "jazz", model=folder)


def test_foreign_weights(refused: Refused, songs: Songs, place: Path, tiny_models: TinyModels) -> None:
    songs.write(place / "song.wav", 5000)
    folder = shutil.copytree(tiny_models.translator, place / "bad")
    shutil.copy(tiny_models.vocoder / "weights.safetensors", folder)
    assert "do not fit" in refused("song.wav", "--to", "jazz", model=folder)


def test_disk_that_runs_full(refused: Refused, songs: Songs, place: Path) -> None:
    songs.write(place / "song.wav", 100_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        line = refused("song.wav", "--to", "jazz", "-o", "out.wav")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "out.wav" in line


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
    before = contents(place)
    blocks = Stylizer.blocks

    def interrupted(self: Stylizer, *arguments: Any) -> Any:
        yield from blocks(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Stylizer, "blocks", interrupted)
    assert run("song.wav", "--to", "jazz", "-o", "out.wav", "--force") == 130
    assert contents(place) == before
    assert "Traceback" not in capsys.readouterr().err


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
    good = run_module("stylize.cli", song, "--to", "jazz", "-o", tmp_path / "out.wav", *models)
    assert (good.returncode, good.stderr) == (0, "")
    bad = run_module("stylize.cli", tmp_path / "missing.wav", "--to", "jazz", "-o", tmp_path / "other.wav")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("error: ")


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys; from stylize.cli import main; main(['--help']); main(['missing.wav', '--to', 'jazz']); "
        "heavy = {'torch', 'torchaudio', 'librosa', 'matplotlib'} & set(sys.modules); sys.exit(str(heavy))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    first, last = result.stderr.splitlines()
    assert "missing.wav" in first
    assert last == "set()"
