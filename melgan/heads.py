"""Output heads of the vocoder: samples, inverse STFT, sub-bands, or an oscillator bank.

Every head runs in single precision also under mixed precision: the rounding of bfloat16 is audible.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from melgan.config import (
    HeadConfig,
    InverseSTFTHeadConfig,
    OscillatorHeadConfig,
    SubbandHeadConfig,
    WaveformHeadConfig,
)
from melgan.filter_bank import FilterBank
from melgan.layers import ReflectedConv
from melgan.oscillators import OscillatorBank
from stylize_core.layers import reflect_pad
from stylize_core.mel import MelConfig, ShortTimeTransform

MAX_LOG_MAGNITUDE = 6.0
"""Upper limit of the log magnitudes of a predicted spectrum."""


def make_head(config: HeadConfig, channels: int, mel_config: MelConfig | None) -> Head:
    """The head of a configuration; only the oscillators need the front-end of the mels."""
    match config:
        case WaveformHeadConfig():
            return WaveformHead(channels)
        case InverseSTFTHeadConfig():
            return InverseSTFTHead(channels, config)
        case SubbandHeadConfig():
            return SubbandHead(channels, config)
        case OscillatorHeadConfig():
            if mel_config is None:
                raise ValueError("the head oscillators needs the mel front-end")
            return OscillatorHead(channels, config, mel_config)


class WaveformHead(nn.Module):
    """The paper's last layer: a 7-tap convolution to one channel and a tanh.

    Shape: (B, channels, samples) -> (B, 1, samples) in [-1, 1].
    """

    radius = 3.0

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.last = ReflectedConv(channels, 1, 7)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels into samples."""
        with torch.autocast(x.device.type, enabled=False):
            return torch.tanh(self.last(x.float()))


