"""How the vocoder is trained: who moves when, what is validated, what is exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from data.sources import list_split
from data.translated import TranslatedFolder
from melgan import Vocoder
from melgan.experiment import VocoderExperiment, VocoderTraining
from melgan.losses import SubbandSTFTLoss
from stylize_core.audio.reader import read_audio
from stylize_core.config import build, merge_values, to_plain
from stylize_core.errors import UserError
from stylize_core.metrics.waveform import mel_l1, multi_resolution_stft_distance
from training.loop import Trainer


def some_cosine(wav: Tensor, reference: Tensor, sample_rate: int) -> float:
    """Instead of a constant-Q transform, which takes a while and has tests of its own."""
    return float(torch.cosine_similarity(wav, reference, dim=0)) + 1 / sample_rate


@pytest.fixture(autouse=True)
def quick_chroma(quick_validation: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("melgan.experiment.chroma_cosine", some_cosine)


Make = Callable[..., tuple[Trainer, VocoderExperiment]]


@pytest.fixture
def make(vocoder_values: dict[str, Any], start_training: Callable[..., Any]) -> Make:
    def make(loop: dict[str, Any] | None = None, run: str = "run", **changes: Any) -> tuple[Trainer, VocoderExperiment]:
        values = merge_values(vocoder_values, changes | {"loop": loop or {}})
        if changes.get("adversary", {}) is None:
            values["adversary"] = None
        return start_training(VocoderExperiment, values, run)

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
    trainer, experiment = make(loop={"steps": 9}, adversary={"first_step": 3})
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
    real, mel = batch[:, None], experiment.log_mel(batch)
    before = weights(experiment.discriminator), weights(experiment.vocoder)
    experiment.discriminator_step(real=real, conditioning=mel, update=trainer.update)
    assert moved(experiment.vocoder, before[1]) == 0
    assert moved(experiment.discriminator, before[0]) > 0.8
    between = weights(experiment.discriminator)
    experiment.generator_step(real=real, mel=mel, conditioning=mel, update=trainer.update, adversarial=True)
    assert moved(experiment.discriminator, between) == 0
    assert moved(experiment.vocoder, before[1]) > 0.9
    parameters = [*experiment.discriminator.parameters(), *experiment.vocoder.parameters()]
    assert all(p.grad is None and p.requires_grad for p in parameters)


def test_losses_are_what_the_networks_say(make: Make) -> None:
    """Every term worked out again, and the generator's update follows their weighted sum."""
    _, experiment = make(weights={"stft": 0.5, "mel": 2.0}, adversary={"adversarial": 3.0, "feature_matching": 4.0})
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
            (1 - r.scores).clamp(min=0).mean() + (1 + f.scores).clamp(min=0).mean()
            for r, f in zip(on_real, on_fake, strict=True)
        )
        distances = [
            (a - b).abs().mean()
            for r, f in zip(on_real, on_fake, strict=True)
            for a, b in zip(r.features, f.features, strict=True)
        ]
        expected = {
            "discriminator": hinge,
            "mel": (experiment.log_mel(fake[:, 0]) - mel).abs().mean(),
            "adversarial": -sum(f.scores.mean() for f in on_fake),
            "feature_matching": sum(distances) / len(distances),
        }
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(float(value), rel=1e-4), name
    assert totals["discriminator"] == pytest.approx(losses["discriminator"].item())
    terms = [(0.5, "stft"), (2.0, "mel"), (3.0, "adversarial"), (4.0, "feature_matching")]
    assert totals["generator"] == pytest.approx(sum(w * losses[n].item() for w, n in terms), rel=1e-5)


def test_it_learns(make: Make) -> None:
    trainer, experiment = make(adversary=None, learning_rate=3e-3)
    batch = batch_of(experiment)
    losses = [trainer.step(batch) for _ in range(25)]
    assert losses[-1]["stft"] < 0.8 * losses[0]["stft"]
    assert losses[-1]["mel"] < 0.8 * losses[0]["mel"]


def test_mixed_precision_trains_and_keeps_the_mel_exact(make: Make) -> None:
    trainer, experiment = make(loop={"mixed_precision": "bf16"}, adversary={"first_step": 0})
    before = weights(experiment.vocoder)
    losses = trainer.step(batch_of(experiment))
    assert all(torch.isfinite(value) and value.dtype == torch.float32 for value in losses.values())
    assert moved(experiment.vocoder, before) > 0.9


