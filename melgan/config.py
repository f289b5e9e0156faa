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
    """The paper's last layer, which writes samples: :class:`melgan.heads.WaveformHead`."""

    kind: Literal["waveform"] = "waveform"

    def upsampling(self, hop_length: int) -> tuple[int, str]:
        """Samples that the head makes of one step of its input, and how to call the factor in an error."""
        return 1, ""


@dataclass(frozen=True)
class InverseSTFTHeadConfig:
    """The frames of a short inverse STFT (iSTFTNet): :class:`melgan.heads.InverseSTFTHead`.

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

    def upsampling(self, hop_length: int) -> tuple[int, str]:
        """See :meth:`WaveformHeadConfig.upsampling`."""
        return self.hop_length, f" x head.hop_length {self.hop_length}"


@dataclass(frozen=True)
class SubbandHeadConfig:
    """Sub-bands that a filter bank adds up (Multi-band MelGAN): :class:`melgan.heads.SubbandHead`.

    Args:
        subbands: how many, an even number.
    """

    kind: Literal["subbands"] = "subbands"
    subbands: int = 4

    def __post_init__(self) -> None:
        check_range(2, 64, subbands=self.subbands)
        if self.subbands % 2:
            raise ValueError(f"subbands must be even, got {self.subbands}")

    def upsampling(self, hop_length: int) -> tuple[int, str]:
        """See :meth:`WaveformHeadConfig.upsampling`."""
        return self.subbands, f" x head.subbands {self.subbands}"


@dataclass(frozen=True)
class OscillatorHeadConfig:
    """An inverse STFT that turns and scales :class:`melgan.oscillators.OscillatorBank`; it works at the frame rate.

    Args:
        n_fft: length of the inverse transform, samples.
        min_hz: lowest oscillator, Hz.
        spacing_hz: least distance between two oscillators, Hz.
        spacing_cents: least distance between two oscillators, hundredths of a semitone.
        sharpness: how much an oscillator whose tone fits the mel better outweighs its neighbors.
        drift: how fast the phases of high oscillators drift, relative to their distance; 0 for pure tones.
        drift_hz: from here on phases drift, and from twice as high fully, Hz.
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

    def upsampling(self, hop_length: int) -> tuple[int, str]:
        """See :meth:`WaveformHeadConfig.upsampling`."""
        _check_overlap(self.n_fft, hop_length)
        return hop_length, " x the hop"


HeadConfig = WaveformHeadConfig | InverseSTFTHeadConfig | SubbandHeadConfig | OscillatorHeadConfig


def _check_overlap(n_fft: int, hop_length: int) -> None:
    if n_fft % (2 * hop_length):
        raise ValueError(f"head.n_fft {n_fft} must be a multiple of twice its hop_length {hop_length}")


@dataclass(frozen=True)
class GeneratorConfig:
    """A member of the MelGAN generator family; the defaults are the paper's.

    Args:
        n_mels: mel bands of the input.
        hop_length: samples in one frame; the upsampling ratios and the head's factor must multiply to it.
        width: channels after the first convolution; every upsampling stage halves them.
        ratios: upsampling factors, first to last.
        frame_layers: residual layers before the first upsampling stage, at the frame rate, where they are cheap.
        residual_layers: residual layers in each upsampling stage, with dilations 1, 3, 9, ...
        head: what the network ends in.
        scale_input: map log10 mels from about [-5, 1] to [-1, 1] before the first layer. Weights published by
            the original repository were trained without.
        refine_iterations: iterations of :class:`melgan.refinement.MelRefinement` after the network at inference.
        low_bands: pairs of a factor and a number of iterations that come before those, on a low band alone whose sample
            rate is lower by the factor.
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
        factor, called = self.head.upsampling(self.hop_length)
        if (samples := math.prod(self.ratios) * factor) != self.hop_length:
            raise ValueError(
                f"ratios {list(self.ratios)}{called} make {samples} samples a frame; hop_length is {self.hop_length}"
            )
        if self.width % 2 ** len(self.ratios):
            raise ValueError(f"width {self.width} cannot be halved {len(self.ratios)} times")

    def _check_ranges(self) -> None:
        """Bounds of what a network of this family is built and run with, generous, so that none takes gigabytes."""
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
        scales: number of discriminators; each sees the waveform at half the rate of the one before.
        width: channels of the first layer.
        layers: strided layers in each discriminator.
        stride: of each strided layer.
        max_width: channels never grow beyond this.
    """

    scales: int = 3
    width: int = 16
    layers: int = 4
    stride: int = 4
    max_width: int = 1024

    def __post_init__(self) -> None:
        if self.width % 4:
            raise ValueError(f"width must be a multiple of 4 (the layers are grouped by fours), got {self.width}")
