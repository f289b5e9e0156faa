"""Recipes: every file in configs/ trains in all its stages, and says what made the shipped weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.utils.data import default_collate

from scripts.train import EXPERIMENTS
from stylize_core.config import build, to_plain
from stylize_core.errors import UserError
from training.loop import Trainer, make_accelerator
from training.loop_config import FREE_SETTINGS
from training.recipe import Recipe, read_recipe, run_recipe
from travelgan import Translator

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("**/*.yaml"))
MODELS = sorted((ROOT / "stylize" / "models").iterdir())
STAGES = [(path, stage.name) for path in CONFIGS for stage in read_recipe(path, EXPERIMENTS).stages if stage.config]


def tiny(experiment: str, config: Any, corpus: Path) -> Any:
    """The same configuration, small enough to be tried."""
    loop = replace(config.loop, steps=1, batch_size=2, workers=0, wandb="off")
    data = to_plain(config.data) | {"validation_clips": 2}
    if experiment in ("vocoder", "autoencoder"):
        data |= {"folders": [str(corpus)], "segment_frames": 16, "validation_frames": 16}
    else:
        data |= {"folder": str(corpus), "cache": str(corpus.parent / "tone-mels")}
    values = to_plain(config) | {"loop": to_plain(loop), "init_from": None}
    if experiment == "vocoder":
        values["generator"]["width"] = 16
        data |= {"translated": [], "translated_share": 0.0}
        if values["adversary"]:
            values["adversary"] |= {"first_step": 0, "discriminator": {"width": 4, "layers": 2}}
    if experiment == "autoencoder":
        values["network"]["widths"] = [8, 8, 8]
    if experiment == "translator":
        data |= {"styles": ["jazz", "metal"], "classifier": None, "segment_frames": 64, "validation_frames": 64}
        data |= {name: [str(corpus)] for name in ("unlabeled", "extra") if data[name]}
        values["generator"] |= {"widths": [8, 8], "dilations": [1]}
        values["siamese"]["widths"] = [8, 8]
        if values["method"].get("adversary"):
            values["method"]["adversary"] |= {"first_step": 0, "discriminator": {"widths": [8, 8]}}
    return build(type(config), values | {"data": data}, "tiny")


@pytest.mark.parametrize(("path", "name"), STAGES, ids=[f"{path.stem} {name}".strip() for path, name in STAGES])
def test_every_stage_trains_a_step(
    path: Path, name: str, tone_corpus: Path, tmp_path: Path, fresh_accelerate: None
) -> None:
    recipe = read_recipe(path, EXPERIMENTS)
    (stage,) = [stage for stage in recipe.stages if stage.name == name]
    kind = next(kind for kind, where in EXPERIMENTS.items() if where.endswith(recipe.experiment.__name__))
    config = tiny(kind, stage.config, tone_corpus)
    experiment: Any = recipe.experiment(config)  # type: ignore[call-arg]
    trainer = Trainer(experiment, config.loop, tmp_path, make_accelerator(config.loop, "cpu"), to_plain(config))
    trained = [p for m in experiment.modules.values() for p in m.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in trained]
    losses = trainer.step(default_collate([experiment.dataset[0, index] for index in range(2)]))
    assert all(torch.isfinite(value) for value in losses.values())
    few = 0 if name == "style_head" else len(before) / 2
    assert sum(not torch.equal(a, b) for a, b in zip(before, trained, strict=True)) > few


def leaves(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(values, Mapping):
        yield prefix, values
        return
    for name, value in values.items():
        yield from leaves(value, f"{prefix}.{name}" if prefix else name)


def records_of(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A training record, and those of the models that its weights come from, the last stage first."""
    if "config" in record:
        yield record
    for part in record.get("averaged", ()):
        yield from records_of(part["training"])
    if "init" in record:
        yield from records_of(record["init"])


