"""Refinement of a synthesized waveform for mel consistency, starting from the network's phases and magnitudes.

Griffin and Lim's alternation (1984), accelerated as by Nenov et al. (arXiv 2306.12504, algorithm 2): an iteration
corrects each bin of the spectrum by its mel bands. The lowest bins need the most iterations; a low band is a waveform
at a fraction of the rate, and an iteration on it costs that fraction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from stylize_core.mel import MelConfig, mel_filterbank, overlap_add

MAX_STEP = 100.0
"""Largest correction of a bin in one iteration: 40 dB."""

BLOCK_BINS = 256
"""Bins in a block of the mel filters' sparse matrix."""

CHUNK_SAMPLES = 1 << 19
"""Samples of all frames that are transformed at once, which fit the processor's cache."""

SETTLED_FRAMES = 120
"""Largest context: blocks that begin 80 frames early or more differ by at most 1e-4."""

PASSED = 0.86
"""Part of a low band, from 0 Hz, that is free of aliases."""

FILTER_REACH = 16
"""Half of the length of a low band's filter, in samples of the low rate."""


class MelRefinement(nn.Module):
    """Refines a waveform toward a log-mel spectrogram: low bands first, then the full band.

    Args:
        config: the front-end of the mel.
        low_bands: pairs of a factor that divides the sample rate, `n_fft`, `win_length` and `hop_length`, and a number
            of iterations.

    Shape:
        wav (B, T * hop_length), mel (B, n_mels, T) log10 -> (B, T * hop_length).

    Raises:
        ValueError: a factor does not divide.
    """

    def __init__(self, config: MelConfig, low_bands: Sequence[Sequence[int]] = ()) -> None:
        super().__init__()
        self.config = config
        self.low_bands = nn.ModuleList(LowBand(config, factor) for factor, _ in low_bands)
        self.low_iterations = [iterations for _, iterations in low_bands]
        self.alternation = MelAlternation(config, mel_filterbank(config))

    def context_frames(self, iterations: int) -> int:
        """Frames on one side that a frame depends on: a window for each iteration, at most `SETTLED_FRAMES`."""
        if not iterations:
            return 0
        window = math.ceil(self.config.win_length / self.config.hop_length)  # there and back in one iteration
        filters = [2 * FILTER_REACH * band.factor / self.config.hop_length for band in self._bands()]
        return min(window * (iterations + sum(self.low_iterations)) + math.ceil(sum(filters)), SETTLED_FRAMES)

    def forward(self, wav: Tensor, mel: Tensor, iterations: int, low_bands: bool = True) -> Tensor:
        """Refine a batch; 0 iterations return it unchanged.

        Args:
            wav: init.
            mel: target.
            iterations: iterations on the full band.
            low_bands: False to skip the low bands, as training does to save time.
        """
        if not iterations:
            return wav
        with torch.autocast(wav.device.type, enabled=False):
            wanted = torch.pow(10.0, mel.float()).transpose(1, 2)
            wav = wav.float()
            for band, low_iterations in zip(self._bands(), self.low_iterations, strict=True):
                wav = band(wav, wanted, low_iterations) if low_bands else wav
            refined: Tensor = self.alternation(wav, wanted, iterations)
            return refined

    def _bands(self) -> list[LowBand]:
        return [band for band in self.low_bands if isinstance(band, LowBand)]


