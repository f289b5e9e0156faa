"""Songs of the corpus: key, tempo, chords and melody drawn from a seed, and the split of each song."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from data.corpus.harmony import Bar, Key, draw_key, draw_phrase
from data.corpus.melody import MelodyBar, draw_melody

SLOWEST, FASTEST = 80, 150  # beats a minute
BEATS_PER_BAR = 4
# Song numbers of the songs for training alone and of the extra test splits start far above the ordinary ones, so that
# a longer corpus made later with the same seed keeps every song.
TRAINING_START = 60000
EXTRA_START = 70000
GROOVE_START = 80000
SOUNDFONT_START = 90000
_FORM = "ABAC"  # phrases; C is B's chords with another melody


@dataclass(frozen=True)
class Song:
    """What all ten genres share: everything of a piece but its style.

    Attributes:
        number: the NNNNN of GENRE.NNNNN.wav.
        tempo: beats a minute, four beats a bar.
        key: tonic and mode.
        chords: one entry a bar, each of one or two chords.
        melody: one entry a bar.
    """

    number: int
    tempo: int
    key: Key
    chords: tuple[Bar, ...]
    melody: tuple[MelodyBar, ...]


def write_song(seed: int, number: int, seconds: float) -> Song:
    """Write song ``number`` of the corpus ``seed``, just longer than ``seconds``; more seconds only append bars."""
    generator = random.Random(f"song {seed} {number}")
    tempo = generator.randint(SLOWEST, FASTEST)
    key = draw_key(generator)
    first, second = draw_phrase(generator, key, home=False), draw_phrase(generator, key, home=True)
    phrases = {}
    for letter, chords in zip("ABC", (first, second, second), strict=True):
        phrases[letter] = (chords, draw_melody(generator, key, chords))
    bar_count = math.floor(seconds * tempo / (60.0 * BEATS_PER_BAR)) + 1
    song_chords: list[Bar] = []
    song_melody: list[MelodyBar] = []
    while len(song_chords) < bar_count:
        for letter in _FORM:
            song_chords.extend(phrases[letter][0])
            song_melody.extend(phrases[letter][1])
    return Song(number, tempo, key, tuple(song_chords[:bar_count]), tuple(song_melody[:bar_count]))


def split_of(number: int) -> str:
    """Split of a song by its number: of ten songs one is for validation and one for the test."""
    if number >= SOUNDFONT_START:
        return "test_soundfont"
    if number >= GROOVE_START:
        return "test_groove"
    if number >= TRAINING_START:
        return "train"
    return {8: "valid", 9: "test"}.get(number % 10, "train")


def song_numbers(songs: int, test_songs: int, extra_songs: int = 0, training_songs: int = 0) -> list[int]:
    """Numbers of all songs in the order to render them; arguments as in `data.corpus.renderer.CorpusPlan`.

    One song of each extra test split follows every tenth ordinary song, so that an unfinished corpus is already useful
    for every test. The songs for training alone come last.
    """
    order: list[int] = []
    pairs = [(GROOVE_START + index, SOUNDFONT_START + index) for index in range(test_songs)]
    for number in range(songs):
        order.append(number)
        if number % 10 == 9 and pairs:
            order.extend(pairs.pop(0))
    for pair in pairs:
        order.extend(pair)
    order.extend(TRAINING_START + index for index in range(training_songs))
    return order + [EXTRA_START + index for index in range(extra_songs)]
