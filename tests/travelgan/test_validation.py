"""Measures of translations on cases whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from stylize_core.mel import LogMel, MelConfig
from travelgan import Translator, TranslatorConfig, validation
from travelgan.validation import Translation, translate_all, validation_measures, validation_samples

FRAMES = 24


@pytest.fixture
def mel_config() -> MelConfig:
    return MelConfig(n_fft=512, win_length=512, n_mels=8)


@pytest.fixture
def translator(translator_config: TranslatorConfig, mel_config: MelConfig) -> Translator:
    return Translator(translator_config, mel_config)


@pytest.fixture(autouse=True)
def heard(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Chroma takes a while and has tests of its own: here it is the waveform, and says how often it was asked."""
    compared: list[np.ndarray] = []

    def agreement(chroma: np.ndarray, reference: np.ndarray) -> float:
        compared.extend((chroma, reference))
        return 0.125 * len(compared)

    monkeypatch.setattr(validation, "constant_q_chroma", lambda wav, sample_rate: wav)
    monkeypatch.setattr(validation, "chroma_agreement", agreement)
    return compared


def mel(value: float) -> Tensor:
    return torch.full((8, FRAMES), value)


def translation(source: int, target: int, output: float = -2.0, pair: float | None = None) -> Translation:
    return Translation(mel(-3.0), mel(output), None if pair is None else mel(pair), source, target)


class Listener:
    """A classifier that hears by level: -1 is metal, -2 is reggae, which the translator does not know, -3 blues."""

    genres = ("reggae", "metal", "blues")

    def __call__(self, mels: Tensor) -> Tensor:
        level = mels.mean(dim=(1, 2))
        return -torch.stack([(level - value).abs() for value in (-2.0, -1.0, -3.0)], dim=1)


def test_rates_come_from_the_classifier_by_name(translator: Translator) -> None:
    translations = [
        translation(0, 2, output=-1.0),  # blues to metal: heard as metal
        translation(0, 2, output=-3.0),  # still blues
        translation(1, 2, output=-2.0),  # reggae, which is neither
        translation(0, 1, output=-1.0),  # to jazz: metal, which is neither
    ]
    measures = validation_measures(translator, translations, Listener())  # type: ignore[arg-type]
    assert measures["valid/target_rate"] == 0.25
    assert measures["valid/source_rate"] == 0.25
    assert measures["valid/chroma"] == pytest.approx(np.mean([0.25, 0.5, 0.75, 1.0]))
    assert measures["valid/score"] == pytest.approx(measures["valid/chroma"])
    assert measures["valid/changed"] == pytest.approx((2 + 0 + 1 + 2) / 4)
    assert not {"valid/identity", "valid/to_truth", "valid/input_to_truth"} & measures.keys()


def test_own_styles_count_for_identity_alone(translator: Translator) -> None:
    translations = [translation(0, 2, output=-1.0), translation(1, 1, output=-2.5), translation(2, 2, output=-4.0)]
    measures = validation_measures(translator, translations, Listener())  # type: ignore[arg-type]
    assert measures["valid/identity"] == pytest.approx((0.5 + 1.0) / 2)
    assert measures["valid/target_rate"] == 1.0
    assert measures["valid/changed"] == 2.0


def test_known_versions_are_what_translations_are_compared_with(translator: Translator) -> None:
    translations = [translation(0, 2, output=-1.0, pair=-1.5), translation(0, 2, output=-1.0)]
    measures = validation_measures(translator, translations, Listener())  # type: ignore[arg-type]
    assert measures["valid/to_truth"] == pytest.approx(0.5)
    assert measures["valid/input_to_truth"] == pytest.approx(1.5)
    assert measures["valid/nearer"] == pytest.approx(2 / 3)
    expected = measures["valid/target_rate"] - measures["valid/source_rate"] + measures["valid/chroma"] + 2 / 3
    assert measures["valid/score"] == pytest.approx(expected)


