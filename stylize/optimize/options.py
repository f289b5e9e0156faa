"""The options of `stylize optimize`: names, defaults, checks and help, known without loading PyTorch."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass
from pathlib import Path

from stylize.models import check_device_name
from stylize.options import POSITIVE, WEIGHT, Check, check_choice, check_options, one_of, option
from stylize.request import target_loudness
from stylize_core.errors import UserError

REPRESENTATIONS = ("mel", "stft", "cqt")
INVERSES = ("auto", "vocoder", "griffin-lim")
LAYOUTS = ("frequency", "time", "2d")
NETWORKS = ("random", "autoencoder", "siamese", "vgg19")
MEL_NETWORKS = ("autoencoder", "siamese")
"""Networks that were trained on log-mel columns and know nothing else."""
INITS = ("content", "uniform", "normal", "truncated-normal")
RANDOM_OPTIONS = ("layers", "width", "kernel", "pool", "batchnorm")
"""Options of the random network and no other."""
OPTIMIZERS = ("lbfgs", "adam")
WANDB_MODES = ("off", "offline", "online")

MIN_BLOCK_SECONDS = 2.0
MIN_IMAGE_SIZE = 16
MAX_INIT_DISTANCE = 6.0
"""Standard deviations that the bounds of a truncated normal distribution may lie from its mean."""

_ABOVE_0 = Check(lambda rate: 0 < rate < math.inf, "a number above 0")
_FINITE = Check(math.isfinite, "a number")

SOUND, NETWORK, LOSS, INIT, OPTIMIZER, MORE = (
    "Sound and pictures",
    "Network",
    "Loss",
    "Init",
    "Optimizer",
    "More files, and the machine",
)
"""Groups of the help, below the ten options that matter most."""


@dataclass(frozen=True)
class OptimizeOptions:
    """All options of an optimization, which their help describes.

    Args:
        content: a recording or a picture (PNG, JPEG), whose content and length the result has.
        style: another of the same kind.
    """

    content: Path = option(MISSING, "A recording or a picture.")
    style: Path = option(MISSING, "Another one, in the wanted style.")
    output: Path | None = option(None, "Default: CONTENT.like-STYLE.wav (or .png).", flags=("-o", "--output"))
    force: bool = option(False, "Overwrite existing files.")
    iterations: int = option(200, "For each block and channel.", check=POSITIVE)
    content_weight: float = option(0.003, "0: texture synthesis.", check=WEIGHT)
    style_weight: float = option(1.0, "Of the Gram matrices.", check=WEIGHT)
    network: str | None = option(None, f"{one_of((*NETWORKS, 'a folder'))}.")
    representation: str = option("mel", "Of sound.", choices=REPRESENTATIONS)
    init: str = option("content", f"{one_of((*INITS, 'a file'))}.")
    seed: int = option(
        0,
        "Of random networks and noise.",
        check=Check(lambda seed: 0 <= seed < 2**63, "a whole number from 0 to 2^63 - 1"),
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:N or mps.")

    inverse: str = option("auto", "Back to sound.", SOUND, choices=INVERSES)
    vocoder: Path | None = option(None, "Model folder; default: the bundled one.", SOUND)
    loudness: str = option("song", "song (as loud as CONTENT), off, or LUFS such as -14.", SOUND)
    block_seconds: float = option(
        30.0,
        "Longer sound is cut into blocks.",
        SOUND,
        check=Check(lambda length: MIN_BLOCK_SECONDS <= length < math.inf, f"at least {MIN_BLOCK_SECONDS:g}"),
    )
    overlap_seconds: float = option(2.0, "Shared by neighboring blocks.", SOUND, check=_ABOVE_0)
    unit_scale: bool = option(False, "Scale sound to [0, 1] by the extremes of both; always with vgg19.", SOUND)
    image_size: int = option(
        512,
        "Longest side of a picture, pixels.",
        SOUND,
        check=Check(lambda size: size >= MIN_IMAGE_SIZE, f"at least {MIN_IMAGE_SIZE} pixels"),
    )

    layout: str | None = option(
        None, f"Channels: {one_of(LAYOUTS)}. Default: frequency; 2d for pictures and vgg19.", NETWORK
    )
    weights: Path | None = option(None, "File of vgg19; default: in torch hub's cache.", NETWORK)
    model: Path | None = option(
        None, "Folder of siamese (a translator) or autoencoder; default: the bundled one.", NETWORK
    )
    layers: int = option(1, "Blocks of the random network.", NETWORK, check=POSITIVE)
    width: int | None = option(None, "Its channels; default: 2048, in 2d 64.", NETWORK, check=POSITIVE)
    kernel: int | None = option(None, "Its kernel size; default: 11, in 2d 5.", NETWORK, check=POSITIVE)
    pool: int = option(1, "Its pooling; 1 for none.", NETWORK, check=POSITIVE)
    batchnorm: bool = option(False, "Normalize its channels.", NETWORK)

    content_layer: str | None = option(None, "relu_1, or with weights relu_1:1,relu_2:0.5; default: by network.", LOSS)
    style_layer: str | None = option(None, "The same for the style.", LOSS)
    tv_weight: float = option(0.0, "Of the total variation.", LOSS, check=WEIGHT)
    histogram_weight: float = option(0.0, "Of the histogram loss.", LOSS, check=WEIGHT)
    bound_weight: float = option(0.0, "Of soft bounds in place of hard ones.", LOSS, check=WEIGHT)
    raw_weights: bool = option(False, "Losses as they are, not relative to the content's.", LOSS)

    init_lower: float = option(0.0, "Of truncated-normal.", INIT, check=_FINITE)
    init_upper: float = option(1.0, "Of truncated-normal.", INIT, check=_FINITE)
    init_mean: float = option(0.5, "Of truncated-normal.", INIT, check=_FINITE)
    init_std: float = option(0.25, "Of truncated-normal.", INIT, check=_ABOVE_0)

    optimizer: str = option("lbfgs", "Within hard bounds.", OPTIMIZER, choices=OPTIMIZERS)
    learning_rate: float = option(1.0, "Of Adam; 1 is a quarter of the standard deviation.", OPTIMIZER, check=_ABOVE_0)
    decayed_learning_rate: float = option(1 / 30, "Of Adam, later.", OPTIMIZER, check=_ABOVE_0, shown="1/30")
    decay_iteration: int = option(
        180, "From when on.", OPTIMIZER, check=Check(lambda iteration: iteration >= 0, "at least 0")
    )
    tolerance: float = option(
        0.0,
        "Stop where ten iterations improve the loss by less than this part; 0: never.",
        OPTIMIZER,
        check=Check(lambda part: 0 <= part < 1, "a number from 0 to below 1"),
    )

    history: Path | None = option(None, "CSV of every loss at every iteration.", MORE)
    picture: Path | None = option(None, "PNG of content, style and result.", MORE)
    curves: Path | None = option(None, "PNG of the losses.", MORE)
    wandb: str = option("off", "Weights & Biases.", MORE, choices=WANDB_MODES)
    threads: int | None = option(None, "CPU threads; default: all cores.", MORE, check=POSITIVE)

    def __post_init__(self) -> None:
        check_options(self)
        check_device_name(self.device)
        target_loudness(self.loudness, None)
        check_representation(self.representation, self.inverse, self.vocoder)
        if self.layout is not None:
            check_choice("layout", self.layout, LAYOUTS)
        _ = self.content_layers, self.style_layers  # refused where they are read, if at all
        if self.content_weight == self.style_weight == self.histogram_weight == 0:
            raise UserError("the weights of content, style and histogram are all 0; give one of them a weight above 0")
        if self.overlap_seconds > self.block_seconds / 4:
            raise UserError(
                f"got blocks of {self.block_seconds:g} s with --overlap-seconds {self.overlap_seconds:g}; the overlap "
                "is a quarter of a block at most"
            )
        self._check_init()

    def _check_init(self) -> None:
        lower, upper, mean, std = self.init_lower, self.init_upper, self.init_mean, self.init_std
        if lower >= upper:
            raise UserError(f"got --init-lower {lower:g} and --init-upper {upper:g}; the first must be the lower one")
        distance = max(lower - mean, mean - upper, 0.0) / std
        if self.init == "truncated-normal" and distance > MAX_INIT_DISTANCE:
            raise UserError(
                f"got a truncated normal init from {lower:g} to {upper:g}, more than {MAX_INIT_DISTANCE:g} standard "
                f"deviations ({std:g}) from its mean {mean:g}; move --init-mean or raise --init-std"
            )

    @property
    def content_layers(self) -> dict[str, float] | None:
        """The weight of each content layer; None for the network's default."""
        return None if self.content_layer is None else parse_layers("--content-layer", self.content_layer)

    @property
    def style_layers(self) -> dict[str, float] | None:
        """The weight of each style layer; None for the network's default."""
        return None if self.style_layer is None else parse_layers("--style-layer", self.style_layer)

    @property
    def term_weights(self) -> dict[str, float]:
        """The weight of each term of the loss."""
        return {
            "content": self.content_weight,
            "style": self.style_weight,
            "histogram": self.histogram_weight,
            "total_variation": self.tv_weight,
            "bound": self.bound_weight,
        }

    @property
    def init_file(self) -> Path | None:
        """The file to start from; None where the init is one of `INITS`."""
        return None if self.init in INITS else Path(self.init)


