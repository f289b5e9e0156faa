"""Which networks can be built, and what is said about the others."""

from __future__ import annotations

import pytest

from melgan import DiscriminatorConfig, GeneratorConfig


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"head": "vocos"}, "head must be waveform, istft or carriers, got 'vocos'"),
        ({"ratios": (8, 8, 2)}, r"ratios \[8, 8, 2\] make 128 samples a frame; hop_length is 256"),
        ({"ratios": (8,), "head": "istft", "istft_hop_length": 16}, "istft_hop_length 16 make 128 samples"),
        ({"width": 24}, "width 24 cannot be halved 4 times"),
        (
            {"ratios": (8,), "head": "istft", "istft_n_fft": 96},
            "istft_n_fft 96 must be a multiple of twice istft_hop_length 32",
        ),
    ],
)
def test_impossible_generators_are_refused(values: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        GeneratorConfig(**values)  # type: ignore[arg-type]


def test_discriminators_are_grouped_by_fours() -> None:
    with pytest.raises(ValueError, match="multiple of 4 .* got 6"):
        DiscriminatorConfig(width=6)


def test_the_defaults_are_the_papers() -> None:
    generator, discriminator = GeneratorConfig(), DiscriminatorConfig()
    assert (generator.width, generator.ratios, generator.residual_layers) == (512, (8, 8, 2, 2), 3)
    assert (generator.head, generator.frame_layers, generator.n_mels) == ("waveform", 0, 80)
    assert (discriminator.scales, discriminator.width, discriminator.layers) == (3, 16, 4)
