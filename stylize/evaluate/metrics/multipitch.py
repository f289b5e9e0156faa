"""Multi-pitch estimation by iterative cancellation of harmonic sums over a constant-Q spectrum.

After Klapuri, "Multiple fundamental frequency estimation by summing harmonic amplitudes", ISMIR 2006, sections 2 and 3.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

RATE = 22050
"""Sample rate of the content metrics, Hz."""
HOP = 512
BINS_PER_SEMITONE = 3
OCTAVES = 7
LOWEST_NOTE = 24
"""MIDI number of the lowest bin of the spectrum, C1."""
PITCHES = range(36, 85)
"""MIDI numbers of detectable notes, C2 to C6."""
HARMONICS = 8
DECAY = 0.6
"""Weight of a harmonic relative to the one below it."""
VOICES = 5
"""Maximum number of simultaneous notes."""
MIN_SALIENCE = 0.25
"""Minimum salience of a note relative to the first one."""
QUIET = 3e-3
"""Level relative to the loudest frame (-50 dB) below which a frame has no notes."""
SMOOTHING_FRAMES = 9
"""Length of the median filter that removes drums, 0.2 s."""
FRAME_STEP = 4
"""Notes are estimated in every fourth frame, 93 ms apart."""


@dataclass(frozen=True)
class Pitches:
    """The notes of a recording over time: frames in seconds, and whether a note sounds, (frames, len(PITCHES))."""

    times: np.ndarray
    notes: np.ndarray

    @property
    def frequencies(self) -> list[np.ndarray]:
        """The notes of each frame in Hz, as `mir_eval.multipitch` takes them."""
        hertz = 440.0 * 2.0 ** ((np.array(PITCHES) - 69) / 12)
        return [hertz[frame] for frame in self.notes]


def estimate_pitches(magnitudes: np.ndarray) -> Pitches:
    """Estimate the notes of a recording."""
    from scipy.ndimage import median_filter

    spectrum = median_filter(magnitudes, size=(1, SMOOTHING_FRAMES))[:, ::FRAME_STEP]
    times = np.arange(spectrum.shape[1]) * FRAME_STEP * HOP / RATE
    loudness = spectrum.max(axis=0, initial=0.0)
    sounding = loudness > max(QUIET * float(loudness.max(initial=0.0)), 1e-6)
    compressed = np.sqrt(spectrum / np.maximum(loudness, 1e-12))
    notes = _pick_notes(compressed) & sounding[:, None]
    return Pitches(times, notes)


def constant_q(wav: np.ndarray) -> np.ndarray:
    """Constant-Q magnitudes at A = 440 Hz: (samples,) -> (OCTAVES * 12 * BINS_PER_SEMITONE, samples / HOP)."""
    from librosa import cqt, midi_to_hz

    if wav.ndim != 1:
        raise ValueError(f"got a waveform of shape {wav.shape}, expected (samples,)")
    bins = 12 * BINS_PER_SEMITONE
    with warnings.catch_warnings():
        # The lowest octaves are analyzed at a low rate, where seconds are few samples.
        warnings.filterwarnings("ignore", message="n_fft=.* is too large")
        transform = cqt(
            y=wav.astype(np.float32),
            sr=RATE,
            hop_length=HOP,
            fmin=midi_to_hz(LOWEST_NOTE),
            n_bins=OCTAVES * bins,
            bins_per_octave=bins,
            tuning=0.0,
        )
    return np.asarray(np.abs(transform))


def _pick_notes(spectrum: np.ndarray) -> np.ndarray:
    """Take the most salient note of each frame, cancel its harmonics, and look again, (frames, notes)."""
    rest = spectrum.copy()
    frames = np.arange(spectrum.shape[1])
    notes = np.zeros((len(frames), len(PITCHES)), dtype=bool)
    first = None
    for _ in range(VOICES):
        salience = _salience(rest)
        best = salience.argmax(axis=0)
        strength = salience[best, frames]
        first = strength if first is None else first
        taken = strength > np.maximum(MIN_SALIENCE * first, 1e-9)
        notes[frames[taken], best[taken]] = True
        for harmonic in range(HARMONICS):
            center = _bins(harmonic)[best]
            for neighbor in (-1, 0, 1):
                inside = center + neighbor < len(rest)
                rest[np.minimum(center + neighbor, len(rest) - 1)[inside], frames[inside]] *= 0.1
    return notes


def _salience(spectrum: np.ndarray) -> np.ndarray:
    """The fundamental of each note, which must be present, times the weighted sum of its harmonics, (notes, frames)."""
    widened = spectrum.copy()
    widened[1:] = np.maximum(widened[1:], spectrum[:-1])
    widened[:-1] = np.maximum(widened[:-1], spectrum[1:])
    widened = np.pad(widened, ((0, HARMONICS * 12 * BINS_PER_SEMITONE), (0, 0)))
    total = np.stack([DECAY**harmonic * widened[_bins(harmonic)] for harmonic in range(HARMONICS)]).sum(axis=0)
    return np.asarray(widened[_bins(0)] * total)


def _bins(harmonic: int) -> np.ndarray:
    """The bin of a harmonic (0 for the fundamental) of each note."""
    above = round(12 * BINS_PER_SEMITONE * np.log2(harmonic + 1))
    return np.asarray((np.array(PITCHES) - LOWEST_NOTE) * BINS_PER_SEMITONE + above)