class RealByLevel:
    """Says how far sounds are in level from 1 below the style's number."""

    def distance(self, mels: list[Tensor], styles: list[int]) -> float:
        return float(np.mean([abs(float(mel.mean()) - (style - 1)) for mel, style in zip(mels, styles, strict=True)]))


def test_realism_is_the_share_of_the_distance_from_real_songs_that_is_gone(translator: Translator) -> None:
    translations = [translation(0, 2, output=-1.0), translation(2, 1, output=-2.0), translation(1, 1, output=-9.0)]
    plain = validation_measures(translator, translations, Listener())  # type: ignore[arg-type]
    measures = validation_measures(translator, translations, Listener(), RealByLevel())  # type: ignore[arg-type]
    assert measures["valid/kad"] == pytest.approx((2 + 2) / 2)  # translations to the own style do not count
    assert measures["valid/input_kad"] == pytest.approx((4 + 3) / 2)
    assert measures["valid/realism"] == pytest.approx(1 - 2 / 3.5)
    expected = plain["valid/score"] - plain["valid/chroma"] + measures["valid/chroma"] + measures["valid/realism"]
    assert measures["valid/score"] == pytest.approx(expected)
    assert not {"valid/kad", "valid/realism"} & plain.keys()


def test_without_a_classifier_the_nearest_prototype_is_heard(translator: Translator) -> None:
    embedding = translator.siamese(mel(-2.0)[None]).style[0].detach()
    with torch.no_grad():
        for style in range(3):
            translator.siamese.prototypes[style] = (1 if style == 2 else -1) * embedding
    measures = validation_measures(translator, [translation(0, 2), translation(2, 1)], None)
    assert (measures["valid/target_rate"], measures["valid/source_rate"]) == (0.5, 0.5)


def test_chroma_compares_output_and_source_of_a_few_clips(translator: Translator, heard: list[np.ndarray]) -> None:
    validation_measures(translator, [translation(0, 1) for _ in range(25)], None)
    assert len(heard) == 2 * validation.CHROMA_CLIPS == 20
    output, source = heard[:2]
    assert output.shape == source.shape == (FRAMES * 256,)
    log_mel = LogMel(translator.mel_config)
    louder, quieter = (float(log_mel(torch.as_tensor(wav)[None]).mean()) for wav in (output, source))
    assert louder > quieter + 0.5  # -2 and -3


def test_sources_are_synthesized_once(translator: Translator, heard: list[np.ndarray]) -> None:
    sounds = validation.Sounds(translator.mel_config)
    for output in (-2.0, -1.0):
        sounds.chroma(translation(0, 1, output))
    assert heard[1] is heard[3] and not np.array_equal(heard[0], heard[2])


def test_chroma_of_a_quick_synthesis_knows_a_semitone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the chroma that is stubbed elsewhere
    config = MelConfig()
    time = torch.arange(64 * config.hop_length) / config.sample_rate
    low, high = (LogMel(config)(0.3 * torch.sin(2 * np.pi * hertz * time)[None])[0] for hertz in (440.0, 466.16))
    sounds = validation.Sounds(config)
    assert sounds.chroma(Translation(low, low - 0.5, None, 0, 1)) > 0.98
    assert sounds.chroma(Translation(low, high, None, 0, 1)) < 0.5


