"""Settings of the benchmarks, checked before any model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, replace
from pathlib import Path
from typing import Any

from stylize.evaluate.benchmarks.leaks import assert_no_leak, assert_unseen_files
from stylize.evaluate.benchmarks.pairs import REAL_SPLIT, RENDERED_SPLITS
from stylize.evaluate.excerpts import MIN_SECONDS
from stylize.evaluate.report import check_folder, check_report, report_files
from stylize.evaluate.systems import BY_EXAMPLE, TRANSLATOR
from stylize.models import BUNDLED_TRANSLATOR, BUNDLED_VOCODER, check_device_name, read_pair
from stylize.options import POSITIVE, Check, check_options, option
from stylize_core.audio.folder import list_audio
from stylize_core.errors import UserError
from stylize_core.plain import read_json
from stylize_core.wandb_run import WANDB_MODES

SPLITS = (*RENDERED_SPLITS, REAL_SPLIT)
VOCODER_SUFFIXES = (".json", ".md")
VOCODER_QUICK: dict[str, Any] = {"excerpts": 3, "speed_seconds": 8.0}
_COUNT = Check(lambda count: count >= 0, "0 or more")


@dataclass(frozen=True)
class Sizes:
    """How much is measured; the defaults are those without `--quick`."""

    pairs: int = 90
    real_pairs: int = 40
    seconds: float = 10.0
    baseline_pairs: int = 40
    sweep_pairs: int = 20
    reference_clips: int | None = None


QUICK = Sizes(pairs=20, real_pairs=10, seconds=5.0, baseline_pairs=1, sweep_pairs=5, reference_clips=16)
SIZES = ("pairs", "real_pairs", "seconds", "baseline_pairs", "sweep_pairs")
"""Fields of `Sizes` that are options."""


@dataclass(frozen=True)
class NamedModel:
    """A translator, its vocoder, and the names of their rows, by style and by example."""

    row: str
    example_row: str
    translator: Path
    vocoder: Path


@dataclass(frozen=True)
class Settings:
    """The options of `scripts.evaluate`."""

    corpus: Path = option(Path("corpus"), "Rendered corpus.")
    recordings: Path = option(Path("recordings"), "Prepared recordings, for the split real.")
    folders: tuple[Path, ...] = option((), "Recordings of your own; repeatable.", flags=("--folder",))
    splits: tuple[str, ...] = option(
        (), f"{', '.join(SPLITS)}; repeatable; default: all there are.", flags=("--split",)
    )
    models: tuple[str, ...] = option((), "[NAME=]DIR of a translator; repeatable.", flags=("--model",))
    vocoders: tuple[str, ...] = option((), "DIR for all models, or NAME=DIR for one; repeatable.", flags=("--vocoder",))
    systems: tuple[str, ...] = option((), "NAME=DIR with results of another system; repeatable.", flags=("--system",))
    export_pairs: Path | None = option(None, "Write inputs and a manifest for other systems here, and stop.")
    classifier: Path | None = option(None, "Classifier folder; default: the bundled one.")
    trained_on: tuple[Path, ...] = option((), "Folder that models learned from, searched for leaks; repeatable.")
    pairs: int | None = option(None, "Pairs of each rendered split (90).", check=POSITIVE)
    real_pairs: int | None = option(None, "Of each split without ground truth (40).", check=POSITIVE)
    seconds: float | None = option(None, "Of each song, from its middle (10).")
    baseline_pairs: int | None = option(None, "For the slow baseline, in all splits together (40).", check=_COUNT)
    sweep_pairs: int | None = option(None, "For strength and mixtures (20).", check=_COUNT)
    quick: bool = option(False, "A small part, in less than three minutes.")
    seed: int = option(0, "Of every choice; the same one gives the same numbers.")
    work: Path = option(Path("runs/evaluate"), "Folder for what is measured; a benchmark resumes there.")
    output: Path | None = option(None, "Write OUTPUT.md, .json, .csv, .png; default: WORK/report")
    force: bool = option(False, "Replace existing output.", flags=("--force",))
    wandb: str = option("off", "Weights & Biases.", choices=WANDB_MODES)
    threads: int = option(2, "CPU threads.", check=POSITIVE)
    device: str = option("auto", "auto, cpu, cuda, cuda:N or mps.")

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def sizes(self) -> Sizes:
        """How much is measured: given values and defaults."""
        given = {name: value for name in SIZES if (value := getattr(self, name)) is not None}
        return replace(QUICK if self.quick else Sizes(), **given)

    @property
    def rendered_splits(self) -> list[str]:
        """The chosen splits of the corpus, by default all if there is a corpus."""
        wanted = self.splits or (RENDERED_SPLITS if self.corpus.is_dir() else ())
        return [split for split in RENDERED_SPLITS if split in wanted]

    @property
    def has_real_split(self) -> bool:
        """Whether recordings are measured, by default if there are any."""
        return REAL_SPLIT in self.splits if self.splits else self.recordings.is_dir()

    @property
    def named_models(self) -> list[NamedModel]:
        """The models to measure; the targets are about the first."""
        models = dict(parse_named("--model", text, "" if len(self.models) == 1 else None) for text in self.models)
        vocoders = dict(parse_named("--vocoder", text, "") for text in self.vocoders)
        if len(models) < len(self.models) or len(vocoders) < len(self.vocoders):
            raise UserError("got a model or a vocoder twice; give each a name of its own: --model NAME=DIR")
        if not models:
            models = {name: BUNDLED_TRANSLATOR for name in vocoders} or {"": BUNDLED_TRANSLATOR}
        elif stray := sorted(set(vocoders) - set(models) - {""}):
            raise UserError(f"got --vocoder {stray[0]}=... but no model {stray[0]!r}; known: {', '.join(models)}")
        common = vocoders.get("", BUNDLED_VOCODER)
        endings = {name: f", {name}" if name else "" for name in models}
        return [
            NamedModel(TRANSLATOR + endings[name], BY_EXAMPLE + endings[name], folder, vocoders.get(name, common))
            for name, folder in models.items()
        ]

    @property
    def named_systems(self) -> list[tuple[str, Path]]:
        """Names and folders of other systems."""
        return [parse_named("--system", text) for text in self.systems]

    @property
    def output_files(self) -> dict[str, Path]:
        """The files to write, by suffix."""
        return report_files(self.output or self.work / "report")


def parse_named(option: str, text: str, default: str | None = None) -> tuple[str, Path]:
    """Read `NAME=DIR`, or `DIR` where there is a default name."""
    name, equals, folder = text.partition("=")
    if not equals or "/" in name:
        if default is None:
            raise UserError(f"got {option} {text!r}; expected NAME=DIR")
        return default, Path(text)
    if not name.strip() or not folder.strip():
        raise UserError(f"got {option} {text!r}; expected NAME=DIR")
    return name.strip(), Path(folder.strip())


def check_settings(settings: Settings) -> None:
    """Raise UserError for anything wrong that shows without loading a model."""
    _check_values(settings)
    if settings.export_pairs is not None:
        check_folder(settings.export_pairs, settings.force, "--export-pairs")
    else:
        if settings.output is not None:
            check_report(settings.output, tuple(settings.output_files), settings.force)
        try:
            settings.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder {settings.work}: {error.strerror}") from None
    taken = {row for model in settings.named_models for row in (model.row, model.example_row)}
    for name, folder in settings.named_systems:
        if not folder.is_dir():
            raise UserError(f"the folder of --system {name}={folder} does not exist")
        if name in taken:
            raise UserError(f"got the system {name!r} twice; give each a name of its own")
        taken.add(name)
    if not (settings.rendered_splits or settings.has_real_split or settings.folders):
        raise UserError(
            f"neither {settings.corpus} nor {settings.recordings} is a folder; give --corpus, --recordings or --folder"
        )
    for model in settings.named_models:
        read_pair(model.translator, model.vocoder)  # last, since it loads PyTorch


def _check_values(settings: Settings) -> None:
    check_device_name(settings.device)
    for split in settings.splits:
        if split not in SPLITS:
            raise UserError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    if not MIN_SECONDS <= settings.sizes.seconds <= 600:
        raise UserError(f"got --seconds {settings.sizes.seconds:g}; expected {MIN_SECONDS:g} to 600")
    for folder in (*settings.folders, *settings.trained_on):
        if not folder.is_dir():
            raise UserError(f"no such folder: {folder}")
    names = [folder.resolve().name for folder in settings.folders]
    for name in names:
        if names.count(name) > 1 or name in SPLITS:
            raise UserError(f"got a folder named {name!r}, which another split is called; rename it")
    if settings.rendered_splits and not settings.corpus.is_dir():
        raise UserError(f"no such folder: {settings.corpus}; render it with `scripts.prepare corpus` or give --corpus")
    if settings.has_real_split and not settings.recordings.is_dir():
        raise UserError(
            f"no such folder: {settings.recordings}; make it with `scripts.prepare recordings` or give --recordings"
        )


def check_leaks(settings: Settings) -> tuple[int, list[Path]]:
    """Refuse material that a model was trained on.

    Returns:
        the number of held-out files, and the training folders.

    Raises:
        UserError: the first leak.
    """
    trained_on = list(settings.trained_on)
    for model in settings.named_models:
        trained_on += _training_folders(model.translator) + _training_folders(model.vocoder)
    trained_on += [folder for folder in (settings.corpus, settings.recordings) if folder.is_dir()]
    folders = list({folder.resolve(): folder for folder in trained_on}.values())
    count = 0
    if settings.rendered_splits:
        count += assert_no_leak(settings.corpus, folders)
    if settings.has_real_split:
        count += assert_no_leak(settings.recordings, folders)
    for folder in settings.folders:
        files = list_audio(folder)
        assert_unseen_files(files, folders)
        count += len(files)
    return count, folders


def _training_folders(model: Path) -> list[Path]:
    """Existing folders with a manifest that the training record of a model names."""
    try:
        values = _strings(read_json(model / "config.json").get("training"))
    except (OSError, ValueError, AttributeError):
        return []
    return [Path(value) for value in values if value and (Path(value) / "manifest.jsonl").is_file()]


def _strings(value: Any) -> Sequence[str]:
    if isinstance(value, str):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for child in children for text in _strings(child)]


@dataclass(frozen=True)
class VocoderSettings:
    """The options of `scripts.evaluate_vocoder`."""

    models: tuple[Path, ...] = option(MISSING, "Vocoder folders; default: the bundled one.")
    corpus: Path = option(Path("corpus"), "Rendered corpus; left out if none.")
    recordings: Path = option(Path("recordings"), "Recordings; left out if none.")
    excerpts: int | None = option(None, "From each; default: one of every unseen file.", check=POSITIVE)
    seconds: float = option(4.0, "Length of an excerpt.", check=Check(lambda value: value >= 3, "at least 3"))
    translated: Path | None = option(None, "Translator folder: also measure on mels that it made.")
    output: Path | None = option(None, "Write OUTPUT.json and .md.")
    pictures: Path | None = option(None, "Folder for pictures; made if it is missing.")
    quick: bool = option(False, f"{VOCODER_QUICK['excerpts']} excerpts of each.")
    speed_seconds: float = option(20.0, "Of music for the times.")
    repeats: int = option(3, "Of the times.", check=POSITIVE)
    threads: int = option(2, "CPU threads.", check=POSITIVE)
    force: bool = option(False, "Replace files that exist.", flags=("--force",))

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def folders(self) -> dict[str, Path]:
        """The folders that exist, by name of the source."""
        sources = {"rendered songs": self.corpus, "real recordings": self.recordings}
        return {name: folder for name, folder in sources.items() if folder.is_dir()}

    def check(self) -> VocoderSettings:
        """Complete settings; raises UserError before any model is loaded."""
        if len(set(self.models)) < len(self.models):
            raise UserError("got a model twice; give each once")
        if not self.folders:
            raise UserError(
                f"neither {self.corpus} nor {self.recordings} is a folder; give one with --corpus or --recordings"
            )
        if self.output is not None:
            check_report(self.output, VOCODER_SUFFIXES, self.force)
        if self.pictures is not None:
            check_folder(self.pictures, self.force, "--pictures")
        here, bundled = Path.cwd(), BUNDLED_VOCODER
        bundled = bundled.relative_to(here) if bundled.is_relative_to(here) else bundled
        complete = replace(self, models=self.models or (bundled,))
        return replace(complete, **VOCODER_QUICK) if self.quick else complete
