"""What the user asked the benchmark for, checked before any model is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.audio_folder import list_audio
from data.errors import UserError
from data.plain import read_json
from stylize.evaluate.exchange import check_export_folder
from stylize.evaluate.leaks import assert_no_leak, assert_unseen_files
from stylize.evaluate.material import LEAST_SECONDS, REAL_TIER, RENDERED_TIERS
from stylize.evaluate.systems import BY_EXAMPLE, FEED_FORWARD
from stylize.models import BUNDLED_TRANSLATOR, BUNDLED_VOCODER, check_device_name, read_pair

OUTPUT_SUFFIXES = (".md", ".json", ".csv", ".png")
WANDB_MODES = ("auto", "online", "offline", "off")
TIERS = (*RENDERED_TIERS, REAL_TIER)


@dataclass(frozen=True)
class NamedModel:
    """A translator and its vocoder.

    Args:
        name: given by the user; empty for the only one.
        translator, vocoder: model folders.
    """

    name: str
    translator: Path
    vocoder: Path

    @property
    def row(self) -> str:
        """Name of its row in the tables."""
        return f"{FEED_FORWARD}, {self.name}" if self.name else FEED_FORWARD

    @property
    def example_row(self) -> str:
        """Name of its row by example."""
        return f"{BY_EXAMPLE}, {self.name}" if self.name else BY_EXAMPLE


@dataclass(frozen=True)
class Settings:
    """All that a user can ask for, and the defaults.

    Args:
        corpus: rendered corpus.
        recordings: prepared recordings, whose test split is the tier `real`.
        folders: further recordings of the user's own, each a tier without ground truth.
        tiers: of `TIERS`, those to run; those whose material is not there are left out unless they are named.
        pairs: of each rendered tier.
        real_pairs: of each tier without ground truth.
        seconds: of each song, from its middle.
        baseline_pairs: in all tiers together; it is slow.
        sweep_pairs: for the sweep of strength and mixtures.
        reference_clips: real clips of each style for KAD and FAD at most; None for the whole training split.
        seed: of every choice.
        models: (name, folder), empty for the bundled one.
        vocoders: (name, folder): for the model of that name, or for all where the name is empty.
        systems: (name, folder) of results of other systems.
        classifier: folder; None for the bundled one.
        trained_on: folders that the models learnt from, beside those that they name themselves.
        export: folder to write the pairs to, in place of a benchmark.
        work: folder for what was measured.
        output: files OUTPUT.md, .json, .csv and .png; None for `report.*` in the work folder.
        force: existing output may be overwritten.
        wandb: auto, online, offline or off.
        threads: of the CPU.
        device: auto, cpu, cuda, cuda:N or mps.
        command: as it was typed, for the page.
    """

    corpus: Path = Path("corpus")
    recordings: Path = Path("recordings")
    folders: tuple[Path, ...] = ()
    tiers: tuple[str, ...] = ()
    pairs: int = 90
    real_pairs: int = 40
    seconds: float = 10.0
    baseline_pairs: int = 40
    sweep_pairs: int = 20
    reference_clips: int | None = None
    seed: int = 0
    models: tuple[tuple[str, Path], ...] = ()
    vocoders: tuple[tuple[str, Path], ...] = ()
    systems: tuple[tuple[str, Path], ...] = ()
    classifier: Path | None = None
    trained_on: tuple[Path, ...] = ()
    export: Path | None = None
    work: Path = Path("runs/evaluate")
    output: Path | None = None
    force: bool = False
    wandb: str = "off"
    threads: int = 2
    device: str = "auto"
    command: str = "python -m scripts.evaluate"

    @property
    def rendered_tiers(self) -> list[str]:
        """Tiers of the corpus that were asked for, or all of them where the corpus is there."""
        wanted = self.tiers or (RENDERED_TIERS if self.corpus.is_dir() else ())
        return [tier for tier in RENDERED_TIERS if tier in wanted]

    @property
    def has_real_tier(self) -> bool:
        """Whether recordings are asked for, or there where no tier was named."""
        return REAL_TIER in self.tiers if self.tiers else self.recordings.is_dir()

    @property
    def named_models(self) -> list[NamedModel]:
        """The models to judge, the first of which the aims are about.

        Raises:
            UserError: models or vocoders with equal names, a vocoder for a model that is not there.
        """
        models, vocoders = dict(self.models), dict(self.vocoders)
        if len(models) < len(self.models) or len(vocoders) < len(self.vocoders):
            raise UserError("got a model or a vocoder twice; give each a name of its own: --model NAME=DIR")
        if not models:
            models = {name: BUNDLED_TRANSLATOR for name in vocoders} or {"": BUNDLED_TRANSLATOR}
        elif stray := sorted(set(vocoders) - set(models) - {""}):
            raise UserError(f"got --vocoder {stray[0]}=... but no model {stray[0]!r}; known: {', '.join(models)}")
        common = vocoders.get("", BUNDLED_VOCODER)
        return [NamedModel(name, folder, vocoders.get(name, common)) for name, folder in models.items()]

    @property
    def output_files(self) -> dict[str, Path]:
        """The files to write, by suffix."""
        base = self.output or self.work / "report"
        return {suffix: base.with_name(base.name + suffix) for suffix in OUTPUT_SUFFIXES}


def parse_named(option: str, text: str, default: str | None = None) -> tuple[str, Path]:
    """Read `NAME=DIR`, or `DIR` where there is a default name.

    Raises:
        UserError: no name where one is needed, or nothing after it.
    """
    name, equals, folder = text.partition("=")
    if not equals or "/" in name:
        if default is None:
            raise UserError(f"got {option} {text!r}; expected NAME=DIR")
        return default, Path(text)
    if not name.strip() or not folder.strip():
        raise UserError(f"got {option} {text!r}; expected NAME=DIR")
    return name.strip(), Path(folder.strip())


def check_settings(settings: Settings) -> None:
    """Find out all that can be wrong without loading a model.

    Raises:
        UserError: the first thing that is.
    """
    _check_values(settings)
    if settings.export is not None:
        check_export_folder(settings.export, settings.force)
    else:
        _check_output(settings)
    taken = {row for model in settings.named_models for row in (model.row, model.example_row)}
    for name, folder in settings.systems:
        if not folder.is_dir():
            raise UserError(f"the folder of --system {name}={folder} does not exist")
        if name in taken:
            raise UserError(f"got the system {name!r} twice; give each a name of its own")
        taken.add(name)
    if not (settings.rendered_tiers or settings.has_real_tier or settings.folders):
        raise UserError(
            f"neither {settings.corpus} nor {settings.recordings} is a folder; give --corpus, --recordings or --folder"
        )
    for model in settings.named_models:
        read_pair(model.translator, model.vocoder)  # last, since it loads PyTorch


def _check_values(settings: Settings) -> None:
    check_device_name(settings.device)
    if settings.wandb not in WANDB_MODES:
        raise UserError(f"got --wandb {settings.wandb!r}; expected one of {', '.join(WANDB_MODES)}")
    for tier in settings.tiers:
        if tier not in TIERS:
            raise UserError(f"unknown tier {tier!r}; known: {', '.join(TIERS)}")
    if not LEAST_SECONDS <= settings.seconds <= 600:
        raise UserError(f"got --seconds {settings.seconds:g}; expected {LEAST_SECONDS:g} to 600")
    for folder in (*settings.folders, *settings.trained_on):
        if not folder.is_dir():
            raise UserError(f"no such folder: {folder}")
    names = [folder.resolve().name for folder in settings.folders]
    for name in names:
        if names.count(name) > 1 or name in TIERS:
            raise UserError(f"got a folder named {name!r}, which another tier is called; rename it")
    if settings.rendered_tiers and not settings.corpus.is_dir():
        raise UserError(f"no such folder: {settings.corpus}; render it with `scripts.prepare corpus` or give --corpus")
    if settings.has_real_tier and not settings.recordings.is_dir():
        raise UserError(
            f"no such folder: {settings.recordings}; make it with `scripts.prepare recordings` or give --recordings"
        )


def _check_output(settings: Settings) -> None:
    if settings.output is not None:
        folder = settings.output.parent
        if not folder.is_dir():
            raise UserError(f"folder not found: {folder}; create it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UserError(f"the folder {folder} is not writable; choose another --output")
        for path in settings.output_files.values():
            if path.exists() and not settings.force:
                raise UserError(f"{path} exists already; choose another --output or use --force to replace it")
    try:
        settings.work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {settings.work}: {error.strerror}") from None


def check_leaks(settings: Settings) -> tuple[int, list[Path]]:
    """Refuse material that a model has seen.

    Returns:
        how many held-out files were compared, and the folders they were compared with.

    Raises:
        UserError: the first leak.
    """
    trained_on = list(settings.trained_on)
    for model in settings.named_models:
        trained_on += _training_folders(model.translator) + _training_folders(model.vocoder)
    trained_on += [folder for folder in (settings.corpus, settings.recordings) if folder.is_dir()]
    folders = list({folder.resolve(): folder for folder in trained_on}.values())
    count = 0
    if settings.rendered_tiers:
        count += assert_no_leak(settings.corpus, folders)
    if settings.has_real_tier:
        count += assert_no_leak(settings.recordings, folders)
    for folder in settings.folders:
        files = list_audio(folder)
        assert_unseen_files(files, folders)
        count += len(files)
    return count, folders


def _training_folders(model: Path) -> list[Path]:
    """Folders with a manifest that the record of a model's training names, where they are here.

    The record has the configuration, and the records of the models that it started from or was mixed of.
    """
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
