"""Songs and their splits."""

from __future__ import annotations

from collections import Counter

import pytest

from data.corpus.songs import song_numbers, split_of, write_song


def test_a_song_is_the_same_whenever_it_is_written_and_different_from_others() -> None:
    assert write_song(3, 7, 20.0) == write_song(3, 7, 20.0)
    assert write_song(3, 7, 20.0) != write_song(4, 7, 20.0)
    assert len({write_song(0, number, 24.0).melody for number in range(30)}) == 30


@pytest.mark.parametrize("number", range(8))
def test_a_song_lasts_at_least_as_long_as_asked_and_less_than_a_bar_more(number: int) -> None:
    song = write_song(0, number, 24.0)
    length = len(song.chords) * 240.0 / song.tempo
    assert 24.0 < length <= 24.0 + 240.0 / song.tempo
    assert len(song.melody) == len(song.chords)
    assert 80 <= song.tempo <= 150


def test_a_longer_song_only_appends() -> None:
    short, long = write_song(0, 5, 10.0), write_song(0, 5, 90.0)
    assert long.chords[: len(short.chords)] == short.chords
    assert long.melody[: len(short.melody)] == short.melody
    assert len(long.chords) > 32  # longer than the form, which then begins again


def test_splits_of_forty_eight_songs_and_extra_splits() -> None:
    counts = Counter(split_of(number) for number in song_numbers(48, 3))
    assert counts == {"train": 40, "valid": 4, "test": 4, "test_groove": 3, "test_soundfont": 3}
    counts = Counter(split_of(number) for number in song_numbers(48, 3, 16))
    assert counts == {"train": 56, "valid": 4, "test": 4, "test_groove": 3, "test_soundfont": 3}


@pytest.mark.parametrize("songs", [20, 21, 30, 48, 100])
def test_every_corpus_of_twenty_songs_has_two_for_validation_and_two_for_the_test(songs: int) -> None:
    counts = Counter(split_of(number) for number in song_numbers(songs, 0))
    assert counts["valid"] >= 2
    assert counts["test"] >= 2
    assert counts["train"] >= 0.7 * songs


def test_songs_come_once_and_a_beginning_of_the_order_holds_every_split() -> None:
    order = song_numbers(48, 3)
    assert len(order) == len(set(order)) == 48 + 2 * 3
    assert {split_of(number) for number in order[:12]} == {
        "train",
        "valid",
        "test",
        "test_groove",
        "test_soundfont",
    }


def test_a_longer_corpus_keeps_all_songs_of_a_shorter_one() -> None:
    assert set(song_numbers(12, 2)) < set(song_numbers(30, 3)) < set(song_numbers(30, 3, 1))
