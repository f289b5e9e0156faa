"""Sinusoidal oscillator bank in absolute time: phases, which a mel spectrogram lacks.

As in single-pass spectrogram inversion (Beauregard et al., DAFx 2015), every bin takes the phase of the oscillators
near the loudest partial around it, but phases depend on the frame's number alone instead of on all frames before, so
that any block of a song can be synthesized independently.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from melgan.config import OscillatorHeadConfig
from stylize_core.mel import MelConfig, mel_filterbank

PHASE_STEPS = 1 << 32
"""Steps of a full turn. Phases are integers, so that they are exact after hours of music."""

NEIGHBORHOOD = 7
"""Number of lines on either side that a line competes with."""

LOUDNESS_EXPONENT = 2.0
"""Power of the magnitude in the weight of a line."""

MIN_MAGNITUDE = 1e-6

DRIFT_TERMS = 3
"""Number of slow sines in the phase drift of a line."""

DRIFT_TURNS = 1.6 / (2 * math.pi)
"""Amplitude of each of these sines, which leaves J0(1.6)**3, a tenth, of the pure tone."""

MAX_SAMPLES = 1 << 23
"""Samples of the tones on all lines: a hundred megabytes."""

MIN_DRIFT_SHARE = 0.3
"""Slowest rate of these sines, relative to the fastest."""


class OscillatorBank(nn.Module):
    """Mel and frame number to a direction (a complex number of length about one) and a magnitude for every bin.

    The lines of the bank are `spacing_hz` apart, or `spacing_cents` where that is more. The weight of a line is
    exp(-`sharpness` x the variance of the difference between its mel bands and those of a tone on the line, in natural
    logarithms), so that tones keep their pitch within cents.

    High lines are so far apart (12 cents are 66 Hz at 9.5 kHz) that noise would become a chord; `drift` of their phases
    makes each a narrow band of noise.

    Args:
        config: lines and bins.
        mel_config: the front-end of the mels.

    Shape:
        mel (B, n_mels, T) log10, first_frame (B,) whole numbers -> directions (B, 2, bins, T), real and imaginary
        part; log_magnitude (B, bins, T), natural logarithm.
    """

    interpolation: Tensor
    shares: Tensor
    shapes: Tensor
    shape_mean: Tensor
    shape_square: Tensor
    steps: Tensor
    offsets: Tensor
    drift_steps: Tensor
    drift_offsets: Tensor
    drift_turns: Tensor
    spread: Tensor

    def __init__(self, config: OscillatorHeadConfig, mel_config: MelConfig) -> None:
        super().__init__()
        self.sharpness = config.sharpness
        if mel_config.n_fft % config.n_fft:
            raise ValueError(
                f"n_fft {config.n_fft} must divide the front-end's n_fft {mel_config.n_fft}, "
                "which the oscillators are weighted on"
            )
        # The magnitude of a partial is proportional to the length of the Hann window.
        self.log_gain = math.log(config.n_fft / mel_config.win_length)
        filters = mel_filterbank(mel_config)
        total, coverage = filters.sum(dim=0), filters.sum(dim=1, keepdim=True)
        # Every bin is the mean of its bands' mean magnitudes; 0 outside all bands.
        interpolation = (filters / coverage.clamp(min=1e-8) / total.clamp(min=1e-8))[
            :: mel_config.n_fft // config.n_fft
        ]
        lines = line_frequencies(config, mel_config.sample_rate / 2)
        if len(lines) * mel_config.n_fft > MAX_SAMPLES:
            raise ValueError(f"{len(lines)} oscillators are too many for n_fft {mel_config.n_fft}; raise spacing_cents")
        response = tone_response(lines, mel_config)
        # Bands are weighted by the energy that they hold of the tone.
        shares = response**2 * (response > 3e-3)
        shares = shares / shares.sum(dim=1, keepdim=True)
        shapes = torch.log(response.clamp(min=1e-3))
        turns = lines * mel_config.hop_length / mel_config.sample_rate
        generator = torch.Generator().manual_seed(1)
        buffers = {
            "interpolation": interpolation.contiguous(),
            "shares": shares.float(),
            "shapes": (shares * shapes).float(),
            "shape_mean": (shares * shapes).sum(dim=1)[:, None].float(),
            "shape_square": (shares * shapes**2).sum(dim=1)[:, None].float(),
            "steps": (turns * PHASE_STEPS).round().long() % PHASE_STEPS,
            # Random phases: with equal ones, all lines would align in a click once a second.
            "offsets": torch.randint(PHASE_STEPS, lines.shape, generator=generator),
            **self._drift(config, mel_config, lines, generator),
            "spread": _spread(config, mel_config, lines),
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=False)

    def _drift(
        self, config: OscillatorHeadConfig, mel_config: MelConfig, lines: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Rates, phases and amplitudes of the slow sines of the lines that drift, the last ones of the bank."""
        if config.drift <= 0:
            lines = lines[:0]
        lines = lines[lines > config.drift_hz]
        gap = lines * (2.0 ** (config.spacing_cents / 1200) - 1)
        share = MIN_DRIFT_SHARE + (1 - MIN_DRIFT_SHARE) * torch.rand(
            DRIFT_TERMS, len(lines), generator=generator, dtype=torch.float64
        )
        turns = config.drift * gap * share * mel_config.hop_length / mel_config.sample_rate
        offsets = torch.randint(PHASE_STEPS, turns.shape, generator=generator)
        height = DRIFT_TURNS * (lines / config.drift_hz - 1).clamp(max=1)
        steps = (turns * PHASE_STEPS).round().long() % PHASE_STEPS
        return {"drift_steps": steps, "drift_offsets": offsets, "drift_turns": height.float()}

    def forward(self, mel: Tensor, first_frame: Tensor) -> tuple[Tensor, Tensor]:
        """Directions and magnitudes of mels that begin at these frames of their songs."""
        with torch.autocast(mel.device.type, enabled=False):
            mel = mel.float()
            weight = self._line_weights(mel * math.log(10.0))
            phase = self._phases(mel.shape[-1], first_frame)
            parts = torch.stack([weight * torch.cos(phase), weight * torch.sin(phase)], dim=1)
            parts = self.spread @ parts
            length = torch.rsqrt(parts.square().sum(dim=1, keepdim=True) + 1e-5)
            level = torch.log(self.interpolation @ torch.pow(10.0, mel) + MIN_MAGNITUDE)
            return parts * length, level + self.log_gain

    def _line_weights(self, mel: Tensor) -> Tensor:
        """Weights of the lines relative to their neighbors: natural logarithms (B, n_mels, T) -> (B, lines, T)."""
        loudness = self.shares @ mel - self.shape_mean
        # Weighted variance of the difference between the bands and a tone's shape, expanded.
        misfit = self.shares @ mel**2 - 2 * (self.shapes @ mel) + self.shape_square - loudness**2
        score = LOUDNESS_EXPONENT * loudness - self.sharpness * misfit
        best = nn.functional.max_pool1d(score.transpose(1, 2), 2 * NEIGHBORHOOD + 1, 1, NEIGHBORHOOD)
        return torch.exp(score - best.transpose(1, 2))

    def _phases(self, frames: int, first_frame: Tensor) -> Tensor:
        """Phases of all lines at the centers of the frames, radians: (B, lines, T)."""
        number = first_frame.to(self.steps).reshape(-1, 1, 1) + torch.arange(frames, device=self.steps.device)
        phase = _angle(self.steps, number, self.offsets)
        if drifting := len(self.drift_turns):
            sines = sum(
                torch.sin(_angle(steps, number, offsets))
                for steps, offsets in zip(self.drift_steps, self.drift_offsets, strict=True)
            )
            high = phase[:, -drifting:] + 2 * math.pi * self.drift_turns[:, None] * sines
            phase = torch.cat([phase[:, :-drifting], high], dim=1)
        return phase


