"""Losses of the vocoder against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from auraloss.freq import MultiResolutionSTFTLoss
from torch import Tensor

from melgan.filter_bank import FilterBank
from melgan.losses import feature_matching, hinge_discriminator, hinge_generator, make_subband_loss, subband_stft


def maps(scores: list[float], *features: list[float]) -> list[Tensor]:
    """Feature maps of one scale, scores last."""
    return [torch.tensor(values)[None, None] for values in (*features, scores)]


def test_the_discriminators_hinge_counts_only_what_is_inside_the_margin() -> None:
    real = [maps([2.0, 0.5]), maps([-1.0])]
    fake = [maps([-3.0, 0.0]), maps([-1.0, 1.0])]
    # Scale 1: mean(0, 0.5) + mean(0, 1) = 0.75; scale 2: mean(2) + mean(0, 2) = 3.
    assert float(hinge_discriminator(real, fake)) == pytest.approx(3.75)


def test_the_generators_loss_is_minus_the_score_without_a_margin() -> None:
    assert float(hinge_generator([maps([2.0, 4.0]), maps([-1.0])])) == pytest.approx(-3.0 + 1.0)


def test_feature_matching_leaves_the_scores_out_and_averages_layers() -> None:
    real = [maps([9.0], [1.0, 2.0], [0.0]), maps([9.0], [1.0], [1.0])]
    fake = [maps([0.0], [1.0, 4.0], [3.0]), maps([0.0], [1.0], [2.0])]
    # Layers: mean(0, 2) = 1, 3, 0, 1.
    assert float(feature_matching(real, fake)) == pytest.approx(5 / 4)
    assert float(feature_matching(real, real)) == 0.0


def test_the_real_waveforms_features_are_constants() -> None:
    real, fake = (torch.randn(1, 2, 5, requires_grad=True) for _ in range(2))
    scores = torch.zeros(1, 1, 5)
    feature_matching([[real, scores]], [[fake, scores]]).backward()
    assert real.grad is None
    assert fake.grad is not None and fake.grad.abs().sum() > 0


def test_losses_are_in_single_precision_under_mixed_precision() -> None:
    scores = [[torch.randn(1, 4, 50, dtype=torch.bfloat16), torch.randn(1, 1, 50, dtype=torch.bfloat16)]]
    for loss in (hinge_discriminator(scores, scores), hinge_generator(scores), feature_matching(scores, scores)):
        assert loss.dtype == torch.float32


def test_a_scale_that_is_missing_is_an_error() -> None:
    with pytest.raises(ValueError):
        hinge_discriminator([maps([1.0])], [maps([1.0]), maps([1.0])])


def some_wav(seed: int) -> Tensor:
    return 0.1 * torch.randn(2, 1, 4096, generator=torch.Generator().manual_seed(seed))


def test_the_sub_band_loss_is_the_mean_of_the_bands_in_log_magnitude() -> None:
    """Worked out again band by band; the spectral convergence is relative to all bands together."""
    fake, real, bank = some_wav(0), some_wav(1), FilterBank(4)
    loss = MultiResolutionSTFTLoss([256], [64], [256], w_sc=0.0)
    bands = [[bank.analyse(wav)[:, band : band + 1] for band in range(4)] for wav in (fake, real)]
    by_band = [float(loss(a, b)) for a, b in zip(*bands, strict=True)]
    assert float(subband_stft(fake, real, bank, loss)) == pytest.approx(sum(by_band) / 4, rel=1e-5)
    loss = MultiResolutionSTFTLoss([256], [64], [256], w_log_mag=0.0)
    spectra = [
        torch.stft(bank.analyse(wav).flatten(0, 1), 256, 64, window=torch.hann_window(256), return_complex=True).abs()
        for wav in (fake, real)
    ]
    expected = float((spectra[0] - spectra[1]).norm() / spectra[1].norm())
    assert float(subband_stft(fake, real, bank, loss)) == pytest.approx(expected, rel=1e-3)


def test_the_sub_band_loss_is_zero_when_equal_and_knows_the_band() -> None:
    wav, bank, loss = some_wav(0), FilterBank(4), make_subband_loss()
    assert float(subband_stft(wav, wav, bank, loss)) == 0.0
    bands = bank.analyse(wav)
    for band in range(4):
        weaker = bands.clone()
        weaker[:, band] *= 0.5
        # Half the magnitude in a quarter of the bands: ln(2) / 4 and the square root of a quarter of 0.25.
        found = float(subband_stft(bank.synthesise(weaker), wav, bank, loss))
        assert found == pytest.approx(math.log(2) / 4 + 0.25, rel=0.05)


def test_a_silent_band_does_not_outweigh_the_others() -> None:
    """A little noise in a band where the recording has nothing is less than all of another band gone."""
    bank, loss = FilterBank(4), MultiResolutionSTFTLoss([256], [64], [256], w_log_mag=0.0)
    bands = bank.analyse(some_wav(0))
    bands[:, 3] = 0.0
    real = bank.synthesise(bands)
    hiss, muffled = bands.clone(), bands.clone()
    hiss[:, 3] = 1e-3 * torch.randn(bands[:, 3].shape, generator=torch.Generator().manual_seed(2))
    muffled[:, 2] = 0.0
    hiss_loss, muffled_loss = (float(subband_stft(bank.synthesise(x), real, bank, loss)) for x in (hiss, muffled))
    assert 0 < hiss_loss < 0.05 * muffled_loss


def test_gradients_of_the_sub_band_loss_reach_the_waveform() -> None:
    fake = some_wav(0).requires_grad_()
    subband_stft(fake, some_wav(1), FilterBank(4), make_subband_loss()).backward()
    assert fake.grad is not None and torch.isfinite(fake.grad).all() and float(fake.grad.abs().max()) > 0
