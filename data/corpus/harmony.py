"""Keys, chords and seeded chord progressions of the corpus songs."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

NOTE_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
SCALE_STEPS = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "blues": (0, 2, 4, 5, 7, 9, 10),
}
CHORD_STEPS = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "M7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "m7b5": (0, 3, 6, 10),
}

_PROGRESSIONS = yaml.safe_load(Path(__file__).with_name("progressions.yaml").read_text(encoding="utf-8"))
_NUMERAL = re.compile(r"(?P<flat>b?)(?P<degree>[iv]+|[IV]+)(?P<quality>.*)")
_DEGREES = ("I", "II", "III", "IV", "V", "VI", "VII")
_MINOR_QUALITIES = {"": "m", "7": "m7", "h": "m7b5"}
_MODES = ("major", "minor", "blues")
_MODE_WEIGHTS = (5, 4, 2)


@dataclass(frozen=True)
class Chord:
    """A chord as a root (0 = C ... 11 = B) and a quality that is a key of CHORD_STEPS."""

    root: int
    quality: str

    @property
    def name(self) -> str:
        """The chord's name as MMA reads it, "Bbm7"."""
        return NOTE_NAMES[self.root] + self.quality

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """The chord's notes, 0 to 11, root first."""
        return tuple((self.root + step) % 12 for step in CHORD_STEPS[self.quality])


@dataclass(frozen=True)
class Key:
    """A tonic (0 = C ... 11 = B) and a mode that is a key of SCALE_STEPS."""

    tonic: int
    mode: str

    @property
    def name(self) -> str:
        """The key's name, "A minor"."""
        return f"{NOTE_NAMES[self.tonic]} {self.mode}"

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """The scale's notes, 0 to 11, tonic first."""
        return tuple((self.tonic + step) % 12 for step in SCALE_STEPS[self.mode])


Bar = tuple[Chord, ...]


def draw_key(generator: random.Random) -> Key:
    """Draw a tonic evenly and a mode with major most likely and blues least."""
    return Key(generator.randrange(12), generator.choices(_MODES, _MODE_WEIGHTS)[0])


def draw_phrase(generator: random.Random, key: Key, home: bool) -> tuple[Bar, ...]:
    """Draw one phrase of chords: eight bars, or twelve in a blues; with `home` it closes on the tonic."""
    if key.mode == "blues":
        return _parse(generator.choice(_PROGRESSIONS["blues"]), key)
    halves = _PROGRESSIONS["halves"][key.mode]
    first = generator.choice(halves["open"])
    second = generator.choice(halves["close" if home else "open"])
    return _parse(f"{first} {second}", key)


def _parse(text: str, key: Key) -> tuple[Bar, ...]:
    return tuple(tuple(_chord(numeral, key) for numeral in bar.split("+")) for bar in text.split())


def _chord(numeral: str, key: Key) -> Chord:
    found = _NUMERAL.fullmatch(numeral)
    assert found, numeral
    step = SCALE_STEPS["major"][_DEGREES.index(found["degree"].upper())] - len(found["flat"])
    quality = _MINOR_QUALITIES[found["quality"]] if found["degree"].islower() else found["quality"]
    return Chord((key.tonic + step) % 12, quality)
