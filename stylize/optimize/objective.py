"""What is minimized: the weighted losses, each relative to what the content itself would cost.

Gatys, Ecker and Bethge, arXiv 1508.06576, equation 7, with histograms as in Risser, Wilmot and Barnes, arXiv
1701.08893, section 4. Losses of different layers differ by many orders of magnitude, and so do those of content and
style. Relative to what is measured on the inputs at hand, weights are ratios that mean the same for any length, layer
and network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stylize.optimize.losses import (
    bound_penalty,
    gram_matrix,
    histogram_loss,
    sort_channels,
    squared_distance,
    total_variation,
)
from stylize.optimize.networks import Layout
from stylize.optimize.options import OptimizeOptions
from stylize_core.errors import UserError

if TYPE_CHECKING:
    from stylize.optimize.networks import FeatureNetwork

MIN_PART = 1e-8
"""A reference is at least this part of the mean square of what is compared: content and style may be the same."""


@dataclass
class LossReport:
    """The loss of one spectrogram or picture."""

    total: Tensor  # sum of weight * term, with its gradient
    terms: dict[str, Tensor]  # before their weights, without gradient; of layers as `content/relu_2`


@dataclass(frozen=True)
class StyleTarget:
    """Statistics of a style, computed once for all blocks."""

    grams: dict[str, Tensor]  # Gram matrix of each layer, (1, C, C)
    sorted_features: dict[str, Tensor]  # by layer, (C, positions); empty without histograms
    layers: Mapping[str, float]  # weight of each layer
    spread: float = 0.0  # standard deviation of the style's values


def measure_style(
    network: FeatureNetwork, layout: Layout, style: Tensor, layers: Mapping[str, float], histogram: bool
) -> StyleTarget:
    """Gram matrices, and with `histogram` sorted features, of a style, (planes, rows, columns)."""
    _check_layers(layers)
    with torch.no_grad():
        features = network(layout(style), layers)
        grams = {name: gram_matrix(features[name]) for name in layers}
        ordered = {name: sort_channels(features[name]) for name in layers} if histogram else {}
    return StyleTarget(grams, ordered, dict(layers), _spread(style))


class Objective:
    """The loss of a spectrogram or picture, toward one content and one style.

    Unless `raw_weights`, the terms are relative. `content` is 1 as far from the content, in the features of each layer,
    as the content's own mean column is; `style` and `histogram` are 1 as far from the style as the content is;
    `total_variation` is 1 where it is the content's. Without content, the loss of the init stands in for it. Weights of
    layers are scaled to add up to 1. `bound` is always the mean squared excess itself.

    Args:
        network: computes the features.
        layout: makes its input.
        content: (planes, rows, columns); None for texture synthesis.
        style: from :func:`measure_style`; None to reconstruct the content.
        content_layers: weight of each layer in the content term.
        options: the weights of the terms, relative or raw.
        bounds: of the bound penalty; infinite for none.

    Attributes:
        spread: the larger standard deviation of content and style, 1 where both are constant; the unit of the
            optimizers' steps.

    Raises:
        ValueError: nothing to minimize, or a style measured without the histograms that have a weight.
    """

    def __init__(
        self,
        network: FeatureNetwork,
        *,
        layout: Layout,
        content: Tensor | None,
        style: StyleTarget | None,
        content_layers: Mapping[str, float],
        options: OptimizeOptions,
        bounds: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self.network, self.layout, self.bounds = network, layout, bounds
        self.weights = weights = options.term_weights
        raw_weights = options.raw_weights
        self._layers = _layers_by_term(content, style, content_layers, weights, raw_weights)
        self._grams = style.grams if style is not None else {}
        self._sorted = style.sorted_features if style is not None else {}
        given = [_spread(content)] if content is not None else []
        given += [style.spread] if style is not None else []
        self.spread = max(given) or 1.0
        self._content: dict[str, Tensor] = {}
        # Divisors by the names of terms; none (yet) where the init is to be measured.
        self._references: dict[str, float] | None = {} if raw_weights else None
        if content is not None:
            with torch.no_grad():
                features = self._features(content)
                self._content = {layer: features[layer] for layer in self._layers.get("content", ())}
                if not raw_weights:
                    self._references = self._measure_references(content, features)

    def set_reference(self, init: Tensor) -> None:
        """Measure the init, (planes, rows, columns), whose losses stand in for the content's where none is given.

        Without this call, the first input is taken as the init.
        """
        if self._references is None:
            with torch.no_grad():
                self._references = self._measure_references(init, self._features(init))

    def __call__(self, x: Tensor) -> LossReport:
        """The loss of `x`, (planes, rows, columns)."""
        self.set_reference(x.detach())
        features = self._features(x)
        terms: dict[str, Tensor] = {}
        by_layer: dict[str, Tensor] = {}
        for term, layers in self._layers.items():
            losses = {
                f"{term}/{layer}": self._relative(f"{term}/{layer}", self._layer_loss(term, layer, features[layer]))
                for layer in layers
            }
            terms[term] = _weighted_sum(losses.values(), layers.values())
            by_layer |= losses
        if self.weights["total_variation"]:
            terms["total_variation"] = self._relative("total_variation", total_variation(x))
        if self.weights["bound"]:
            terms["bound"] = bound_penalty(x, *self.bounds)
        total = _weighted_sum(terms.values(), [self.weights[term] for term in terms])
        return LossReport(total, {name: value.detach() for name, value in (terms | by_layer).items()})

    def _features(self, x: Tensor) -> dict[str, Tensor]:
        wanted = {layer for layers in self._layers.values() for layer in layers}
        features: dict[str, Tensor] = self.network(self.layout(x), wanted)
        return features

    def _layer_loss(self, term: str, layer: str, features: Tensor) -> Tensor:
        """One layer's share of a term, not yet relative."""
        if term == "content":
            return squared_distance(features, self._content[layer])
        if term == "style":
            return squared_distance(gram_matrix(features), self._grams[layer])
        return histogram_loss(features, self._sorted[layer])

    def _relative(self, name: str, loss: Tensor) -> Tensor:
        return loss / self._references[name] if self._references else loss

    def _measure_references(self, x: Tensor, features: Mapping[str, Tensor]) -> dict[str, float]:
        """What each loss is divided by, from the content or, where there is none, the init."""
        references = {}
        for term, layers in self._layers.items():
            for layer in layers:
                if term == "content":
                    target = self._content[layer].flatten(2)
                    value = target.var(dim=2, correction=0).mean()
                else:
                    target = (self._grams if term == "style" else self._sorted)[layer]
                    value = self._layer_loss(term, layer, features[layer])
                references[f"{term}/{layer}"] = _guarded(value, target.square().mean())
        if self.weights["total_variation"]:
            references["total_variation"] = _guarded(total_variation(x), x.abs().mean())
        return references


