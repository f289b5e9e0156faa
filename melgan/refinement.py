"""Refinement of a synthesised waveform: its mel spectrogram is made the one that was asked for.

A generator gets phases and fine structure right and magnitudes nearly so. One iteration measures the waveform's own mel
spectrogram, multiplies each bin of its spectrum by what its mel bands lack, and makes a signal of it again: Griffin and
Lim's alternation (1984), accelerated as by Nenov et al. (arXiv 2306.12504, algorithm 2), but with the network's phases
and magnitudes as start instead of noise. Each iteration looks no further than two windows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from data.mel import MelConfig, mel_filterbank, overlap_add

LARGEST_STEP = 100.0
"""No bin is multiplied or divided by more in one iteration: 40 dB."""

BLOCK_BINS = 256
"""Mel filters are narrow; their matrix is multiplied in blocks of so many bins, most of which hold only zeros."""


class MelRefinement(nn.Module):
    """Draws a waveform towards a given log-mel spectrogram.

    With P(c) for one alternation, an iteration is t = (1 - relaxation) d + relaxation P(c), and the next ones start
    from c = t + momentum (t - t_before), d = t + inertia (t - t_before). The last P(c) is the result, so that nothing
    of the overshoot is left where the mel is quiet. Larger values than the defaults come nearer in loud music and ring
    on in silence: where P is 0, t falls by the roots of x^2 + (relaxation - 1) ((1 + inertia) x - inertia), here 0.73.

    Args:
        config: the front-end of the mel.
        momentum, inertia, relaxation: of the acceleration; (0.99, any, 1) is the fast Griffin-Lim algorithm.

    Shape:
        wav (B, T * hop_length), mel (B, n_mels, T) log10 -> (B, T * hop_length).
    """

    filters: Tensor
    shares: Tensor
    uncovered: Tensor
    window: Tensor

    def __init__(
        self, config: MelConfig, momentum: float = 0.85, inertia: float = 0.8, relaxation: float = 1.25
    ) -> None:
        super().__init__()
        self.config = config
        self.momentum, self.inertia, self.relaxation = momentum, inertia, relaxation
        filters = mel_filterbank(config)
        coverage = filters.sum(dim=1, keepdim=True)
        covered = coverage > 1e-8
        self.register_buffer("filters", filters, persistent=False)
        # What each band says of a bin's gain; bins in no band (the lowest and the highest) stay as they are.
        shares = torch.where(covered, filters / coverage.clamp(min=1e-8), 0.0).T.contiguous()
        self.register_buffer("shares", shares, persistent=False)
        self.register_buffer("uncovered", (~covered[:, 0]).float(), persistent=False)
        self.register_buffer("window", torch.hann_window(config.win_length), persistent=False)
        self.blocks = _filter_blocks(filters)

    @property
    def context_frames(self) -> int:
        """Frames on one side that one iteration can bring in: it analyses and synthesises with the same window."""
        return math.ceil(self.config.win_length / self.config.hop_length)

    def forward(self, wav: Tensor, mel: Tensor, iterations: int) -> Tensor:
        """Refine a batch; with 0 iterations it is returned as it is."""
        if not iterations:
            return wav
        with torch.autocast(wav.device.type, enabled=False):
            wanted = torch.pow(10.0, mel.float()).transpose(1, 2)
            weight = overlap_add((self.window**2).expand(1, mel.shape[-1], -1), self.config.hop_length)
            scale = weight.clamp(min=1e-3).reciprocal()
            point = moved = self._alternate(wav.float(), wanted, scale)
            anchor = before = moved
            for _ in range(iterations - 1):
                moved = self._alternate(point, wanted, scale)
                relaxed = torch.lerp(anchor, moved, self.relaxation)
                step = relaxed - before
                point, anchor, before = relaxed + self.momentum * step, relaxed + self.inertia * step, relaxed
            return moved

    def _alternate(self, wav: Tensor, wanted: Tensor, scale: Tensor) -> Tensor:
        """One alternation: the mel of the waveform is made the wanted one, then a signal is made of that spectrum."""
        config, (batch, length) = self.config, wav.shape
        reach = (config.win_length - config.hop_length) // 2
        padded = nn.functional.pad(wav[:, None], (reach, reach), mode="reflect")[:, 0]
        frames = padded.unfold(1, config.win_length, config.hop_length) * self.window
        # A frame begins at its window's first sample here, which turns phases and changes no magnitude.
        spectrum = torch.fft.rfft(frames.flatten(0, 1), n=config.n_fft)
        spectrum = self._correct(spectrum, wanted.flatten(0, 1))
        frames = torch.fft.irfft(spectrum, n=config.n_fft)[:, : config.win_length] * self.window
        rebuilt = overlap_add(frames.unflatten(0, (batch, -1)), config.hop_length) * scale
        return rebuilt[:, reach : reach + length]

    def _correct(self, spectrum: Tensor, wanted: Tensor) -> Tensor:
        """Multiply each bin by the mean, over the mel bands that hold it, of wanted over present magnitude.

        Shape: (frames, bins) complex, (frames, n_mels) -> (frames, bins); changed in place where no gradient is asked.
        """
        # The gradient of a magnitude is not defined at zero, which the small constant keeps away.
        magnitude = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag).add_(1e-14).sqrt_()
        present = magnitude.new_zeros(wanted.shape)
        for bins, bands in self.blocks:
            present[:, bands] += magnitude[:, bins] @ self.filters[bins, bands]
        ratio = (wanted / present.clamp(min=self.config.floor)).clamp(1 / LARGEST_STEP, LARGEST_STEP)
        gains = [
            torch.addmm(self.uncovered[bins], ratio[:, bands], self.shares[bands, bins]) for bins, bands in self.blocks
        ]
        if spectrum.requires_grad:
            return spectrum * torch.cat(gains, dim=1)
        for (bins, _), gain in zip(self.blocks, gains, strict=True):
            spectrum[:, bins] *= gain
        return spectrum


def _filter_blocks(filters: Tensor) -> list[tuple[slice, slice]]:
    """Blocks that hold all of a filterbank (bins, bands) but its zeros: bins of each, and the bands that reach them."""
    blocks = []
    for start in range(0, len(filters), BLOCK_BINS):
        stop = min(start + BLOCK_BINS, len(filters))
        bands = filters[start:stop].sum(dim=0).nonzero().flatten().tolist()
        blocks.append((slice(start, stop), slice(bands[0], bands[-1] + 1) if bands else slice(0, 0)))
    return blocks
