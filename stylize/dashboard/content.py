"""What a dashboard of a trial shows: one row for each song and system, with sounds, pictures, measures and ratings."""

from __future__ import annotations

import hashlib
import math
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from stylize.evaluate.metrics.statistics import wilson_interval
from stylize.listening.methods import PAIRED
from stylize.listening.ratings import Preference
from stylize.listening.results import Results
from stylize.listening.statistics import Difference, PairedResult, summarize
from stylize.listening.trial import ORIGINAL, REFERENCE_EXAMPLE, STYLE, Song, Stimulus, Trial, audio_file

if TYPE_CHECKING:
    from stylize.evaluate.metrics.similarity import Sound, StyleClassifier

Say = Callable[[str], None]

MEASURES = {
    "style similarity": "cosine of a genre classifier's embeddings of the result and the example of the style",
    "chroma": "harmony kept: cosine of chroma with the song",
    "onsets": "rhythm kept: correlation of onset strengths with the song",
    "timbre distance": "of MFCC statistics to the example of the style; smaller is nearer",
}
MEDIA_FOLDER = "media"
MEL_RANGE = (-4.0, 1.0)
"""Colours of all mel pictures, log10 magnitudes: pictures can be compared."""


@dataclass(frozen=True)
class Clip:
    """A sound of the trial as files in the dashboard's folder.

    Args:
        audio: path relative to the folder.
        mel: picture of its mel spectrogram, the same.
    """

    audio: str
    mel: str


@dataclass(frozen=True)
class Opinion:
    """What listeners said.

    Args:
        mean: of the ratings; of paired comparisons how often the system was chosen, in percent.
        low: lower end of the 95 % interval; None where there is none.
        high: its upper end.
        count: ratings or choices.
        listeners: who gave them.
    """

    mean: float
    low: float | None
    high: float | None
    count: int
    listeners: int


@dataclass(frozen=True)
class SongClips:
    """A song with what is played beside the systems.

    Args:
        name: of the song.
        style: that it is to take; may be empty.
        start: of the excerpt in the recording, seconds.
        seconds: length of the excerpt.
        loudness: of all its sounds, LUFS (BS.1770).
        role: what the original is: `original`, or `reference` in a MUSHRA test.
        original: the song itself, or the reference.
        example: of the style, where there is one.
    """

    name: str
    style: str
    start: float
    seconds: float
    loudness: float
    role: str
    original: Clip
    example: Clip | None


@dataclass(frozen=True)
class Row:
    """A song by a system.

    Args:
        song: name.
        system: name.
        output: the sound.
        measures: some or all of `MEASURES`.
        opinions: by question; empty without answers.
    """

    song: str
    system: str
    output: Clip
    measures: Mapping[str, float]
    opinions: Mapping[str, Opinion]


@dataclass(frozen=True)
class Content:
    """All that a dashboard shows.

    Args:
        trial: the test.
        listeners: how many answered anything.
        left_out: how many of them post-screening left out.
        songs: in the order of the trial.
        rows: by song, then by system, in the order of the trial.
        totals: opinions of each system over all songs, by system and question.
        differences: of ratings between every two systems.
        pairs: of paired comparisons.
        caution: why no difference could be significant; None where some could.
        models: what is known of the models that made the sounds, by SHA-256 of the weights.
        plots: of the results, paths relative to the folder.
    """

    trial: Trial
    listeners: int
    left_out: int
    songs: tuple[SongClips, ...]
    rows: tuple[Row, ...]
    totals: Mapping[str, Mapping[str, Opinion]]
    differences: tuple[Difference, ...]
    pairs: tuple[PairedResult, ...]
    caution: str | None
    models: Mapping[str, Mapping[str, Any]]
    plots: tuple[str, ...]

    def mean_measures(self, system: str) -> dict[str, float]:
        """Means of a system's measures over the songs that have them."""
        found: dict[str, list[float]] = {}
        for row in self.rows:
            if row.system == system:
                for name, value in row.measures.items():
                    found.setdefault(name, []).append(value)
        return {name: fmean(values) for name, values in found.items()}


@dataclass
class _Shelf:
    """Copies sounds into a folder, the same sound once, and draws their mels."""

    folder: Path
    clips: dict[str, Clip] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def put(self, source: Path, name: str, sound: Sound) -> Clip:
        """The clip of a file; an identical one that lies there already is used again."""
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        if digest not in self.clips:
            stem = re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip(".")[:100] or "sound"
            # Names of songs may differ in characters that file names do without.
            stem = f"{stem}.{digest[:8]}" if stem.lower() in self.names else stem
            self.names.add(stem.lower())
            clip = Clip(f"{MEDIA_FOLDER}/{stem}.wav", f"{MEDIA_FOLDER}/{stem}.png")
            shutil.copyfile(source, self.folder / clip.audio)
            save_mel(sound, self.folder / clip.mel)
            self.clips[digest] = clip
        return self.clips[digest]


