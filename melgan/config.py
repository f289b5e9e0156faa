"""Configuration of the vocoder's networks: plain values that a model folder stores."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from stylize_core.plain import check_range

MAX_TRANSFORM = 1 << 12
"""Largest transform of a head, samples."""


@dataclass(frozen=True)
class WaveformHeadConfig:
    """The paper's last layer, which outputs samples: :class:`melgan.heads.WaveformHead`."""

    kind: Literal["waveform"] = "waveform"


@dataclass(frozen=True)
class InverseSTFTHeadConfig:
    """A short inverse STFT (iSTFTNet): :class:`melgan.heads.InverseSTFTHead`.

    Args:
        n_fft: length of the transform, samples.
        hop_length: its hop, samples.
    """

    kind: Literal["istft"] = "istft"
    n_fft: int = 128
    hop_length: int = 32

    def __post_init__(self) -> None:
        check_range(1, MAX_TRANSFORM, n_fft=self.n_fft, hop_length=self.hop_length)
        _check_overlap(self.n_fft, self.hop_length)


@dataclass(frozen=True)
class SubbandHeadConfig:
    """Sub-bands and a filter bank (Multi-band MelGAN): :class:`melgan.heads.SubbandHead`.

    Args:
        subbands: number of sub-bands, even.
    """

    kind: Literal["subbands"] = "subbands"
    subbands: int = 4

    def __post_init__(self) -> None:
        check_range(2, 64, subbands=self.subbands)
        if self.subbands % 2:
            raise ValueError(f"subbands must be even, got {self.subbands}")


@dataclass(frozen=True)
class OscillatorHeadConfig:
    """An oscillator bank and an inverse STFT, at the frame rate: :class:`melgan.heads.OscillatorHead`.

    Args:
        n_fft: length of the inverse transform, samples.
        min_hz: lowest oscillator, Hz.
        spacing_hz: least distance between two oscillators, Hz.
        spacing_cents: least distance between two oscillators, hundredths of a semitone.
        sharpness: weight of an oscillator's fit to the mel, relative to its neighbors.
        drift: rate of the phase drift of high oscillators, relative to their distance; 0 for pure tones.
        drift_hz: lowest frequency with phase drift, full from twice as high, Hz.
    """

    kind: Literal["oscillators"] = "oscillators"
    n_fft: int = 1024
    min_hz: float = 25.0
    spacing_hz: float = 1.0
    spacing_cents: float = 12.0
    sharpness: float = 40.0
    drift: float = 0.0
    drift_hz: float = 1500.0

    def __post_init__(self) -> None:
        check_range(1, MAX_TRANSFORM, n_fft=self.n_fft)
        check_range(1, 1e5, min_hz=self.min_hz, drift_hz=self.drift_hz)
        check_range(0.1, 1e4, spacing_hz=self.spacing_hz)
        check_range(1, 1200, spacing_cents=self.spacing_cents)
        check_range(0, 1e4, sharpness=self.sharpness)
        check_range(0, 100, drift=self.drift)


HeadConfig = WaveformHeadConfig | InverseSTFTHeadConfig | SubbandHeadConfig | OscillatorHeadConfig


def _head_factor(head: HeadConfig, hop_length: int) -> tuple[int, str]:
    """Samples per step of the head's input, and the name of this factor in errors."""
    match head:
        case InverseSTFTHeadConfig():
            return head.hop_length, f" x head.hop_length {head.hop_length}"
        case SubbandHeadConfig():
            return head.subbands, f" x head.subbands {head.subbands}"
        case OscillatorHeadConfig():
            _check_overlap(head.n_fft, hop_length)
            return hop_length, " x the hop"
    return 1, ""


def _check_overlap(n_fft: int, hop_length: int) -> None:
    if n_fft % (2 * hop_length):
        raise ValueError(f"head.n_fft {n_fft} must be a multiple of twice its hop_length {hop_length}")


