"""Evaluation measures: known values, invariants, and an independent implementation."""

from __future__ import annotations

import math

import auraloss
import numpy as np
import pytest
import torch

from stylize_core.mel import LogMel, MelConfig
from stylize_core.metrics.waveform import (
    chroma_cosine,
    constant_q_chroma,
    mel_l1,
    multi_resolution_stft_distance,
    onset_correlation,
)

RATE = 22050
MEASURES = (mel_l1, multi_resolution_stft_distance, chroma_cosine, onset_correlation)


def tone(frequency: float, seconds: float = 2.0, amplitude: float = 0.5) -> torch.Tensor:
    time = torch.arange(round(seconds * RATE)) / RATE
    return amplitude * torch.sin(2 * math.pi * frequency * time)


def noise(seed: int, seconds: float = 1.0) -> torch.Tensor:
    return 0.1 * torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(seed))


def clicks(every: float, seconds: float = 3.0, start: float = 0.1) -> torch.Tensor:
    wav = torch.zeros(round(seconds * RATE))
    for place in np.arange(start, seconds - 0.05, every):
        burst = noise(7, 0.02) * torch.linspace(1, 0, round(0.02 * RATE))
        wav[round(place * RATE) : round(place * RATE) + len(burst)] += burst
    return wav


@pytest.mark.parametrize(("measure", "perfect"), list(zip(MEASURES, (0.0, 0.0, 1.0, 1.0), strict=True)))
@pytest.mark.parametrize("signal", [noise(0), clicks(0.5), torch.zeros(RATE)], ids=["noise", "clicks", "silence"])
def test_a_signal_agrees_with_itself(measure, perfect, signal):
    assert measure(signal, signal.clone()) == pytest.approx(perfect, abs=1e-6)


@pytest.mark.parametrize("measure", MEASURES)
def test_arrays_and_tensors_give_the_same(measure):
    first, second = noise(0), noise(1)
    assert measure(first.numpy().astype(np.float64), second.numpy()) == pytest.approx(measure(first, second), abs=1e-5)


@pytest.mark.parametrize("measure", MEASURES)
def test_unequal_lengths_are_refused_with_both_lengths(measure):
    with pytest.raises(ValueError, match="22050 and 22049 samples"):
        measure(noise(0), noise(0)[:-1])


@pytest.mark.parametrize("measure", MEASURES)
def test_only_one_dimension(measure):
    with pytest.raises(ValueError, match=r"1-D.*\(1, 22050\)"):
        measure(noise(0)[None], noise(0)[None])


@pytest.mark.parametrize("seed", [1, 2])
def test_stft_distance_equals_auraloss(seed):
    wav, reference = noise(seed) * tone(3.0, 1.0), noise(0)
    other = auraloss.freq.MultiResolutionSTFTLoss(
        fft_sizes=[512, 1024, 2048], hop_sizes=[128, 256, 512], win_lengths=[512, 1024, 2048]
    )
    expected = float(other(wav[None, None], reference[None, None]))
    assert multi_resolution_stft_distance(wav, reference) == pytest.approx(expected, rel=1e-5)


def test_half_the_gain_has_known_distances():
    loud = noise(0)
    assert mel_l1(0.5 * loud, loud) == pytest.approx(math.log10(2), abs=1e-4)
    assert multi_resolution_stft_distance(0.5 * loud, loud) == pytest.approx(0.5 + math.log(2), abs=1e-3)
    assert chroma_cosine(0.5 * loud, loud) == pytest.approx(1.0, abs=1e-5)
    assert onset_correlation(0.5 * loud, loud) == pytest.approx(1.0, abs=1e-3)


def test_silence_against_sound():
    silence = torch.zeros(RATE)
    assert chroma_cosine(silence, noise(0)) == pytest.approx(0.0, abs=1e-6)
    assert onset_correlation(silence, noise(0)) == 0.0
    assert mel_l1(silence, noise(0)) > 2
    assert math.isfinite(multi_resolution_stft_distance(noise(0), silence))


def test_mel_config_is_used():
    log_mel = LogMel(MelConfig(n_mels=16))
    expected = (log_mel(tone(440)[None]) - log_mel(tone(466)[None])).abs().mean()
    assert mel_l1(tone(440), tone(466), log_mel.config) == pytest.approx(float(expected), rel=1e-5)
    assert mel_l1(tone(440), tone(466)) != pytest.approx(float(expected), rel=0.1)


def test_a_semitone_lowers_chroma_and_an_octave_does_not():
    assert chroma_cosine(tone(440 * 2 ** (1 / 12)), tone(440)) < 0.2
    assert chroma_cosine(tone(880), tone(440)) > 0.99


def test_silent_frames_do_not_count():
    # Half a second of shared silence must not change the verdict on two seconds of sound.
    pause = torch.zeros(RATE // 2)
    wrong = chroma_cosine(torch.cat([tone(466.16), pause]), torch.cat([tone(440), pause]))
    assert wrong < 0.25


def test_a_missing_half_costs_half_the_chroma():
    whole = tone(440, 8.0)
    half = whole.clone()
    half[len(half) // 2 :] = 0
    assert chroma_cosine(half, whole) == pytest.approx(0.5, abs=0.1)  # long filters smear the cut


def test_chroma_knows_the_sample_rate():
    time = np.arange(2 * 32000) / 32000
    chroma = constant_q_chroma(np.sin(2 * np.pi * 440 * time).astype(np.float32), 32000)
    names = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
    assert names[int(chroma.mean(axis=1).argmax())] == "A"


def test_onsets_follow_the_beat_and_not_the_pitch():
    beat = clicks(0.5)
    assert onset_correlation(clicks(0.5) + tone(100, 3.0, 1e-4), beat) > 0.9
    assert onset_correlation(clicks(0.5, start=0.35), beat) < 0.2
    assert onset_correlation(clicks(0.37), beat) < 0.6


def test_too_short_for_the_longest_transform():
    with pytest.raises(ValueError, match=r"1024 samples.*at least 1025"):
        multi_resolution_stft_distance(noise(0)[:1024], noise(1)[:1024])
