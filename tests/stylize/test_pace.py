"""Progress between the pipeline's reports: by a clock that the test sets."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from stylize.progress import FIRST_COST, OVERHEAD_SECONDS, Course, Pace
from stylize.web.work import measure_pace

if TYPE_CHECKING:
    from stylize import Stylizer


def test_a_song_without_any_report_advances_by_the_clock_and_never_stands_still() -> None:
    now = [100.0]
    course = Course(10.0, lambda: now[0])
    shown, left = [], []
    for second in range(31):
        now[0] = 100.0 + second
        shown.append(course.progress)
        left.append(course.left)
    assert shown[0] == 0.0
    np.testing.assert_allclose(shown[1:10], np.arange(1, 10) / 10)
    np.testing.assert_allclose(left[:10], 10.0 - np.arange(10))
    assert all(later > earlier for earlier, later in itertools.pairwise(shown[:15]))  # to 1.4 times as long
    assert 0.98 < shown[14] <= max(shown) < 1.0 and min(left) > 0


def test_a_report_corrects_what_was_expected_and_nothing_goes_back() -> None:
    now = [0.0]
    course = Course(10.0, lambda: now[0])
    now[0] = 5.0
    assert course.progress == pytest.approx(0.5)
    course.report(0.25)  # in truth it takes 20 s
    assert course.progress == pytest.approx(0.5)
    now[0] = 12.0
    assert course.progress == pytest.approx(0.6) and course.left == pytest.approx(8.0)
    course.report(0.9)
    assert course.progress == pytest.approx(0.9)
    course.report(0.0)
    assert course.progress == pytest.approx(0.9)


def test_what_is_expected_is_the_median_of_the_last_songs() -> None:
    pace = Pace()
    assert pace.expect(6.0) == pytest.approx(FIRST_COST * (6.0 + OVERHEAD_SECONDS))
    for took in (20.0, 20.0, 2000.0):  # something else was going on
        pace.learn(6.0, took)
    assert pace.expect(6.0) == pytest.approx(20.0)
    assert pace.expect(16.0) == pytest.approx(40.0)


def test_the_speed_of_this_machine_is_measured(tiny_stylizer: Stylizer) -> None:
    pace = Pace()
    measure_pace(tiny_stylizer, pace)
    assert 0 < pace.expect(10.0) != FIRST_COST * (10.0 + OVERHEAD_SECONDS)