def parse_layers(flag: str, text: str) -> dict[str, float]:
    """Read the weight of each layer, 1 by default, from `relu_1` or `relu_1:1,relu_2:0.5`; `flag` is for messages."""
    layers: dict[str, float] = {}
    for part in text.split(","):
        name, colon, number = (piece.strip() for piece in part.partition(":"))
        if not name:
            raise UserError(f"got {flag} {text!r} with an empty layer name; write relu_1 or relu_1:1,relu_2:0.5")
        if name in layers:
            raise UserError(f"got {flag} {text!r} with the layer {name} twice; give each layer once")
        try:
            layers[name] = float(number) if colon else 1.0
        except ValueError:
            layers[name] = math.nan
        if not 0 < layers[name] < math.inf:
            raise UserError(f"got the weight {number!r} in {flag} {text}; a weight is a number above 0")
    return layers


def check_representation(name: str, inverse: str = "auto", vocoder: Path | None = None) -> None:
    """Refuse an unknown representation, or an inverse or vocoder that does not fit it."""
    check_choice("representation", name, REPRESENTATIONS)
    check_choice("inverse", inverse, INVERSES)
    if inverse == "vocoder" and name != "mel":
        raise UserError(f"the vocoder turns mel alone into sound, got the representation {name}; use griffin-lim")
    if vocoder is not None and (name != "mel" or inverse == "griffin-lim"):
        chosen = name if name != "mel" else "mel through griffin-lim"
        raise UserError(f"got the vocoder {vocoder} and the representation {chosen}, which needs none; leave one out")


