"""The generator family: lengths, receptive field, blocks against the whole, the inverse transform against torch's."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from melgan import Generator, GeneratorConfig
from melgan.config import InverseSTFTHeadConfig, SubbandHeadConfig
from melgan.heads import InverseSTFTHead, SubbandHead, WaveformHead
from melgan.layers import add_weight_norm, plain_state_dict
from scripts.train import EXPERIMENTS
from training.recipe import read_recipe

WAVEFORM = GeneratorConfig(n_mels=6, hop_length=32, width=16, ratios=(4, 4, 2), residual_layers=2)
ODD = GeneratorConfig(n_mels=6, hop_length=30, width=16, ratios=(5, 3, 2), residual_layers=1)
FRAMES = GeneratorConfig(n_mels=6, hop_length=32, width=16, ratios=(8, 4), frame_layers=2, scale_input=True)
ISTFT = GeneratorConfig(
    n_mels=6, hop_length=64, width=8, ratios=(4,), frame_layers=1, residual_layers=2,
    head=InverseSTFTHeadConfig(n_fft=64, hop_length=16), scale_input=True,
)  # fmt: skip
DEFAULT = GeneratorConfig(
    n_mels=6, width=8, ratios=(8,), frame_layers=3, residual_layers=3, head=InverseSTFTHeadConfig(), scale_input=True
)
SUBBANDS = GeneratorConfig(
    n_mels=6, hop_length=32, width=16, ratios=(4, 2), residual_layers=2, head=SubbandHeadConfig(), scale_input=True
)
TWO_BANDS = GeneratorConfig(
    n_mels=6, hop_length=32, width=16, ratios=(4, 4), residual_layers=1, head=SubbandHeadConfig(subbands=2)
)
FAMILY = {
    "waveform": WAVEFORM, "odd": ODD, "frames": FRAMES, "istft": ISTFT, "default": DEFAULT,
    "subbands": SUBBANDS, "two bands": TWO_BANDS,
}  # fmt: skip


def make(config: GeneratorConfig) -> Generator:
    """A generator whose every weight matters."""
    torch.manual_seed(0)
    generator = Generator(config)
    for parameter in generator.parameters():
        if parameter.ndim == 3:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return generator.requires_grad_(False)


def random_mel(frames: int, bands: int = 6, batch: int = 1) -> Tensor:
    return torch.randn(batch, bands, frames, generator=torch.Generator().manual_seed(1)) - 2


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("frames", [4, 5, 9, 16, 33])
def test_a_frame_makes_hop_length_samples(name: str, frames: int) -> None:
    generator = make(FAMILY[name])
    wav = generator(random_mel(frames, batch=2))
    assert wav.shape == (2, 1, frames * FAMILY[name].hop_length)
    assert torch.isfinite(wav).all()


@pytest.mark.parametrize("shape", [(1, 6, 3), (1, 5, 16), (6, 16), (1, 1, 6, 16)])
def test_mels_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(B, 6, T >= 4\), got"):
        Generator(WAVEFORM)(torch.zeros(shape))


@pytest.mark.parametrize("name", FAMILY)
def test_context_frames_is_the_receptive_field(name: str) -> None:
    generator = make(FAMILY[name])
    hop, context = generator.config.hop_length, generator.context_frames
    middle = context + 4
    mel = random_mel(2 * middle + 1)
    frame = slice(middle * hop, (middle + 1) * hop)
    wanted = generator(mel)[..., frame]

    def reach(distance: int) -> float:
        changes = []
        for side in (-1, 1):
            other = mel.clone()
            other[..., middle + side * distance] += 20.0
            changes.append(float((generator(other)[..., frame] - wanted).abs().max()))
        return max(changes)

    outside = mel.clone()
    outside[..., : middle - context] += 20.0
    outside[..., middle + context + 1 :] -= 20.0
    torch.testing.assert_close(generator(outside)[..., frame], wanted, atol=1e-6, rtol=1e-6)
    true_radius = max(distance for distance in range(context + 3) if reach(distance) > 1e-5)
    assert context - 2 <= true_radius <= context


@pytest.mark.parametrize("name", FAMILY)
def test_blocks_with_context_equal_the_whole(name: str) -> None:
    generator = make(FAMILY[name])
    hop, context, frames, block = generator.config.hop_length, generator.context_frames, 61, 13
    mel = random_mel(frames)
    parts = []
    for start in range(0, frames, block):
        stop = min(start + block, frames)
        left, right = max(0, start - context), min(frames, stop + context)
        wav = generator(mel[..., left:right])
        parts.append(wav[..., (start - left) * hop : (stop - left) * hop])
    torch.testing.assert_close(torch.cat(parts, dim=-1), generator(mel), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["waveform", "default", "subbands"])
def test_folded_weight_norm_makes_the_same_waveform(name: str) -> None:
    torch.manual_seed(0)
    trained = add_weight_norm(Generator(FAMILY[name]))
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(1 + 0.5 * torch.rand_like(parameter))
    plain = Generator(FAMILY[name])
    plain.load_state_dict(plain_state_dict(trained))
    mel = random_mel(12)
    torch.testing.assert_close(plain(mel), trained(mel), atol=1e-5, rtol=1e-4)


def test_input_scaling_maps_the_mel_range_to_unit_range() -> None:
    scaled, plain = make(FRAMES), make(replace(FRAMES, scale_input=False))
    mel = random_mel(10)
    torch.testing.assert_close(scaled(mel), plain((mel + 2) / 3))
    assert not torch.allclose(scaled(mel), plain(mel))


def test_the_waveform_head_stays_within_full_scale() -> None:
    generator = make(WAVEFORM)
    assert float(generator(random_mel(10) * 50).abs().max()) <= 1.0


class Fixed(nn.Module):
    """Stands for the head's convolution and answers with features made elsewhere."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        return self.features


