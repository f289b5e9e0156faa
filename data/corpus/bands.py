"""Accompaniment parts of our own, for the genres whose MMA grooves are drums alone or have no full band."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Band:
    """A rhythm section: an MMA groove, and tracks added to it or changed in it.

    Attributes:
        groove: "folder/file:Groove" below MMA's library.
        added: name of what is added, "" for the groove as it is.
        tracks: MMA text that follows the groove.
    """

    groove: str
    added: str = ""
    tracks: str = ""

    @property
    def name(self) -> str:
        """The name kept in the manifest."""
        return f"{self.groove}+{self.added}" if self.added else self.groove


def grooves(*names: str) -> tuple[Band, ...]:
    """Bands that are grooves of MMA's library as they are."""
    return tuple(Band(name) for name in names)


NO_PIANO = "Chord-Piano Off\n"
"""Takes the piano out of bands that double their guitars on it."""


def part(track: str, program: int, octave: int, volume: str, *bars: str) -> str:
    """MMA text of one track.

    Args:
        track: MMA track name, whose first word gives the kind ("Bass-Own", "Chord-Pad").
        program: General MIDI program, 0 to 127.
        octave: MMA octave of the track.
        volume: MMA dynamic, "mp", "mf", "f" ...
        bars: one sequence a bar, repeated from the first when they run out. Bass events are "beat length
            degree velocity", chord events "beat length velocity".
    """
    sequence = " ".join(f"{{ {bar} }}" for bar in bars)
    return (
        f"Begin {track}\n  Voice {program}\n  Octave {octave}\n  Volume {volume}\n  RVolume 8\n"
        f"  Sequence {sequence}\nEnd\n"
    )


def spread(starts: str, length: str, velocity: int = 85) -> str:
    """Chords of one length at these beats, as :func:`part` takes them."""
    return "; ".join(f"{start} {length} {velocity}" for start in starts.split())


def _line(notes: str, length: str, velocity: int) -> str:
    events = (note.split(":") for note in notes.split())
    return "; ".join(f"{start} {length} {degree} {velocity}" for start, degree in events)


# Reggae: bass that leaves the first beat or drops low, guitar on the off-beat, organ bubble in eighths.
REGGAE_ONE_DROP = (
    part(
        "Bass-Own",
        33,
        3,
        "f",
        "1 4 1 95; 2.5 8 3 85; 3 4 5 90; 4.5 8 5 70",
        "1 4. 1 95; 3 8 5 85; 3.5 8 3 80; 4 4 1 85",
    )
    + part("Chord-Skank", 27, 5, "mf", spread("2 4", "16", 95))
    + part("Chord-Bubble", 16, 5, "mp", spread("1.5 2.5 3.5 4.5", "16", 75))
)
REGGAE_STEPPERS = (
    part(
        "Bass-Own",
        38,
        3,
        "f",
        _line("1:1 1.5:1 2.5:3 3:5 4:5 4.5:1", "8", 92),
        _line("1:1 1.5:1 2.5:5 3:3 4:1", "8", 92),
    )
    + part("Chord-Skank", 28, 5, "f", spread("1.5 2.5 3.5 4.5", "32", 95))
    + part("Chord-Bubble", 17, 4, "mp", spread("1.5 2.5 3.5 4.5", "16", 70))
)
REGGAE_SWUNG = (
    part(
        "Bass-Own", 32, 3, "f", "1 4 1 95; 2.67 8 1 80; 3 4 3 90; 4 4 5 85", "1.67 8 1 90; 2 4 3 85; 3 2 5 90"
    )
    + part("Chord-Skank", 27, 5, "f", spread("2 4", "16", 95))
    + part("Chord-Bubble", 16, 5, "mp", spread("1.67 2.67 3.67 4.67", "16", 75))
)
REGGAE_ROCKERS = (
    part(
        "Bass-Own",
        33,
        3,
        "f",
        _line("1:1 2:1 2.5:5 3.5:5 4:3", "8", 92),
        _line("1.5:1 2:3 3:5 3.5:3 4.5:1", "8", 92),
    )
    + part("Chord-Skank", 27, 5, "f", spread("2 2.5 4", "32", 95))
    + part("Chord-Piano", 0, 5, "mf", spread("2 4", "16", 80))
    + part("Chord-Bubble", 18, 5, "mp", spread("1.5 2.5 3.5 4.5", "32", 70))
)
REGGAE_SWUNG_PIANO = (
    part(
        "Bass-Own", 33, 3, "f", "1 4 1 95; 2 8 1 80; 2.67 8 5 85; 4 4 3 90", "1 2 1 95; 3.67 8 5 85; 4 4 1 85"
    )
    + part("Chord-Skank", 0, 5, "mf", spread("2 4", "16", 90))
    + part("Chord-Bubble", 17, 5, "mp", spread("1.67 2.67 3.67 4.67", "16", 75))
)

