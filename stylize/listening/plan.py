"""What a trial is to hold, checked before anything is rendered: songs, styles, systems, and where each recording is."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from data.audio import AudioInfo, probe_audio
from data.errors import UserError
from data.folder import Clip, index_folder, list_audio
from data.plain import read_json
from stylize.evaluate.systems import (
    BASELINE,
    COPY_CONTENT,
    COPY_STYLE,
    GRIFFIN_LIM,
    GROUND_TRUTH,
    TARGETED,
    TRANSLATOR,
    VOCODER,
)
from stylize.listening.methods import (
    HIDDEN,
    MAX_STIMULI,
    MULTIPLE_STIMULI,
    MUSHRA,
    PAIRED,
    check_questions,
    question_of,
    shuffled,
)
from stylize.listening.stimuli import TARGET_LOUDNESS, check_anchor_rate
from stylize.models import check_device_name, read_pair
from stylize.optimize.options import OptimizeOptions
from stylize.request import SAMPLE_RATES, check_known

KNOWN_SYSTEMS = (TRANSLATOR, BASELINE, COPY_CONTENT, COPY_STYLE, GROUND_TRUTH, VOCODER, GRIFFIN_LIM)
FOLDER = "folder"
RESERVED = (*KNOWN_SYSTEMS, *HIDDEN, "original", "style")
CONTENT_REFERENCE, TRUTH_REFERENCE = "content", GROUND_TRUTH
MIN_SECONDS, MAX_SECONDS = 0.1, 60.0
STYLE_EXAMPLES = Path(__file__).parents[1] / "songs" / "styles"
"""A short example of each bundled style, STYLE.ogg."""
MAX_SCREENS = 500

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")
_NUMBERED = re.compile(r".+\.\d{5}")


@dataclass(frozen=True)
class BuildOrder:
    """All that a user can ask for, and the defaults.

    Args:
        songs: recordings.
        systems: names, or `NAME=FOLDER` with sounds or a model.
        output: folder of the trial; made.
        to: styles; each song is taken to each of them.
        method: multiple-stimuli, mushra or ab.
        questions: those of the method where none are given, but for those about a style where none is named.
        reference: of MUSHRA: content or ground-truth.
        style_recordings: files or folders with examples of the style; where none are given, songs of the songs' own
            corpus, or else the bundled examples.
        seconds: length of the excerpts.
        start: of the excerpts, seconds; None for the middle.
        title: for the listeners.
        seed: of orders and labels.
        loudness: LUFS.
        fade_seconds: at both ends.
        sample_rate: of the files, Hz; None for the highest of the songs'.
        model: folder of the translator; None for the bundled one.
        vocoder: folder of the vocoder; None for the bundled one.
        network: of the baseline.
        content_weight: of the baseline.
        iterations: of the baseline.
        device: auto, cpu, cuda, cuda:N or mps.
        threads: of the CPU; None for all cores.
        force: a trial without answers in `output` is replaced.
    """

    songs: tuple[Path, ...]
    systems: tuple[str, ...]
    output: Path
    to: tuple[str, ...] = ()
    method: str = MULTIPLE_STIMULI
    questions: tuple[str, ...] = ()
    reference: str = CONTENT_REFERENCE
    style_recordings: tuple[Path, ...] = ()
    seconds: float = 8.0
    start: float | None = None
    title: str = "Listening test"
    seed: int = 0
    loudness: float = TARGET_LOUDNESS
    fade_seconds: float = 0.02
    sample_rate: int | None = None
    model: Path | None = None
    vocoder: Path | None = None
    network: str | None = OptimizeOptions.network
    content_weight: float = OptimizeOptions.content_weight
    iterations: int = OptimizeOptions.iterations
    device: str = "auto"
    threads: int | None = None
    force: bool = False


@dataclass(frozen=True)
class SystemPlan:
    """A system, and the folder that it comes from where it is none of ours."""

    name: str
    kind: str
    folder: Path | None = None


@dataclass(frozen=True)
class Item:
    """An excerpt to be rendered by every system.

    Args:
        name: unique.
        content: the recording.
        style: empty where there is none.
        start: of the excerpt, seconds.
        seconds: length of the excerpt.
        truth: the same song in the style, from the same corpus.
        style_recording: another song in the style.
        style_start: of its excerpt, seconds.
        external: the file of each system that is a folder.
    """

    name: str
    content: AudioInfo
    style: str
    start: float
    seconds: float
    truth: Path | None = None
    style_recording: Path | None = None
    style_start: float = 0.0
    external: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildPlan:
    """An order that was found good."""

    order: BuildOrder
    questions: tuple[str, ...]
    systems: tuple[SystemPlan, ...]
    items: tuple[Item, ...]
    sample_rate: int
    channels: int


def plan_build(order: BuildOrder) -> BuildPlan:
    """Check an order as far as that goes without a network.

    Raises:
        UserError: anything about it that cannot be done.
    """
    questions = check_questions(order.method, order.questions)
    if not order.to and not order.questions:
        questions = tuple(name for name in questions if "style" not in question_of(order.method, name, False).needs)
    systems = _parse_systems(order)
    _check_values(order, systems, questions)
    check_output(order)
    infos = [probe_audio(path) for path in _song_files(order.songs)]
    kinds = {system.kind for system in systems}
    is_shown = any("style" in question_of(order.method, question, bool(order.to)).needs for question in questions)
    needs_style = is_shown or bool(kinds & {BASELINE, COPY_STYLE})
    items = []
    for info in infos:
        for style in order.to or ("",):
            item = _plan_item(order, info, style, several=len(order.to) > 1)
            if needs_style:
                item = _with_style(item, _style_recording(order, info.path, style))
            if GROUND_TRUTH in kinds or order.reference == TRUTH_REFERENCE:
                item = Item(**vars(item) | {"truth": _ground_truth(info.path, style)})
            external = {
                system.name: _external_file(system, info.path, style)
                for system in systems
                if system.kind == FOLDER and system.folder is not None
            }
            items.append(Item(**vars(item) | {"external": external}))
    names = [item.name for item in items]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two songs have the name {twice[0]!r}; rename one of the files")
    sample_rate = order.sample_rate or min(48000, max(info.sample_rate for info in infos))
    if order.method == MUSHRA:
        check_anchor_rate(sample_rate)
    channels = min(2, max(info.channels for info in infos))
    return BuildPlan(order, questions, systems, tuple(items), sample_rate, channels)


def _check_values(order: BuildOrder, systems: Sequence[SystemPlan], questions: tuple[str, ...]) -> None:
    check_device_name(order.device)
    if not MIN_SECONDS <= order.seconds <= MAX_SECONDS:
        raise UserError(f"got --seconds {order.seconds:g}; expected {MIN_SECONDS:g} to {MAX_SECONDS:g}")
    if order.start is not None and not 0 <= order.start < math.inf:
        raise UserError(f"got --start {order.start:g}; expected 0 or more seconds")
    if not -60 <= order.loudness <= -10:
        raise UserError(f"got --loudness {order.loudness:g}; expected -60 to -10 LUFS")
    if not 0 <= order.fade_seconds <= 1:
        raise UserError(f"got --fade {order.fade_seconds:g}; expected 0 to 1 seconds")
    if order.sample_rate is not None and not SAMPLE_RATES[0] <= order.sample_rate <= 96000:
        raise UserError(f"got --sample-rate {order.sample_rate}; expected {SAMPLE_RATES[0]} to 96000 Hz")
    if order.reference not in (CONTENT_REFERENCE, TRUTH_REFERENCE):
        raise UserError(f"got --reference {order.reference}; expected {CONTENT_REFERENCE} or {TRUTH_REFERENCE}")
    if len(set(order.to)) < len(order.to):
        raise UserError(f"a style stands twice in --to {','.join(order.to)}; give each once")
    least = 1 if order.method == MUSHRA else 2
    if len(systems) < least:
        raise UserError(f"got {len(systems)} systems; {order.method} compares at least {least}")
    hidden = 3 if order.method == MUSHRA else 0
    if order.method != PAIRED and len(systems) + hidden > MAX_STIMULI:
        raise UserError(f"got {len(systems)} systems; at most {MAX_STIMULI - hidden} fit on a screen of {order.method}")
    _check_styles(order, systems, questions)


def _check_styles(order: BuildOrder, systems: Sequence[SystemPlan], questions: tuple[str, ...]) -> None:
    kinds = {system.kind for system in systems}
    targeted = sorted(kinds.intersection(TARGETED))
    if not order.to and (targeted or "style" in questions or order.reference == TRUTH_REFERENCE):
        what = targeted[0] if targeted else "the question or the reference"
        raise UserError(f"no style is named, and {what} needs one; give --to STYLE")
    if order.method == MUSHRA and order.reference == CONTENT_REFERENCE and targeted:
        raise UserError(
            f"{targeted[0]} does not aim at the song itself, so MUSHRA has no reference for it; "
            "use --reference ground-truth, or --method multiple-stimuli"
        )
    if kinds & {TRANSLATOR, VOCODER, GRIFFIN_LIM}:
        for system in systems:
            if system.kind in (TRANSLATOR, VOCODER, GRIFFIN_LIM):
                pair = read_pair(*model_folders(order, system))
                if system.kind == TRANSLATOR:
                    check_known({style: 1.0 for style in order.to}, pair.styles)


def model_folders(order: BuildOrder, system: SystemPlan) -> tuple[Path | None, Path | None]:
    """Folders of the translator and the vocoder of a system."""
    if system.kind == VOCODER:
        return order.model, system.folder or order.vocoder
    return system.folder or order.model, order.vocoder


def _parse_systems(order: BuildOrder) -> tuple[SystemPlan, ...]:
    """Names of ours, or NAME=FOLDER, which holds sounds or a model."""
    systems = []
    for text in order.systems:
        name, equals, folder = text.partition("=")
        if equals:
            if not _NAME.fullmatch(name) or name in RESERVED:
                raise UserError(f"got the system {text!r}; a name is letters, digits and -._+, and none of ours")
            systems.append(SystemPlan(name, _kind_of(Path(folder)), Path(folder)))
        elif name in KNOWN_SYSTEMS:
            systems.append(SystemPlan(name, name))
        else:
            raise UserError(f"unknown system {name!r}; known: {', '.join(KNOWN_SYSTEMS)}, or NAME=FOLDER")
    names = [system.name for system in systems]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"the system {twice[0]} is there twice; give each once")
    return tuple(systems)


def _kind_of(folder: Path) -> str:
    """Whether a folder holds a translator, a vocoder, or sounds."""
    config = folder / "config.json"
    if not config.is_file():
        list_audio(folder)
        return FOLDER
    try:
        kind = read_json(config)["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{config} does not say what model it is; give a model folder or one with sounds") from None
    if kind not in ("translator", "vocoder"):
        raise UserError(f"{folder} is a model of kind {kind!r}; expected a translator, a vocoder or a folder of sounds")
    return TRANSLATOR if kind == "translator" else VOCODER


def check_output(order: BuildOrder) -> None:
    """Refuse a folder that cannot be made, or that holds what a new trial must not replace.

    Raises:
        UserError: a file, no parent, not empty without --force; with it, anything but a trial without answers.
    """
    from stylize.listening.trial import ANSWERS_NAME, AUDIO_FOLDER, MANIFEST_NAME

    output = order.output
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; give a folder with -o")
    if not output.absolute().parent.is_dir():
        raise UserError(f"the folder {output.absolute().parent} does not exist; create it first")
    if output.is_dir() and any(output.iterdir()):
        if not order.force:
            raise UserError(f"the folder {output} exists and is not empty; choose another one or use --force")
        if not (output / MANIFEST_NAME).is_file():
            raise UserError(f"{output} is no trial, so --force does not replace it; choose another folder")
        if (output / ANSWERS_NAME).exists():
            raise UserError(
                f"{output} holds answers of listeners, so --force does not replace it; choose another folder"
            )
        if others := sorted({path.name for path in output.iterdir()} - {MANIFEST_NAME, AUDIO_FOLDER}):
            raise UserError(
                f"{output} holds {others[0]} beside the trial, so --force does not replace it; choose another folder"
            )


def _song_files(songs: Sequence[Path]) -> list[Path]:
    if not songs:
        raise UserError("no songs; give recordings or folders with --songs")
    return [path for song in songs for path in (list_audio(song) if song.is_dir() else [song])]


def _plan_item(order: BuildOrder, info: AudioInfo, style: str, several: bool) -> Item:
    seconds = min(order.seconds, info.seconds)
    if seconds < MIN_SECONDS:
        raise UserError(f"{info.path} is {info.seconds:.2f} s long; expected at least {MIN_SECONDS:g} s")
    start = (info.seconds - seconds) / 2 if order.start is None else order.start
    if start + seconds > info.seconds + 1e-6:
        raise UserError(f"{info.path} is {info.seconds:.2f} s long; no {seconds:g} s are left after --start {start:g}")
    return Item(f"{info.path.stem} to {style}" if several else info.path.stem, info, style, start, seconds)


def _with_style(item: Item, recording: Path) -> Item:
    info = probe_audio(recording)
    if info.seconds + 1e-3 < item.seconds:
        raise UserError(
            f"{recording} is {info.seconds:.2f} s long, and an example of a style needs {item.seconds:g} s; "
            "give a longer one with --style-recordings, or fewer --seconds"
        )
    start = max(0.0, (info.seconds - item.seconds) / 2)
    return Item(**vars(item) | {"style_recording": recording, "style_start": start})


@cache
def _clips(root: Path) -> tuple[Clip, ...]:
    return tuple(index_folder(root))


def _corpus_clip(song: Path) -> tuple[Path, Clip] | None:
    """The corpus that a song belongs to, and its place there; None for a song of its own."""
    song = song.absolute()
    root = song.parent.parent
    in_tree = _NUMBERED.fullmatch(song.stem) and song.stem.rpartition(".")[0] == song.parent.name
    if not in_tree and not (root / "manifest.jsonl").is_file():
        return None
    try:
        return next(((root, clip) for clip in _clips(root) if clip.path == song), None)
    except UserError:
        return None


def _ground_truth(song: Path, style: str) -> Path:
    found = _corpus_clip(song)
    if found is not None and (found[0] / "manifest.jsonl").is_file():
        root, own = found
        for clip in _clips(root):
            if clip.genre == style and clip.song == own.song:
                return clip.path
    raise UserError(
        f"no version of {song} in the style {style} is known; ground-truth needs songs of a rendered corpus"
    )


def _style_recording(order: BuildOrder, song: Path, style: str) -> Path:
    """An example of a style: given, another song of the same corpus (of the same split, if possible), or bundled."""
    if order.style_recordings:
        files = _song_files(order.style_recordings)
        fitting = [path for path in files if style in (path.parent.name, path.stem.partition(".")[0])] or files
        chosen = shuffled([str(path) for path in fitting], order.seed, song.stem, style)
        return Path(chosen[0])
    found = _corpus_clip(song)
    if found is not None:
        root, own = found
        others = [clip for clip in _clips(root) if clip.genre == style and clip.song != own.song]
        same_split = [clip for clip in others if clip.split == own.split] or others
        if same_split:
            of_name = {clip.path.name: clip.path for clip in same_split}
            return of_name[shuffled(of_name, order.seed, song.stem, style)[0]]
    bundled = {path.stem: path for path in STYLE_EXAMPLES.glob("*.ogg")}
    if style in bundled:
        return bundled[style]
    raise UserError(
        f"no example of the style {style} for {song}; give a recording in that style with --style-recordings FILE, or "
        "leave out the systems baseline and copy-style and the questions style and preference"
    )


def _external_file(system: SystemPlan, song: Path, style: str) -> Path:
    """The sound of another system for a song: SONG.STYLE.* or SONG.*"""
    assert system.folder is not None
    wanted = ([f"{song.stem}.{style}", f"{song.stem} to {style}"] if style else []) + [song.stem]
    files = {path.stem: path for path in reversed(list_audio(system.folder))}
    for name in wanted:
        if name in files:
            return files[name]
    expected = " or ".join(f"{name}.wav" for name in wanted)
    raise UserError(f"{system.folder} has no sound for {song.name}; expected {expected}")
