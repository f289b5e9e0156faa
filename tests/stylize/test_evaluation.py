"""Evaluation of translations: which pairs, which versions, and what the figures mean."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from data.errors import UserError
from data.folder import Clip, index_folder
from data.mel import MelConfig
from scripts.evaluate_translation import evaluate
from stylize import Stylizer
from stylize.evaluation import (
    VERSIONS,
    Evaluator,
    Measured,
    Pair,
    choose_pairs,
    evaluate_translation,
    list_pairs,
    summarise,
)
from training.genre import GenreClassifier

if TYPE_CHECKING:
    from tests.conftest import TinyModels

STYLES = ("blues", "jazz", "metal")


class BrightnessClassifier(GenreClassifier):
    """Hears metal where there are overtones, and jazz elsewhere."""

    def __init__(self) -> None:
        super().__init__(("jazz", "metal"), MelConfig(n_mels=12), width=8, embedding_size=4)

    def forward(self, mel: Tensor) -> Tensor:
        overtones = mel[:, 3:6].mean(dim=(1, 2))  # about -2.5 without them, -1.1 with
        return torch.stack([torch.full_like(overtones, -1.8), overtones], dim=1)


def clip(song: str, genre: str, split: str = "test") -> Clip:
    return Clip(Path(genre, f"{genre}.{song}.wav"), genre, song, split)


def names(pairs: list[Pair]) -> list[tuple[str, str, str]]:
    return [(pair.source.song, pair.source.genre, pair.truth.genre) for pair in pairs]


def test_pairs_are_the_same_song_in_two_styles() -> None:
    clips = [
        clip("2", "jazz"),
        clip("2", "metal"),
        clip("1", "metal"),
        clip("1", "blues"),
        clip("1", "disco"),
    ]
    clips += [clip("3", "jazz", "train"), clip("3", "metal", "train"), clip("4", "jazz")]
    assert names(list_pairs(clips, STYLES, "test")) == [
        ("1", "blues", "metal"),
        ("1", "metal", "blues"),
        ("2", "jazz", "metal"),
        ("2", "metal", "jazz"),
    ]


def test_a_part_is_balanced_and_always_the_same() -> None:
    genres = ("blues", "jazz", "metal", "pop", "rock")
    pairs = list_pairs([clip(str(song), genre) for song in range(6) for genre in genres], genres, "test")
    assert len(pairs) == 6 * 5 * 4
    chosen = choose_pairs(pairs, 17)
    assert chosen == choose_pairs(pairs, 17) and chosen != choose_pairs(pairs, 17, seed=1)
    assert len(set(names(chosen))) == 17
    assert sorted(Counter(pair.truth.genre for pair in chosen).values()) == [3, 3, 3, 4, 4]
    assert len({pair.source.song for pair in chosen}) == 6
    assert choose_pairs(pairs, 500) == pairs


def test_strength_zero_is_the_vocoder_alone(tiny_stylizer: Stylizer) -> None:
    wav = (0.1 * np.random.default_rng(0).standard_normal(60 * 256 + 100)).astype(np.float32)
    evaluator = Evaluator(tiny_stylizer, BrightnessClassifier())
    copy = evaluator.render(wav, "jazz", strength=0.0)
    padded = np.pad(wav, (0, -len(wav) % (256 * tiny_stylizer.layout.frame_multiple)))
    with torch.inference_mode():
        expected = tiny_stylizer.vocoder(tiny_stylizer.log_mel(torch.from_numpy(padded)[None]))[0, 0]
    np.testing.assert_allclose(copy, expected[: len(wav)], atol=1e-5)
    assert np.abs(evaluator.render(wav, "jazz") - copy).max() > 1e-3
    assert np.abs(evaluator.render(wav, "jazz") - evaluator.render(wav, "metal")).max() > 1e-4


def test_inputs_sound_as_the_source_and_truths_as_the_target(
    tiny_stylizer: Stylizer, tone_corpus: Path
) -> None:
    report = evaluate_translation(tiny_stylizer, BrightnessClassifier(), tone_corpus, split="valid")
    assert (report["pairs"], report["pairs_available"], report["songs"]) == (4, 4, 2)
    versions = report["versions"]
    assert tuple(versions) == VERSIONS
    untouched, truth = versions["input"], versions["ground truth"]
    assert (untouched["target_heard"], untouched["source_heard"]) == (0, 1)
    assert (truth["target_heard"], truth["source_heard"]) == (1, 0)
    assert untouched["chroma"] == pytest.approx(1) and untouched["onsets"] == pytest.approx(1)
    assert truth["to_truth"] == 0 < untouched["to_truth"]
    assert truth["chroma"] > 0.8  # the same chords
    copied = versions["ground truth through the vocoder"]
    assert copied["to_truth"] > 0 and copied["chroma"] < 1
    assert {target: counts["pairs"] for target, counts in report["targets"].items()} == {
        "jazz": 2,
        "metal": 2,
    }


def test_a_perfect_translator_reaches_the_ground_truth(
    tiny_stylizer: Stylizer, tone_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = Evaluator(tiny_stylizer, BrightnessClassifier(), seconds=1.0)
    pair = list_pairs(index_folder(tone_corpus), STYLES, "valid")[0]
    answer = evaluator.load(pair.truth)[0]
    assert len(answer) == 22050
    asked = []

    def render(self: Evaluator, wav: np.ndarray, style: str, strength: float = 1.0) -> np.ndarray:
        asked.append((style, strength))
        return answer if strength == 1.0 else np.zeros_like(wav)

    monkeypatch.setattr(Evaluator, "render", render)
    measured = evaluator.measure(pair)
    assert asked == [("jazz", 0.0), ("metal", 1.0)]  # the truth's copy is remembered from before
    assert measured["translated"] == measured["ground truth"]
    assert (measured["translated"].heard, measured["input"].heard) == ("metal", "jazz")
    assert measured["input through the vocoder"].chroma == 0


def test_rates_and_means_by_hand() -> None:
    def results(pair: Pair, heard: str, value: float) -> tuple[Pair, dict[str, Measured]]:
        return pair, {version: Measured(heard, value, value / 2, value / 4) for version in VERSIONS}

    to_metal, to_blues = (
        Pair(clip("1", "jazz"), clip("1", "metal")),
        Pair(clip("2", "jazz"), clip("2", "blues")),
    )
    summary = summarise(
        [results(to_metal, "metal", 1.0), results(to_metal, "jazz", 0.0), results(to_blues, "disco", 0.2)]
    )
    assert summary["versions"]["translated"] == pytest.approx(
        {"target_heard": 1 / 3, "source_heard": 1 / 3, "chroma": 0.4, "onsets": 0.2, "to_truth": 0.1}
    )
    assert summary["targets"] == {
        "blues": {"pairs": 1, "target_heard": 0, "source_heard": 0},
        "metal": {"pairs": 2, "target_heard": 1, "source_heard": 1},
    }
    assert (summary["pairs"], summary["songs"]) == (3, 2)


def test_what_cannot_be_evaluated(tiny_stylizer: Stylizer, tone_corpus: Path) -> None:
    with pytest.raises(UserError, match="no song of split 'test_groove' in two of the styles jazz, metal"):
        evaluate_translation(tiny_stylizer, BrightnessClassifier(), tone_corpus, split="test_groove")
    slow = GenreClassifier(("jazz", "metal"), MelConfig(sample_rate=16000, f_max=8000.0))
    with pytest.raises(UserError, match="hears 16000 Hz and the models make 22050 Hz"):
        Evaluator(tiny_stylizer, slow)


def test_the_script_prints_tables_and_writes_json(
    tiny_models: TinyModels, tone_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    GenreClassifier(("jazz", "metal"), MelConfig(n_mels=12), width=8).save(tmp_path / "classifier")
    output = tmp_path / "report.json"
    evaluate(
        tone_corpus,
        output,
        tiny_models.translator,
        tiny_models.vocoder,
        tmp_path / "classifier",
        pairs=2,
        split="valid",
        threads=torch.get_num_threads(),
    )
    report = json.loads(output.read_text())
    assert (report["pairs"], report["pairs_available"], report["split"]) == (2, 4, "valid")
    assert set(report["versions"]) == set(VERSIONS)
    printed = capsys.readouterr().out
    assert "2 pairs of" in printed and "ground truth through the vocoder" in printed
