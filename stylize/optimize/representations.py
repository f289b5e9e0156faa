"""Sound as a spectrogram that can be optimized, and back: log-mel, log magnitude, constant-Q.

A spectrogram is (1, rows, frames), float32, frequency from low to high; values are at least 0, and 0 is silence.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from melgan import Vocoder
from stylize.models import BUNDLED_VOCODER
from stylize.optimize.griffin_lim import GriffinLimConfig, KnownStart, PhaseSpace, join, recover_waveform
from stylize.optimize.options import check_representation
from stylize.silence import find_silent_frames, silence_gain
from stylize_core.errors import UserError
from stylize_core.mel import MEL_PRESETS, GriffinLim, LogMel, MelConfig, ShortTimeTransform

__all__ = ["ConstantQ", "LogMagnitude", "LogMelSpectrogram", "Representation", "UnitScale", "make_representation"]


class Representation(ABC):
    """A transform of sound to a spectrogram and back."""

    sample_rate: int = 22050
    hop_length: int
    rows: int
    device: torch.device  # of the spectrograms

    @property
    @abstractmethod
    def context_samples(self) -> int:
        """Samples on either side of a sample in which its encoding can be seen."""

    def frames(self, length: int) -> int:
        """Columns of the spectrogram of so many samples: one for every hop, and the first."""
        return 1 + length // self.hop_length

    @torch.no_grad()
    def encode(self, wav: Tensor) -> Tensor:
        """The spectrogram of a signal, padded with silence to full frames.

        Shape:
            (samples,) in [-1, 1], one sample or more -> (1, rows, frames(samples)), on :attr:`device`.
        """
        if wav.ndim != 1 or not len(wav):
            raise ValueError(f"expected a signal (samples,), got {tuple(wav.shape)}")
        return self._encode(wav.float().to(self.device))[None]

    @torch.no_grad()
    def decode(self, spectrogram: Tensor, length: int, start_wav: Tensor | None = None, first_frame: int = 0) -> Tensor:
        """The signal of a spectrogram; the same arguments give the same signal.

        Args:
            spectrogram: values below 0 count as 0.
            length: samples to give, at most frames * hop_length.
            start_wav: known beginning of the signal. Griffin-Lim continues its phases; the vocoder makes its own,
                and its signal is only faded in.
            first_frame: number of the first frame in its recording; the vocoder's oscillators continue from there.

        Shape:
            (1, rows, frames) -> (length,), on the CPU.
        """
        if spectrogram.ndim != 3 or spectrogram.shape[:2] != (1, self.rows):
            raise ValueError(f"expected a spectrogram (1, {self.rows}, frames), got {tuple(spectrogram.shape)}")
        longest = spectrogram.shape[2] * self.hop_length
        if not 0 < length <= longest:
            frames = spectrogram.shape[2]
            raise ValueError(f"got a length of {length} samples for {frames} frames, expected 1 to {longest}")
        known = None if start_wav is None else start_wav[:length].detach().float()
        here = None if known is None or not len(known) else known.to(self.device)
        positive = spectrogram[0].detach().float().to(self.device).clamp(min=0.0)
        wav = self._decode(positive, length, here, first_frame).float().cpu()
        return wav if known is None else join(known.cpu(), wav)

    @abstractmethod
    def _encode(self, wav: Tensor) -> Tensor:
        """(samples,) -> (rows, frames)."""

    @abstractmethod
    def _decode(self, spectrogram: Tensor, length: int, known: Tensor | None, first_frame: int) -> Tensor:
        """(rows, frames) -> (length,)."""


class _ShortTimeRepresentation(Representation):
    """What rests on a short-time Fourier transform."""

    def __init__(
        self, config: MelConfig, margin: int, device: torch.device | str, griffin_lim: GriffinLimConfig
    ) -> None:
        self.device = torch.device(device)
        self.sample_rate, self.hop_length = config.sample_rate, config.hop_length
        self._config, self._margin, self._griffin_lim = config, margin, griffin_lim
        self._transform = ShortTimeTransform(config).to(self.device)

    @property
    def context_samples(self) -> int:
        """Half a transform, and the rest of a full frame."""
        return self._config.n_fft // 2 + self.hop_length

    def _recover(self, magnitude: Tensor, length: int, known: Tensor | None) -> Tensor:
        """(bins, frames) -> (length,)."""
        config, transform = self._config, self._transform
        space = PhaseSpace(
            analyze=lambda wav: transform.analyze(wav[None])[0],
            synthesize=lambda spectrum: transform.synthesize(spectrum[None])[0],
            hop_length=config.hop_length,
            first_center=config.n_fft // 2,
            reach=config.win_length // 2,
            frequencies=np.arange(len(magnitude)) / config.n_fft,
            neighbor_phase=math.pi,  # frames begin half a transform before their center
        )
        start = None if known is None else KnownStart(known, self._margin)
        wav = recover_waveform(magnitude, space, self._griffin_lim, start)
        return wav[self._margin : self._margin + length]


class LogMagnitude(_ShortTimeRepresentation):
    """log(1 + |short-time Fourier transform|), natural, Hann windows of 2048 samples, hop 512; frames are centered.

    Beyond its ends the signal is zero, as in librosa. The inverse is Griffin-Lim.
    """

    def __init__(self, device: torch.device | str = "cpu", griffin_lim: GriffinLimConfig | None = None) -> None:
        config = MelConfig(n_fft=2048, win_length=2048, hop_length=512)  # its mel bands are not used
        super().__init__(config, config.n_fft // 2, device, griffin_lim or GriffinLimConfig())
        self.rows = config.n_fft // 2 + 1

    def _encode(self, wav: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(wav, (self._margin, self._margin))
        return torch.log1p(self._transform.analyze(padded[None])[0].abs())

    def _decode(self, spectrogram: Tensor, length: int, known: Tensor | None, first_frame: int) -> Tensor:
        return self._recover(torch.expm1(spectrogram), length, known)


class LogMelSpectrogram(_ShortTimeRepresentation):
    """The project's log10 mel spectrogram above its floor; 1 is 20 dB.

    Without a vocoder the inverse is Griffin-Lim on magnitudes estimated from the mel bands.
    """

    def __init__(
        self,
        vocoder: Vocoder | None = None,
        device: torch.device | str = "cpu",
        griffin_lim: GriffinLimConfig | None = None,
    ) -> None:
        config = MEL_PRESETS["music"]
        super().__init__(config, config.context, device, griffin_lim or GriffinLimConfig())
        if vocoder is not None and (difference := config.describe_difference(vocoder.mel_config)):
            raise UserError(f"the vocoder has another mel front-end (wanted / its): {difference}")
        self.rows = config.n_mels
        self._log_mel = LogMel(config).to(self.device)
        self._vocoder = None if vocoder is None else vocoder.to(self.device)
        self._estimate = GriffinLim(config).to(self.device)

    def frames(self, length: int) -> int:
        """Whole frames; at least the four that the vocoder needs."""
        return max(4, -(-length // self.hop_length))

    def _encode(self, wav: Tensor) -> Tensor:
        missing = self.frames(len(wav)) * self.hop_length - len(wav)
        mel: Tensor = self._log_mel(torch.nn.functional.pad(wav, (0, missing))[None])[0]
        return (mel - self._config.log_floor).clamp(min=0.0)

    def _decode(self, spectrogram: Tensor, length: int, known: Tensor | None, first_frame: int) -> Tensor:
        log_mel = (spectrogram + self._config.log_floor)[None]
        if self._vocoder is None:
            return self._recover(self._estimate.magnitudes(log_mel)[0], length, known)
        missing = max(0, 4 - spectrogram.shape[1])
        log_mel = torch.nn.functional.pad(log_mel, (0, missing), value=self._config.log_floor)
        wav: Tensor = self._vocoder(log_mel, first_frame)[0, 0]
        silent = find_silent_frames(log_mel, self._config)
        if silent.any():
            wav = wav * silence_gain(silent, self._config)[0]
        return wav[:length]


class ConstantQ(Representation):
    """log(1 + scale * |constant-Q transform|), natural, as librosa computes it, on the CPU.

    24 bins in each of eight octaves from C1 (32.7 Hz). The highest bins see less than a millisecond, so the hop is as
    short as 128 samples: with 512 three quarters of the high frequencies would fall between the frames. The inverse is
    Griffin-Lim with librosa's transforms, about as slow as the music. At scale 10 a full tone has values from 4 to 6.5.
    """

    hop_length = 128
    rows = 192

    def __init__(
        self, scale: float = 10.0, device: torch.device | str = "cpu", griffin_lim: GriffinLimConfig | None = None
    ) -> None:
        import librosa  # takes a second, and the other representations do without

        self.device = torch.device(device)
        self._scale, self._griffin_lim = scale, griffin_lim or GriffinLimConfig(iterations=32)
        self._settings: dict[str, Any] = {
            "sr": self.sample_rate,
            "hop_length": self.hop_length,
            "fmin": float(librosa.note_to_hz("C1")),
            "bins_per_octave": 24,
        }
        self._frequencies = librosa.cqt_frequencies(
            n_bins=self.rows, fmin=self._settings["fmin"], bins_per_octave=self._settings["bins_per_octave"]
        )
        lengths, _ = librosa.filters.wavelet_lengths(freqs=self._frequencies, sr=self.sample_rate)
        self._reach: int = math.ceil(max(lengths) / 2)

    @property
    def context_samples(self) -> int:
        """Half of the longest filter."""
        return self._reach

    def _encode(self, wav: Tensor) -> Tensor:
        magnitude = np.abs(self._analyze(wav.cpu().numpy()))
        return torch.from_numpy(np.log1p(self._scale * magnitude)).float().to(self.device)

    def _decode(self, spectrogram: Tensor, length: int, known: Tensor | None, first_frame: int) -> Tensor:
        samples = spectrogram.shape[1] * self.hop_length - 1  # as many as give these frames
        space = PhaseSpace(
            analyze=lambda wav: torch.from_numpy(self._analyze(wav.numpy())),
            synthesize=lambda spectrum: torch.from_numpy(self._synthesize(spectrum.numpy(), samples)),
            hop_length=self.hop_length,
            first_center=0,
            reach=self._reach,
            frequencies=self._frequencies / self.sample_rate,
            neighbor_phase=0.0,  # filters are centered on their frame
        )
        magnitude = (torch.expm1(spectrogram) / self._scale).cpu()
        start = None if known is None else KnownStart(known[:samples].cpu(), 0)
        wav = recover_waveform(magnitude, space, self._griffin_lim, start)
        return torch.nn.functional.pad(wav, (0, 1))[:length]

    def _analyze(self, wav: np.ndarray) -> np.ndarray:
        import librosa

        with warnings.catch_warnings():
            # The lowest octaves are analyzed at a low rate, where seconds are few samples.
            warnings.filterwarnings("ignore", message="n_fft=.* is too large")
            return librosa.cqt(wav, n_bins=self.rows, **self._settings)

    def _synthesize(self, spectrum: np.ndarray, samples: int) -> np.ndarray:
        import librosa

        return librosa.icqt(spectrum, length=samples, **self._settings)


def make_representation(
    name: str, *, inverse: str = "auto", vocoder: Path | None = None, device: torch.device | str = "cpu"
) -> Representation:
    """The representation of that name.

    Args:
        name: `mel`, `stft` or `cqt`.
        inverse: `vocoder` or `griffin-lim`; `auto` is the vocoder for mel and Griffin-Lim for the others.
        vocoder: a model folder in place of the bundled vocoder.
        device: of the spectrograms.
    """
    check_representation(name, inverse, vocoder)
    if name == "stft":
        return LogMagnitude(device)
    if name == "cqt":
        return ConstantQ(device=device)
    if inverse == "griffin-lim":
        return LogMelSpectrogram(None, device)
    return LogMelSpectrogram(Vocoder.from_pretrained(vocoder or BUNDLED_VOCODER), device)


@dataclass(frozen=True)
class UnitScale:
    """Scales to [0, 1] and back, so that different representations ask for the same steps and weights."""

    low: float  # the value that becomes 0
    high: float  # the value that becomes 1

    @classmethod
    def spanning(cls, *spectrograms: Tensor) -> UnitScale:
        """The scale from the smallest to the largest value of content and style together."""
        return cls(min(float(each.min()) for each in spectrograms), max(float(each.max()) for each in spectrograms))

    @property
    def extent(self) -> float:
        """How far apart the two values are; 1 where they are not."""
        return self.high - self.low if self.high > self.low else 1.0

    def apply(self, spectrogram: Tensor) -> Tensor:
        """To [0, 1]."""
        return (spectrogram - self.low) / self.extent

    def undo(self, spectrogram: Tensor) -> Tensor:
        """From [0, 1]; gradients pass."""
        return spectrogram * self.extent + self.low
