"""Makes a trial: every system on every song, equally long and loud, under blind names, with one manifest."""

from __future__ import annotations

import datetime
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stylize.listening.methods import HIDDEN, MUSHRA, PAIRED, REFERENCE, pairs_of, question_of
from stylize.listening.plan import MAX_SCREENS, TRUTH_REFERENCE, BuildOptions, BuildPlan, Item, check_output, plan_build
from stylize.listening.stimuli import ANCHORS, Level, fade_ends, low_pass, match_loudness, measure_loudness
from stylize.listening.systems import SystemRenderer
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
from stylize_core.atomic import atomic_folder
from stylize_core.audio.reader import AudioWriter
from stylize_core.errors import UserError

Progress = Callable[[str], None]


def build_trial(options: BuildOptions, progress: Progress = lambda text: None) -> Trial:
    """Check the options, render all sounds and write the trial; the folder appears complete or not at all."""
    plan = plan_build(options)
    pairs = len(pairs_of([system.name for system in plan.systems])) if options.method == PAIRED else 1
    count = len(plan.items) * len(plan.questions) * pairs
    if count > MAX_SCREENS:
        raise UserError(f"this makes {count} screens, more than {MAX_SCREENS}; give fewer songs, styles or systems")
    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)
    with atomic_folder(options.output) as unfinished:
        trial = _Builder(plan, unfinished, progress).build()
        check_output(options)  # again: it may have been taken, or got answers, in the meantime
    return trial


class _Builder:
    """Sounds and screens of one trial."""

    def __init__(self, plan: BuildPlan, folder: Path, progress: Progress) -> None:
        self.plan, self.options, self.folder, self.progress = plan, plan.options, folder, progress
        self.is_mushra = plan.options.method == MUSHRA
        self.stimuli: list[Stimulus] = []
        self.screens: list[Screen] = []
        self.songs: list[Song] = []

    def build(self) -> Trial:
        options = self.options
        (self.folder / AUDIO_FOLDER).mkdir()
        with tempfile.TemporaryDirectory(prefix="listening-") as work:
            renderer = SystemRenderer(self.plan, Path(work))
            for item in self.plan.items:
                self._check_sounds(renderer, item)
            renderer.load_models()
            for item in self.plan.items:
                self._add_item(renderer, item)
            systems = [System(system.name, system.kind, renderer.details(system)) for system in self.plan.systems]
        if self.is_mushra:
            systems += [System(name, "hidden") for name in HIDDEN]
        trial = Trial(
            id=secrets.token_hex(8),
            title=options.title,
            method=options.method,
            seed=options.seed,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            sample_rate=self.plan.sample_rate,
            channels=self.plan.channels,
            fade_seconds=options.fade_seconds,
            questions=self.plan.questions,
            systems=tuple(systems),
            songs=tuple(self.songs),
            stimuli=tuple(sorted(self.stimuli, key=lambda stimulus: stimulus.id)),
            screens=tuple(sorted(self.screens, key=lambda screen: screen.id)),
            training=self.screens[0].id,
            level=next(stimulus.id for stimulus in self.stimuli if not stimulus.rated),
        )
        trial.write(self.folder)
        return trial

    def _check_sounds(self, renderer: SystemRenderer, item: Item) -> None:
        """Read every recording of an item, before any network works on the first."""
        first = next(iter(self._examples(renderer, item).values()))
        if measure_loudness(first, self.plan.sample_rate) is None:
            raise UserError(f"{item.content.path} is silent in its excerpt; leave it out or give another --start")
        for system in self.plan.systems:
            renderer.check(system, item)

    def _add_item(self, renderer: SystemRenderer, item: Item) -> None:
        """Render, match, write and ask."""
        rated = {}
        for system in self.plan.systems:
            self.progress(f"{item.name}: {system.name}")
            rated[system.name] = renderer.render(system, item)
        examples = self._examples(renderer, item)
        if self.is_mushra:
            rated[REFERENCE] = examples[REFERENCE_EXAMPLE]
        rate = self.plan.sample_rate
        wavs, levels, loudness = match_loudness([*rated.values(), *examples.values()], rate, self.options.loudness)
        matched = list(zip([*rated, *examples], wavs, levels, strict=True))
        rated_ids = {name: self._write(item, name, True, wav, level) for name, wav, level in matched[: len(rated)]}
        example_ids = {name: self._write(item, name, False, wav, level) for name, wav, level in matched[len(rated) :]}
        if self.is_mushra:
            for name, edge in ANCHORS.items():
                anchor = low_pass(wavs[len(rated)], edge, rate)
                level = Level(None, 0.0, float(np.abs(anchor).max()))
                rated_ids[name] = self._write(item, name, True, anchor, level)
        self._ask(item, rated_ids, example_ids)
        recording = None if item.style_recording is None else str(item.style_recording)
        self.songs.append(
            Song(item.name, str(item.content.path), item.style, recording, item.start, item.seconds, loudness)
        )

    def _examples(self, renderer: SystemRenderer, item: Item) -> dict[str, np.ndarray]:
        """What is played beside the systems, by role; the song or the reference comes first."""
        if self.is_mushra:
            truth = self.options.reference == TRUTH_REFERENCE
            return {REFERENCE_EXAMPLE: renderer.truth(item) if truth else renderer.content(item)}
        examples = {ORIGINAL: renderer.content(item)}
        if item.style_recording is not None:
            examples[STYLE] = renderer.style(item)
        return examples

    def _write(self, item: Item, system: str, rated: bool, wav: np.ndarray, level: Level) -> str:
        identity = secrets.token_hex(16)
        faded = fade_ends(wav, round(self.options.fade_seconds * self.plan.sample_rate))
        path = audio_file(self.folder, identity)
        with AudioWriter(path, self.plan.sample_rate, len(faded), "PCM_16") as writer:
            writer.write(faded)
        self.stimuli.append(Stimulus(identity, item.name, system, rated, level.gain_db, level.loudness, level.peak))
        return identity

    def _ask(self, item: Item, rated: dict[str, str], examples: dict[str, str]) -> None:
        """The screens of an item."""
        groups = pairs_of(list(rated)) if self.options.method == PAIRED else [tuple(rated)]
        for name in self.plan.questions:
            question = question_of(self.options.method, name, bool(item.style))
            roles = (REFERENCE_EXAMPLE,) if self.is_mushra else question.needs
            shown = tuple((role, examples[role]) for role in roles if role in examples)
            for group in groups:
                # The order in the manifest must not reveal the systems either: sorted by random ids.
                stimuli = tuple(sorted(rated[system] for system in group))
                self.screens.append(Screen(secrets.token_hex(8), item.name, name, stimuli, shown))
