"""Which networks can be built, and what is said about the others."""

from __future__ import annotations

from typing import Any

import pytest

from melgan import GeneratorConfig
from melgan.config import DiscriminatorConfig, InverseSTFTHeadConfig, OscillatorHeadConfig, SubbandHeadConfig
from stylize_core.config import build, to_plain
from stylize_core.errors import UserError

ISTFT = {"kind": "istft", "n_fft": 128, "hop_length": 32}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"head": {"kind": "vocos"}}, "head: kind must be one of waveform, istft, subbands, oscillators, got 'vocos'"),
        ({"head": {}}, "head: kind must be one of waveform, istft, subbands, oscillators, got None"),
        ({"head": "carriers"}, "head must hold keys and values, got 'carriers'"),
        ({"head": ISTFT | {"subbands": 4}}, "head: unknown key 'subbands'; known keys: kind, n_fft, hop_length"),
        ({"carrier_hz": 1.0}, "unknown key 'carrier_hz'"),
        ({"ratios": [8, 8, 2]}, "ratios [8, 8, 2] make 128 samples a frame; hop_length is 256"),
        ({"ratios": [8], "head": ISTFT | {"hop_length": 16}}, "x head.hop_length 16 make 128 samples"),
        ({"ratios": [8, 8], "head": {"kind": "subbands", "subbands": 2}}, "[8, 8] x head.subbands 2 make 128 samples"),
        ({"head": {"kind": "subbands", "subbands": 3}}, "subbands must be even, got 3"),
        ({"head": {"kind": "subbands", "subbands": 0}}, "subbands must be from 2 to 64, got 0"),
        ({"ratios": [2], "head": {"kind": "oscillators"}}, "ratios must be [] for the head oscillators, got [2]"),
        ({"ratios": [], "head": {"kind": "oscillators"}}, "residual_layers must be 0 without ratios, got 3"),
        ({"low_bands": [[8]], "refine_iterations": 2}, "low_bands must be pairs of a factor"),
        ({"low_bands": [[1, 9]], "refine_iterations": 2}, "got [[1, 9]]"),
        ({"low_bands": [[8, 9]]}, "low_bands need refine_iterations of at least 1"),
        ({"width": 24}, "width 24 cannot be halved 4 times"),
        ({"head": ISTFT | {"n_fft": 96}}, "head.n_fft 96 must be a multiple of twice its hop_length 32"),
        ({"frame_layers": 10**9}, "frame_layers must be from 0 to 64, got 1000000000"),
        ({"frame_layers": -1}, "frame_layers must be from 0 to 64, got -1"),
        ({"ratios": [-8, -8, 2, 2]}, "ratios must be from 1 to 64, got -8"),
        ({"ratios": [1] * 1000}, "at most 8 entries"),
        ({"width": 2**40}, "width must be from 1 to 8192"),
        ({"head": {"kind": "oscillators", "spacing_hz": 0.0}}, "spacing_hz must be from 0.1 to 10000"),
        ({"low_bands": [[8, 10**9]], "refine_iterations": 2}, "low_bands 0 must be from 0 to 1000"),
    ],
)
def test_impossible_generators_are_refused_in_one_line(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError) as caught:
        build(GeneratorConfig, values, "FILE")
    assert problem in str(caught.value) and str(caught.value).startswith("FILE: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [
        GeneratorConfig(),
        GeneratorConfig(ratios=(8,), head=InverseSTFTHeadConfig()),
        GeneratorConfig(ratios=(8, 4, 2), head=SubbandHeadConfig()),
        GeneratorConfig(ratios=(), residual_layers=0, head=OscillatorHeadConfig(drift=0.2)),
    ],
)
def test_every_head_comes_back_from_plain_values(config: GeneratorConfig) -> None:
    assert build(GeneratorConfig, to_plain(config), "FILE") == config


def test_discriminators_are_grouped_by_fours() -> None:
    with pytest.raises(ValueError, match="multiple of 4 .* got 6"):
        DiscriminatorConfig(width=6)


def test_the_defaults_are_the_papers() -> None:
    generator, discriminator = GeneratorConfig(), DiscriminatorConfig()
    assert (generator.width, generator.ratios, generator.residual_layers) == (512, (8, 8, 2, 2), 3)
    assert (generator.head.kind, generator.frame_layers, generator.n_mels) == ("waveform", 0, 80)
    assert (discriminator.scales, discriminator.width, discriminator.layers) == (3, 16, 4)