def test_validation_measures_the_averaged_weights_and_puts_everything_back(make: Make) -> None:
    trainer, experiment = make()
    experiment.discriminator.eval()
    trainer.step(batch_of(experiment))
    average = {key: value.clone() for key, value in trainer.state.ema.weights.items()}
    own = weights(experiment.vocoder)
    measures = trainer.run(max_minutes=0)
    assert moved(experiment.vocoder, own) == 0
    assert experiment.vocoder.training and not experiment.discriminator.training
    assert all(torch.equal(average[key], value) for key, value in trainer.state.ema.weights.items())

    best = Vocoder.from_pretrained(trainer.run_folder / "best")
    with trainer.state.ema.swapped_in(), torch.no_grad():
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
    torch.testing.assert_close(torch.from_numpy(made.wav), experiment.synthesized[0])
    assert made.mels.keys() == {"original", "synthesized"} and made.mels["original"].shape == (8, 172)


def test_the_seed_decides_the_first_weights(make: Make) -> None:
    first, again, other = (weights(make(loop={"seed": seed}, run=f"seed-{seed}")[1].vocoder) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_refinement_takes_part_and_gradients_go_through_it(make: Make) -> None:
    trainer, experiment = make(refine_iterations=2, weights={"stft": 1.0, "raw_stft": 1e-9, "mel": 0.0})
    batch = batch_of(experiment)
    raw, refined = experiment.synthesize(experiment.log_mel(batch))
    assert raw.shape == refined.shape and not torch.allclose(raw, refined, atol=1e-3)
    before = weights(experiment.vocoder)
    trainer.state.step = 0
    losses = trainer.step(batch)
    torch.testing.assert_close(losses["stft"], experiment.stft_loss(refined, batch[:, None]).detach())
    torch.testing.assert_close(losses["raw_stft"], experiment.stft_loss(raw, batch[:, None]).detach())
    assert losses["stft"] < losses["raw_stft"]
    assert moved(experiment.vocoder, before) > 0.9


def test_a_run_can_init_from_a_model(make: Make, tmp_path: Path, vocoder_values: dict[str, Any]) -> None:
    _, first = make(loop={"seed": 3}, run="first")
    first.vocoder.save_pretrained(tmp_path / "model", {}, half=False)
    mel = torch.randn(1, 8, 20) - 2
    _, tuned = make(run="tuned", init_from=str(tmp_path / "model"))
    _, fresh = make(run="fresh")
    torch.testing.assert_close(tuned.vocoder(mel), first.vocoder(mel))
    assert not torch.allclose(fresh.vocoder(mel), first.vocoder(mel), atol=1e-4)
    with pytest.raises(UserError, match=r"another mel front-end \(wanted / its: f_max: 8000.0 / 11025.0\)"):
        make(run="other", init_from=str(tmp_path / "model"), mel=vocoder_values["mel"] | {"f_max": 8000.0})


def test_folders_without_audio_are_said(vocoder_values: dict[str, Any], tmp_path: Path) -> None:
    for folder, problem in ((tmp_path, "no audio in"), (tmp_path / "gone", "no such folder")):
        values = vocoder_values | {"data": {"folders": [str(folder)], "segment_frames": 16}}
        with pytest.raises(UserError, match=problem):
            VocoderExperiment(build(VocoderTraining, values, "test"))


STRONG = {"noise": 0.3, "blur_frames": 1.0, "band_gain_db": 6.0}


def augmented(experiment: VocoderExperiment, **strengths: float) -> dict[str, Any]:
    return to_plain(experiment.config)["data"] | {"augmentation": strengths}


def test_the_generator_hears_the_augmented_mel_and_is_compared_with_the_recording(make: Make, monkeypatch) -> None:
    _, plain = make()
    _, experiment = make(
        run="augmented", refine_iterations=1, weights={"raw_stft": 0.5}, adversary=None, data=augmented(plain, **STRONG)
    )
    heard: list[tuple[Tensor, Tensor]] = []
    refine = experiment.vocoder.refinement.forward

    def spy(wav: Tensor, mel: Tensor, iterations: int, **more: Any) -> Tensor:
        heard.append((mel, refine(wav, mel, iterations, **more)))
        return heard[-1][1]

    monkeypatch.setattr(experiment.vocoder.refinement, "forward", spy)
    entered: list[Tensor] = []
    experiment.vocoder.generator.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    batch = batch_of(experiment)
    losses = experiment.training_step(batch, step=3, update=lambda name, loss: torch.tensor(1.0))
    true = experiment.log_mel(batch)
    assert torch.equal(entered[0], heard[0][0]) and (entered[0] - true).abs().mean() > 0.05
    raw = experiment.vocoder.generator(entered[0], experiment.first_frame)
    torch.testing.assert_close(losses["mel"], (experiment.log_mel(raw[:, 0]) - true).abs().mean().detach())
    torch.testing.assert_close(losses["raw_stft"], experiment.stft_loss(raw, batch[:, None]).detach())
    torch.testing.assert_close(losses["stft"], experiment.stft_loss(heard[0][1][:, None], batch[:, None]).detach())


def test_augmentation_is_a_function_of_seed_and_step(make: Make) -> None:
    _, plain = make()
    _, experiment = make(run="augmented", data=augmented(plain, noise=0.1))
    mel = experiment.log_mel(batch_of(experiment))
    torch.manual_seed(1)
    first = experiment._augment(mel, 7)
    torch.manual_seed(2)
    assert torch.equal(experiment._augment(mel, 7), first)
    assert not torch.equal(experiment._augment(mel, 8), first)
    assert torch.equal(plain._augment(mel, 7), mel)


def test_discriminators_hear_what_is_made_of_the_augmented_mel(make: Make) -> None:
    _, plain = make()
    _, experiment = make(run="augmented", data=augmented(plain, **STRONG))
    entered: list[Tensor] = []
    experiment.vocoder.generator.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    experiment.training_step(batch_of(experiment), step=9, update=lambda name, loss: torch.tensor(1.0))
    assert len(entered) == 2 and torch.equal(entered[0], entered[1])


def test_weights_of_folders_and_impossible_ones_are_said(make: Make, tone_corpus: Path) -> None:
    _, plain = make()
    values = to_plain(plain.config)["data"]
    _, weighted = make(run="weighted", data=values | {"weights": {str(tone_corpus): 2}})
    assert len(weighted.segments) == len(plain.segments)
    with pytest.raises(UserError, match="a weight for 'other', which is not among the folders"):
        make(run="other", data=values | {"weights": {"other": 1.0}})
    with pytest.raises(UserError, match="noise must be from 0 to 1e"):
        make(run="bad", data=values | {"augmentation": {"noise": -1.0}})


@pytest.fixture
def translated(tone_corpus: Path, vocoder_values: dict[str, Any], tmp_path: Path) -> Path:
    """Mels of the corpus with every value at -1, as no recording has them."""
    mel_config = build(VocoderTraining, vocoder_values, "test").mel
    folder = TranslatedFolder.create(tmp_path / "translated", mel_config, "digest")
    for split in ("train", "valid"):
        for path in list_split(tone_corpus, split):
            frames = 33075 // mel_config.hop_length
            mel = np.full((mel_config.n_mels, frames), -1.0, np.float32)
            folder.add(f"{path.stem}.safetensors", mel, audio=path, source="tones", split=split, style="jazz")
    return folder.root


def test_translated_mels_are_heard_as_they_are_and_compared_with_their_recordings(make: Make, translated: Path) -> None:
    _, plain = make()
    values = to_plain(plain.config)["data"] | {"translated": [str(translated)], "translated_share": 0.5}
    values |= {"augmentation": {"noise": 0.2}}
    trainer, experiment = make(run="mixed", data=values, adversary=None)
    items = [experiment.dataset[epoch, index] for epoch in range(4) for index in range(len(experiment.segments))]
    chosen = [next(item for item in items if bool(item["has_mel"]) == wanted) for wanted in (True, False)]
    batch = default_collate(chosen)
    entered: list[Tensor] = []
    experiment.vocoder.generator.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    losses = experiment.training_step(batch, step=0, update=lambda name, loss: torch.tensor(1.0))
    true = experiment.log_mel(batch["wav"])
    assert torch.equal(entered[0][0], batch["mel"][0]) and entered[0][0].std() < 1e-4
    assert 0.02 < (entered[0][1] - true[1]).abs().mean() < 0.2  # the recording's own, augmented
    raw = experiment.vocoder.generator(entered[0], experiment.first_frame)
    torch.testing.assert_close(losses["mel"], (experiment.log_mel(raw[:, 0]) - true).abs().mean().detach())
    torch.testing.assert_close(losses["stft"], experiment.stft_loss(raw, batch["wav"][:, None]).detach())
    measures = trainer.run()
    assert (trainer.run_folder / "best" / "weights.safetensors").is_file()
    assert trainer.state.best == measures["valid/mixed_mr_stft"]


def test_translated_mels_are_validated_beside_recordings_and_choose_the_best_with_them(
    make: Make, translated: Path, tone_corpus: Path
) -> None:
    _, plain = make()
    values = to_plain(plain.config)["data"] | {"translated": [str(translated)], "translated_share": 0.25}
    _, experiment = make(run="mixed", data=values)
    measures = experiment.validate()
    assert plain.best_measure == "valid/mr_stft" and set(plain.validate()) < set(measures)
    assert measures["valid/mr_stft"] == pytest.approx(plain.validate()["valid/mr_stft"])
    made = experiment.vocoder(torch.full((1, 8, 172), -1.0))[0, 0].detach()
    wavs = [
        torch.from_numpy(read_audio(list_split(tone_corpus, "valid")[index])[0][0, : 172 * 128]) for index in (0, 2)
    ]
    expected = sum(multi_resolution_stft_distance(made, wav) for wav in wavs) / 2
    assert measures["valid/translated_mr_stft"] == pytest.approx(expected, rel=1e-4)
    mixed = 0.75 * measures["valid/mr_stft"] + 0.25 * expected
    assert measures["valid/mixed_mr_stft"] == pytest.approx(mixed, rel=1e-4)
    assert experiment.best_measure == "valid/mixed_mr_stft" and len(experiment.samples()) == 4


def test_translated_share_is_checked(make: Make) -> None:
    _, plain = make()
    with pytest.raises(UserError, match=r"translated_share must be in \[0, 1\], got 2"):
        make(run="bad", data=to_plain(plain.config)["data"] | {"translated_share": 2.0})
    with pytest.raises(UserError, match="no translated mels in nowhere"):
        make(run="gone", data=to_plain(plain.config)["data"] | {"translated": ["nowhere"], "translated_share": 0.5})


def test_the_subband_loss_takes_part_where_it_has_a_weight(make: Make, vocoder_values: dict[str, Any]) -> None:
    _, plain = make()
    frames = {"data": to_plain(plain.config)["data"] | {"segment_frames": 32}}
    weights, head = {"stft": 0.5, "subband_stft": 0.25}, {"kind": "subbands", "subbands": 4}
    bands = {"generator": {"head": head, "ratios": [8, 4], "width": 8}}
    _, experiment = make(run="subbands", adversary=None, weights=weights, **bands, **frames)
    batch = default_collate([experiment.segments[0, index] for index in range(2)])
    totals: dict[str, float] = {}

    def update(name: str, loss: Tensor) -> Tensor:
        totals[name] = loss.item()
        return torch.tensor(1.0)

    losses = experiment.training_step(batch, step=1, update=update)
    assert losses.keys() == {"stft", "mel", "subband_stft", "gradient_norm"}
    raw = experiment.vocoder.generator(experiment.log_mel(batch), experiment.first_frame)
    expected = SubbandSTFTLoss(4)(raw, batch[:, None])
    torch.testing.assert_close(losses["subband_stft"], expected.detach())
    weighted = 0.5 * losses["stft"] + 2.0 * losses["mel"] + 0.25 * losses["subband_stft"]
    assert totals["generator"] == pytest.approx(float(weighted), rel=1e-5)
    assert not any(key.startswith("filter_bank") for key in experiment.vocoder.state_dict())
    with pytest.raises(UserError, match=r"too short for 4 sub-bands"):
        make(run="short", weights=weights, **bands, data=frames["data"] | {"segment_frames": 10})
    with pytest.raises(UserError, match="subband_stft is for the head subbands, got the head istft"):
        make(run="istft", weights=weights)
