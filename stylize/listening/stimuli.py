"""What is done to sounds before anybody rates them: equal length, equal loudness, soft ends; and MUSHRA's anchors.

Arrays are float32 of shape (channels, samples).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stylize_core.audio.loudness import LoudnessMeter
from stylize_core.errors import UserError

TARGET_LOUDNESS = -23.0
"""LUFS, as broadcast (EBU R 128)."""
PEAK_CEILING_DB = -1.0
"""No sample goes beyond this, dBFS: loud peaks lower the loudness of all sounds of their song instead."""
ANCHORS = {"anchor-3.5kHz": 3500.0, "anchor-7kHz": 7000.0}
"""Pass bands of MUSHRA's low and mid anchor, Hz (BS.1534-3, section 5.1)."""
_TRANSITION_HZ = 500.0
_STOP_BAND_DB = 60.0


def measure_loudness(wav: np.ndarray, sample_rate: int) -> float | None:
    """Integrated loudness, LUFS (ITU-R BS.1770-4), of a sound (channels, samples); None for silence."""
    meter = LoudnessMeter(sample_rate, len(wav))
    meter.push(wav)
    return meter.integrated


def fade_ends(wav: np.ndarray, samples: int) -> np.ndarray:
    """Raised-cosine fades at both ends, each over so many samples (at most half of the sound)."""
    samples = min(samples, wav.shape[1] // 2)
    if samples < 1:
        return wav
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(samples) + 0.5) / samples)).astype(wav.dtype)
    faded = wav.copy()
    faded[:, :samples] *= ramp
    faded[:, -samples:] *= ramp[::-1]
    return faded


def low_pass(wav: np.ndarray, edge: float, sample_rate: int) -> np.ndarray:
    """A steep low-pass without delay, for anchors; `edge` of the pass band and rate in Hz.

    Flat within 0.1 dB to `edge`, 25 dB down 500 Hz above and 50 dB down 1 kHz above, as BS.1534-3 asks of the 3.5 kHz
    anchor.
    """
    from scipy.signal import firwin, kaiserord, oaconvolve

    check_anchor_rate(sample_rate, edge)
    taps, beta = kaiserord(_STOP_BAND_DB, _TRANSITION_HZ / (sample_rate / 2))
    taps |= 1  # odd, so that the delay is a whole number of samples
    kernel = firwin(taps, edge + _TRANSITION_HZ / 2, window=("kaiser", beta), fs=sample_rate)
    filtered: np.ndarray = oaconvolve(wav, kernel[None], mode="same", axes=1)
    return filtered.astype(np.float32)


def check_anchor_rate(sample_rate: int, edge: float = max(ANCHORS.values())) -> None:
    """UserError where a sample rate is too low for an anchor's filter to have an effect."""
    if edge + _TRANSITION_HZ >= sample_rate / 2:
        raise UserError(
            f"got {sample_rate} Hz; the {edge / 1000:g} kHz anchor needs at least {2 * edge + 1500:g} Hz, for example "
            "--sample-rate 22050"
        )


@dataclass(frozen=True)
class Level:
    """What was done to a sound's level."""

    loudness: float | None  # before, LUFS; None for silence
    gain_db: float
    peak: float  # largest magnitude after


def match_loudness(
    wavs: Sequence[np.ndarray], sample_rate: int, target: float = TARGET_LOUDNESS
) -> tuple[list[np.ndarray], list[Level], float]:
    """Bring sounds to one loudness, LUFS: the sounds, what was done to each, and the loudness that they have.

    Where a peak would go beyond `PEAK_CEILING_DB`, all of them become as much quieter. Silence stays as it is.
    """
    ceiling = 10 ** (PEAK_CEILING_DB / 20)
    measured = [measure_loudness(wav, sample_rate) for wav in wavs]
    peaks = [float(np.abs(wav).max(initial=0.0)) for wav in wavs]
    highest = [
        loudness + 20 * math.log10(ceiling / peak)
        for loudness, peak in zip(measured, peaks, strict=True)
        if loudness is not None
    ]
    target = min([target, *highest])
    gains = [0.0 if loudness is None else target - loudness for loudness in measured]
    matched = [(wav * 10 ** (gain / 20)).astype(np.float32) for wav, gain in zip(wavs, gains, strict=True)]
    levels = [
        Level(loudness, gain, float(np.abs(wav).max(initial=0.0)))
        for loudness, gain, wav in zip(measured, gains, matched, strict=True)
    ]
    return matched, levels, target
