"""What can be refused without a network is refused in one line, before PyTorch is imported, and nothing is written."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from PIL import Image

from stylize.optimize import run
from stylize.optimize.options import OptimizeOptions
from stylize.optimize.plan import STYLE_SECONDS, plan_optimization, scan_recording

if TYPE_CHECKING:
    from tests.stylize.optimize.conftest import RefusedOptimize

GOOD = ("content.wav", "style.wav", "-o", "out.wav")


@pytest.fixture(autouse=True)
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Going on to the optimization fails the test."""

    def fail(*_: object) -> None:
        raise AssertionError("the run began")

    monkeypatch.setattr(run, "run_plan", fail)


@pytest.fixture
def pictures(place: Path) -> None:
    for name in ("content.png", "style.jpg"):
        Image.fromarray(np.full((20, 30, 3), 100, np.uint8)).save(place / name)


@pytest.mark.usefixtures("two_songs")
class TestOptions:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--representation", "mfcc"), ("mfcc", "mel, stft, cqt")),
            (("--inverse", "magic"), ("magic", "auto, vocoder, griffin-lim")),
            (("--inverse", "vocoder", "--representation", "stft"), ("stft", "griffin-lim")),
            (("--layout", "3d"), ("3d", "frequency, time, 2d")),
            (("--network", "resnet"), ("resnet", "random, autoencoder, siamese, vgg19, or a model folder")),
            (("--network", "siamese", "--representation", "stft"), ("siamese", "mel")),
            (("--network", "siamese", "--layout", "2d"), ("siamese", "frequency")),
            (("--network", "autoencoder", "--representation", "cqt"), ("autoencoder", "mel")),
            (("--network", "vgg19", "--layout", "frequency"), ("vgg19", "2d")),
            (("--network", "random", "--weights", "x.pth"), ("x.pth", "vgg19")),
            (("--model", "folder"), ("folder", "not found", "--model")),
            (("--vocoder", "folder"), ("folder", "not found", "--vocoder")),
            (("--model", ".", "--width", "8"), ("random", "siamese")),
            (("--optimizer", "sgd"), ("sgd", "lbfgs, adam")),
            (("--init", "zeros"), ("zeros", "content, uniform, normal, truncated-normal")),
            (("--wandb", "yes"), ("yes", "off, offline, online")),
            (("--device", "abacus"), ("abacus",)),
            (("--content-weight", "0", "--style-weight", "0"), ("all 0",)),
            (("--style-weight", "-1"), ("-1",)),
            (("--tv-weight", "nan"), ("nan",)),
            (("--content-layer", "relu_1:0"), ("'0'", "--content-layer")),
            (("--style-layer", "relu_1,relu_1"), ("twice", "--style-layer")),
            (("--style-layer", ""), ("empty",)),
            (("--iterations", "0"), ("--iterations",)),
            (("--iterations", "many"), ("--iterations",)),
            (("--layers", "0"), ("--layers",)),
            (("--width", "0"), ("--width",)),
            (("--kernel", "-3"), ("--kernel",)),
            (("--threads", "0"), ("--threads",)),
            (("--seed", "-1"), ("--seed",)),
            (("--learning-rate", "0", "--optimizer", "adam"), ("--learning-rate",)),
            (("--tolerance", "-1"), ("--tolerance",)),
            (("--init", "truncated-normal", "--init-lower", "2"), ("--init-lower",)),
            (("--block-seconds", "1"), ("--block-seconds",)),
            (("--overlap-seconds", "10"), ("--overlap-seconds", "quarter")),
            (("--no-such-option",), ("--no-such-option",)),
        ],
    )
    def test_bad_values(
        self, refused_optimize: RefusedOptimize, options: tuple[str, ...], words: tuple[str, ...]
    ) -> None:
        line = refused_optimize(*GOOD, *options)
        assert all(word in line for word in words), line

    @pytest.mark.parametrize(
        ("options", "unused"),
        [
            (("--learning-rate", "0.5"), "--learning-rate"),
            (("--init-mean", "0.1"), "--init-mean"),
            (("--image-size", "100"), "--image-size"),
            (("--network", "siamese", "--width", "10"), "--width"),
            (("--network", "siamese", "--batchnorm"), "--batchnorm"),
            (("--representation", "stft", "--vocoder", "folder"), "vocoder"),
        ],
    )
    def test_options_that_would_do_nothing(
        self, refused_optimize: RefusedOptimize, options: tuple[str, ...], unused: str
    ) -> None:
        assert unused in refused_optimize(*GOOD, *options)

    def test_files_are_missing(self, refused_optimize: RefusedOptimize) -> None:
        assert "CONTENT and STYLE" in refused_optimize("content.wav")
        assert "CONTENT and STYLE" in refused_optimize("--iterations", "3")


