"""The bar of one song: it moves and says how long it takes before the pipeline reports anything."""

from __future__ import annotations

from itertools import pairwise

import pytest

from stylize.progress import Pace, SongProgress


def test_a_song_shorter_than_a_block_moves_with_time_left() -> None:
    now = 0.0
    pace = Pace()
    shown = []
    with SongProgress("song.wav", 8.0, pace, clock=lambda: now) as bar:
        expected = pace.expect(8.0)
        for _ in range(10):
            list(bar.get_renderables())
            (task,) = bar.tasks
            shown.append(task.completed)
            assert task.fields["left"] == pytest.approx(expected * (1 - task.completed))
            now += expected / 8  # it takes longer than was expected
        bar.report(8.0)
    assert shown[4] == pytest.approx(0.5)
    assert all(0 < later - earlier <= 0.126 for earlier, later in pairwise(shown))
    assert shown[-1] < 1.0
    assert pace.expect(8.0) == pytest.approx(10 * expected / 8)  # the next song is expected to take as long


def test_a_report_corrects_what_was_expected() -> None:
    now = 0.0
    with SongProgress("song.wav", 100.0, Pace(), clock=lambda: now) as bar:
        now = 40.0
        bar.report(25.0)
        list(bar.get_renderables())
        (task,) = bar.tasks
        assert task.completed == pytest.approx(0.25)
        assert task.fields["left"] == pytest.approx(120.0)
        now = 80.0
        list(bar.get_renderables())
        assert task.completed == pytest.approx(0.5)
        assert task.fields["factor"] == pytest.approx(0.625)