class InverseSTFTHead(nn.Module):
    """A short inverse STFT (iSTFTNet, arXiv 2203.02395, section 3): the network writes magnitudes and phases.

    Magnitudes are exponentials; phases are directions (cosine and sine), which do not jump where an angle wraps. The
    transform is a transposed convolution with fixed weights.

    Shape: (B, channels, T) -> (B, 1, T * hop_length).
    """

    synthesis: Tensor

    def __init__(self, channels: int, config: InverseSTFTHeadConfig) -> None:
        super().__init__()
        self.n_fft, self.hop_length = config.n_fft, config.hop_length
        self.overlap = self.n_fft // (2 * self.hop_length)
        self.radius = 3.0 + self.overlap
        # Initial magnitudes near 0.05.
        self.last = _spectrum_layer(channels, self.n_fft // 2 + 1, 7, std=0.01, bias=(-3.0, 0.0, 0.0))
        self.register_buffer("synthesis", _synthesis_filters(self.n_fft, self.hop_length), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Predict the short-time spectrum and overlap-add its frames."""
        with torch.autocast(x.device.type, enabled=False):
            log_magnitude, cosine, sine = self.last(x.float()).chunk(3, dim=1)
            magnitude = _magnitude(log_magnitude, cosine, sine)
            spectrum = torch.cat([magnitude * cosine, magnitude * sine], dim=1)
            # Reflected frames give every sample the same window sum.
            spectrum = reflect_pad(spectrum, self.overlap, self.overlap)
            wav = nn.functional.conv_transpose1d(spectrum, self.synthesis, stride=self.hop_length)
            start = self.overlap * self.hop_length + (self.n_fft - self.hop_length) // 2
            return wav[..., start : start + x.shape[-1] * self.hop_length]


class SubbandHead(nn.Module):
    """Multi-band MelGAN's last stage: a 7-tap convolution and a tanh make sub-bands, a filter bank the waveform.

    Shape: (B, channels, T) -> (B, 1, T * subbands).
    """

    def __init__(self, channels: int, config: SubbandHeadConfig) -> None:
        super().__init__()
        self.last = ReflectedConv(channels, config.subbands, 7)
        self.filter_bank = FilterBank(config.subbands)
        self.radius = 3.0 + self.filter_bank.overlap

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels into sub-bands and sum these."""
        with torch.autocast(x.device.type, enabled=False):
            return self.filter_bank.synthesize(torch.tanh(self.last(x.float())))


class OscillatorHead(nn.Module):
    """A sinusoidal oscillator bank, rotated and scaled by the network, and an inverse STFT.

    Untrained, the network changes nothing: all partials sound at about their pitch and loudness. It learns onsets,
    noise, and the relation of neighboring bins.

    Shape:
        x (B, channels, T), directions (B, 2, bins, T), log_magnitude (B, bins, T) -> (B, 1, T * hop_length).
    """

    def __init__(self, channels: int, config: OscillatorHeadConfig, mel_config: MelConfig) -> None:
        super().__init__()
        bins = config.n_fft // 2 + 1
        self.oscillators = OscillatorBank(config, mel_config)
        self.into = ReflectedConv(2 * bins, channels, 3)
        self.last = _spectrum_layer(channels, bins, 3, std=0.002, bias=(0.0, 1.0, 0.0))  # no turn
        self.transform = ShortTimeTransform(replace(mel_config, n_fft=config.n_fft, win_length=config.n_fft))
        self.hop_length = mel_config.hop_length
        self.padding = (config.n_fft - self.hop_length) // 2
        # The window's reach, and one frame more for the first layer's directions.
        self.radius = 2.0 + config.n_fft / (2 * self.hop_length)

    def embed(self, directions: Tensor) -> Tensor:
        """Input of the network from the oscillators: (B, 2, bins, T) -> (B, channels, T)."""
        embedded: Tensor = self.into(directions.flatten(1, 2))
        return embedded

    def forward(self, x: Tensor, directions: Tensor, log_magnitude: Tensor) -> Tensor:
        """Rotate and scale the oscillators, transform them back and trim the ends."""
        with torch.autocast(x.device.type, enabled=False):
            gain, cosine, sine = self.last(x.float()).chunk(3, dim=1)
            magnitude = _magnitude(log_magnitude + gain, cosine, sine)
            real, imaginary = directions[:, 0], directions[:, 1]
            spectrum = torch.complex(
                magnitude * (real * cosine - imaginary * sine), magnitude * (real * sine + imaginary * cosine)
            )
            wav = self.transform.synthesize(spectrum)
            return wav[:, None, self.padding : self.padding + x.shape[-1] * self.hop_length]


Head = WaveformHead | InverseSTFTHead | SubbandHead | OscillatorHead


def _spectrum_layer(channels: int, bins: int, taps: int, std: float, bias: tuple[float, float, float]) -> ReflectedConv:
    """The layer that predicts log magnitude, cosine and sine of every bin, initially near three constants."""
    layer = ReflectedConv(channels, 3 * bins, taps)
    nn.init.normal_(layer.conv.weight, std=std)
    with torch.no_grad():
        layer.conv.get_parameter("bias").copy_(torch.tensor(bias).repeat_interleave(bins))
    return layer


def _magnitude(log_magnitude: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Magnitudes for directions that are not normalized."""
    length = torch.rsqrt(cosine**2 + sine**2 + 1e-6)
    return torch.exp(log_magnitude.clamp(max=MAX_LOG_MAGNITUDE)) * length


def _synthesis_filters(n_fft: int, hop_length: int) -> Tensor:
    """Windowed inverse Fourier basis as transposed-convolution weights, (2 * (n_fft // 2 + 1), 1, n_fft)."""
    bins = n_fft // 2 + 1
    spectrum = torch.zeros(2 * bins, bins, dtype=torch.complex128)
    index = torch.arange(bins)
    spectrum[index, index] = 1.0
    spectrum[bins + index, index] = torch.tensor(1j, dtype=torch.complex128)
    window = torch.hann_window(n_fft, dtype=torch.float64)
    window_sum = (window**2).sum() / hop_length
    # A magnitude of 1 is about a full-scale partial.
    basis: Tensor = torch.fft.irfft(spectrum, n=n_fft, dim=1) * window / window_sum * (n_fft / 2)
    return basis[:, None].float()