def _layers_by_term(
    content: Tensor | None,
    style: StyleTarget | None,
    content_layers: Mapping[str, float],
    weights: Mapping[str, float],
    raw_weights: bool,
) -> dict[str, dict[str, float]]:
    """Weights of the layers of each term that there is, adding up to 1 unless they are raw."""
    chosen: dict[str, Mapping[str, float]] = {}
    if content is not None and weights["content"]:
        chosen["content"] = content_layers
    if style is not None and weights["style"]:
        chosen["style"] = style.layers
    if style is not None and weights["histogram"]:
        if set(style.sorted_features) != set(style.layers):
            raise ValueError("got a style measured without histograms, whose weight is not 0; measure it with them")
        chosen["histogram"] = style.layers
    if not chosen:
        raise ValueError("neither a content nor a style with a weight above 0 is given; there is nothing to minimize")
    for layers in chosen.values():
        _check_layers(layers)
    sums = {term: 1.0 if raw_weights else sum(layers.values()) for term, layers in chosen.items()}
    return {term: {layer: layers[layer] / sums[term] for layer in layers} for term, layers in chosen.items()}


def _check_layers(layers: Mapping[str, float]) -> None:
    given = ", ".join(f"{name}:{weight:g}" for name, weight in layers.items()) or "none"
    if not all(0 <= weight < math.inf for weight in layers.values()) or not any(layers.values()):
        raise UserError(f"got the layers {given}; expected weights of at least 0, and one of them above 0")


def _weighted_sum(values: Iterable[Tensor], weights: Iterable[float]) -> Tensor:
    return torch.stack([weight * value for value, weight in zip(values, weights, strict=True)]).sum()


def _spread(x: Tensor) -> float:
    return float(x.std(correction=0))


def _guarded(value: Tensor, size: Tensor) -> float:
    """A reference that is safe to divide by; 1 where there is nothing but digital silence to measure."""
    return max(float(value), MIN_PART * float(size)) or 1.0
