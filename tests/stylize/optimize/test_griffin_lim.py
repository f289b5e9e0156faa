"""Phases: the alternation is that of the references, its start is better than chance, and what is known stays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from stylize.optimize.griffin_lim import (
    JOIN_SAMPLES,
    GriffinLimConfig,
    KnownStart,
    PhaseSpace,
    first_phases,
    join,
    recover_waveform,
)
from stylize_core.mel import MEL_PRESETS, GriffinLim, LogMel

N_FFT, HOP = 1024, 256


def analyze(wav: Tensor) -> Tensor:
    window = torch.hann_window(N_FFT, dtype=wav.dtype)
    return torch.stft(wav, N_FFT, HOP, window=window, center=True, pad_mode="constant", return_complex=True)


def synthesize(spectrum: Tensor) -> Tensor:
    return torch.istft(spectrum, N_FFT, HOP, window=torch.hann_window(N_FFT, dtype=spectrum.real.dtype))


SPACE = PhaseSpace(analyze, synthesize, HOP, 0, N_FFT // 2, np.arange(N_FFT // 2 + 1) / N_FFT, math.pi)


def chord(samples: int) -> Tensor:
    """Three tones between bins, whose loudness swells."""
    time = torch.arange(samples) / 22050
    tones = [torch.sin(2 * math.pi * frequency * time) for frequency in (220.0, 1000.0, 2345.6)]
    return 0.2 * torch.stack(tones).sum(dim=0) * (0.6 + 0.4 * torch.sin(2 * math.pi * 3 * time))


def error(wav: Tensor, magnitude: Tensor) -> float:
    return float(torch.linalg.norm(analyze(wav).abs() - magnitude) / torch.linalg.norm(magnitude))


def test_from_random_phases_it_is_the_front_ends_griffin_lim() -> None:
    config = MEL_PRESETS["music"]
    griffin_lim = GriffinLim(config, iterations=5)
    log_mel = LogMel(config)(chord(256 * 30)[None])
    magnitude, transform = griffin_lim.magnitudes(log_mel), griffin_lim.transform
    phase = 2 * math.pi * torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(0))
    space = PhaseSpace(
        lambda wav: transform.analyze(wav[None])[0],
        lambda spectrum: transform.synthesize(spectrum[None])[0],
        config.hop_length, config.n_fft // 2, config.win_length // 2, np.arange(1025) / 2048, math.pi,
    )  # fmt: skip
    wav = recover_waveform(magnitude[0], space, GriffinLimConfig(iterations=5), phase=phase[0])
    torch.testing.assert_close(wav[config.context :][: 256 * 30], griffin_lim(log_mel)[0], atol=1e-5, rtol=0)


def test_from_random_phases_it_is_that_of_librosa() -> None:
    import librosa

    magnitude = analyze(chord(HOP * 40)).abs()
    angles = 2 * math.pi * np.random.RandomState(3).random(magnitude.shape)
    wav = recover_waveform(
        magnitude, SPACE, GriffinLimConfig(iterations=4, momentum=0.9), phase=torch.from_numpy(angles).float()
    )
    settings = {"n_fft": N_FFT, "hop_length": HOP, "momentum": 0.9, "random_state": 3}
    expected = librosa.griffinlim(magnitude.numpy(), n_iter=4, **settings)
    torch.testing.assert_close(wav, torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_phases_of_a_steady_tone_go_on() -> None:
    wav = torch.sin(2 * math.pi * 441.7 / 22050 * torch.arange(HOP * 60).double())
    spectrum = analyze(wav)
    known = KnownStart(wav[: HOP * 20], 0)
    phases = first_phases(spectrum.abs(), SPACE, 0, known)
    peak = round(441.7 / 22050 * N_FFT)
    difference = torch.remainder(phases - spectrum.angle() + math.pi, 2 * math.pi) - math.pi
    assert float(difference[peak - 1 : peak + 2, :18].abs().max()) < 1e-3  # frames that lie within what is known
    assert float(difference[peak - 1 : peak + 2, 18:58].abs().max()) < 0.4  # and forty that do not


def test_sinusoids_are_a_better_start_than_chance() -> None:
    magnitude = analyze(chord(HOP * 80)).abs()
    phase = 2 * math.pi * torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(0))
    for iterations, better in ((0, 0.5), (30, 0.7)):
        config = GriffinLimConfig(iterations=iterations)
        from_chance = error(recover_waveform(magnitude, SPACE, config, phase=phase), magnitude)
        assert error(recover_waveform(magnitude, SPACE, config), magnitude) < better * from_chance


def test_iterations_bring_the_magnitudes_nearer() -> None:
    magnitude = analyze(chord(HOP * 40)).abs()
    errors = [
        error(recover_waveform(magnitude, SPACE, GriffinLimConfig(iterations=count)), magnitude) for count in (0, 4, 60)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05


def test_the_same_seed_gives_the_same_waveform_whatever_the_global_generator_does() -> None:
    magnitude = analyze(chord(HOP * 20)).abs()
    wavs = []
    for state, seed in ((1, 0), (2, 0), (1, 5)):
        torch.manual_seed(state)
        np.random.seed(state)
        wavs.append(recover_waveform(magnitude, SPACE, GriffinLimConfig(iterations=3, seed=seed)))
    assert torch.equal(wavs[0], wavs[1])
    assert not torch.equal(wavs[0], wavs[2])


def test_frames_without_peaks_and_silence_have_finite_phases() -> None:
    for magnitude in (torch.zeros(513, 6), torch.ones(513, 6), torch.arange(513.0)[:, None].expand(-1, 6)):
        assert torch.isfinite(first_phases(magnitude, SPACE, 0)).all()
    assert not recover_waveform(torch.zeros(513, 6), SPACE, GriffinLimConfig(iterations=3)).any()


def test_known_samples_hold_what_is_near_them() -> None:
    wav = chord(HOP * 60) + 0.1 * torch.randn(HOP * 60, generator=torch.Generator().manual_seed(0))
    magnitude, known = analyze(wav).abs(), KnownStart(wav[: HOP * 30], 0)
    config = GriffinLimConfig(iterations=30)
    held = recover_waveform(magnitude, SPACE, config, known)
    only_begun = recover_waveform(magnitude, SPACE, config, phase=first_phases(magnitude, SPACE, 0, known))

    def departure(made: Tensor, first: int, last: int) -> float:
        true = wav[first * HOP : last * HOP]
        return float(torch.linalg.norm(made[first * HOP : last * HOP] - true) / torch.linalg.norm(true))

    assert departure(held, 0, 26) < 1e-5
    assert departure(held, 26, 30) < 0.03
    assert departure(only_begun, 26, 30) > 0.2
    assert departure(held, 30, 32) < 0.7 * departure(only_begun, 30, 32)


@pytest.mark.parametrize("samples", [0, 1, 600, HOP * 30])
def test_what_is_known_can_be_short_or_all(samples: int) -> None:
    wav = chord(HOP * 30)
    made = recover_waveform(analyze(wav).abs(), SPACE, GriffinLimConfig(iterations=4), KnownStart(wav[:samples], 0))
    assert torch.isfinite(made).all()
    if samples == len(wav):
        torch.testing.assert_close(made, wav, atol=1e-4, rtol=0)


def test_a_join_by_hand() -> None:
    joined = join(torch.full((JOIN_SAMPLES + 10,), 2.0), torch.zeros(JOIN_SAMPLES + 30))
    assert (joined[:10] == 2).all()
    assert (joined[JOIN_SAMPLES + 10 :] == 0).all()
    fading = joined[10 : JOIN_SAMPLES + 10]
    assert float(fading[JOIN_SAMPLES // 2 - 1 : JOIN_SAMPLES // 2 + 1].mean()) == pytest.approx(1.0)
    assert (fading.diff() <= 0).all() and float(fading.diff().abs().max()) < 2 * math.pi / JOIN_SAMPLES
    assert torch.equal(join(torch.zeros(0), torch.ones(5)), torch.ones(5))
    assert join(torch.full((100,), 2.0), torch.ones(5)).shape == (5,)
