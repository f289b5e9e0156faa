"""Songs made of tones and noise, the pipeline and the command with tiny networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from stylize import Stylizer
from stylize.cli import main

if TYPE_CHECKING:
    from tests.conftest import TinyModels


Run = Callable[..., int]
Refused = Callable[..., str]


def make_song(samples: int, channels: int = 1, rate: int = 22050) -> np.ndarray:
    """A gliding tone with noise in it, different in each channel, (channels, samples) in [-1, 1]."""
    rng = np.random.default_rng(samples)
    seconds = np.arange(samples) / rate
    pitches = 220.0 * (1 + np.arange(channels))[:, None]
    tones = 0.4 * np.sin(2 * np.pi * (pitches * seconds + 40.0 * seconds**2))
    return (tones + 0.05 * rng.standard_normal((channels, samples))).astype(np.float32)


def write_song(path: Path, samples: int, channels: int = 1, rate: int = 22050, subtype: str | None = None) -> Path:
    """Write such a song; the suffix decides the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, make_song(samples, channels, rate).T, rate, subtype=subtype)
    return path


class Songs:
    """What the tests take from here, as a fixture: test modules cannot import each other."""

    make = staticmethod(make_song)
    write = staticmethod(write_song)


@pytest.fixture(scope="session")
def songs() -> Songs:
    return Songs()


@pytest.fixture(scope="session")
def tiny_stylizer(tiny_models: TinyModels) -> Stylizer:
    return Stylizer.from_pretrained(tiny_models.translator, tiny_models.vocoder, device="cpu")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


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