def check_network_name(name: str) -> None:
    """Refuse what is neither the name of a network nor a folder."""
    if Path(name).is_file() and name not in NETWORKS:
        raise UserError(f"{name} is a file; a model is a folder")
    if not Path(name).is_dir():
        check_choice("network", name, NETWORKS, ", or a model folder")


def check_network(
    network: str, representation: str | None, layout: str, weights: Path | None = None, model: Path | None = None
) -> None:
    """Refuse a network that cannot read the input; an unknown name is taken for a model folder and not checked here.

    `representation` is None for pictures.
    """
    check_choice("layout", layout, LAYOUTS)
    if weights is not None and network != "vgg19":
        raise UserError(f"got the weights {weights} and the network {network}; only vgg19 reads a weight file")
    if model is not None and network not in MEL_NETWORKS:
        raise UserError(f"got the model {model} and the network {network}; only {' and '.join(MEL_NETWORKS)} take one")
    if network == "vgg19" and layout != "2d":
        raise UserError(f"the network vgg19 reads two dimensions, got the layout {layout}; use 2d")
    if network in MEL_NETWORKS and representation != "mel":
        got = "a picture" if representation is None else f"the representation {representation}"
        raise UserError(
            f"the network {network} knows mel spectrograms alone, got {got}; use mel, or the network random"
        )
    if network in MEL_NETWORKS and layout != "frequency":
        raise UserError(f"the network {network} takes mel bands as channels, got the layout {layout}; use frequency")
