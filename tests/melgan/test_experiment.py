"""How the vocoder is trained: who moves when, what is validated, what is exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from data.audio import read_audio
from data.errors import UserError
from data.sources import list_split
from melgan import Vocoder
from melgan.experiment import VocoderExperiment, VocoderTraining
from training.config import build, to_plain
from training.loop import Trainer, make_accelerator
from training.measures import mel_l1, multi_resolution_stft_distance


def some_cosine(wav: Tensor, reference: Tensor, sample_rate: int) -> float:
    """Instead of a constant-Q transform, which takes a while and has tests of its own."""
    return float(torch.cosine_similarity(wav, reference, dim=0)) + 1 / sample_rate


@pytest.fixture(autouse=True)
def quick_chroma(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("melgan.experiment.chroma_cosine", some_cosine)


Make = Callable[..., tuple[Trainer, VocoderExperiment]]


@pytest.fixture
def make(vocoder_values: dict[str, Any], tmp_path: Path, fresh_accelerate: None) -> Make:
    def make(loop: dict[str, Any] | None = None, run: str = "run", **changes: Any) -> tuple[Trainer, VocoderExperiment]:
        values = vocoder_values | changes
        values["loop"] = values["loop"] | (loop or {})
        config = build(VocoderTraining, values, "test")
        experiment = VocoderExperiment(config)
        accelerator = make_accelerator(config.loop, "cpu")
        return Trainer(experiment, config.loop, tmp_path / run, accelerator, to_plain(config)), experiment

    return make


def batch_of(experiment: VocoderExperiment, size: int = 4) -> Tensor:
    return default_collate([experiment.dataset[0, index % len(experiment.segments)] for index in range(size)])


def weights(module: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def moved(module: nn.Module, before: list[Tensor]) -> float:
    """Share of the parameters that are not what they were."""
    changes = [not torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True)]
    return sum(changes) / len(changes)


def test_pretraining_leaves_the_discriminators_alone(make: Make) -> None:
    trainer, experiment = make(pretrain_steps=3)
    before = weights(experiment.discriminator), weights(experiment.vocoder)
    losses = trainer.step(batch_of(experiment))
    assert losses.keys() == {"stft", "mel", "gradient_norm"}
    assert moved(experiment.discriminator, before[0]) == 0
    assert moved(experiment.vocoder, before[1]) > 0.9
    assert experiment.optimizers["discriminator"].state_dict()["state"] == {}
    trainer.state.step = 3
    losses = trainer.step(batch_of(experiment))
    assert {"discriminator", "adversarial", "feature_matching"} <= losses.keys()
    assert moved(experiment.discriminator, before[0]) > 0.8


def test_each_step_moves_its_own_networks(make: Make) -> None:
    trainer, experiment = make()
    batch = batch_of(experiment)
    step = {"real": batch[:, None], "mel": experiment.log_mel(batch), "update": trainer.update}
    before = weights(experiment.discriminator), weights(experiment.vocoder)
    experiment.discriminator_step(**step)
    assert moved(experiment.vocoder, before[1]) == 0
    assert moved(experiment.discriminator, before[0]) > 0.8
    between = weights(experiment.discriminator)
    experiment.generator_step(**step, adversarial=True)
    assert moved(experiment.discriminator, between) == 0
    assert moved(experiment.vocoder, before[1]) > 0.9
    parameters = [*experiment.discriminator.parameters(), *experiment.vocoder.parameters()]
    assert all(p.grad is None and p.requires_grad for p in parameters)


def test_losses_are_what_the_networks_say(make: Make) -> None:
    """Every term worked out again, and the generator's update follows their weighted sum."""
    _, experiment = make(weights={"stft": 0.5, "mel": 2.0, "adversarial": 3.0, "feature_matching": 4.0})
    batch = batch_of(experiment)
    real, mel = batch[:, None], experiment.log_mel(batch)
    totals: dict[str, float] = {}

    def update(name: str, loss: Tensor) -> Tensor:
        totals[name] = loss.item()
        return torch.tensor(1.0)

    losses = experiment.training_step(batch, step=1, update=update)
    with torch.no_grad():
        fake = experiment.vocoder(mel)
        on_real, on_fake = experiment.discriminator(real), experiment.discriminator(fake)
        hinge = sum(
            (1 - r[-1]).clamp(min=0).mean() + (1 + f[-1]).clamp(min=0).mean()
            for r, f in zip(on_real, on_fake, strict=True)
        )
        distances = [
            (a - b).abs().mean()
            for r, f in zip(on_real, on_fake, strict=True)
            for a, b in zip(r[:-1], f[:-1], strict=True)
        ]
        expected = {
            "discriminator": hinge,
            "mel": (experiment.log_mel(fake[:, 0]) - mel).abs().mean(),
            "adversarial": -sum(f[-1].mean() for f in on_fake),
            "feature_matching": sum(distances) / len(distances),
        }
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(float(value), rel=1e-4), name
    assert totals["discriminator"] == pytest.approx(losses["discriminator"].item())
    terms = [(0.5, "stft"), (2.0, "mel"), (3.0, "adversarial"), (4.0, "feature_matching")]
    assert totals["generator"] == pytest.approx(sum(w * losses[n].item() for w, n in terms), rel=1e-5)


def test_it_learns(make: Make) -> None:
    trainer, experiment = make(pretrain_steps=100, generator_lr=3e-3)
    batch = batch_of(experiment)
    losses = [trainer.step(batch) for _ in range(25)]
    assert losses[-1]["stft"] < 0.8 * losses[0]["stft"]
    assert losses[-1]["mel"] < 0.8 * losses[0]["mel"]


