"""MelGAN generator: log-mel spectrogram to waveform, fully convolutional, reflected at its ends.

Paper: MelGAN, arXiv 1910.06711, section 2.1. The `istft` head replaces the last, expensive upsampling stages by a
short inverse Fourier transform (iSTFTNet, arXiv 2203.02395, section 3); the `subbands` head by a filter bank that adds
up several narrow bands (Multi-band MelGAN, arXiv 2005.05106).
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from data.mel import MelConfig, ShortTimeTransform
from melgan.carriers import Carriers
from melgan.config import GeneratorConfig
from melgan.filter_bank import FilterBank
from melgan.layers import NEGATIVE_SLOPE, ReflectedConv, ResidualLayer, Upsample, reflect_pad


class Generator(nn.Module):
    """Log-mel to waveform.

    Args:
        config: widths, ratios and head.
        mel_config: the front-end of the mels; only the `carriers` head needs it.

    Shape:
        mel (B, n_mels, T), log10 magnitudes, and first_frame, the number of each mel's first frame in its song, (B,)
        or one for all (only the `carriers` head looks at it) -> wav (B, 1, T * hop_length), in [-1, 1] for the
        `waveform` head and about so for the others; T >= 4.

    Raises:
        ValueError: the mel has another number of bands or fewer than 4 frames.
    """

    def __init__(self, config: GeneratorConfig, mel_config: MelConfig | None = None) -> None:
        super().__init__()
        self.config = config
        self.first = ReflectedConv(config.n_mels, config.width, 7)
        self.frame_stack = nn.Sequential(
            *[ResidualLayer(config.width, dilation) for dilation in config.frame_dilations]
        )
        stages: list[nn.Module] = []
        channels = config.width
        for ratio in config.ratios:
            stages.append(Upsample(channels, channels // 2, ratio))
            channels //= 2
            stages.extend(ResidualLayer(channels, 3**j) for j in range(config.residual_layers))
        self.stages = nn.Sequential(*stages)
        self.head: WaveformHead | InverseTransformHead | SubbandHead | CarrierHead
        if config.head == "waveform":
            self.head = WaveformHead(channels)
        elif config.head == "istft":
            self.head = InverseTransformHead(channels, config.istft_n_fft, config.istft_hop_length)
        elif config.head == "subbands":
            self.head = SubbandHead(channels, config.subbands)
        else:
            if mel_config is None:
                raise ValueError("the carriers head needs the mel front-end")
            self.head = CarrierHead(channels, config, mel_config)

    def forward(self, mel: Tensor, first_frame: Tensor | int = 0) -> Tensor:
        """Synthesise a batch of mels."""
        if mel.ndim != 3 or mel.shape[1] != self.config.n_mels or mel.shape[2] < 4:
            raise ValueError(
                f"the generator expects mels of shape (B, {self.config.n_mels}, T >= 4), got {tuple(mel.shape)}"
            )
        x = self.first((mel + 2.0) / 3.0 if self.config.scale_input else mel)
        if not isinstance(self.head, CarrierHead):
            x = self.stages(self.frame_stack(x))
            return self.head(nn.functional.leaky_relu(x, NEGATIVE_SLOPE))
        directions, log_magnitude = self.head.carriers(mel, torch.as_tensor(first_frame, device=mel.device))
        x = self.frame_stack(x + self.head.listen(directions))
        return self.head(nn.functional.leaky_relu(x, NEGATIVE_SLOPE), directions, log_magnitude)

    @property
    def context_frames(self) -> int:
        """Frames on one side of a frame that can influence its samples: the receptive field, rounded up."""
        config = self.config
        radius = 3.0 + sum(config.frame_dilations)
        rate = 1
        for ratio in config.ratios:
            radius += 1.0 / rate
            rate *= ratio
            radius += sum(3**j for j in range(config.residual_layers)) / rate
        radius += self.head.radius / rate
        return math.ceil(radius) + 1


class WaveformHead(nn.Module):
    """The paper's last layer: a 7-tap convolution to one channel and a tanh.

    Shape: (B, channels, samples) -> (B, 1, samples) in [-1, 1].
    """

    radius = 3.0

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.last = ReflectedConv(channels, 1, 7)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels into samples; in single precision, as the eight bits of bfloat16 would be heard as noise."""
        with torch.autocast(x.device.type, enabled=False):
            return torch.tanh(self.last(x.float()))


