"""Keys, chords and seeded chord progressions of the corpus songs."""

from __future__ import annotations

import random
from dataclasses import dataclass

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

# Roman numerals used below: semitones above the tonic and the chord's quality.
_NUMERALS = {
    "I": (0, ""),
    "i": (0, "m"),
    "I7": (0, "7"),
    "IM7": (0, "M7"),
    "i7": (0, "m7"),
    "ii": (2, "m"),
    "ii7": (2, "m7"),
    "iih": (2, "m7b5"),
    "bIII": (3, ""),
    "iii": (4, "m"),
    "IV": (5, ""),
    "iv": (5, "m"),
    "IV7": (5, "7"),
    "IVM7": (5, "M7"),
    "V": (7, ""),
    "V7": (7, "7"),
    "bVI": (8, ""),
    "vi": (9, "m"),
    "vi7": (9, "m7"),
    "bVII": (10, ""),
}

# Four-bar halves of an eight-bar phrase. A bar holds one chord, or two joined by "+". "open" halves lead
# on (they end away from the tonic or on the dominant), "close" halves come home.
_HALVES: dict[str, dict[str, tuple[str, ...]]] = {
    "major": {
        "open": (
            "I V vi IV",
            "I vi IV V",
            "I IV I V7",
            "I iii IV V",
            "vi IV I V",
            "I ii7 IV V7",
            "IM7 vi7 ii7 V7",
            "I I IV V",
            "I+V vi+iii IV+I ii+V7",
            "I bVII IV V",
        ),
        "close": (
            "vi IV V I",
            "IV V I I",
            "ii7 V7 I I",
            "IV I V7 I",
            "vi ii7 V7 IM7",
            "IV iv I I",
            "I+IV I+V vi+IV V7+I",
            "bVII IV I I",
        ),
    },
    "minor": {
        "open": (
            "i bVI bIII bVII",
            "i iv i V7",
            "i bVII bVI V7",
            "i i iv V",
            "i7 iv bVII bIII",
            "i bVI iv V7",
            "i+bVII bVI+V7 i+iv V7",
            "bVI bVII i V",
        ),
        "close": (
            "iv V7 i i",
            "bVI bVII i i",
            "iih V7 i i",
            "bVI iv V7 i",
            "iv i V7 i",
            "bIII bVII bVI+V7 i",
        ),
    },
}

# Twelve-bar schemes; a blues song is nothing but this, again and again.
_BLUES = (
    "I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7",
    "I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7+IV7 I7+V7",
    "I7 IV7 I7 I7 IV7 IV7 I7 vi7 ii7 V7 I7 V7",
)
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
    """Draw one phrase of chords: eight bars, or twelve in a blues.

    Args:
        generator: source of chance.
        key: the song's key.
        home: whether the phrase closes on the tonic; otherwise it ends on a half that leads on.
    """
    if key.mode == "blues":
        return _parse(generator.choice(_BLUES), key)
    halves = _HALVES[key.mode]
    first = generator.choice(halves["open"])
    second = generator.choice(halves["close" if home else "open"])
    return _parse(f"{first} {second}", key)


def _parse(text: str, key: Key) -> tuple[Bar, ...]:
    bars = []
    for bar in text.split():
        numerals = (_NUMERALS[numeral] for numeral in bar.split("+"))
        bars.append(tuple(Chord((key.tonic + step) % 12, quality) for step, quality in numerals))
    return tuple(bars)
