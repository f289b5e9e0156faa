"""Cosine-modulated filter bank: a waveform as sub-bands at a fraction of its rate, and back.

Papers: Lin and Vaidyanathan, "A Kaiser window approach for the design of prototype filters of cosine modulated
filterbanks" (1998); Multi-band MelGAN, arXiv 2005.05106 (62 taps for four sub-bands).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from stylize_core.layers import reflect_pad

KAISER_BETA = 8.6
"""Shape of the prototype's window, near the optimum for reconstruction (-64 dB)."""


class FilterBank(nn.Module):
    """Splits a waveform into sub-bands of equal width, and sums sub-bands to a waveform, both in single precision.

    There is no delay: sample `t` of a sub-band belongs to the samples from `t * subbands` on. A tone keeps its
    amplitude. Synthesis is the transpose of the analysis, times the number of sub-bands.

    Args:
        subbands: number of sub-bands, even.

    Raises:
        ValueError: the number is odd or less than 2.
    """

    filters: Tensor

    def __init__(self, subbands: int) -> None:
        super().__init__()
        if subbands < 2 or subbands % 2:
            raise ValueError(f"the number of sub-bands must be even and at least 2, got {subbands}")
        self.subbands, self.taps = subbands, filter_taps(subbands)
        self.padding = (self.taps - subbands) // 2
        self.overlap = filter_overlap(subbands)
        filters = torch.from_numpy(modulated_filters(subbands))
        self.register_buffer("filters", filters[:, None].float(), persistent=False)

    def analyze(self, wav: Tensor) -> Tensor:
        """Split: wav (B, 1, samples), a multiple of `subbands` -> (B, subbands, samples / subbands), lowest first."""
        if wav.ndim != 3 or wav.shape[1] != 1 or wav.shape[2] % self.subbands:
            raise ValueError(
                f"the filter bank expects (B, 1, a multiple of {self.subbands} samples), got {tuple(wav.shape)}"
            )
        with torch.autocast(wav.device.type, enabled=False):
            padded = reflect_pad(wav.float(), self.padding, self.padding)
            return nn.functional.conv1d(padded, self.filters, stride=self.subbands)

    def synthesize(self, bands: Tensor) -> Tensor:
        """Sum: bands (B, subbands, T) -> (B, 1, T * subbands)."""
        with torch.autocast(bands.device.type, enabled=False):
            padded = reflect_pad(bands.float(), self.overlap, self.overlap)
            wav = nn.functional.conv_transpose1d(padded, self.filters * self.subbands, stride=self.subbands)
            start = self.padding + self.overlap * self.subbands
            return wav[..., start : start + bands.shape[-1] * self.subbands]


def filter_taps(subbands: int) -> int:
    """Length of the filters, samples: 62 for four sub-bands, in proportion for other numbers."""
    return 16 * subbands - 2


def filter_overlap(subbands: int) -> int:
    """Sub-band samples on either side of a sub-band sample that contribute to its samples of the waveform."""
    return (filter_taps(subbands) + subbands - 2) // (2 * subbands)


def modulated_filters(subbands: int) -> np.ndarray:
    """Filters of all bands, the prototype times cosines at their centers, (subbands, taps), double.

    The alternating phases cancel the aliases of neighboring bands.
    """
    band = np.arange(subbands)[:, None]
    time = np.arange(filter_taps(subbands)) - (filter_taps(subbands) - 1) / 2
    cosines = np.cos((2 * band + 1) * np.pi / (2 * subbands) * time + (-1.0) ** band * np.pi / 4)
    filters = 2 * _prototype(subbands) * cosines
    # Unit gain of analysis and synthesis together.
    return filters / math.sqrt((filters**2).sum())


def _prototype(subbands: int) -> np.ndarray:
    """Low-pass filter with the cut-off for the flattest sum of squares of its modulated copies.

    That sum is flat where its autocorrelation is zero at all nonzero multiples of `2 * subbands`.
    """
    from scipy.optimize import minimize_scalar
    from scipy.signal import firwin

    taps = filter_taps(subbands)

    def low_pass(cutoff: float) -> np.ndarray:
        filters: np.ndarray = firwin(taps, cutoff, window=("kaiser", KAISER_BETA))
        return filters

    def unevenness(cutoff: float) -> float:
        correlation = np.correlate(low_pass(cutoff), low_pass(cutoff), mode="full")[taps - 1 :: 2 * subbands]
        return float(np.square(correlation[1:] / correlation[0]).sum())

    # Relative to half the sample rate. The bands meet at `edge`; the cut-off is a little above.
    edge = 1 / (2 * subbands)
    found = minimize_scalar(unevenness, bounds=(edge, 1.4 * edge), method="bounded", options={"xatol": 1e-8})
    return low_pass(float(found.x))
