"""Building blocks of the MelGAN networks: reflected convolutions, residual stacks, weight norm on and off.

Paper: MelGAN, arXiv 1910.06711, section 2.1 and appendix A.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from stylize_core.layers import NEGATIVE_SLOPE, reflect_pad


class ReflectedConv(nn.Module):
    """1-D convolution that keeps the length by reflecting the signal at its ends.

    Shape: (B, in_channels, T) -> (B, out_channels, T).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> None:
        super().__init__()
        self.padding = dilation * (kernel_size - 1) // 2
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Reflect, then convolve."""
        output: Tensor = self.conv(reflect_pad(x, self.padding, self.padding))
        return output


class ResidualLayer(nn.Module):
    """One layer of a residual stack: dilated 3-tap convolution, 1-tap convolution, and a 1-tap shortcut.

    Shape: (B, channels, T) -> (B, channels, T).
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.dilated = ReflectedConv(channels, channels, 3, dilation)
        self.mix = ReflectedConv(channels, channels, 1)
        self.shortcut = ReflectedConv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Add the transformed signal to the shortcut."""
        hidden = self.dilated(nn.functional.leaky_relu(x, NEGATIVE_SLOPE))
        output: Tensor = self.shortcut(x) + self.mix(nn.functional.leaky_relu(hidden, NEGATIVE_SLOPE))
        return output


class Upsample(nn.Module):
    """Transposed convolution with a kernel of twice its stride, which avoids checkerboard artifacts.

    Shape: (B, in_channels, T) -> (B, out_channels, T * ratio).
    """

    def __init__(self, in_channels: int, out_channels: int, ratio: int) -> None:
        super().__init__()
        self.ratio = ratio
        padding, odd = ratio // 2 + ratio % 2, ratio % 2
        self.conv = nn.ConvTranspose1d(in_channels, out_channels, 2 * ratio, ratio, padding, output_padding=odd)

    def forward(self, x: Tensor) -> Tensor:
        """Activate, then upsample."""
        output: Tensor = self.conv(nn.functional.leaky_relu(x, NEGATIVE_SLOPE))
        return output


def add_weight_norm(module: nn.Module) -> nn.Module:
    """Reparametrize every convolution below `module` by direction and length (Salimans and Kingma, 2016), in place."""
    for child in module.modules():
        if isinstance(child, nn.Conv1d | nn.ConvTranspose1d) and not parametrize.is_parametrized(child):
            weight_norm(child)
    return module


def plain_state_dict(module: nn.Module) -> dict[str, Tensor]:
    """The state of `module` with every reparametrized weight folded into a plain one, for inference."""
    folded = {name: value for name, value in module.state_dict().items() if ".parametrizations." not in name}
    for name, child in module.named_modules():
        if parametrize.is_parametrized(child):
            for tensor_name in child.parametrizations:
                folded[f"{name}.{tensor_name}"] = getattr(child, tensor_name).detach()
    return folded
