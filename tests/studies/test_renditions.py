"""How far right answers lie apart: distances on renditions that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from studies.rendition_files import rendition_path
from studies.renditions import distances, study
from stylize.evaluate.excerpts import Excerpts
from stylize.evaluate.systems import Pair
from stylize_core.errors import UserError

SECONDS = 2.0


def noise(seed: int, colour: float) -> np.ndarray:
    """Noise with its own tilt, so that two of one colour are nearer to each other than to any of another."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=round(SECONDS * 22050)))
    wav = np.fft.irfft(spectrum * np.linspace(1.0, 0.01, len(spectrum)) ** colour)
    return (0.1 * wav / wav.std()).astype(np.float32)


def test_distances_on_known_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stylize.evaluate import systems

    source, truth = tmp_path / "source.wav", tmp_path / "truth.wav"
    soundfile.write(source, noise(0, 0.0), 22050, subtype="FLOAT")
    soundfile.write(truth, noise(1, 2.0), 22050, subtype="FLOAT")
    for rendition in (1, 2, 3):
        path = rendition_path(tmp_path, 9, "jazz", rendition)
        path.parent.mkdir(exist_ok=True)
        # Half as loud: the measure turns the knob.
        soundfile.write(path, 0.5 * noise(1 if rendition == 1 else rendition, 2.0), 22050, subtype="FLOAT")
    pair = Pair("test", "x", "00009", source, "rock", "jazz", truth=truth)

    # The pipeline gives its input back.
    def unchanged(self: object, pair: Pair, excerpts: Excerpts) -> systems.Output:
        return systems.Output(excerpts.load(pair.source))

    monkeypatch.setattr(systems.Pipeline, "make", unchanged)
    found = distances(pair, tmp_path, 3, Excerpts(SECONDS), None)  # type: ignore[arg-type]
    assert found["translator"] == found["input"] > 2 * found["another rendition"] > 0
    alone = distances(pair, tmp_path, 1, Excerpts(SECONDS), None)  # type: ignore[arg-type]
    assert alone["another rendition"] == pytest.approx(0.0, abs=1e-3)  # rendition 1 is the truth itself
    assert alone["median of 1 renditions"] == pytest.approx(0.0, abs=1e-3)
    assert found["median of 3 renditions"] < found["another rendition"] * 1.5


def test_what_is_missing_is_said_first(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="folder not found.*prepare corpus"):
        study(corpus=tmp_path / "none")
    with pytest.raises(UserError, match="create it first"):
        study(output=tmp_path / "none" / "table.md")
