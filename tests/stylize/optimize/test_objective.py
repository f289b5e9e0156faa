"""The objective: what is relative to what, by hand; independence of length, layer and network; what is refused."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stylize.optimize import losses
from stylize.optimize.engine import optimize
from stylize.optimize.objective import Objective, StyleTarget, measure_style
from stylize.optimize.options import OptimizeOptions
from stylize_core.errors import UserError

options = partial(OptimizeOptions, Path("content.wav"), Path("style.wav"), content_weight=1.0)
ALL = options(content_weight=0.7, style_weight=1.3, tv_weight=0.11, histogram_weight=0.5, bound_weight=2.0)


class TinyNetwork(nn.Module):
    """Two layers of 1-D convolutions over time that goes round in a circle, so that there are no edges."""

    def __init__(self, rows: int = 6, width: int = 12, gain: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.kernels = [
            gain * torch.randn(*shape, generator=generator, dtype=torch.float64) / math.sqrt(shape[1])
            for shape in ((width, rows, 3), (width, width, 3))
        ]
        self.asked: list[set[str]] = []

    def forward(self, x: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        self.asked.append(set(layers))
        features = {}
        for index, kernel in enumerate(self.kernels, start=1):
            padded = nn.functional.pad(x, (1, 1), mode="circular")
            features[f"conv_{index}"] = nn.functional.conv1d(padded, kernel.to(x))
            features[f"relu_{index}"] = x = torch.relu(features[f"conv_{index}"])
        return {name: features[name] for name in layers}


class Identity(nn.Module):
    """The map itself is the only layer."""

    def forward(self, x: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        assert set(layers) <= {"map"}
        return {"map": x}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layout(map_: Tensor) -> Tensor:
    return map_


CONTENT, STYLE = noise(1, 6, 40), noise(1, 6, 50, seed=1) ** 2


def style_of(network: nn.Module, map_: Tensor = STYLE, histogram: bool = True, **layers: float) -> StyleTarget:
    return measure_style(network, layout, map_, layers or {"relu_1": 1.0, "relu_2": 3.0}, histogram)  # type: ignore[arg-type]


def make(network: nn.Module | None = None, **values: Any) -> Objective:
    network = network or TinyNetwork()
    given = {"layout": layout, "content": CONTENT, "content_layers": {"relu_2": 1.0}, "options": ALL, **values}
    if given.pop("raw", False):
        given["options"] = replace(given["options"], raw_weights=True)
    if "style" not in given:
        given["style"] = style_of(network)
    return Objective(network, **given)  # type: ignore[arg-type]


def test_every_term_by_hand() -> None:
    content = torch.tensor([[[0.0, 2.0], [1.0, 1.0]]])
    style = torch.tensor([[[3.0, 1.0], [0.0, 2.0]]])
    map_ = torch.tensor([[[1.0, 2.0], [1.0, -1.0]]])
    network = Identity()
    objective = make(
        network,
        content=content,
        style=style_of(network, style, map=5.0),
        content_layers={"map": 9.0},
        options=options(style_weight=10.0, tv_weight=0.5, histogram_weight=2.0, bound_weight=3.0),
    )
    report = objective(map_)
    # Content: squares 1, 0, 0, 4, mean 1.25; variances over time 1 and 0, mean 0.5.
    # Gram matrices, times 2: style 10 2 2 4, content 4 2 2 2, map 5 -1 -1 2.
    style_distance, style_reference = (25 + 9 + 9 + 4) / 16, (36 + 0 + 0 + 4) / 16
    # Sorted: style 1 3 / 0 2, content 0 2 / 1 1, map 1 2 / -1 1.
    histogram_distance, histogram_reference = (0 + 1 + 1 + 1) / 4, (1 + 1 + 1 + 1) / 4
    # Total variation: map (0 + 3) / 2 + (1 + 2) / 2, content (1 + 1) / 2 + (2 + 0) / 2.
    expected = {
        "content": 1.25 / 0.5,
        "style": style_distance / style_reference,
        "histogram": histogram_distance / histogram_reference,
        "total_variation": 3.0 / 2.0,
        "bound": (1 + 1) / 4,
    }
    terms = {name: value.item() for name, value in report.terms.items()}
    layers = {f"{name}/map": expected[name] for name in ("content", "style", "histogram")}
    assert terms == pytest.approx(expected | layers)
    weights = {"content": 1.0, "style": 10.0, "histogram": 2.0, "total_variation": 0.5, "bound": 3.0}
    assert report.total.item() == pytest.approx(sum(weights[name] * expected[name] for name in weights))


def test_raw_weights_take_losses_and_weights_as_they_are() -> None:
    network, map_ = TinyNetwork(), noise(1, 6, 40, seed=2) * 3 - 1
    raw = make(network, raw=True, content_layers={"relu_1": 4.0, "conv_2": 0.5})(map_)
    layers = ("relu_1", "conv_2", "relu_2")
    mine, theirs, style = (network(map_, layers) for map_ in (map_, CONTENT, STYLE))
    expected = {
        "content/relu_1": losses.squared_distance(mine["relu_1"], theirs["relu_1"]),
        "content/conv_2": losses.squared_distance(mine["conv_2"], theirs["conv_2"]),
        "total_variation": losses.total_variation(map_),
        "bound": losses.bound_penalty(map_),
    }
    for layer in ("relu_1", "relu_2"):
        grams = losses.gram_matrix(mine[layer]), losses.gram_matrix(style[layer])
        expected[f"style/{layer}"] = losses.squared_distance(*grams)
        expected[f"histogram/{layer}"] = losses.histogram_loss(mine[layer], losses.sort_channels(style[layer]))
    expected["content"] = 4.0 * expected["content/relu_1"] + 0.5 * expected["content/conv_2"]
    for term in ("style", "histogram"):
        expected[term] = 1.0 * expected[f"{term}/relu_1"] + 3.0 * expected[f"{term}/relu_2"]
    assert raw.terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(raw.terms[name], value)
    total = sum(ALL.term_weights[term] * raw.terms[term] for term in expected if "/" not in term)
    torch.testing.assert_close(raw.total, total)


def test_the_content_itself_costs_nothing_in_content_and_one_in_the_rest() -> None:
    terms = make()(CONTENT).terms
    assert terms["content"].item() == 0
    for name in ("style", "style/relu_1", "style/relu_2", "histogram", "total_variation"):
        assert terms[name].item() == pytest.approx(1.0)
    assert terms["bound"].item() == 0


def test_the_mean_column_is_one_away_from_the_content() -> None:
    objective = make(Identity(), style=None, content_layers={"map": 1.0}, options=options())
    mean = CONTENT.mean(dim=2, keepdim=True).expand_as(CONTENT)
    assert objective(mean).terms["content"].item() == pytest.approx(1.0)


def test_weights_of_layers_are_shares() -> None:
    network, map_ = TinyNetwork(), noise(1, 6, 40, seed=2)
    first = make(network, style=style_of(network, relu_1=0.2, relu_2=0.6))(map_).terms
    second = make(network, style=style_of(network, relu_1=2.0, relu_2=6.0))(map_).terms
    assert first["style"].item() == pytest.approx(second["style"].item())
    shares = 0.25 * first["style/relu_1"] + 0.75 * first["style/relu_2"]
    assert first["style"].item() == pytest.approx(shares.item())


@pytest.mark.parametrize("gain", [1e-3, 30.0])
def test_terms_do_not_depend_on_the_scale_of_the_network(gain: float) -> None:
    map_ = noise(1, 6, 40, seed=2)
    terms, scaled = make()(map_).terms, make(TinyNetwork(gain=gain))(map_).terms
    for name in ("content", "style", "histogram"):
        assert scaled[name].item() == pytest.approx(terms[name].item(), rel=1e-6)
    raw = make(raw=True)(map_).terms, make(TinyNetwork(gain=gain), raw=True)(map_).terms
    assert not 0.1 < float(raw[1]["style"] / raw[0]["style"]) < 10


class TestLength:
    """10 s against 20 s of the same texture, at ten columns a second."""

    def objectives(self, repetitions: int, raw: bool = False) -> tuple[Objective, Tensor]:
        network = TinyNetwork()
        content, style = (noise(1, 6, 100, seed=seed).repeat(1, 1, repetitions) for seed in (3, 4))
        target = style_of(network, style**2)
        weighted = replace(ALL, style_weight=5.0)
        return make(network, content=content, style=target, options=weighted, raw=raw), content

    def test_terms_of_a_repeated_map_are_the_same(self) -> None:
        short, _ = self.objectives(1)
        long, _ = self.objectives(2)
        map_ = 1.5 * noise(1, 6, 100, seed=5) - 0.2
        once, twice = short(map_).terms, long(map_.repeat(1, 1, 2)).terms
        for name, value in once.items():
            # Columns: 99 differences and 199, of which one is that between the two halves.
            assert twice[name].item() == pytest.approx(value.item(), rel=0.01 if name == "total_variation" else 1e-9)

    def test_terms_of_a_longer_stretch_of_the_texture_are_nearly_the_same(self) -> None:
        """No two stretches of noise are equal, but what they have in common must outweigh their lengths."""
        network = TinyNetwork()
        reports = []
        for columns in (2000, 4000):
            target = style_of(network, noise(1, 6, columns, seed=columns) ** 2)
            objective = make(network, content=noise(1, 6, columns, seed=columns + 1), style=target)
            reports.append(objective(0.2 * noise(1, 6, columns, seed=columns + 2) + 0.1).terms)
        for name in ("content", "style", "histogram", "total_variation"):
            assert reports[1][name].item() == pytest.approx(reports[0][name].item(), rel=0.1)

    @pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
    def test_the_balance_reached_is_the_same(self, optimizer: str) -> None:
        ends = []
        for repetitions in (1, 2):
            objective, content = self.objectives(repetitions)
            config = options(optimizer=optimizer, iterations=60, decay_iteration=50)
            ends.append(optimize(objective, content, config).history[-1].terms)
        for name in ("content", "style", "histogram"):
            assert 0 < ends[0][name] < 1
            assert ends[1][name] == pytest.approx(ends[0][name], rel=0.03)


class TestWithoutContent:
    options = options(tv_weight=0.3, histogram_weight=0.5)

    def test_the_start_stands_in(self) -> None:
        start = noise(1, 6, 33, seed=8)
        objective = make(content=None, options=self.options)
        objective.set_reference(start)
        terms = objective(start).terms
        assert "content" not in terms
        assert {round(value.item(), 9) for value in terms.values()} == {1.0}
        other = objective(noise(1, 6, 33, seed=9)).terms
        assert other["style"].item() != pytest.approx(1.0)

    def test_the_first_map_is_the_start_where_none_was_named(self) -> None:
        objective = make(content=None, options=self.options)
        start, other = noise(1, 6, 33, seed=8), noise(1, 6, 33, seed=9)
        assert objective(start).terms["style"].item() == pytest.approx(1.0)
        named = make(content=None, options=self.options)
        named.set_reference(start)
        torch.testing.assert_close(objective(other).total, named(other).total)

    def test_a_reference_is_measured_once_and_never_beside_content(self) -> None:
        for content in (None, CONTENT):
            objective = make(content=content)
            first = objective(CONTENT).total
            objective.set_reference(STYLE)
            torch.testing.assert_close(objective(CONTENT).total, first)


@pytest.mark.parametrize("content", [CONTENT, None])
@pytest.mark.parametrize("raw", [False, True])
def test_gradient_equals_finite_differences(content: Tensor | None, raw: bool) -> None:
    objective = make(content=content, raw=raw)
    map_ = 1.4 * noise(1, 6, 40, seed=2) - 0.2
    objective.set_reference(map_)
    columns = map_[:, :, 17:19].clone().requires_grad_()

    def total(columns: Tensor) -> Tensor:
        return objective(torch.cat([map_[:, :, :17], columns, map_[:, :, 19:]], dim=2)).total

    assert torch.autograd.gradcheck(total, (columns,))


def test_the_gradient_is_in_the_total_alone() -> None:
    report = make()(noise(1, 6, 40, seed=2).requires_grad_())
    assert report.total.requires_grad
    assert not any(value.requires_grad for value in report.terms.values())


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_equal_constant_maps_stay_finite(level: float) -> None:
    silence = torch.full((1, 6, 40), level)
    network = TinyNetwork()
    objective = make(network, content=silence, style=style_of(network, silence))
    assert objective(silence).total.item() == 0
    map_ = (silence + 0.01 * noise(1, 6, 40).float()).requires_grad_()
    (gradient,) = torch.autograd.grad(objective(map_).total, map_)
    assert math.isfinite(objective(map_).total.item()) and gradient.isfinite().all()


def test_a_style_equal_to_the_content_does_not_blow_up() -> None:
    network = TinyNetwork()
    objective = make(network, style=style_of(network, CONTENT))
    terms = objective(1.01 * CONTENT).terms
    # Gram matrices 1.0201 times as large, against the least reference, a part of 1e-8 of their mean square.
    assert terms["style"].item() == pytest.approx(0.0201**2 / 1e-8, rel=1e-6)


def test_only_the_layers_that_are_needed_are_asked_for() -> None:
    network = TinyNetwork()
    style = style_of(network)
    network.asked.clear()
    make(network, style=style, content_layers={"conv_2": 1.0}, options=options(style_weight=0.0))(CONTENT)
    make(network, style=style, content_layers={"conv_2": 1.0}, options=options(content_weight=0.0, style_weight=1.0))(
        CONTENT
    )
    assert network.asked == [{"conv_2"}] * 2 + [{"relu_1", "relu_2"}] * 2


def test_terms_without_weight_are_left_out() -> None:
    terms = make(options=options())(CONTENT).terms
    assert list(terms) == ["content", "style", "content/relu_2", "style/relu_1", "style/relu_2"]


def test_spread_is_the_larger_one_and_never_zero() -> None:
    network = TinyNetwork()
    style = style_of(network, 3 * CONTENT)
    assert make(network, style=style).spread == pytest.approx(3 * float(CONTENT.std(correction=0)))
    assert make(network, style=None).spread == pytest.approx(float(CONTENT.std(correction=0)))
    silence = torch.zeros(1, 6, 40)
    assert make(network, content=silence, style=style_of(network, silence)).spread == 1.0


def test_what_cannot_be_minimized_is_refused() -> None:
    network = TinyNetwork()
    with pytest.raises(ValueError, match="nothing to minimize"):
        make(content=None, style=None)
    with pytest.raises(ValueError, match="nothing to minimize"):
        make(content=None, options=options(style_weight=0.0))
    with pytest.raises(ValueError, match="measured without histograms"):
        make(style=style_of(network, histogram=False))
    with pytest.raises(ValueError, match="expected equal shapes"):
        make()(noise(1, 6, 41))


@pytest.mark.parametrize(
    ("layers", "given"),
    [({}, "none"), ({"relu_1": 0.0}, "relu_1:0"), ({"relu_1": 2.0, "relu_2": -1.0}, "relu_1:2, relu_2:-1")],
)
def test_weights_of_layers_that_cannot_be_are_refused(layers: dict[str, float], given: str) -> None:
    message = f"got the layers {given}; expected weights of at least 0, and one of them above 0"
    with pytest.raises(UserError, match=message):
        make(content_layers=layers)
    with pytest.raises(UserError, match=message):
        measure_style(TinyNetwork(), layout, STYLE, layers, False)  # type: ignore[arg-type]
