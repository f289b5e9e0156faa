"""The refinement reaches the mel that was asked for, looks no further than it says, and leaves good signals alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from data.mel import MEL_PRESETS, LogMel, MelConfig, ShortTimeTransform, mel_filterbank
from melgan import GeneratorConfig, Vocoder
from melgan.refinement import MelRefinement

SMALL = MelConfig(sample_rate=8000, n_fft=256, win_length=160, hop_length=32, n_mels=24, f_max=4000.0)


def chord(frames: int, config: MelConfig = SMALL) -> Tensor:
    time = torch.arange(frames * config.hop_length) / config.sample_rate
    tones = [0.2 * torch.sin(2 * math.pi * frequency * time) for frequency in (330.0, 990.0, 1870.0)]
    return torch.stack(tones).sum(dim=0)[None] * (0.6 + 0.4 * torch.sin(2 * math.pi * 3 * time))


@pytest.mark.parametrize("preset", ["music", "melgan"])
def test_iterations_bring_the_mel_nearer(preset: str) -> None:
    config = MEL_PRESETS[preset]
    log_mel, refinement = LogMel(config), MelRefinement(config)
    wanted = log_mel(chord(40, config))
    start = chord(40, config) * 0.3 + 0.01 * torch.randn(1, 40 * 256, generator=torch.Generator().manual_seed(1))
    errors = [
        float((log_mel(refinement(start, wanted, iterations)) - wanted).abs().mean()) for iterations in (0, 1, 4, 12)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 8


def plain_alternation(wav: Tensor, mel: Tensor, config: MelConfig) -> Tensor:
    """The same by the front-end's own transform and whole matrices."""
    transform, filters, context = ShortTimeTransform(config), mel_filterbank(config), config.context
    spectrum = transform.analyse(torch.nn.functional.pad(wav[:, None], (context, context), mode="reflect")[:, 0])
    ratio = 10**mel / (filters.T @ spectrum.abs()).clamp(min=config.floor)
    coverage = filters.sum(dim=1, keepdim=True)
    gain = torch.where(coverage > 0, filters @ ratio.clamp(0.01, 100) / coverage.clamp(min=1e-8), 1.0)
    return transform.synthesise(spectrum * gain)[:, context : context + wav.shape[-1]]


@pytest.mark.parametrize("config", [MEL_PRESETS["music"], MEL_PRESETS["melgan"], SMALL,
                                    MelConfig(n_mels=40, f_min=300.0, f_max=6000.0)])  # fmt: skip
def test_iterations_equal_a_plain_implementation(config: MelConfig) -> None:
    start = torch.stack([chord(40, config)[0], 0.1 * torch.randn(40 * config.hop_length)])
    mel = LogMel(config)(chord(40, config) * 0.5).expand(2, -1, -1)
    refinement = MelRefinement(config, momentum=0.9, inertia=0.8, relaxation=1.2)
    first = plain_alternation(start, mel, config)
    torch.testing.assert_close(refinement(start, mel, 1), first, atol=1e-5, rtol=0)
    second = -0.2 * first + 1.2 * plain_alternation(first, mel, config)
    torch.testing.assert_close(refinement(start, mel, 2), plain_alternation(first, mel, config), atol=1e-4, rtol=0)
    point, anchor = second + 0.9 * (second - first), second + 0.8 * (second - first)
    torch.testing.assert_close(refinement(start, mel, 3), plain_alternation(point, mel, config), atol=1e-4, rtol=0)
    third = -0.2 * anchor + 1.2 * plain_alternation(point, mel, config)
    fourth = plain_alternation(third + 0.9 * (third - second), mel, config)
    torch.testing.assert_close(refinement(start, mel, 4), fourth, atol=3e-4, rtol=0)


