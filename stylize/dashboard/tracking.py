"""A trial as a run of Weights & Biases: the tables, the plots, summary values, the trial as an artifact."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stylize.dashboard.content import MEASURES, Content, without_paths
from stylize.listening.report import format_rows
from stylize.listening.statistics import Difference, PairedResult, Summary
from stylize.listening.trial import AUDIO_FOLDER, Trial, audio_file
from stylize_core.errors import UserError
from stylize_core.wandb_run import open_wandb_run
from training.tracking import artifacts_staged_in

MAX_NAME_LENGTH = 128
"""Longer names are refused by W&B."""
PUBLISHED_TABLES: dict[str, type] = {"summaries": Summary, "differences": Difference, "pairs": PairedResult}
"""Of the results, what is true of systems; what single listeners said stays here."""


def log_trial(content: Content, trial_folder: Path, page: Path, wandb_mode: str) -> tuple[Path | None, str]:
    """Write the W&B run of a trial: its folder, if there is one, and a clause that describes its location.

    Its id follows from the trial's, so that later answers go to the same run. It is beside the page, since that may be
    replaced, or in WANDB_DIR.
    """
    logging.getLogger("wandb").setLevel(logging.ERROR)
    place = Path(os.environ.get("WANDB_DIR") or page.absolute().parent)
    with artifacts_staged_in(place / "wandb"):
        run, where = open_wandb_run(
            wandb_mode,
            id=f"trial-{content.trial.id}",
            name=(content.trial.title or content.trial.id)[:MAX_NAME_LENGTH],
            job_type="listening-test",
            dir=str(place),
            config=run_config(content),
        )
        if run is None:
            return None, where
        import wandb

        try:
            with run:
                plots = {f"plots/{Path(path).stem}": wandb.Image(str(page / path)) for path in content.plots}
                run.log({"trial": make_table(content, page), **_comparisons(content), **plots})
                run.summary.update(summary_values(content))
                run.log_artifact(make_artifact(content, trial_folder))
        except (wandb.Error, OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{page} is written, but W&B failed ({reason}); use --wandb offline or off, and --force"
            ) from None
    return Path(run.dir).parent, where


def run_config(content: Content) -> dict[str, Any]:
    """The trial, its systems, and their models with weights, training and its runs, by keys that W&B can group by."""
    values = content.to_dict()
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
    results = content.results
    values: dict[str, float] = {
        "listeners": results.listeners,
        "left_out": len(results.screened),
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
    """One row for each song and system; cells with the same sound share one W&B object, whose file is stored once."""
    import wandb

    audio = functools.cache(lambda path: wandb.Audio(str(page / path), sample_rate=content.trial.sample_rate))
    image = functools.cache(lambda path: wandb.Image(str(page / path)))
    measures = [name for name in MEASURES if any(name in row.measures for row in content.rows)]
    questions = [name for name in content.trial.questions if any(name in row.opinions for row in content.rows)]
    kinds = {system.name: system.kind for system in content.trial.systems}
    songs = {song.name: song for song in content.songs}
    rows = []
    for row in content.rows:
        song = songs[row.song]
        cells: dict[str, Any] = {
            "song": row.song, "style": song.style, "system": row.system, "kind": kinds[row.system]
        }  # fmt: skip
        for name, clip in (("original", song.original), ("example", song.example), ("output", row.output)):
            cells[name], cells[f"{name} mel"] = (audio(clip.audio), image(clip.mel)) if clip else (None, None)
        cells |= {name: row.measures.get(name) for name in measures}
        for name in questions:
            opinion = row.opinions.get(name)
            parts = (None,) * 4 if opinion is None else (opinion.mean, opinion.low, opinion.high, opinion.count)
            cells |= zip((f"{name} {part}" for part in ("rating", "low", "high", "n")), parts, strict=True)
        rows.append(cells)
    return wandb.Table(columns=list(rows[0]), data=[list(cells.values()) for cells in rows])


def _comparisons(content: Content) -> dict[str, Any]:
    """Which systems differ, as tables."""
    import wandb

    found: dict[str, Sequence[Any]] = {"differences": content.results.differences, "pairs": content.results.pairs}
    return {
        key: wandb.Table(
            columns=[each.name for each in dataclasses.fields(rows[0])], data=[dataclasses.astuple(row) for row in rows]
        )
        for key, rows in found.items()
        if rows
    }


def make_artifact(content: Content, trial_folder: Path) -> Any:
    """The trial's sounds under their blind names, and with answers the manifest that identifies them.

    What single listeners said stays here, and so do the paths of recordings and folders.
    """
    import wandb

    trial, results = content.trial, content.results
    artifact = wandb.Artifact(
        f"listening-trial-{trial.id}",
        type="listening-trial",
        description=trial.title,
        metadata={
            "method": trial.method,
            "listeners": results.listeners,
            "blind": not results.listeners,
            "weights_sha256": sorted(content.models),
        },
    )
    for stimulus in trial.stimuli:
        artifact.add_file(str(audio_file(trial_folder, stimulus.id)), f"{AUDIO_FOLDER}/{stimulus.id}.wav")
    if results.listeners:
        with tempfile.TemporaryDirectory(prefix="dashboard-") as work:
            _named_only(trial).write(Path(work))
            for name, kind in PUBLISHED_TABLES.items():
                if rows := getattr(results, name):
                    Path(work, f"{name}.csv").write_text(format_rows(kind, rows), encoding="utf-8")
            for path in Path(work).iterdir():  # `add_dir` would print what it does
                artifact.add_file(str(path), path.name)
    return artifact


def _named_only(trial: Trial) -> Trial:
    """A trial whose recordings and folders are named without their paths."""
    systems = (dataclasses.replace(each, details=without_paths(each.details)) for each in trial.systems)
    songs = (
        dataclasses.replace(
            song,
            content=Path(song.content).name,
            style_recording=song.style_recording and Path(song.style_recording).name,
        )
        for song in trial.songs
    )
    return dataclasses.replace(trial, systems=tuple(systems), songs=tuple(songs))
