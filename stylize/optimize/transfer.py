"""The network, the style and the optimizer of a run, put together; they optimise one map after the other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

import torch
from torch import Tensor

from data.errors import UserError
from stylize.optimize.engine import Outcome, Step, optimize
from stylize.optimize.feature_network import FeatureNetwork, describe_layers
from stylize.optimize.networks import load_network
from stylize.optimize.objective import Objective, StyleTarget, View, measure_style
from stylize.optimize.order import OptimizeOrder
from stylize.optimize.orientation import MapShape, fit_columns, view_of
from stylize.optimize.random_network import RandomNetworkConfig
from stylize.optimize.representations import UnitScale, make_representation
from stylize.optimize.starts import make_start
from stylize.optimize.vgg import HUB_FILE

FINISHED = ("finished", "converged")
"""How an optimization ends that was neither interrupted nor failed."""


@dataclass(frozen=True)
class Layers:
    """Which layers make the content and the style, and their weights."""

    content: dict[str, float]
    style: dict[str, float]

    def describe(self) -> str:
        """In one line."""
        parts = [f"{kind} {', '.join(layers)}" for kind, layers in vars(self).items() if layers]
        return "; ".join(parts)


@dataclass(frozen=True)
class ChosenNetwork:
    """A network and what is taken from it.

    Args:
        network: on the device of the maps.
        layers: those whose terms have a weight.
        description: in one line.
    """

    network: FeatureNetwork
    layers: Layers
    description: str


def choose_network(order: OptimizeOrder, map_shape: MapShape, device: torch.device, is_picture: bool) -> ChosenNetwork:
    """Load the network that an order asks for; a picture without one takes vgg19 where its weights are, or random.

    Args:
        order: filled in by :func:`stylize.optimize.plan.plan_optimization`.
        map_shape: of the content.
        device: where the maps are.
        is_picture: the maps are pictures.

    Raises:
        UserError: a network that cannot be had or does not fit, unknown layers.
    """
    name, reason = order.network, ""
    if name is None:
        cached = Path(torch.hub.get_dir()) / "checkpoints" / HUB_FILE
        name = "vgg19" if cached.is_file() else "random"
        reason = "" if name == "vgg19" else f", since the weights of vgg19 are not there ({cached})"
    network = load_network(
        name,
        map_shape=map_shape,
        orientation=str(order.orientation),
        representation=None if is_picture else order.representation,
        random=_random_config(order) if name == "random" else None,
        weights=order.weights_file,
        model=order.model,
    ).to(device)
    weights = order.loss_weights
    layers = Layers(
        (order.content_layers or network.default_content_layers) if weights.content else {},
        (order.style_layers or network.default_style_layers) if weights.style or weights.histogram else {},
    )
    for chosen in (order.content_layers, order.style_layers, layers.content, layers.style):
        network.check_layers(chosen or {})
    return ChosenNetwork(network, layers, f"network {name}{reason}; {layers.describe()}")


def _random_config(order: OptimizeOrder) -> RandomNetworkConfig:
    return RandomNetworkConfig(
        layers=order.layers,
        width=order.width,
        kernel=order.kernel,
        pool=order.pool,
        batchnorm=order.batchnorm,
        seed=order.seed,
    )


def check_receptive_field(chosen: ChosenNetwork, orientation: str, name: str, shape: MapShape, seconds: float) -> None:
    """Refuse a recording that is shorter than what one value of the deepest layer sees.

    Args:
        chosen: the network.
        orientation: what its positions are; with `time`, these are frequencies, of which there are always as many.
        name: of the recording, for the message.
        shape: of its map.
        seconds: its length.

    Raises:
        UserError: the length that is needed is named.
    """
    layers = {**chosen.layers.content, **chosen.layers.style}
    deepest = max(layers, key=chosen.network.receptive_field)
    needed = chosen.network.receptive_field(deepest)
    columns = shape[2]
    if orientation != "time" and columns < needed:
        raise UserError(
            f"{name} is {seconds:.3f} s long, {columns} columns, and the layer {deepest} sees {needed} at once; give "
            f"at least {seconds * needed / columns:.2f} s, or choose a layer further up"
        )


class GracefulStop:
    """Ctrl-C ends the running optimization, which keeps its best map; between two it is kept for the next one.

    The second Ctrl-C interrupts at once, wherever it strikes. Only the main thread has Ctrl-C, and only where it has
    its usual meaning.
    """

    def __init__(self) -> None:
        self.requested = False
        self.optimizing = False
        self._installed = False

    def __enter__(self) -> GracefulStop:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.optimizing or self.requested:
            self.optimizing, self.requested = False, True
            raise KeyboardInterrupt
        self.requested = True


class Transfer:
    """Optimises maps of one shape towards one style.

    Args:
        order: weights, start and optimizer.
        chosen: the network.
        map_shape: of the contents.
        style_map: (planes, rows, any).
        hard_bounds: of the values of a map; without an upper one, none goes beyond the largest of style and content.
        soft_bounds: of the bound penalty; where that has a weight, it takes the place of hard bounds.
        scale: of the maps, where they are scaled; networks that read plain mels see them without it.
        stop: Ctrl-C.
    """

    def __init__(
        self,
        order: OptimizeOrder,
        chosen: ChosenNetwork,
        map_shape: MapShape,
        style_map: Tensor,
        *,
        hard_bounds: tuple[float | None, float | None],
        soft_bounds: tuple[float, float],
        stop: GracefulStop,
        scale: UnitScale | None = None,
    ) -> None:
        self._order, self._chosen, self._stop = order, chosen, stop
        self._weights = order.loss_weights
        self._scale = scale if chosen.network.reads_plain_mel else None
        self._view = self._see(map_shape)
        self._hard_bounds, self._soft_bounds = hard_bounds, soft_bounds
        self._style_peak = float(style_map.max())
        self._style: StyleTarget | None = None
        if chosen.layers.style:
            if order.orientation == "time":
                style_map = fit_columns(style_map, map_shape[2])
            histogram = self._weights.histogram > 0
            planes, rows, columns = style_map.shape
            view = self._see((planes, rows, columns))
            self._style = measure_style(chosen.network, view, style_map, chosen.layers.style, histogram)

    def _see(self, map_shape: MapShape) -> View:
        """How the network sees maps of a shape."""
        view, scale = view_of(str(self._order.orientation), map_shape), self._scale
        return view if scale is None else lambda map_: view(scale.undo(map_))

    def run(
        self,
        content: Tensor,
        *,
        start_file: Tensor | None,
        head: Tensor | None,
        seed: int,
        on_step: Callable[[Step], None],
    ) -> Outcome:
        """Optimise one map.

        Args:
            content: (planes, rows, columns).
            start_file: the map of a file to start from, of the same shape.
            head: columns with which a start of noise begins, so that a block goes on where the last one ended.
            seed: of the noise.
            on_step: called at every iteration.

        Raises:
            KeyboardInterrupt: Ctrl-C before the first iteration.
        """
        config = self._order.start_config
        start = make_start(config, content.shape, content=content, file=start_file, seed=seed).to(content)
        if head is not None and config.kind not in ("content", "file"):
            start[..., : head.shape[-1]] = head
        objective = Objective(
            self._chosen.network,
            view=self._view,
            content=content if self._weights.content else None,
            style=self._style,
            content_layers=self._chosen.layers.content,
            weights=self._weights,
            raw_weights=self._order.raw_weights,
            bounds=self._soft_bounds,
        )
        if self._stop.requested:
            return Outcome(start, [], "interrupted")
        low, high = self._hard_bounds
        # Gram matrices of a noise can be met by a few huge values, which no recording has.
        bounds = (low, max(self._style_peak, float(content.max())) if high is None else high)
        self._stop.optimizing = True
        try:
            outcome = optimize(
                objective,
                start,
                self._order.optimizer_config,
                bounds=(None, None) if self._weights.bound else bounds,
                on_step=on_step,
            )
        finally:
            self._stop.optimizing = False
        return Outcome(outcome.map.clamp(*bounds), outcome.history, outcome.stopped)


def describe_network_layers(order: OptimizeOrder, network: str, orientation: str) -> list[str]:
    """One line for each layer of a network, for maps of an order's representation that are a second long.

    Raises:
        UserError: a network that cannot be had or does not fit.
    """
    inverse = "griffin-lim"  # the vocoder is not needed and would have to be loaded
    representation = make_representation(order.representation, inverse=inverse, device="cpu")
    loaded = load_network(
        network,
        map_shape=(1, representation.rows, representation.frames(representation.sample_rate)),
        orientation=orientation,
        representation=order.representation,
        random=_random_config(order) if network == "random" else None,
        weights=order.weights_file,
        model=order.model,
    )
    return describe_layers(loaded)
