"""Makes a trial: every system on every song, equally long and loud, under blind names, with one manifest."""

from __future__ import annotations

import datetime
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data.atomic import atomic_folder
from data.audio import AudioWriter
from data.errors import UserError
from stylize.listening.methods import HIDDEN, LOW_ANCHOR, MID_ANCHOR, MUSHRA, PAIRED, REFERENCE, pairs_of, question_of
from stylize.listening.plan import MAX_SCREENS, TRUTH_REFERENCE, BuildOrder, BuildPlan, Item, check_output, plan_build
from stylize.listening.stimuli import ANCHORS, Level, fade_ends, low_pass, match_loudness, measure_loudness
from stylize.listening.systems import SystemRenderer, quiet_audio_writer
from stylize.listening.trial import (
    AUDIO_FOLDER,
    ORIGINAL,
    REFERENCE_EXAMPLE,
    STYLE,
    Screen,
    Song,
    Stimulus,
    System,
    Trial,
    audio_file,
)

Say = Callable[[str], None]


def build_trial(order: BuildOrder, say: Say = lambda text: None) -> Trial:
    """Check an order, render all sounds and write the trial; the folder appears whole or not at all.

    Args:
        order: see there.
        say: called with a line for each sound.

    Raises:
        UserError: anything about the order that cannot be done; nothing is written then.
    """
    plan = plan_build(order)
    count = len(plan.items) * _screens_per_item(plan)
    if count > MAX_SCREENS:
        raise UserError(f"this makes {count} screens, more than {MAX_SCREENS}; give fewer songs, styles or systems")
    if order.threads is not None:
        import torch

        torch.set_num_threads(order.threads)
    quiet_audio_writer()
    with atomic_folder(order.output) as unfinished:
        trial = _Builder(plan, unfinished, say).build()
        check_output(order)  # again: it may have been taken, or got answers, in the meantime
    return trial


def _screens_per_item(plan: BuildPlan) -> int:
    pairs = len(pairs_of([system.name for system in plan.systems])) if plan.order.method == PAIRED else 1
    return len(plan.questions) * pairs


