"""Songs made of tones and noise, and the pipeline with tiny networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from stylize import Stylizer

if TYPE_CHECKING:
    from tests.conftest import TinyModels


def make_song(samples: int, channels: int = 1, rate: int = 22050) -> np.ndarray:
    """A gliding tone with noise in it, different in each channel, (channels, samples) in [-1, 1]."""
    rng = np.random.default_rng(samples)
    seconds = np.arange(samples) / rate
    pitches = 220.0 * (1 + np.arange(channels))[:, None]
    tones = 0.4 * np.sin(2 * np.pi * (pitches * seconds + 40.0 * seconds**2))
    return (tones + 0.05 * rng.standard_normal((channels, samples))).astype(np.float32)


def write_song(
    path: Path, samples: int, channels: int = 1, rate: int = 22050, subtype: str | None = None
) -> Path:
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
