"""Augmented mels: seeded, as strong as asked, above the floor, and silence stays silence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from data.mel_augmentation import MelAugmentation, _blur, augment_mel

FLOOR = -5.0
ALL = MelAugmentation(blur_frames=1.0, blur_bands=1.5, noise=0.1, band_gain_db=6.0)


def augment(mel: torch.Tensor, seed: int = 0, **strengths: float) -> torch.Tensor:
    return augment_mel(mel, MelAugmentation(**strengths), torch.Generator().manual_seed(seed), FLOOR)


def some_mel(batch: int = 64) -> torch.Tensor:
    return torch.randn(batch, 24, 40, generator=torch.Generator().manual_seed(1)) * 0.3 - 2


def test_off_by_default_and_never_in_place() -> None:
    mel = some_mel()
    before = mel.clone()
    assert not MelAugmentation().active and augment(mel) is mel
    assert not MelAugmentation(noise=1.0, share=0.0).active
    assert not torch.equal(augment_mel(mel, ALL, torch.Generator(), FLOOR), mel)
    assert torch.equal(mel, before)


def test_the_generator_decides_everything() -> None:
    mel = some_mel()
    one, again, other = (augment_mel(mel, ALL, torch.Generator().manual_seed(seed), FLOOR) for seed in (5, 5, 6))
    assert torch.equal(one, again) and not torch.allclose(one, other)
    assert not torch.allclose(one[0] - mel[0], one[1] - mel[1])  # each segment its own


def test_noise_is_as_strong_as_asked() -> None:
    change = augment(some_mel(), noise=0.1) - some_mel()
    deviations = change.flatten(1).std(dim=1)
    assert 0.08 < deviations.max() < 0.11 and deviations.min() < 0.02  # uniform between 0 and the strength
    assert abs(float(change.mean())) < 0.002


def test_gain_is_a_smooth_curve_over_bands_and_constant_in_time() -> None:
    change = augment(some_mel(), band_gain_db=6.0) - some_mel()
    torch.testing.assert_close(change, change[:, :, :1].expand_as(change), atol=1e-6, rtol=0)
    curve = 20 * change[:, :, 0]
    assert 4.5 < curve.abs().max() <= 6.0
    bend = curve.diff(n=2, dim=1).abs()
    assert ((bend > 1e-4).sum(dim=1) <= 12).all()  # linear but for two steps at each of six inner knots
    assert curve.diff(dim=1).abs().max() <= 2 * 6.0 / (23 / 7) + 1e-4


def test_blur_is_gaussian_with_each_items_own_width() -> None:
    values, deviations = some_mel(3), torch.tensor([0.0, 0.7, 1.5])
    blurred = _blur(values, deviations, largest=1.5)
    torch.testing.assert_close(blurred[0], values[0])
    for item in (1, 2):
        expected = gaussian_filter1d(values[item].numpy(), float(deviations[item]), mode="nearest", radius=5)
        np.testing.assert_allclose(blurred[item].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(("name", "smoother", "as_before"), [("blur_frames", 2, 1), ("blur_bands", 1, 2)])
def test_blur_is_over_the_axis_that_it_names(name: str, smoother: int, as_before: int) -> None:
    mel = some_mel()
    blurred = augment(mel, **{name: 2.0})

    def roughness(values: torch.Tensor, axis: int) -> float:
        spectrum = torch.fft.rfft(values - values.mean(dim=axis, keepdim=True), dim=axis).abs().movedim(axis, -1)
        return float(spectrum[..., -4:].mean() / spectrum[..., 1:4].mean())

    assert roughness(blurred, smoother) < 0.5 * roughness(mel, smoother)
    assert roughness(blurred, as_before) == pytest.approx(roughness(mel, as_before), rel=0.15)
    torch.testing.assert_close(augment(torch.full((2, 24, 40), -1.5), **{name: 2.0}), torch.full((2, 24, 40), -1.5))


def test_silence_stays_silence_and_nothing_falls_below_the_floor() -> None:
    mel = some_mel()
    mel[:, :, 10:20] = FLOOR
    mel[:, 5] = FLOOR + 5e-4  # the floor as half precision may give it back
    mel[:, :, 30:] = FLOOR + 0.05
    strong = MelAugmentation(blur_frames=2.0, blur_bands=2.0, noise=0.5, band_gain_db=20.0)
    out = augment_mel(mel, strong, torch.Generator().manual_seed(0), FLOOR)
    silent = mel <= FLOOR + 1e-3
    assert torch.equal(out[silent], mel[silent])
    assert out.min() >= FLOOR and (out[:, :, 30:] == FLOOR).any()
    empty = torch.full((2, 24, 40), FLOOR)
    assert torch.equal(augment_mel(empty, strong, torch.Generator(), FLOOR), empty)


def test_a_share_of_the_segments_is_left_alone() -> None:
    mel = some_mel(400)
    out = augment(mel, noise=0.1, share=0.25)
    changed = (out != mel).flatten(1).any(dim=1).float().mean()
    assert 0.19 < changed < 0.31


@pytest.mark.parametrize("strengths", [{"noise": -0.1}, {"blur_frames": float("nan")}, {"share": 1.5}])
def test_impossible_strengths_are_refused(strengths: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(strengths))):
        MelAugmentation(**strengths)