def stage_of(recipe: Recipe, record: Mapping[str, Any], model: str) -> Any:
    """The stage whose configuration a record must have: by the model that both start from, and by the method."""
    init, kind = record["config"].get("init_from"), record["config"].get("method", {}).get("kind")
    for stage in recipe.stages:
        if stage.config is None:
            continue
        theirs = stage.config.init_from and f"runs/{model}/{stage.config.init_from}/best"
        if theirs == init and (kind is None or stage.config.method.kind == kind):
            return stage
    raise AssertionError(f"no stage starts from {init}")


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_the_recipe_says_what_the_shipped_weights_were_trained_with(folder: Path) -> None:
    """Only how often to report and in which precision, the length after the best state, and names of folders differ."""
    document = json.loads((folder / "config.json").read_text())
    recipe = read_recipe(ROOT / "configs" / f"{folder.name}.yaml", EXPERIMENTS)
    records, seen = list(records_of(document["training"])), set()
    for record in records:
        stage = stage_of(recipe, record, folder.name)
        seen.add(stage.name)
        ours, theirs = dict(leaves(to_plain(stage.config))), dict(leaves(record["config"]))
        free = {f"loop.{name}" for name in FREE_SETTINGS} | {"init_from", "data.cache"}
        free |= {"data.styles"}  # the folder's, which the recipe need not name
        free |= {"generator.refine_iterations"}  # of validations; the model's own is compared below
        assert {name for name, value in theirs.items() if name not in free and ours.get(name, ...) != value} == set()
        if "step" in record:
            steps, every = stage.config.loop.steps, stage.config.loop.validate_every
            assert record["step"] <= steps and (record["step"] == steps or record["step"] % every == 0)
        if theirs.get("loop.mixed_precision", "bf16") == "no":
            assert stage.config.loop.mixed_precision == "no"
    assert seen == {stage.name for stage in recipe.stages if stage.config}
    last = recipe.stages[-1]
    if last.average:
        shares = {Path(part["model"]).parts[-2]: part["share"] for part in document["training"]["averaged"]}
        assert shares == last.average
    trained = [stage.config for stage in recipe.stages if stage.config][-1]
    assert document["mel"] == to_plain(trained)["mel"]
    parts = {"vocoder": ("generator",), "autoencoder": ("network",), "translator": ("generator", "siamese")}
    for part in parts.get(folder.name, ()):
        model = document["model"][part] if folder.name == "translator" else document["model"]
        assert model == to_plain(getattr(trained, part))


def test_every_model_has_a_make_target_and_its_card_names_only_that() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for folder in MODELS:
        assert f"$(TRAIN) configs/{folder.name}.yaml" in makefile
        card = (folder / "README.md").read_text()
        assert f"`make {folder.name}`" in card and f"configs/{folder.name}.yaml" in card
        assert "scripts.train " not in card and "scripts.average_models" not in card


TEXT = """
experiment: translator
{values}
stages:
  - {{name: first}}
  - {{name: second, init_from: first, method: {{kind: generator, adversary: {{discriminator: {{widths: [6, 8]}}}}}}}}
  - {{name: both, average: {{first: 0.25, second: 0.75}}}}
"""


@pytest.fixture
def recipe_file(tmp_path: Path, translator_values: dict[str, Any]) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(TEXT.format(values=yaml.safe_dump(translator_values)))
    return path


def test_stages_run_one_after_the_other_and_resume_where_they_stopped(
    recipe_file: Path, tmp_path: Path, fresh_accelerate: None, quick_validation: None
) -> None:
    recipe, run = read_recipe(recipe_file, EXPERIMENTS), tmp_path / "run"
    assert run_recipe(recipe, run, max_minutes=0, device="cpu").startswith(f"{run}/first: step 0, ")
    assert not (run / "second").exists()
    assert run_recipe(recipe, run, device="cpu").endswith(f"average of first, second; best model in {run}/both/best")
    resolved = yaml.safe_load((run / "second" / "config.yaml").read_text())
    assert resolved["init_from"] == str(run / "first" / "best") and resolved["method"]["kind"] == "generator"
    first, second, both = (Translator.from_pretrained(run / name / "best") for name in ("first", "second", "both"))
    for name, value in both.state_dict().items():
        expected = 0.25 * first.state_dict()[name] + 0.75 * second.state_dict()[name]
        torch.testing.assert_close(value, expected, atol=2e-3, rtol=2e-3)  # stored in half precision
    before = (run / "first" / "metrics.jsonl").read_text()
    run_recipe(recipe, run, device="cpu")
    assert (run / "first" / "metrics.jsonl").read_text() == before


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("experiment: translator", "experiment: singer", "experiment must be one of vocoder, translator, classifier"),
        ("experiment: translator", "", "classifier, autoencoder, got None"),
        ("name: second", "name: first", "stage 2: name must be of its own"),
        ("name: second", "name: a/b", "stage 2: name must be of its own, of small letters, digits and _, got 'a/b'"),
        ("init_from: first", "start_from: first", "stage 2, second: unknown key 'start_from'"),
        ("second: 0.75", "second: 0.5", "stage 3, both: average: shares must be in [0, 1] and add up to 1"),
        ("second: 0.75", "third: 0.75", "stage 3, both: average must give shares of first, second"),
        ("average:", "loop: {steps: 3}, average:", "a stage that averages has no other key, got loop"),
    ],
)
def test_what_is_wrong_in_a_stage_is_said_in_one_line(recipe_file: Path, old: str, new: str, problem: str) -> None:
    recipe_file.write_text(recipe_file.read_text().replace(old, new))
    with pytest.raises(UserError) as caught:
        read_recipe(recipe_file, EXPERIMENTS)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_values_of_the_command_line_are_for_every_stage(recipe_file: Path) -> None:
    recipe = read_recipe(recipe_file, EXPERIMENTS, ["loop.steps=9"])
    assert [stage.config.loop.steps for stage in recipe.stages if stage.config] == [9, 9]
