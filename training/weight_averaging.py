"""Weighted mean of the weights of models of the same architecture ("Model soups", arXiv 2203.05482)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from stylize_core.errors import UserError
from stylize_core.model_folder import read_model_config, read_weights, save_pretrained
from stylize_core.plain import show


def check_shares(shares: Mapping[Any, Any], where: str) -> None:
    """Raise :class:`UserError` for shares that are not in [0, 1] or do not add up to 1."""
    numbers = [share for share in shares.values() if isinstance(share, int | float) and 0 <= share <= 1]
    if len(numbers) < max(1, len(shares)) or not math.isclose(sum(numbers), 1.0, abs_tol=1e-6):
        raise UserError(f"{where}: shares must be in [0, 1] and add up to 1, got {show(dict(shares))}")


def average_models(shares: Mapping[Path, float], output: Path) -> None:
    """Write the model folder `output`, with the training records of all parts.

    Args:
        shares: weight of each model folder; they add up to 1.
        output: a folder that does not exist.

    Raises:
        UserError: a folder is no model folder, the models differ, or `output` exists.
    """
    if output.exists():
        raise UserError(f"{output} exists; name a folder that does not")
    documents = {folder: read_model_config(folder) for folder in shares}
    first, document = next(iter(documents.items()))
    for folder, other in documents.items():
        for name in ("kind", "mel", "model"):
            if other[name] != document[name]:
                raise UserError(f"{first} and {folder} differ in {name}; only models of the same build can be averaged")
    parts = {folder: read_weights(folder) for folder in shares}
    mean = dict(parts[first])
    for name, value in mean.items():
        if value.is_floating_point():
            mean[name] = sum((share * parts[folder][name] for folder, share in shares.items()), torch.zeros(()))
    record = [
        {"model": str(folder), "share": share, "training": documents[folder].get("training", {})}
        for folder, share in shares.items()
    ]
    config = {"mel": document["mel"], "model": document["model"], "training": {"averaged": record}}
    save_pretrained(output, document["kind"], config, mean)
