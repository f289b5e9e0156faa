"""Other renditions: another draw of everything but the song, rendered where missing."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data.corpus.arrangement import HELD_OUT_SOUNDFONT, Mix, arrange
from data.corpus.bands import STYLES
from studies import rendition_files
from studies.rendition_files import render_renditions, rendition_path
from stylize_core.errors import UserError

SONGS = [(9, "jazz"), (9, "rock")]


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were rendered, each as a tone."""
    texts: list[str] = []

    def render(text: str, soundfont: str, samples: int, mix: Mix) -> np.ndarray:
        texts.append(text)
        return np.full(samples, mix.peak, dtype=np.float32)

    monkeypatch.setattr(rendition_files, "render", render)
    monkeypatch.setattr(rendition_files, "check_tools", lambda: None)
    return texts


def test_takes_are_drawn_anew_within_the_split() -> None:
    drawn = [arrange(0, 9, "jazz", rendition) for rendition in range(12)]
    assert drawn[0] == arrange(0, 9, "jazz")
    assert len({arrangement.seed for arrangement in drawn}) == 12
    assert len({arrangement.band for arrangement in drawn}) > 2
    assert {arrangement.band for arrangement in drawn} <= set(STYLES["jazz"].training)
    held_out = [arrange(0, 80000, "jazz", rendition) for rendition in range(6)]
    assert {arrangement.band for arrangement in held_out} <= set(STYLES["jazz"].held_out)
    assert {arrange(0, 90000, "jazz", rendition).soundfont for rendition in range(6)} == {HELD_OUT_SOUNDFONT}


def test_what_is_missing_is_rendered(tmp_path: Path, rendered: list[str]) -> None:
    assert list(render_renditions(tmp_path, SONGS, 2, 1.0)) == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(set(rendered)) == 4
    files = [rendition_path(tmp_path, *song, rendition) for song in SONGS for rendition in (1, 2)]
    assert files[1] == tmp_path / "jazz" / "jazz.00009.rendition2.wav"
    assert all(soundfile.info(path).frames == 22050 for path in files)
    files[0].unlink()
    soundfile.write(files[3], np.zeros(100), 22050)
    assert list(render_renditions(tmp_path, SONGS, 2, 1.0)) == [(2, 4), (3, 4), (4, 4)]
    assert rendered[4:] == [rendered[0], rendered[3]]
    assert not list(tmp_path.rglob("*.partial"))


def test_after_a_failure_nothing_more_is_begun(
    tmp_path: Path, rendered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: str, soundfont: str, samples: int, mix: Mix) -> np.ndarray:
        rendered.append(text)
        time.sleep(0.02)
        raise UserError("mma could not read the song")

    monkeypatch.setattr(rendition_files, "render", fail)
    with pytest.raises(UserError, match="mma could not read the song"):
        list(render_renditions(tmp_path, SONGS, 20, 1.0))
    assert len(rendered) < 10  # of 40
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(
        rendition_files, "render", lambda text, soundfont, samples, mix: np.zeros(samples, dtype=np.float32)
    )
    with pytest.raises(UserError, match="cannot write the renditions in .*file"):
        list(render_renditions(tmp_path / "file", SONGS, 1, 1.0))
