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

from data.errors import UserError
from data.names import readable
from data.plain import build, one_line, read_json, show
from stylize.listening.methods import HIDDEN, METHODS, PAIRED, QUESTIONS, Question, question_of, shuffled

FORMAT, VERSION = "stylize listening trial", 1
MOST_BYTES = 8 << 20
"""Of a manifest, which takes 300 for each sound."""

MANIFEST_NAME, AUDIO_FOLDER, ANSWERS_NAME = "manifest.json", "audio", "answers.sqlite3"
ORIGINAL, STYLE, REFERENCE_EXAMPLE = "original", "style", "reference"
"""Roles of sounds that are played beside the rated ones, and named for what they are."""


@dataclass(frozen=True)
class System:
    """What made sounds.

    Args:
        name: in tables.
        kind: feedforward, baseline, copy-content, ..., `folder` for other people's sounds, `hidden` for references
            and anchors.
        details: folders and SHA-256 of models, settings.
    """

    name: str
    kind: str
    details: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Song:
    """An excerpt of a song, and the style that it is to take.

    Args:
        name: unique in the trial.
        content: the recording.
        style: name of the style; empty where none is meant (MUSHRA).
        style_recording: the example of the style, if there is one.
        start: of the excerpt in the recording, seconds.
        seconds: length of the excerpt.
        loudness: of all its sounds, LUFS (BS.1770).
    """

    name: str
    content: str
    style: str
    style_recording: str | None
    start: float
    seconds: float
    loudness: float


@dataclass(frozen=True)
class Stimulus:
    """A sound file.

    Args:
        id: random; the file is `audio/ID.wav`.
        song: name of the song.
        system: name of the system; one of `original`, `style`, `reference` for a sound that is not rated.
        rated: whether it is.
        gain_db: what it was turned up by to match the loudness.
        loudness: before that, LUFS; None for silence.
        peak: after that.
    """

    id: str
    song: str
    system: str
    rated: bool
    gain_db: float
    loudness: float | None
    peak: float


@dataclass(frozen=True)
class Screen:
    """One question about the sounds of one song.

    Args:
        id: random.
        song: name of the song.
        question: name of the question.
        stimuli: ids of the sounds to rate.
        examples: role and id of sounds to hear beside them.
    """

    id: str
    song: str
    question: str
    stimuli: tuple[str, ...]
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Trial:
    """A listening test.

    Args:
        id: random.
        title: for the listeners.
        method: one of :data:`stylize.listening.methods.METHODS`.
        seed: of the orders and labels.
        created: date and time.
        sample_rate: of the files, Hz.
        channels: of the files.
        fade_seconds: at both ends of each.
        questions: their names.
        systems: those that are compared, and hidden references and anchors.
        songs: the excerpts.
        stimuli: the files.
        screens: the questions.
        training: id of the screen that is shown first, for practice.
        level: id of the sound that the level is set with.
    """

    id: str
    title: str
    method: str
    seed: int
    created: str
    sample_rate: int
    channels: int
    fade_seconds: float
    questions: tuple[str, ...]
    systems: tuple[System, ...]
    songs: tuple[Song, ...]
    stimuli: tuple[Stimulus, ...]
    screens: tuple[Screen, ...]
    training: str
    level: str

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

    def to_dict(self) -> dict[str, Any]:
        """The manifest."""
        return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}

    def write(self, folder: Path) -> None:
        """Write the manifest into a folder."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"
        (folder / MANIFEST_NAME).write_text(readable(text), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path | str) -> Trial:
        """Read a trial's manifest and see that all its files are there.

        Raises:
            UserError: no trial, a damaged one, one of another version, missing files.
        """
        folder = Path(folder)
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise UserError(f"{folder} is no trial: {path} is not there; make one with `stylize listen build`")
        try:
            values = read_json(path, MOST_BYTES)
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
    """Everything that is named must be there.

    Raises:
        ValueError: it is not.
    """
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


def is_hidden(system: str) -> bool:
    """Whether a system is a hidden reference or an anchor."""
    return system in HIDDEN