class InverseTransformHead(nn.Module):
    """A short inverse STFT as the last stage: the network writes magnitudes and phases, the transform writes samples.

    Magnitudes are exponentials, so that quiet and loud are equally near; a phase is a direction (cosine and sine of
    it, made of length one), so that nothing jumps where the angle wraps. The transform is a transposed convolution
    with fixed weights. It runs in single precision also under mixed precision.

    Shape: (B, channels, T) -> (B, 1, T * hop_length).
    """

    synthesis: Tensor

    def __init__(self, channels: int, n_fft: int, hop_length: int) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.bins = n_fft // 2 + 1
        self.overlap = n_fft // (2 * hop_length)
        self.radius = 3.0 + self.overlap
        self.last = ReflectedConv(channels, 3 * self.bins, 7)
        nn.init.normal_(self.last.conv.weight, std=0.01)
        with torch.no_grad():
            bias = torch.zeros(3, self.bins)
            bias[0] = -3.0  # start quiet: magnitudes near 0.05
            self.last.conv.bias.copy_(bias.reshape(-1))  # type: ignore[union-attr]
        self.register_buffer("synthesis", _synthesis_filters(n_fft, hop_length), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Predict the short-time spectrum and add its frames up."""
        with torch.autocast(x.device.type, enabled=False):
            log_magnitude, cosine, sine = self.last(x.float()).chunk(3, dim=1)
            length = torch.rsqrt(cosine**2 + sine**2 + 1e-6)
            magnitude = torch.exp(log_magnitude.clamp(max=6.0)) * length
            spectrum = torch.cat([magnitude * cosine, magnitude * sine], dim=1)
            # Reflected frames complete the overlap at both ends, so that every sample gets the same window sum.
            spectrum = reflect_pad(spectrum, self.overlap)
            wav = nn.functional.conv_transpose1d(spectrum, self.synthesis, stride=self.hop_length)
            start = self.overlap * self.hop_length + (self.n_fft - self.hop_length) // 2
            return wav[..., start : start + x.shape[-1] * self.hop_length]


class SubbandHead(nn.Module):
    """Multi-band MelGAN's last stage: a 7-tap convolution and a tanh make sub-bands, a filter bank the waveform.

    Shape: (B, channels, T) -> (B, 1, T * subbands).
    """

    def __init__(self, channels: int, subbands: int) -> None:
        super().__init__()
        self.last = ReflectedConv(channels, subbands, 7)
        self.filter_bank = FilterBank(subbands)
        self.radius = 3.0 + self.filter_bank.overlap

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels into sub-bands and add these up."""
        with torch.autocast(x.device.type, enabled=False):
            return self.filter_bank.synthesise(torch.tanh(self.last(x.float())))


class CarrierHead(nn.Module):
    """The last stage over absolute-time oscillators: the network turns and scales them, an inverse STFT makes samples.

    Untrained, it changes nothing, and the carriers alone are heard: all partials at about their height, at about their
    loudness. What the network learns is the rest: onsets, noise, and how neighbouring bins belong together. It runs in
    single precision also under mixed precision.

    Args:
        channels: of the network before it.
        config: of the generator.
        mel_config: the front-end of the mels.

    Shape:
        x (B, channels, T), directions (B, 2, bins, T), log_magnitude (B, bins, T) -> (B, 1, T * hop_length).
    """

    def __init__(self, channels: int, config: GeneratorConfig, mel_config: MelConfig) -> None:
        super().__init__()
        self.bins = config.istft_n_fft // 2 + 1
        self.carriers = Carriers(config, mel_config)
        self.into = ReflectedConv(2 * self.bins, channels, 3)
        self.last = ReflectedConv(channels, 3 * self.bins, 3)
        nn.init.normal_(self.last.conv.weight, std=0.002)
        with torch.no_grad():
            bias = torch.zeros(3, self.bins)
            bias[1] = 1.0  # no turn
            self.last.conv.bias.copy_(bias.reshape(-1))  # type: ignore[union-attr]
        self.transform = ShortTimeTransform(
            replace(mel_config, n_fft=config.istft_n_fft, win_length=config.istft_n_fft)
        )
        self.hop_length = mel_config.hop_length
        self.padding = (config.istft_n_fft - self.hop_length) // 2
        # A frame reaches the samples of its window, and the first layer's carriers one frame more.
        self.radius = 2.0 + config.istft_n_fft / (2 * self.hop_length)

    def listen(self, directions: Tensor) -> Tensor:
        """What the network hears of the carriers: (B, 2, bins, T) -> (B, channels, T)."""
        return self.into(directions.flatten(1, 2))

    def forward(self, x: Tensor, directions: Tensor, log_magnitude: Tensor) -> Tensor:
        """Turn and scale the carriers, transform them back and cut the ends that only windows reach."""
        with torch.autocast(x.device.type, enabled=False):
            gain, cosine, sine = self.last(x.float()).chunk(3, dim=1)
            length = torch.rsqrt(cosine**2 + sine**2 + 1e-6)
            magnitude = torch.exp((log_magnitude + gain).clamp(max=6.0)) * length
            real, imaginary = directions[:, 0], directions[:, 1]
            spectrum = torch.complex(
                magnitude * (real * cosine - imaginary * sine), magnitude * (real * sine + imaginary * cosine)
            )
            wav = self.transform.synthesise(spectrum)
            return wav[:, None, self.padding : self.padding + x.shape[-1] * self.hop_length]


def _synthesis_filters(n_fft: int, hop_length: int) -> Tensor:
    """Windowed inverse Fourier basis as transposed-convolution weights.

    Shape: (2 * (n_fft // 2 + 1), 1, n_fft).
    """
    bins = n_fft // 2 + 1
    spectrum = torch.zeros(2 * bins, bins, dtype=torch.complex128)
    index = torch.arange(bins)
    spectrum[index, index] = 1.0
    spectrum[bins + index, index] = torch.tensor(1j, dtype=torch.complex128)
    window = torch.hann_window(n_fft, dtype=torch.float64)
    window_sum = (window**2).sum() / hop_length
    # Scaled by n_fft / 2, so that a magnitude of 1 is about a full-scale partial.
    basis = torch.fft.irfft(spectrum, n=n_fft, dim=1) * window / window_sum * (n_fft / 2)
    return basis[:, None].float()
