"""Configuration of the translator's networks: plain values that a model folder stores."""

from __future__ import annotations

from dataclasses import dataclass, field

from stylize_core.plain import check_names, check_range

MAX_SIZE, MAX_KERNEL, MAX_LAYERS = 1 << 16, 63, 32
"""Generous bounds, so that no network takes gigabytes."""

GENERATOR_NORMALIZATIONS = ("frame", "weight", "spectral", "none")
"""Normalizations of the generator: none over time, which would make block-wise output differ."""

NORMALIZATIONS = (*GENERATOR_NORMALIZATIONS, "group")
"""Normalizations of networks of fixed input length: `group` is over all channels and frames."""


def _check_normalization(owner: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{owner}.normalization is one of {', '.join(allowed)}; got {value!r}")


def _check_positive(owner: str, **values: int | tuple[int, ...]) -> None:
    for name, value in values.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if not numbers or min(numbers) < 1:
            raise ValueError(f"{owner}.{name} must be positive, got {value}")
        if len(numbers) > MAX_LAYERS:
            raise ValueError(f"{owner}.{name} has {len(numbers)} entries, expected at most {MAX_LAYERS}")
        check_range(1, MAX_SIZE, **{f"{owner}.{name}": numbers})


def _check_odd(owner: str, **values: int) -> None:
    for name, value in values.items():
        if value < 1 or value % 2 == 0:
            raise ValueError(f"{owner}.{name} must be odd, to see as far ahead as back; got {value}")
        check_range(1, MAX_KERNEL, **{f"{owner}.{name}": value})


@dataclass(frozen=True)
class GeneratorConfig:
    """The 1-D U-Net that rewrites a mel spectrogram.

    Args:
        widths: channels at full, half, quarter, ... frame rate.
        dilations: dilations of the residual blocks at the lowest rate.
        edge_kernel: taps of the first and the last convolution, odd.
        down_kernel: taps of each convolution that halves the rate, even.
        up_kernel: taps of the convolution after each doubling of the rate, odd.
        block_kernel: taps of the dilated convolution of a residual block, odd.
        normalization: `frame` (layer norm over the channels of one frame), `weight`, `spectral` or `none`;
            the last convolution of a residual path has neither weight nor spectral norm.
        residual_output: add the input to the output.
    """

    widths: tuple[int, ...] = (256, 384, 384)
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    edge_kernel: int = 7
    down_kernel: int = 4
    up_kernel: int = 5
    block_kernel: int = 3
    normalization: str = "frame"
    residual_output: bool = True

    def __post_init__(self) -> None:
        _check_positive("generator", widths=self.widths, dilations=self.dilations)
        odd = {"edge_kernel": self.edge_kernel, "up_kernel": self.up_kernel, "block_kernel": self.block_kernel}
        _check_odd("generator", **odd)
        if self.down_kernel < 2 or self.down_kernel % 2:
            raise ValueError(f"generator.down_kernel must be even and at least 2, got {self.down_kernel}")
        check_range(2, MAX_KERNEL + 1, **{"generator.down_kernel": self.down_kernel})
        check_range(1, 12, **{"the number of generator.widths": len(self.widths)})
        check_range(1, 256, **{"generator.dilations": self.dilations})
        _check_normalization("generator", self.normalization, GENERATOR_NORMALIZATIONS)

    @property
    def frame_multiple(self) -> int:
        """Frames that make one column at the lowest rate; block starts must be multiples of it."""
        return int(2 ** (len(self.widths) - 1))


@dataclass(frozen=True, kw_only=True)
class StridedConfig:
    """A stack of strided convolutions over time.

    Args:
        widths: channels after the first convolution and after each strided one.
        first_kernel: taps of the first convolution, odd.
        kernel: taps of each strided convolution, odd.
        stride: stride of these convolutions.
        normalization: `group` (learns fastest), `frame`, `weight`, `spectral` or `none`.
    """

    widths: tuple[int, ...]
    first_kernel: int
    kernel: int = 5
    stride: int = 2
    normalization: str = "group"

    def __post_init__(self) -> None:
        owner = type(self).__name__.removesuffix("Config").lower()
        _check_positive(owner, widths=self.widths, stride=self.stride)
        _check_odd(owner, first_kernel=self.first_kernel, kernel=self.kernel)
        if self.kernel < self.stride:
            raise ValueError(
                f"{owner}.kernel must be at least as long as the stride, or frames are skipped; "
                f"got kernel {self.kernel} and stride {self.stride}"
            )
        _check_normalization(owner, self.normalization, NORMALIZATIONS)

    @property
    def min_frames(self) -> int:
        """Smallest number of input frames."""
        return int(self.stride ** (len(self.widths) - 1))


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig(StridedConfig):
    """Scale discriminators of the same architecture.

    Args:
        widths, first_kernel, kernel, stride, normalization: see :class:`StridedConfig`.
        scales: number of frames averaged into one, for each of them.
    """

    widths: tuple[int, ...] = (256, 384, 512, 512)
    first_kernel: int = 7
    scales: tuple[int, ...] = (1, 2, 4)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_positive("discriminator", scales=self.scales)

    @property
    def min_frames(self) -> int:
        """Smallest number of input frames, at the coarsest scale."""
        return max(self.scales) * super().min_frames


@dataclass(frozen=True, kw_only=True)
class SiameseConfig(StridedConfig):
    """The network that embeds songs in a content space and in a style space.

    Args:
        widths, first_kernel, kernel, stride, normalization: see :class:`StridedConfig`.
        content_bins: parts of the segment, in time, in the content vector.
        content_size: components of the content vector.
        style_size: components of a style embedding, a prototype and the generator's style vector.
        style_hidden: width of the hidden layer of the style head.
        band_mean_subtraction: part of each band's mean over time that is subtracted first, in [0, 1].
    """

    widths: tuple[int, ...] = (192, 256, 256, 256)
    first_kernel: int = 5
    content_bins: int = 4
    content_size: int = 128
    style_size: int = 64
    style_hidden: int = 256
    band_mean_subtraction: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.band_mean_subtraction <= 1:
            raise ValueError(f"siamese.band_mean_subtraction must be in [0, 1], got {self.band_mean_subtraction}")
        sizes = ("content_bins", "content_size", "style_size", "style_hidden")
        _check_positive("siamese", **{name: getattr(self, name) for name in sizes})


@dataclass(frozen=True)
class TranslatorConfig:
    """Configuration of a translator, beside its mel front-end.

    Args:
        styles: names of the styles, in the order of their indices.
        segment_frames: frames of a training segment; a longer style reference is averaged over windows.
        generator: the U-Net.
        siamese: the network of the style space.
    """

    styles: tuple[str, ...]
    segment_frames: int = 128
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    siamese: SiameseConfig = field(default_factory=SiameseConfig)

    def __post_init__(self) -> None:
        if len(self.styles) < 2 or len(set(self.styles)) != len(self.styles):
            raise ValueError(f"a translator needs two styles or more, each named once; got {list(self.styles)}")
        check_names("style", self.styles)
        _check_positive("translator", segment_frames=self.segment_frames)
