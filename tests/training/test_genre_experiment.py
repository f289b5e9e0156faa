"""How the classifier is trained: on the common loop, on crops of random length, measured on every other split."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import default_collate

from data.folder import Clip
from data.mel_cache import MelCache
from stylize_core.classifier import GenreClassifier
from stylize_core.config import build
from stylize_core.errors import UserError
from stylize_core.mel import MelConfig
from training.genre_experiment import ClassifierExperiment, ClassifierTraining, evaluate, format_confusion, load_split
from training.loop import Trainer
from training.style_augmentation import augment

RATE = 22050
Make = Callable[..., tuple[Trainer, ClassifierExperiment]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Low and high tones, four songs of each, one of each in the splits `valid` and `test_groove`."""
    root = tmp_path_factory.mktemp("genres")
    time = np.arange(RATE) / RATE
    lines = []
    for genre, frequency in (("blues", 110.0), ("metal", 3000.0)):
        (root / genre).mkdir()
        for song, split in enumerate(["train", "train", "valid", "test_groove"]):
            file = f"{genre}/{genre}.{song:05}.wav"
            soundfile.write(root / file, 0.3 * np.sin(2 * np.pi * frequency * (1 + song / 20) * time), RATE)
            lines.append(json.dumps({"file": file, "split": split}) + "\n")
    (root / "manifest.jsonl").write_text("".join(lines))
    return root


@pytest.fixture
def make(corpus: Path, start_training: Callable[..., Any]) -> Make:
    def make(run: str = "run", **loop: Any) -> tuple[Trainer, ClassifierExperiment]:
        settings = {"steps": 2, "batch_size": 4, "workers": 0, "wandb": "off", "ema_decay": 0.0} | loop
        data = {"folder": str(corpus), "cache": str(corpus / "cache"), "min_frames": 20, "max_frames": 40}
        mel = {"n_fft": 512, "win_length": 512, "hop_length": 128, "n_mels": 16}
        return start_training(ClassifierExperiment, {"loop": settings, "data": data, "mel": mel}, run)

    return make


def test_it_learns_and_measures_every_split_but_the_one_it_is_trained_on(make: Make) -> None:
    trainer, experiment = make(steps=25)
    batch = default_collate([experiment.dataset[0, index] for index in range(4)])
    losses = [float(trainer.step(batch)["loss"]) for _ in range(25)]
    assert losses[-1] < 0.7 * losses[0]
    measures = trainer.run()
    names = {"valid/loss", *(f"{split}/{kind}" for split in ("valid", "test_groove") for kind in NAMES)}
    assert set(measures) == names and measures["valid/clip_accuracy"] == 1.0
    best = GenreClassifier.from_pretrained(trainer.run_folder / "best")
    assert best.genres == ("blues", "metal")
    told = json.loads((trainer.run_folder / "best" / "config.json").read_text())["training"]
    assert told["measures"]["valid/accuracy"] == measures["valid/accuracy"]


NAMES = ("accuracy", "clip_accuracy")


def test_crops_are_of_random_length_and_the_same_at_the_same_step(make: Make) -> None:
    _, experiment = make()
    batch = default_collate([experiment.dataset[0, index] for index in range(4)])
    lengths: list[int] = []
    experiment.classifier.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[-1]))
    for step in (0, 1, 2, 3, 0):
        experiment.training_step(batch, step, lambda name, loss: torch.tensor(1.0))
    assert all(20 <= length <= 40 for length in lengths) and len(set(lengths)) > 1 and lengths[0] == lengths[4]


class Loudest(GenreClassifier):
    """Of three parts of the bands."""

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return 10 * torch.stack([mel[:, 10 * third : 10 * third + 10].mean(dim=(1, 2)) for third in range(3)], 1)


def test_evaluation_counts_by_hand_and_leaves_the_mode_alone() -> None:
    classifier = Loudest(("bass", "middle", "treble"), MelConfig(n_mels=32)).train()
    split = []
    for index in range(6):
        mel = np.random.default_rng(index).normal(-3.0, 0.3, (32, 120))
        mel[10 * (index % 3) : 10 * (index % 3) + 10] += 1.5
        split.append((mel.astype(np.float16), (index + (index == 5)) % 3))  # the last label is wrong
    accuracy = evaluate(classifier, split, frames=50)
    assert accuracy.clips == pytest.approx(5 / 6) and accuracy.segments == pytest.approx(10 / 12)
    assert accuracy.confusion.tolist() == [[4, 0, 2], [0, 4, 0], [0, 0, 2]]
    assert classifier.training
    assert format_confusion(classifier.genres, accuracy.confusion).splitlines()[1].split() == ["bass", "67", "0", "33"]


def test_unreadable_clips_are_left_out(corpus: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_text("no audio")
    paths = ((corpus / "blues" / "blues.00000.wav", "blues"), (broken, "blues"), (broken, "unknown"))
    clips = [Clip(path, genre, str(number), "train") for number, (path, genre) in enumerate(paths)]
    split = load_split(clips, ("blues", "metal"), MelCache(tmp_path / "cache", MelConfig(n_mels=32)))
    assert [label for _, label in split] == [0]


def test_one_genre_is_refused(corpus: Path) -> None:
    values = {"loop": {"steps": 1}, "data": {"folder": str(corpus), "genres": ["blues"]}}
    with pytest.raises(UserError, match="training clips of 1 genres, 2 are needed"):
        ClassifierExperiment(build(ClassifierTraining, values, "test"))
    with pytest.raises(UserError, match="min_frames 9 to max_frames 8"):
        build(ClassifierTraining, {"loop": {"steps": 1}, "data": {"folder": "x", "min_frames": 9, "max_frames": 8}}, "")


def test_augment_keeps_shape_floor_and_mostly_the_picture():
    mel = torch.full((64, 32, 50), -4.9)
    mel[:, 8:16] = 0.0
    changed = augment(mel, -5.0, torch.Generator().manual_seed(0))
    assert changed.shape == mel.shape
    assert changed.min() >= -5.0
    assert (changed - mel).abs().mean() > 0.05
    loudest = changed.mean(dim=2).argmax(dim=1)
    assert ((loudest >= 6) & (loudest < 18)).float().mean() > 0.85
    again = augment(mel, -5.0, torch.Generator().manual_seed(0))
    assert torch.equal(changed, again)