@pytest.mark.usefixtures("two_songs")
class TestFiles:
    def test_inputs(self, refused_optimize: RefusedOptimize, place: Path) -> None:
        (place / "text.wav").write_text("These are words, not samples.\n" * 50)
        (place / "cut.wav").write_bytes((place / "content.wav").read_bytes()[:9000])
        soundfile.write("empty.wav", np.zeros(0), 22050)
        bad = np.zeros(9000, np.float32)
        bad[5] = np.nan
        soundfile.write("nan.wav", bad, 22050, subtype="FLOAT")
        for name in ("missing.wav", "text.wav", "cut.wav", "empty.wav", "nan.wav", "."):
            assert name in refused_optimize(name, "style.wav", "-o", "out.wav")
            assert name in refused_optimize("content.wav", name, "-o", "out.wav")

    def test_silent_style(self, refused_optimize: RefusedOptimize) -> None:
        soundfile.write("silent.wav", np.zeros(9000), 22050)
        assert "silent.wav is silent" in refused_optimize("content.wav", "silent.wav", "-o", "out.wav")

    def test_style_that_sounds_too_late(self, refused_optimize: RefusedOptimize) -> None:
        late = np.zeros(round((STYLE_SECONDS + 1) * 4000))
        late[-4000:] = 0.5
        soundfile.write("late.wav", late, 4000)
        assert "silent for 60 s" in refused_optimize("content.wav", "late.wav", "-o", "out.wav")

    def test_start_shorter_than_the_content(self, refused_optimize: RefusedOptimize) -> None:
        soundfile.write("short.wav", np.ones(2205), 22050)
        assert "0.1 s" in refused_optimize(*GOOD, "--init", "short.wav")

    def test_output_exists(self, refused_optimize: RefusedOptimize, place: Path) -> None:
        for name, options in (
            ("out.wav", ()),
            ("history.csv", ("--history", "history.csv")),
            ("maps.png", ("--picture", "maps.png")),
            ("curves.png", ("--curves", "curves.png")),
        ):
            (place / name).write_bytes(b"old")
            line = refused_optimize(*GOOD, *options)
            assert name in line
            assert "--force" in line
            (place / name).unlink()

    @pytest.mark.parametrize("name", ["content.wav", "style.wav", "./content.wav"])
    def test_output_is_an_input(self, refused_optimize: RefusedOptimize, name: str) -> None:
        assert "is the input" in refused_optimize("content.wav", "style.wav", "-o", name, "--force")

    def test_the_same_file_twice(self, refused_optimize: RefusedOptimize) -> None:
        assert "twice" in refused_optimize(*GOOD, "--picture", "a.png", "--curves", "./a.png")

    @pytest.mark.parametrize(
        "options",
        [
            ("-o", "out.xyz"),
            ("-o", "out.png"),
            ("-o", "nowhere/out.wav"),
            ("--history", "history.txt"),
            ("--picture", "maps.jpg"),
            ("--curves", "curves.pdf"),
            ("--history", "nowhere/history.csv"),
            ("--curves", "nowhere/curves.png"),
        ],
    )
    def test_names_and_folders(self, refused_optimize: RefusedOptimize, options: tuple[str, str]) -> None:
        output = () if options[0] == "-o" else ("-o", "out.wav")
        assert options[1].split("/")[0] in refused_optimize("content.wav", "style.wav", *output, *options)

    @pytest.mark.parametrize("options", [(), ("--history", "h.csv"), ("--picture", "p.png")])
    def test_folder_that_is_not_writable(
        self, refused_optimize: RefusedOptimize, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
    ) -> None:
        # The super-user may write anywhere, so a read-only folder cannot be had in every test run.
        monkeypatch.setattr("os.access", lambda _, mode: not mode & os.W_OK)
        assert "not writable" in refused_optimize(*GOOD, *options)

    def test_rate_that_the_format_lacks(self, refused_optimize: RefusedOptimize) -> None:
        assert "22050" in refused_optimize("content.wav", "style.wav", "-o", "out.opus")