def collect(
    trial: Trial,
    folder: Path,
    results: Results | None,
    output: Path,
    classifier: StyleClassifier,
    say: Say = lambda text: None,
) -> Content:
    """Measure all sounds of a trial and put them into a folder.

    Args:
        trial: read from `folder`.
        folder: of the trial.
        results: of its answers, where there are some.
        output: an existing folder; sounds, pictures and plots are written there.
        classifier: of styles.
        say: called with a line for each song.

    Raises:
        UserError: sounds that cannot be read, a full disk.
    """
    from stylize.dashboard.models import describe_models
    from stylize.listening.plots import save_plots

    (output / MEDIA_FOLDER).mkdir()
    shelf, songs, rows = _Shelf(output), [], []
    for song in trial.songs:
        say(f"{song.name}: measures and pictures")
        beside, found = _collect_song(trial, folder, song, results, shelf, classifier)
        songs.append(beside)
        rows += found
    plots = [] if results is None else save_plots(results, output / MEDIA_FOLDER)
    return Content(
        trial=trial,
        listeners=0 if results is None else results.listeners,
        left_out=0 if results is None else len(results.screened),
        songs=tuple(songs),
        rows=tuple(rows),
        totals={} if results is None else opinions_of(results),
        differences=() if results is None else results.differences,
        pairs=() if results is None else results.pairs,
        caution=None if results is None else results.caution,
        models=describe_models(trial),
        plots=tuple(f"{MEDIA_FOLDER}/{path.name}" for path in plots),
    )


def _collect_song(
    trial: Trial, folder: Path, song: Song, results: Results | None, shelf: _Shelf, classifier: StyleClassifier
) -> tuple[SongClips, list[Row]]:
    """What is played beside a song's systems, and their rows."""
    from stylize.evaluate.metrics.similarity import Sound

    stimuli = [stimulus for stimulus in trial.stimuli if stimulus.song == song.name]
    sounds = {stimulus.id: Sound.read(audio_file(folder, stimulus.id)) for stimulus in stimuli}
    # Those beside come first, and give their names to copies.
    clips = {
        stimulus.id: shelf.put(audio_file(folder, stimulus.id), f"{song.name}.{stimulus.system}", sounds[stimulus.id])
        for stimulus in sorted(stimuli, key=lambda each: each.rated)
    }
    beside = {stimulus.system: stimulus.id for stimulus in stimuli if not stimulus.rated}
    role = ORIGINAL if ORIGINAL in beside else REFERENCE_EXAMPLE
    original, example = beside[role], beside.get(STYLE)
    opinions = {} if results is None else opinions_of(results, song.name)
    rows = [
        Row(
            song.name,
            stimulus.system,
            clips[stimulus.id],
            measure(sounds[stimulus.id], sounds[original], None if example is None else sounds[example], classifier),
            opinions.get(stimulus.system, {}),
        )
        for stimulus in _in_order(trial, stimuli)
    ]
    example_clip = None if example is None else clips[example]
    shown = SongClips(
        song.name, song.style, song.start, song.seconds, song.loudness, role, clips[original], example_clip
    )
    return shown, rows


def _in_order(trial: Trial, stimuli: Iterable[Stimulus]) -> list[Stimulus]:
    """The rated stimuli in the order of the trial's systems."""
    place = {system.name: index for index, system in enumerate(trial.systems)}
    return sorted((each for each in stimuli if each.rated), key=lambda each: place[each.system])


def measure(output: Sound, original: Sound, example: Sound | None, classifier: StyleClassifier) -> dict[str, float]:
    """`MEASURES` of a result; those that need an example of the style are left out where there is none."""
    from stylize.evaluate.metrics.similarity import harmony_similarity, rhythm_similarity, timbre_distance

    measures = {}
    if example is not None:
        measures["style similarity"] = classifier.style_similarity(output, example)
    measures["chroma"] = harmony_similarity(output, original)
    measures["onsets"] = rhythm_similarity(output, original)
    if example is not None:
        measures["timbre distance"] = timbre_distance(output, example)
    # JSON has no NaN: a page with one could not be read.
    return {name: value for name, value in measures.items() if math.isfinite(value)}


def opinions_of(results: Results, song: str | None = None) -> dict[str, dict[str, Opinion]]:
    """Opinions by system and question, of one song or of all.

    Intervals of ratings come from a bootstrap over listeners, as in the results of the trial; shares of choices have
    Wilson's, for as many draws as there are listeners, since choices of one are not independent.
    """
    found: dict[str, dict[str, Opinion]] = {}
    if results.trial.method == PAIRED:
        chosen = [row for row in results.preferences if song in (None, row.song)]
        for name, question in {(system, row.question) for row in chosen for system in (row.preferred, row.other)}:
            rows = [row for row in chosen if row.question == question and name in (row.preferred, row.other)]
            found.setdefault(name, {})[question] = _share(rows, name)
        return found
    for row in summarize([rating for rating in results.ratings if song in (None, rating.song)]):
        opinion = Opinion(row.mean, row.low, row.high, row.ratings, row.listeners)
        found.setdefault(row.system, {})[row.question] = opinion
    return found


def _share(rows: Sequence[Preference], system: str) -> Opinion:
    """How often a system was chosen where it could be, %."""
    share = sum(row.preferred == system for row in rows) / len(rows)
    listeners = len({row.listener for row in rows})
    low, high = wilson_interval(share, listeners)
    return Opinion(100 * share, 100 * low, 100 * high, len(rows), listeners)


def save_mel(sound: Sound, path: Path) -> None:
    """Draw the mel spectrogram of a sound without axes, low bands at the bottom; one pixel is a frame of a band."""
    import torch
    from matplotlib.image import imsave

    from data.mel import LogMel, MelConfig

    config = MelConfig()
    with torch.inference_mode():
        mel = LogMel(config)(torch.from_numpy(np.ascontiguousarray(sound.at(config.sample_rate)))[None])[0].numpy()
    imsave(path, mel, vmin=MEL_RANGE[0], vmax=MEL_RANGE[1], cmap="magma", origin="lower")
