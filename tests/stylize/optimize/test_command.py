"""`stylize optimize` as it is used: what it prints, Ctrl-C in a real process, a loss that becomes NaN, layers."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args, get_type_hints

import numpy as np
import pytest
import soundfile
import torch

from stylize.cli import main
from stylize.optimize import command
from stylize.optimize.objective import LossReport, Objective
from stylize.optimize.options import OptimizeOptions
from stylize.options import flag

if TYPE_CHECKING:
    from tests.stylize.optimize.conftest import Optimize, RefusedOptimize

ROOT = Path(__file__).parents[3]
GOOD = ("content.wav", "style.wav", "-o", "out.wav")


@pytest.mark.usefixtures("two_songs")
class TestGoldenPath:
    def test_what_is_printed(self, optimize: Optimize, capsys: pytest.CaptureFixture[str], place: Path) -> None:
        adam = ("--optimizer", "adam", "--learning-rate", "0.1")
        assert optimize(*GOOD, "--iterations", "20", "--content-weight", "1", *adam) == 0
        printed = capsys.readouterr()
        (line,) = printed.out.splitlines()
        assert line.startswith("out.wav: 0.5 s of music in ")
        assert "20 iterations, total " in line
        assert ", content 0." in line
        assert ", style 0." in line
        said = printed.err.splitlines()
        assert said[0] == "network random; content relu_1; style relu_1"
        assert [text[:12] for text in said[1:]] == [f"{tenth * 10:3d} %: itera" for tenth in range(1, 11)]
        assert said[5].startswith(" 50 %: iteration 10 of 20: total ")
        assert {path.name for path in place.iterdir()} == {"content.wav", "style.wav", "out.wav"}

    def test_an_early_end_is_said(self, optimize: Optimize, capsys: pytest.CaptureFixture[str]) -> None:
        assert optimize(*GOOD, "--iterations", "500") == 0
        assert " iterations until nothing fell any more, total " in capsys.readouterr().out

    def test_default_name_and_force(self, optimize: Optimize) -> None:
        assert optimize("content.wav", "style.wav") == 0
        assert optimize("content.wav", "style.wav") == 2
        assert optimize("content.wav", "style.wav", "--force") == 0
        assert soundfile.info("content.like-style.wav").frames == soundfile.info("content.wav").frames

    def test_unknown_layer(self, refused_optimize: RefusedOptimize) -> None:
        line = refused_optimize(*GOOD, "--width", "8", "--style-layer", "relu_7")
        assert "unknown layer 'relu_7'" in line
        assert "conv_1, relu_1" in line

    def test_style_shorter_than_the_receptive_field(self, refused_optimize: RefusedOptimize) -> None:
        soundfile.write("short.wav", np.ones(2000), 22050)
        line = refused_optimize("content.wav", "short.wav", "-o", "out.wav", "--width", "8")
        assert "short.wav is 0.091 s long" in line
        assert "sees 11 at once" in line

    def test_clipping_is_prevented_and_said(
        self, optimize: Optimize, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from stylize.optimize.blocks import BlockDecoder

        push = BlockDecoder.push

        def louder(self: BlockDecoder, *arguments: object, **named: object) -> np.ndarray:
            wav = push(self, *arguments, **named)  # type: ignore[arg-type]
            return wav * np.float32(2 / np.abs(wav).max())

        monkeypatch.setattr(BlockDecoder, "push", louder)
        assert optimize(*GOOD, "--loudness", "off") == 0
        assert re.search(r"\nnote: peaks were limited by up to 7\.\d dB, to -1 dBTP\n", capsys.readouterr().out)
        assert np.abs(soundfile.read("out.wav")[0]).max() <= 10 ** (-1 / 20)

    def test_silence(self, optimize: Optimize, capsys: pytest.CaptureFixture[str]) -> None:
        soundfile.write("silent.wav", np.zeros(9000), 22050)
        assert optimize("silent.wav", "style.wav", "-o", "out.wav") == 0
        assert "silence, which stays as it is" in capsys.readouterr().out
        assert not soundfile.read("out.wav")[0].any()


@pytest.fixture
def nan_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes the loss NaN from an evaluation on."""

    def arrange(evaluations: int) -> None:
        evaluate, done = Objective.__call__, iter(range(10**6))

        def broken(self: Objective, map_: torch.Tensor) -> LossReport:
            report = evaluate(self, map_)
            return LossReport(report.total * torch.nan, report.terms) if next(done) >= evaluations else report

        monkeypatch.setattr(Objective, "__call__", broken)

    return arrange


@pytest.mark.usefixtures("two_songs")
class TestNotFinite:
    @pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
    def test_the_last_good_result_is_kept(
        self,
        optimize: Optimize,
        capsys: pytest.CaptureFixture[str],
        nan_after: Callable[[int], None],
        place: Path,
        optimizer: str,
    ) -> None:
        nan_after(4)
        assert optimize(*GOOD, "--iterations", "50", "--history", "h.csv", "--optimizer", optimizer) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert "no finite number; stopped at iteration " in errors[0]
        assert "of 50; out.wav holds the result so far" in errors[0]
        wav = soundfile.read("out.wav")[0]
        assert len(wav) == soundfile.info("content.wav").frames
        assert np.isfinite(wav).all()
        assert wav.std() > 0.01
        assert "nan" not in (place / "h.csv").read_text()

    def test_nothing_is_kept_where_nothing_was_good(
        self, optimize: Optimize, capsys: pytest.CaptureFixture[str], nan_after: Callable[[int], None], place: Path
    ) -> None:
        nan_after(0)
        assert optimize(*GOOD) == 2
        assert "error: the loss is no finite number at the init" in capsys.readouterr().err
        assert {path.name for path in place.iterdir()} == {"content.wav", "style.wav"}


