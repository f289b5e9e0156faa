"""Digital silence stays silence: which mel frames are silent, and the gain that makes the waveform zero."""

from __future__ import annotations

import torch
from torch import Tensor

from stylize_core.mel import MelConfig


def find_silent_frames(mel: Tensor, config: MelConfig) -> Tensor:
    """Frames with every bin at the floor: nothing but digital silence under their whole window.

    Shape: mel (B, n_mels, T) -> bool (B, T).
    """
    return (mel <= config.log_floor + 1e-4).all(dim=1)


def ramp_frames(config: MelConfig) -> int:
    """Frames over which the gain rises and falls.

    The window of a silent frame reaches `(win_length - hop_length) / 2` samples beyond the frame itself, and
    these samples are silent as well: the ramp lies within them and touches no sounding sample of the input.
    """
    return max(1, (config.win_length - config.hop_length) // 2 // config.hop_length)


def silence_gain(silent: Tensor, config: MelConfig) -> Tensor:
    """Gain of each sample: 0 in silent frames, 1 in sounding ones, with a raised cosine at their ends.

    A sample's gain depends on silent frames at most :func:`ramp_frames` away, so that blocks with as much
    context get the gain of the whole song.

    Shape: silent (B, T) -> (B, T * hop_length) in [0, 1].
    """
    ramp, hop = ramp_frames(config), config.hop_length
    batch, frames = silent.shape
    # Distance in frames from each border between two frames to the nearest silent frame, at most `ramp`.
    beside_silence = torch.zeros(batch, frames + 1, dtype=torch.bool, device=silent.device)
    beside_silence[:, :-1] |= silent
    beside_silence[:, 1:] |= silent
    distance = torch.where(beside_silence, 0.0, float(ramp))
    for _ in range(ramp - 1):
        nearest = distance.clone()
        nearest[:, 1:] = torch.minimum(nearest[:, 1:], distance[:, :-1] + 1)
        nearest[:, :-1] = torch.minimum(nearest[:, :-1], distance[:, 1:] + 1)
        distance = nearest
    height = distance / ramp
    position = (torch.arange(hop, device=silent.device) + 0.5) / hop
    left, right = height[:, :-1, None], height[:, 1:, None]
    linear = left + (right - left) * position
    return (0.5 - 0.5 * torch.cos(torch.pi * linear)).reshape(batch, frames * hop)
