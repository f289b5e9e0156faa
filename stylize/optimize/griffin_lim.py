"""Magnitudes to a waveform by the fast Griffin-Lim algorithm, with a beginning that may be known.

Griffin and Lim (1984) with the momentum of Perraudin et al. (2013). Phases start from those of sinusoids that pass
through the peaks of each frame (single pass spectrogram inversion, Beauregard et al., 2015), which leaves a quarter
less error than random ones after 60 iterations. Where the beginning of the waveform is known, its samples are put back
in every iteration and the sinusoids go on from its phases: what follows continues it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

JOIN_SAMPLES = 2048
"""Over so many of its last samples a known beginning fades into what was made."""


@dataclass(frozen=True)
class PhaseSpace:
    """A complex time-frequency transform of signals of one length, and what its phases mean."""

    analyze: Callable[[Tensor], Tensor]  # waveform (samples,) to complex spectrum (rows, frames)
    synthesize: Callable[[Tensor], Tensor]  # complex spectrum to waveform, near the inverse
    hop_length: int  # samples between frames
    first_center: int  # sample on which frame 0 is centered
    reach: int  # samples on either side of its center that a frame sees
    frequencies: np.ndarray  # of the rows, cycles per sample
    neighbor_phase: float  # by how much the phases of neighboring rows differ that see the same sinusoid, radians


@dataclass(frozen=True)
class KnownStart:
    """Samples that are known."""

    wav: Tensor  # (samples,)
    position: int  # of the first of them in the waveform that is analyzed; what lies before it stays free


@dataclass(frozen=True)
class GriffinLimConfig:
    """How long and how boldly phases are sought."""

    iterations: int = 60  # analyses and syntheses
    momentum: float = 0.99  # how far each goes on in the direction of the one before
    seed: int = 0  # of the phases of the first frame


def recover_waveform(
    magnitude: Tensor,
    space: PhaseSpace,
    config: GriffinLimConfig,
    known: KnownStart | None = None,
    phase: Tensor | None = None,
) -> Tensor:
    """A waveform whose magnitudes are about the given ones; the same arguments give the same waveform.

    Args:
        magnitude: at least 0.
        space: the transform of the magnitudes.
        config: iterations, momentum, seed.
        known: the beginning, where it is known.
        phase: initial phases; None for :func:`first_phases`.

    Shape:
        magnitude, phase (rows, frames) -> (samples,).
    """
    spectrum = torch.polar(magnitude, first_phases(magnitude, space, config.seed, known) if phase is None else phase)
    previous = torch.zeros_like(spectrum)
    for _ in range(config.iterations):
        wav = space.synthesize(spectrum)
        if known is not None:
            wav[known.position : known.position + len(known.wav)] = known.wav
        rebuilt = space.analyze(wav)
        accelerated = rebuilt + config.momentum * (rebuilt - previous)
        previous = rebuilt
        spectrum = magnitude * accelerated / accelerated.abs().clamp(min=1e-12)
    return space.synthesize(spectrum)


def first_phases(magnitude: Tensor, space: PhaseSpace, seed: int, known: KnownStart | None = None) -> Tensor:
    """Initial phases: of the known frames, then of sinusoids through the peaks; (rows, frames), radians."""
    rows, frames = magnitude.shape
    generator = torch.Generator().manual_seed(seed)
    last = 2 * math.pi * torch.rand(rows, generator=generator).double().numpy()
    phases = np.zeros((frames, rows))
    known_frames = 0
    if known is not None:
        end = known.position + len(known.wav) - space.reach - space.first_center
        known_frames = min(frames, max(0, end // space.hop_length + 1))
    if known is not None and known_frames:
        wav = torch.zeros_like(space.synthesize(torch.polar(magnitude, torch.zeros_like(magnitude))))
        wav[known.position : known.position + len(known.wav)] = known.wav
        phases[:known_frames] = space.analyze(wav)[:, :known_frames].angle().T.cpu().numpy()
        last = phases[known_frames - 1]
    levels = torch.log(magnitude + 1e-7).T.cpu().double().numpy()
    for frame in range(known_frames, frames):
        phases[frame] = last = _advance(levels[frame], last, space)
    return torch.from_numpy(phases.T).to(magnitude)


def _advance(level: np.ndarray, last: np.ndarray, space: PhaseSpace) -> np.ndarray:
    """The phases of a frame from those before it: every peak turns at its own frequency and takes its slopes along."""
    rows = np.arange(len(level))
    turn = 2 * math.pi * space.hop_length
    peaks = 1 + np.flatnonzero((level[1:-1] > level[:-2]) & (level[1:-1] >= level[2:]))
    if not len(peaks):
        return (last + turn * space.frequencies) % (2 * math.pi)
    # The top of the parabola through a peak and its neighbors; the middle one is not below them, nor level with both.
    below, top, above = level[peaks - 1], level[peaks], level[peaks + 1]
    exact = peaks + 0.5 * (below - above) / (below - 2 * top + above)
    turned = last[peaks] + turn * np.interp(exact, rows, space.frequencies)
    nearest = np.searchsorted((peaks[1:] + peaks[:-1]) // 2, rows)
    phases: np.ndarray = turned[nearest] + space.neighbor_phase * np.abs(rows - peaks[nearest])
    return phases % (2 * math.pi)


def join(known: Tensor, wav: Tensor) -> Tensor:
    """A waveform, (samples,), that begins with known samples, the last of which fade into it."""
    length = min(len(known), len(wav))
    if not length:
        return wav
    fade = min(JOIN_SAMPLES, length)
    rising = 0.5 - 0.5 * torch.cos(torch.pi * (torch.arange(fade, dtype=wav.dtype) + 0.5) / fade)
    weight = torch.cat([torch.zeros(length - fade, dtype=wav.dtype), rising])
    return torch.cat([torch.lerp(known[:length].to(wav), wav[:length], weight), wav[length:]])
