"""Genre classifier: shapes, invariances, saving."""

from __future__ import annotations

import json

import pytest
import torch

from stylize_core.classifier import GenreClassifier
from stylize_core.errors import UserError
from stylize_core.mel import MEL_PRESETS, MelConfig

GENRES = ("bass", "middle", "treble")
CONFIG = MelConfig(n_mels=32)


def small(seed: int = 0) -> GenreClassifier:
    torch.manual_seed(seed)
    return GenreClassifier(GENRES, CONFIG, width=16, embedding_size=16)


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


def test_save_and_load_give_the_same_verdict(tmp_path):
    classifier = small().eval()
    classifier.save(tmp_path / "model", {"seed": 1})
    loaded = GenreClassifier.from_pretrained(tmp_path / "model")
    assert loaded.genres == GENRES and loaded.mel_config == CONFIG and not loaded.training
    mel = torch.randn(3, CONFIG.n_mels, 60) - 2
    torch.testing.assert_close(loaded(mel), classifier(mel), atol=0.02, rtol=0.02)
