"""The picture: a history of bounded width, a PNG that is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stylize.picture import MelHistory, check_picture, hertz_ticks, save_picture
from stylize_core.errors import UserError
from stylize_core.mel import MelConfig, band_frequencies, mel_filterbank

FREQUENCIES = np.linspace(0.0, 11025.0, 12)


def test_short_history_is_the_mel_itself() -> None:
    mel = np.random.default_rng(0).standard_normal((3, 10))
    history = MelHistory(most_columns=10)
    history.add(mel[:, :4])
    history.add(mel[:, 4:])
    np.testing.assert_array_equal(history.image(), mel)


@pytest.mark.parametrize("frames", [11, 80, 81, 333, 1024])
@pytest.mark.parametrize("step", [1, 7, 64, 2000])
def test_long_history_averages_neighbours(frames: int, step: int) -> None:
    mel = np.random.default_rng(frames).standard_normal((3, frames))
    history = MelHistory(most_columns=10)
    for start in range(0, frames, step):
        history.add(mel[:, start : start + step])
    image = history.image()
    width = next(2**power for power in range(20) if frames // 2**power <= 10)
    expected = [mel[:, start : start + width].mean(axis=1) for start in range(0, frames, width)]
    np.testing.assert_allclose(image, np.stack(expected, axis=1), atol=1e-12)
    assert image.shape[1] <= 11


def test_history_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="no frame"):
        MelHistory().image()


def test_picture_is_a_png(tmp_path: Path) -> None:
    mel = np.random.default_rng(0).uniform(-5, 1, (12, 40))
    path = tmp_path / "mel.png"
    save_picture(path, mel, mel + 0.5, frequencies=FREQUENCIES, seconds=2.0, title="jazz")
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["mel.png"]


def test_frequencies_stand_where_their_sound_is() -> None:
    config = MelConfig()
    ticks = hertz_ticks(band_frequencies(config).numpy())
    assert [name for _, name in ticks] == ["100 Hz", "250 Hz", "500 Hz", "1 kHz", "2 kHz", "4 kHz", "8 kHz"]
    filters = mel_filterbank(config)
    for place, name in ticks:
        hertz = float(name.split()[0]) * (1000 if "kHz" in name else 1)
        loudest = int(filters[round(hertz * config.n_fft / config.sample_rate)].argmax())
        assert abs(place - (loudest + 0.5)) <= 1.0


def test_silent_picture_can_be_drawn(tmp_path: Path) -> None:
    mel = np.full((12, 40), -5.0)
    save_picture(tmp_path / "mel.png", mel, mel, frequencies=FREQUENCIES, seconds=2.0, title="like-caf\udce9 $_{")
    assert (tmp_path / "mel.png").stat().st_size > 1000


def test_failing_picture_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("matplotlib.backends.backend_agg.FigureCanvasAgg.print_png", fail)
    mel = np.zeros((12, 40))
    with pytest.raises(KeyboardInterrupt):
        save_picture(tmp_path / "mel.png", mel, mel, frequencies=FREQUENCIES, seconds=2.0, title="jazz")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_take_a_picture(tmp_path: Path) -> None:
    existing = tmp_path / "old.png"
    existing.write_bytes(b"old")
    with pytest.raises(UserError, match=r"does not end in \.png"):
        check_picture(tmp_path / "mel.jpg", force=True)
    with pytest.raises(UserError, match="does not exist; create it first"):
        check_picture(tmp_path / "no" / "mel.png", force=True)
    with pytest.raises(UserError, match="--force"):
        check_picture(existing, force=False)
    check_picture(existing, force=True)
