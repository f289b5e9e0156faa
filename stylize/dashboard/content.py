"""What a dashboard of a trial shows: one row for each song and system, with sounds, pictures, measures and ratings."""

from __future__ import annotations

import hashlib
import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from matplotlib.image import imsave

from stylize.evaluate.metrics.similarity import (
    Sound,
    StyleClassifier,
    harmony_similarity,
    rhythm_similarity,
    timbre_distance,
)
from stylize.evaluate.metrics.statistics import wilson_interval
from stylize.listening.methods import PAIRED
from stylize.listening.plots import save_plots
from stylize.listening.results import Results
from stylize.listening.statistics import Preference, summarize
from stylize.listening.trial import ORIGINAL, REFERENCE_EXAMPLE, STYLE, Song, Trial, audio_file
from stylize.models import hash_weights
from stylize_core.mel import LogMel, MelConfig
from stylize_core.plain import read_json
from training.run_folder import CONFIG_NAME

Progress = Callable[[str], None]

MEASURES = {
    "style similarity": "cosine of a genre classifier's embeddings of the result and the example of the style",
    "chroma": "harmony kept: cosine of chroma with the song",
    "onsets": "rhythm kept: correlation of onset strengths with the song",
    "timbre distance": "of MFCC statistics to the example of the style; smaller is nearer",
}
MEDIA_FOLDER = "media"
MEL_RANGE = (-4.0, 1.0)
"""Colors of all mel pictures, log10 magnitudes: pictures can be compared."""


@dataclass(frozen=True)
class Clip:
    """A sound of the trial, and the picture of its mel spectrogram; paths relative to the dashboard's folder."""

    audio: str
    mel: str


@dataclass(frozen=True)
class Opinion:
    """Ratings or choices of the listeners."""

    mean: float  # of the ratings; of paired comparisons how often the system was chosen, in percent
    low: float | None  # end of the 95 % interval; None where there is none
    high: float | None
    count: int  # of ratings or choices
    listeners: int  # who gave them


@dataclass(frozen=True)
class SongClips:
    """A song with what is played beside the systems."""

    name: str
    style: str  # that it is to take; may be empty
    start: float  # of the excerpt in the recording, seconds
    seconds: float
    loudness: float  # of all its sounds, LUFS (BS.1770)
    role: str  # what the original is: `original`, or `reference` in a MUSHRA test
    original: Clip
    example: Clip | None  # of the style


@dataclass(frozen=True)
class Row:
    """A song by a system."""

    song: str
    system: str
    output: Clip
    measures: Mapping[str, float]  # some or all of `MEASURES`
    opinions: Mapping[str, Opinion]  # by question; empty without answers