def test_gradients_change_no_value_and_the_input_stays() -> None:
    start = (chord(40) * 0.3).requires_grad_()
    mel, kept = LogMel(SMALL)(chord(40)), start.detach().clone()
    with_gradient = MelRefinement(SMALL)(start, mel, 4)
    with torch.no_grad():
        torch.testing.assert_close(MelRefinement(SMALL)(start, mel, 4), with_gradient.detach(), atol=1e-6, rtol=0)
    with_gradient.square().sum().backward()
    assert start.grad is not None and torch.isfinite(start.grad).all() and float(start.grad.abs().max()) > 0
    torch.testing.assert_close(start.detach(), kept, atol=0, rtol=0)


def test_acceleration_is_worth_it() -> None:
    config = MEL_PRESETS["music"]
    log_mel = LogMel(config)
    wanted = log_mel(chord(40, config))
    start = 0.05 * torch.randn(1, 40 * 256, generator=torch.Generator().manual_seed(1))
    fast = MelRefinement(config, momentum=0.99, inertia=0.0, relaxation=1.0)(start, wanted, 12)
    accelerated = MelRefinement(config)(start, wanted, 12)
    errors = [float((log_mel(wav) - wanted).abs().mean()) for wav in (accelerated, fast)]
    assert errors[0] < 0.95 * errors[1]


def test_no_iterations_change_nothing() -> None:
    wav = chord(20)
    assert MelRefinement(SMALL)(wav, torch.zeros(1, 24, 20), 0) is wav


def test_a_signal_that_has_the_mel_already_is_left_alone() -> None:
    wav = chord(60)
    refined = MelRefinement(SMALL)(wav, LogMel(SMALL)(wav), 6)
    torch.testing.assert_close(refined, wav, atol=2e-5, rtol=0)


def test_a_gain_error_is_mended_in_one_iteration() -> None:
    wav = chord(60)
    refined = MelRefinement(SMALL)(wav * 0.5, LogMel(SMALL)(wav), 1)
    # All but what lies in no mel band: the lowest bin, where the tones' onset leaves a little.
    torch.testing.assert_close(refined, wav, atol=4e-3, rtol=0)


def test_silence_stays_silence_and_has_finite_gradients() -> None:
    wav = torch.zeros(1, 20 * 32, requires_grad=True)
    refined = MelRefinement(SMALL)(wav, torch.full((1, 24, 20), SMALL.log_floor), 3)
    assert float(refined.detach().abs().max()) == 0.0
    refined.sum().backward()
    assert wav.grad is not None and torch.isfinite(wav.grad).all()


@pytest.mark.parametrize("iterations", [1, 3])
def test_context_covers_what_a_sample_can_depend_on(iterations: int) -> None:
    refinement = MelRefinement(SMALL)
    frames, changed = 80, 40
    wav, mel = chord(frames), LogMel(SMALL)(chord(frames) * 0.8)
    before = refinement(wav, mel, iterations)
    mel[..., changed] += 0.3
    after = refinement(wav, mel, iterations)
    touched = ((after - before).abs() > 1e-7)[0].nonzero()[:, 0] // SMALL.hop_length
    reach = iterations * refinement.context_frames
    assert int(touched.min()) >= changed - reach
    assert int(touched.max()) <= changed + reach
    # And the context is not merely generous: most of it is really reached.
    assert int(touched.max()) - changed >= 2 * iterations


def test_blocks_with_context_equal_the_whole() -> None:
    torch.manual_seed(0)
    config = GeneratorConfig(n_mels=24, hop_length=32, width=16, ratios=(4,), head="istft", istft_n_fft=32,
                             istft_hop_length=8, scale_input=True, refine_iterations=3)  # fmt: skip
    vocoder = Vocoder(config, SMALL).eval()
    mel = LogMel(SMALL)(chord(200)) + 0.1 * torch.randn(1, 24, 200)
    with torch.inference_mode():
        whole = vocoder(mel)
        context = vocoder.context_frames
        for start, stop in ((0, 50), (50, 120), (120, 200)):
            first, last = max(0, start - context), min(200, stop + context)
            part = vocoder(mel[..., first:last])[..., (start - first) * 32 : (stop - first) * 32]
            torch.testing.assert_close(part, whole[..., start * 32 : stop * 32], atol=5e-5, rtol=0)