@dataclass(frozen=True)
class GeneratorConfig:
    """A member of the MelGAN generator family; the defaults are the paper's.

    Args:
        n_mels: mel bands of the input.
        hop_length: samples in one frame, the product of the upsampling ratios and the head's factor.
        width: channels after the first convolution; every upsampling stage halves them.
        ratios: upsampling factors, first to last.
        frame_layers: residual layers at the frame rate, before the first upsampling stage.
        residual_layers: residual layers in each upsampling stage, with dilations 1, 3, 9, ...
        head: the output head.
        scale_input: map log10 mels from about [-5, 1] to [-1, 1] before the first layer; False for weights published
            by the original repository.
        refine_iterations: iterations of :class:`melgan.refinement.MelRefinement` after the network at inference.
        low_bands: pairs of a divisor of the sample rate and a number of iterations, which come first, on a low band.
    """

    n_mels: int = 80
    hop_length: int = 256
    width: int = 512
    ratios: tuple[int, ...] = (8, 8, 2, 2)
    frame_layers: int = 0
    residual_layers: int = 3
    head: HeadConfig = field(default_factory=WaveformHeadConfig)
    scale_input: bool = False
    refine_iterations: int = 0
    low_bands: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        self._check_ranges()
        if any(len(pair) != 2 or pair[0] < 2 or pair[1] < 1 for pair in self.low_bands):
            raise ValueError(
                "low_bands must be pairs of a factor, at least 2, and iterations, at least 1; "
                f"got {[list(pair) for pair in self.low_bands]}"
            )
        if self.low_bands and not self.refine_iterations:
            raise ValueError("low_bands need refine_iterations of at least 1, which join them to the rest; got 0")
        if self.residual_layers and not self.ratios:
            raise ValueError(f"residual_layers must be 0 without ratios, got {self.residual_layers}")
        if isinstance(self.head, OscillatorHeadConfig) and self.ratios:
            raise ValueError(f"ratios must be [] for the head oscillators, got {list(self.ratios)}")
        factor, called = _head_factor(self.head, self.hop_length)
        if (samples := math.prod(self.ratios) * factor) != self.hop_length:
            raise ValueError(
                f"ratios {list(self.ratios)}{called} make {samples} samples a frame; hop_length is {self.hop_length}"
            )
        if self.width % 2 ** len(self.ratios):
            raise ValueError(f"width {self.width} cannot be halved {len(self.ratios)} times")

    def _check_ranges(self) -> None:
        """Generous bounds, so that no network takes gigabytes."""
        if len(self.ratios) > 8 or len(self.low_bands) > 8:
            raise ValueError("ratios and low_bands have at most 8 entries")
        check_range(1, 512, n_mels=self.n_mels)
        check_range(1, 1 << 15, hop_length=self.hop_length)
        check_range(1, 1 << 13, width=self.width)
        check_range(1, 64, ratios=self.ratios)
        check_range(0, 64, frame_layers=self.frame_layers)
        check_range(0, 8, residual_layers=self.residual_layers)
        iterations = {f"low_bands {index}": pair for index, pair in enumerate(self.low_bands)}
        check_range(0, 1000, refine_iterations=self.refine_iterations, **iterations)

    @property
    def frame_dilations(self) -> tuple[int, ...]:
        """Dilations of the residual layers at the frame rate: 1, 3, 9, and again."""
        return tuple(3 ** (layer % 3) for layer in range(self.frame_layers))


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The paper's multi-scale discriminators.

    Args:
        scales: number of discriminators, each at half the sample rate of the one before.
        width: channels of the first layer.
        layers: strided layers in each discriminator.
        stride: stride of these layers.
        max_width: upper limit of the channels.
    """

    scales: int = 3
    width: int = 16
    layers: int = 4
    stride: int = 4
    max_width: int = 1024

    def __post_init__(self) -> None:
        if self.width % 4:
            raise ValueError(f"width must be a multiple of 4 (the layers are grouped by fours), got {self.width}")
