"""The command `stylize optimize` with a network so small that an iteration takes a blink."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stylize.cli import main

RATE = 22050

Optimize = Callable[..., int]
RefusedOptimize = Callable[..., str]

SMALL = ("--width", "8", "--kernel", "3", "--iterations", "3", "--representation", "stft", "--device", "cpu")


def write_chord(path: Path, seconds: float, pitch: float = 220.0, channels: int = 1, rate: int = RATE) -> Path:
    """A chord with noise whose loudness swells, different in each channel."""
    time = np.arange(round(seconds * rate)) / rate
    pitches = pitch * (1 + np.arange(channels))[:, None, None] * np.array([1, 1.25, 1.5])[:, None]
    tones = np.sin(2 * np.pi * pitches * time).mean(axis=1) * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * time))
    noise = np.random.default_rng(round(pitch)).standard_normal((channels, len(time)))
    soundfile.write(path, (0.5 * tones + 0.02 * noise).T, rate)
    return path


@pytest.fixture(scope="session")
def chord() -> Callable[..., Path]:
    return write_chord


@pytest.fixture
def two_songs(place: Path) -> tuple[Path, Path]:
    """Content and style in the current folder, half a second each, of different pitch."""
    return write_chord(place / "content.wav", 0.5), write_chord(place / "style.wav", 0.6, 370.0)


@pytest.fixture
def optimize(place: Path) -> Optimize:
    """`stylize optimize ...` in this process, with the small network."""

    def call(*arguments: object, small: bool = True) -> int:
        given = [str(argument) for argument in arguments]
        options = list(zip(SMALL[::2], SMALL[1::2], strict=True)) if small else []
        extra = [word for option in options if option[0] not in given for word in option]
        return main(["optimize", *given, *extra])

    return call


@pytest.fixture
def refused_optimize(optimize: Optimize, place: Path, capsys: pytest.CaptureFixture[str]) -> RefusedOptimize:
    """The command where it must fail with one line, which is returned, exit code 2 and nothing written."""

    def contents() -> dict[str, bytes]:
        return {str(path): path.read_bytes() if path.is_file() else b"" for path in place.rglob("*")}

    def call(*arguments: object) -> str:
        before = contents()
        code = optimize(*arguments, small=False)
        printed = capsys.readouterr()
        assert code == 2
        assert printed.out == ""
        assert printed.err.startswith("error: ")
        assert printed.err.count("\n") == 1
        assert contents() == before
        return printed.err

    return call
