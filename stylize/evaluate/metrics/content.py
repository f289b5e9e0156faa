"""Content metrics: how much harmony and rhythm of a song is kept, and how close a result is to the ground truth."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import mir_eval
import numpy as np

from stylize.evaluate.metrics.multipitch import BINS_PER_SEMITONE, RATE, Pitches, constant_q, estimate_pitches
from stylize_core.metrics.waveform import chroma_agreement, mel_l1

ONSET_WINDOW = 0.05
BEAT_WINDOW = 0.07
"""Tolerances of mir_eval, seconds."""
MFCC_COUNT = 20
QUIET_LEVEL = 1e-4
"""Root mean square below which a waveform's level is not adjusted."""

CONTENT_METRICS = ("chroma", "pitch_f1", "onset_f1", "beat_f1")
TRUTH_METRICS = ("mel_to_truth", "mfcc_to_truth", "onset_f1_to_truth", "chroma_to_truth")


@dataclass(frozen=True)
class Analysis:
    """Features of a recording.

    Args:
        wav: (samples,) at `RATE`.
        chroma: (12, frames), not normalized.
        pitches: notes over time.
        onsets, beats: seconds.
        mfcc: (MFCC_COUNT, frames), without the zeroth.
    """

    wav: np.ndarray
    chroma: np.ndarray
    pitches: Pitches
    onsets: np.ndarray
    beats: np.ndarray
    mfcc: np.ndarray


def analyze(wav: np.ndarray) -> Analysis:
    """Estimate harmony, notes, onsets, beats and timbre of a waveform, (samples,) at `RATE`."""
    from librosa.beat import beat_track
    from librosa.feature import chroma_cqt, mfcc
    from librosa.onset import onset_detect, onset_strength

    strength = onset_strength(y=wav, sr=RATE)
    onsets = onset_detect(onset_envelope=strength, sr=RATE, units="time")
    _, beats = beat_track(onset_envelope=strength, sr=RATE, units="time")
    coefficients = mfcc(y=wav, sr=RATE, n_mfcc=MFCC_COUNT + 1)[1:]
    spectrum = constant_q(wav)
    return Analysis(
        wav=wav,
        chroma=chroma_cqt(C=spectrum, sr=RATE, norm=None, tuning=0.0, bins_per_octave=12 * BINS_PER_SEMITONE),
        pitches=estimate_pitches(spectrum),
        onsets=np.asarray(onsets),
        beats=np.asarray(beats),
        mfcc=coefficients,
    )


def content_kept(result: Analysis, content: Analysis) -> dict[str, float]:
    """`CONTENT_METRICS` of a result against its input, each 1 where nothing changed."""
    return {
        "chroma": chroma_agreement(result.chroma, content.chroma),
        "pitch_f1": pitch_f1(result.pitches, content.pitches),
        "onset_f1": onset_f1(result.onsets, content.onsets),
        "beat_f1": beat_f1(result.beats, content.beats),
    }


def distance_to_truth(result: Analysis, truth: Analysis) -> dict[str, float]:
    """`TRUTH_METRICS` of a result at the level of the ground truth: two distances, then two similarities."""
    return {
        "mel_to_truth": mel_l1(at_level_of(result.wav, truth.wav), truth.wav),
        "mfcc_to_truth": mfcc_distance(result, truth),
        "onset_f1_to_truth": onset_f1(result.onsets, truth.onsets),
        "chroma_to_truth": chroma_agreement(result.chroma, truth.chroma),
    }


def pitch_f1(result: Pitches, reference: Pitches) -> float:
    """F1 of the notes in all frames (mir_eval.multipitch, within half a semitone); two without notes agree (1)."""
    sounding = [bool(pitches.notes.any()) for pitches in (result, reference)]
    if not all(sounding):
        return float(sounding[0] == sounding[1])
    metrics = mir_eval.multipitch.metrics(reference.times, reference.frequencies, result.times, result.frequencies)
    precision, recall = float(metrics[0]), float(metrics[1])
    return 2 * precision * recall / max(precision + recall, 1e-12)


def onset_f1(result: np.ndarray, reference: np.ndarray) -> float:
    """F1 of onset times in seconds, within `ONSET_WINDOW` (mir_eval.onset); two without onsets agree (1)."""
    if not (len(result) and len(reference)):
        return float(len(result) == len(reference))
    return float(mir_eval.onset.f_measure(reference, result, window=ONSET_WINDOW)[0])


def beat_f1(result: np.ndarray, reference: np.ndarray) -> float:
    """F-measure of all beat times in seconds, within `BEAT_WINDOW` (mir_eval.beat); two without beats agree (1)."""
    if not (len(result) and len(reference)):
        return float(len(result) == len(reference))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="mir_eval")
        return float(mir_eval.beat.f_measure(reference, result, f_measure_threshold=BEAT_WINDOW))


def mfcc_distance(result: Analysis, reference: Analysis) -> float:
    """Root mean square difference of MFCCs, frame by frame."""
    if result.mfcc.shape != reference.mfcc.shape:
        raise ValueError(f"got MFCCs of {result.mfcc.shape[1]} and {reference.mfcc.shape[1]} frames, expected as many")
    return float(np.sqrt(np.mean((result.mfcc - reference.mfcc) ** 2)))


def at_level_of(wav: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """A waveform scaled to the root mean square of another, unless one of them is silent."""
    levels = [float(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))) for signal in (wav, reference)]
    if min(levels) < QUIET_LEVEL:
        return wav
    return (wav * (levels[1] / levels[0])).astype(np.float32)
