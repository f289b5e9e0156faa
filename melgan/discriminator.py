"""MelGAN's multi-scale discriminators of waveforms at full, half and quarter rate.

Paper: MelGAN, arXiv 1910.06711, section 2.2.
"""

from __future__ import annotations

from torch import Tensor, nn

from melgan.config import DiscriminatorConfig
from stylize_core.layers import NEGATIVE_SLOPE
from training.gan import Verdict


class ScaleDiscriminator(nn.Module):
    """Window-based discriminator of one scale: strided, grouped convolutions; every score is of one window.

    Shape: wav (B, 1, samples) -> scores (B, 1, steps) and feature maps (B, channels, steps).
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Sequential(nn.ReflectionPad1d(7), nn.Conv1d(1, config.width, 15), nn.LeakyReLU(NEGATIVE_SLOPE))
        ]
        channels = config.width
        for _ in range(config.layers):
            wider = min(channels * config.stride, config.max_width)
            taps, padding = config.stride * 10 + 1, config.stride * 5
            conv = nn.Conv1d(channels, wider, taps, config.stride, padding, groups=channels // 4)
            layers.append(nn.Sequential(conv, nn.LeakyReLU(NEGATIVE_SLOPE)))
            channels = wider
        wider = min(channels * 2, config.max_width)
        layers.append(nn.Sequential(nn.Conv1d(channels, wider, 5, padding=2), nn.LeakyReLU(NEGATIVE_SLOPE)))
        layers.append(nn.Conv1d(wider, 1, 3, padding=1))
        self.layers = nn.ModuleList(layers)

    def forward(self, wav: Tensor) -> Verdict:
        """Score every window."""
        maps = []
        for layer in self.layers:
            wav = layer(wav)
            maps.append(wav)
        return Verdict(scores=maps.pop(), features=maps)


class MultiScaleDiscriminator(nn.Module):
    """Discriminators of the same form on the waveform at rates 1, 1/2, 1/4, ...

    Shape: wav (B, 1, samples) -> one :class:`training.gan.Verdict` per scale.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.scales = nn.ModuleList(ScaleDiscriminator(config) for _ in range(config.scales))
        self.downsample = nn.AvgPool1d(4, stride=2, padding=1, count_include_pad=False)

    def forward(self, wav: Tensor) -> list[Verdict]:
        """Score the waveform at every scale."""
        outputs = []
        for index, scale in enumerate(self.scales):
            if index:
                wav = self.downsample(wav)
            outputs.append(scale(wav))
        return outputs
