"""Statistics by values worked out by hand, against scipy, and on listeners whose preferences are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from stylize.listening.statistics import (
    Preference,
    Rating,
    compare_pairs,
    compare_systems,
    enough_to_differ,
    min_adjusted_p,
    summarize,
)
from stylize_core.errors import UserError


def rate(values: dict[str, list[list[float]]], question: str = "quality") -> list[Rating]:
    """Ratings from system: listeners: songs."""
    return [
        Rating(f"L{listener}", f"S{song}", question, system, value)
        for system, listeners in values.items()
        for listener, songs in enumerate(listeners)
        for song, value in enumerate(songs)
    ]


def test_binomial_by_hand() -> None:
    # Nine of ten: 2 * (10 + 1) / 2^10.
    choices = [Preference("a", str(n), "preference", "x", "y") for n in range(9)]
    choices.append(Preference("b", "9", "preference", "y", "x"))
    (result,) = compare_pairs(choices, "rating")
    assert (result.first, result.second, result.wins, result.choices) == ("x", "y", 9, 10)
    assert result.p == pytest.approx(22 / 1024) and result.adjusted == result.p
    assert (result.share, result.listeners, result.votes_for, result.votes) == (0.9, 2, 9, 10)
    wilson = stats.binomtest(9, 10).proportion_ci(method="wilson")
    assert (result.low, result.high) == pytest.approx((wilson.low, wilson.high))
    # Two listeners are of two minds, however often one of them was asked.
    (result,) = compare_pairs(choices)
    assert (result.share, result.votes_for, result.votes, result.p) == (0.9, 1, 2, 1.0)
    z = stats.norm.ppf(0.975)
    centre, spread = (0.9 + z**2 / 4) / (1 + z**2 / 2), z * (0.9 * 0.1 / 2 + z**2 / 16) ** 0.5 / (1 + z**2 / 2)
    assert (result.low, result.high) == pytest.approx((centre - spread, min(1.0, centre + spread)))
    with pytest.raises(UserError, match="got --unit song; expected listener or rating"):
        compare_pairs(choices, "song")


def test_who_chooses_both_equally_often_has_no_vote() -> None:
    choices = [Preference("a", str(n), "preference", *pair) for n, pair in enumerate((("x", "y"), ("y", "x")))]
    (result,) = compare_pairs(choices)
    assert (result.wins, result.choices, result.votes_for, result.votes) == (1, 2, 0, 0)
    assert result.p == result.adjusted == 1.0
    choices += [Preference(f"b{n}", "s", "preference", "y", "x") for n in range(7)]
    (result,) = compare_pairs(choices)
    assert (result.votes_for, result.votes) == (0, 7) and result.p == pytest.approx(2 / 2**7)


def test_pairs_stand_in_the_order_of_the_systems() -> None:
    rows = [
        Preference("a", "s", question, *pair)
        for question in ("style", "quality")
        for pair in (("z", "x"), ("y", "z"), ("x", "y"))
    ]
    found = [(row.question, row.first, row.second, row.wins) for row in compare_pairs(rows, systems=("z", "y", "x"))]
    wins = [("z", "y", 0), ("z", "x", 1), ("y", "x", 0)]
    assert found == [("style", *row) for row in wins] + [("quality", *row) for row in wins]


def test_pairs_are_corrected_within_their_question() -> None:
    rows = [
        Preference(str(n), "s", question, first, second)
        for question in ("quality", "style")
        for first, second in (("x", "y"), ("x", "z"))
        for n in range(8)
    ]
    results = compare_pairs(rows)
    assert [row.question for row in results] == ["quality", "quality", "style", "style"]
    for row in results:
        assert row.p == pytest.approx(2 / 256) and row.adjusted == pytest.approx(4 / 256)


def test_summaries_by_hand() -> None:
    ratings = rate({"x": [[10, 20], [30, 100]], "y": [[50, 50], [50, 50]]})
    first, second = summarize(ratings)
    assert (first.system, first.mean, first.median) == ("x", 40.0, 25.0)
    assert (first.listeners, first.songs, first.ratings) == (2, 2, 4)
    # Two listeners with means 15 and 65: their draws have means 15, 40, 65 with chances 1/4, 1/2, 1/4.
    assert (first.low, first.high) == (15.0, 65.0)
    assert (second.low, second.high) == (50.0, 50.0)


def test_one_listener_has_no_interval() -> None:
    (summary,) = summarize(rate({"x": [[10, 20]]}))
    assert summary.low is None and summary.high is None and summary.mean == 15


def test_comparisons_pair_listeners_or_ratings() -> None:
    ratings = rate({"x": [[10, 20], [30, 40]], "y": [[0, 0], [50, 50]]})
    (by_listener,) = compare_systems(ratings)
    assert (by_listener.first, by_listener.second, by_listener.pairs) == ("x", "y", 2)
    assert by_listener.difference == pytest.approx((15 - 15) / 2)
    (by_rating,) = compare_systems(ratings, "rating")
    assert by_rating.pairs == 4
    with pytest.raises(UserError, match="got --unit song; expected listener or rating"):
        compare_systems(ratings, "song")


def test_questions_are_compared_apart() -> None:
    louder = rate({"x": [[10], [20]], "y": [[0], [0]]}, "quality")
    found = compare_systems(louder + rate({"x": [[1], [3]], "y": [[9], [9]]}, "style"))
    assert [(row.question, row.difference) for row in found] == [("quality", 15), ("style", -7)]


def test_only_what_was_rated_for_both_is_compared() -> None:
    ratings = [*rate({"x": [[10, 20]], "y": [[5, 5]]}), Rating("L9", "S0", "quality", "x", 100)]
    (row,) = compare_systems(ratings)
    assert row.pairs == 1 and row.difference == 10


def simulate(chance: np.random.Generator, means: dict[str, float], listeners: int, songs: int) -> list[Rating]:
    """Listeners who use the scale each in their own way, and songs that are not equally hard."""
    leaning = chance.normal(0, 12, size=listeners)
    hardness = chance.normal(0, 8, size=songs)
    return [
        Rating(
            f"L{listener}",
            f"S{song}",
            "quality",
            system,
            float(np.clip(round(mean + leaning[listener] + hardness[song] + chance.normal(0, 12)), 0, 100)),
        )
        for system, mean in means.items()
        for listener in range(listeners)
        for song in range(songs)
    ]


def test_known_preferences_are_recovered() -> None:
    means = {"bad": 30.0, "middle": 50.0, "good": 65.0, "as good": 65.0}
    missed = false = 0
    for trial in range(30):
        ratings = simulate(np.random.default_rng(trial), means, listeners=16, songs=4)
        found = sorted(summarize(ratings), key=lambda row: row.mean)
        assert [row.system for row in found][:2] == ["bad", "middle"]
        for row in compare_systems(ratings):
            same = means[row.first] == means[row.second]
            assert same or (row.difference < 0) == (means[row.first] < means[row.second])
            missed += not same and row.adjusted >= 0.05
            false += same and row.adjusted < 0.05
    assert missed <= 3  # of 150
    assert false <= 5  # of 30, of which one in twenty is due


def test_random_listeners_are_significant_about_as_often_as_chance_allows() -> None:
    """200 trials of four equal systems: any difference in about one in twenty of them."""
    alone = trials = 0
    for trial in range(200):
        chance = np.random.default_rng(1000 + trial)
        rows = compare_systems(simulate(chance, {"a": 50, "b": 50, "c": 50, "d": 50}, listeners=16, songs=3))
        alone += rows[0].p < 0.05
        trials += any(row.adjusted < 0.05 for row in rows)
    # 99.9 % limits of a binomial with the nominal 5 % of 200.
    assert stats.binom.ppf(0.001, 200, 0.05) <= alone <= stats.binom.ppf(0.999, 200, 0.05)
    assert trials <= stats.binom.ppf(0.999, 200, 0.05)


def test_random_choices_are_significant_about_as_often_as_chance_allows() -> None:
    found = 0
    for trial in range(200):
        chance = np.random.default_rng(trial)
        rows = [
            Preference(str(n), "S", "preference", *(("x", "y") if chance.random() < 0.5 else ("y", "x")))
            for n in range(100)
        ]
        found += compare_pairs(rows)[0].p < 0.05
    expected = 2 * stats.binom.cdf(39, 100, 0.5)  # the test is discrete: 39 of 100 are significant, 40 are not
    assert stats.binom.ppf(0.001, 200, expected) <= found <= stats.binom.ppf(0.999, 200, expected)


def test_listeners_with_tastes_of_their_own_are_no_difference_between_systems() -> None:
    """Half of all listeners like x and half like y: who has been asked ten times has still one opinion."""
    found = {"listener": 0, "rating": 0}
    for trial in range(200):
        chance = np.random.default_rng(trial)
        rows = []
        for listener in range(16):
            taste = chance.choice([0.1, 0.9])
            for song in range(10):
                pair = ("x", "y") if chance.random() < taste else ("y", "x")
                rows.append(Preference(str(listener), str(song), "preference", *pair))
        for unit in found:
            found[unit] += compare_pairs(rows, unit)[0].p < 0.05
    assert found["listener"] <= stats.binom.ppf(0.999, 200, 0.05)
    assert found["rating"] > 60  # which is why listeners are what is compared where nothing else is said


def test_how_many_it_takes_by_hand() -> None:
    # All of n agree: p = 2 / 2^n, and Holm's factor is the number of comparisons.
    assert min_adjusted_p(6, 1) == 2 / 64 and min_adjusted_p(9, 28) == pytest.approx(56 / 512)
    assert min_adjusted_p(2, 28) == 1.0
    assert [enough_to_differ(comparisons) for comparisons in (1, 3, 28, 66)] == [6, 7, 11, 12]
    unanimous = rate({name: [[float(10 * place + n)] for n in range(7)] for place, name in enumerate("abc")})
    assert all(row.adjusted < 0.05 for row in compare_systems(unanimous))
    assert all(row.adjusted > 0.05 for row in compare_systems([row for row in unanimous if row.listener != "L0"]))
