"""The ten genres as bands to draw from: for training, held out for the test, and melody instruments."""

from __future__ import annotations

from dataclasses import dataclass

from data.corpus import bands
from data.corpus.bands import Band


@dataclass(frozen=True)
class GenreStyle:
    """What makes a genre in this corpus.

    Attributes:
        training: bands of every split but "test_groove".
        held_out: bands of the "test_groove" split, never heard in training.
        melody_programs: General MIDI programs (0 to 127) the melody may be played on.
        drums_level, melody_level: loudness in dB against the harmony (bass, chords, pads).
    """

    training: tuple[Band, ...]
    held_out: tuple[Band, ...]
    melody_programs: tuple[int, ...]
    drums_level: float
    melody_level: float


# Some bands of casio give an inner part to a loud lead synthesizer that would bury all others; below it is
# exchanged.

STYLES: dict[str, GenreStyle] = {
    "blues": GenreStyle(
        bands.grooves(
            "stdlib/slowblues:SlowBlues",
            "stdlib/fastblues:FastBluesWalk",
            "casio/blues:Blues",
            "stdlib/shuffleboggie:ShuffleBoggie",
            "casio/shuffleboogie:ShuffleBoogie",
        ),
        bands.grooves("stdlib/blues128:Blues128"),
        (22, 26, 29, 66, 0),  # harmonica, jazz and overdriven guitar, tenor saxophone, piano
        drums_level=-4.0,
        melody_level=1.0,
    ),
    "classical": GenreStyle(
        (
            *bands.grooves(
                "stdlib/hymn:Hymn", "stdlib/arpeggio44:Arpeggio8Sus", "stdlib/stringballad:StringBallad"
            ),
            Band("stdlib/none:None", "quartet", bands.CLASSICAL_QUARTET),
            Band("stdlib/none:None", "piano", bands.CLASSICAL_PIANO),
            Band("stdlib/none:None", "winds", bands.CLASSICAL_WINDS),
        ),
        (Band("stdlib/none:None", "harp", bands.CLASSICAL_HARP),),
        (40, 73, 68, 71, 0, 48),  # violin, flute, oboe, clarinet, piano, strings
        drums_level=0.0,
        melody_level=1.0,
    ),
    "country": GenreStyle(
        bands.grooves(
            "stdlib/bluegrass:BlueGrass",
            "stdlib/countryswing:CountrySwing",
            "stdlib/slowcountry:SlowCountry",
            "stdlib/westernswing:WesternSwing",
            "stdlib/hillcountry:HillCountry",
            "yamaha/western:WesternMainA",
        ),
        bands.grooves("stdlib/bluefolk:BlueFolk"),
        (25, 110, 105, 22),  # steel guitar, fiddle, banjo, harmonica
        drums_level=-5.0,
        melody_level=1.0,
    ),
    "disco": GenreStyle(
        (
            *bands.grooves("casio/discosoul:DiscoSoul", "stdlib/boneym:BoneyMSus"),
            Band("casio/dancepop2:DancePop2", "guitar", "Bass-7 Voice CleanGuitar\n"),
            Band("zoom/dance:DANC01", "strings", bands.DISCO_STRINGS),
            Band("zoom/dance:DANC03", "synth", bands.DISCO_SYNTH),
        ),
        (Band("zoom/dance:DANC05", "piano", bands.DISCO_PIANO),),
        (48, 61, 81, 62, 27),  # strings, brass, saw lead, synth brass, clean guitar
        drums_level=0.0,
        melody_level=-1.0,
    ),
    "hiphop": GenreStyle(
        (
            *bands.grooves("casio/hip-hop:Hip-Hop", "alexis/hiphop:HipHop"),
            Band("zoom/hiphop:HIP03", "stabs", bands.HIPHOP_STABS),
            Band("zoom/hiphop:HIP09", "low_piano", bands.HIPHOP_LOW_PIANO),
            Band("zoom/hiphop:HIP21", "synth", bands.HIPHOP_SYNTH),
        ),
        (Band("zoom/hiphop:HIP17", "vibes", bands.HIPHOP_VIBES),),
        (80, 81, 4, 11, 87),  # square and saw lead, electric piano, vibraphone, bass-and-lead
        drums_level=3.0,
        melody_level=-4.0,
    ),
    "jazz": GenreStyle(
        bands.grooves(
            "stdlib/swing:SwingWalk",
            "stdlib/jazzcombo:JazzCombo",
            "casio/jazzcombo:JazzCombo",
            "yamaha/jazztrio:JazzTrioMainA",
            "casio/middlebigband:MiddleBigBand",
            "stdlib/bebop:Bebop",
        ),
        bands.grooves("stdlib/mellowjazz:MellowJazz"),
        (66, 65, 56, 59, 0, 11),  # tenor and alto saxophone, trumpet, muted trumpet, piano, vibraphone
        drums_level=-4.0,
        melody_level=2.0,
    ),
    "metal": GenreStyle(
        (
            Band("casio/heavymetal:HeavyMetal"),
            Band("pflib/metal1:metal1A", "no_piano", bands.NO_PIANO),
            Band("pflib/metal1:metal1B", "no_piano", bands.NO_PIANO),
            Band("zoom/mtl:MTL03", "chug", bands.METAL_CHUG),
            Band("zoom/thr:THRS01", "gallop", bands.METAL_GALLOP),
        ),
        (Band("zoom/mtl:MTL02", "sustained", bands.METAL_SUSTAINED),),
        (30, 29),  # distorted and overdriven guitar
        drums_level=0.0,
        melody_level=-2.0,
    ),
    "pop": GenreStyle(
        (
            *bands.grooves(
                "casio/pop:Pop",
                "casio/8beatpop1:8BeatPop1",
                "casio/popballad:PopBallad",
                "casio/soulpop:SoulPop",
            ),
            Band("casio/80spop:80sPop", "strings", "Chord-6 Voice SynthStrings1\nChord-7 Voice EPiano\n"),
            Band("casio/electricpop:ElectricPop", "keys", "Bass-7 Voice EPiano\n"),
        ),
        bands.grooves("casio/worldpop:WorldPop"),
        (0, 53, 5, 85, 25),  # piano, voice, electric piano, voice lead, steel guitar
        drums_level=-3.0,
        melody_level=1.0,
    ),
    "reggae": GenreStyle(
        (
            Band("zoom/reggae:REGG01", "one_drop", bands.REGGAE_ONE_DROP),
            Band("zoom/reggae:REGG02", "steppers", bands.REGGAE_STEPPERS),
            Band("zoom/reggae:REGG03", "swung", bands.REGGAE_SWUNG),
            Band("zoom/ska:SKA02", "rockers", bands.REGGAE_ROCKERS),
            Band("stdlib/ska:Ska"),
        ),
        (Band("zoom/reggae:REGG04", "swung_piano", bands.REGGAE_SWUNG_PIANO),),
        (57, 16, 22, 66, 27),  # trombone, organ, melodica-like harmonica, tenor saxophone, clean guitar
        drums_level=-1.0,
        melody_level=0.0,
    ),
    "rock": GenreStyle(
        (
            *bands.grooves(
                "casio/rock1:Rock1",
                "casio/rock2:Rock2",
                "stdlib/basicrock:BasicRock",
                "casio/poprock1:PopRock1",
            ),
            Band("pflib/rock1:rock1A", "no_piano", bands.NO_PIANO),
        ),
        (Band("pflib/highfive:highfiveA", "no_piano", bands.NO_PIANO),),
        (29, 27, 18, 30),  # overdriven and clean guitar, rock organ, distorted guitar
        drums_level=-1.0,
        melody_level=-1.0,
    ),
}
