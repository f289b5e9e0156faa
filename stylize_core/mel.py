"""The one mel front-end, waveform to log-mel spectrogram, and Griffin-Lim, the baseline of vocoders.

Every network works on log10 mel magnitudes of :class:`LogMel`. Each model stores its :class:`MelConfig`, and models
whose configurations differ refuse to be combined.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from stylize_core.errors import UserError
from stylize_core.plain import build, check_range


@dataclass(frozen=True)
class MelConfig:
    """Parameters of a mel spectrogram; the default is the `music` preset.

    192 bins over a 2048-point transform keep harmony (chroma cosine 0.99 after Griffin-Lim) where the 80 bins of
    the MelGAN paper lose it (0.86).

    Args:
        sample_rate: Hz.
        n_fft: length of the transform, samples.
        win_length: length of the Hann window, samples.
        hop_length: distance between frames, samples.
        n_mels: number of mel bands.
        f_min: lower edge of the first band, Hz.
        f_max: upper edge of the last band, Hz.
        floor: smallest magnitude that is told apart from silence.
    """

    sample_rate: int = 22050
    n_fft: int = 2048
    win_length: int = 1280
    hop_length: int = 256
    n_mels: int = 192
    f_min: float = 0.0
    f_max: float = 11025.0
    floor: float = 1e-5

    def __post_init__(self) -> None:
        check_range(1, 1 << 20, sample_rate=self.sample_rate)
        check_range(2, 1 << 15, n_fft=self.n_fft)
        check_range(1, 512, n_mels=self.n_mels)
        check_range(1e-30, 1, floor=self.floor)
        if not 0 < self.hop_length <= self.win_length <= self.n_fft:
            raise ValueError(
                f"got hop_length {self.hop_length}, win_length {self.win_length}, n_fft {self.n_fft}; "
                "expected 0 < hop_length <= win_length <= n_fft"
            )
        if (self.n_fft - self.hop_length) % 2:
            raise ValueError(f"n_fft - hop_length must be even, got {self.n_fft} - {self.hop_length}")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(
                f"got f_min {self.f_min} Hz and f_max {self.f_max} Hz; expected "
                f"0 <= f_min < f_max <= {self.sample_rate / 2} Hz (half of the sample rate)"
            )

    @property
    def context(self) -> int:
        """Samples that the first and last frame see beyond the signal on either side."""
        return (self.n_fft - self.hop_length) // 2

    @property
    def log_floor(self) -> float:
        """The value of silence: log10 of the floor."""
        return math.log10(self.floor)

    @property
    def frames_per_second(self) -> float:
        """Mel frames in one second of audio."""
        return self.sample_rate / self.hop_length

    def to_dict(self) -> dict[str, int | float]:
        """The configuration as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, int | float]) -> MelConfig:
        """Rebuild from :meth:`to_dict`; unknown or missing keys and invalid values are a :class:`UserError`."""
        if missing := sorted({field.name for field in fields(cls)} - set(values)):
            raise UserError(f"mel configuration with missing keys {missing}")
        return build(cls, values, "mel configuration")

    def describe_difference(self, other: MelConfig) -> str:
        """The fields in which two configurations differ, as `name: this / other`; empty when they agree."""
        mine, theirs = self.to_dict(), other.to_dict()
        return ", ".join(f"{name}: {mine[name]} / {theirs[name]}" for name in mine if mine[name] != theirs[name])


MEL_PRESETS: dict[str, MelConfig] = {
    "music": MelConfig(),
    "melgan": MelConfig(n_fft=1024, win_length=1024, hop_length=256, n_mels=80),
}
"""`music`: the project's own front-end. `melgan`: the 80 bins of the MelGAN paper, for weights made elsewhere."""


def mel_filterbank(config: MelConfig) -> Tensor:
    """Triangular filters with Slaney's scale and area normalization, as librosa's default, (n_fft // 2 + 1, n_mels)."""
    filters: Tensor = melscale_fbanks(
        n_freqs=config.n_fft // 2 + 1,
        f_min=config.f_min,
        f_max=config.f_max,
        n_mels=config.n_mels,
        sample_rate=config.sample_rate,
        norm="slaney",
        mel_scale="slaney",
    )
    return filters


def band_frequencies(config: MelConfig) -> Tensor:
    """Where the filter of each mel band is highest, Hz, (n_mels,)."""
    return mel_filterbank(config).argmax(dim=0) * (config.sample_rate / config.n_fft)


class LogMel(nn.Module):
    """Waveform to log10 mel magnitudes, frame `t` centered on sample `(t + 0.5) * hop_length`.

    The signal is padded by reflection, `(n_fft - hop_length) / 2` samples on both sides (as in the MelGAN paper, arXiv
    1910.06711, section 3), so a signal of `T * hop_length` samples has exactly `T` frames.

    Shape:
        wav (B, samples) in [-1, 1] -> (B, n_mels, samples // hop_length), log10, from log10(floor) to about 1.5.
    """

    filters: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        self.transform = ShortTimeTransform(config)
        self.register_buffer("filters", mel_filterbank(config), persistent=False)

    @property
    def context(self) -> int:
        """Samples of context on either side, see ``padded`` of :meth:`forward`."""
        return self.config.context

    def forward(self, wav: Tensor, padded: bool = False) -> Tensor:
        """Transform a batch of signals.

        Args:
            wav: signals in [-1, 1].
            padded: whether `context` true samples are there on both sides, so that nothing is reflected, as block-wise
                processing needs.

        Raises:
            ValueError: the signal is not (B, samples) or too short.
        """
        if wav.ndim != 2:
            raise ValueError(f"LogMel expects a batch of shape (B, samples), got {tuple(wav.shape)}")
        context = self.config.context
        least = 2 * context + self.config.hop_length if padded else max(context + 1, self.config.hop_length)
        if wav.shape[-1] < least:
            raise ValueError(f"LogMel needs at least {least} samples, got {wav.shape[-1]}")
        if not padded:
            wav = nn.functional.pad(wav[:, None], (context, context), mode="reflect")[:, 0]
        # In single precision also under mixed precision: the eight bits of bfloat16 would blur the logarithms.
        with torch.autocast(wav.device.type, enabled=False):
            mel = self.filters.T @ self.transform.analyze(wav.float()).abs()
            return torch.log10(mel.clamp(min=self.config.floor))


