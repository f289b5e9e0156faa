"""Orders and labels: random over listeners, the same for one, and complete."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scipy.stats import chisquare

from stylize.listening.methods import check_questions, pairs_of, shuffled
from stylize.listening.trial import Trial
from stylize_core.errors import UserError

if TYPE_CHECKING:
    from tests.stylize.listening.conftest import Recordings


def test_a_shuffle_depends_on_its_key_alone() -> None:
    names = ["a", "b", "c", "d", "e"]
    assert shuffled(names, 0, 7) == shuffled(reversed(names), 0, 7)
    assert len({tuple(shuffled(names, 0, listener)) for listener in range(300)}) > 90  # of 120
    # Known for good: another order would break the labels of trials that are running.
    assert shuffled(names, 0, 7) == ["b", "d", "a", "e", "c"]


def test_every_order_is_equally_likely() -> None:
    counts = Counter(tuple(shuffled("abc", 3, listener)) for listener in range(3000))
    assert len(counts) == 6
    assert chisquare(list(counts.values())).pvalue > 0.001


def test_a_listener_meets_every_screen_once_and_songs_in_one_piece(trial: Trial) -> None:
    order = trial.order_for(4)
    assert sorted(screen.id for screen, _ in order) == sorted(trial.screen)
    songs = [screen.song for screen, _ in order]
    assert sum(first != second for first, second in pairwise(songs)) == len(trial.songs) - 1
    questions = [screen.question for screen, _ in order]
    assert questions[:3] == questions[3:]
    for screen, labels in order:
        assert sorted(labels) == sorted(screen.stimuli)


def test_orders_are_reproducible_and_differ_between_listeners(trial: Trial, trial_folder: Path) -> None:
    again = Trial.read(trial_folder)
    assert [trial.order_for(number) for number in range(5)] == [again.order_for(number) for number in range(5)]
    assert len({str(trial.order_for(number)) for number in range(20)}) == 20


def test_labels_tell_nothing_about_systems(trial: Trial) -> None:
    """Over listeners every system stands at every place equally often, on every screen."""
    screen = trial.screens[0]
    first = Counter(trial.stimulus[trial.labels_for(number, screen)[0]].system for number in range(1500))
    assert set(first) == set(trial.compared)
    assert chisquare(list(first.values())).pvalue > 0.001


def test_the_same_trial_built_again_has_the_same_orders(recordings: Recordings, tmp_path: Path, trial: Trial) -> None:
    from stylize.listening.build import build_trial

    again = build_trial(recordings.options(tmp_path / "again"))
    assert again.screens[0].id not in trial.screen

    def described(each: Trial) -> list[object]:
        return [
            (screen.song, screen.question, [each.stimulus[identity].system for identity in labels])
            for screen, labels in each.order_for(3)
        ]

    assert described(again) == described(trial)


def test_pairs() -> None:
    assert pairs_of(["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]


@pytest.mark.parametrize(
    ("method", "questions", "message"),
    [
        ("guess", (), "unknown method 'guess'"),
        ("mushra", ("style",), "mushra cannot ask the question 'style'"),
        ("multiple-stimuli", ("preference",), "cannot ask the question 'preference'"),
        ("multiple-stimuli", ("style", "style"), "stands twice"),
    ],
)
def test_impossible_questions_are_refused(method: str, questions: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_questions(method, questions)


def test_default_questions() -> None:
    assert check_questions("multiple-stimuli", ()) == ("content", "style", "quality")
    assert check_questions("ab", ("quality",)) == ("quality",)
