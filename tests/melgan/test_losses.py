"""The multi-resolution STFT loss of sub-bands against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from auraloss.freq import MultiResolutionSTFTLoss
from torch import Tensor

from melgan.filter_bank import FilterBank
from melgan.losses import SubbandSTFTLoss


def compare(fake: Tensor, real: Tensor, stft_loss: MultiResolutionSTFTLoss | None = None) -> Tensor:
    """The loss of four sub-bands, at resolutions of its own or at given ones."""
    loss = SubbandSTFTLoss(4)
    if stft_loss is not None:
        loss.stft_loss = stft_loss
    return loss(fake, real)


def some_wav(seed: int) -> Tensor:
    return 0.1 * torch.randn(2, 1, 4096, generator=torch.Generator().manual_seed(seed))


def test_the_sub_band_loss_is_the_mean_of_the_bands_in_log_magnitude() -> None:
    """Worked out again band by band; the spectral convergence is relative to all bands together."""
    fake, real, bank = some_wav(0), some_wav(1), FilterBank(4)
    loss = MultiResolutionSTFTLoss([256], [64], [256], w_sc=0.0)
    bands = [[bank.analyze(wav)[:, band : band + 1] for band in range(4)] for wav in (fake, real)]
    by_band = [float(loss(a, b)) for a, b in zip(*bands, strict=True)]
    assert float(compare(fake, real, loss)) == pytest.approx(sum(by_band) / 4, rel=1e-5)
    loss = MultiResolutionSTFTLoss([256], [64], [256], w_log_mag=0.0)
    spectra = [
        torch.stft(bank.analyze(wav).flatten(0, 1), 256, 64, window=torch.hann_window(256), return_complex=True).abs()
        for wav in (fake, real)
    ]
    expected = float((spectra[0] - spectra[1]).norm() / spectra[1].norm())
    assert float(compare(fake, real, loss)) == pytest.approx(expected, rel=1e-3)


def test_the_sub_band_loss_is_zero_when_equal_and_knows_the_band() -> None:
    wav, bank = some_wav(0), FilterBank(4)
    assert float(compare(wav, wav)) == 0.0
    bands = bank.analyze(wav)
    for band in range(4):
        weaker = bands.clone()
        weaker[:, band] *= 0.5
        # Half the magnitude in a quarter of the bands: ln(2) / 4 and the square root of a quarter of 0.25.
        found = float(compare(bank.synthesize(weaker), wav))
        assert found == pytest.approx(math.log(2) / 4 + 0.25, rel=0.05)


def test_a_silent_band_does_not_outweigh_the_others() -> None:
    """A little noise in a band where the recording has nothing is less than all of another band gone."""
    bank, loss = FilterBank(4), MultiResolutionSTFTLoss([256], [64], [256], w_log_mag=0.0)
    bands = bank.analyze(some_wav(0))
    bands[:, 3] = 0.0
    real = bank.synthesize(bands)
    hiss, muffled = bands.clone(), bands.clone()
    hiss[:, 3] = 1e-3 * torch.randn(bands[:, 3].shape, generator=torch.Generator().manual_seed(2))
    muffled[:, 2] = 0.0
    hiss_loss, muffled_loss = (float(compare(bank.synthesize(x), real, loss)) for x in (hiss, muffled))
    assert 0 < hiss_loss < 0.05 * muffled_loss


def test_gradients_of_the_sub_band_loss_reach_the_waveform() -> None:
    fake = some_wav(0).requires_grad_()
    compare(fake, some_wav(1)).backward()
    assert fake.grad is not None and torch.isfinite(fake.grad).all() and float(fake.grad.abs().max()) > 0
