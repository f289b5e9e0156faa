"""Padding against numpy's, and the range of mels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stylize_core.layers import reflect_pad, scale_mel, unscale_mel


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