@pytest.mark.usefixtures("two_songs", "pictures")
class TestPictures:
    @pytest.mark.parametrize(
        "files",
        [
            ("content.png", "style.wav"),
            ("content.wav", "style.jpg"),
            ("content.wav", "style.wav", "--init", "style.jpg"),
        ],
    )
    def test_beside_a_sound(self, refused_optimize: RefusedOptimize, files: tuple[str, ...]) -> None:
        line = refused_optimize(*files, "-o", "out.wav")
        assert "picture" in line
        assert "one kind" in line

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--layout", "time"), "2d"),
            (("--network", "siamese"), "siamese"),
            (("--representation", "stft"), "--representation"),
            (("--block-seconds", "10"), "--block-seconds"),
            (("--image-size", "3"), "--image-size"),
            (("-o", "out.jpg"), "out.jpg"),
            (("-o", "out.wav"), "out.wav"),
            (("-o", "content.png", "--force"), "is the input"),
        ],
    )
    def test_bad_values(self, refused_optimize: RefusedOptimize, options: tuple[str, ...], words: str) -> None:
        output = () if "-o" in options else ("-o", "out.png")
        assert words in refused_optimize("content.png", "style.jpg", *output, *options)

    def test_broken_picture(self, refused_optimize: RefusedOptimize, place: Path) -> None:
        (place / "broken.png").write_text("no picture")
        assert "broken.png" in refused_optimize("broken.png", "style.jpg", "-o", "out.png")
        assert "missing.jpg" in refused_optimize("content.png", "missing.jpg", "-o", "out.png")


@pytest.mark.usefixtures("two_songs", "pictures")
def test_what_is_filled_in(place: Path) -> None:
    sound = OptimizeOptions(Path("content.wav"), Path("style.wav"))
    plan = plan_optimization(sound)
    assert (plan.options.network, plan.options.layout, plan.options.unit_scale) == ("autoencoder", "frequency", False)
    assert plan.output == Path("content.like-style.wav")
    assert not plan.is_picture
    for named in ({"network": "vgg19"}, {"weights": Path("w.pth")}):
        vgg = plan_optimization(dataclasses.replace(sound, **named)).options  # type: ignore[arg-type]
        assert (vgg.network, vgg.layout, vgg.unit_scale) == ("vgg19", "2d", True)
    for other in ({"representation": "stft"}, {"layout": "time"}, {"width": 8}, {"batchnorm": True}):
        assert plan_optimization(dataclasses.replace(sound, **other)).options.network == "random"  # type: ignore[arg-type]

    picture = OptimizeOptions(Path("content.png"), Path("style.jpg"))
    plan = plan_optimization(picture)
    assert (plan.options.network, plan.options.layout, plan.options.unit_scale) == (None, "2d", False)
    assert plan.output == Path("content.like-style.png")
    assert plan.is_picture
    assert plan_optimization(dataclasses.replace(picture, width=4)).options.network == "random"
    assert plan_optimization(dataclasses.replace(picture, weights=Path("w.pth"))).options.network == "vgg19"


def test_recordings_are_scanned(place: Path) -> None:
    wav = np.zeros((200_000, 2), np.float32)
    wav[3000] = -0.5
    soundfile.write("same.wav", wav, 8000)
    wav[4999, 1] = 0.25  # far from the end
    soundfile.write("other.wav", wav, 8000)
    same, other = scan_recording(Path("same.wav")), scan_recording(Path("other.wav"))
    assert (same.one_signal, same.peak, same.info.frames) == (True, 0.5, 200_000)
    assert (other.one_signal, other.info.channels) == (False, 2)


def test_nothing_heavy_is_imported_before_it_is_needed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.ones(5000), 22050)
    refused = ["optimize", str(tmp_path / "a.wav"), str(tmp_path / "missing.wav"), "-o", str(tmp_path / "out.wav")]
    code = (
        "import sys; from stylize.cli import main; main(['--help']); main(['optimize', '--help']); "
        f"main(['compare', '--help']); main({refused}); main(['optimize', '--network', 'x', 'a', 'b']); "
        "heavy = {'torch', 'torchaudio', 'librosa', 'matplotlib', 'PIL', 'scipy', 'wandb'} & set(sys.modules); "
        "sys.exit(str(heavy))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    lines = result.stderr.splitlines()
    assert ["missing.wav" in lines[0], "unknown network" in lines[1], lines[2]] == [True, True, "set()"]
