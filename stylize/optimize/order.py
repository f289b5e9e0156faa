"""What the user asked `stylize optimize` for: all options, their defaults, and what they mean without a network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from data.errors import UserError
from stylize.optimize.choices import STARTS
from stylize.optimize.settings import LossWeights, OptimizerConfig, Start


@dataclass(frozen=True)
class OptimizeOrder:
    """All that a user can ask for, and the defaults.

    Args:
        content: a recording or a picture (PNG, JPEG), whose content and length the result has.
        style: another of the same kind.
        output: the file to write; None for `CONTENT.like-STYLE.wav` (`.png`) in the current folder.
        force: existing files may be overwritten.
        loudness: of a sound: `song` for the content's, `off` for the level that comes out, or LUFS.
        representation: the map of a sound that is optimised: mel, stft or cqt.
        inverse: back to a waveform: auto, vocoder or griffin-lim.
        vocoder: folder of the vocoder; None for the bundled one.
        orientation: what the channels of the network are: frequency, time, or 2d; None for frequency, and for 2d with
            pictures and vgg19.
        network: random, autoencoder, siamese, vgg19 or a model folder; None for the autoencoder on mel with frequency
            as channels, for vgg19 on pictures where its weights are, and for random elsewhere or where something is
            said about a random network.
        weights_file: weights of vgg19; None for the cache of torch hub.
        model: folder of the translator that has the siamese network, or of the autoencoder; None for the bundled one.
        layers: blocks of the random network.
        width: its channels; None for 2048, and 64 in 2d.
        kernel: positions that a filter sees along each axis; None for 11, and 5 in 2d.
        pool: its pooling after each block, positions; 1 for none.
        batchnorm: whether it normalises each channel over the positions.
        content_layer: `relu_1`, or several with weights: `relu_1:1,relu_2:0.5`; None for the network's default.
        style_layer: the same for the style.
        content_weight: of the content loss; 0 for texture synthesis, where the content gives the length only. The
            default is the best trade of content kept against style reached that was found (docs/baseline.md).
        style_weight: of the distance of Gram matrices.
        tv_weight: of the total variation.
        histogram_weight: of the histogram loss.
        bound_weight: of the penalty for leaving the bounds; above 0 it takes the place of hard bounds.
        raw_weights: take the losses as they are, not relative to their reference.
        unit_scale: scale maps of sound to [0, 1] by the extremes of content and style; always so with vgg19.
        start: content, uniform, normal, truncated-normal, or a file of the kind of the content.
        start_lower: least value of the truncated normal distribution.
        start_upper: its largest value.
        start_mean: its mean.
        start_deviation: its standard deviation.
        optimizer: lbfgs or adam.
        iterations: for each block and channel.
        learning_rate: of Adam.
        decayed_learning_rate: of Adam from `decay_iteration` on.
        decay_iteration: where the learning rate changes.
        tolerance: stop where ten iterations improve the loss by less than this part; 0 for never.
        seed: of the random network and of a random start.
        history: CSV of every loss at every iteration.
        picture: PNG of the maps of content, style and result.
        curves: PNG of the losses.
        wandb: off, offline, or online (offline where there is no key).
        device: auto, cpu, cuda, cuda:N or mps.
        threads: of the CPU; None for all cores.
        image_size: longest side of a picture in pixels; larger ones are made smaller.
        block_seconds: longer recordings are optimised in overlapping blocks of about this length.
        overlap_seconds: what neighbouring blocks share; there they are cross-faded.
    """

    content: Path
    style: Path
    output: Path | None = None
    force: bool = False
    loudness: str = "song"
    representation: str = "mel"
    inverse: str = "auto"
    vocoder: Path | None = None
    orientation: str | None = None
    network: str | None = None
    weights_file: Path | None = None
    model: Path | None = None
    layers: int = 1
    width: int | None = None
    kernel: int | None = None
    pool: int = 1
    batchnorm: bool = False
    content_layer: str | None = None
    style_layer: str | None = None
    content_weight: float = 0.003
    style_weight: float = 1.0
    tv_weight: float = 0.0
    histogram_weight: float = 0.0
    bound_weight: float = 0.0
    raw_weights: bool = False
    unit_scale: bool = False
    start: str = "content"
    start_lower: float = 0.0
    start_upper: float = 1.0
    start_mean: float = 0.5
    start_deviation: float = 0.25
    optimizer: str = "lbfgs"
    iterations: int = 200
    learning_rate: float = 1.0
    decayed_learning_rate: float = 1 / 30
    decay_iteration: int = 180
    tolerance: float = 0.0
    seed: int = 0
    history: Path | None = None
    picture: Path | None = None
    curves: Path | None = None
    wandb: str = "off"
    device: str = "auto"
    threads: int | None = None
    image_size: int = 512
    block_seconds: float = 30.0
    overlap_seconds: float = 2.0

    @property
    def content_layers(self) -> dict[str, float] | None:
        """The weight of each content layer; None for the network's default."""
        return None if self.content_layer is None else parse_layers("--content-layer", self.content_layer)

    @property
    def style_layers(self) -> dict[str, float] | None:
        """The weight of each style layer; None for the network's default."""
        return None if self.style_layer is None else parse_layers("--style-layer", self.style_layer)

    @property
    def loss_weights(self) -> LossWeights:
        """The weights of the terms of the loss."""
        return LossWeights(
            self.content_weight, self.style_weight, self.tv_weight, self.histogram_weight, self.bound_weight
        )

    @property
    def optimizer_config(self) -> OptimizerConfig:
        """How the maps are optimised."""
        return OptimizerConfig(
            optimizer=self.optimizer,
            iterations=self.iterations,
            learning_rate=self.learning_rate,
            decayed_learning_rate=self.decayed_learning_rate,
            decay_iteration=self.decay_iteration,
            tolerance=self.tolerance,
        )

    @property
    def start_config(self) -> Start:
        """Where the optimization starts."""
        kind = "file" if self.start_file is not None else self.start
        return Start(kind, self.start_lower, self.start_upper, self.start_mean, self.start_deviation)

    @property
    def start_file(self) -> Path | None:
        """The file to start from; None where the start is one of `STARTS`."""
        return None if self.start in STARTS else Path(self.start)


def parse_layers(option: str, text: str) -> dict[str, float]:
    """Read `relu_1` or `relu_1:1,relu_2:0.5`.

    Args:
        option: how the user gave it, for the message.
        text: as written.

    Returns:
        the weight of each layer; 1 where none is written.

    Raises:
        UserError: no name, a layer twice, weights that are no numbers above 0.
    """
    layers: dict[str, float] = {}
    for part in text.split(","):
        name, colon, number = (piece.strip() for piece in part.partition(":"))
        if not name:
            raise UserError(f"got {option} {text!r} with an empty layer name; write relu_1 or relu_1:1,relu_2:0.5")
        if name in layers:
            raise UserError(f"got {option} {text!r} with the layer {name} twice; give each layer once")
        try:
            layers[name] = float(number) if colon else 1.0
        except ValueError:
            layers[name] = math.nan
        if not 0 < layers[name] < math.inf:
            raise UserError(f"got the weight {number!r} in {option} {text}; a weight is a number above 0")
    return layers
