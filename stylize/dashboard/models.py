"""Which weights made the sounds of a trial, what their model cards say of the training, and which runs that was."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from data.plain import read_json
from stylize.listening.trial import Trial
from training.run_folder import CONFIG_NAME


def describe_models(trial: Trial) -> dict[str, dict[str, Any]]:
    """What is known of each model of a trial, by SHA-256 of its weights.

    The training block of the model's `config.json` and the ids of the W&B runs of the training are added where the
    folder still holds the weights that made the sounds. Folders are named without the way to them, which says more of
    a computer than of a model.
    """
    models: dict[str, dict[str, Any]] = {}
    for system in trial.systems:
        for role, details in system.details.items():
            if not isinstance(details, dict) or "weights_sha256" not in details:
                continue
            digest, folder = str(details["weights_sha256"]), Path(str(details.get("folder", "")))
            entry = models.setdefault(
                digest, {"role": role, "folder": name_of(folder), "systems": [], "training": None, "wandb_runs": []}
            )
            entry["systems"].append(system.name)
            if entry["training"] is None and weights_sha256(folder) == digest:
                entry["training"] = _training_block(folder)
                entry["wandb_runs"] = wandb_runs_of(folder)
    return models


def weights_sha256(folder: Path) -> str | None:
    """SHA-256 of a folder's weights, one file after the other by name; None where there are none to read."""
    try:
        files = sorted(folder.glob("*.safetensors"))
        return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest() if files else None
    except OSError:
        return None


def _training_block(folder: Path) -> dict[str, Any] | None:
    try:
        card = read_json(folder / "config.json")
    except (OSError, ValueError):
        return None
    training = card.get("training") if isinstance(card, dict) else None
    return training if isinstance(training, dict) else None


def wandb_runs_of(folder: Path) -> list[str]:
    """Ids of the W&B runs of the training that exported a model as RUN/best, in the order of their starts."""
    run = folder.absolute().parent
    if not (run / CONFIG_NAME).is_file():
        return []
    names = (re.fullmatch(r"(?:offline-)?run-(\d{8}_\d{6})-(.+)", path.name) for path in (run / "wandb").glob("*run-*"))
    return list(dict.fromkeys(identity for _, identity in sorted(name.groups() for name in names if name)))


def name_of(folder: Path) -> str:
    """A folder's name, with that of the run for RUN/best."""
    return f"{folder.parent.name}/{folder.name}" if folder.name == "best" else folder.name


def without_paths(details: dict[str, Any]) -> dict[str, Any]:
    """Details of a system with folders named without the way to them."""
    return {
        name: without_paths(value) if isinstance(value, dict) else name_of(Path(value)) if name == "folder" else value
        for name, value in details.items()
    }
