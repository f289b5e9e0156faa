"""A trial as data: blind sound files and one manifest, from which everything else follows.

`TRIAL/manifest.json` says which file is which and stays with whoever runs the test; listeners get `TRIAL/audio/` only,
file by file, under names that say nothing.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from stylize.listening.methods import METHODS, PAIRED, QUESTIONS, Question, question_of, shuffled
from stylize_core.errors import UserError
from stylize_core.names import readable
from stylize_core.plain import build, one_line, read_json, show

FORMAT, VERSION = "stylize listening trial", 1
MAX_BYTES = 8 << 20
"""Of a manifest, which takes 300 for each sound."""

MANIFEST_NAME, AUDIO_FOLDER, ANSWERS_NAME = "manifest.json", "audio", "answers.sqlite3"
ORIGINAL, STYLE, REFERENCE_EXAMPLE = "original", "style", "reference"
"""Roles of sounds that are played beside the rated ones, and named for what they are."""
MAX_LISTENERS = 10000
"""More are not taken unless asked for."""


@dataclass(frozen=True)
class System:
    """What made sounds."""

    name: str  # in tables
    kind: str  # of a system, `folder` for other people's sounds, `hidden` for references and anchors
    details: dict[str, Any] = dataclasses.field(default_factory=dict)  # folders and SHA-256 of models, settings


@dataclass(frozen=True)
class Song:
    """An excerpt of a song, and the style that it is to take."""

    name: str  # unique in the trial
    content: str  # the recording
    style: str  # empty where none is meant (MUSHRA)
    style_recording: str | None  # the example of the style
    start: float  # of the excerpt in the recording, seconds
    seconds: float  # length of the excerpt
    loudness: float  # of all its sounds, LUFS (BS.1770)


@dataclass(frozen=True)
class Stimulus:
    """A sound file."""

    id: str  # random; the file is `audio/ID.wav`
    song: str  # name of the song
    system: str  # name of the system; `original`, `style` or `reference` for a sound that is not rated
    rated: bool
    gain_db: float  # that matched the loudness
    loudness: float | None  # before that, LUFS; None for silence
    peak: float  # after that


@dataclass(frozen=True)
class Screen:
    """One question about the sounds of one song."""

    id: str  # random
    song: str  # name of the song
    question: str  # name of the question
    stimuli: tuple[str, ...]  # ids of the sounds to rate
    examples: tuple[tuple[str, str], ...]  # role and id of sounds to hear beside them


@dataclass(frozen=True)
class Trial:
    """A listening test."""

    id: str  # random
    title: str  # for the listeners
    method: str  # one of `stylize.listening.methods.METHODS`
    seed: int  # of the orders and labels
    created: str  # date and time
    sample_rate: int  # of the files, Hz
    channels: int  # of the files
    fade_seconds: float  # at both ends of each
    questions: tuple[str, ...]  # their names
    systems: tuple[System, ...]  # those that are compared, and hidden references and anchors
    songs: tuple[Song, ...]
    stimuli: tuple[Stimulus, ...]
    screens: tuple[Screen, ...]
    training: str  # id of the screen that is shown first, for practice
    level: str  # id of the sound that the level is set with

    @cached_property
    def screen(self) -> dict[str, Screen]:
        """Screens by id."""
        return {screen.id: screen for screen in self.screens}

    @cached_property
    def stimulus(self) -> dict[str, Stimulus]:
        """Stimuli by id."""
        return {stimulus.id: stimulus for stimulus in self.stimuli}

    @cached_property
    def song(self) -> dict[str, Song]:
        """Songs by name."""
        return {song.name: song for song in self.songs}

    @property
    def compared(self) -> tuple[str, ...]:
        """Names of the systems without references and anchors."""
        return tuple(system.name for system in self.systems if system.kind != "hidden")

    def question(self, screen: Screen) -> Question:
        """What a screen asks."""
        return question_of(self.method, screen.question, bool(self.song[screen.song].style))

    def order_for(self, listener: int) -> list[tuple[Screen, list[str]]]:
        """The screens as one listener meets them, each with its stimuli in the order of their labels.

        All questions about a song come one after the other, in the listener's own order of questions. Both orders
        and all labels follow from the trial's seed and the number of the listener.
        """
        seed = (self.seed, listener)
        of_song: dict[str, list[Screen]] = {}
        for screen in self.screens:
            of_song.setdefault(screen.song, []).append(screen)
        turn = {name: place for place, name in enumerate(shuffled(self.questions, *seed, "questions"))}
        order = []
        for song in shuffled(of_song, *seed, "songs"):
            named = {self._name(screen): screen for screen in of_song[song]}
            names = shuffled(named, *seed, song)
            for name in sorted(names, key=lambda name: turn[named[name].question]):
                order.append((named[name], self.labels_for(listener, named[name])))
        return order

    def labels_for(self, listener: int, screen: Screen) -> list[str]:
        """Ids of a screen's stimuli, in the order of the labels that a listener sees."""
        by_system = {self.stimulus[identity].system: identity for identity in screen.stimuli}
        names = shuffled(by_system, self.seed, listener, self._name(screen))
        return [by_system[name] for name in names]

    def _name(self, screen: Screen) -> str:
        """What a screen is, in words that are the same when a trial is built again."""
        systems = sorted(self.stimulus[identity].system for identity in screen.stimuli)
        return f"{screen.song}/{screen.question}/{'+'.join(systems) if self.method == PAIRED else ''}"

    def write(self, folder: Path) -> None:
        """Write the manifest into a folder."""
        values = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
        (folder / MANIFEST_NAME).write_text(readable(text), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path | str) -> Trial:
        """Read a trial's manifest and see that all its files are there."""
        folder = Path(folder)
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise UserError(f"{folder} is no trial: {path} is not there; make one with `stylize listen build`")
        try:
            values = read_json(path, MAX_BYTES)
            if values.pop("format") != FORMAT:
                raise ValueError("another format")
            version = values.pop("version")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path} is no manifest of a listening trial ({one_line(error)}); build the trial again"
            ) from None
        if version != VERSION:
            raise UserError(f"{path} has version {show(version)}, expected {VERSION}; build the trial again")
        try:
            trial = build(cls, values, "trial")
            _check(trial)
        except (UserError, ValueError, KeyError) as error:
            raise UserError(f"{path} is damaged ({one_line(error)}); build the trial again") from None
        for stimulus in trial.stimuli:
            if not audio_file(folder, stimulus.id).is_file():
                raise UserError(f"{audio_file(folder, stimulus.id)} is missing; build the trial again")
        return trial


