"""A song in one genre as the text of an MMA file."""

from __future__ import annotations

import random
from dataclasses import dataclass

from data.corpus.bands import STYLES, Band
from data.corpus.melody import MelodyBar
from data.corpus.songs import EXTRA_START, Song, split_of

SOUNDFONTS = ("FluidR3_GM.sf2", "MuseScore_General_Lite.sf3")
HELD_OUT_SOUNDFONT = "TimGM6mb.sf2"
_LENGTHS = {1: "8", 2: "4", 3: "4.", 4: "2", 5: "2+8", 6: "2.", 7: "2.+8", 8: "1"}  # MMA's name by eighths


@dataclass(frozen=True)
class Mix:
    """Loudness of drums and melody in dB relative to the harmony, and the file's peak, 0 to 1."""

    drums_level: float
    melody_level: float
    peak: float


@dataclass(frozen=True)
class Arrangement:
    """Everything drawn for one song in one genre; `seed` is MMA's own, for the variations of its grooves."""

    genre: str
    band: Band
    melody_program: int
    soundfont: str
    seed: int
    mix: Mix


def arrange(seed: int, number: int, genre: str, rendition: int = 0) -> Arrangement:
    """Draw the arrangement of song ``number`` of the corpus ``seed`` in one genre.

    The song's split decides which bands and soundfonts may be drawn; see `data.corpus.songs.split_of`. The corpus has
    rendition 0; others are other draws of the same song in the same genre.
    """
    generator = random.Random(f"arrangement {seed} {number} {genre}" + (f" take {rendition}" if rendition else ""))
    style = STYLES[genre]
    split = split_of(number)
    band = generator.choice(style.held_out if split == "test_groove" else style.training)
    if split == "train" and number >= EXTRA_START:  # in turn, so that few songs have all of them
        band = style.extra[(number - EXTRA_START) % len(style.extra)]
    program = generator.choice(style.melody_programs)
    soundfont = generator.choice(SOUNDFONTS)
    if split == "test_soundfont":
        soundfont = HELD_OUT_SOUNDFONT
    mma_seed = generator.randrange(1, 2**31)
    mix = Mix(
        drums_level=style.drums_level + generator.uniform(-1.5, 1.5),
        melody_level=style.melody_level + generator.uniform(-1.5, 1.5),
        peak=10.0 ** (-generator.uniform(1.0, 3.0) / 20.0),
    )
    return Arrangement(genre, band, program, soundfont, mma_seed, mix)


def mma_text(song: Song, arrangement: Arrangement) -> str:
    """The MMA file: seed, tempo, groove, tracks, then one line a bar with chords and melody."""
    lines = [
        f"RndSeed {arrangement.seed}",
        f"Tempo {song.tempo}",
        f"Groove {arrangement.band.groove}",
        arrangement.band.tracks.rstrip(),
        "Begin Solo",
        f"  Voice {arrangement.melody_program}",
        "  Articulate 95",
        "  Volume f",
        "  RVolume 5",
        "End",
    ]
    for index, (chords, melody) in enumerate(zip(song.chords, song.melody, strict=True), start=1):
        # An MMA bar has four beats; a chord holds until the next one, "/" repeats it.
        names = " / ".join(chord.name for chord in chords)
        lines.append(f"{index} {names} {{{_melody_text(melody)}}}")
    return "\n".join(line for line in lines if line) + "\n"


def _melody_text(bar: MelodyBar) -> str:
    events = (f"{_LENGTHS[note.eighths]} {'r' if note.pitch is None else note.pitch}" for note in bar)
    return " ".join(f"{event};" for event in events)
