"""Contents of a trial, checked before anything is rendered: songs, styles, systems, and where each recording is."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

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
    METHODS,
    MULTIPLE_STIMULI,
    MUSHRA,
    PAIRED,
    check_questions,
    question_of,
    shuffled,
)
from stylize.listening.stimuli import TARGET_LOUDNESS, check_anchor_rate
from stylize.listening.trial import ANSWERS_NAME, AUDIO_FOLDER, MANIFEST_NAME
from stylize.mixture import check_known
from stylize.models import check_device_name, read_pair
from stylize.optimize.options import OptimizeOptions
from stylize.options import POSITIVE, WEIGHT, between, check_options, option
from stylize.request import SAMPLE_RATES
from stylize_core.atomic import check_output_folder
from stylize_core.audio.folder import list_audio
from stylize_core.audio.reader import AudioInfo, probe_audio
from stylize_core.errors import UserError
from stylize_core.plain import read_json

if TYPE_CHECKING:
    from data.folder import Clip

KNOWN_SYSTEMS = (TRANSLATOR, BASELINE, COPY_CONTENT, COPY_STYLE, GROUND_TRUTH, VOCODER, GRIFFIN_LIM)
FOLDER = "folder"
RESERVED = (*KNOWN_SYSTEMS, *HIDDEN, "original", "style")
CONTENT_REFERENCE, TRUTH_REFERENCE = "content", GROUND_TRUTH
MIN_SECONDS = 0.1
STYLE_EXAMPLES = Path(__file__).parents[1] / "songs" / "styles"
"""A short example of each bundled style, STYLE.ogg."""
MAX_SCREENS = 500

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")
_NUMBERED = re.compile(r".+\.\d{5}")


@dataclass(frozen=True)
class BuildOptions:
    """All options of `stylize listen build`.

    Args:
        songs: recordings and folders of them.
        systems: names, or `NAME=FOLDER` with sounds or a model.
        to: styles; each song is taken to each of them.
        questions: those of the method where none are given, but for those about a style where none is named.
    """

    songs: tuple[Path, ...]
    systems: tuple[str, ...]
    output: Path = option(MISSING, "Folder of the trial; made.", flags=("-o", "--output"))
    to: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    style_recordings: tuple[Path, ...] = option(
        (), "Examples of the styles; default: other songs of the corpus, else the bundled ones."
    )
    method: str = option(MULTIPLE_STIMULI, "What listeners do", choices=METHODS)
    reference: str = option(CONTENT_REFERENCE, "Of mushra", choices=(CONTENT_REFERENCE, TRUTH_REFERENCE))
    seconds: float = option(8.0, "Length of the excerpts.", check=between(MIN_SECONDS, 60))
    start: float | None = option(None, "Of the excerpts; default: the middle.", check=WEIGHT)
    title: str = option("Listening test", "For the listeners.")
    seed: int = option(0, "Of orders and labels.")
    loudness: float = option(TARGET_LOUDNESS, "Of every sound, LUFS.", check=between(-60, -10))
    fade_seconds: float = option(0.02, "At both ends, seconds.", check=between(0, 1), flags=("--fade",))
    sample_rate: int | None = option(
        None, "Of the files, Hz; default: the songs'.", check=between(SAMPLE_RATES.start, 96000)
    )
    model: Path | None = option(None, "Translator folder; default: the bundled one.")
    vocoder: Path | None = option(None, "Vocoder folder; default: the bundled one.")
    network: str | None = option(OptimizeOptions.network, "Of the baseline.")
    content_weight: float = option(OptimizeOptions.content_weight, "Of the baseline.")
    iterations: int = option(OptimizeOptions.iterations, "Of the baseline.", check=POSITIVE)
    device: str = option("auto", "auto, cpu, cuda, cuda:N or mps.")
    threads: int | None = option(None, "CPU threads; default: all cores.", check=POSITIVE)
    force: bool = option(False, "Replace a trial without answers.", flags=("--force",))


@dataclass(frozen=True)
class SystemPlan:
    """A system, and the folder that it comes from where it is none of ours."""

    name: str
    kind: str
    folder: Path | None = None


@dataclass(frozen=True)
class Item:
    """An excerpt to be rendered by every system."""

    name: str  # unique
    content: AudioInfo  # the recording
    style: str  # empty where there is none
    start: float  # of the excerpt, seconds
    seconds: float  # length of the excerpt
    truth: Path | None = None  # the same song in the style, from the same corpus
    style_recording: Path | None = None  # another song in the style
    style_start: float = 0.0  # of its excerpt, seconds
    external: dict[str, Path] = field(default_factory=dict)  # the file of each system that is a folder


@dataclass(frozen=True)
class BuildPlan:
    """Checked options."""

    options: BuildOptions
    questions: tuple[str, ...]
    systems: tuple[SystemPlan, ...]
    items: tuple[Item, ...]
    sample_rate: int
    channels: int


def plan_build(options: BuildOptions) -> BuildPlan:
    """Check options as far as that goes without a network."""
    questions = check_questions(options.method, options.questions)
    if not options.to and not options.questions:
        questions = tuple(name for name in questions if "style" not in question_of(options.method, name, False).needs)
    systems = _parse_systems(options.systems)
    _check_values(options, systems)
    _check_styles(options, systems, questions)
    check_output(options)
    kinds = {system.kind for system in systems}
    is_shown = any("style" in question_of(options.method, name, bool(options.to)).needs for name in questions)
    items = []
    for info in [probe_audio(path) for path in _song_files(options.songs)]:
        for style in options.to or ("",):
            item = _plan_item(options, info, style)
            if is_shown or kinds & {BASELINE, COPY_STYLE}:
                item = _with_style(item, _style_recording(options, info.path, style))
            if GROUND_TRUTH in kinds or options.reference == TRUTH_REFERENCE:
                item = dataclasses.replace(item, truth=_ground_truth(info.path, style))
            external = {each.name: _external_file(each.folder, info.path, style) for each in systems if each.folder
                        and each.kind == FOLDER}  # fmt: skip
            items.append(dataclasses.replace(item, external=external))
    if twice := _first_twice(item.name for item in items):
        raise UserError(f"two songs have the name {twice!r}; rename one of the files")
    sample_rate = options.sample_rate or min(48000, max(item.content.sample_rate for item in items))
    if options.method == MUSHRA:
        check_anchor_rate(sample_rate)
    channels = min(2, max(item.content.channels for item in items))
    return BuildPlan(options, questions, systems, tuple(items), sample_rate, channels)


def _first_twice(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _check_values(options: BuildOptions, systems: Sequence[SystemPlan]) -> None:
    check_options(options)
    check_device_name(options.device)
    if _first_twice(options.to):
        raise UserError(f"a style stands twice in --to {','.join(options.to)}; give each once")
    least, hidden = (1, len(HIDDEN)) if options.method == MUSHRA else (2, 0)
    if len(systems) < least:
        raise UserError(f"got {len(systems)} systems; {options.method} compares at least {least}")
    most = MAX_STIMULI - hidden
    if options.method != PAIRED and len(systems) > most:
        raise UserError(f"got {len(systems)} systems; at most {most} fit on a screen of {options.method}")


def _check_styles(options: BuildOptions, systems: Sequence[SystemPlan], questions: tuple[str, ...]) -> None:
    targeted = sorted({each.kind for each in systems}.intersection(TARGETED))
    if not options.to and (targeted or "style" in questions or options.reference == TRUTH_REFERENCE):
        what = targeted[0] if targeted else "the question or the reference"
        raise UserError(f"no style is named, and {what} needs one; give --to STYLE")
    if options.method == MUSHRA and options.reference == CONTENT_REFERENCE and targeted:
        raise UserError(
            f"{targeted[0]} does not aim at the song itself, so MUSHRA has no reference for it; "
            "use --reference ground-truth, or --method multiple-stimuli"
        )
    for system in systems:
        if system.kind in (TRANSLATOR, VOCODER, GRIFFIN_LIM):
            pair = read_pair(*model_folders(options, system))
            if system.kind == TRANSLATOR:
                check_known(dict.fromkeys(options.to, 1.0), pair.styles)


def model_folders(options: BuildOptions, system: SystemPlan) -> tuple[Path | None, Path | None]:
    """Folders of the translator and the vocoder of a system; None for the bundled ones."""
    if system.kind == VOCODER:
        return options.model, system.folder or options.vocoder
    return system.folder or options.model, options.vocoder


def _parse_systems(texts: Sequence[str]) -> tuple[SystemPlan, ...]:
    """Names of ours, or NAME=FOLDER, which holds sounds or a model."""
    systems = []
    for text in texts:
        name, equals, folder = text.partition("=")
        if equals:
            if not _NAME.fullmatch(name) or name in RESERVED:
                raise UserError(f"got the system {text!r}; a name is letters, digits and -._+, and none of ours")
            systems.append(SystemPlan(name, _kind_of(Path(folder)), Path(folder)))
        elif name in KNOWN_SYSTEMS:
            systems.append(SystemPlan(name, name))
        else:
            raise UserError(f"unknown system {name!r}; known: {', '.join(KNOWN_SYSTEMS)}, or NAME=FOLDER")
    if twice := _first_twice(system.name for system in systems):
        raise UserError(f"the system {twice} is there twice; give each once")
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


def check_output(options: BuildOptions) -> None:
    """Refuse a folder that cannot be made, or that holds anything but a trial without answers that --force replaces."""
    output = options.output
    check_output_folder(output, options.force, MANIFEST_NAME)
    if (output / ANSWERS_NAME).exists():
        raise UserError(f"{output} holds answers of listeners, so --force does not replace it; choose another folder")
    present = {path.name for path in output.iterdir()} if output.is_dir() else set()
    if others := sorted(present - {MANIFEST_NAME, AUDIO_FOLDER}):
        raise UserError(
            f"{output} holds {others[0]} beside the trial, so --force does not replace it; choose another folder"
        )


def _song_files(songs: Sequence[Path]) -> list[Path]:
    if not songs:
        raise UserError("no songs; give recordings or folders with --songs")
    return [path for song in songs for path in (list_audio(song) if song.is_dir() else [song])]


def _plan_item(options: BuildOptions, info: AudioInfo, style: str) -> Item:
    seconds = min(options.seconds, info.seconds)
    if seconds < MIN_SECONDS:
        raise UserError(f"{info.path} is {info.seconds:.2f} s long; expected at least {MIN_SECONDS:g} s")
    start = (info.seconds - seconds) / 2 if options.start is None else options.start
    if start + seconds > info.seconds + 1e-6:
        raise UserError(f"{info.path} is {info.seconds:.2f} s long; no {seconds:g} s are left after --start {start:g}")
    name = f"{info.path.stem} to {style}" if len(options.to) > 1 else info.path.stem
    return Item(name, info, style, start, seconds)


def _with_style(item: Item, recording: Path) -> Item:
    info = probe_audio(recording)
    if info.seconds + 1e-3 < item.seconds:
        raise UserError(
            f"{recording} is {info.seconds:.2f} s long, and an example of a style needs {item.seconds:g} s; "
            "give a longer one with --style-recordings, or fewer --seconds"
        )
    start = max(0.0, (info.seconds - item.seconds) / 2)
    return dataclasses.replace(item, style_recording=recording, style_start=start)


@cache
def _clips(root: Path) -> tuple[Clip, ...]:
    try:
        from data.folder import index_folder  # data sets belong to a checkout

        return tuple(index_folder(root))
    except (UserError, ImportError):
        return ()


def _corpus_clip(song: Path) -> tuple[Path, Clip] | None:
    """The corpus that a song belongs to, and its place there; None for a song of its own."""
    song = song.absolute()
    root = song.parent.parent
    in_tree = _NUMBERED.fullmatch(song.stem) and song.stem.rpartition(".")[0] == song.parent.name
    if not in_tree and not (root / "manifest.jsonl").is_file():
        return None
    return next(((root, clip) for clip in _clips(root) if clip.path == song), None)


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


def _style_recording(options: BuildOptions, song: Path, style: str) -> Path:
    """An example of a style: given, another song of the same corpus (of the same split, if possible), or bundled."""
    found = _corpus_clip(song)
    if options.style_recordings:
        files = _song_files(options.style_recordings)
        files = [path for path in files if style in (path.parent.name, path.stem.partition(".")[0])] or files
        named = {str(path): path for path in files}
    elif found is not None:
        root, own = found
        others = [clip for clip in _clips(root) if clip.genre == style and clip.song != own.song]
        others = [clip for clip in others if clip.split == own.split] or others
        named = {clip.path.name: clip.path for clip in others}
    else:
        named = {}
    if named:
        return named[shuffled(named, options.seed, song.stem, style)[0]]
    bundled = {path.stem: path for path in STYLE_EXAMPLES.glob("*.ogg")}
    if style in bundled:
        return bundled[style]
    raise UserError(
        f"no example of the style {style} for {song}; give a recording in that style with --style-recordings FILE, or "
        "leave out the systems baseline and copy-style and the questions style and preference"
    )


def _external_file(folder: Path, song: Path, style: str) -> Path:
    """The sound of another system for a song: SONG.STYLE.* or SONG.* in its folder."""
    wanted = ([f"{song.stem}.{style}", f"{song.stem} to {style}"] if style else []) + [song.stem]
    files = {path.stem: path for path in reversed(list_audio(folder))}
    for name in wanted:
        if name in files:
            return files[name]
    expected = " or ".join(f"{name}.wav" for name in wanted)
    raise UserError(f"{folder} has no sound for {song.name}; expected {expected}")
