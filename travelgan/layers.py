"""Building blocks of the translator's networks: 1-D convolutions over time, with mel bins as channels.

Time is padded by reflection. Apart from group norm, layers see other frames through their convolution alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from stylize_core.layers import NEGATIVE_SLOPE, reflect_pad


def check_mel(network: str, mel: Tensor, n_mels: int, min_frames: int = 1) -> None:
    """Raise :class:`ValueError` where a mel has another shape than (B, n_mels, T >= min_frames)."""
    if mel.ndim != 3 or mel.shape[1] != n_mels or mel.shape[-1] < min_frames:
        raise ValueError(f"the {network} expects (B, {n_mels}, T >= {min_frames}), got {tuple(mel.shape)}")


class ColumnConv(nn.Module):
    """A convolution over time, padded by reflection, whose weights may be normalized.

    Weight norm: arXiv 1602.07868, section 2. Spectral norm: arXiv 1802.05957, section 2.1.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: taps.
        stride: frames in for each frame out.
        dilation: frames between taps.
        normalization: `weight` and `spectral` normalize the kernel; others have no effect here.

    Shape:
        (B, inputs, T) -> (B, outputs, T // stride) for T >= stride.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, normalization: str = "none"
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, outputs, kernel, stride=stride, dilation=dilation)
        nn.init.kaiming_normal_(self.convolution.weight, a=NEGATIVE_SLOPE)
        nn.init.constant_(self.convolution.get_parameter("bias"), 0.0)
        if normalization == "weight":
            weight_norm(self.convolution)
        elif normalization == "spectral":
            spectral_norm(self.convolution)
        padding = dilation * (kernel - 1) - (stride - 1)
        if padding < 0:
            raise ValueError(f"got kernel {kernel} and stride {stride}; expected kernel >= stride")
        self.left, self.right = padding // 2, padding - padding // 2

    def forward(self, signal: Tensor) -> Tensor:
        """Pad and convolve."""
        output: Tensor = self.convolution(reflect_pad(signal, self.left, self.right))
        return output


class FrameNorm(nn.Module):
    """Layer norm (arXiv 1607.06450, section 3) over the channels of each frame.

    Shape: (B, channels, T) -> the same.
    """

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, elementwise_affine=affine)

    def forward(self, signal: Tensor) -> Tensor:
        """Normalize."""
        output: Tensor = self.norm(signal.transpose(1, 2)).to(signal.dtype)
        return output.transpose(1, 2).contiguous()


def make_norm(normalization: str, channels: int, affine: bool = True) -> nn.Module:
    """The layer that normalizes activations: `frame`, `group` (arXiv 1803.08494, one group), or else the identity."""
    if normalization == "frame":
        return FrameNorm(channels, affine)
    if normalization == "group":
        return nn.GroupNorm(1, channels, affine=affine)
    return nn.Identity()


class StyleModulation(nn.Module):
    """Scale and shift of each channel by the style vector (FiLM, arXiv 1709.07871, section 2.1).

    The style vector has length 1; it is scaled to components of about 1.

    Shape: signal (B, channels, T), style (B, style_size) -> (B, channels, T).
    """

    def __init__(self, style_size: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(style_size, 2 * channels)
        nn.init.normal_(self.linear.weight, std=0.3 * style_size**-0.5)
        nn.init.zeros_(self.linear.bias)
        self.gain = style_size**0.5

    def forward(self, signal: Tensor, style: Tensor) -> Tensor:
        """Modulate."""
        scale, shift = self.linear(style * self.gain).to(signal.dtype)[..., None].chunk(2, dim=1)
        return torch.addcmul(shift, signal, 1 + scale)


class StyleLayer(nn.Module):
    """Convolution, normalization, style modulation and leaky ReLU, at each change of the frame rate.

    Shape: signal (B, inputs, T), style (B, style_size) -> (B, outputs, T // stride).
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style_size: int, normalization: str, stride: int = 1
    ) -> None:
        super().__init__()
        self.convolution = ColumnConv(inputs, outputs, kernel, stride=stride, normalization=normalization)
        self.norm = make_norm(normalization, outputs, affine=False)
        self.modulation = StyleModulation(style_size, outputs)

    def forward(self, signal: Tensor, style: Tensor) -> Tensor:
        """Apply."""
        signal = self.modulation(self.norm(self.convolution(signal)), style)
        return nn.functional.leaky_relu(signal, NEGATIVE_SLOPE)


class StyleBlock(nn.Module):
    """Style-modulated residual block, dilated, pre-activation (arXiv 1603.05027, section 3).

    Its last convolution has a small init, so that a deep stack starts near the identity.

    Shape: signal (B, channels, T), style (B, style_size) -> (B, channels, T).
    """

    def __init__(self, channels: int, kernel: int, dilation: int, style_size: int, normalization: str) -> None:
        super().__init__()
        self.norm = make_norm(normalization, channels, affine=False)
        self.modulation = StyleModulation(style_size, channels)
        self.dilated = ColumnConv(channels, channels, kernel, dilation=dilation, normalization=normalization)
        self.mixing = ColumnConv(channels, channels, 1)
        nn.init.normal_(self.mixing.convolution.weight, std=0.3 * channels**-0.5)

    def forward(self, signal: Tensor, style: Tensor) -> Tensor:
        """Add the change to the signal."""
        change = nn.functional.leaky_relu(self.modulation(self.norm(signal), style), NEGATIVE_SLOPE)
        change = nn.functional.leaky_relu(self.dilated(change), NEGATIVE_SLOPE)
        output: Tensor = signal + self.mixing(change)
        return output
