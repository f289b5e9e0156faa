"""Refinement of a synthesised waveform: its mel spectrogram is made the one that was asked for.

A generator gets phases and fine structure right and magnitudes nearly so. One iteration measures the waveform's own mel
spectrogram, multiplies each bin of its spectrum by what its mel bands lack, and makes a signal of it again: Griffin and
Lim's alternation (1984) with the momentum of Perraudin et al. (2013), but with the network's phases and magnitudes as
start instead of noise. A few iterations are enough, and each of them looks no further than two windows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from data.mel import MelConfig, ShortTimeTransform, mel_filterbank

LARGEST_STEP = 100.0
"""No bin is multiplied or divided by more in one iteration: 40 dB."""


class MelRefinement(nn.Module):
    """Draws a waveform towards a given log-mel spectrogram.

    Args:
        config: the front-end of the mel.
        momentum: how far each iteration goes on in the direction of the one before (0.99 as in fast
            Griffin-Lim).

    Shape:
        wav (B, T * hop_length), mel (B, n_mels, T) log10 -> (B, T * hop_length).
    """

    filters: Tensor
    coverage: Tensor

    def __init__(self, config: MelConfig, momentum: float = 0.99) -> None:
        super().__init__()
        self.config, self.momentum = config, momentum
        self.transform = ShortTimeTransform(config)
        filters = mel_filterbank(config)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("coverage", filters.sum(dim=1, keepdim=True), persistent=False)

    @property
    def context_frames(self) -> int:
        """Frames on one side that one iteration can bring in: it analyses and synthesises with the same window."""
        return math.ceil(self.config.win_length / self.config.hop_length)

    def forward(self, wav: Tensor, mel: Tensor, iterations: int) -> Tensor:
        """Refine a batch; with 0 iterations it is returned as it is."""
        if not iterations:
            return wav
        with torch.autocast(wav.device.type, enabled=False):
            wanted = torch.pow(10.0, mel.float())
            wav, length, context = wav.float(), wav.shape[-1], self.config.context
            previous: Tensor | None = None
            for _ in range(iterations):
                padded = nn.functional.pad(wav[:, None], (context, context), mode="reflect")[:, 0]
                corrected = self._correct(self.transform.analyse(padded), wanted)
                step = corrected if previous is None else corrected + self.momentum * (corrected - previous)
                previous = corrected
                wav = self.transform.synthesise(step)[:, context : context + length]
            return wav

    def _correct(self, spectrum: Tensor, wanted: Tensor) -> Tensor:
        """Multiply each bin by the mean, over the mel bands that hold it, of wanted over present magnitude."""
        # The gradient of a magnitude is not defined at zero, which the small constant keeps away.
        magnitude = torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-14)
        present = (self.filters.T @ magnitude).clamp(min=self.config.floor)
        ratio = (wanted / present).clamp(1 / LARGEST_STEP, LARGEST_STEP)
        gain = self.filters @ ratio / self.coverage.clamp(min=1e-8)
        # Bins in no band (the lowest and the highest) stay as they are.
        return spectrum * torch.where(self.coverage > 1e-8, gain, torch.ones_like(gain))
