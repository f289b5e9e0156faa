"""Tiny networks of the translator."""

from __future__ import annotations

import pytest
import torch

from stylize_core.mel import MelConfig
from travelgan import GeneratorConfig, SiameseConfig, TranslatorConfig
from travelgan.config import DiscriminatorConfig

BINS = 8


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def generator_config() -> GeneratorConfig:
    return GeneratorConfig(widths=(6, 8, 10), dilations=(1, 2))


@pytest.fixture
def discriminator_config() -> DiscriminatorConfig:
    return DiscriminatorConfig(scales=(1, 2), widths=(6, 8, 8))


@pytest.fixture
def siamese_config() -> SiameseConfig:
    return SiameseConfig(widths=(6, 8, 8), content_size=5, style_size=4, style_hidden=8)


@pytest.fixture
def mel_config() -> MelConfig:
    return MelConfig(n_mels=BINS)


@pytest.fixture
def translator_config(generator_config: GeneratorConfig, siamese_config: SiameseConfig) -> TranslatorConfig:
    return TranslatorConfig(
        styles=("blues", "jazz", "metal"),
        segment_frames=16,
        generator=generator_config,
        siamese=siamese_config,
    )
