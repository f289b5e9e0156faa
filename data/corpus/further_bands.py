"""Bands of the further songs, which are heard in training alone: a style is more than five or six bands.

They were chosen by what they are called, before anything was trained with them. No band or drum pattern that is held
out for the test is among them, and no harp, no vibraphone in hip-hop and no piano chords in reggae, which mark those.
"""

from __future__ import annotations

from data.corpus.bands import NO_PIANO, Band, grooves, part, spread


def _bass(program: int, octave: int, *bars: str) -> str:
    """A bass line; each bar has notes as "beat:degree:length"."""
    lines = []
    for bar in bars:
        notes = (note.split(":") for note in bar.split())
        lines.append("; ".join(f"{start} {length} {degree} 92" for start, degree, length in notes))
    return part("Bass-Own", program, octave, "f", *lines)


def _power(program: int, rhythm: str, length: str) -> str:
    """Guitar in roots and fifths with a bass along with it."""
    fifths = "; ".join(f"{start} {length} 1 98; {start} {length} 5 92" for start in rhythm.split())
    roots = "; ".join(f"{start} {length} 1 98" for start in rhythm.split())
    return part("Bass-Rhythm", program, 4, "f", fifths) + part("Bass-Own", 34, 2, "f", roots)


_WALK = _bass(32, 3, "1:1:4 2:3:4 3:5:4 4:6:4", "1:1:4 2:5:4 3:3:4 4:5:4")
_SHUFFLE = _bass(33, 3, "1:1:4 1.67:1:8 2:3:4 3:5:4 3.67:5:8 4:6:4")
_TWO_BEAT = _bass(32, 3, "1:1:4 3:5:4")
_EIGHTHS = _bass(33, 3, "1:1:8 1.5:1:8 2:1:8 2.5:1:8 3:1:8 3.5:1:8 4:5:8 4.5:5:8")
_OCTAVES = _bass(33, 2, "1:1:8 1.5:1+:8 2:1:8 2.5:1+:8 3:1:8 3.5:1+:8 4:1:8 4.5:1+:8")
_SYNTH_OCTAVES = _bass(39, 2, "1:1:16 1.5:1+:16 2:1:16 2.5:1+:16 3:5:16 3.5:5+:16 4:1:16 4.5:1+:16")
_FUNKY = _bass(36, 2, "1:1:8 1.75:1:16 2.5:5:8 3:1:8 3.75:3:16 4.5:5:8")
_LOW = _bass(38, 2, "1:1:4. 2.75:1:8 3.5:5:8", "1:1:4 3:1:8 4.5:3:8")
_SPARSE = _bass(32, 2, "1:1:2 4:5:8", "1:1:4. 3.5:1:4")
_DUB = _bass(33, 3, "1:1:4 2.5:5:8 3:3:8 3.5:1:4", "1.5:1:8 2:5:8 3:1:4 4:3:8")
_SKIP = _bass(38, 3, "1.5:1:8 2.5:3:8 3:5:4 4.5:1:8")
_QUARTERS = "1:1:4 2:1:4 3:5:4 4:3:4"

_SKANK = part("Chord-Skank", 28, 5, "f", spread("2 4", "16", 95))
_FAST_SKANK = part("Chord-Skank", 27, 5, "f", spread("1.5 2.5 3.5 4.5", "16", 95))
_DOUBLE_SKANK = part("Chord-Skank", 26, 5, "f", spread("2 2.25 4 4.25", "32", 95))
_BUBBLE = part("Chord-Bubble", 16, 4, "mp", spread("1.5 1.75 2.5 2.75 3.5 3.75 4.5 4.75", "16", 72))
_HORNS = part("Chord-Horns", 61, 5, "mf", "4 8 85; 4.5 8 90", "1 8 90")

_BOOM_CHICK = part("Chord-Strum", 25, 5, "mf", spread("2 4", "8", 90))
_ROLL = part(
    "Arpeggio-Roll", 105, 5, "mf", spread("1 1.25 1.5 1.75 2 2.25 2.5 2.75 3 3.25 3.5 3.75 4 4.25 4.5 4.75", "16", 80)
)
_FIDDLES = part("Chord-Fiddles", 110, 5, "mp", spread("1 3", "2", 75))
_PICKING = part("Arpeggio-Picking", 25, 4, "mf", spread("1 1.5 2 2.5 3 3.5 4 4.5", "8", 80))