def test_known_sub_bands_make_their_waveform() -> None:
    """The head adds up what its convolution makes: here a tone of amplitude 0.5 in the second of four bands."""
    head = SubbandHead(4, SubbandHeadConfig())
    wav = 0.5 * torch.sin(2 * math.pi * 0.19 * torch.arange(2048.0))[None, None]
    bands = head.filter_bank.analyze(wav)
    assert int(bands.square().sum(dim=-1).argmax()) == 1
    head.last = Fixed(torch.atanh(bands))  # type: ignore[assignment]
    made = head(torch.zeros(1, 4, 512))
    torch.testing.assert_close(made[..., 100:-100], wav[..., 100:-100], atol=1e-3, rtol=0)


def test_the_filter_bank_is_no_part_of_the_weights() -> None:
    names = Generator(SUBBANDS).state_dict()
    assert [name for name in names if name.startswith("head.")] == ["head.last.conv.weight", "head.last.conv.bias"]


def test_the_multi_band_configuration_is_the_recipes_size() -> None:
    """2.59 million parameters in the guide, where three stages end in four bands at a quarter of the rate."""
    recipe = read_recipe(Path(__file__).parents[2] / "configs" / "vocoder_multiband.yaml", EXPERIMENTS)
    config = recipe.stages[0].config.generator
    assert (config.width, config.ratios, config.head) == (384, (8, 4, 2), SubbandHeadConfig(subbands=4))
    generator = Generator(config)
    assert generator(torch.zeros(1, 192, 4)).shape == (1, 1, 1024)
    assert sum(p.numel() for p in generator.parameters()) == pytest.approx(2.59e6, rel=0.01)


@pytest.mark.parametrize(("n_fft", "hop", "frames"), [(128, 32, 40), (64, 16, 33), (96, 16, 21)])
def test_a_known_spectrum_is_synthesized_in_place(n_fft: int, hop: int, frames: int) -> None:
    """Frames are centred on the middle of their hop; magnitudes count in units of n_fft / 2."""
    wav = torch.randn(1, frames * hop, generator=torch.Generator().manual_seed(2))
    padded = nn.functional.pad(wav, ((n_fft - hop) // 2,) * 2, mode="reflect")
    spectrum = torch.stft(padded, n_fft, hop, window=torch.hann_window(n_fft), center=False, return_complex=True)
    assert spectrum.shape[-1] == frames
    magnitude = spectrum.abs() / (n_fft / 2)
    unit = spectrum / spectrum.abs()
    head = InverseSTFTHead(4, InverseSTFTHeadConfig(n_fft=n_fft, hop_length=hop))
    # The direction need not have length one: the head makes it so.
    head.last = Fixed(torch.cat([magnitude.log(), 3 * unit.real, 3 * unit.imag], dim=1))  # type: ignore[assignment]
    rebuilt = head(torch.zeros(1, 4, frames))[:, 0]
    assert rebuilt.shape == wav.shape
    torch.testing.assert_close(rebuilt[:, n_fft:-n_fft], wav[:, n_fft:-n_fft], atol=1e-4, rtol=0)


def test_synthesis_filters_are_torch_istfts() -> None:
    n_fft, hop = 64, 16
    generator = torch.Generator().manual_seed(3)
    spectrum = torch.view_as_complex(torch.randn(1, n_fft // 2 + 1, 30, 2, generator=generator))
    spectrum[:, [0, -1]] = spectrum[:, [0, -1]].real.to(spectrum.dtype)
    expected = torch.istft(spectrum, n_fft, hop, window=torch.hann_window(n_fft), center=True)
    filters = InverseSTFTHead(4, InverseSTFTHeadConfig(n_fft=n_fft, hop_length=hop)).synthesis
    made = nn.functional.conv_transpose1d(torch.cat([spectrum.real, spectrum.imag], dim=1), filters, stride=hop)
    made = made[:, 0, n_fft // 2 : n_fft // 2 + expected.shape[-1]] / (n_fft / 2)
    torch.testing.assert_close(made[:, n_fft:-n_fft], expected[:, n_fft:-n_fft], atol=1e-5, rtol=0)


@pytest.mark.parametrize("make_head", [WaveformHead, lambda channels: SubbandHead(channels, SubbandHeadConfig()),
                                       lambda channels: InverseSTFTHead(
                                           channels, InverseSTFTHeadConfig(n_fft=64, hop_length=16))])  # fmt: skip
def test_the_last_stage_runs_in_single_precision_under_mixed_precision(make_head: Any) -> None:
    torch.manual_seed(0)
    head = make_head(8)
    x = torch.randn(1, 8, 20)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = head(x)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, head(x))


def test_an_untrained_inverse_transform_is_quiet_not_silent() -> None:
    torch.manual_seed(0)
    wav = Generator(DEFAULT)(random_mel(20)).detach()
    assert 1e-4 < float(wav.abs().max()) < 1.0


def test_gradients_reach_every_weight() -> None:
    for config in (WAVEFORM, DEFAULT, SUBBANDS):
        generator = Generator(config)
        generator(random_mel(12)).square().mean().backward()
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in generator.parameters())