def test_mixed_precision_trains_and_keeps_the_mel_exact(make: Make) -> None:
    trainer, experiment = make(loop={"mixed_precision": "bf16"}, pretrain_steps=0)
    before = weights(experiment.vocoder)
    losses = trainer.step(batch_of(experiment))
    assert all(torch.isfinite(value) and value.dtype == torch.float32 for value in losses.values())
    assert moved(experiment.vocoder, before) > 0.9


def test_validation_measures_the_averaged_weights_and_puts_everything_back(make: Make) -> None:
    trainer, experiment = make()
    experiment.discriminator.eval()
    trainer.step(batch_of(experiment))
    average = {key: value.clone() for key, value in trainer.state.average.weights.items()}
    own = weights(experiment.vocoder)
    measures = trainer.run(max_minutes=0)
    assert moved(experiment.vocoder, own) == 0
    assert experiment.vocoder.training and not experiment.discriminator.training
    assert all(torch.equal(average[key], value) for key, value in trainer.state.average.weights.items())

    best = Vocoder.from_pretrained(trainer.run_folder / "best")
    with trainer.state.average.swapped_in(), torch.no_grad():
        mel = experiment.log_mel(experiment.validation_wavs[0][None])
        torch.testing.assert_close(best(mel), experiment.vocoder(mel), atol=2e-2, rtol=0)
        expected = [
            (multi_resolution_stft_distance(fake, wav), mel_l1(fake, wav), some_cosine(fake, wav, 22050))
            for wav in experiment.validation_wavs
            for fake in [experiment.vocoder(experiment.log_mel(wav[None]))[0, 0]]
        ]
    assert len(expected) == 2
    means = [sum(column) / 2 for column in zip(*expected, strict=True)]
    names = ("valid/mr_stft", "valid/mel_l1", "valid/chroma")
    assert [measures[name] for name in names] == pytest.approx(means, rel=1e-5)


def test_validation_clips_are_fixed_spread_and_filled_up(make: Make, tone_corpus: Path) -> None:
    _, experiment = make()
    files = list_split(tone_corpus, "valid")
    expected = [read_audio(files[index], mono=True)[0][0, : 172 * 128] for index in (0, 2)]
    for wav, wanted in zip(experiment.validation_wavs, expected, strict=True):
        torch.testing.assert_close(wav, torch.from_numpy(wanted))
    _, longer = make(run="longer", data=to_plain(experiment.config)["data"] | {"validation_frames": 300})
    assert [len(wav) for wav in longer.validation_wavs] == [300 * 128] * 2
    assert torch.count_nonzero(longer.validation_wavs[0][int(1.5 * 22050) + 1 :]) == 0


def test_samples_are_the_clips_before_and_after(make: Make) -> None:
    _, experiment = make()
    experiment.validate()
    samples = experiment.samples()
    assert [(s.name, s.fixed) for s in samples] == [
        ("clip-0-original", True),
        ("clip-0", False),
        ("clip-1-original", True),
        ("clip-1", False),
    ]
    original, made = samples[:2]
    torch.testing.assert_close(torch.from_numpy(original.wav), experiment.validation_wavs[0])
    torch.testing.assert_close(torch.from_numpy(made.wav), experiment.synthesised[0])
    assert made.mels.keys() == {"original", "synthesised"} and made.mels["original"].shape == (8, 172)


def test_the_seed_decides_the_first_weights(make: Make) -> None:
    first, again, other = (weights(make(loop={"seed": seed}, run=f"seed-{seed}")[1].vocoder) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_refinement_takes_part_and_gradients_go_through_it(make: Make) -> None:
    trainer, experiment = make(refine_iterations=2, weights={"stft": 1.0, "raw_stft": 0.0, "mel": 0.0})
    batch = batch_of(experiment)
    raw, refined = experiment.synthesise(experiment.log_mel(batch))
    assert raw.shape == refined.shape and not torch.allclose(raw, refined, atol=1e-3)
    before = weights(experiment.vocoder)
    trainer.state.step = 0
    losses = trainer.step(batch)
    torch.testing.assert_close(losses["stft"], experiment.stft_loss(refined, batch[:, None]).detach())
    torch.testing.assert_close(losses["raw_stft"], experiment.stft_loss(raw, batch[:, None]).detach())
    assert losses["stft"] < losses["raw_stft"]
    assert moved(experiment.vocoder, before) > 0.9


def test_a_run_can_start_from_a_model(make: Make, tmp_path: Path, vocoder_values: dict[str, Any]) -> None:
    _, first = make(loop={"seed": 3}, run="first")
    first.vocoder.save_pretrained(tmp_path / "model", {}, half=False)
    mel = torch.randn(1, 8, 20) - 2
    _, tuned = make(run="tuned", start_from=str(tmp_path / "model"))
    _, fresh = make(run="fresh")
    torch.testing.assert_close(tuned.vocoder(mel), first.vocoder(mel))
    assert not torch.allclose(fresh.vocoder(mel), first.vocoder(mel), atol=1e-4)
    with pytest.raises(UserError, match=r"another mel front-end \(wanted / its: f_max: 8000.0 / 11025.0\)"):
        make(run="other", start_from=str(tmp_path / "model"), mel=vocoder_values["mel"] | {"f_max": 8000.0})


def test_folders_without_audio_are_said(vocoder_values: dict[str, Any], tmp_path: Path) -> None:
    for folder, problem in ((tmp_path, "no audio in"), (tmp_path / "gone", "no such folder")):
        values = vocoder_values | {"data": {"folders": [str(folder)], "segment_frames": 16}}
        with pytest.raises(UserError, match=problem):
            VocoderExperiment(build(VocoderTraining, values, "test"))
