"""Configurations that cannot work are refused when they are made, with the value and what was expected."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

import travelgan
from stylize_core.config import build, to_plain
from stylize_core.errors import UserError
from travelgan import GeneratorConfig, SiameseConfig, TranslatorConfig
from travelgan.config import DiscriminatorConfig


def test_the_generator_refuses_normalization_over_time() -> None:
    with pytest.raises(ValueError, match=r"frame, weight, spectral, none; got 'group'"):
        GeneratorConfig(normalization="group")
    assert DiscriminatorConfig(normalization="group").normalization == "group"


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (GeneratorConfig, {"edge_kernel": 6}, "edge_kernel must be odd"),
        (GeneratorConfig, {"down_kernel": 5}, "down_kernel must be even"),
        (GeneratorConfig, {"widths": ()}, "widths must be positive"),
        (DiscriminatorConfig, {"scales": (1, 0)}, "scales must be positive"),
        (DiscriminatorConfig, {"kernel": 4}, "kernel must be odd"),
        (DiscriminatorConfig, {"kernel": 3, "stride": 4}, "at least as long as the stride"),
        (SiameseConfig, {"kernel": 3, "stride": 4}, "at least as long as the stride"),
        (SiameseConfig, {"normalization": "batch"}, "got 'batch'"),
        (TranslatorConfig, {"styles": ("jazz",)}, "two styles or more"),
        (TranslatorConfig, {"styles": ("jazz", "jazz")}, "each named once"),
        (TranslatorConfig, {"styles": ("jazz", " ")}, "1 to 100 characters that can be printed, got ' '"),
        (TranslatorConfig, {"styles": ("jazz", "me\ntal")}, "characters that can be printed"),
        (SiameseConfig, {"style_size": 10**19}, r"siamese\.style_size must be from 1 to 65536, got 1000000"),
        (GeneratorConfig, {"widths": (1,) * 10**6}, "has 1000000 entries, expected at most 32"),
        (GeneratorConfig, {"widths": (2,) * 20}, "number of generator.widths must be from 1 to 12, got 20"),
        (GeneratorConfig, {"dilations": (1, 1000)}, "dilations must be from 1 to 256"),
        (GeneratorConfig, {"edge_kernel": 10**6 + 1}, "edge_kernel must be from 1 to 63"),
    ],
)
def test_impossible_values_are_refused(config: type, values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**values)


def test_configuration_survives_plain_values() -> None:
    config = TranslatorConfig(styles=("a", "b"), generator=GeneratorConfig(widths=(4, 6), dilations=(1, 3)))
    assert build(TranslatorConfig, to_plain(config), "test") == config
    with pytest.raises(UserError, match="unknown key 'width'; did you mean widths"):
        build(GeneratorConfig, {"width": [4]}, "test")


@pytest.mark.parametrize("config", [GeneratorConfig, DiscriminatorConfig, SiameseConfig, TranslatorConfig])
def test_every_field_is_read_by_a_network(config: type) -> None:
    folder = Path(travelgan.__file__).parent
    code = "".join(path.read_text() for path in folder.glob("*.py") if path.name != "config.py")
    unread = [field.name for field in fields(config) if f"config.{field.name}" not in code]
    assert unread == []
