"""Recipes: one YAML file with an `experiment` and, optionally, `stages` that override its values, each with a `name`.

init_from: NAME          starts from the best model of an earlier stage (or from a model folder)
average: {NAME: SHARE}   averages the weights of earlier stages instead of training
"""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stylize_core.config import build, merge_values, override_values, read_config, to_plain
from stylize_core.errors import UserError
from stylize_core.model_folder import CONFIG_NAME
from stylize_core.plain import show
from training.checkpoint import list_checkpoints, step_of
from training.experiment import Experiment
from training.loop import Trainer, make_accelerator
from training.run_folder import locked
from training.weight_averaging import average_models, check_shares

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One run of a recipe.

    Args:
        name: its folder in the run folder; empty for a single stage in the run folder itself.
        config: configuration of the experiment; None for a stage that averages.
        average: shares of earlier stages by name.
    """

    name: str
    config: Any = None
    average: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A recipe: the class of an experiment, and at least one stage."""

    experiment: type[Experiment]
    stages: tuple[Stage, ...]


def read_recipe(path: Path, experiments: Mapping[str, str], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and check every stage of it.

    Args:
        path: YAML file.
        experiments: class of each experiment as `module:name`, imported on demand.
        overrides: `a.b=value`, for every stage that trains.

    Raises:
        UserError: the file is missing or no YAML, or a key or value is wrong.
    """
    values = read_config(path)
    name, listed = values.pop("experiment", None), values.pop("stages", None)
    if not isinstance(name, str) or name not in experiments:
        raise UserError(f"{path}: experiment must be one of {', '.join(experiments)}, got {show(name)}")
    module, _, attribute = experiments[name].partition(":")
    experiment: type[Experiment] = getattr(importlib.import_module(module), attribute)
    if not listed:
        config = build(experiment.config_class, override_values(values, overrides), str(path))
        return Recipe(experiment, (Stage("", config),))
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise UserError(f"{path}: stages must be a list of keys and values, got {show(listed)}")
    stages: list[Stage] = []
    for number, entry in enumerate(listed, start=1):
        where = f"{path}: stage {number}"
        stages.append(_read_stage(experiment, dict(entry), values, [stage.name for stage in stages], overrides, where))
    return Recipe(experiment, tuple(stages))


def _read_stage(
    experiment: type[Experiment],
    entry: dict[str, Any],
    common: Mapping[str, Any],
    earlier: Sequence[str],
    overrides: Sequence[str],
    where: str,
) -> Stage:
    name = entry.pop("name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_]{1,40}", name) or name in earlier:
        raise UserError(f"{where}: name must be of its own, of small letters, digits and _, got {show(name)}")
    if "average" not in entry:
        values = override_values(merge_values(common, entry), overrides)
        return Stage(name, build(experiment.config_class, values, f"{where}, {name}"))
    shares = entry.pop("average")
    if entry:
        raise UserError(f"{where}, {name}: a stage that averages has no other key, got {', '.join(map(str, entry))}")
    if not isinstance(shares, dict) or not set(shares) <= set(earlier):
        raise UserError(f"{where}, {name}: average must give shares of {', '.join(earlier)}, got {show(shares)}")
    check_shares(shares, f"{where}, {name}: average")
    return Stage(name, average=shares)


def run_recipe(recipe: Recipe, run: Path, max_minutes: float | None = None, device: str = "auto") -> str:
    """Train every stage in its folder below `run`, or resume there; returns the outcome in one line.

    Args:
        recipe: see :func:`read_recipe`.
        run: folder of the recipe.
        max_minutes: limit of the current stage; later ones wait for the next call.
        device: see :func:`training.loop.make_accelerator`.

    Raises:
        UserError: the data or a run folder cannot be used, or another process trains there.
        SystemExit: a signal stopped the run; see :meth:`training.loop.Trainer.run`.
    """
    outcome = ""
    for stage in recipe.stages:
        folder = run / stage.name
        best = folder / "best"
        if stage.average:
            if not best.exists():
                average_models({run / name / "best": share for name, share in stage.average.items()}, best)
            outcome = f"{folder}: the average of {', '.join(stage.average)}; best model in {best}"
        elif stage is not recipe.stages[-1] and _is_finished(folder, stage.config.loop.steps):
            logger.info("%s is finished", folder)
        else:
            step, measures = _train(recipe, stage, run, max_minutes, device)
            values = ", ".join(f"{measure} {value:.4f}" for measure, value in measures.items())
            outcome = f"{folder}: step {step}, {values}; best model in {best}"
            if step < stage.config.loop.steps:
                break
    return outcome


def _is_finished(folder: Path, steps: int) -> bool:
    checkpoints = list_checkpoints(folder)
    return bool(checkpoints) and step_of(checkpoints[-1]) >= steps and (folder / "best" / CONFIG_NAME).is_file()


def _train(
    recipe: Recipe, stage: Stage, run: Path, max_minutes: float | None, device: str
) -> tuple[int, dict[str, float]]:
    """Train one stage; returns its step and the measures of its last validation."""
    config, folder = stage.config, run / stage.name
    if config.init_from in {other.name for other in recipe.stages}:
        config = replace(config, init_from=str(run / config.init_from / "best"))
    accelerator = make_accelerator(config.loop, device)
    with locked(folder, accelerator):
        experiment: Any = recipe.experiment(config)  # type: ignore[call-arg]
        trainer = Trainer(experiment, config.loop, folder, accelerator, to_plain(experiment.config))
        measures = trainer.run(max_minutes)
    return trainer.state.step, measures