class MelAlternation(nn.Module):
    """Accelerated alternation between a mel spectrogram and consistent signals.

    With P(c) for one alternation, an iteration is t = (1 - relaxation) d + relaxation P(c), and the next one starts
    from c = t + momentum (t - t_before), d = t + inertia (t - t_before). The last P(c) is the result. Larger values
    converge faster in loud music and ring in silence: where P is 0, t decays by the roots of
    x^2 + (relaxation - 1) ((1 + inertia) x - inertia), here 0.73.

    Args:
        config: window and hop.
        filters: mel filters (bins, bands); bins outside all bands are unchanged.
        momentum, inertia, relaxation: acceleration; (0.99, any, 1) is the fast Griffin-Lim algorithm.

    Shape:
        wav (B, T * hop_length), wanted (B, T, bands) magnitudes -> (B, T * hop_length).
    """

    filters: Tensor
    shares: Tensor
    uncovered: Tensor
    window: Tensor

    def __init__(
        self, config: MelConfig, filters: Tensor, momentum: float = 0.85, inertia: float = 0.8, relaxation: float = 1.25
    ) -> None:
        super().__init__()
        self.config = config
        self.momentum, self.inertia, self.relaxation = momentum, inertia, relaxation
        coverage = filters.sum(dim=1, keepdim=True)
        covered = coverage > 1e-8
        self.register_buffer("filters", filters, persistent=False)
        shares = torch.where(covered, filters / coverage.clamp(min=1e-8), 0.0).T.contiguous()
        self.register_buffer("shares", shares, persistent=False)
        self.register_buffer("uncovered", (~covered[:, 0]).float(), persistent=False)
        self.register_buffer("window", torch.hann_window(config.win_length), persistent=False)
        self.blocks = _filter_blocks(filters)

    def forward(self, wav: Tensor, wanted: Tensor, iterations: int) -> Tensor:
        """Iterate, at least once."""
        weight = overlap_add((self.window**2).expand(1, wanted.shape[1], -1), self.config.hop_length)
        scale = weight.clamp(min=1e-3).reciprocal()
        point = moved = self._alternate(wav, wanted, scale)
        anchor = before = moved
        for _ in range(iterations - 1):
            moved = self._alternate(point, wanted, scale)
            relaxed = torch.lerp(anchor, moved, self.relaxation)
            step = relaxed - before
            point, anchor, before = relaxed + self.momentum * step, relaxed + self.inertia * step, relaxed
        return moved

    def _alternate(self, wav: Tensor, wanted: Tensor, scale: Tensor) -> Tensor:
        """One alternation: correct the spectrum by the mel, and transform it back."""
        config, length = self.config, wav.shape[-1]
        reach = (config.win_length - config.hop_length) // 2
        padded = nn.functional.pad(wav[:, None], (reach, reach), mode="reflect")[:, 0]
        frames = padded.unfold(1, config.win_length, config.hop_length)
        rebuilt = torch.zeros_like(padded)
        chunk = max(1, CHUNK_SAMPLES // config.n_fft)
        for start in range(0, frames.shape[1], chunk):
            stop = min(start + chunk, frames.shape[1])
            # Frames begin at their window's first sample, which rotates phases only.
            spectrum = torch.fft.rfft(frames[:, start:stop] * self.window, n=config.n_fft)
            spectrum = self._correct(spectrum.flatten(0, 1), wanted[:, start:stop].flatten(0, 1))
            parts = torch.fft.irfft(spectrum, n=config.n_fft)[:, : config.win_length] * self.window
            added = overlap_add(parts.unflatten(0, (len(wav), -1)), config.hop_length)
            rebuilt.narrow(1, start * config.hop_length, added.shape[1]).add_(added)
        return (rebuilt * scale)[:, reach : reach + length]

    def _correct(self, spectrum: Tensor, wanted: Tensor) -> Tensor:
        """Scale each bin by the mean ratio of its bands' wanted and present magnitudes; in place without gradients.

        Shape: (frames, bins) complex, (frames, bands) -> (frames, bins).
        """
        # The constant keeps the gradient of the magnitude finite at zero.
        magnitude = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag).add_(1e-14).sqrt_()
        present = magnitude.new_zeros(wanted.shape)
        for bins, bands in self.blocks:
            present[:, bands] += magnitude[:, bins] @ self.filters[bins, bands]
        ratio = (wanted / present.clamp(min=self.config.floor)).clamp(1 / MAX_STEP, MAX_STEP)
        gains = [
            torch.addmm(self.uncovered[bins], ratio[:, bands], self.shares[bands, bins]) for bins, bands in self.blocks
        ]
        if spectrum.requires_grad:
            return spectrum * torch.cat(gains, dim=1)
        for (bins, _), gain in zip(self.blocks, gains, strict=True):
            spectrum[:, bins] *= gain
        return spectrum