class ShortTimeTransform(nn.Module):
    """The front-end's short-time Fourier transform and its inverse by weighted overlap-add, without padding.

    The inverse keeps all `(T - 1) * hop_length + n_fft` samples; those that no window reaches are zeros.

    Shape:
        analyze: wav (B, (T - 1) * hop_length + n_fft) -> complex (B, n_fft // 2 + 1, T); synthesize: back.
    """

    window: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("window", torch.hann_window(config.win_length), persistent=False)

    def analyze(self, wav: Tensor) -> Tensor:
        """Complex spectrum of a batch of signals."""
        config = self.config
        return torch.stft(
            wav,
            n_fft=config.n_fft,
            hop_length=config.hop_length,
            win_length=config.win_length,
            window=self.window,
            center=False,
            return_complex=True,
        )

    def synthesize(self, spectrum: Tensor) -> Tensor:
        """The signal whose spectrum is nearest to the given one in the least-squares sense (Griffin and Lim, 1984)."""
        config = self.config
        left = (config.n_fft - config.win_length) // 2
        frames = torch.fft.irfft(spectrum.transpose(1, 2), n=config.n_fft, dim=2)
        frames = frames[..., left : left + config.win_length] * self.window
        total = overlap_add(frames, config.hop_length)
        weight = overlap_add((self.window**2).expand(1, spectrum.shape[-1], -1), config.hop_length)
        wav = total / weight.clamp(min=1e-3)
        right = config.n_fft - config.win_length - left
        return nn.functional.pad(wav, (left, right))


def overlap_add(frames: Tensor, hop_length: int) -> Tensor:
    """Add up frames, each `hop_length` after the one before: (B, T, length) -> (B, (T - 1) * hop_length + length)."""
    batch, count, length = frames.shape
    parts = -(-length // hop_length)
    if parts * hop_length > length:
        frames = nn.functional.pad(frames, (0, parts * hop_length - length))
    frames = frames.reshape(batch, count, parts, hop_length)
    total = frames.new_zeros(batch, count + parts - 1, hop_length)
    for part in range(parts):
        total[:, part : part + count] += frames[:, :, part]
    return total.reshape(batch, -1)[:, : (count - 1) * hop_length + length]


class GriffinLim(nn.Module):
    """Log-mel to waveform by phase reconstruction, without learning.

    Magnitudes come from non-negative least squares on the mel filters (multiplicative updates), phases from the fast
    Griffin-Lim algorithm (Perraudin et al., 2013).

    Args:
        config: the front-end that made the mel.
        iterations: of phase reconstruction.
        momentum: of phase reconstruction.
        updates: of the magnitudes.

    Shape:
        log_mel (B, n_mels, T) -> wav (B, T * hop_length).
    """

    filters: Tensor

    def __init__(self, config: MelConfig, iterations: int = 60, momentum: float = 0.99, updates: int = 100) -> None:
        super().__init__()
        self.config, self.iterations, self.momentum, self.updates = config, iterations, momentum, updates
        self.transform = ShortTimeTransform(config)
        self.register_buffer("filters", mel_filterbank(config), persistent=False)

    def magnitudes(self, log_mel: Tensor, updates: int | None = None) -> Tensor:
        """Linear-frequency magnitudes whose mel spectrogram is the given one, all non-negative."""
        mel = torch.pow(10.0, log_mel)
        mel = torch.where(log_mel <= self.config.log_floor, torch.zeros_like(mel), mel)
        filters = self.filters  # (F, M)
        wanted = filters @ mel
        estimate = wanted.clamp(min=1e-10)
        for _ in range(updates or self.updates):
            estimate = estimate * wanted / (filters @ (filters.T @ estimate)).clamp(min=1e-10)
        return estimate

    def forward(self, log_mel: Tensor) -> Tensor:
        """Reconstruct a batch of waveforms; the same input gives the same output."""
        config = self.config
        magnitude = self.magnitudes(log_mel)
        generator = torch.Generator().manual_seed(0)
        phase = 2 * math.pi * torch.rand(magnitude.shape, generator=generator).to(magnitude)
        spectrum = torch.polar(magnitude, phase)
        previous = torch.zeros_like(spectrum)
        for _ in range(self.iterations):
            rebuilt = self.transform.analyze(self.transform.synthesize(spectrum))
            accelerated = rebuilt + self.momentum * (rebuilt - previous)
            previous = rebuilt
            spectrum = magnitude * accelerated / accelerated.abs().clamp(min=1e-12)
        wav = self.transform.synthesize(spectrum)
        return wav[:, config.context : config.context + log_mel.shape[-1] * config.hop_length]
