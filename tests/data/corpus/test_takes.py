"""Other takes: another draw of everything but the song, rendered where missing."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data.corpus import takes
from data.corpus.arrangement import HELD_OUT_SOUNDFONT, Mix, arrange
from data.corpus.genres import STYLES
from data.corpus.takes import render_takes, take_path
from data.errors import UserError

SONGS = [(9, "jazz"), (9, "rock")]


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were rendered, each as a tone."""
    texts: list[str] = []

    def render(text: str, soundfont: str, samples: int, mix: Mix) -> np.ndarray:
        texts.append(text)
        return np.full(samples, mix.peak, dtype=np.float32)

    monkeypatch.setattr(takes, "render", render)
    monkeypatch.setattr(takes, "check_tools", lambda: None)
    return texts


def test_takes_are_drawn_anew_within_the_split() -> None:
    drawn = [arrange(0, 9, "jazz", take) for take in range(12)]
    assert drawn[0] == arrange(0, 9, "jazz")
    assert len({arrangement.seed for arrangement in drawn}) == 12
    assert len({arrangement.band for arrangement in drawn}) > 2
    assert {arrangement.band for arrangement in drawn} <= set(STYLES["jazz"].training)
    held_out = [arrange(0, 80000, "jazz", take) for take in range(6)]
    assert {arrangement.band for arrangement in held_out} <= set(STYLES["jazz"].held_out)
    assert {arrange(0, 90000, "jazz", take).soundfont for take in range(6)} == {HELD_OUT_SOUNDFONT}


def test_what_is_missing_is_rendered(tmp_path: Path, rendered: list[str]) -> None:
    assert list(render_takes(tmp_path, SONGS, 2, 1.0)) == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(set(rendered)) == 4
    files = [take_path(tmp_path, *song, take) for song in SONGS for take in (1, 2)]
    assert files[1] == tmp_path / "jazz" / "jazz.00009.take2.wav"
    assert all(soundfile.info(path).frames == 22050 for path in files)
    files[0].unlink()
    soundfile.write(files[3], np.zeros(100), 22050)
    assert list(render_takes(tmp_path, SONGS, 2, 1.0)) == [(2, 4), (3, 4), (4, 4)]
    assert rendered[4:] == [rendered[0], rendered[3]]
    assert not list(tmp_path.rglob("*.partial"))


def test_after_a_failure_nothing_more_is_begun(
    tmp_path: Path, rendered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: str, soundfont: str, samples: int, mix: Mix) -> np.ndarray:
        rendered.append(text)
        time.sleep(0.02)
        raise UserError("mma could not read the song")

    monkeypatch.setattr(takes, "render", fail)
    with pytest.raises(UserError, match="mma could not read the song"):
        list(render_takes(tmp_path, SONGS, 20, 1.0))
    assert len(rendered) < 10  # of 40
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(takes, "render", lambda text, soundfont, samples, mix: np.zeros(samples, dtype=np.float32))
    with pytest.raises(UserError, match="cannot write the takes in .*file"):
        list(render_takes(tmp_path / "file", SONGS, 1, 1.0))
