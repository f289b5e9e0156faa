"""Metrics between two waveforms of equal length: distance of the spectra, similarity of harmony and rhythm.

None is used as a training loss. All take (samples,), the signal to measure first and the reference second; signals of
different lengths, or too short, raise ValueError.
"""

from __future__ import annotations

import warnings
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from stylize_core.mel import MEL_PRESETS, LogMel, MelConfig

Wav = np.ndarray | Tensor

STFT_SIZES = (512, 1024, 2048)
MAGNITUDE_FLOOR = 1e-4
QUIET = 3e-3
"""A chroma frame is not worth comparing below this part (-50 dB) of the signal's loudest frame."""
NOTHING = 1e-4
"""Below this part (-80 dB) a chroma frame holds no harmony but the leakage of its neighbors."""


def mel_l1(wav: Wav, reference: Wav, mel_config: MelConfig | None = None) -> float:
    """Mean absolute difference of mels in log10 units (1 is 20 dB), by default on the MelGAN paper's 80 bins.

    Shape:
        (samples,) and (samples,), in [-1, 1].
    """
    pair = _pair(wav, reference)
    mels = _log_mel(mel_config or MEL_PRESETS["melgan"])(torch.stack(pair))
    return float((mels[0] - mels[1]).abs().mean())


def multi_resolution_stft_distance(wav: Wav, reference: Wav) -> float:
    """Spectral convergence plus L1 of natural-log magnitudes, averaged over three transform sizes.

    The loss of Parallel WaveGAN (arXiv 1910.11480, section 2.2, eq. 3-6) with transforms of 512, 1024 and
    2048 samples, Hann windows of the same length and hops of a quarter.

    Shape:
        (samples,) and (samples,), more than 1024 samples.
    """
    pair = torch.stack(_pair(wav, reference))
    least = max(STFT_SIZES) // 2 + 1
    if pair.shape[-1] < least:
        raise ValueError(f"got {pair.shape[-1]} samples, the longest transform needs at least {least}")
    distances = []
    for size in STFT_SIZES:
        window = torch.hann_window(size)
        spectrum = torch.stft(pair, size, size // 4, window=window, return_complex=True)
        measured, expected = spectrum.abs().clamp(min=MAGNITUDE_FLOOR)
        convergence = torch.linalg.norm(expected - measured) / torch.linalg.norm(expected)
        distances.append(convergence + (expected.log() - measured.log()).abs().mean())
    return float(torch.stack(distances).mean())


def chroma_cosine(wav: Wav, reference: Wav, sample_rate: int = 22050) -> float:
    """Mean cosine of constant-Q chroma, frame by frame: 1 where the harmony is the same.

    Frames quiet (-50 dB) in both signals do not count; a frame with nothing (-80 dB) in one of them alone
    counts as 0. Two silent signals agree (1). Unrelated music reaches about 0.75, since it shares pitch classes.
    """
    return chroma_agreement(*(constant_q_chroma(signal.numpy(), sample_rate) for signal in _pair(wav, reference)))


def chroma_agreement(chroma: np.ndarray, reference: np.ndarray) -> float:
    """:func:`chroma_cosine` of chroma that is computed already, (12, frames) each."""
    if chroma.shape != reference.shape:
        raise ValueError(f"got chroma of {chroma.shape[1]} and {reference.shape[1]} frames, expected as many")
    norms = [np.linalg.norm(one, axis=0) for one in (chroma, reference)]
    counted = _above(QUIET, norms[0]) | _above(QUIET, norms[1])
    if not counted.any():
        return 1.0
    cosine = (chroma * reference).sum(axis=0) / np.maximum(norms[0] * norms[1], 1e-12)
    cosine[~(_above(NOTHING, norms[0]) & _above(NOTHING, norms[1]))] = 0.0
    return float(cosine[counted].mean())


def onset_correlation(wav: Wav, reference: Wav, sample_rate: int = 22050) -> float:
    """Pearson correlation of the onset strengths of two signals: 1 where the rhythm is the same.

    A signal whose onset strength never changes (silence) gives 0, two such signals 1.
    """
    from librosa.onset import onset_strength  # librosa takes a second to import, most callers do without

    pair = _pair(wav, reference)
    strengths = [onset_strength(y=signal.numpy(), sr=sample_rate) for signal in pair]
    deviations = [strength - strength.mean() for strength in strengths]
    norms = [float(np.linalg.norm(deviation)) for deviation in deviations]
    if min(norms) < 1e-6:
        return 1.0 if max(norms) < 1e-6 else 0.0
    correlation = float((deviations[0] * deviations[1]).sum()) / (norms[0] * norms[1])
    return min(1.0, max(-1.0, correlation))


def _pair(wav: Wav, reference: Wav) -> tuple[Tensor, Tensor]:
    """Both signals as float32 tensors on the CPU, checked."""
    measured, expected = (torch.as_tensor(signal).detach().float().cpu() for signal in (wav, reference))
    for signal in (measured, expected):
        if signal.ndim != 1:
            raise ValueError(f"measures take 1-D signals (samples,), got shape {tuple(signal.shape)}")
    if len(measured) != len(expected):
        raise ValueError(f"got {len(measured)} and {len(expected)} samples, expected equal lengths; cut the longer")
    return measured, expected


@lru_cache(maxsize=4)
def _log_mel(config: MelConfig) -> LogMel:
    return LogMel(config)


def constant_q_chroma(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """Constant-Q chroma (12, frames), not normalized, for tuning A = 440 Hz in both signals."""
    from librosa.feature import chroma_cqt

    with warnings.catch_warnings():
        # The lowest octaves are analyzed at a low rate, where seconds are few samples.
        warnings.filterwarnings("ignore", message="n_fft=.* is too large")
        return chroma_cqt(y=wav, sr=sample_rate, norm=None, tuning=0.0)


def _above(part: float, norms: np.ndarray) -> np.ndarray:
    """Frames above a part of the loudest frame, and above the noise of the computation."""
    return norms > max(part * float(norms.max(initial=0.0)), 1e-6)
