"""TraVelGAN discriminator: is this mel spectrogram a real one of the style that it claims?

Several judges at several time scales (the multi-scale idea of MelGAN, arXiv 1910.06711, section 2.2), each
told the claimed style by projection (arXiv 1802.05637, section 3).
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from travelgan.config import DiscriminatorConfig
from travelgan.layers import LEAK, ColumnConv, make_norm, scale_mel


class Judgement(NamedTuple):
    """What one judge says: scores (B, 1, T'), higher for real, and each layer's features (B, C, T'')."""

    scores: Tensor
    features: list[Tensor]


class Judge(nn.Module):
    """A conditional discriminator at one time scale.

    Args:
        config: widths, kernels, normalisation.
        n_mels: mel bins.
        styles: how many styles there are.

    Shape:
        scaled mel (B, n_mels, T), style indices (B,) -> scores (B, 1, T'), T' = T // stride a strided layer.
    """

    def __init__(self, config: DiscriminatorConfig, n_mels: int, styles: int) -> None:
        super().__init__()
        widths, norm = config.widths, config.normalisation
        first = ColumnConv(n_mels, widths[0], config.first_kernel, normalisation=norm)
        self.layers = nn.ModuleList([first])
        for before, after in pairwise(widths):
            convolution = ColumnConv(before, after, config.kernel, stride=config.stride, normalisation=norm)
            self.layers.append(nn.Sequential(convolution, make_norm(norm, after)))
        self.score = ColumnConv(widths[-1], 1, 3, normalisation=norm)
        self.style = nn.Embedding(styles, widths[-1])
        nn.init.normal_(self.style.weight, std=widths[-1] ** -0.5)

    def forward(self, scaled: Tensor, styles: Tensor) -> Judgement:
        """Score every stretch of the spectrogram."""
        features = []
        signal = scaled
        for layer in self.layers:
            signal = nn.functional.leaky_relu(layer(signal), LEAK)
            features.append(signal)
        projection = (self.style(styles)[:, :, None].to(signal.dtype) * signal).sum(dim=1, keepdim=True)
        return Judgement(scores=self.score(signal) + projection, features=features)


class Discriminator(nn.Module):
    """Judges at several time scales, the input averaged down for each.

    Args:
        config: scales, widths, normalisation.
        n_mels: mel bins.
        styles: how many styles there are.

    Shape:
        mel (B, n_mels, T) log10, style indices (B,) -> one :class:`Judgement` for each scale; T of at least
        :attr:`least_frames`.
    """

    def __init__(self, config: DiscriminatorConfig, n_mels: int, styles: int) -> None:
        super().__init__()
        self.config, self.n_mels, self.styles = config, n_mels, styles
        self.judges = nn.ModuleList(Judge(config, n_mels, styles) for _ in config.scales)

    @property
    def least_frames(self) -> int:
        """Frames of which the coarsest judge makes one score."""
        return self.config.least_frames

    def forward(self, mel: Tensor, styles: Tensor) -> list[Judgement]:
        """Judge a batch.

        Args:
            mel: log10 mel, real or translated.
            styles: index of the style that each claims to be.

        Raises:
            ValueError: shapes that do not fit, or too few frames.
        """
        if mel.ndim != 3 or mel.shape[1] != self.n_mels or mel.shape[-1] < self.least_frames:
            raise ValueError(
                f"the discriminator expects (B, {self.n_mels}, T >= {self.least_frames}), "
                f"got {tuple(mel.shape)}"
            )
        if styles.shape != (len(mel),):
            raise ValueError(f"expected {len(mel)} style indices, got {tuple(styles.shape)}")
        scaled = scale_mel(mel)
        return [
            judge(scaled if scale == 1 else nn.functional.avg_pool1d(scaled, scale), styles)
            for scale, judge in zip(self.config.scales, self.judges, strict=True)
        ]
