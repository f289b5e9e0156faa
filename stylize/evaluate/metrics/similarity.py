"""Similarity of two pieces of music in style, timbre, harmony and rhythm; nothing here is a training loss.

Style is what a genre classifier embeds, timbre is statistics of MFCCs, content is chroma and onsets over time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor

from stylize.evaluate.metrics.multipitch import RATE
from stylize_core.audio.downmix import downmix
from stylize_core.audio.reader import read_audio
from stylize_core.classifier import GenreClassifier
from stylize_core.errors import UserError
from stylize_core.mel import LogMel
from stylize_core.metrics.waveform import chroma_cosine, onset_correlation

BUNDLED_CLASSIFIER = Path(__file__).parents[2] / "models" / "classifier"

WINDOW_FRAMES = 256
"""Mel frames in a window of the classifier."""
MFCC_COUNT = 20
MIN_SECONDS = 0.1


@dataclass(frozen=True)
class Sound:
    """A finite waveform of at least `MIN_SECONDS`, (samples,) or (channels, samples), with its rate in Hz."""

    wav: np.ndarray
    sample_rate: int

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or self.wav.ndim not in (1, 2):
            raise ValueError(
                f"got samples of shape {self.wav.shape} at {self.sample_rate} Hz, expected (samples,) or "
                "(channels, samples) at a positive rate"
            )
        if self.wav.size == 0 or self.seconds < MIN_SECONDS:
            raise ValueError(f"got {self.seconds:.3f} s of sound, expected at least {MIN_SECONDS:g} s")
        if not np.isfinite(self.wav).all():
            raise ValueError("got samples that are NaN or infinite, expected finite ones")

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return float(self.wav.shape[-1] / self.sample_rate)

    @classmethod
    def read(cls, path: str | Path) -> Sound:
        """Read a file as mono at its own rate; raises UserError."""
        wav, rate = read_audio(path)
        if wav.shape[1] < MIN_SECONDS * rate:
            raise UserError(f"{path} is {wav.shape[1] / rate:.3f} s long; expected at least {MIN_SECONDS:g} s")
        return cls(wav[0], rate)

    def at(self, sample_rate: int) -> np.ndarray:
        """The mono downmix at another rate, (samples,), float32."""
        mono = np.asarray(self.wav if self.wav.ndim == 1 else downmix(self.wav, self.sample_rate), dtype=np.float32)
        if sample_rate == self.sample_rate:
            return mono
        return np.asarray(soxr.resample(mono, self.sample_rate, sample_rate), dtype=np.float32)


@dataclass(frozen=True)
class Prediction:
    """Probability of each genre, and the embedding."""

    probabilities: Mapping[str, float]
    embedding: np.ndarray

    @property
    def genre(self) -> str:
        """The most probable genre."""
        return max(self.probabilities, key=self.probabilities.__getitem__)


class StyleClassifier:
    """A genre classifier averaged over windows of about 3 s."""

    def __init__(self, classifier: GenreClassifier) -> None:
        self.classifier = classifier.eval()
        self.log_mel = LogMel(classifier.mel_config)

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None) -> StyleClassifier:
        """Load a classifier's folder, by default the bundled one."""
        return cls(GenreClassifier.from_pretrained(BUNDLED_CLASSIFIER if folder is None else folder))

    @property
    def genres(self) -> tuple[str, ...]:
        """Known genres."""
        return self.classifier.genres

    @torch.inference_mode()
    def embedding(self, sound: Sound) -> Tensor:
        """Mean embedding. Shape: (embedding_size,)."""
        return self.classifier.embed(self._windows(sound)).float().mean(dim=0)

    def style_similarity(self, sound: Sound, style: Sound) -> float:
        """Cosine of two embeddings, 1 for the same style; compare with that of the unchanged content."""
        return float(torch.cosine_similarity(self.embedding(sound), self.embedding(style), dim=0))

    @torch.inference_mode()
    def genre_probabilities(self, sound: Sound) -> dict[str, float]:
        """The mean probability of each genre; they add up to 1."""
        probabilities = self.classifier(self._windows(sound)).softmax(dim=1).mean(dim=0)
        return dict(zip(self.classifier.genres, probabilities.tolist(), strict=True))

    def predict(self, wav: np.ndarray, sample_rate: int = RATE) -> Prediction:
        """Probabilities and embedding of a waveform, (samples,)."""
        sound = Sound(wav, sample_rate)
        return Prediction(self.genre_probabilities(sound), self.embedding(sound).numpy())

    def _windows(self, sound: Sound) -> Tensor:
        """Log-mels of windows, the last one aligned with the end, (windows, n_mels, frames)."""
        mel = self.log_mel(torch.from_numpy(sound.at(self.classifier.mel_config.sample_rate))[None])[0]
        frames = mel.shape[1]
        length = min(WINDOW_FRAMES, frames)
        return torch.stack([mel[:, start : start + length] for start in window_starts(frames, length)])


def window_starts(frames: int, length: int) -> Sequence[int]:
    """Starts of adjacent windows, the last of which ends where the sound does."""
    starts = list(range(0, frames - length + 1, length))
    return starts if starts[-1] == frames - length else [*starts, frames - length]


def timbre_distance(sound: Sound, style: Sound) -> float:
    """Root mean square difference of :func:`timbre_statistics`; a gain changes nothing."""
    difference = timbre_statistics(sound) - timbre_statistics(style)
    return float(np.sqrt(np.mean(difference**2)))


def timbre_statistics(sound: Sound) -> np.ndarray:
    """Means, then standard deviations over time, of 20 MFCCs without the zeroth, which is loudness, (40,)."""
    from librosa.feature import mfcc  # librosa takes a second to import, most callers do without

    coefficients = mfcc(y=sound.at(RATE), sr=RATE, n_mfcc=MFCC_COUNT + 1)[1:]
    return np.concatenate([coefficients.mean(axis=1), coefficients.std(axis=1)])


def harmony_similarity(sound: Sound, content: Sound) -> float:
    """:func:`stylize_core.metrics.waveform.chroma_cosine` over their common length."""
    return chroma_cosine(*_common(sound, content), sample_rate=RATE)


def rhythm_similarity(sound: Sound, content: Sound) -> float:
    """:func:`stylize_core.metrics.waveform.onset_correlation` over their common length."""
    return onset_correlation(*_common(sound, content), sample_rate=RATE)


def _common(sound: Sound, content: Sound) -> tuple[np.ndarray, np.ndarray]:
    wavs = sound.at(RATE), content.at(RATE)
    length = min(map(len, wavs))
    return wavs[0][:length], wavs[1][:length]