def audio_file(folder: Path, identity: str) -> Path:
    """Where a stimulus lies in a trial's folder."""
    return folder / AUDIO_FOLDER / f"{identity}.wav"


def _check(trial: Trial) -> None:
    """ValueError where something is named that is not there."""
    if trial.method not in METHODS or not set(trial.questions) <= set(QUESTIONS) or not trial.screens:
        raise ValueError("unknown method or questions, or no screens")
    if not all(len(stimulus.id) == 32 and set(stimulus.id) <= set("0123456789abcdef") for stimulus in trial.stimuli):
        raise ValueError("a stimulus has an impossible id")
    systems = {system.name for system in trial.systems}
    for screen in trial.screens:
        used = [*screen.stimuli, *(identity for _, identity in screen.examples)]
        if screen.song not in trial.song or screen.question not in trial.questions or not screen.stimuli:
            raise ValueError(f"the screen {screen.id} has an unknown song or question, or no sounds")
        if any(identity not in trial.stimulus for identity in used):
            raise ValueError(f"the screen {screen.id} has an unknown sound")
        if any(trial.stimulus[identity].system not in systems for identity in screen.stimuli):
            raise ValueError(f"the screen {screen.id} has a sound of an unknown system")
    if trial.training not in trial.screen or trial.level not in trial.stimulus:
        raise ValueError("training or level is unknown")