def _angle(steps: Tensor, number: Tensor, offsets: Tensor) -> Tensor:
    """Angles of oscillators at these frames, radians: (lines,), (B, 1, T), (lines,) -> (B, lines, T)."""
    # The product of factors below 2**32 wraps at 2**64, a multiple of a full turn.
    turns = (steps[:, None] * number + offsets[:, None]) & (PHASE_STEPS - 1)
    return turns.float() * (2 * math.pi / PHASE_STEPS)


def line_frequencies(config: OscillatorHeadConfig, highest: float) -> Tensor:
    """Frequencies of the bank, Hz, from `min_hz` up to `highest`."""
    ratio = 2.0 ** (config.spacing_cents / 1200)
    lines = [config.min_hz]
    while (following := max(lines[-1] + config.spacing_hz, lines[-1] * ratio)) < highest:
        lines.append(following)
    return torch.tensor(lines, dtype=torch.float64)


def tone_response(lines: Tensor, mel_config: MelConfig) -> Tensor:
    """Mel bands of a tone on each line, with a maximum of 1: (lines,) in Hz -> (lines, n_mels)."""
    time = torch.arange(mel_config.win_length, dtype=torch.float64) / mel_config.sample_rate
    window = torch.hann_window(mel_config.win_length, dtype=torch.float64)
    tones = torch.polar(window.expand(len(lines), -1), 2 * math.pi * lines[:, None] * time)
    magnitude = torch.fft.fft(tones, n=mel_config.n_fft)[:, : mel_config.n_fft // 2 + 1].abs()
    bands: Tensor = magnitude @ mel_filterbank(mel_config).double()
    return bands / bands.amax(dim=1, keepdim=True)


def _spread(config: OscillatorHeadConfig, mel_config: MelConfig, lines: Tensor) -> Tensor:
    """Weight of each line in each bin, (bins, lines): a Gaussian as wide as a bin or as the gap between lines."""
    bins = torch.arange(config.n_fft // 2 + 1, dtype=torch.float64)[:, None]
    frequencies = bins * mel_config.sample_rate / config.n_fft
    bin_width = mel_config.sample_rate / config.n_fft
    gap = lines * (2.0 ** (config.spacing_cents / 1200) - 1)
    distance = (frequencies - lines) / gap.clamp(min=bin_width)
    # The window is centered in its transform, which negates every other bin.
    sign = 1 - 2 * (bins % 2)
    return (sign * torch.exp(-0.5 * distance**2)).float()
