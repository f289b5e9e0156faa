"""The refinement reaches the mel that was asked for, looks no further than it says, and leaves good signals alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from melgan import GeneratorConfig, Vocoder
from melgan import refinement as refinement_module
from melgan.config import InverseSTFTHeadConfig
from melgan.refinement import LowBand, MelAlternation, MelRefinement
from stylize_core.mel import MEL_PRESETS, LogMel, MelConfig, ShortTimeTransform, mel_filterbank

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
    spectrum = transform.analyze(torch.nn.functional.pad(wav[:, None], (context, context), mode="reflect")[:, 0])
    ratio = 10**mel / (filters.T @ spectrum.abs()).clamp(min=config.floor)
    coverage = filters.sum(dim=1, keepdim=True)
    gain = torch.where(coverage > 0, filters @ ratio.clamp(0.01, 100) / coverage.clamp(min=1e-8), 1.0)
    return transform.synthesize(spectrum * gain)[:, context : context + wav.shape[-1]]


@pytest.mark.parametrize("config", [MEL_PRESETS["music"], MEL_PRESETS["melgan"], SMALL,
                                    MelConfig(n_mels=40, f_min=300.0, f_max=6000.0)])  # fmt: skip
def test_iterations_equal_a_plain_implementation(config: MelConfig) -> None:
    start = torch.stack([chord(40, config)[0], 0.1 * torch.randn(40 * config.hop_length)])
    mel = LogMel(config)(chord(40, config) * 0.5).expand(2, -1, -1)
    alternation = MelAlternation(config, mel_filterbank(config), momentum=0.9, inertia=0.8, relaxation=1.2)
    wanted = (10**mel).transpose(1, 2)

    def refine(iterations: int) -> Tensor:
        return alternation(start, wanted, iterations)

    first = plain_alternation(start, mel, config)
    torch.testing.assert_close(refine(1), first, atol=1e-5, rtol=0)
    second = -0.2 * first + 1.2 * plain_alternation(first, mel, config)
    torch.testing.assert_close(refine(2), plain_alternation(first, mel, config), atol=1e-4, rtol=0)
    point, anchor = second + 0.9 * (second - first), second + 0.8 * (second - first)
    torch.testing.assert_close(refine(3), plain_alternation(point, mel, config), atol=1e-4, rtol=0)
    third = -0.2 * anchor + 1.2 * plain_alternation(point, mel, config)
    fourth = plain_alternation(third + 0.9 * (third - second), mel, config)
    torch.testing.assert_close(refine(4), fourth, atol=3e-4, rtol=0)


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
    magnitudes, filters = (10**wanted).transpose(1, 2), mel_filterbank(config)
    fast = MelAlternation(config, filters, momentum=0.99, inertia=0.0, relaxation=1.0)(start, magnitudes, 12)
    accelerated = MelAlternation(config, filters)(start, magnitudes, 12)
    errors = [float((log_mel(wav) - wanted).abs().mean()) for wav in (accelerated, fast)]
    assert errors[0] < 0.95 * errors[1]


def test_no_iterations_change_nothing() -> None:
    wav = chord(20)
    refinement = MelRefinement(SMALL, [(2, 5)])
    assert refinement(wav, torch.zeros(1, 24, 20), 0) is wav
    assert refinement.context_frames(0) == 0


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    start = torch.cat([chord(50) * 0.3, 0.1 * torch.randn(1, 50 * 32)])
    mel = LogMel(SMALL)(chord(50)).expand(2, -1, -1)
    whole = MelRefinement(SMALL)(start, mel, 3)
    monkeypatch.setattr(refinement_module, "CHUNK_SAMPLES", 7 * SMALL.n_fft)
    torch.testing.assert_close(MelRefinement(SMALL)(start, mel, 3), whole, atol=2e-5, rtol=0)


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
@pytest.mark.parametrize("low_bands", [(), ((2, 2),)])
def test_context_covers_what_a_sample_can_depend_on(iterations: int, low_bands: tuple[tuple[int, int], ...]) -> None:
    refinement = MelRefinement(SMALL, low_bands)
    frames, changed = 120, 60
    wav, mel = chord(frames), LogMel(SMALL)(chord(frames) * 0.8)
    before = refinement(wav, mel, iterations)
    mel[..., changed] += 0.3
    after = refinement(wav, mel, iterations)
    touched = ((after - before).abs() > 1e-7)[0].nonzero()[:, 0] // SMALL.hop_length
    reach = refinement.context_frames(iterations)
    assert int(touched.min()) >= changed - reach
    assert int(touched.max()) <= changed + reach
    # And the context is not merely generous: most of it is really reached.
    assert int(touched.max()) - changed >= 2 * iterations


def test_blocks_with_context_equal_the_whole() -> None:
    torch.manual_seed(0)
    head = InverseSTFTHeadConfig(n_fft=32, hop_length=8)
    config = GeneratorConfig(n_mels=24, hop_length=32, width=16, ratios=(4,), head=head, scale_input=True,
                             refine_iterations=3)  # fmt: skip
    vocoder = Vocoder(config, SMALL).eval()
    mel = LogMel(SMALL)(chord(200)) + 0.1 * torch.randn(1, 24, 200)
    with torch.inference_mode():
        whole = vocoder(mel)
        context = vocoder.context_frames
        for start, stop in ((0, 50), (50, 120), (120, 200)):
            first, last = max(0, start - context), min(200, stop + context)
            part = vocoder(mel[..., first:last])[..., (start - first) * 32 : (stop - first) * 32]
            torch.testing.assert_close(part, whole[..., start * 32 : stop * 32], atol=5e-5, rtol=0)


MUSIC = MEL_PRESETS["music"]


def tones(frequencies: tuple[float, ...], frames: int, config: MelConfig = MUSIC) -> Tensor:
    time = torch.arange(frames * config.hop_length, dtype=torch.float64) / config.sample_rate
    return (
        torch.stack([0.2 * torch.sin(2 * math.pi * hertz * time + hertz) for hertz in frequencies]).sum(0)[None].float()
    )


@pytest.mark.parametrize("factor", [2, 8])
def test_a_low_band_goes_down_and_up_unchanged_and_has_the_mel_of_the_whole(factor: int) -> None:
    band = LowBand(MUSIC, factor)
    edge = MUSIC.sample_rate / 2 / factor
    inside, outside = tones((0.02 * edge, 0.3 * edge, 0.85 * edge), 60), tones((1.15 * edge, min(3.3 * edge, 9000)), 60)
    low = band.decimate(inside)
    assert low.shape == (1, inside.shape[1] // factor)
    middle = slice(1024, -1024)  # at the ends a reflected tone has a kink, which has high partials
    torch.testing.assert_close(
        low[:, 1024 // factor : -1024 // factor], inside[:, middle][:, ::factor], atol=1e-3, rtol=0
    )
    torch.testing.assert_close(band.interpolate(low)[:, middle], inside[:, middle], atol=2e-3, rtol=0)
    assert float(band.decimate(outside)[:, 1024 // factor : -1024 // factor].abs().max()) < 1e-3
    # Bands that the low band answers for show the same magnitudes at the low rate.
    alternation = band.alternation
    reach = (alternation.config.win_length - alternation.config.hop_length) // 2
    padded = torch.nn.functional.pad(low, (reach, reach), mode="reflect")
    frames = padded.unfold(1, alternation.config.win_length, alternation.config.hop_length) * alternation.window
    mel = torch.fft.rfft(frames, n=alternation.config.n_fft).abs() @ alternation.filters * factor
    whole = 10 ** LogMel(MUSIC)(inside).transpose(1, 2)[..., : band.bands]
    torch.testing.assert_close(mel[:, 3:-3], whole[:, 3:-3], atol=0.01 * float(whole.max()), rtol=0)


def test_a_low_band_leaves_what_is_above_alone() -> None:
    high, low = tones((1700.0, 5000.0), 60), tones((200.0, 440.0), 60)
    mel = LogMel(MUSIC)(high + low)
    refined = LowBand(MUSIC, 8)(high + 0.3 * low, (10**mel).transpose(1, 2), 8)
    middle = slice(3000, -3000)
    torch.testing.assert_close(refined[:, middle], (high + low)[:, middle], atol=0.02, rtol=0)
    changed = torch.fft.rfft((refined - high - 0.3 * low)[0, middle] * torch.hann_window(60 * 256 - 6000)).abs()
    edge = round(1400 * (60 * 256 - 6000) / MUSIC.sample_rate)
    assert float(changed[edge:].max()) < 1e-3 * float(changed.max())


def test_low_bands_bring_near_tones_apart() -> None:
    frames = 120
    wanted, wrong = tones((220.0, 233.1, 246.9), frames), tones((222.0, 234.5, 244.0), frames)
    mel = LogMel(MUSIC)(wanted)

    def distance(low_bands: tuple[tuple[int, int], ...]) -> float:
        refined = MelRefinement(MUSIC, low_bands)(wrong, mel, 6)
        window = torch.hann_window(8192)
        spectra = [torch.stft(wav, 8192, 2048, window=window, return_complex=True).abs() for wav in (refined, wanted)]
        return float((spectra[0] - spectra[1]).norm() / spectra[1].norm())

    assert distance(((8, 60),)) < 0.8 * distance(())


def test_low_bands_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="divide n_fft 2048, win_length 1280 and hop_length 256, got 3"):
        LowBand(MUSIC, 3)
    with pytest.raises(ValueError, match="at least 2"):
        LowBand(MUSIC, 1)
    with pytest.raises(ValueError, match="holds no whole mel band"):
        LowBand(SMALL, 32)