@dataclass(frozen=True)
class Content:
    """All that a dashboard shows."""

    trial: Trial
    results: Results
    songs: tuple[SongClips, ...]
    rows: tuple[Row, ...]  # by song, then by system
    totals: Mapping[str, Mapping[str, Opinion]]  # over all songs, by system and question
    models: Mapping[str, Mapping[str, Any]]  # that made the sounds, by SHA-256 of the weights
    plots: tuple[str, ...]  # paths relative to the folder

    def mean_measures(self, system: str) -> dict[str, float]:
        """Means of a system's measures over the songs that have them."""
        found = [row.measures for row in self.rows if row.system == system]
        names = dict.fromkeys(name for measures in found for name in measures)
        return {name: fmean(measures[name] for measures in found if name in measures) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, without paths of this machine."""
        trial, results = self.trial, self.results
        return {
            "trial": {
                name: getattr(trial, name) for name in ("id", "title", "method", "created", "sample_rate", "questions")
            },
            "listeners": results.listeners,
            "left_out": len(results.screened),
            "measures": MEASURES,
            "systems": [
                {
                    "name": system.name,
                    "kind": system.kind,
                    "details": without_paths(system.details),
                    "measures": self.mean_measures(system.name),
                    "opinions": {name: asdict(each) for name, each in self.totals.get(system.name, {}).items()},
                }
                for system in trial.systems
            ],
            "songs": [asdict(song) for song in self.songs],
            "rows": [asdict(row) for row in self.rows],
            "differences": [asdict(row) for row in results.differences],
            "pairs": [asdict(row) | {"share": row.share} for row in results.pairs],
            "caution": results.caution,
            "models": self.models,
            "plots": self.plots,
        }


@dataclass
class _Media:
    """Copies sounds into a folder, the same sound once, and draws their mels."""

    folder: Path
    clips: dict[str, Clip] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def add(self, source: Path, name: str, sound: Sound) -> Clip:
        """The clip of a file; an identical one that is there already is used again."""
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
    trial: Trial, folder: Path, results: Results, output: Path, progress: Progress = lambda text: None
) -> Content:
    """Measure all sounds of a trial, and write them, their pictures and plots into the existing folder `output`."""
    (output / MEDIA_FOLDER).mkdir()
    classifier, media = StyleClassifier.from_pretrained(), _Media(output)
    songs: list[SongClips] = []
    rows: list[Row] = []
    for song in trial.songs:
        progress(f"{song.name}: measures and pictures")
        beside, found = _collect_song(trial, folder, song, results, media, classifier)
        songs.append(beside)
        rows += found
    plots = save_plots(results, output / MEDIA_FOLDER)
    return Content(
        trial,
        results,
        tuple(songs),
        tuple(rows),
        opinions_of(results),
        describe_models(trial),
        tuple(f"{MEDIA_FOLDER}/{path.name}" for path in plots),
    )


def _collect_song(
    trial: Trial, folder: Path, song: Song, results: Results, media: _Media, classifier: StyleClassifier
) -> tuple[SongClips, list[Row]]:
    """What is played beside a song's systems, and their rows."""
    # Those beside come first, and give their names to copies.
    stimuli = sorted((each for each in trial.stimuli if each.song == song.name), key=lambda each: each.rated)
    sounds = {(each.rated, each.system): Sound.read(audio_file(folder, each.id)) for each in stimuli}
    clips = {
        (each.rated, each.system): media.add(
            audio_file(folder, each.id), f"{song.name}.{each.system}", sounds[each.rated, each.system]
        )
        for each in stimuli
    }
    role = ORIGINAL if (False, ORIGINAL) in clips else REFERENCE_EXAMPLE
    original, example = (False, role), (False, STYLE)
    opinions = opinions_of(results, song.name)
    rows = [
        Row(
            song.name,
            name,
            clips[True, name],
            measure(sounds[True, name], sounds[original], sounds.get(example), classifier),
            opinions.get(name, {}),
        )
        for name in (system.name for system in trial.systems)
        if (True, name) in clips
    ]
    excerpt = song.name, song.style, song.start, song.seconds, song.loudness
    return SongClips(*excerpt, role, clips[original], clips.get(example)), rows


def measure(output: Sound, original: Sound, example: Sound | None, classifier: StyleClassifier) -> dict[str, float]:
    """`MEASURES` of a result; those that need an example of the style are left out where there is none."""
    measures = {"chroma": harmony_similarity(output, original), "onsets": rhythm_similarity(output, original)}
    if example is not None:
        measures["style similarity"] = classifier.style_similarity(output, example)
        measures["timbre distance"] = timbre_distance(output, example)
    # JSON has no NaN: a page with one could not be read.
    return {name: measures[name] for name in MEASURES if math.isfinite(measures.get(name, math.nan))}


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
    config = MelConfig()
    with torch.inference_mode():
        mel = LogMel(config)(torch.from_numpy(np.ascontiguousarray(sound.at(config.sample_rate)))[None])[0].numpy()
    imsave(path, mel, vmin=MEL_RANGE[0], vmax=MEL_RANGE[1], cmap="magma", origin="lower")


def describe_models(trial: Trial) -> dict[str, dict[str, Any]]:
    """What is known of each model of a trial, by SHA-256 of its weights; its folder is asked while it holds them."""
    models: dict[str, dict[str, Any]] = {}
    for system in trial.systems:
        for role, details in system.details.items():
            if not isinstance(details, dict) or "weights_sha256" not in details:
                continue
            digest, folder = str(details["weights_sha256"]), Path(str(details.get("folder", "")))
            entry = models.setdefault(
                digest, {"role": role, "folder": name_of(folder), "systems": [], "training": None, "wandb_runs": []}
            )
            entry["systems"].append(system.name)
            if entry["training"] is None and hash_weights(folder) == digest:
                entry |= {"training": _training_block(folder), "wandb_runs": wandb_runs_of(folder)}
    return models


def _training_block(folder: Path) -> dict[str, Any] | None:
    try:
        training = read_json(folder / "config.json")["training"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return training if isinstance(training, dict) else None


def wandb_runs_of(folder: Path) -> list[str]:
    """Ids of the W&B runs of the training that exported a model as RUN/best, in the order of their starts."""
    run = folder.absolute().parent
    if not (run / CONFIG_NAME).is_file():
        return []
    names = (re.fullmatch(r"(?:offline-)?run-(\d{8}_\d{6})-(.+)", path.name) for path in (run / "wandb").glob("*run-*"))
    return list(dict.fromkeys(identity for _, identity in sorted(name.groups() for name in names if name)))


def name_of(folder: Path) -> str:
    """A folder's name, with that of the run for RUN/best; the rest of the path describes the machine."""
    return f"{folder.parent.name}/{folder.name}" if folder.name == "best" else folder.name


def without_paths(details: dict[str, Any]) -> dict[str, Any]:
    """Details of a system with :func:`name_of` folders."""
    return {
        name: without_paths(value) if isinstance(value, dict) else name_of(Path(value)) if name == "folder" else value
        for name, value in details.items()
    }
