"""Convolutions, and normalizations against their definitions."""

from __future__ import annotations

import pytest
import torch

from travelgan.layers import (
    ColumnConv,
    FrameNorm,
    StyleModulation,
    make_norm,
)


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(7, 1, 1), (3, 1, 8), (4, 2, 1), (5, 2, 1), (5, 3, 1), (1, 1, 1)]
)
@pytest.mark.parametrize("frames", [3, 6, 23])
def test_convolution_divides_the_length_by_its_stride(kernel: int, stride: int, dilation: int, frames: int) -> None:
    layer = ColumnConv(2, 3, kernel, stride=stride, dilation=dilation)
    assert layer(torch.randn(1, 2, frames)).shape == (1, 3, frames // stride)


def test_convolution_refuses_a_kernel_shorter_than_its_stride() -> None:
    with pytest.raises(ValueError, match="got kernel 2 and stride 4"):
        ColumnConv(1, 1, 2, stride=4)


def test_spectral_norm_bounds_the_kernel() -> None:
    layer = ColumnConv(6, 6, 3, normalization="spectral")
    for _ in range(50):
        layer(torch.randn(1, 6, 8))
    largest = torch.linalg.matrix_norm(layer.convolution.weight.flatten(1), ord=2)
    torch.testing.assert_close(largest, torch.tensor(1.0), atol=1e-3, rtol=0)


def test_weight_norm_separates_length_and_direction() -> None:
    layer = ColumnConv(6, 4, 3, normalization="weight")
    lengths = layer.convolution.weight.flatten(1).norm(dim=1)
    layer.get_parameter("convolution.parametrizations.weight.original1").data.mul_(5.0)
    torch.testing.assert_close(layer.convolution.weight.flatten(1).norm(dim=1), lengths)


def test_frame_norm_is_blind_to_other_frames() -> None:
    layer = FrameNorm(5, affine=False)
    signal = torch.randn(2, 5, 9)
    whole = layer(signal)
    expected = (signal - signal.mean(1, keepdim=True)) / torch.sqrt(signal.var(1, correction=0, keepdim=True) + 1e-5)
    torch.testing.assert_close(whole, expected)
    torch.testing.assert_close(layer(signal[..., 3:4]), whole[..., 3:4])


def test_group_norm_is_over_all_channels_and_frames() -> None:
    signal = torch.randn(2, 5, 9)
    expected = torch.stack([(one - one.mean()) / one.std(correction=0) for one in signal])
    torch.testing.assert_close(make_norm("group", 5)(signal), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(make_norm("weight", 5)(signal), signal, atol=0, rtol=0)


def test_modulation_scales_and_shifts_each_channel_by_the_style() -> None:
    layer = StyleModulation(4, 2)
    torch.nn.init.zeros_(layer.linear.weight)
    layer.linear.weight.data[0, 0] = 0.5  # scale of channel 0 follows component 0
    layer.linear.weight.data[3, 1] = 0.25  # shift of channel 1 follows component 1
    signal = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    # The style vector is multiplied by sqrt(4) = 2.
    output = layer(signal, torch.tensor([[0.6, 0.8, 0.0, 0.0]]))
    torch.testing.assert_close(output, torch.tensor([[[1.6, 3.2], [3.4, 4.4]]]))
