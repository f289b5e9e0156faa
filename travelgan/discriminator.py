"""TraVeLGAN discriminator of mels, conditioned on the style by projection (arXiv 1802.05637, section 3).

There is one for each of several time scales (MelGAN, arXiv 1910.06711, section 2.2).
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from stylize_core.layers import NEGATIVE_SLOPE, scale_mel
from training.gan import Verdict
from travelgan.config import DiscriminatorConfig
from travelgan.layers import ColumnConv, check_mel, make_norm


class ScaleDiscriminator(nn.Module):
    """A conditional discriminator at one time scale.

    Shape:
        scaled mel (B, n_mels, T), style indices (B,) -> scores (B, 1, T'), T' = T // stride a strided layer.
    """

    def __init__(self, config: DiscriminatorConfig, n_mels: int, styles: int) -> None:
        super().__init__()
        widths, norm = config.widths, config.normalization
        first = ColumnConv(n_mels, widths[0], config.first_kernel, normalization=norm)
        self.layers = nn.ModuleList([first])
        for before, after in pairwise(widths):
            convolution = ColumnConv(before, after, config.kernel, stride=config.stride, normalization=norm)
            self.layers.append(nn.Sequential(convolution, make_norm(norm, after)))
        self.score = ColumnConv(widths[-1], 1, 3, normalization=norm)
        self.style = nn.Embedding(styles, widths[-1])
        nn.init.normal_(self.style.weight, std=widths[-1] ** -0.5)

    def forward(self, scaled: Tensor, styles: Tensor) -> Verdict:
        """Score every window of the mel."""
        features = []
        signal = scaled
        for layer in self.layers:
            signal = nn.functional.leaky_relu(layer(signal), NEGATIVE_SLOPE)
            features.append(signal)
        projection = (self.style(styles)[:, :, None].to(signal.dtype) * signal).sum(dim=1, keepdim=True)
        return Verdict(scores=self.score(signal) + projection, features=features)


class Discriminator(nn.Module):
    """Discriminators at several time scales, with averaged frames as input.

    Args:
        config: scales, widths, normalization.
        n_mels: mel bins.
        styles: number of styles.

    Shape:
        mel (B, n_mels, T >= min_frames) log10, style indices (B,) -> one :class:`training.gan.Verdict` per scale.
    """

    def __init__(self, config: DiscriminatorConfig, n_mels: int, styles: int) -> None:
        super().__init__()
        self.config, self.n_mels, self.min_frames = config, n_mels, config.min_frames
        self.scales = nn.ModuleList(ScaleDiscriminator(config, n_mels, styles) for _ in config.scales)

    def forward(self, mel: Tensor, styles: Tensor) -> list[Verdict]:
        """Score a batch of mels, each as its given style."""
        check_mel("discriminator", mel, self.n_mels, self.min_frames)
        if styles.shape != (len(mel),):
            raise ValueError(f"expected {len(mel)} style indices, got {tuple(styles.shape)}")
        scaled = scale_mel(mel)
        return [
            discriminator(scaled if scale == 1 else nn.functional.avg_pool1d(scaled, scale), styles)
            for scale, discriminator in zip(self.config.scales, self.scales, strict=True)
        ]
