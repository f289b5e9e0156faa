"""The network, the style and the optimizer of a run, put together; they optimize one block after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylize.models import BUNDLED_TRANSLATOR
from stylize.optimize.autoencoder import BUNDLED_AUTOENCODER, Autoencoder, autoencoder_features
from stylize.optimize.engine import CONVERGED, FINISHED, INTERRUPTED, Outcome, optimize
from stylize.optimize.networks import (
    RANDOM_KIND,
    FeatureNetwork,
    Layout,
    RandomNetwork,
    RandomNetworkConfig,
    Shape,
    describe_layers,
    fit_columns,
    make_layout,
    network_shape,
    siamese_features,
)
from stylize.optimize.objective import Objective, StyleTarget, measure_style
from stylize.optimize.options import NETWORKS, RANDOM_OPTIONS, OptimizeOptions, check_network, check_network_name
from stylize.optimize.reporting import Step
from stylize.optimize.representations import UnitScale, make_representation
from stylize.optimize.vgg import HUB_FILE, load_vgg19
from stylize_core.config import build
from stylize_core.errors import UserError
from stylize_core.mel import MEL_PRESETS
from stylize_core.model_folder import read_model_config
from travelgan import Translator

GOOD_ENDS = (FINISHED, CONVERGED)
"""How an optimization ends that was neither interrupted nor failed."""

FOLDER_NETWORKS = {RANDOM_KIND: "random", "autoencoder": "autoencoder", "translator": "siamese"}
"""Kinds of model folder that hold a network, and its name."""

MAX_UNIFORM = 0.1
"""Upper end of a uniform init."""


@dataclass(frozen=True)
class ChosenNetwork:
    """A network on its device, and the weights of the layers for content and style, empty for a weight of 0."""

    network: FeatureNetwork
    content_layers: dict[str, float]
    style_layers: dict[str, float]
    description: str


def load_network(
    name_or_folder: str,
    *,
    shape: Shape,
    layout: str,
    representation: str | None = None,
    random: Mapping[str, Any] | None = None,
    weights: Path | None = None,
    model: Path | None = None,
) -> FeatureNetwork:
    """A network for spectrograms or pictures of a shape, on the CPU.

    Args:
        name_or_folder: `random`, `autoencoder`, `siamese`, `vgg19`, or a model folder.
        shape: planes, rows, columns of the content.
        layout: `frequency`, `time` or `2d`.
        representation: `mel`, `stft` or `cqt`; None for pictures.
        random: fields of :class:`RandomNetworkConfig` that differ from its defaults.
        weights: weight file of VGG-19.
        model: folder of the translator (for `siamese`) or autoencoder in place of the bundled one.
    """
    name, folder = name_or_folder, model
    if name not in NETWORKS:
        check_network_name(name)
        folder = Path(name)
        kind = read_model_config(folder)["kind"]
        if kind not in FOLDER_NETWORKS:
            raise UserError(f"{folder} holds a {kind}; a network is a folder of: {', '.join(FOLDER_NETWORKS)}")
        name = FOLDER_NETWORKS[kind]
    check_network(name, representation, layout, weights, model)
    wanted = network_shape(layout, shape)
    network = _load_named(name, folder, wanted, random or {}, weights)
    repeated = name == "vgg19" and shape[0] == 1  # one plane is repeated
    if (network.dimensions, network.in_channels) != wanted and not repeated:
        raise UserError(
            f"the network {name_or_folder} reads {network.in_channels} channels in {network.dimensions} dimensions, "
            f"the input has {wanted[1]} in {wanted[0]}; choose another network, representation or layout"
        )
    return network


def _load_named(
    name: str, folder: Path | None, shape: tuple[int, int], random: Mapping[str, Any], weights: Path | None
) -> FeatureNetwork:
    if name == "vgg19":
        return load_vgg19(weights)
    if name == "random" and folder is not None:
        return RandomNetwork.from_pretrained(folder)
    if name == "random":
        config = {**random, "dimensions": shape[0], "in_channels": shape[1]}
        return RandomNetwork(build(RandomNetworkConfig, config, "--layers, --width, --kernel"))
    if name == "autoencoder":
        folder = folder or BUNDLED_AUTOENCODER
        network = autoencoder_features(Autoencoder.from_pretrained(folder))
    else:
        folder = folder or BUNDLED_TRANSLATOR
        translator = Translator.from_pretrained(folder)
        network = siamese_features(translator.siamese, translator.mel_config)
    if difference := MEL_PRESETS["music"].describe_difference(network.mel_config):
        raise UserError(f"the {name} of {folder} has another mel front-end (wanted / its): {difference}")
    return network


def choose_network(options: OptimizeOptions, shape: Shape, device: torch.device, is_picture: bool) -> ChosenNetwork:
    """Load the network of the options; for a picture by default vgg19 where its weights are cached, else random.

    `options` are those of :func:`stylize.optimize.plan.plan_optimization`, `shape` is the content's.
    """
    name, reason = options.network, ""
    if name is None:
        cached = Path(torch.hub.get_dir()) / "checkpoints" / HUB_FILE
        name = "vgg19" if cached.is_file() else "random"
        reason = "" if name == "vgg19" else f", since the weights of vgg19 are not there ({cached})"
    representation = None if is_picture else options.representation
    network = _load(options, name, shape, str(options.layout), representation).to(device)
    weights = options.term_weights
    content = options.content_layers or network.default_content_layers
    style = options.style_layers or network.default_style_layers
    for layers in (content, style):
        network.check_layers(layers)
    content = content if weights["content"] else {}
    style = style if weights["style"] or weights["histogram"] else {}
    used = [f"{kind} {', '.join(layers)}" for kind, layers in (("content", content), ("style", style)) if layers]
    return ChosenNetwork(network, content, style, f"network {name}{reason}; {'; '.join(used)}")


def _load(options: OptimizeOptions, name: str, shape: Shape, layout: str, representation: str | None) -> FeatureNetwork:
    random = {name: getattr(options, name) for name in (*RANDOM_OPTIONS, "seed")}
    return load_network(
        name,
        shape=shape,
        layout=layout,
        representation=representation,
        random=random,
        weights=options.weights,
        model=options.model,
    )


def describe_network_layers(options: OptimizeOptions, network: str, layout: str) -> list[str]:
    """One line for each layer of a network, for spectrograms of a second."""
    inverse = "griffin-lim"  # the vocoder is not needed and would have to be loaded
    representation = make_representation(options.representation, inverse=inverse, device="cpu")
    shape = (1, representation.rows, representation.frames(representation.sample_rate))
    return describe_layers(_load(options, network, shape, layout, options.representation))


def check_receptive_field(chosen: ChosenNetwork, layout: str, name: str, shape: Shape, seconds: float) -> None:
    """Refuse a recording that is shorter than the receptive field of the deepest layer.

    With the layout `time` positions are frequencies, whose number is fixed.
    """
    layers = {**chosen.content_layers, **chosen.style_layers}
    deepest = max(layers, key=chosen.network.receptive_field)
    needed = chosen.network.receptive_field(deepest)
    columns = shape[2]
    if layout != "time" and columns < needed:
        raise UserError(
            f"{name} is {seconds:.3f} s long, {columns} columns, and the layer {deepest} sees {needed} at once; give "
            f"at least {seconds * needed / columns:.2f} s, or choose a layer further up"
        )


def make_init(options: OptimizeOptions, content: Tensor, file: Tensor | None, seed: int) -> Tensor:
    """The initial spectrogram or picture, like `content`; the same seed gives the same, whatever the device.

    `file` is the content of the init file, where there is one. Noise may exceed the bounds, onto which it is projected.
    """
    if options.init_file is not None:
        assert file is not None
        if file.shape != content.shape:
            raise UserError(
                f"the init file has the shape {_by(file.shape)}, expected that of the content, {_by(content.shape)} "
                "(planes x rows x columns); give one of the same length or size"
            )
        return file.detach().clone().to(content)
    if options.init == "content":
        return content.detach().clone()
    generator = torch.Generator().manual_seed(seed)
    if options.init == "normal":
        return torch.randn(*content.shape, generator=generator).to(content)
    uniform = torch.rand(*content.shape, generator=generator, dtype=torch.float64)
    noise = MAX_UNIFORM * uniform if options.init == "uniform" else _truncated_normal(uniform, options)
    return noise.float().to(content)


def _truncated_normal(uniform: Tensor, options: OptimizeOptions) -> Tensor:
    """Values of the truncated distribution by its inverse cumulative distribution function, in double precision."""
    lower, upper, mean, std = options.init_lower, options.init_upper, options.init_mean, options.init_std
    first, last = torch.special.ndtr((torch.tensor([lower, upper], dtype=torch.float64) - mean) / std)
    values: Tensor = mean + std * torch.special.ndtri(first + (last - first) * uniform)
    return values.clamp(lower, upper)


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


class Transfer:
    """Optimizes spectrograms or pictures of one shape toward one style.

    Args:
        options: weights, init and optimizer.
        chosen: the network.
        shape: of the contents.
        style: (planes, rows, any).
        hard_bounds: of all values; without an upper one, none goes beyond the largest of style and content.
        soft_bounds: of the bound penalty; where that has a weight, it takes the place of hard bounds.
        scale: of the spectrograms, where they are scaled; networks that read plain mels see them without it.
        stop: asked before every evaluation whether to end.
    """

    def __init__(
        self,
        options: OptimizeOptions,
        chosen: ChosenNetwork,
        shape: Shape,
        style: Tensor,
        *,
        hard_bounds: tuple[float | None, float | None],
        soft_bounds: tuple[float, float],
        stop: Callable[[], bool] = lambda: False,
        scale: UnitScale | None = None,
    ) -> None:
        self._options, self._chosen, self._stop = options, chosen, stop
        self._scale = scale if chosen.network.reads_plain_mel else None
        self._layout = self._make_layout(shape)
        self._hard_bounds, self._soft_bounds = hard_bounds, soft_bounds
        self._style_peak = float(style.max())
        self._style: StyleTarget | None = None
        if chosen.style_layers:
            if options.layout == "time":
                style = fit_columns(style, shape[2])
            planes, rows, columns = style.shape
            layout = self._make_layout((planes, rows, columns))
            histogram = options.histogram_weight > 0
            self._style = measure_style(chosen.network, layout, style, chosen.style_layers, histogram)

    def _make_layout(self, shape: Shape) -> Layout:
        """What the network is given."""
        layout, scale = make_layout(str(self._options.layout), shape), self._scale
        return layout if scale is None else lambda x: layout(scale.undo(x))

    def run(
        self,
        content: Tensor,
        *,
        init_file: Tensor | None,
        head: Tensor | None,
        seed: int,
        on_step: Callable[[Step], None],
    ) -> Outcome:
        """Optimize one spectrogram or picture, (planes, rows, columns).

        Args:
            content: of this block.
            init_file: initial value read from a file, of the same shape.
            head: first columns of an init of noise, with which a block continues the one before it.
            seed: of the noise.
            on_step: called at every iteration.
        """
        options = self._options
        init = make_init(options, content, init_file, seed)
        if head is not None and options.init != "content" and options.init_file is None:
            init[..., : head.shape[-1]] = head
        if self._stop():
            return Outcome(init, [], INTERRUPTED)
        objective = Objective(
            self._chosen.network,
            layout=self._layout,
            content=content if options.content_weight else None,
            style=self._style,
            content_layers=self._chosen.content_layers,
            options=options,
            bounds=self._soft_bounds,
        )
        low, high = self._hard_bounds
        # Gram matrices of a noise can be met by a few huge values, which no recording has.
        bounds = (low, max(self._style_peak, float(content.max())) if high is None else high)
        soft = options.bound_weight > 0
        outcome = optimize(
            objective, init, options, bounds=(None, None) if soft else bounds, on_step=on_step, stop=self._stop
        )
        return Outcome(outcome.result.clamp(*bounds), outcome.history, outcome.stopped)