class _Builder:
    """Sounds and screens of one trial."""

    def __init__(self, plan: BuildPlan, folder: Path, say: Say) -> None:
        self.plan, self.folder, self.say = plan, folder, say
        self.stimuli: list[Stimulus] = []
        self.screens: list[Screen] = []
        self.songs: list[Song] = []

    def build(self) -> Trial:
        order = self.plan.order
        (self.folder / AUDIO_FOLDER).mkdir()
        with tempfile.TemporaryDirectory(prefix="listening-") as work:
            renderer = SystemRenderer(self.plan, Path(work))
            for item in self.plan.items:
                self._check_sounds(renderer, item)
            renderer.load_models()
            for item in self.plan.items:
                self._add_item(renderer, item)
            systems = [System(system.name, system.kind, renderer.details(system)) for system in self.plan.systems]
        if order.method == MUSHRA:
            systems += [System(name, "hidden") for name in HIDDEN]
        by_id = sorted(self.stimuli, key=lambda stimulus: stimulus.id)
        trial = Trial(
            id=secrets.token_hex(8),
            title=order.title,
            method=order.method,
            seed=order.seed,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            sample_rate=self.plan.sample_rate,
            channels=self.plan.channels,
            fade_seconds=order.fade_seconds,
            questions=self.plan.questions,
            systems=tuple(systems),
            songs=tuple(self.songs),
            stimuli=tuple(by_id),
            screens=tuple(sorted(self.screens, key=lambda screen: screen.id)),
            training=self.screens[0].id,
            level=next(stimulus.id for stimulus in self.stimuli if not stimulus.rated),
        )
        trial.write(self.folder)
        return trial

    def _check_sounds(self, renderer: SystemRenderer, item: Item) -> None:
        """Read every recording of an item, before any network works on the first."""
        first = next(iter(self._beside(renderer, item).values()))
        if measure_loudness(first, self.plan.sample_rate) is None:
            raise UserError(f"{item.content.path} is silent in its excerpt; leave it out or give another --start")
        for system in self.plan.systems:
            renderer.check(system, item)

    def _add_item(self, renderer: SystemRenderer, item: Item) -> None:
        """Render, match, write and ask."""
        rated, beside = self._sounds(renderer, item)
        sounds = [*rated.items(), *beside.items()]
        wavs, levels, loudness = match_loudness(
            [wav for _, wav in sounds], self.plan.sample_rate, self.plan.order.loudness
        )
        ids = {}
        for (name, _), wav, level in zip(sounds, wavs, levels, strict=True):
            ids[name] = self._write(item, name.removeprefix("beside/"), name in rated, wav, level)
        if self.plan.order.method == MUSHRA:
            matched = wavs[len(rated)]
            for name, edge in ((LOW_ANCHOR, ANCHORS[LOW_ANCHOR]), (MID_ANCHOR, ANCHORS[MID_ANCHOR])):
                anchor = low_pass(matched, edge, self.plan.sample_rate)
                ids[name] = self._write(item, name, True, anchor, Level(None, 0.0, float(np.abs(anchor).max())))
        self._ask(item, ids)
        recording = None if item.style_recording is None else str(item.style_recording)
        self.songs.append(
            Song(item.name, str(item.content.path), item.style, recording, item.start, item.seconds, loudness)
        )

    def _sounds(self, renderer: SystemRenderer, item: Item) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """What is rated, by system, and what is played beside it, by role."""
        rated = {}
        for system in self.plan.systems:
            self.say(f"{item.name}: {system.name}")
            rated[system.name] = renderer.render(system, item)
        beside = self._beside(renderer, item)
        if self.plan.order.method == MUSHRA:
            rated[REFERENCE] = beside[REFERENCE_EXAMPLE]
        return rated, {f"beside/{role}": wav for role, wav in beside.items()}

    def _beside(self, renderer: SystemRenderer, item: Item) -> dict[str, np.ndarray]:
        """What is played beside the systems, by role; the song or the reference comes first."""
        if self.plan.order.method == MUSHRA:
            truth = self.plan.order.reference == TRUTH_REFERENCE
            return {REFERENCE_EXAMPLE: renderer.truth(item) if truth else renderer.content(item)}
        beside = {ORIGINAL: renderer.content(item)}
        if item.style_recording is not None:
            beside[STYLE] = renderer.style(item)
        return beside

    def _write(self, item: Item, system: str, rated: bool, wav: np.ndarray, level: Level) -> str:
        identity = secrets.token_hex(16)
        faded = fade_ends(wav, round(self.plan.order.fade_seconds * self.plan.sample_rate))
        path = audio_file(self.folder, identity)
        with AudioWriter(path, self.plan.sample_rate, len(faded), "PCM_16") as writer:
            writer.write(faded)
        self.stimuli.append(Stimulus(identity, item.name, system, rated, level.gain_db, level.loudness, level.peak))
        return identity

    def _ask(self, item: Item, ids: dict[str, str]) -> None:
        """The screens of an item."""
        method = self.plan.order.method
        rated = [name for name in ids if not name.startswith("beside/")]
        groups = [list(pair) for pair in pairs_of(rated)] if method == PAIRED else [rated]
        for name in self.plan.questions:
            question = question_of(method, name, bool(item.style))
            roles = (REFERENCE_EXAMPLE,) if method == MUSHRA else question.needs
            examples = tuple((role, ids[f"beside/{role}"]) for role in roles if f"beside/{role}" in ids)
            for group in groups:
                # The manifest's order says nothing either: sorted by random ids.
                stimuli = tuple(sorted(ids[system] for system in group))
                self.screens.append(Screen(secrets.token_hex(8), item.name, name, stimuli, examples))