def test_recognized_is_the_share_whose_own_prototype_is_nearest(translator: Translator) -> None:
    clips = torch.randn(4, 8, FRAMES) - 2
    with torch.no_grad():
        for style in range(3):  # each clip of the first three is a prototype
            translator.siamese.prototypes[style] = translator.style_of(clips[style][None])
    batch = {"source": clips[:3], "source_style": torch.tensor([0, 1, 2])}
    found = validation.recognition_measures(translator, batch)
    named = translator.siamese.style_prototypes().detach()
    nearness = named @ named.T - 3 * torch.eye(len(named))
    assert found["valid/recognized"] == 1.0
    assert found["valid/lead"] == pytest.approx(float(1 - nearness[:3].amax(dim=1).mean()), abs=1e-4)
    batch["source_style"] = torch.tensor([0, 2, 1])
    found = validation.recognition_measures(translator, batch)
    assert found["valid/recognized"] == pytest.approx(1 / 3)
    swapped = [1 - float(nearness[0].max()), *[float(named[1] @ named[2]) - 1] * 2]
    assert found["valid/lead"] == pytest.approx(sum(swapped) / 3, abs=1e-4)


def test_every_clip_is_translated_to_its_target(translator: Translator) -> None:
    count = 11
    batch = {
        "source": torch.randn(count, 8, FRAMES) - 2,
        "pair": torch.randn(count, 8, FRAMES) - 2,
        "has_pair": torch.arange(count) % 2 == 0,
        "source_style": torch.arange(count) % 3,
        "target_style": (torch.arange(count) + 1) % 3,
    }
    with torch.no_grad():
        translations = translate_all(translator, batch, chunk=4)
        assert len(translations) == count
        for index, made in enumerate(translations):
            style = translator.style_vector({translator.styles[made.target_style]: 1.0})
            expected = translator(batch["source"][index][None], style[None])[0]
            torch.testing.assert_close(made.output, expected, atol=1e-5, rtol=0)
            assert (made.source_style, made.target_style) == (index % 3, (index + 1) % 3)
            assert (made.pair is not None) == (index % 2 == 0)
            assert torch.equal(made.source, batch["source"][index])


def test_samples_are_the_input_once_and_the_translation_each_time(translator: Translator) -> None:
    translations = [translation(0, 1), translation(1, 1), translation(1, 2, pair=-1.0), translation(2, 0)]
    samples = validation_samples(translator, translations)
    assert [(s.name, s.fixed) for s in samples] == [
        ("0-blues-input", True),
        ("0-blues-to-jazz", False),
        ("1-jazz-input", True),
        ("1-jazz-to-metal", False),
        ("2-metal-input", True),
        ("2-metal-to-blues", False),
    ]
    assert list(samples[1].mels) == ["blues (input)", "to jazz"]
    assert list(samples[3].mels) == ["jazz (input)", "to metal", "metal (truth)"]
    assert all(s.wav is not None and s.wav.shape == (FRAMES * 256,) for s in samples)
    assert samples[0].sample_rate == 22050
    spread = validation_samples(translator, [translation(0, 1) for _ in range(9)])
    assert len(spread) == 8


@pytest.mark.parametrize("clips", [1, 2, 3, 4, 7, 8, 9, 10, 12, 40, 45, 100])
@pytest.mark.parametrize("count", [4, 10])
def test_the_few_that_are_heard_are_different_clips_of_different_styles(clips: int, count: int) -> None:
    styles = 10
    listed = [translation(index % styles, (index + 1) % styles) for index in range(clips)]
    chosen = validation._spread(listed, count)
    assert len({id(one) for one in chosen}) == len(chosen) == min(count, clips)
    if clips % styles == 0:
        assert len({one.source_style for one in chosen}) == len(chosen)
    places = {id(one): index for index, one in enumerate(listed)}
    assert clips <= count or max(places[id(one)] for one in chosen) >= clips // 2


def test_modes_and_gradients_are_left_as_they_were(translator: Translator) -> None:
    translator.train()
    translator.generator.eval()
    validation_measures(translator, [translation(0, 1)], None)
    assert translator.siamese.training and not translator.generator.training
    assert torch.is_grad_enabled()


def test_the_listener_is_what_it_says() -> None:
    listener = Listener()
    names = [listener.genres[i] for i in listener(torch.stack([mel(-1.0), mel(-2.0), mel(-3.0)])).argmax(1)]
    assert names == ["metal", "reggae", "blues"]
