"""Silence: found where all bins are at the floor, kept with a gain that touches nothing that sounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stylize.silence import find_silent_frames, ramp_frames, silence_gain
from stylize_core.mel import MEL_PRESETS, LogMel, MelConfig

CONFIG = MelConfig()


def test_only_frames_with_every_bin_at_the_floor_are_silent() -> None:
    mel = torch.full((1, CONFIG.n_mels, 3), CONFIG.log_floor)
    mel[0, 7, 1] += 0.01
    assert find_silent_frames(mel, CONFIG).tolist() == [[True, False, True]]


def test_gain_is_zero_in_silence_one_in_sound_and_smooth_between() -> None:
    silent = torch.zeros(1, 20, dtype=torch.bool)
    silent[0, :5] = True
    gain = silence_gain(silent, CONFIG)[0]
    ramp = ramp_frames(CONFIG) * CONFIG.hop_length
    edge = 5 * CONFIG.hop_length
    assert ramp == 512
    assert (gain[:edge] == 0).all()
    assert (gain[edge + ramp :] == 1).all()
    rising = gain[edge : edge + ramp]
    assert (rising.diff() > 0).all()
    assert gain.diff().abs().max() < 4 / ramp
    assert rising[ramp // 2 - 1] + rising[ramp // 2] == pytest.approx(1.0, abs=1e-5)


def test_gain_is_symmetric_in_time() -> None:
    silent = torch.rand(2, 50, generator=torch.Generator().manual_seed(0)) < 0.2
    forwards, backwards = silence_gain(silent, CONFIG), silence_gain(silent.flip(1), CONFIG)
    torch.testing.assert_close(forwards, backwards.flip(1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("config", [MEL_PRESETS["music"], MEL_PRESETS["melgan"]])
@pytest.mark.parametrize("onset", [5120, 5200, 5247, 5375])
def test_no_sounding_sample_is_turned_down(config: MelConfig, onset: int) -> None:
    wav = torch.zeros(1, 64 * 256)
    wav[0, onset : onset + 4000] = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, 4000)).float()
    silent = find_silent_frames(LogMel(config)(wav), config)
    gain = silence_gain(silent, config)[0]
    # The Hann window is so near zero at its ends that a handful of samples cannot lift a frame off the floor.
    assert gain[onset + 32 : onset + 4000 - 32].min() > 0.98
    assert (gain[: onset - 1024] == 0).all()
    assert (gain[onset + 4000 + 1024 :] == 0).all()


def test_gain_of_a_part_is_the_gain_of_the_whole() -> None:
    silent = torch.rand(1, 60, generator=torch.Generator().manual_seed(1)) < 0.1
    whole = silence_gain(silent, CONFIG)
    context, hop = ramp_frames(CONFIG), CONFIG.hop_length
    part = silence_gain(silent[:, 20 - context : 40 + context], CONFIG)
    expected = whole[:, 20 * hop : 40 * hop]
    torch.testing.assert_close(part[:, context * hop : -context * hop], expected, atol=1e-6, rtol=0)
