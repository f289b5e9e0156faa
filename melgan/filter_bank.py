"""Cosine-modulated filter bank: a waveform as several sub-bands at a fraction of its rate, and back again.

Papers: Lin and Vaidyanathan, "A Kaiser window approach for the design of prototype filters of cosine modulated
filterbanks" (1998); Multi-band MelGAN, arXiv 2005.05106, from which the 62 taps for
four sub-bands are.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from stylize_core.layers import reflect_pad

KAISER_BETA = 8.6
"""Shape of the prototype's window: of all shapes, near the one that lets waveforms come back best (-64 dB)."""


class FilterBank(nn.Module):
    """Splits a waveform into sub-bands of equal width, and adds sub-bands up to a waveform.

    Nothing is delayed: sample `t` of a sub-band belongs to the samples from `t * subbands` on, as a mel frame does to
    its hop. A tone keeps its amplitude in its sub-band. Analysis and synthesis have the same filters, so that each is
    the transpose of the other, times the number of sub-bands. Both run in single precision also under mixed precision.

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
        # Sub-band samples on either side that a sample is made of.
        self.overlap = filter_overlap(subbands)
        filters = torch.from_numpy(modulated_filters(subbands))
        # Fixed by the number of sub-bands: no part of a model's weights.
        self.register_buffer("filters", filters[:, None].float(), persistent=False)

    def analyze(self, wav: Tensor) -> Tensor:
        """Split: wav (B, 1, samples) -> (B, subbands, samples / subbands), lowest band first.

        Raises:
            ValueError: the samples are no multiple of the number of sub-bands.
        """
        if wav.ndim != 3 or wav.shape[1] != 1 or wav.shape[2] % self.subbands:
            raise ValueError(
                f"the filter bank expects (B, 1, a multiple of {self.subbands} samples), got {tuple(wav.shape)}"
            )
        with torch.autocast(wav.device.type, enabled=False):
            padded = reflect_pad(wav.float(), self.padding, self.padding)
            return nn.functional.conv1d(padded, self.filters, stride=self.subbands)

    def synthesize(self, bands: Tensor) -> Tensor:
        """Add up: bands (B, subbands, T) -> (B, 1, T * subbands)."""
        with torch.autocast(bands.device.type, enabled=False):
            padded = reflect_pad(bands.float(), self.overlap, self.overlap)
            wav = nn.functional.conv_transpose1d(padded, self.filters * self.subbands, stride=self.subbands)
            start = self.padding + self.overlap * self.subbands
            return wav[..., start : start + bands.shape[-1] * self.subbands]


def filter_taps(subbands: int) -> int:
    """Length of the filters, samples: 62 for four sub-bands, in proportion for other numbers."""
    return 16 * subbands - 2


def filter_overlap(subbands: int) -> int:
    """Sub-band samples on either side of a sub-band sample that have a share in its samples of the waveform."""
    return (filter_taps(subbands) + subbands - 2) // (2 * subbands)


def modulated_filters(subbands: int) -> np.ndarray:
    """The filters of all bands: the prototype times cosines in the middles of the bands; (subbands, taps), double.

    The phases, a quarter of pi to and fro, make the aliases of neighboring bands cancel each other.
    """
    band = np.arange(subbands)[:, None]
    time = np.arange(filter_taps(subbands)) - (filter_taps(subbands) - 1) / 2
    cosines = np.cos((2 * band + 1) * np.pi / (2 * subbands) * time + (-1.0) ** band * np.pi / 4)
    filters = 2 * _prototype(subbands) * cosines
    # So that analysis and synthesis together neither amplify nor weaken.
    return filters / math.sqrt((filters**2).sum())


def _prototype(subbands: int) -> np.ndarray:
    """Low-pass filter whose modulated copies have a flat sum of squares.

    That sum is flat where the prototype's autocorrelation is zero at all multiples of `2 * subbands` but zero; the
    cut-off frequency that comes nearest is found by scalar minimization.
    """
    # Here, because only members of the family with sub-bands should have to wait for these imports.
    from scipy.optimize import minimize_scalar
    from scipy.signal import firwin

    taps = filter_taps(subbands)

    def low_pass(cutoff: float) -> np.ndarray:
        return firwin(taps, cutoff, window=("kaiser", KAISER_BETA))

    def unevenness(cutoff: float) -> float:
        correlation = np.correlate(low_pass(cutoff), low_pass(cutoff), mode="full")[taps - 1 :: 2 * subbands]
        return float(np.square(correlation[1:] / correlation[0]).sum())

    # In half sample rates. The bands meet at 1 / (2 * subbands); the filter's half height lies a little above.
    edge = 1 / (2 * subbands)
    found = minimize_scalar(unevenness, bounds=(edge, 1.4 * edge), method="bounded", options={"xatol": 1e-8})
    return low_pass(float(found.x))
