"""Padding against numpy's, normalisations against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from travelgan.layers import (
    ColumnConv,
    FrameNorm,
    StyleModulation,
    make_norm,
    reflect_pad,
    scale_mel,
    unscale_mel,
)


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
@pytest.mark.parametrize(("left", "right"), [(0, 0), (1, 2), (5, 0), (6, 9)])
def test_reflect_pad_is_numpys_for_any_length(frames: int, left: int, right: int) -> None:
    signal = torch.randn(2, 3, frames)
    expected = np.pad(signal.numpy(), ((0, 0), (0, 0), (left, right)), mode="reflect")
    np.testing.assert_array_equal(reflect_pad(signal, left, right).numpy(), expected)


def test_reflect_pad_refuses_nothing() -> None:
    with pytest.raises(ValueError, match="0 frames"):
        reflect_pad(torch.zeros(1, 2, 0), 1, 1)


def test_mel_range_is_scaled_to_one() -> None:
    torch.testing.assert_close(scale_mel(torch.tensor([-5.0, -2.0, 1.0])), torch.tensor([-1.0, 0.0, 1.0]))
    mel = torch.randn(10)
    torch.testing.assert_close(unscale_mel(scale_mel(mel)), mel)


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(7, 1, 1), (3, 1, 8), (4, 2, 1), (5, 2, 1), (5, 3, 1), (1, 1, 1)]
)
@pytest.mark.parametrize("frames", [3, 6, 23])
def test_convolution_divides_the_length_by_its_stride(
    kernel: int, stride: int, dilation: int, frames: int
) -> None:
    layer = ColumnConv(2, 3, kernel, stride=stride, dilation=dilation)
    assert layer(torch.randn(1, 2, frames)).shape == (1, 3, frames // stride)


def test_convolution_refuses_a_kernel_shorter_than_its_stride() -> None:
    with pytest.raises(ValueError, match="got kernel 2 and stride 4"):
        ColumnConv(1, 1, 2, stride=4)


def test_spectral_norm_bounds_the_kernel() -> None:
    layer = ColumnConv(6, 6, 3, normalisation="spectral")
    for _ in range(50):
        layer(torch.randn(1, 6, 8))
    largest = torch.linalg.matrix_norm(layer.convolution.weight.flatten(1), ord=2)
    torch.testing.assert_close(largest, torch.tensor(1.0), atol=1e-3, rtol=0)


def test_weight_norm_separates_length_and_direction() -> None:
    layer = ColumnConv(6, 4, 3, normalisation="weight")
    lengths = layer.convolution.weight.flatten(1).norm(dim=1)
    layer.get_parameter("convolution.parametrizations.weight.original1").data.mul_(5.0)
    torch.testing.assert_close(layer.convolution.weight.flatten(1).norm(dim=1), lengths)


def test_frame_norm_is_blind_to_other_frames() -> None:
    layer = FrameNorm(5, affine=False)
    signal = torch.randn(2, 5, 9)
    whole = layer(signal)
    expected = (signal - signal.mean(1, keepdim=True)) / torch.sqrt(
        signal.var(1, correction=0, keepdim=True) + 1e-5
    )
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
