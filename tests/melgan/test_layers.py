"""Building blocks against independent computations: reflection, upsampling, weight norm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from melgan.layers import ReflectedConv, ResidualLayer, Upsample, add_weight_norm, plain_state_dict


@pytest.mark.parametrize(("kernel_size", "dilation"), [(7, 1), (3, 9), (1, 1)])
def test_a_reflected_convolution_is_the_convolution_of_the_reflected_signal(kernel_size: int, dilation: int) -> None:
    layer = ReflectedConv(2, 3, kernel_size, dilation)
    x = torch.randn(1, 2, 20)
    padded = np.pad(x[0].numpy(), ((0, 0), (layer.padding, layer.padding)), mode="reflect")
    weight, bias = layer.conv.weight.detach().numpy(), layer.conv.bias.detach().numpy()
    expected = np.zeros((3, 20))
    for tap in range(kernel_size):
        expected += weight[:, :, tap] @ padded[:, tap * dilation : tap * dilation + 20]
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected + bias[:, None], atol=1e-5)


def test_a_residual_layer_is_shortcut_plus_mixed_convolution() -> None:
    layer = ResidualLayer(4, dilation=3)
    x = torch.randn(2, 4, 30)
    leaky = nn.LeakyReLU(0.2)
    hidden = nn.functional.conv1d(
        nn.functional.pad(leaky(x), (3, 3), mode="reflect"),
        layer.dilated.conv.weight, layer.dilated.conv.bias, dilation=3,
    )  # fmt: skip
    expected = layer.shortcut.conv(x) + layer.mix.conv(leaky(hidden))
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("ratio", [2, 3, 5, 8])
@pytest.mark.parametrize("frames", [1, 4, 7])
def test_upsampling_multiplies_the_length_exactly(ratio: int, frames: int) -> None:
    assert Upsample(4, 2, ratio)(torch.randn(1, 4, frames)).shape == (1, 2, frames * ratio)


@pytest.mark.parametrize("ratio", [2, 3, 8])
def test_every_sample_is_written_equally_often(ratio: int) -> None:
    layer = Upsample(1, 1, ratio)
    nn.init.ones_(layer.conv.weight)
    nn.init.zeros_(layer.conv.bias)
    counts = layer(torch.ones(1, 1, 6))[0, 0, ratio:-ratio]
    torch.testing.assert_close(counts, torch.full_like(counts, 2.0))


def test_weight_norm_changes_nothing_until_it_is_trained_and_folds_back() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(ReflectedConv(3, 4, 3), Upsample(4, 2, 2), nn.BatchNorm1d(2))
    keys = plain.state_dict().keys()
    x = torch.randn(2, 3, 10)
    expected = plain.eval()(x)
    normed = add_weight_norm(plain)
    torch.testing.assert_close(normed(x), expected)
    lengths = normed[0].conv.parametrizations.weight.original0
    assert lengths.shape == (4, 1, 1)
    with torch.no_grad():
        for parameter in normed.parameters():
            parameter.mul_(1 + 0.3 * torch.rand_like(parameter))
    folded = plain_state_dict(normed)
    assert folded.keys() == keys
    rebuilt = nn.Sequential(ReflectedConv(3, 4, 3), Upsample(4, 2, 2), nn.BatchNorm1d(2)).eval()
    rebuilt.load_state_dict(folded)
    torch.testing.assert_close(rebuilt(x), normed(x))
    assert not torch.allclose(rebuilt(x), expected, atol=1e-2)


def test_weight_norm_is_added_once() -> None:
    module = add_weight_norm(add_weight_norm(ReflectedConv(2, 2, 3)))
    assert len(module.conv.parametrizations.weight) == 1
