"""TraVeLGAN generator: a 1-D U-Net (arXiv 1505.04597, section 2) over time, conditioned on a style vector.

The paper's generator (arXiv 1902.09631) is a 2-D U-Net for images; here the mel bins of a frame are channels.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from stylize_core.layers import reflect_pad, scale_mel, unscale_mel
from travelgan.config import GeneratorConfig
from travelgan.layers import ColumnConv, StyleBlock, StyleLayer, check_mel


class Generator(nn.Module):
    """Mel and style vector to mel, of any length; an output frame depends on :attr:`context_frames` on either side.

    Args:
        config: widths, kernels, normalization.
        n_mels: mel bins.
        style_size: components of the style vector.

    Shape:
        mel (B, n_mels, T >= 1) log10 in about [-5, 1.5], style (B, style_size) of length 1 -> same as mel.
    """

    def __init__(self, config: GeneratorConfig, n_mels: int, style_size: int) -> None:
        super().__init__()
        self.config, self.n_mels, self.style_size = config, n_mels, style_size
        self.frame_multiple = config.frame_multiple
        widths, norm = config.widths, config.normalization
        self.entry = ColumnConv(n_mels, widths[0], config.edge_kernel, normalization=norm)
        self.downs = nn.ModuleList(
            StyleLayer(wide, deep, config.down_kernel, style_size, norm, stride=2) for wide, deep in pairwise(widths)
        )
        self.blocks = nn.ModuleList(
            StyleBlock(widths[-1], config.block_kernel, dilation, style_size, norm) for dilation in config.dilations
        )
        self.ups = nn.ModuleList(
            StyleLayer(deep + wide, wide, config.up_kernel, style_size, norm)
            for wide, deep in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.exit = ColumnConv(widths[0], n_mels, config.edge_kernel)
        if config.residual_output:  # initially close to the input
            nn.init.normal_(self.exit.convolution.weight, std=0.1 * (widths[0] * config.edge_kernel) ** -0.5)

    @property
    def context_frames(self) -> int:
        """Frames on either side that an output frame can depend on, rounded up to :attr:`frame_multiple`."""
        multiple = self.frame_multiple
        fields = [(frame, *receptive_field(self.config, frame)) for frame in range(multiple)]
        farthest = max(max(frame - first, last - frame) for frame, first, last in fields)
        return -(-farthest // multiple) * multiple

    def forward(self, mel: Tensor, style: Tensor) -> Tensor:
        """Translate a batch of mels, with a style vector for each."""
        check_mel("generator", mel, self.n_mels)
        if style.shape != (len(mel), self.style_size):
            raise ValueError(f"expected styles {(len(mel), self.style_size)}, got {tuple(style.shape)}")
        frames = mel.shape[-1]
        scaled = reflect_pad(scale_mel(mel), 0, -frames % self.frame_multiple)
        signal = self.entry(scaled)
        skips = []
        for down in self.downs:
            skips.append(signal)
            signal = down(signal, style)
        for block in self.blocks:
            signal = block(signal, style)
        for up in self.ups:
            # A transposed convolution would leave checkerboard artifacts.
            signal = nn.functional.interpolate(signal, scale_factor=2.0, mode="nearest")
            signal = up(torch.cat([signal, skips.pop()], dim=1), style)
        output = self.exit(signal).to(mel.dtype)
        if self.config.residual_output:
            output = output + scaled
        return unscale_mel(output)[..., :frames]


def receptive_field(config: GeneratorConfig, frame: int) -> tuple[int, int]:
    """First and last input frame that an output frame of an endless input depends on, through the lowest rate."""
    rates = len(config.widths) - 1
    first, last = frame - config.edge_kernel // 2, frame + config.edge_kernel // 2
    for _ in range(rates):
        reach = config.up_kernel // 2
        first, last = (first - reach) // 2, (last + reach) // 2
    reach = sum(config.dilations) * (config.block_kernel // 2)
    first, last = first - reach, last + reach
    for _ in range(rates):
        left = (config.down_kernel - 2) // 2
        first, last = 2 * first - left, 2 * last - left + config.down_kernel - 1
    return first - config.edge_kernel // 2, last + config.edge_kernel // 2
