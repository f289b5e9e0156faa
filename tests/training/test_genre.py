"""Genre classifier: shapes, invariances, learning, saving, and the command that trains it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from data.errors import UserError
from data.folder import Clip
from data.mel import MEL_PRESETS, MelConfig
from data.mel_cache import MelCache
from scripts import train_classifier
from training.genre import (
    ClassifierTraining,
    GenreClassifier,
    LabelledMels,
    augment,
    evaluate,
    load_split,
    random_batch,
    train,
)

GENRES = ("bass", "middle", "treble")
CONFIG = MelConfig(n_mels=32)


def small(seed: int = 0) -> GenreClassifier:
    torch.manual_seed(seed)
    return GenreClassifier(GENRES, CONFIG, width=16, embedding_size=16)


def separable(seed: int, clips: int = 4, frames: int = 120) -> LabelledMels:
    """Mels with a pulse in another third of the bands in each genre, at random levels."""
    generator = np.random.default_rng(seed)
    mels, labels = [], []
    for index in range(clips * len(GENRES)):
        mel = generator.normal(-3.0 + generator.uniform(-1, 1), 0.3, (CONFIG.n_mels, frames))
        label = index % len(GENRES)
        mel[10 * label : 10 * label + 10] += np.where(np.arange(frames) % 16 < 8, 2.5, 0.5)
        mels.append(mel.astype(np.float16))
        labels.append(label)
    return LabelledMels(tuple(mels), tuple(labels))


SETTINGS = ClassifierTraining(
    steps=60,
    batch_size=9,
    frames_min=32,
    frames_max=64,
    validate_every=25,
    mixed_precision="no",
    learning_rate=1e-2,
)


def test_learns_what_can_be_learnt_and_keeps_the_best():
    classifier = small()
    before = evaluate(classifier, separable(1), frames=40)
    reports = list(train(classifier, separable(0), separable(1), SETTINGS))
    after = evaluate(classifier, separable(1))
    assert before.segments < 0.7
    assert after.segments == 1.0 and after.clips == 1.0
    assert [report.step for report in reports] == [25, 50, 60]
    assert after.loss == pytest.approx(min(report.valid.loss for report in reports), rel=1e-5)
    assert not classifier.training


def test_keeps_the_best_even_when_it_was_not_the_last(monkeypatch):
    losses = iter([0.5, 0.1, 0.9])
    seen = []

    def judged(classifier, split, frames=256, autocast=False):
        seen.append({name: value.clone() for name, value in classifier.state_dict().items()})
        loss = next(losses)
        return type("Verdict", (), {"loss": loss, "segments": 0.0})()

    monkeypatch.setattr("training.genre.evaluate", judged)
    classifier = small()
    assert [report.best for report in train(classifier, separable(0), separable(1), SETTINGS)] == [
        True,
        True,
        False,
    ]
    for name, value in classifier.state_dict().items():
        assert torch.equal(value, seen[1][name]), name


def test_same_seed_same_weights():
    first, second = small(), small()
    settings = ClassifierTraining(**{**SETTINGS.__dict__, "steps": 3})
    for classifier in (first, second):
        torch.manual_seed(5)
        list(train(classifier, separable(0), separable(1), settings))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_minutes_end_the_run_after_a_last_validation():
    settings = ClassifierTraining(minutes=1e-9, frames_min=32, frames_max=32, batch_size=4, mixed_precision="no")
    reports = list(train(small(), separable(0), separable(1), settings))
    assert [(report.step, report.progress) for report in reports] == [(1, 1.0)]


def test_empty_split_is_refused():
    with pytest.raises(UserError, match="valid split has no readable clip"):
        next(train(small(), separable(0), LabelledMels((), ()), SETTINGS))


@pytest.mark.parametrize("frames", [1, 17, 172, 700])
def test_any_length(frames):
    classifier = small().eval()
    mel = torch.randn(2, CONFIG.n_mels, frames) - 2
    assert classifier(mel).shape == (2, 3)
    assert classifier.embed(mel).shape == (2, 16)
    assert torch.isfinite(classifier(mel)).all()


def test_loudness_says_nothing():
    classifier = small().eval()
    mel = torch.randn(2, CONFIG.n_mels, 64) - 2
    torch.testing.assert_close(classifier(mel + 0.7), classifier(mel), atol=1e-4, rtol=1e-4)


def test_other_number_of_bands_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"\(2, 80, 64\).*32"):
        small()(torch.zeros(2, 80, 64))


def test_default_size_is_between_one_and_two_million():
    classifier = GenreClassifier([str(number) for number in range(10)], MEL_PRESETS["music"])
    assert 1e6 < sum(parameter.numel() for parameter in classifier.parameters()) < 2e6


def test_save_and_load_give_the_same_verdict(tmp_path):
    classifier = small()
    list(train(classifier, separable(0), separable(1), SETTINGS))
    classifier.save(tmp_path / "model", {"seed": 1})
    loaded = GenreClassifier.from_pretrained(tmp_path / "model")
    assert loaded.genres == GENRES and loaded.mel_config == CONFIG and not loaded.training
    mel = torch.from_numpy(np.stack(separable(2).mels)).float()
    torch.testing.assert_close(loaded(mel), classifier(mel), atol=0.02, rtol=0.02)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"layers": 3}, "unknown key 'layers'"),
        ({"genres": ["alone"]}, "two genres at least"),
        ({"genres": ["jazz", "a\x1b[2Jb"]}, "characters that can be printed"),
        ({"width": True}, "width must be a whole number"),
        ({"width": 1e9}, "width must be a whole number"),
        ({"width": 10**9}, "width must be from 1 to 65536, got 1000000000"),
        ({"dropout": float("nan")}, "dropout must be a finite number"),
    ],
)
def test_foreign_description_is_a_user_error(tmp_path, change, problem):
    small().save(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    config["model"].update(change)
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=problem):
        GenreClassifier.from_pretrained(tmp_path / "model")


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


def test_batches_draw_every_genre_alike_and_repeat_short_clips():
    ramp = np.arange(20, dtype=np.float16)[None].repeat(4, axis=0)
    split = LabelledMels((ramp, *[ramp + 100] * 9), (0, *[1] * 9))
    mel, label = random_batch(split, 400, 50, np.random.default_rng(0))
    assert 0.4 < (label == 0).float().mean() < 0.6
    assert torch.equal(mel[label == 0][0, 0], torch.arange(50) % 20)
    crops, _ = random_batch(split, 200, 5, np.random.default_rng(0))
    starts = set((crops[:, 0, 0] % 100).tolist())
    assert starts == set(range(16))


def test_evaluation_counts_by_hand():
    class Loudest(GenreClassifier):
        def forward(self, mel):
            return 10 * torch.stack(
                [mel[:, 10 * third : 10 * third + 10].mean(dim=(1, 2)) for third in range(3)], 1
            )

    split = separable(0, clips=2)
    wrong = (*split.labels[:5], (split.labels[5] + 1) % 3)
    accuracy = evaluate(Loudest(GENRES, CONFIG), LabelledMels(split.mels, wrong), frames=50)
    assert accuracy.clips == pytest.approx(5 / 6)
    assert accuracy.segments == pytest.approx(10 / 12)
    assert accuracy.confusion.tolist() == [[4, 0, 2], [0, 4, 0], [0, 0, 2]]


def test_evaluation_leaves_the_mode_alone():
    classifier = small().train()
    evaluate(classifier, separable(0))
    assert classifier.training


def write_corpus(folder: Path) -> None:
    time = np.arange(22050) / 22050
    for genre, frequency in (("blues", 110.0), ("metal", 3000.0)):
        (folder / genre).mkdir(parents=True)
        for song in range(4):
            tone = 0.3 * np.sin(2 * np.pi * frequency * (1 + song / 20) * time)
            soundfile.write(folder / genre / f"{genre}.{song:05}.wav", tone, 22050)
    lines = [
        {"file": f"{genre}/{genre}.{song:05}.wav", "split": split}
        for genre in ("blues", "metal")
        for song, split in enumerate(["train", "train", "valid", "test"])
    ]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_command_trains_reports_and_writes_a_model(tmp_path, capsys):
    write_corpus(tmp_path / "corpus")
    arguments = [str(tmp_path / "corpus"), "-o", str(tmp_path / "model"), "--cache", str(tmp_path / "cache")]
    assert train_classifier.main([*arguments, "--steps", "2", "--batch-size", "2"]) == 0
    printed = capsys.readouterr().out
    assert "4 training clips" in printed
    assert any(line.startswith("test ") and "of 2 clips" in line for line in printed.splitlines())
    assert "valid" in json.loads((tmp_path / "model" / "config.json").read_text())["training"]["accuracy"]
    assert GenreClassifier.from_pretrained(tmp_path / "model").genres == ("blues", "metal")


def test_command_with_no_corpus(tmp_path, capsys):
    assert train_classifier.main([str(tmp_path / "none"), "-o", str(tmp_path / "model")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "model").exists()


def test_unreadable_clips_are_left_out(tmp_path):
    write_corpus(tmp_path)
    (tmp_path / "blues" / "blues.00009.wav").write_text("no audio")
    clips = [
        Clip(tmp_path / "blues" / f"blues.0000{song}.wav", genre, str(song), "train")
        for song, genre in ((0, "blues"), (9, "blues"), (1, "unknown"))
    ]
    split = load_split(clips, ("blues", "metal"), MelCache(tmp_path / "cache", CONFIG))
    assert len(split) == 1 and split.labels == (0,)
