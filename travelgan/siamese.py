"""Siamese network with a content head (TraVeLGAN, arXiv 1902.09631, section 3) and a contrastive style head.

The generator's style vectors are points of the style head's space.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stylize_core.layers import NEGATIVE_SLOPE, scale_mel
from travelgan.config import SiameseConfig
from travelgan.layers import ColumnConv, check_mel, make_norm


class Embedding(NamedTuple):
    """Embeddings of a batch: content (B, content_size), unbounded, and style (B, style_size), of length 1."""

    content: Tensor
    style: Tensor


class Siamese(nn.Module):
    """Mel to content vector and style embedding, with a prototype of every named style.

    Args:
        config: widths, sizes of the two spaces, normalization.
        n_mels: mel bins.
        styles: number of styles.

    Shape:
        mel (B, n_mels, T >= min_frames) log10 -> :class:`Embedding`.
    """

    def __init__(self, config: SiameseConfig, n_mels: int, styles: int) -> None:
        super().__init__()
        self.config, self.n_mels, self.min_frames = config, n_mels, config.min_frames
        widths, norm = config.widths, config.normalization
        layers: list[nn.Module] = [
            ColumnConv(n_mels, widths[0], config.first_kernel, normalization=norm),
            nn.LeakyReLU(NEGATIVE_SLOPE),
        ]
        for before, after in pairwise(widths):
            layers.append(ColumnConv(before, after, config.kernel, stride=config.stride, normalization=norm))
            layers.append(make_norm(norm, after))
            layers.append(nn.LeakyReLU(NEGATIVE_SLOPE))
        self.trunk = nn.Sequential(*layers)
        self.content_head = nn.Linear(widths[-1] * config.content_bins, config.content_size)
        self.style_head = nn.Sequential(
            nn.Linear(2 * widths[-1], config.style_hidden),
            nn.LeakyReLU(NEGATIVE_SLOPE),
            nn.Linear(config.style_hidden, config.style_size),
        )
        self.prototypes = nn.Parameter(torch.empty(styles, config.style_size))
        nn.init.orthogonal_(self.prototypes)

    def forward(self, mel: Tensor) -> Embedding:
        """Embed a batch."""
        check_mel("siamese network", mel, self.n_mels, self.min_frames)
        timbre = mel.mean(dim=-1, keepdim=True)
        timbre = timbre - timbre.mean(dim=1, keepdim=True)  # loudness is kept
        mel = mel - self.config.band_mean_subtraction * timbre
        features = self.trunk(scale_mel(mel))
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            parts = nn.functional.adaptive_avg_pool1d(features, self.config.content_bins)
            variance, mean = torch.var_mean(features, dim=-1, correction=0)
            statistics = torch.cat([mean, torch.sqrt(variance + 1e-5)], dim=1)
            style = nn.functional.normalize(self.style_head(statistics), dim=1)
            return Embedding(content=self.content_head(parts.flatten(1)), style=style)

    def style_prototypes(self) -> Tensor:
        """Style vectors of the named styles, (styles, style_size), each of length 1."""
        return nn.functional.normalize(self.prototypes, dim=1)

    def mix_styles(self, weights: Tensor) -> Tensor:
        """Normalized weighted sums of the prototypes: (B, styles) -> (B, style_size)."""
        return nn.functional.normalize(weights @ self.style_prototypes(), dim=1)
