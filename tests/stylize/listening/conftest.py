"""Small trials made of tones, without any network, and a server in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from studies.listening_load import Client, running_server
from stylize.listening.build import build_trial
from stylize.listening.plan import BuildOptions
from stylize.listening.trial import ANSWERS_NAME, Trial

RATE = 16000
SECONDS = 1.0


def write_tones(path: Path, frequency: float, seconds: float = 2.0, gain: float = 0.2, rate: int = RATE) -> Path:
    """A chord that grows and fades, with some noise."""
    time = np.arange(round(seconds * rate)) / rate
    wav = sum(np.sin(2 * np.pi * frequency * partial * time) / partial for partial in (1, 2, 3))
    wav = wav * (1 + 0.5 * np.sin(2 * np.pi * time)) + 0.05 * np.random.default_rng(0).standard_normal(len(time))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, gain * wav / 3, rate, subtype="PCM_16")
    return path


@dataclass(frozen=True)
class Recordings:
    """Two songs, an example of a style, and the sounds of another system."""

    songs: tuple[Path, Path]
    style: Path
    other: Path

    def options(self, output: Path, **changes: object) -> BuildOptions:
        """A small order that can be built at once."""
        values: dict[str, object] = {
            "songs": self.songs,
            "systems": ("copy-content", "copy-style", f"other={self.other}"),
            "to": ("jazz",),
            "style_recordings": (self.style,),
            "seconds": SECONDS,
        }
        return BuildOptions(output=output, **values | changes)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    root = tmp_path_factory.mktemp("recordings")
    songs = (write_tones(root / "first.wav", 220.0), write_tones(root / "second.wav", 330.0, gain=0.6))
    write_tones(root / "other" / "first.jazz.wav", 180.0, gain=0.05)
    write_tones(root / "other" / "first.wav", 185.0)
    write_tones(root / "other" / "second.wav", 190.0, seconds=SECONDS, gain=0.9)
    return Recordings(songs, write_tones(root / "style.wav", 500.0), root / "other")


@pytest.fixture(scope="session")
def trial_folder(recordings: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trials") / "multiple"
    build_trial(recordings.options(folder, title="Tones"))
    return folder


@pytest.fixture(scope="session")
def mushra_folder(recordings: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trials") / "mushra"
    build_trial(
        recordings.options(folder, method="mushra", to=(), systems=(f"other={recordings.other}",), sample_rate=22050)
    )
    return folder


@pytest.fixture(scope="session")
def pair_folder(recordings: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trials") / "pairs"
    build_trial(recordings.options(folder, method="ab"))
    return folder


@pytest.fixture(scope="session")
def trial(trial_folder: Path) -> Trial:
    return Trial.read(trial_folder)


@pytest.fixture(scope="module")
def port(trial_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server of the trial with multiple stimuli."""
    with running_server(trial_folder, tmp_path_factory.mktemp("answers") / ANSWERS_NAME) as (_, found):
        yield found


@pytest.fixture
def client(port: int) -> Iterator[Client]:
    made = Client(port)
    yield made
    made.close()
