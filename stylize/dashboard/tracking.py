"""A trial as a run of Weights & Biases: the tables, the plots, summary values, the trial as an artifact."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.errors import UserError
from stylize.dashboard.content import MEASURES, Clip, Content
from stylize.dashboard.folder import document
from stylize.dashboard.models import without_paths
from stylize.listening.report import format_rows
from stylize.listening.results import Results
from stylize.listening.statistics import Difference, PairedResult, Summary
from stylize.listening.trial import AUDIO_FOLDER, Trial, audio_file
from training.tracking import artifacts_staged_in

TABLE_KEY, DIFFERENCES_KEY, PAIRS_KEY = "trial", "differences", "pairs"
PROJECT = "music-style-transfer"
MOST_NAME_LENGTH = 128
"""Longer names are refused by W&B."""
PUBLISHED_TABLES: dict[str, type] = {"summaries": Summary, "differences": Difference, "pairs": PairedResult}
"""Of the results, what is true of systems; what single listeners said stays here."""


def log_trial(
    content: Content, results: Results | None, trial_folder: Path, page: Path, mode: str, place: Path
) -> Path:
    """Write the W&B run of a trial; its id follows from the trial's, so that later answers go to the same run.

    Args:
        content: as collected into `page`.
        results: of the answers, where there are some.
        trial_folder: of the trial.
        page: folder of the dashboard, whose sounds and pictures are logged.
        mode: online or offline.
        place: the run's folder is made in `place/wandb`.

    Returns:
        the run's folder.

    Raises:
        UserError: W&B cannot be reached or refuses.
    """
    import wandb

    try:
        with (
            artifacts_staged_in(place / "wandb"),
            wandb.init(
                project=PROJECT,
                id=f"trial-{content.trial.id}",
                name=(content.trial.title or content.trial.id)[:MOST_NAME_LENGTH],
                job_type="listening-test",
                dir=str(place),
                config=run_config(content),
                mode=mode,  # type: ignore[arg-type]
                settings=wandb.Settings(console="off", silent=True),
            ) as run,
        ):
            run.log({TABLE_KEY: make_table(content, page), **_comparisons(content), **_plots(content, page)})
            run.summary.update(summary_values(content))
            run.log_artifact(make_artifact(content, results, trial_folder))
    except (wandb.Error, OSError, ValueError) as error:  # the last of settings in the environment
        reason = " ".join(str(error).split())
        raise UserError(
            f"{page} is written, but W&B failed ({reason}); use --wandb offline or off, and --force"
        ) from None
    return Path(run.dir).parent


def run_config(content: Content) -> dict[str, Any]:
    """What made the sounds: the trial, its systems, and their models with weights, training and its runs.

    Keys are the same from trial to trial, so that W&B can filter and group by them.
    """
    values = document(content)
    return {
        "trial": values["trial"],
        "systems": {
            each["name"]: {"kind": each["kind"]}
            | {name: _with_training(value, content) for name, value in each["details"].items()}
            for each in values["systems"]
        },
        "songs": {
            song.name: {"style": song.style, "start": song.start, "seconds": song.seconds, "loudness": song.loudness}
            for song in content.songs
        },
    }


def _with_training(detail: Any, content: Content) -> Any:
    """A model of a system with what its training came to; other details as they are."""
    if not isinstance(detail, dict) or detail.get("weights_sha256") not in content.models:
        return detail
    model = content.models[detail["weights_sha256"]]
    # The training's own configuration has a hundred values, which stand in the model's folder.
    came_to = {name: value for name, value in (model["training"] or {}).items() if name != "config"}
    return {**detail, "training": came_to, "wandb_runs": model["wandb_runs"]}


def summary_values(content: Content) -> dict[str, float]:
    """Means by names such as `copy_content/chroma` and `copy_content/style_rating`."""
    values: dict[str, float] = {
        "listeners": content.listeners,
        "left_out": content.left_out,
        "songs": len(content.songs),
    }
    for name, group in metric_names([system.name for system in content.trial.systems]).items():
        for measure, value in content.mean_measures(name).items():
            values[f"{group}/{measure.replace(' ', '_')}"] = value
        for question, opinion in content.totals.get(name, {}).items():
            stem = f"{group}/{question}_rating"
            values[stem], values[f"{stem}_count"] = opinion.mean, opinion.count
            if opinion.low is not None and opinion.high is not None:
                values[f"{stem}_low"], values[f"{stem}_high"] = opinion.low, opinion.high
    return values


def metric_names(systems: Sequence[str]) -> dict[str, str]:
    """Names of systems as groups of metrics: W&B sorts and filters by letters, digits and underscores alone."""
    names: dict[str, str] = {}
    for system in systems:
        stem = re.sub(r"\W+", "_", system, flags=re.ASCII).strip("_")
        stem = stem if stem[:1].isalpha() else f"system_{stem}"
        candidates = itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(2)))
        names[system] = next(name for name in candidates if name not in names.values())
    return names


def make_table(content: Content, page: Path) -> Any:
    """One row for each song and system.

    Cells with the same sound share one W&B object, and its file is stored once.
    """
    import wandb

    sounds: dict[str, Any] = {}
    pictures: dict[str, Any] = {}

    def media(clip: Clip | None) -> tuple[Any, Any]:
        if clip is None:
            return None, None
        if clip.audio not in sounds:
            sounds[clip.audio] = wandb.Audio(str(page / clip.audio), sample_rate=content.trial.sample_rate)
            pictures[clip.mel] = wandb.Image(str(page / clip.mel))
        return sounds[clip.audio], pictures[clip.mel]

    measures = [name for name in MEASURES if any(name in row.measures for row in content.rows)]
    questions = [name for name in content.trial.questions if any(name in row.opinions for row in content.rows)]
    columns: list[str | int] = [
        "song",
        "style",
        "system",
        "kind",
        "original",
        "original mel",
        "example",
        "example mel",
        "output",
    ]
    columns += ["output mel", *measures]
    columns += [f"{name} {part}" for name in questions for part in ("rating", "low", "high", "n")]
    kinds = {system.name: system.kind for system in content.trial.systems}
    songs = {song.name: song for song in content.songs}
    data = []
    for row in content.rows:
        song = songs[row.song]
        cells: list[Any] = [row.song, song.style, row.system, kinds[row.system]]
        cells += [*media(song.original), *media(song.example), *media(row.output)]
        cells += [row.measures.get(name) for name in measures]
        for name in questions:
            opinion = row.opinions.get(name)
            found = (None,) * 4 if opinion is None else (opinion.mean, opinion.low, opinion.high, opinion.count)
            cells += found
        data.append(cells)
    return wandb.Table(columns=columns, data=data)


def _comparisons(content: Content) -> dict[str, Any]:
    """Which systems differ, as tables."""
    import wandb

    tables = {}
    for key, kind, rows in (
        (DIFFERENCES_KEY, Difference, content.differences),
        (PAIRS_KEY, PairedResult, content.pairs),
    ):
        columns: list[str | int] = [field.name for field in dataclasses.fields(kind)]
        data = [[getattr(row, str(name)) for name in columns] for row in rows]
        if data:
            tables[key] = wandb.Table(columns=columns, data=data)
    return tables


def _plots(content: Content, page: Path) -> dict[str, Any]:
    import wandb

    return {f"plots/{Path(path).stem}": wandb.Image(str(page / path)) for path in content.plots}


def make_artifact(content: Content, results: Results | None, trial_folder: Path) -> Any:
    """The trial's sounds under their blind names, and with results the manifest that says which is which.

    Answers stay where they are: of the results go only tables without listeners. The manifest names recordings and
    folders without the way to them.
    """
    import wandb

    trial = content.trial
    artifact = wandb.Artifact(
        f"listening-trial-{trial.id}",
        type="listening-trial",
        description=trial.title,
        metadata={
            "method": trial.method,
            "listeners": content.listeners,
            "blind": results is None,
            "weights_sha256": sorted(content.models),
        },
    )
    for stimulus in trial.stimuli:
        artifact.add_file(str(audio_file(trial_folder, stimulus.id)), f"{AUDIO_FOLDER}/{stimulus.id}.wav")
    if results is not None:
        with tempfile.TemporaryDirectory(prefix="dashboard-") as work:
            for path in _open_files(trial, results, Path(work)):
                artifact.add_file(str(path), path.name)
    return artifact


def _open_files(trial: Trial, results: Results, work: Path) -> list[Path]:
    """What may be known once there are answers."""
    named_only = dataclasses.replace(
        trial,
        systems=tuple(dataclasses.replace(each, details=without_paths(each.details)) for each in trial.systems),
        songs=tuple(
            dataclasses.replace(
                song,
                content=Path(song.content).name,
                style_recording=None if song.style_recording is None else Path(song.style_recording).name,
            )
            for song in trial.songs
        ),
    )
    named_only.write(work)
    for name, kind in PUBLISHED_TABLES.items():
        if rows := getattr(results, name):
            (work / f"{name}.csv").write_text(format_rows(kind, rows), encoding="utf-8")
    return sorted(work.iterdir())


def wandb_place(output: Path) -> Path:
    """Where `wandb/` is made: WANDB_DIR, or beside the dashboard, since a dashboard may be replaced."""
    return Path(os.environ.get("WANDB_DIR") or output.absolute().parent)