# Hip-hop: few low bass notes, short keyboard stabs, a dark pad or a thin synthesizer line.
HIPHOP_STABS = (
    part("Bass-Own", 38, 2, "f", "1 4 1 100; 2.75 8 1 85; 3.5 4 5 90", "1 4 1 100; 2.5 8 1 80; 4.5 8 5 85")
    + part("Chord-Keys", 4, 5, "mf", "1 8 90; 2.5 8 75", "1 8 90; 3.75 8 80")
    + part("Chord-Pad", 89, 5, "pp", "1 1 70")
)
HIPHOP_LOW_PIANO = (
    part("Bass-Own", 39, 2, "f", "1 2 1 100; 3.75 8 1 85", "1 4. 1 100; 3 4 5 90; 4.5 8 3 80")
    + part("Chord-Keys", 0, 4, "mf", spread("1 2 3 4", "8", 80))
    + part("Chord-Strings", 48, 5, "p", "1 1 75")
)
HIPHOP_SYNTH = (
    part(
        "Bass-Own",
        38,
        2,
        "ff",
        "1 8 1 100; 1.75 8 1 90; 3 8 1 95; 4.25 8 5 85",
        "1 8 1 100; 2.5 8 3 85; 3.75 4 1 95",
    )
    + part("Arpeggio-Lead", 81, 6, "p", "1 16 75; 1.75 16 65; 2.5 16 70; 3 16 75; 3.75 16 65; 4.5 16 70")
    + part("Chord-Keys", 5, 5, "mp", "2.5 8 80; 4.5 8 70")
)
HIPHOP_VIBES = (
    part("Bass-Own", 32, 2, "f", "1 4 1 100; 2.5 8 5 85; 3.75 8 1 85", "1 4 1 100; 3 8 3 85; 3.5 8 5 85")
    + part("Chord-Keys", 11, 5, "mf", "1 4 80; 2.75 8 70", "1 4 80; 3.5 4 75")
    + part("Chord-Pad", 50, 5, "pp", "1 1 70")
)


# Metal: root and fifth on two distorted guitars an octave apart, bass along with them.
def _power_chords(rhythm: str, length: str) -> str:
    fifths = "; ".join(f"{start} {length} 1 100; {start} {length} 5 95" for start in rhythm.split())
    roots = "; ".join(f"{start} {length} 1 100" for start in rhythm.split())
    return (
        part("Bass-Rhythm", 30, 4, "f", fifths)
        + part("Bass-Rhythm2", 29, 3, "f", fifths)
        + part("Bass-Own", 34, 2, "f", roots)
    )


METAL_CHUG = _power_chords("1 1.5 2 2.5 3 3.5 4 4.5", "16")
METAL_GALLOP = _power_chords("1 1.5 1.75 2 2.5 2.75 3 3.5 3.75 4 4.5 4.75", "16")
METAL_SUSTAINED = _power_chords("1 3 4.5", "4") + part("Chord-Wall", 30, 5, "mp", "1 1 80")


# Disco: bass in octaves, open strings high above, short guitar chords in sixteenths.
def _octave_bass(program: int) -> str:
    low = "; ".join(f"{beat} 8 1 95; {beat}.5 8 1+ 85" for beat in (1, 2, 3, 4))
    return part("Bass-Own", program, 2, "f", low)


DISCO_STRINGS = (
    _octave_bass(33)
    + part("Chord-Strings", 48, 6, "mf", "1 1 85")
    + part("Chord-Guitar", 27, 5, "mf", spread("1.5 1.75 2.5 3.5 3.75 4.5", "32", 85))
)
DISCO_SYNTH = (
    _octave_bass(38)
    + part("Chord-Strings", 50, 6, "mf", "1 1 80")
    + part("Chord-Brass", 61, 5, "mf", "1 8 90; 2.5 8 80", "4 8 85; 4.5 8 90")
    + part("Chord-Guitar", 28, 5, "mp", spread("1.5 2.5 3.5 4.5", "32", 85))
)
DISCO_PIANO = (
    _octave_bass(36)
    + part("Chord-Strings", 49, 6, "mp", "1 1 80")
    + part("Chord-Piano", 0, 5, "mf", spread("1 1.75 2.5 3.5 4", "16", 85))
)

# Classical: no drums at all.
CLASSICAL_QUARTET = (
    part("Bass-Cello", 42, 3, "f", "1 2 1 85; 3 2 5 80", "1 4 1 85; 2 4 3 75; 3 2 5 80")
    + part("Arpeggio-Viola", 41, 4, "mf", spread("1 1.5 2 2.5 3 3.5 4 4.5", "8", 75))
    + part("Chord-Violins", 40, 5, "mp", "1 2 75; 3 2 70")
)
CLASSICAL_PIANO = (
    part("Bass-Left", 0, 3, "mf", "1 2 1 85; 3 2 5 75")
    + part("Arpeggio-Alberti", 0, 5, "mf", spread("1 1.5 2 2.5 3 3.5 4 4.5", "8", 75))
    + part("Chord-Strings", 48, 4, "p", "1 1 65")
)
CLASSICAL_WINDS = (
    part("Bass-Bassoon", 70, 3, "f", "1 4 1 85; 3 4 5 80", "1 4 1 85; 2 4 3 75; 3 4 5 80; 4 4 3 75")
    + part("Chord-Clarinet", 71, 5, "mp", "1 2 75; 3 2 70")
    + part("Arpeggio-Pizzicato", 45, 5, "f", spread("1.5 2 2.5 3.5 4 4.5", "8", 85))
)
CLASSICAL_HARP = (
    part("Bass-Low", 43, 3, "mf", "1 1 1 85")
    + part("Arpeggio-Harp", 46, 5, "f", spread("1 1.5 2 2.5 3 3.5 4 4.5", "4", 85))
    + part("Chord-Strings", 48, 5, "mp", "1 1 75")
)
