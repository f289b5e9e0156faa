"""How the autoencoder is trained: the damage, the loss, the floors of the validation, the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor
from torch.utils.data import default_collate

from data.sources import list_split
from scripts.command_line import run_command
from scripts.train import train
from stylize.optimize.autoencoder import Autoencoder
from stylize.optimize.training.autoencoder import AutoencoderExperiment, AutoencoderTraining
from stylize_core.audio.reader import read_audio
from stylize_core.config import build
from stylize_core.errors import UserError
from training.loop import Trainer

Make = Callable[..., tuple[Trainer, AutoencoderExperiment]]


@pytest.fixture
def values(tone_corpus: Path) -> dict[str, Any]:
    """Plain values of a run that trains in a blink."""
    return {
        "loop": {
            "steps": 2, "batch_size": 4, "workers": 0, "wandb": "off", "log_every": 1, "ema_decay": 0.5,
        },
        "data": {
            "folders": [str(tone_corpus)], "segment_frames": 16, "validation_clips": 2, "validation_frames": 172,
        },
        "network": {"widths": [12, 6], "kernels": [5, 3], "strides": [1, 2]},
        "mel": {"n_fft": 512, "win_length": 512, "hop_length": 128, "n_mels": 8},
    }  # fmt: skip


@pytest.fixture
def make(values: dict[str, Any], start_training: Callable[..., Any]) -> Make:
    def make(run: str = "run", **changes: dict[str, Any] | float | str) -> tuple[Trainer, AutoencoderExperiment]:
        merged = {
            name: values.get(name, {}) | change if isinstance(change, dict) else change
            for name, change in changes.items()
        }
        return start_training(AutoencoderExperiment, values | merged, run)

    return make


def batch_of(experiment: AutoencoderExperiment, size: int = 4) -> Tensor:
    return default_collate([experiment.dataset[0, index % len(experiment.dataset)] for index in range(size)])


def test_the_loss_is_the_distance_from_the_clean_mel(make: Make) -> None:
    _, experiment = make()
    batch, seen = batch_of(experiment), []
    mel = experiment.log_mel(batch)
    damaged = mel + 1.0
    experiment.damage = lambda clean: damaged  # type: ignore[method-assign]

    def update(name: str, loss: Tensor) -> Tensor:
        seen.append((name, loss.item()))
        return torch.tensor(3.0)

    losses = experiment.training_step(batch, 0, update)
    expected = (experiment.autoencoder(damaged) - mel).abs().mean().item()
    assert seen == [("autoencoder", pytest.approx(expected))]
    assert losses["mel_l1"].item() == pytest.approx(expected) and losses["gradient_norm"] == 3.0


def test_damage_hides_whole_columns_as_often_as_asked(make: Make) -> None:
    _, experiment = make(data={"noise": 0.0, "hidden": 0.3, "hidden_frames": 4})
    torch.manual_seed(0)
    mel = torch.rand(64, 8, 500) - 1.5
    damaged = experiment.damage(mel)
    hidden = (damaged == -2.0).all(dim=1)
    assert torch.equal((damaged != mel).any(dim=1), hidden)
    assert hidden.float().mean().item() == pytest.approx(0.3, abs=0.02)
    # Stretches are as long as asked for, or longer where two meet; those at the ends may be cut.
    inner = hidden[0, 4:-4].int()
    lengths = [len(run) for run in "".join(map(str, inner.tolist())).strip("1").split("0") if run]
    assert lengths and min(lengths) >= 4


def test_damage_is_noise_of_many_strengths_above_the_floor(make: Make) -> None:
    _, experiment = make(data={"noise": 0.5, "hidden": 0.0})
    torch.manual_seed(0)
    mel = torch.full((400, 8, 200), -2.5)
    deviations = (experiment.damage(mel) - mel).std(dim=(1, 2))
    assert deviations.mean().item() == pytest.approx(0.25, abs=0.02)
    assert deviations.min() < 0.02 and 0.45 < deviations.max() < 0.52
    assert experiment.damage(torch.full((50, 8, 200), -5.0)).min() == -5.0


def test_without_damage_the_mel_is_left_alone(make: Make) -> None:
    _, experiment = make(data={"noise": 0.0, "hidden": 0.0})
    mel = torch.rand(2, 8, 20) - 3
    assert torch.equal(experiment.damage(mel), mel)


def test_training_starts_from_layers_adapted_to_the_data(make: Make) -> None:
    _, experiment = make()
    mels = experiment.log_mel(torch.stack([experiment.dataset[0, i] for i in range(len(experiment.dataset))]))
    first = experiment.autoencoder.encoder[0]((mels + 2) / 3)
    torch.testing.assert_close(first.std(dim=(0, 2)), torch.ones(12), atol=1e-3, rtol=0)
    assert (experiment.autoencoder(mels).mean(dim=(0, 2)) - mels.mean(dim=(0, 2))).abs().max() < 0.5


def test_it_learns(make: Make) -> None:
    trainer, experiment = make(learning_rate=1e-2)
    batch = batch_of(experiment)
    losses = [trainer.step(batch)["mel_l1"].item() for _ in range(60)]
    assert losses[-1] < 0.4 * losses[0]


@pytest.mark.usefixtures("quick_validation")
def test_validation_is_the_l1_on_unseen_songs_beside_the_floors(make: Make, tone_corpus: Path) -> None:
    trainer, experiment = make()
    trainer.step(batch_of(experiment))
    measures = trainer.run(max_minutes=0)
    files = list_split(tone_corpus, "valid")
    chosen = [files[0], files[2]]  # of four, spread
    assert not {path.name for path in chosen} & {info.path.name for info in experiment.dataset.infos}
    mels = torch.stack(
        [experiment.log_mel(torch.from_numpy(read_audio(path)[0][:, : 172 * 128]))[0] for path in chosen]
    )
    best = Autoencoder.from_pretrained(trainer.run_folder / "best")
    segments = [experiment.dataset[0, index] for index in range(len(experiment.dataset))]
    mean = torch.stack([experiment.log_mel(wav[None])[0] for wav in segments]).mean(dim=(0, 2))[None, :, None]
    assert measures == {
        "valid/mel_l1": pytest.approx((best(mels) - mels).abs().mean().item(), rel=1e-2),
        "valid/mel_l1_of_mean": pytest.approx((mean - mels).abs().mean().item(), rel=1e-4),
        "valid/mel_l1_of_own_mean": pytest.approx(
            (mels.mean(dim=2, keepdim=True) - mels).abs().mean().item(), rel=1e-4
        ),
    }


def test_short_validation_clips_are_filled_with_silence(make: Make) -> None:
    _, experiment = make(data={"validation_frames": 300})
    assert [mel.shape for mel in experiment.validation] == [(8, 300)] * 2
    assert (experiment.validation[0][:, 265:] == -5.0).all()


def test_samples_are_heard_and_seen(make: Make) -> None:
    _, experiment = make()
    experiment.validate()
    samples = experiment.samples()
    assert [(sample.name, sample.fixed) for sample in samples] == [
        ("clip-0-original", True), ("clip-0", False), ("clip-1-original", True), ("clip-1", False),
    ]  # fmt: skip
    assert samples[1].wav is not None and samples[1].wav.shape == (172 * 128,)
    assert list(samples[1].mels) == ["original", "reconstructed"]
    assert samples[1].mels["reconstructed"].shape == (8, 172)


def test_a_run_can_init_from_a_model(make: Make, tmp_path: Path) -> None:
    _, first = make(run="first", loop={"seed": 3})
    first.autoencoder.save_pretrained(tmp_path / "model", {}, half=False)
    mel = torch.rand(1, 8, 20) - 2
    _, tuned = make(run="tuned", init_from=str(tmp_path / "model"))
    _, fresh = make(run="fresh")
    torch.testing.assert_close(tuned.autoencoder(mel), first.autoencoder(mel))
    assert not torch.allclose(fresh.autoencoder(mel), first.autoencoder(mel), atol=1e-4)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"segment_frames": 1}, "segment_frames is 1; network and mel need at least 2 frames"),
        ({"hidden": 1.0}, r"hidden within \[0, 1\)"),
        ({"noise": -0.1}, "noise must be at least 0"),
        ({"hidden_frames": 0}, "hidden_frames must be at least 1"),
        ({"folders": ["/no/such/corpus"]}, "no such folder: /no/such/corpus"),
    ],
)
def test_impossible_runs_are_refused(values: dict[str, Any], data: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        AutoencoderExperiment(build(AutoencoderTraining, values | {"data": values["data"] | data}, "test"))


@pytest.mark.usefixtures("quick_validation")
def test_the_command_trains_goes_on_and_refuses(
    values: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fresh_accelerate: None,
) -> None:
    config, run = tmp_path / "autoencoder.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump(values | {"experiment": "autoencoder"}))

    def start(*overrides: str) -> tuple[int, str, str]:
        arguments = ["train", str(config), "--run", str(run), "--device", "cpu", *overrides]
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit) as ended:
            run_command(train)
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    code, out, err = start()
    assert code == 0 and out.startswith(f"{run}: step 2, "), err
    Autoencoder.from_pretrained(run / "best")
    code, out, _ = start("loop.steps=3")
    assert code == 0 and out.startswith(f"{run}: step 3, ")
    code, out, err = start("network.widths=[12,5]")
    assert (code, out) == (2, "") and "started with another configuration (network.widths differ)" in err
    code, out, err = start("data.hiden=0.1")
    assert (code, out) == (2, "") and err.endswith("unknown key 'hiden'; did you mean hidden?\n")
