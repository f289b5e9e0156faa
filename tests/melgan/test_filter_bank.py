"""The filter bank: what goes in comes out, every band is where it should be, blocks equal the whole."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from melgan.filter_bank import FilterBank, filter_overlap, filter_taps, modulated_filters

COUNTS = (2, 4, 8)


def noise(samples: int, batch: int = 1, channels: int = 1) -> Tensor:
    return torch.randn(batch, channels, samples, generator=torch.Generator().manual_seed(4))


def decibels(error: Tensor, signal: Tensor) -> float:
    return 10 * math.log10(float(error.square().mean() / signal.square().mean()))


@pytest.mark.parametrize("subbands", COUNTS)
def test_a_waveform_comes_back_in_place(subbands: int) -> None:
    """Noise has all frequencies, and any delay of it would be an error as large as itself."""
    bank, wav = FilterBank(subbands), noise(8192, batch=2)
    bands = bank.analyze(wav)
    assert bands.shape == (2, subbands, 8192 // subbands)
    rebuilt = bank.synthesize(bands)
    assert rebuilt.shape == wav.shape
    inner = slice(200, -200)
    assert decibels((rebuilt - wav)[..., inner], wav[..., inner]) < -62


@pytest.mark.parametrize("subbands", COUNTS)
def test_no_frequency_comes_back_louder_or_weaker(subbands: int) -> None:
    """Nor with an alias: an impulse at each place within a sub-band sample has a flat spectrum afterwards."""
    bank = FilterBank(subbands)
    for place in range(subbands):
        impulse = torch.zeros(1, 1, 1024)
        impulse[..., 512 + place] = 1.0
        spectrum = torch.fft.rfft(torch.roll(bank.synthesize(bank.analyze(impulse)), -(512 + place), -1))
        assert float((spectrum - 1).abs().max()) < 0.004  # 0.03 dB


@pytest.mark.parametrize("subbands", COUNTS)
def test_sub_bands_come_back_in_place(subbands: int) -> None:
    """So a loss may analyze a waveform that a network made of sub-bands."""
    bank, bands = FilterBank(subbands), noise(2048, channels=subbands)
    again = bank.analyze(bank.synthesize(bands))
    assert decibels((again - bands)[..., 50:-50], bands) < -60


@pytest.mark.parametrize("band", range(4))
def test_a_tone_is_in_its_band_at_its_amplitude(band: int) -> None:
    frequency = (band + 0.5) / 8  # the middle of the band, in cycles a sample
    wav = torch.sin(2 * math.pi * frequency * torch.arange(4096.0) + 0.3)[None, None]
    bands = FilterBank(4).analyze(wav)[0, :, 50:-50]
    peaks = bands.abs().amax(dim=1)
    assert bands[band].square().mean().sqrt() * math.sqrt(2) == pytest.approx(1.0, abs=0.01)
    assert float(peaks[[other for other in range(4) if other != band]].max()) < 1e-3


def test_filters_are_the_papers_in_number_and_pass_their_bands_only() -> None:
    filters = modulated_filters(4)
    assert filters.shape == (4, 62) and filter_taps(4) == 62
    response = np.abs(np.fft.rfft(filters, 8192))
    frequency = np.arange(4097) / 4096 * 4  # in widths of a band
    for band in range(4):
        inside = np.abs(frequency - band - 0.5) < 0.1
        outside = np.abs(frequency - band - 0.5) > 1.2
        assert np.abs(response[band, inside] - 1).max() < 0.01
        assert 20 * np.log10(response[band, outside].max()) < -75
        assert response[band, np.argmin(np.abs(frequency - max(band, 1)))] == pytest.approx(math.sqrt(0.5), abs=0.01)


@pytest.mark.parametrize("subbands", COUNTS)
def test_synthesis_is_zero_stuffing_and_filtering(subbands: int) -> None:
    """Against an independent form: each band spread out with zeros, convolved with its filter."""
    bank, bands = FilterBank(subbands), noise(64, channels=subbands)
    filters = modulated_filters(subbands)
    spread = np.zeros((subbands, 64 * subbands))
    spread[:, ::subbands] = bands[0].numpy()
    full = sum(np.convolve(row, taps) for row, taps in zip(spread, filters, strict=True)) * subbands
    start = (filter_taps(subbands) - subbands) // 2
    expected = torch.from_numpy(np.asarray(full))[start : start + 64 * subbands].float()
    inner = slice(filter_taps(subbands), -filter_taps(subbands))
    torch.testing.assert_close(bank.synthesize(bands)[0, 0, inner], expected[inner], atol=1e-5, rtol=0)


@pytest.mark.parametrize("subbands", COUNTS)
def test_the_overlap_is_what_a_sample_is_made_of(subbands: int) -> None:
    bank, overlap = FilterBank(subbands), filter_overlap(subbands)
    impulse = torch.zeros(1, subbands, 64)
    impulse[..., 32] = 1.0
    reached = torch.nonzero(bank.synthesize(impulse)[0, 0].abs() > 1e-9)[:, 0] // subbands
    assert (int(reached.min()), int(reached.max())) == (32 - overlap, 32 + overlap)


@pytest.mark.parametrize("subbands", COUNTS)
def test_blocks_with_context_equal_the_whole(subbands: int) -> None:
    bank, bands = FilterBank(subbands), noise(100, channels=subbands)
    whole, parts = bank.synthesize(bands), []
    for start in range(0, 100, 20):
        left, right = max(0, start - bank.overlap), min(100, start + 20 + bank.overlap)
        wav = bank.synthesize(bands[..., left:right])
        parts.append(wav[..., (start - left) * subbands : (start + 20 - left) * subbands])
    torch.testing.assert_close(torch.cat(parts, dim=-1), whole, atol=1e-6, rtol=0)


def test_nothing_is_stored_and_nothing_is_learned() -> None:
    bank = FilterBank(4)
    assert bank.state_dict() == {} and list(bank.parameters()) == []


def test_it_stays_in_single_precision_under_mixed_precision() -> None:
    bank, wav = FilterBank(4), noise(1024)
    with torch.autocast("cpu", torch.bfloat16):
        rebuilt = bank.synthesize(bank.analyze(wav))
    assert rebuilt.dtype == torch.float32
    torch.testing.assert_close(rebuilt, bank.synthesize(bank.analyze(wav)))


def test_what_does_not_fit_is_refused() -> None:
    for subbands in (0, 1, 3):
        with pytest.raises(ValueError, match=f"must be even and at least 2, got {subbands}"):
            FilterBank(subbands)
    for shape in ((1, 1, 1022), (1, 2, 1024), (1, 1024)):
        with pytest.raises(ValueError, match=r"expects \(B, 1, a multiple of 4 samples\), got"):
            FilterBank(4).analyze(torch.zeros(shape))
