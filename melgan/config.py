"""Configuration of the vocoder's networks: plain values that a model folder stores."""

from __future__ import annotations

import math
from dataclasses import dataclass

from data.plain import check_range

LAST_FACTORS = {"waveform": None, "istft": "istft_hop_length", "carriers": "istft_hop_length", "subbands": "subbands"}
"""What a generator can end in, and what that multiplies the rate by after the upsampling stages."""


@dataclass(frozen=True)
class GeneratorConfig:
    """A member of the MelGAN generator family; the defaults are the paper's.

    Args:
        n_mels: mel bands of the input.
        hop_length: samples in one frame; the upsampling ratios (times the inverse STFT's hop or the number of
            sub-bands) must multiply to it.
        width: channels after the first convolution; every upsampling stage halves them.
        ratios: upsampling factors, first to last.
        frame_layers: residual layers before the first upsampling stage, at the frame rate, where they are cheap.
        residual_layers: residual layers in each stage, with dilations 1, 3, 9, ...
        head: `waveform` ends in samples (the paper); `istft` ends in the frames of a short inverse STFT;
            `carriers` in those of an inverse STFT that turns and scales :class:`melgan.carriers.Carriers`;
            `subbands` in sub-bands that :class:`melgan.filter_bank.FilterBank` adds up (Multi-band MelGAN).
        istft_n_fft: length of the inverse transform, samples (heads `istft` and `carriers`).
        istft_hop_length: its hop, samples (heads `istft` and `carriers`).
        subbands: how many, an even number (head `subbands`).
        carrier_lowest: lowest line of the bank of oscillators, Hz (head `carriers`, as all that begin so).
        carrier_hz: least distance between two lines, Hz.
        carrier_cents: least distance between two lines, hundredths of a semitone.
        carrier_sharpness: how much a line whose tone fits the mel better outweighs those beside it.
        carrier_wander: how fast the phases of high lines wander, relative to the distance of lines; 0 for pure tones.
        carrier_wander_hz: from here on lines wander, and from twice as high fully, Hz.
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
    head: str = "waveform"
    istft_n_fft: int = 128
    istft_hop_length: int = 32
    subbands: int = 4
    carrier_lowest: float = 25.0
    carrier_hz: float = 1.0
    carrier_cents: float = 12.0
    carrier_sharpness: float = 40.0
    carrier_wander: float = 0.0
    carrier_wander_hz: float = 1500.0
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
        if self.head not in LAST_FACTORS:
            raise ValueError(f"head must be one of {', '.join(LAST_FACTORS)}, got {self.head!r}")
        if self.head == "carriers" and self.ratios:
            raise ValueError(
                f"ratios must be [] for the carriers, which work at the frame rate, got {list(self.ratios)}"
            )
        if self.head == "subbands" and (self.subbands < 2 or self.subbands % 2):
            raise ValueError(f"subbands must be even and at least 2, got {self.subbands}")
        if self.carrier_wander < 0 or self.carrier_wander_hz <= 0:
            raise ValueError(
                "carrier_wander must be at least 0 and carrier_wander_hz positive, "
                f"got {self.carrier_wander} and {self.carrier_wander_hz}"
            )
        samples, factors = math.prod(self.ratios), f"ratios {list(self.ratios)}"
        last_factor = LAST_FACTORS[self.head]
        if last_factor is not None:
            samples *= getattr(self, last_factor)
            factors += f" x {last_factor} {getattr(self, last_factor)}"
        if samples != self.hop_length:
            raise ValueError(f"{factors} make {samples} samples a frame; hop_length is {self.hop_length}")
        if self.width % 2 ** len(self.ratios):
            raise ValueError(f"width {self.width} cannot be halved {len(self.ratios)} times")
        if last_factor == "istft_hop_length" and self.istft_n_fft % (2 * self.istft_hop_length):
            raise ValueError(
                f"istft_n_fft {self.istft_n_fft} must be a multiple of twice istft_hop_length {self.istft_hop_length}"
            )

    def _check_ranges(self) -> None:
        """Bounds of what a network of this family is built and run with, generous, so that none takes gigabytes."""
        if len(self.ratios) > 8 or len(self.low_bands) > 8:
            raise ValueError("ratios and low_bands have at most 8 entries")
        check_range(1, 512, n_mels=self.n_mels)
        check_range(1, 1 << 15, hop_length=self.hop_length)
        check_range(1, 1 << 13, width=self.width)
        check_range(1, 64, ratios=self.ratios)
        check_range(0, 64, frame_layers=self.frame_layers, subbands=self.subbands)
        check_range(0, 8, residual_layers=self.residual_layers)
        check_range(1, 1 << 12, istft_n_fft=self.istft_n_fft, istft_hop_length=self.istft_hop_length)
        check_range(1, 1e5, carrier_lowest=self.carrier_lowest, carrier_wander_hz=self.carrier_wander_hz)
        check_range(0.1, 1e4, carrier_hz=self.carrier_hz)
        check_range(1, 1200, carrier_cents=self.carrier_cents)
        check_range(0, 1e4, carrier_sharpness=self.carrier_sharpness)
        check_range(0, 100, carrier_wander=self.carrier_wander)
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
