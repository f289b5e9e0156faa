"""The mel front-end against librosa and the original MelGAN code; Griffin-Lim against what it must reproduce."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from torch import Tensor

from stylize_core.errors import UserError
from stylize_core.mel import MEL_PRESETS, GriffinLim, LogMel, MelConfig, mel_filterbank

VECTORS = Path(__file__).parent.parent / "melgan" / "vectors" / "melgan_ngf8.npz"
RATE = 22050


def music(seconds: float = 1.0, seed: int = 0) -> Tensor:
    """Swelling partials over a little noise, (1, samples)."""
    time = torch.arange(int(seconds * RATE)) / RATE
    noise = torch.randn(len(time), generator=torch.Generator().manual_seed(seed))
    partials = [0.2 / k * torch.sin(2 * torch.pi * 155.0 * k * time) for k in range(1, 12)]
    return (torch.stack(partials).sum(0) * (0.3 + time) * 0.5 + 0.005 * noise)[None]


@pytest.mark.parametrize("preset", ["music", "melgan"])
def test_log_mel_is_librosas_on_the_reflected_signal(preset: str) -> None:
    config = MEL_PRESETS[preset]
    wav = music()
    mel = LogMel(config)(wav)
    context = (config.n_fft - config.hop_length) // 2
    expected = librosa.feature.melspectrogram(
        y=np.pad(wav[0].numpy().astype(np.float64), context, mode="reflect"),
        sr=config.sample_rate,
        n_fft=config.n_fft,
        win_length=config.win_length,
        hop_length=config.hop_length,
        n_mels=config.n_mels,
        fmin=config.f_min,
        fmax=config.f_max,
        power=1.0,
        center=False,
    )
    assert mel.shape == (1, config.n_mels, RATE // config.hop_length)
    np.testing.assert_allclose(mel[0].numpy(), np.log10(np.maximum(expected, config.floor)), atol=1e-4)


def test_log_mel_is_that_of_the_original_front_end() -> None:
    vectors = np.load(VECTORS)
    mel = LogMel(MEL_PRESETS["melgan"])(torch.from_numpy(vectors["audio"])[None])
    np.testing.assert_allclose(mel[0].numpy(), vectors["log_mel"], atol=1e-4)


@pytest.mark.parametrize(
    "config", [MEL_PRESETS["music"], MelConfig(22050, 1200, 600, 100, n_mels=40, f_min=50.0, f_max=8000.0)]
)
def test_filters_are_librosas(config: MelConfig) -> None:
    expected = librosa.filters.mel(
        sr=config.sample_rate, n_fft=config.n_fft, n_mels=config.n_mels, fmin=config.f_min, fmax=config.f_max
    )
    np.testing.assert_allclose(mel_filterbank(config).T.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("preset", ["music", "melgan"])
def test_a_block_with_true_context_equals_the_same_frames_of_the_whole(preset: str) -> None:
    log_mel = LogMel(MEL_PRESETS[preset])
    hop, context = log_mel.config.hop_length, log_mel.context
    wav = music(2.0)
    whole = log_mel(wav)
    start, stop = 20, 31
    block = log_mel(wav[:, start * hop - context : stop * hop + context], padded=True)
    torch.testing.assert_close(block, whole[..., start:stop], atol=1e-5, rtol=0)


def test_a_batch_is_its_items() -> None:
    log_mel = LogMel(MEL_PRESETS["melgan"])
    first, second = music(0.3, 0), music(0.3, 1)
    torch.testing.assert_close(
        log_mel(torch.cat([first, second])), torch.cat([log_mel(first), log_mel(second)]), atol=1e-5, rtol=0
    )


def test_mixed_precision_does_not_touch_the_mel() -> None:
    log_mel = LogMel(MEL_PRESETS["music"])
    wav = music(0.5)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = log_mel(wav)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, log_mel(wav))


def test_a_frame_counts_where_the_samples_are() -> None:
    config = MEL_PRESETS["melgan"]
    wav = torch.zeros(1, 40 * config.hop_length)
    wav[0, 20 * config.hop_length + config.hop_length // 2] = 1.0  # the middle of frame 20
    energy = LogMel(config)(wav)[0].sum(dim=0)
    assert int(energy.argmax()) == 20
    assert energy[19] == pytest.approx(float(energy[21]), rel=1e-3)


def test_gradients_flow_and_silence_has_finite_ones() -> None:
    wav = torch.zeros(1, 4096, requires_grad=True)
    LogMel(MEL_PRESETS["melgan"])(wav).sum().backward()
    assert wav.grad is not None and torch.isfinite(wav.grad).all()


@pytest.mark.parametrize(
    ("shape", "padded", "problem"),
    [
        ((22050,), False, r"shape \(B, samples\)"),
        ((1, 1, 22050), False, r"shape \(B, samples\)"),
        ((1, 384), False, "at least 385 samples, got 384"),
        ((1, 1023), True, "at least 1024 samples, got 1023"),
    ],
)
def test_signals_that_do_not_fit_are_refused(shape: tuple[int, ...], padded: bool, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        LogMel(MEL_PRESETS["melgan"])(torch.zeros(shape), padded=padded)


def test_the_shortest_signals_pass() -> None:
    log_mel = LogMel(MEL_PRESETS["melgan"])
    assert log_mel(torch.zeros(1, 385)).shape == (1, 80, 1)
    assert log_mel(torch.zeros(1, 1024), padded=True).shape == (1, 80, 1)
    touching = LogMel(MelConfig(n_fft=256, win_length=256, n_mels=8))  # frames touch, nothing is reflected
    assert touching(torch.zeros(1, 256)).shape == (1, 8, 1)
    with pytest.raises(ValueError, match="at least 256"):
        touching(torch.zeros(1, 255))


@pytest.mark.parametrize(
    "values",
    [
        {"hop_length": 0},
        {"win_length": 4096},
        {"hop_length": 2000},
        {"n_fft": 2047},
        {"f_max": 12000.0},
        {"f_min": 500.0, "f_max": 400.0},
        {"f_min": float("nan")},
        {"n_mels": 10**9},
        {"n_fft": 2**40},
        {"sample_rate": 10**19},
        {"floor": 0.0},
        {"floor": float("inf")},
    ],
)
def test_impossible_front_ends_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        MelConfig(**values)  # type: ignore[arg-type]
    with pytest.raises(UserError):
        MelConfig.from_dict(MelConfig().to_dict() | values)


def test_a_front_end_survives_json_and_names_its_differences() -> None:
    music_config, melgan_config = MEL_PRESETS["music"], MEL_PRESETS["melgan"]
    assert MelConfig.from_dict(music_config.to_dict()) == music_config
    assert music_config.describe_difference(music_config) == ""
    difference = music_config.describe_difference(melgan_config)
    assert difference == "n_fft: 2048 / 1024, win_length: 1280 / 1024, n_mels: 192 / 80"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"bins": 3}, "unknown key 'bins'"),
        ({"n_mels": "80"}, "n_mels must be a whole number, got '80'"),
        ({"n_mels": 80.5}, "n_mels must be a whole number, got 80.5"),
        ({"floor": None}, "floor must be a number, got None"),
    ],
)
def test_foreign_values_are_refused(change: dict[str, object], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        MelConfig.from_dict(MelConfig().to_dict() | change)  # type: ignore[arg-type]


def test_a_missing_value_is_named() -> None:
    values = MelConfig().to_dict()
    del values["floor"]
    with pytest.raises(UserError, match=r"missing keys \['floor'\]"):
        MelConfig.from_dict(values)


@pytest.mark.parametrize("preset", ["music", "melgan"])
def test_griffin_lims_mel_is_near_the_mel_it_was_given(preset: str) -> None:
    config = MEL_PRESETS[preset]
    log_mel = LogMel(config)
    mel = log_mel(music(0.8))
    wav = GriffinLim(config, iterations=30)(mel)
    assert wav.shape == (1, mel.shape[-1] * config.hop_length)
    assert float((log_mel(wav) - mel).abs().mean()) < 0.1
    one_iteration = GriffinLim(config, iterations=1)(mel)
    assert float((log_mel(one_iteration) - mel).abs().mean()) > 1.5 * float((log_mel(wav) - mel).abs().mean())


@pytest.mark.parametrize("preset", ["music", "melgan"])
def test_a_tone_stays_the_tone_and_as_loud(preset: str) -> None:
    config = MEL_PRESETS[preset]
    time = torch.arange(RATE) / RATE
    tone = 0.5 * torch.sin(2 * torch.pi * 440.0 * time)[None]
    rebuilt = GriffinLim(config, iterations=20)(LogMel(config)(tone))[0]
    inner = rebuilt[4096:-4096]
    spectrum = torch.fft.rfft(inner * torch.hann_window(len(inner)), n=8 * len(inner)).abs()
    frequency = float(spectrum.argmax()) * RATE / (8 * len(inner))
    # As near as the filters are wide: around 440 Hz those of `melgan` are 36 Hz apart, those of `music` 15 Hz.
    assert frequency == pytest.approx(440.0, abs=15 if preset == "melgan" else 7)
    assert float(inner.square().mean().sqrt()) == pytest.approx(0.5 / 2**0.5, rel=0.25)


def test_magnitudes_are_positive_and_have_the_mel() -> None:
    config = MEL_PRESETS["music"]
    griffin_lim = GriffinLim(config)
    mel = LogMel(config)(music(0.3))
    magnitudes = griffin_lim.magnitudes(mel)
    assert magnitudes.min() >= 0
    rebuilt = torch.log10((griffin_lim.filters.T @ magnitudes).clamp(min=config.floor))
    assert float((rebuilt - mel).abs().mean()) < 0.02


def test_silence_stays_silence_for_both_ways() -> None:
    config = MEL_PRESETS["music"]
    mel = LogMel(config)(torch.zeros(1, 8192))
    assert torch.equal(mel, torch.full_like(mel, config.log_floor))
    assert torch.count_nonzero(GriffinLim(config, iterations=4)(mel)) == 0


def test_griffin_lim_gives_the_same_each_time_and_leaves_the_random_state_alone() -> None:
    config = MEL_PRESETS["melgan"]
    mel = LogMel(config)(music(0.3))
    griffin_lim = GriffinLim(config, iterations=3)
    before = torch.random.get_rng_state()
    first = griffin_lim(mel)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(5)
    assert torch.equal(first, griffin_lim(mel))
