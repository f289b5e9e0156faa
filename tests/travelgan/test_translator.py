"""The translator as a user holds it: names and mixtures of styles, a style by example, model folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from stylize_core.errors import UserError
from stylize_core.mel import MelConfig
from travelgan import Translator, TranslatorConfig

BINS = 8


@pytest.fixture
def translator(translator_config: TranslatorConfig, mel_config: MelConfig) -> Translator:
    return Translator(translator_config, mel_config).eval()


def test_named_style_is_its_prototype(translator: Translator) -> None:
    prototypes = translator.siamese.style_prototypes()
    for index, name in enumerate(("blues", "jazz", "metal")):
        torch.testing.assert_close(translator.style_vector({name: 1.0}), prototypes[index])


def test_mixture_is_weighted(translator: Translator) -> None:
    prototypes = translator.siamese.style_prototypes()
    expected = nn.functional.normalize(0.7 * prototypes[1] + 0.3 * prototypes[2], dim=0)
    torch.testing.assert_close(translator.style_vector({"jazz": 0.7, "metal": 0.3}), expected)
    assert translator.style_vector({"jazz": 0.333, "metal": 0.333, "blues": 0.333}).shape == (4,)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"Jaz": 1.0}, "unknown style 'Jaz'; did you mean jazz.*blues, jazz, metal"),
        ({"polka": 1.0}, "unknown style 'polka'; known styles: blues, jazz, metal"),
        ({}, "no style was named"),
        ({"jazz": 0.7, "metal": 0.2}, r"jazz:0.7, metal:0.2 add up to 0.9; they must add up to 1"),
        ({"jazz": 1.5, "metal": -0.5}, "metal has weight -0.5; weights must be positive"),
        ({"jazz": 1.0, "metal": 0.0}, "metal has weight 0.0"),
        ({"jazz": float("nan")}, "jazz has weight nan"),
    ],
)
def test_impossible_mixtures_are_refused(translator: Translator, weights: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        translator.style_vector(weights)


@torch.no_grad()
def test_an_example_is_drawn_two_thirds_of_the_way_to_its_nearest_style(translator: Translator) -> None:
    mel = torch.randn(1, BINS, 40)
    embedding, prototypes = translator.style_of(mel), translator.siamese.style_prototypes()
    style = translator.style_by_example(mel).vector
    nearest = prototypes[int((prototypes @ embedding).argmax())]
    assert float(style.norm()) == pytest.approx(1.0, abs=1e-5)
    assert float(style @ nearest) > float(embedding @ nearest)
    assert float(style @ embedding) < 1 - 1e-4
    weights = torch.exp((prototypes @ embedding).double() / 0.02)
    named = (weights[:, None] * prototypes).sum(0) / weights.sum()
    expected = embedding + 2 * named / named.norm()
    torch.testing.assert_close(style.double(), expected / expected.norm(), atol=1e-4, rtol=0)


@torch.no_grad()
def test_an_example_that_is_a_named_style_stays_it(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    prototypes = translator.siamese.prototypes
    prototypes.copy_(torch.eye(*prototypes.shape))  # far apart
    named = translator.siamese.style_prototypes()[1]
    monkeypatch.setattr(translator, "style_of", lambda mel: named)
    torch.testing.assert_close(translator.style_by_example(torch.zeros(1)).vector, named, atol=1e-4, rtol=0)


def test_style_of_a_short_reference_is_its_embedding(translator: Translator) -> None:
    mel = torch.randn(1, BINS, 16)
    torch.testing.assert_close(translator.style_of(mel), translator.siamese(mel).style[0])


@pytest.mark.parametrize("frames", [17, 24, 40])
def test_style_of_a_long_reference_covers_all_of_it(translator: Translator, frames: int) -> None:
    mel = torch.randn(1, BINS, frames, requires_grad=True)
    style = translator.style_of(mel)
    assert style.norm().item() == pytest.approx(1.0, abs=1e-5)
    (gradient,) = torch.autograd.grad(style[0], mel)
    assert gradient.abs().sum(dim=(0, 1)).count_nonzero() == frames


def test_style_of_averages_half_overlapping_windows(translator: Translator) -> None:
    mel = torch.randn(1, BINS, 32)
    windows = torch.cat([mel[..., 0:16], mel[..., 8:24], mel[..., 16:32]])
    expected = nn.functional.normalize(translator.siamese(windows).style.mean(dim=0), dim=0)
    torch.testing.assert_close(translator.style_of(mel), expected)


def test_reference_too_short_is_refused(translator: Translator) -> None:
    with pytest.raises(UserError, match=r"has 2 mel frames; it must be at least 0\.05 s long"):
        translator.style_of(torch.zeros(1, BINS, 2))


def test_output_is_never_below_the_floor(translator: Translator) -> None:
    mel = torch.full((1, BINS, 12), -5.0)
    style = translator.style_vector({"jazz": 1.0})[None]
    assert (translator.generator(mel, style) < -5).any()
    assert translator(mel, style).min() == -5


def test_model_folder_rebuilds_the_translator(translator: Translator, tmp_path: Path) -> None:
    translator.half().float()  # as the file stores it
    translator.save_pretrained(tmp_path / "model", training={"steps": 10})
    loaded = Translator.from_pretrained(tmp_path / "model")
    assert (loaded.config, loaded.mel_config) == (translator.config, translator.mel_config)
    assert (loaded.styles, loaded.style_size) == (("blues", "jazz", "metal"), 4)
    assert not loaded.training
    mel = torch.randn(2, BINS, 21)
    style = loaded.style_vector({"metal": 1.0}).expand(2, -1)
    torch.testing.assert_close(loaded(mel, style), translator(mel, style))
    torch.testing.assert_close(loaded.style_of(mel[:1]), translator.style_of(mel[:1]))


def test_weights_of_another_build_are_refused(
    translator: Translator, translator_config: TranslatorConfig, mel_config: MelConfig, tmp_path: Path
) -> None:
    translator.save_pretrained(tmp_path / "one")
    Translator(replace(translator_config, styles=("a", "b")), mel_config).save_pretrained(tmp_path / "two")
    (tmp_path / "two" / "weights.safetensors").replace(tmp_path / "one" / "weights.safetensors")
    with pytest.raises(UserError, match="1 of another shape"):
        Translator.from_pretrained(tmp_path / "one")


@pytest.mark.parametrize("normalization", ["frame", "weight", "spectral", "none"])
def test_every_normalization_survives_a_model_folder(
    translator_config: TranslatorConfig, mel_config: MelConfig, normalization: str, tmp_path: Path
) -> None:
    config = replace(translator_config, generator=replace(translator_config.generator, normalization=normalization))
    translator = Translator(config, mel_config).eval().half().float()
    translator.save_pretrained(tmp_path / "model")
    loaded = Translator.from_pretrained(tmp_path / "model")
    mel, style = torch.randn(1, BINS, 9), loaded.style_vector({"blues": 1.0})[None]
    torch.testing.assert_close(loaded(mel, style), translator(mel, style))
