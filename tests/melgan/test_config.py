"""Which networks can be built, and what is said about the others."""

from __future__ import annotations

import pytest

from melgan import DiscriminatorConfig, GeneratorConfig


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"head": "vocos"}, "head must be one of waveform, istft, carriers, subbands, got 'vocos'"),
        ({"ratios": (8, 8, 2)}, r"ratios \[8, 8, 2\] make 128 samples a frame; hop_length is 256"),
        ({"ratios": (8,), "head": "istft", "istft_hop_length": 16}, "istft_hop_length 16 make 128 samples"),
        ({"ratios": (8, 8), "head": "subbands", "subbands": 2}, r"\[8, 8\] x subbands 2 make 128 samples"),
        ({"ratios": (8, 4, 2), "head": "subbands", "subbands": 3}, "subbands must be even and at least 2, got 3"),
        ({"ratios": (8, 4, 2), "head": "subbands", "subbands": 0}, "subbands must be even and at least 2, got 0"),
        ({"low_bands": ((8,),), "refine_iterations": 2}, r"low_bands must be pairs of a factor.* got \[\[8\]\]"),
        ({"low_bands": ((1, 9),), "refine_iterations": 2}, r"low_bands must be pairs .* got \[\[1, 9\]\]"),
        ({"low_bands": ((8, 9),)}, "low_bands need refine_iterations of at least 1"),
        ({"width": 24}, "width 24 cannot be halved 4 times"),
        (
            {"ratios": (8,), "head": "istft", "istft_n_fft": 96},
            "istft_n_fft 96 must be a multiple of twice istft_hop_length 32",
        ),
        ({"frame_layers": 10**9}, "frame_layers must be from 0 to 64, got 1000000000"),
        ({"frame_layers": -1}, "frame_layers must be from 0 to 64, got -1"),
        ({"ratios": (-8, -8, 2, 2)}, "ratios must be from 1 to 64, got -8"),
        ({"ratios": (1,) * 1000}, "at most 8 entries"),
        ({"width": 2**40}, "width must be from 1 to 8192"),
        ({"carrier_hz": 0.0}, "carrier_hz must be from 0.1 to 10000"),
        ({"carrier_cents": float("nan")}, "carrier_cents must be from 1 to 1200, got nan"),
        ({"low_bands": ((8, 10**9),), "refine_iterations": 2}, "low_bands 0 must be from 0 to 1000"),
    ],
)
def test_impossible_generators_are_refused(values: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        GeneratorConfig(**values)  # type: ignore[arg-type]


def test_every_value_but_the_heads_own_is_free() -> None:
    """The number of sub-bands means nothing to the others, nor the inverse transform's hop to the sub-bands."""
    assert GeneratorConfig(subbands=3, istft_hop_length=7).head == "waveform"
    assert GeneratorConfig(ratios=(8, 4, 2), head="subbands", istft_hop_length=7).subbands == 4


def test_discriminators_are_grouped_by_fours() -> None:
    with pytest.raises(ValueError, match="multiple of 4 .* got 6"):
        DiscriminatorConfig(width=6)


def test_the_defaults_are_the_papers() -> None:
    generator, discriminator = GeneratorConfig(), DiscriminatorConfig()
    assert (generator.width, generator.ratios, generator.residual_layers) == (512, (8, 8, 2, 2), 3)
    assert (generator.head, generator.frame_layers, generator.n_mels) == ("waveform", 0, 80)
    assert (discriminator.scales, discriminator.width, discriminator.layers) == (3, 16, 4)