class LowBand(nn.Module):
    """Alternation on the lowest bins alone, at a lower sample rate.

    Args:
        config: the front-end of the mel.
        factor: divisor of the sample rate.

    Shape:
        wav (B, T * hop_length), wanted (B, T, n_mels) magnitudes -> (B, T * hop_length).

    Raises:
        ValueError: the factor does not divide `n_fft`, `win_length` and `hop_length`, or leaves no band.
    """

    kernel: Tensor

    def __init__(self, config: MelConfig, factor: int) -> None:
        super().__init__()
        if factor < 2 or any(size % factor for size in (config.n_fft, config.win_length, config.hop_length)):
            raise ValueError(
                f"a low band's factor must be at least 2 and divide n_fft {config.n_fft}, win_length "
                f"{config.win_length} and hop_length {config.hop_length}, got {factor}"
            )
        self.factor = factor
        bins = config.n_fft // factor // 2 + 1
        filters = mel_filterbank(config)
        used = int(PASSED * (bins - 1))
        self.bands = int((filters[used:].sum(dim=1) > 0).any() and (filters[used:] > 0).any(dim=0).int().argmax())
        if not self.bands:
            raise ValueError(f"a low band of factor {factor} holds no whole mel band; take a smaller one")
        low = replace(
            config,
            sample_rate=config.sample_rate // factor,
            n_fft=config.n_fft // factor,
            win_length=config.win_length // factor,
            hop_length=config.hop_length // factor,
            f_max=min(config.f_max, config.sample_rate // factor / 2),
            floor=config.floor / factor,  # sums over fewer samples
        )
        self.alternation = MelAlternation(low, filters[:bins, : self.bands].contiguous())
        reach = FILTER_REACH * factor
        time = torch.arange(-reach, reach + 1, dtype=torch.float64)
        kernel = torch.sinc(time / factor) * torch.kaiser_window(
            2 * reach + 1, periodic=False, beta=6.5, dtype=torch.float64
        )
        self.register_buffer("kernel", (kernel / kernel.sum()).float()[None, None], persistent=False)

    def forward(self, wav: Tensor, wanted: Tensor, iterations: int) -> Tensor:
        """Iterate on the low band and add the change to the waveform."""
        low = self.decimate(wav)
        moved = self.alternation(low, wanted[..., : self.bands] / self.factor, iterations)
        return wav + self.interpolate(moved - low)

    def decimate(self, wav: Tensor) -> Tensor:
        """Every `factor`-th sample of the low-passed waveform: (B, samples) -> (B, samples / factor)."""
        reach = FILTER_REACH * self.factor
        padded = nn.functional.pad(wav[:, None], (reach, reach), mode="reflect")
        return nn.functional.conv1d(padded, self.kernel, stride=self.factor)[:, 0]

    def interpolate(self, low: Tensor) -> Tensor:
        """Back to the full rate: (B, samples) -> (B, samples * factor)."""
        padded = nn.functional.pad(low[:, None], (FILTER_REACH, FILTER_REACH), mode="reflect")
        full = nn.functional.conv_transpose1d(padded, self.kernel * self.factor, stride=self.factor)[:, 0]
        start = 2 * FILTER_REACH * self.factor
        return full[:, start : start + low.shape[-1] * self.factor]


def _filter_blocks(filters: Tensor) -> list[tuple[slice, slice]]:
    """Bins and bands of the blocks that hold all nonzeros of a filterbank (bins, bands)."""
    blocks = []
    for start in range(0, len(filters), BLOCK_BINS):
        stop = min(start + BLOCK_BINS, len(filters))
        bands = filters[start:stop].sum(dim=0).nonzero().flatten().tolist()
        blocks.append((slice(start, stop), slice(bands[0], bands[-1] + 1) if bands else slice(0, 0)))
    return blocks