Started = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_process(place: Path) -> Iterator[Started]:
    """A real `stylize optimize`, which would take very long."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        options = ("--width", "8", "--kernel", "3", "--representation", "stft", "--device", "cpu", "--threads", "1")
        command = [sys.executable, "-m", "stylize.cli", "optimize", *GOOD, *options, *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        running.append(
            subprocess.Popen(
                command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """The first line of stderr with these words."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"the process ended without {words!r}")


class TestCtrlC:
    @pytest.mark.usefixtures("two_songs")
    def test_the_result_so_far_is_kept(self, start_process: Started, place: Path) -> None:
        process = start_process("--iterations", "3000", "--optimizer", "adam", "--history", "h.csv")
        read_until(process, " 10 %")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 130
        assert out == ""
        last = err.splitlines()[-1]
        assert last.startswith("stopped at iteration ")
        assert last.endswith(" of 3000; out.wav holds the result so far")
        assert 300 <= int(last.split()[3]) < 3000
        assert soundfile.info(place / "out.wav").frames == soundfile.info(place / "content.wav").frames
        assert {path.name for path in place.iterdir()} == {"content.wav", "style.wav", "out.wav", "h.csv"}
        assert len((place / "h.csv").read_text().splitlines()) > 300

    def test_blocks_that_were_not_reached_are_the_content(
        self, start_process: Started, place: Path, chord: Callable[..., Path]
    ) -> None:
        chord(place / "content.wav", 8.0)
        chord(place / "style.wav", 1.0, 370.0)
        process = start_process(
            "--iterations", "200", "--optimizer", "adam", "--block-seconds", "2", "--overlap-seconds", "0.5"
        )
        read_until(process, "block 2 of 5")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 130
        last = err.splitlines()[-1]
        assert " of 5" in last
        assert "out.wav holds the result so far, and from " in last
        assert last.endswith(" s on the content unchanged")
        wav = soundfile.read(place / "out.wav")[0]
        assert len(wav) == 8 * 22050
        assert wav[-22050:].std() > 0.05

    @pytest.mark.usefixtures("two_songs")
    def test_before_the_first_iteration_nothing_is_kept(self, start_process: Started, place: Path) -> None:
        process = start_process("--iterations", "3000")
        for _ in range(200):  # PyTorch is being imported
            if Path(f"/proc/{process.pid}/maps").read_text().find("libtorch") >= 0:
                break
            threading.Event().wait(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 130, err
        assert err.splitlines()[-1] == "stopped; nothing unfinished was kept"
        assert {path.name for path in place.iterdir()} == {"content.wav", "style.wav"}


VALUES = {bool: True, int: 20, float: 0.75, Path: Path("somewhere"), str: "relu_2"}
SPECIAL = {"device": "cpu", "loudness": "-14", "layout": "2d", "block_seconds": 9.0}
MAIN = [
    "output", "force", "iterations", "content_weight", "style_weight", "network", "representation", "init", "seed",
    "device",
]  # fmt: skip


class TestOptions:
    @pytest.fixture
    def taken(self, monkeypatch: pytest.MonkeyPatch) -> list[OptimizeOptions]:
        """The options that would have been done."""
        taken: list[OptimizeOptions] = []
        monkeypatch.setattr(command, "optimize_files", lambda options: taken.append(options) or 0)
        return taken

    def test_defaults_are_those_of_the_api(self, taken: list[OptimizeOptions]) -> None:
        assert main(["optimize", "a.wav", "b.wav"]) == 0
        assert taken == [OptimizeOptions(Path("a.wav"), Path("b.wav"))]

    def test_every_option_reaches_the_api(self, taken: list[OptimizeOptions]) -> None:
        hints = get_type_hints(OptimizeOptions)
        fields = dataclasses.fields(OptimizeOptions)[2:]
        assert len(fields) == 45
        for field in fields:
            kind = next(kind for kind in VALUES if kind in (hints[field.name], *get_args(hints[field.name])))
            value = (field.metadata["choices"] or [SPECIAL.get(field.name, VALUES[kind])])[-1]
            given = [] if kind is bool else [str(value)]
            assert main(["optimize", "a.wav", "b.wav", flag(field.name, OptimizeOptions), *given]) == 0
            default = OptimizeOptions(Path("a.wav"), Path("b.wav"))
            assert taken.pop() == dataclasses.replace(default, **{field.name: value}) != default

    def test_the_help_begins_with_the_ten_that_matter(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["optimize", "--help"]) == 0
        first, *groups = capsys.readouterr().out.split("─ Options ─")[1].split("╭─ ")
        flags = [flag(name, OptimizeOptions) for name in MAIN]
        assert re.findall(r"^│ (--[a-z-]+)", first, re.MULTILINE) == [*flags, "--help"]
        assert len(groups) == 6


class TestListLayers:
    def test_of_the_random_network(self, optimize: Optimize, capsys: pytest.CaptureFixture[str]) -> None:
        assert optimize("--list-layers", "random", "--layers", "2", "--width", "8", "--pool", "2", small=False) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(":")[0] for line in lines] == ["conv_1", "relu_1", "pool_1", "conv_2", "relu_2", "pool_2"]
        assert "8 channels" in lines[0]

    def test_of_what_is_no_network(self, refused_optimize: RefusedOptimize) -> None:
        assert "known: random" in refused_optimize("--list-layers", "resnet")
        assert "2d" in refused_optimize("--list-layers", "vgg19", "--layout", "time")


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "optimize" in text
    assert "compare" in text
