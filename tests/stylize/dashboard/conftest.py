"""A small trial of a real song with cheap systems, answers of listeners who know what they hear, and its dashboards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

import stylize
from stylize.dashboard.command import Made, make_dashboard
from stylize.listening import systems as systems_module
from stylize.listening.build import build_trial
from stylize.listening.plan import BuildOptions
from stylize.listening.store import CHOICE, Answer, Store
from stylize.listening.trial import ANSWERS_NAME, Trial
from tests.conftest import TinyModels

SONG = Path(stylize.__file__).parent / "songs" / "demo_country.ogg"
GOODNESS = {
    "copy-content": 90,
    "griffin-lim": 70,
    "vocoder": 40,
    "reference": 95,
    "anchor-7kHz": 50,
    "anchor-3.5kHz": 20,
}
LISTENERS = 7


def answer(trial: Trial, path: Path, listeners: int = LISTENERS) -> None:
    """Listeners who hear what the systems are, and differ a little."""
    with Store(path, trial.id) as store:
        for listener in range(1, listeners + 1):
            store.add_listener().result()
            for screen, labels in trial.order_for(listener):
                goodness = {identity: GOODNESS[trial.stimulus[identity].system] for identity in labels}
                if trial.method == "ab":
                    best = max(goodness, key=goodness.__getitem__)
                    store.save(Answer(listener, screen.id, CHOICE, best, 1, 1)).result()
                    continue
                for identity, value in goodness.items():
                    store.save(Answer(listener, screen.id, identity, identity, value + listener % 3, 1)).result()


@dataclass(frozen=True)
class Dashboard:
    """A trial and what was made of it."""

    trial: Trial
    folder: Path
    order: BuildOptions
    made: Made

    @property
    def page(self) -> Path:
        return self.made.page


@pytest.fixture(scope="session")
def order(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> BuildOptions:
    root = tmp_path_factory.mktemp("songs")
    wav, rate = soundfile.read(SONG, frames=5 * 44100)
    for name, start in (("first", 0), ("it's <b>2nd", 2)):
        soundfile.write(root / f"{name}.wav", wav[start * rate : (start + 2) * rate], rate)
    time = np.arange(2 * rate) / rate
    example = 0.2 * np.sign(np.sin(2 * np.pi * 110 * time)) * (1 + 0.5 * np.sin(2 * np.pi * 4 * time))
    (root / "style").mkdir()
    soundfile.write(root / "style" / "metal.wav", example, rate)
    return BuildOptions(
        songs=tuple(sorted(root.glob("*.wav"))),
        systems=("copy-content", "griffin-lim", "vocoder"),
        output=root / "trial",
        to=("metal",),
        style_recordings=(root / "style" / "metal.wav",),
        seconds=2.0,
        sample_rate=22050,
        title="Songs & <script>alert(1)</script>",
        model=tiny_models.translator,
        vocoder=tiny_models.vocoder,
        device="cpu",
    )


@pytest.fixture(scope="session")
def dashboard(order: BuildOptions, tmp_path_factory: pytest.TempPathFactory) -> Dashboard:
    """With answers and an offline W&B run."""
    place = tmp_path_factory.mktemp("w-and-b")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(systems_module, "GRIFFIN_LIM_ITERATIONS", 2)
        trial = build_trial(order)
        answer(trial, order.output / ANSWERS_NAME)
        for name in ("WANDB_API_KEY", "WANDB_DATA_DIR"):
            patch.delenv(name, raising=False)
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_DIR", str(place))
        patch.setenv("HOME", str(place))
        made = make_dashboard(order.output, output=place / "page")
    return Dashboard(Trial.read(order.output), order.output, order, made)
