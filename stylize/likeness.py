"""How much one piece of music is like another, by measures that nothing here optimises: style, timbre, content.

Style is what a genre classifier hears, which was trained apart from every network that makes music; timbre is
statistics of MFCCs, which need no training at all; content is harmony and rhythm over time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor

from data.audio import AudioReader, read_audio
from data.downmix import downmix
from data.errors import UserError
from data.mel import LogMel
from training.genre import GenreClassifier
from training.measures import chroma_cosine, onset_correlation

BUNDLED_CLASSIFIER = Path(__file__).parent / "models" / "classifier"

MEASURE_RATE = 22050
"""Timbre and content are measured at this rate, Hz."""
WINDOW_FRAMES = 256
"""Mel frames that the classifier hears at a time."""
MFCC_COUNT = 20
LEAST_SECONDS = 0.1
"""Shorter sounds have no frames to measure."""


@dataclass(frozen=True)
class Sound:
    """A waveform with its rate.

    Args:
        wav: (samples,) or (channels, samples), in about [-1, 1].
        sample_rate: Hz.

    Raises:
        ValueError: another shape, fewer than `LEAST_SECONDS`, values that are not finite, an impossible rate.
    """

    wav: np.ndarray
    sample_rate: int

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or self.wav.ndim not in (1, 2):
            raise ValueError(
                f"got samples of shape {self.wav.shape} at {self.sample_rate} Hz, expected (samples,) or "
                "(channels, samples) at a positive rate"
            )
        if self.wav.size == 0 or self.seconds < LEAST_SECONDS:
            raise ValueError(f"got {self.seconds:.3f} s of sound, expected at least {LEAST_SECONDS:g} s")
        if not np.isfinite(self.wav).all():
            raise ValueError("got samples that are NaN or infinite, expected finite ones")

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.wav.shape[-1] / self.sample_rate

    @classmethod
    def read(cls, path: str | Path, seconds: float | None = None) -> Sound:
        """A file as mono at its own rate, from its start.

        Args:
            path: the file.
            seconds: at most so much of it; None for all.

        Raises:
            UserError: as :func:`data.audio.read_audio`, and for a file of less than `LEAST_SECONDS`.
        """
        if seconds is None:
            wav, rate = read_audio(path)
        else:
            with AudioReader(path, mono=True) as reader:
                rate = reader.sample_rate
                wav = reader.read(max(1, round(seconds * rate)))
        if wav.shape[1] < LEAST_SECONDS * rate:
            raise UserError(f"{path} is {wav.shape[1] / rate:.3f} s long; expected at least {LEAST_SECONDS:g} s")
        return cls(wav[0], rate)

    def at(self, sample_rate: int) -> np.ndarray:
        """The mean of the channels at another rate, (samples,), float32."""
        mono = np.asarray(self.wav if self.wav.ndim == 1 else downmix(self.wav, self.sample_rate), dtype=np.float32)
        if sample_rate == self.sample_rate:
            return mono
        return soxr.resample(mono, self.sample_rate, sample_rate).astype(np.float32)


class Likeness:
    """What a genre classifier hears in sounds.

    Args:
        classifier: trained apart from what it is to judge.
    """

    def __init__(self, classifier: GenreClassifier) -> None:
        self.classifier = classifier.eval()
        self.log_mel = LogMel(classifier.mel_config)

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None) -> Likeness:
        """Load a classifier's folder, by default the bundled one.

        Raises:
            UserError: the folder is missing, damaged, or holds something else.
        """
        return cls(GenreClassifier.from_pretrained(BUNDLED_CLASSIFIER if folder is None else folder))

    @torch.inference_mode()
    def embedding(self, sound: Sound) -> Tensor:
        """What the classifier makes of a sound, the mean over windows of about 3 s that cover all of it.

        Shape: (embedding_size,).
        """
        return self.classifier.embed(self._windows(sound)).float().mean(dim=0)

    def style_similarity(self, sound: Sound, style: Sound) -> float:
        """Cosine of two embeddings: 1 for the same style.

        With a classifier of ten genres, unheard songs of a rendered corpus had 0.95 within a genre and 0.06 between
        genres in the mean. Two recordings seldom come to these ends: compare with the similarity of the untouched
        content to the style.
        """
        return float(torch.cosine_similarity(self.embedding(sound), self.embedding(style), dim=0))

    @torch.inference_mode()
    def genre_probabilities(self, sound: Sound) -> dict[str, float]:
        """The probability of each genre that the classifier knows, the mean over the windows; they add up to 1."""
        probabilities = self.classifier(self._windows(sound)).softmax(dim=1).mean(dim=0)
        return dict(zip(self.classifier.genres, probabilities.tolist(), strict=True))

    def _windows(self, sound: Sound) -> Tensor:
        """Log-mels of windows, the last one aligned with the end, (windows, n_mels, frames)."""
        mel = self.log_mel(torch.from_numpy(sound.at(self.classifier.mel_config.sample_rate))[None])[0]
        frames = mel.shape[1]
        length = min(WINDOW_FRAMES, frames)
        return torch.stack([mel[:, start : start + length] for start in window_starts(frames, length)])


def window_starts(frames: int, length: int) -> Sequence[int]:
    """Where windows begin: one after the other, and a last one that ends where the sound does."""
    starts = list(range(0, frames - length + 1, length))
    return starts if starts[-1] == frames - length else [*starts, frames - length]


def timbre_distance(sound: Sound, style: Sound) -> float:
    """Root mean square difference of the means and standard deviations over time of 20 MFCCs.

    The zeroth coefficient, which is loudness, is left out, so that a gain changes nothing.
    """
    difference = timbre_statistics(sound) - timbre_statistics(style)
    return float(np.sqrt(np.mean(difference**2)))


def timbre_statistics(sound: Sound) -> np.ndarray:
    """Means, then standard deviations over time, of the first 20 MFCCs after the zeroth, (40,)."""
    from librosa.feature import mfcc  # librosa takes a second to import, most callers do without

    coefficients = mfcc(y=sound.at(MEASURE_RATE), sr=MEASURE_RATE, n_mfcc=MFCC_COUNT + 1)[1:]
    return np.concatenate([coefficients.mean(axis=1), coefficients.std(axis=1)])


def harmony_similarity(sound: Sound, content: Sound) -> float:
    """Chroma cosine on what both are long, see :func:`training.measures.chroma_cosine`."""
    return chroma_cosine(*_common(sound, content), sample_rate=MEASURE_RATE)


def rhythm_similarity(sound: Sound, content: Sound) -> float:
    """Correlation of onset strengths on what both are long, see :func:`training.measures.onset_correlation`."""
    return onset_correlation(*_common(sound, content), sample_rate=MEASURE_RATE)


def _common(sound: Sound, content: Sound) -> tuple[np.ndarray, np.ndarray]:
    """Both at the rate of the measures, cut to the shorter one."""
    wavs = sound.at(MEASURE_RATE), content.at(MEASURE_RATE)
    length = min(map(len, wavs))
    return wavs[0][:length], wavs[1][:length]
