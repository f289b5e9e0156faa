"""How the translator is trained: who moves when, which losses count, who teaches whom."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from data.segments import UNLABELED
from data.sources import list_split
from stylize_core.classifier import GenreClassifier
from stylize_core.config import build, merge_values
from stylize_core.errors import UserError
from stylize_core.mel import MelConfig
from training.loop import Trainer
from travelgan import Translator
from travelgan.experiment import TranslatorExperiment
from travelgan.losses import content_distillation
from travelgan.methods import Batch, discriminator_step, own_styles, siamese_losses, target_styles
from travelgan.training_config import TranslatorTraining
from travelgan.validation import Translation, translate_all

Make = Callable[..., tuple[Trainer, TranslatorExperiment]]


STYLE_HEAD = {"kind": "style_head"}
ADVERSARY = {"discriminator": {"scales": [1, 2], "widths": [6, 8]}, "feature_matching": 2.0}
GENERATOR = {"kind": "generator", "weights": {"paired": 10.0}, "adversary": ADVERSARY}
UNPAIRED = {"weights": {"paired": 0.0}, "adversary": {"feature_matching": 0.0}}

pytestmark = pytest.mark.usefixtures("quick_validation")


@pytest.fixture
def make(translator_values: dict[str, Any], start_training: Callable[..., Any]) -> Make:
    def make(
        loop: dict[str, Any] | None = None, run: str = "run", **changes: Any
    ) -> tuple[Trainer, TranslatorExperiment]:
        values = merge_values(translator_values, changes | {"loop": loop or {}})
        return start_training(TranslatorExperiment, values, run)

    return make


def batch_of(experiment: TranslatorExperiment, size: int = 4) -> Batch:
    return default_collate([experiment.dataset[0, index % len(experiment.dataset)] for index in range(size)])


def weights(module: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def moved(module: nn.Module, before: list[Tensor]) -> float:
    changes = [not torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True)]
    return sum(changes) / len(changes)


def no_update(name: str, loss: Tensor) -> Tensor:
    return torch.tensor(1.0)


def test_each_step_moves_its_own_networks(make: Make) -> None:
    trainer, experiment = make()
    batch = batch_of(experiment)
    before = weights(experiment.networks.discriminator), weights(experiment.translator)
    seen: list[str] = []

    def update(name: str, loss: Tensor) -> Tensor:
        norm = trainer.update(name, loss)
        seen.append(name)
        if name == "discriminator":
            assert moved(experiment.translator, before[1]) == 0
            assert moved(experiment.networks.discriminator, before[0]) > 0.8
            before[0][:] = weights(experiment.networks.discriminator)
        return norm

    experiment.training_step(batch, 0, update)
    assert seen == ["discriminator", "generator"]
    assert moved(experiment.networks.discriminator, before[0]) == 0
    assert (
        moved(experiment.networks.generator, before[1][-len(list(experiment.networks.generator.parameters())) :]) > 0.9
    )
    assert moved(experiment.translator, before[1]) > 0.9
    everything = [*experiment.networks.discriminator.parameters(), *experiment.translator.parameters()]
    assert all(p.grad is None and p.requires_grad for p in everything)


def test_losses_have_their_names_and_the_generator_follows_their_weighted_sum(make: Make) -> None:
    _, experiment = make(
        method={"weights": {"travel": 2.0, "paired": 3.0, "margin": 0.0}, "adversary": {"feature_matching": 0.5}}
    )
    totals: dict[str, float] = {}

    def update(name: str, loss: Tensor) -> Tensor:
        totals[name] = loss.item()
        return torch.tensor(1.0)

    losses = experiment.training_step(batch_of(experiment), 0, update)
    assert losses.keys() >= {
        "discriminator", "mismatched_label", "adversarial", "travel", "style", "style_cosine", "identity", "paired",
        "feature_matching", "gradient_norm",
    }  # fmt: skip
    used = {"adversarial": 1.0, "travel": 2.0, "style": 1.0, "style_cosine": 1.0, "identity": 5.0, "paired": 3.0,
            "feature_matching": 0.5}  # fmt: skip
    expected = sum(weight * losses[name].item() for name, weight in used.items())
    assert totals["generator"] == pytest.approx(expected, rel=1e-4)
    expected = losses["discriminator"].item() + 0.5 * losses["mismatched_label"].item()
    assert totals["discriminator"] == pytest.approx(expected, rel=1e-4)


def test_terms_of_no_weight_are_left_out(make: Make) -> None:
    plain = {"identity": 0.0, "paired": 0.0, "style_cosine": 0.0}
    _, experiment = make(method={"weights": plain, "adversary": {"mismatched_label": 0.0, "feature_matching": 0.0}})
    losses = experiment.training_step(batch_of(experiment), 0, no_update)
    assert not {*plain, "mismatched_label", "feature_matching"} & losses.keys()


def test_mismatched_labels_counts_only_songs_of_other_styles(make: Make) -> None:
    _, experiment = make()
    batch = batch_of(experiment)
    batch["target_style"] = batch["source_style"].clone()  # every source has the style that is claimed
    losses = discriminator_step(experiment.networks, experiment.method, batch, batch["source"], no_update)
    assert losses["mismatched_label"].item() == 0.0


def test_mismatched_labels_leaves_out_songs_that_nobody_named(make: Make) -> None:
    """They may well have the style that is claimed."""
    _, experiment = make()
    batch = batch_of(experiment)
    batch["source_style"] = torch.full_like(batch["source_style"], UNLABELED)
    losses = discriminator_step(experiment.networks, experiment.method, batch, batch["source"], no_update)
    assert losses["mismatched_label"].item() == 0.0


def test_the_own_style_of_a_song_that_nobody_named_is_its_embedding(make: Make) -> None:
    _, experiment = make()
    batch = batch_of(experiment)
    batch["source_style"][1] = UNLABELED
    own = own_styles(experiment.networks, batch, 3)
    prototypes = experiment.networks.siamese.style_prototypes()
    torch.testing.assert_close(own[[0, 2]], prototypes[batch["source_style"][[0, 2]]])
    torch.testing.assert_close(own[1], experiment.networks.siamese(batch["source"][1:2]).style[0])


def test_trains_on_recordings_that_nobody_named(make: Make, tmp_path: Path, translator_values: dict[str, Any]) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    rate = MelConfig().sample_rate
    for number in range(3):  # enough that some are of the training part
        noise = 0.1 * np.random.default_rng(number).standard_normal(3 * rate).astype(np.float32)
        soundfile.write(strange / f"recording{number}.flac", noise, rate)
    files = list_split(strange, "train")
    data = translator_values["data"] | {"unlabeled": [str(strange)], "unlabeled_share": 0.9}
    trainer, experiment = make(data=data, method={"identity_share": 0.5})
    batch = batch_of(experiment, 8)
    unnamed = batch["source_style"] == UNLABELED
    assert files and 2 <= unnamed.sum() <= 8
    assert not batch["has_pair"][unnamed].any()
    losses = trainer.step(batch)
    assert all(torch.isfinite(value).all() for value in losses.values())


@pytest.mark.parametrize("data", [{"unlabeled_share": 1.0, "unlabeled": ["x"]}, {"unlabeled_share": 0.5}])
def test_refuses_a_share_of_nothing_and_nothing_but_strangers(
    make: Make, translator_values: dict[str, Any], data: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match="unlabeled"):
        make(data=translator_values["data"] | data)


def test_only_the_style_head_and_examples_hear_augmented_mels(make: Make) -> None:
    """And the same at the same step of the same seed, so that a run that goes on is the run that never stopped."""
    _, plain = make()
    _, experiment = make(augment_style=True, run="augmented")
    mel = batch_of(experiment)["source"]
    view = experiment.networks.style_view(mel, 3, 0)
    assert torch.equal(view, experiment.networks.style_view(mel, 3, 0))
    assert not torch.equal(view, experiment.networks.style_view(mel, 3, 1))
    assert not torch.equal(view, experiment.networks.style_view(mel, 4, 0))
    assert torch.equal(plain.networks.style_view(mel, 3, 0), mel)
    heard: list[Tensor] = []
    batch = batch_of(experiment)
    experiment.networks.siamese.register_forward_pre_hook(lambda module, inputs: heard.append(inputs[0].detach()))
    siamese_losses(
        experiment.networks, experiment.method, batch, batch["pair"], target_styles(experiment.networks, batch, 0.5), 5
    )
    both = torch.cat([batch["source"], batch["target"]])
    assert any(
        mel.shape == both.shape and torch.equal(mel, experiment.networks.style_view(both, 5, 1)) for mel in heard
    )
    assert any(torch.equal(mel, batch["source"]) for mel in heard), "content is heard as it is"


@pytest.mark.parametrize(("share", "by_example"), [(0.0, 0), (1.0, 4)])
def test_styles_come_by_name_or_by_example(make: Make, share: float, by_example: int) -> None:
    _, experiment = make(method={"example_share": share})
    batch = batch_of(experiment)
    style = target_styles(experiment.networks, batch, share)
    named = experiment.networks.siamese.style_prototypes()[batch["target_style"]]
    example = experiment.networks.siamese(batch["reference"]).style
    torch.testing.assert_close(style, example if by_example else named)
    assert not torch.allclose(example, named, atol=1e-2)


def test_the_style_cosine_teaches_the_generator_not_the_siamese_network(make: Make) -> None:
    """Or the siamese network would learn to call everything the target."""
    weights = dict.fromkeys(("travel", "margin", "style", "identity", "paired"), 0.0) | {"style_cosine": 1.0}
    trainer, experiment = make(method={"weights": weights, "adversary": None, "example_share": 0.0})
    before = {name: p.detach().clone() for name, p in experiment.translator.named_parameters()}
    batch = batch_of(experiment)
    trainer.step(batch)
    after = dict(experiment.translator.named_parameters())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("generator.") for name in changed)
    assert {name for name in changed if name.startswith("siamese.")} <= {"siamese.prototypes"}


def test_the_generator_learns_from_the_discriminator_through_it(make: Make) -> None:
    only = dict.fromkeys(("travel", "margin", "style", "style_cosine", "identity", "paired"), 0.0)
    trainer, experiment = make(method={"weights": only, "adversary": {"feature_matching": 0.0}})
    before = weights(experiment.networks.generator)
    trainer.step(batch_of(experiment))
    assert moved(experiment.networks.generator, before) > 0.9


def test_identity_is_about_the_first_of_the_batch_and_their_own_style(make: Make) -> None:
    _, experiment = make(method={"identity_share": 0.5})
    asked: list[tuple[Tensor, Tensor]] = []
    experiment.translator.register_forward_pre_hook(lambda module, inputs: asked.append(inputs))
    batch = batch_of(experiment)
    experiment.training_step(batch, 0, no_update)
    mel, style = asked[0]
    assert torch.equal(mel, torch.cat([batch["source"], batch["source"][:2]]))
    own = experiment.networks.siamese.style_prototypes()[batch["source_style"][:2]]
    torch.testing.assert_close(style[4:], own)


def test_it_learns_the_known_versions(make: Make) -> None:
    trainer, experiment = make(learning_rate=3e-3, generator={"widths": [16, 16], "dilations": [1]})
    batch = batch_of(experiment)
    assert batch["has_pair"].all()
    losses = [trainer.step(batch) for _ in range(40)]
    assert losses[-1]["paired"] < 0.8 * losses[0]["paired"]


def test_the_style_head_alone_learns_while_named_translations_stay(make: Make) -> None:
    trainer, experiment = make(method=STYLE_HEAD, learning_rate=3e-3, loop={"warmup_steps": 0})
    mel = experiment.validation[0]["source"][None]

    def look() -> list[Tensor]:
        with torch.no_grad():
            named = experiment.networks.siamese.style_prototypes()
            return [named, experiment.translator(mel, named[:1]), experiment.networks.siamese(mel).style]

    before = look()
    losses = [trainer.step(batch_of(experiment)) for _ in range(20)]
    named, translated, heard = (torch.equal(*pair) for pair in zip(before, look(), strict=True))
    assert named and translated and not heard
    assert list(losses[0]) == ["style", "content", "gradient_norm"]
    assert losses[-1]["style"] < losses[0]["style"]


def test_the_style_head_alone_leaves_content_vectors_where_they_were(make: Make) -> None:
    """Both heads read the same features: without the loss that holds them, content vectors move along."""

    def drift(run: str, weight: float) -> float:
        method = STYLE_HEAD | {"content_distillation": weight}
        trainer, experiment = make(run=run, method=method, loop={"warmup_steps": 0}, learning_rate=3e-3)
        songs = torch.stack([item["source"] for item in experiment.validation])
        with torch.no_grad():
            before = experiment.networks.siamese(songs).content
        for _ in range(20):
            trainer.step(batch_of(experiment))
        with torch.no_grad():
            return content_distillation(experiment.networks.siamese(songs).content, before).item()

    assert drift("held", 1.0) < 0.5 * drift("free", 0.0)


def test_the_style_head_alone_holds_content_to_the_network_it_starts_from(make: Make, tmp_path: Path) -> None:
    make()[1].translator.save_pretrained(tmp_path / "start")
    start = Translator.from_pretrained(tmp_path / "start")
    trainer, experiment = make(run="on", method=STYLE_HEAD, init_from=str(tmp_path / "start"), loop={"warmup_steps": 0})
    songs = torch.stack([item["source"] for item in experiment.validation])
    trainer.step(batch_of(experiment))
    assert experiment.networks.teacher is not None
    with torch.no_grad():
        assert torch.equal(experiment.networks.teacher(songs).content, start.siamese(songs).content)
        assert not torch.equal(experiment.networks.teacher(songs).style, experiment.networks.siamese(songs).style)


def test_the_generator_alone_learns_while_style_and_content_vectors_stay(make: Make) -> None:
    trainer, experiment = make(method=GENERATOR, loop={"warmup_steps": 0})
    networks = experiment.networks
    before = [weights(networks.siamese), weights(networks.generator), weights(networks.discriminator)]
    batch = batch_of(experiment)
    losses = trainer.step(batch)
    trainer.step(batch)
    assert moved(networks.siamese, before[0]) == 0
    assert moved(networks.generator, before[1]) > 0.9 and moved(networks.discriminator, before[2]) > 0.8
    assert {"travel", "style_cosine", "adversarial", "discriminator"} <= losses.keys()
    assert not {"margin", "style"} & losses.keys()
    with trainer.state.ema.swapped_in():
        assert moved(networks.siamese, before[0]) == 0 and moved(networks.generator, before[1]) > 0.9


def test_what_means_nothing_in_a_method_is_refused(make: Make) -> None:
    for method, problem in (
        (STYLE_HEAD | {"example_share": 0.5}, "method: unknown key 'example_share'"),
        (GENERATOR | {"content_margin": 1.0}, "method: unknown key 'content_margin'"),
        (GENERATOR | {"weights": {"margin": 1.0}}, "weights: unknown key 'margin'"),
        (GENERATOR | {"adversary": ADVERSARY | {"first_step": 9}}, "first_step 9 is not below loop.steps 2"),
        ({"kind": "all"}, "method: kind must be one of joint, generator, style_head, got 'all'"),
    ):
        with pytest.raises(UserError) as caught:
            make(method=method)
        assert problem in str(caught.value) and "\n" not in str(caught.value)
    nothing = dict.fromkeys(("travel", "identity", "style_cosine"), 0.0)
    with pytest.raises(UserError, match="at least one loss must count"):
        make(method=GENERATOR | {"weights": nothing, "adversary": None})
    with pytest.raises(UserError, match="method.weights.paired is 10, but without data.paired"):
        make(data={"paired": False})


def test_the_best_style_head_is_the_one_that_hears_most_clearly(make: Make) -> None:
    assert make()[1].best_measure == "valid/score"
    assert make(run="head", method=STYLE_HEAD)[1].best_measure == "valid/lead"


@pytest.mark.parametrize(("method", "times"), [({"kind": "style_head"}, 1), ({"kind": "joint"}, 2)])
def test_translations_that_do_not_change_are_made_once(
    make: Make, monkeypatch: pytest.MonkeyPatch, method: dict[str, str], times: int
) -> None:
    trainer, experiment = make(method=method, learning_rate=3e-3, loop={"warmup_steps": 0})
    made: list[int] = []

    def translate(*arguments: Any) -> list[Translation]:
        made.append(1)
        return translate_all(*arguments)

    monkeypatch.setattr("travelgan.experiment.translate_all", translate)
    experiment.classifier = GenreClassifier(("jazz", "metal"), experiment.config.mel, width=4).eval()
    before = experiment.validate()
    for _ in range(3):
        trainer.step(batch_of(experiment))
    after = experiment.validate()
    assert len(made) == times
    assert after["valid/lead"] != before["valid/lead"]
    assert len(experiment.samples()) == 8


def test_extra_folders_are_learnt_from_and_their_songs_are_no_pairs_of_others(
    make: Make, translator_values: dict[str, Any], tone_corpus: Path, tmp_path: Path
) -> None:
    further = tmp_path / "further"
    shutil.copytree(tone_corpus, further)
    for path in further.glob("*/*.wav"):  # silence, in songs of the same numbers
        soundfile.write(path, np.zeros(33075), 22050, subtype="PCM_16")
    data = translator_values["data"]
    plain, wider = make()[1], make(run="wider", data=data | {"extra": [str(further)]})[1]
    assert len(wider.dataset) == 2 * len(plain.dataset)  # type: ignore[arg-type]
    assert len(wider.validation) == len(plain.validation)
    floor = wider.config.mel.log_floor
    items = [wider.dataset[0, index] for index in range(len(wider.dataset))]  # type: ignore[arg-type]
    silent = [bool((item["source"] < floor + 0.1).all()) for item in items]
    assert sum(silent) == len(silent) // 2
    for item, quiet in zip(items, silent, strict=True):
        assert item["has_pair"] and bool((item["pair"] < floor + 0.1).all()) == quiet


def test_mixed_precision_trains(make: Make) -> None:
    trainer, experiment = make(loop={"mixed_precision": "bf16"})
    before = weights(experiment.translator)
    losses = trainer.step(batch_of(experiment))
    assert all(torch.isfinite(value) for value in losses.values())
    assert moved(experiment.translator, before) > 0.9


def test_a_run_exports_the_averaged_translator_and_puts_everything_back(make: Make) -> None:
    trainer, experiment = make(loop={"steps": 3})
    experiment.networks.discriminator.eval()
    measures = trainer.run()
    assert experiment.translator.training and not experiment.networks.discriminator.training
    rates = measures["valid/target_rate"] - measures["valid/source_rate"]
    expected = rates + 0.5 + measures["valid/nearer"] + measures["valid/recognized"]
    assert measures["valid/score"] == pytest.approx(expected)
    assert len(experiment.validation) >= 32
    best = Translator.from_pretrained(trainer.run_folder / "best")
    mel = experiment.validation[0]["source"][None]
    style = torch.nn.functional.normalize(torch.ones(1, best.style_size))
    with torch.no_grad():
        own = experiment.translator(mel, style)
        with trainer.state.ema.swapped_in():
            averaged = experiment.translator(mel, style)
        exported = best(mel, style)
    torch.testing.assert_close(exported, averaged, atol=1e-2, rtol=0)
    assert (exported - averaged).abs().mean() < (exported - own).abs().mean()
    assert best.styles == ("jazz", "metal")
    written = {path.suffix for path in (trainer.run_folder / "samples").iterdir()}
    assert {".wav", ".png"} <= written


def test_without_pairs_it_trains_as_on_gtzan(make: Make, translator_values: dict[str, Any]) -> None:
    trainer, experiment = make(data={"paired": False}, method=UNPAIRED)
    batch = batch_of(experiment)
    assert not batch["has_pair"].any()
    assert not {"paired", "feature_matching"} & trainer.step(batch).keys()
    assert "valid/to_truth" not in trainer.run(max_minutes=0)


def test_pretraining_leaves_the_discriminator_alone(make: Make) -> None:
    trainer, experiment = make(method={"adversary": {"first_step": 1}})
    before = weights(experiment.networks.discriminator), weights(experiment.translator)
    losses = trainer.step(batch_of(experiment))
    assert not {"discriminator", "mismatched_label", "adversarial", "feature_matching"} & losses.keys()
    assert moved(experiment.networks.discriminator, before[0]) == 0
    assert moved(experiment.translator, before[1]) > 0.9
    losses = trainer.step(batch_of(experiment))
    assert {"discriminator", "mismatched_label", "adversarial", "feature_matching"} <= losses.keys()
    assert moved(experiment.networks.discriminator, before[0]) > 0.8


def test_a_run_can_init_from_a_model(make: Make, tmp_path: Path, translator_values: dict[str, Any]) -> None:
    _, first = make(loop={"seed": 3}, run="first")
    with torch.no_grad():
        for parameter in first.translator.parameters():
            parameter.copy_(parameter.half())  # model folders are in half precision
    first.translator.save_pretrained(tmp_path / "model", {"step": 7, "init": {"step": 3}})
    trainer, tuned = make(run="tuned", init_from=str(tmp_path / "model"))
    _, fresh = make(run="fresh")
    assert moved(tuned.translator, weights(first.translator)) == 0
    assert moved(fresh.translator, weights(first.translator)) > 0.5
    with pytest.raises(UserError, match=r"another mel front-end \(wanted / its: floor: 0.0001 / 1e-05\)"):
        make(run="other", init_from=str(tmp_path / "model"), mel=translator_values["mel"] | {"floor": 1e-4})
    trainer.run()
    told = json.loads((trainer.run_folder / "best" / "config.json").read_text())["training"]
    assert told["step"] > 0 and told["init"] == {"step": 7, "init": {"step": 3}}  # the whole way to these weights


def test_a_missing_style_and_a_missing_folder_are_said(translator_values: dict[str, Any], tmp_path: Path) -> None:
    data = translator_values["data"]
    for change, problem in (
        ({"styles": ["jazz", "reggae"]}, "has no style 'reggae'. It has jazz, metal; "),
        ({"styles": ["metall"]}, "has no style 'metall'; did you mean metal"),
        ({"folder": str(tmp_path / "gone")}, "no such folder"),
        ({"classifier": str(tmp_path / "gone")}, "model folder not found"),
    ):
        config = build(TranslatorTraining, translator_values | {"data": data | change}, "test")
        with pytest.raises(UserError, match=problem):
            TranslatorExperiment(config)


def test_a_folder_of_a_users_own(translator_values: dict[str, Any], tmp_path: Path) -> None:
    """No style is named, and they are called as folders are called; a file that is no audio stops nobody."""
    styles = ("Drum, Bass: live", "Jazz", "hip hop")
    generator = np.random.default_rng(0)
    for style in styles:
        (tmp_path / "own" / style).mkdir(parents=True)
        for song in ("first song.wav", "2nd.wav", "3.wav"):
            soundfile.write(tmp_path / "own" / style / song, 0.1 * generator.standard_normal(8000), 22050)
    (tmp_path / "own" / "Jazz" / "broken.wav").write_text("no audio")
    data = {name: value for name, value in translator_values["data"].items() if name != "styles"}
    data |= {"folder": str(tmp_path / "own"), "paired": False, "validation_clips": 7, "validation_frames": 32}
    values = merge_values(translator_values, {"method": UNPAIRED}) | {"data": data}
    experiment = TranslatorExperiment(build(TranslatorTraining, values, "test"))
    assert experiment.config.data.styles == experiment.translator.styles == styles
    assert len(experiment.validation) == 7
    assert {int(item["source_style"]) for item in experiment.validation} == {0, 1, 2}
    experiment.validate()
    for sample in experiment.samples():
        assert re.fullmatch(r"[\w.-]+", sample.name)


def test_a_folder_with_one_style_is_refused(translator_values: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "Jazz").mkdir()
    (tmp_path / "Jazz" / "1.wav").touch()
    data = translator_values["data"] | {"folder": str(tmp_path), "styles": []}
    config = build(TranslatorTraining, translator_values | {"data": data}, "test")
    with pytest.raises(UserError, match="got one style, Jazz, of .*; a translator needs two or more"):
        TranslatorExperiment(config)