def _drums(groove: str, added: str, *tracks: str) -> Band:
    return Band(f"zoom/{groove}", added, "".join(tracks))


FURTHER_BANDS: dict[str, tuple[Band, ...]] = {
    "blues": (
        *grooves("stdlib/blues:Blues", "stdlib/countryblues:CountryBluesWalk", "stdlib/boggiewoggie:BoggieWoggie"),
        *grooves("stdlib/countryblues:CountryBlues1", "stdlib/blues:BluesTriple"),
        _drums("blues:BLUS01", "organ", _WALK, part("Chord-Organ", 17, 5, "mf", spread("1 2.67", "8"))),
        _drums("blues:BLUS03", "guitar", _SHUFFLE, part("Chord-Guitar", 26, 5, "mf", spread("2 3.67 4", "16", 90))),
        _drums("shuffle:SHFL02", "piano", _SHUFFLE, part("Chord-Piano", 0, 5, "mf", spread("1 1.67 3 3.67", "8"))),
    ),
    "classical": (
        Band(
            "stdlib/none:None",
            "strings",
            part("Chord-Strings", 48, 5, "f", spread("1 3", "2")) + _bass(43, 3, _QUARTERS),
        ),
        Band(
            "stdlib/none:None",
            "harpsichord",
            part("Bass-Left", 6, 3, "f", "1 4 1 85; 2 4 3 75; 3 4 5 80; 4 4 3 75")
            + part("Arpeggio-Right", 6, 5, "f", spread("1 1.25 1.5 1.75 2 2.5 3 3.25 3.5 3.75 4 4.5", "16")),
        ),
        Band(
            "stdlib/none:None",
            "organ",
            part("Bass-Pedal", 19, 3, "mf", "1 1 1 80") + part("Chord-Organ", 19, 5, "mf", spread("1 2 3 4", "4", 75)),
        ),
        Band(
            "stdlib/none:None",
            "brass",
            part("Bass-Tuba", 58, 3, "mf", "1 2 1 85; 3 2 5 80")
            + part("Chord-Horns", 60, 4, "mf", spread("1 3", "2"))
            + part("Chord-Trumpets", 56, 5, "p", spread("1", "1", 70)),
        ),
        Band(
            "stdlib/none:None",
            "guitar",
            part("Bass-Thumb", 24, 3, "f", "1 2 1 85; 3 2 5 80")
            + part("Arpeggio-Fingers", 24, 5, "mf", spread("1.5 2 2.5 3.5 4 4.5", "8", 80)),
        ),
        Band(
            "stdlib/none:None",
            "pizzicato",
            part("Bass-Low", 45, 3, "f", "1 4 1 90; 2 4 5 80; 3 4 3 85; 4 4 5 80")
            + part("Chord-Plucked", 45, 5, "f", spread("1.5 2.5 3.5 4.5", "8"))
            + part("Chord-Flutes", 73, 5, "mp", spread("1", "1", 70)),
        ),
        *grooves("stdlib/arpeggio44:Arpeggio48Sus", "stdlib/hymn:HymnRootWalk"),
    ),
    "country": (
        _drums("country:CNTR01", "banjo", _TWO_BEAT, _BOOM_CHICK, _ROLL),
        _drums("country:CNTR02", "fiddles", _TWO_BEAT, _BOOM_CHICK, _FIDDLES),
        _drums("country:CNTR03", "picking", _EIGHTHS, _PICKING, part("Chord-Steel", 26, 5, "mp", spread("1", "1", 75))),
        _drums(
            "country:CNTR04", "piano", _TWO_BEAT, _PICKING, part("Chord-Piano", 3, 5, "mf", spread("2 2.5 4 4.5", "16"))
        ),
        _drums(
            "cntry:CNTRY",
            "harmonica",
            _TWO_BEAT,
            _BOOM_CHICK,
            part("Chord-Harmonica", 22, 5, "mp", spread("1 3", "2", 75)),
        ),
        *grooves(
            "yamaha/jazzcountry:JazzCountryMainA", "yamaha/western:WesternMainB", "stdlib/bluegrass:BlueGrassBottle"
        ),
    ),
    "disco": (
        _drums(
            "dance:DANC02",
            "violins",
            _OCTAVES,
            part("Chord-Strings", 48, 6, "f", spread("1 2.5", "4", 90)),
            part("Chord-Guitar", 28, 5, "mp", spread("1.75 2.75 3.75 4.75", "32")),
        ),
        _drums(
            "dance:DANC04",
            "electric_piano",
            _FUNKY,
            part("Chord-Keys", 4, 5, "mf", spread("1 2.5 4", "8")),
            part("Chord-Strings", 48, 6, "mp", spread("1", "1", 80)),
        ),
        _drums(
            "dance:DANC06", "brass", _SYNTH_OCTAVES, _HORNS, part("Chord-Strings", 51, 6, "mp", spread("1", "1", 80))
        ),
        _drums(
            "dance:DANCE",
            "clavinet",
            _OCTAVES,
            part("Chord-Clavinet", 7, 5, "mf", spread("1 1.75 2.25 3 3.75 4.25", "32", 90)),
            part("Chord-Strings", 49, 6, "mp", spread("1", "1", 78)),
        ),
        _drums(
            "house:HOUS01",
            "strings",
            _OCTAVES,
            part("Chord-Strings", 50, 6, "mf", spread("1 3", "2")),
            part("Chord-Guitar", 27, 5, "mf", spread("1.5 2.5 3.5 4.5", "32", 90)),
        ),
        *grooves("casio/dancepop1:DancePop1", "casio/8beatdance:8BeatDance"),
        _drums(
            "funk:FUNK04",
            "strings",
            _FUNKY,
            part("Chord-Strings", 48, 6, "mf", spread("1", "1")),
            part("Chord-Guitar", 28, 5, "mf", spread("1.25 1.75 2.5 3.25 3.75 4.5", "32", 88)),
        ),
    ),
    "hiphop": (
        _drums("hiphop:HIP01", "electric_piano", _LOW, part("Chord-Keys", 4, 5, "mf", "1 4 80; 3.5 8 75")),
        _drums(
            "hiphop:HIP05",
            "pad",
            _SPARSE,
            part("Chord-Pad", 88, 5, "mp", "1 1 75"),
            part("Chord-Keys", 0, 5, "mp", "2.5 8 80"),
        ),
        _drums(
            "hiphop:HIP07",
            "pizzicato",
            _LOW,
            part("Arpeggio-Plucked", 45, 5, "mf", spread("1 1.75 2.5 3 3.75 4.5", "16")),
        ),
        _drums(
            "hiphop:HIP11",
            "guitar",
            _SPARSE,
            part("Arpeggio-Guitar", 27, 5, "mp", spread("1 1.5 2.5 3 3.5 4.5", "8", 78)),
        ),
        _drums(
            "hiphop:HIP13", "organ", _LOW, part("Chord-Organ", 18, 5, "mp", "1 8 85; 2.75 8 80", "1 8 85; 3.5 8 80")
        ),
        _drums(
            "hiphop:HIP15",
            "brass",
            _bass(39, 2, "1:1:8 2.5:1:8 3.75:5:8"),
            part("Chord-Brass", 62, 5, "mf", "1 8 90", "1 8 90; 4.5 8 85"),
        ),
        _drums(
            "hiphop:HIP19",
            "bells",
            _SPARSE,
            part("Arpeggio-Bells", 14, 5, "mp", spread("1 2.5 4", "8", 75)),
            part("Chord-Pad", 89, 5, "p", "1 1 70"),
        ),
        _drums(
            "hiphop:HIP23", "saw", _bass(81, 2, "1:1:8 1.5:1:8 3.5:1:8"), part("Chord-Strings", 50, 5, "p", "1 1 75")
        ),
    ),
    "jazz": (
        *grooves("stdlib/fastswing:FastSwingWalk", "stdlib/modernjazz:ModernJazz", "stdlib/jazzguitar:JazzGuitarWalk"),
        *grooves("stdlib/bigband:BigBand", "yamaha/jazzbasie:JazzBasieA", "yamaha/jazzswing:JazzSwingMainA"),
        *grooves("casio/modernjazz:ModernJazz", "stdlib/easyswing:EasySwingWalk"),
    ),
    "metal": (
        _drums(
            "mtl:MTL01",
            "driving",
            _power(30, "1 1.75 2.5 3 3.5 4.25", "16"),
            part("Chord-Wall", 29, 5, "mp", spread("1", "1")),
        ),
        _drums("mtl:MTL04", "triplets", _power(30, "1 1.33 1.67 2 3 3.33 3.67 4", "16")),
        _drums(
            "thr:THRS02", "fast", _power(30, "1 1.25 1.5 1.75 2 2.25 2.5 2.75 3 3.25 3.5 3.75 4 4.25 4.5 4.75", "32")
        ),
        _drums(
            "hrk:HRK01",
            "syncopated",
            _power(30, "1 1.5 2.5 3.5 4", "8"),
            part("Chord-Wall", 30, 4, "p", spread("1 3", "2")),
        ),
        _drums(
            "hrk:HRK05",
            "octaves",
            _power(29, "1 1.5 2 3 3.5 4", "8"),
            part("Bass-Octave", 30, 5, "mf", "1 8 1 95; 2.5 8 1 90; 4 8 5 90"),
        ),
        Band("pflib/metal2:metal2A", "no_piano", NO_PIANO),
        Band("pflib/metal2:metal2B", "no_piano", NO_PIANO),
    ),
    "pop": (
        *grooves(
            "casio/8beatpop2:8BeatPop2",
            "casio/8beatpop3:8BeatPop3",
            "casio/60spop:60sPop",
            "casio/popshuffle1:PopShuffle1",
        ),
        *grooves("stdlib/popballad:PopBallad", "casio/8beat2:8Beat2"),
        _drums(
            "pop:POP03",
            "piano",
            _EIGHTHS,
            part("Chord-Piano", 0, 5, "mf", spread("1 2 3 4", "4")),
            part("Chord-Pad", 89, 5, "p", spread("1", "1", 75)),
        ),
        _drums(
            "pop:POP07",
            "guitar",
            _EIGHTHS,
            part("Chord-Strum", 25, 5, "mf", spread("1 2 2.5 3.5 4", "8")),
            part("Chord-Voices", 52, 5, "p", spread("1", "1", 75)),
        ),
    ),
    "reggae": (
        _drums("ska:SKA01", "horns", _bass(33, 3, _QUARTERS), _FAST_SKANK, _HORNS),
        _drums("ska:SKA03", "organ", _DUB, _FAST_SKANK, _BUBBLE),
        _drums("ska:SKA04", "guitar", _SKIP, _SKANK, _BUBBLE),
        _drums("reggae:REGG01", "double_skank", _DUB, _DOUBLE_SKANK, _BUBBLE),
        _drums("reggae:REGG02", "horns", _SKIP, _SKANK, _HORNS),
        _drums(
            "reggae:REGG03",
            "clavinet",
            _bass(32, 3, "1:1:4 2.67:5:8 3:3:4 4:5:4"),
            _SKANK,
            part("Chord-Clavinet", 7, 4, "mp", spread("1.67 2.67 3.67 4.67", "16", 75)),
        ),
        _drums(
            "reggae:REGG01",
            "synth_bass",
            _bass(39, 2, "1:1:4 2.5:1:8 3:5:4", "1:1:4. 3.5:3:8 4:5:4"),
            _SKANK,
            part("Chord-Keys", 4, 5, "mp", spread("2 4", "16")),
        ),
    ),
    "rock": (
        *grooves(
            "casio/poprock2:PopRock2",
            "casio/shufflerock:ShuffleRock",
            "stdlib/bubblerock:BubbleRock",
            "stdlib/softrock:SoftRock",
        ),
        _drums(
            "rock:ROCK03",
            "crunch",
            _power(29, "1 1.5 2.5 3 4", "8"),
            part("Chord-Guitar", 27, 5, "mp", spread("1 2 3 4", "4")),
        ),
        _drums(
            "rock:ROCK09",
            "organ",
            _EIGHTHS,
            part("Chord-Guitar", 29, 4, "mf", spread("1 2.5 3", "4")),
            part("Chord-Organ", 18, 5, "mp", spread("1", "1")),
        ),
        _drums(
            "rock:ROCK14",
            "two_guitars",
            _EIGHTHS,
            part("Chord-Guitar", 29, 5, "mf", spread("2 4", "8", 90)),
            part("Arpeggio-Guitar", 27, 5, "mf", spread("1 1.5 2 2.5 3 3.5 4 4.5", "8", 78)),
        ),
        Band("pflib/rock1:rock1B", "no_piano", NO_PIANO),
    ),
}
"""Genre to bands."""
