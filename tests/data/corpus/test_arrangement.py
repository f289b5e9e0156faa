"""Genres, what is drawn from them, and the MMA text."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from data.corpus.arrangement import HELD_OUT_SOUNDFONT, SOUNDFONTS, arrange, mma_text
from data.corpus.bands import STYLES
from data.corpus.harmony import Chord, Key
from data.corpus.melody import Note
from data.corpus.songs import EXTRA_START, GROOVE_START, SOUNDFONT_START, TRAINING_START, Song, write_song
from data.folder import GENRES

MMA_LIBRARY = Path("/usr/share/mma/lib")


def test_genres_are_those_of_gtzan() -> None:
    assert sorted(STYLES) == sorted(GENRES)


@pytest.mark.parametrize("genre", sorted(STYLES))
def test_genre_has_bands_enough_and_keeps_some_out_of_training(genre: str) -> None:
    style = STYLES[genre]
    training = {band.groove for band in style.training if "none:None" not in band.groove}
    held_out = {band.groove for band in style.held_out if "none:None" not in band.groove}
    assert len(style.training) >= 4
    assert len(style.held_out) >= 1
    assert not training & held_out
    names = [band.name for band in (*style.training, *style.held_out)]
    assert len(set(names)) == len(names)
    assert all(0 <= program < 128 for program in style.melody_programs)


@pytest.mark.parametrize("genre", sorted(STYLES))
def test_grooves_exist_in_the_library(mma: None, genre: str) -> None:
    for band in (*STYLES[genre].training, *STYLES[genre].held_out, *STYLES[genre].extra):
        file, groove = band.groove.split(":")
        defined = (MMA_LIBRARY / f"{file}.mma").read_text(errors="replace").lower().split()
        assert groove.lower() in defined[defined.index("defgroove") :], band.groove


def test_held_out_bands_and_soundfont_are_heard_in_their_splits_and_nowhere_else() -> None:
    for genre, style in STYLES.items():
        for number in range(60):
            ordinary = arrange(0, number, genre)
            assert ordinary.band in style.training
            assert ordinary.soundfont in SOUNDFONTS
        for index in range(10):
            by_groove = arrange(0, GROOVE_START + index, genre)
            by_soundfont = arrange(0, SOUNDFONT_START + index, genre)
            assert by_groove.band in style.held_out
            assert by_groove.soundfont in SOUNDFONTS
            assert by_soundfont.band in style.training
            assert by_soundfont.soundfont == HELD_OUT_SOUNDFONT
    assert HELD_OUT_SOUNDFONT not in SOUNDFONTS


@pytest.mark.parametrize("genre", sorted(STYLES))
def test_extra_songs_go_through_bands_of_their_own(genre: str) -> None:
    style, extra = STYLES[genre], STYLES[genre].extra
    assert len(extra) >= 7
    names = [band.name for band in (*style.training, *style.held_out, *extra)]
    assert len(set(names)) == len(names)
    held_out = {band.groove for band in style.held_out if "none:None" not in band.groove}
    assert not held_out & {band.groove for other in STYLES.values() for band in other.extra}
    drawn = [arrange(0, EXTRA_START + index, genre) for index in range(len(extra))]
    assert [arrangement.band for arrangement in drawn] == list(extra)
    assert all(arrangement.soundfont in SOUNDFONTS for arrangement in drawn)


def test_a_seed_gives_the_same_songs_as_ever() -> None:
    """Models were trained and measured on them: chords, melodies, bands and what is drawn stay as they are."""
    numbers = (*range(20), *range(EXTRA_START, EXTRA_START + 8), GROOVE_START, SOUNDFONT_START)
    texts = [mma_text(write_song(0, number, 24.0), arrange(0, number, genre)) for number in numbers for genre in GENRES]
    found = hashlib.sha256("".join(texts).encode()).hexdigest()
    assert found == "62ebcf18277c5acf1fb3b5847233d56c874f9aba8f951bb38a052e8435a64fd8"


@pytest.mark.parametrize("first", [0, TRAINING_START])
def test_everything_of_a_genre_gets_drawn(first: int) -> None:
    for genre, style in STYLES.items():
        drawn = [arrange(0, first + number, genre) for number in range(200)]
        assert {one.band for one in drawn} == set(style.training)
        assert {one.melody_program for one in drawn} == set(style.melody_programs)
        assert {one.soundfont for one in drawn} == set(SOUNDFONTS)


def test_arrangement_repeats_and_depends_on_seed_song_and_genre() -> None:
    assert arrange(1, 2, "jazz") == arrange(1, 2, "jazz")
    seeds = {arrange(seed, song, genre).seed for seed in (0, 1) for song in (0, 1) for genre in STYLES}
    assert len(seeds) == 4 * len(STYLES)


def test_text_of_a_small_song() -> None:
    chords = ((Chord(0, ""),), (Chord(5, ""), Chord(7, "7")))
    melody = ((Note(3, 72), Note(5, None)), (Note(8, 65),))
    song = Song(0, 96, Key(0, "major"), chords, melody)
    arrangement = arrange(0, 0, "jazz")
    lines = mma_text(song, arrangement).splitlines()
    assert lines[:3] == [
        f"RndSeed {arrangement.seed}",
        "Tempo 96",
        f"Groove {arrangement.band.groove}",
    ]
    assert f"  Voice {arrangement.melody_program}" in lines
    assert lines[-2:] == ["1 C {4. 72; 2+8 r;}", "2 F / G7 {1 65;}"]


def test_all_genres_play_the_same_chords_and_melody() -> None:
    song = write_song(0, 4, 24.0)
    texts = [mma_text(song, arrange(0, 4, genre)) for genre in STYLES]
    music = {tuple(line for line in text.splitlines() if line[:1].isdigit()) for text in texts}
    assert len(music) == 1
    assert len(set(texts)) == len(texts)
