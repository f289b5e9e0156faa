"""The generator's contract: any length, a known receptive field, blocks equal to the whole, a style."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from travelgan import Generator, GeneratorConfig
from travelgan.config import GENERATOR_NORMALIZATIONS
from travelgan.generator import receptive_field

BINS, STYLE = 8, 4


def styles(count: int) -> Tensor:
    return nn.functional.normalize(torch.randn(count, STYLE), dim=1)


def build(config: GeneratorConfig) -> Generator:
    """A generator in which every layer speaks up: the small initial weights would hide mistakes."""
    generator = Generator(config, BINS, STYLE).eval()
    for block in generator.blocks:
        nn.init.kaiming_normal_(block.mixing.convolution.weight)
    nn.init.kaiming_normal_(generator.exit.convolution.weight)
    return generator


@pytest.mark.parametrize("normalization", GENERATOR_NORMALIZATIONS)
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("frames", [1, 2, 5, 16, 31])
def test_length_out_is_length_in(
    generator_config: GeneratorConfig, normalization: str, residual: bool, frames: int
) -> None:
    config = replace(generator_config, normalization=normalization, residual_output=residual)
    output = Generator(config, BINS, STYLE)(torch.randn(2, BINS, frames), styles(2))
    assert output.shape == (2, BINS, frames)
    assert output.isfinite().all()


def test_training_starts_near_the_unchanged_song(generator_config: GeneratorConfig) -> None:
    mel = torch.randn(2, BINS, 40) - 2
    output = Generator(generator_config, BINS, STYLE)(mel, styles(2))
    assert 0 < (output - mel).abs().mean() < 0.3


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"widths": (6, 8)},
        {"widths": (6,)},
        {"widths": (4, 5, 6, 7), "dilations": (1,)},
        {"edge_kernel": 3, "down_kernel": 2, "up_kernel": 3, "block_kernel": 5},
        {"down_kernel": 6, "dilations": (3, 1, 2)},
        {"normalization": "weight"},
    ],
)
def test_receptive_field_is_exactly_what_the_formula_says(
    generator_config: GeneratorConfig, changes: dict[str, object]
) -> None:
    generator = build(replace(generator_config, **changes)).double()
    multiple = generator.frame_multiple
    reach = generator.context_frames
    middle = reach + multiple
    farthest = 0
    for phase in range(multiple):
        mel = torch.randn(1, BINS, 2 * middle + multiple, dtype=torch.float64, requires_grad=True)
        output = generator(mel, styles(1).double())
        (gradient,) = torch.autograd.grad(output[..., middle + phase].square().sum(), mel)
        touched = gradient.abs().sum(dim=(0, 1)).nonzero().flatten()
        first, last = receptive_field(generator.config, phase)
        assert (int(touched[0]), int(touched[-1])) == (first + middle, last + middle)
        farthest = max(farthest, phase - first, last - phase)
    assert reach - multiple < farthest <= reach
    assert reach % multiple == 0


def test_context_of_the_default_generator() -> None:
    # By hand, for the field's left edge at phase 0: the exit reaches 3 frames, the doublings (3 + 2) / 2 and
    # (3 + 2) / 2, the blocks 30 quarter frames, the halvings 1 + 2 * (1 + 2 * 33), the entry 3.
    first, _ = receptive_field(GeneratorConfig(), 0)
    assert -first == 3 + 1 + 2 * (1 + 2 * (30 + 3))
    generator = Generator(replace(GeneratorConfig(), widths=(2, 2, 2)), BINS, STYLE)
    assert (generator.context_frames, generator.frame_multiple) == (140, 4)


@pytest.mark.parametrize("normalization", GENERATOR_NORMALIZATIONS)
@pytest.mark.parametrize("frames", [100, 101, 103])
def test_blocks_with_context_equal_the_whole(
    generator_config: GeneratorConfig, normalization: str, frames: int
) -> None:
    generator = build(replace(generator_config, normalization=normalization))
    context, size = generator.context_frames, 12
    assert 2 * context + size < 100
    mel, style = torch.randn(1, BINS, frames) - 2, styles(1)
    with torch.inference_mode():
        whole = generator(mel, style)
        blocks = []
        for start in range(0, frames, size):
            begin = max(0, start - context)
            block = generator(mel[..., begin : start + size + context], style)
            blocks.append(block[..., start - begin : start - begin + size])
    torch.testing.assert_close(torch.cat(blocks, dim=-1), whole, atol=1e-5, rtol=0)


def test_an_odd_length_is_continued_by_its_mirror_image(generator_config: GeneratorConfig) -> None:
    generator = build(generator_config)
    mel, style = torch.randn(1, BINS, 30), styles(1)
    mirrored = torch.cat([mel, mel[..., [28, 27]]], dim=-1)
    torch.testing.assert_close(generator(mel, style), generator(mirrored, style)[..., :30], atol=1e-6, rtol=0)


def test_too_little_context_differs(generator_config: GeneratorConfig) -> None:
    generator = build(generator_config)
    mel, style = torch.randn(1, BINS, 100), styles(1)
    context = generator.context_frames - generator.frame_multiple
    block = generator(mel[..., 48 - context :], style)[..., context : context + 4]
    assert (block - generator(mel, style)[..., 48:52]).abs().max() > 1e-6


def test_style_changes_the_output_and_each_of_the_batch_has_its_own(
    generator_config: GeneratorConfig,
) -> None:
    generator = build(generator_config)
    mel = torch.randn(1, BINS, 20).repeat(2, 1, 1)
    both = styles(2)
    output = generator(mel, both)
    assert (output[0] - output[1]).abs().mean() > 1e-2
    torch.testing.assert_close(generator(mel[:1], both[1:])[0], output[1], atol=1e-5, rtol=1e-5)


def test_shapes_that_do_not_fit_are_refused(generator_config: GeneratorConfig) -> None:
    generator = build(generator_config)
    with pytest.raises(ValueError, match=r"expects \(B, 8, T >= 1\), got \(1, 7, 20\)"):
        generator(torch.zeros(1, 7, 20), styles(1))
    with pytest.raises(ValueError, match=r"expected styles \(2, 4\), got \(1, 4\)"):
        generator(torch.zeros(2, BINS, 20), styles(1))


def test_default_generator_fits_the_repository() -> None:
    generator = Generator(GeneratorConfig(), 192, 64)
    parameters = sum(parameter.numel() for parameter in generator.parameters())
    assert 8e6 < parameters < 12e6


def test_half_precision_training_gives_single_precision_mels(generator_config: GeneratorConfig) -> None:
    generator = build(generator_config)
    mel, style = torch.randn(2, BINS, 24) - 2, styles(2)
    with torch.autocast("cpu", torch.bfloat16):
        output = generator(mel, style)
    assert output.dtype == torch.float32
    assert 0 < (output - generator(mel, style)).abs().max() < 0.2
