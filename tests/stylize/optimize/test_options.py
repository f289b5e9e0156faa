"""Options that cannot be are refused in one line, before PyTorch is loaded."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stylize.evaluate.compare import CompareOptions
from stylize.listening.plan import BuildOptions
from stylize.optimize.options import OptimizeOptions, check_network, check_representation, parse_layers
from stylize_core.errors import UserError

FOLDER = Path("some/folder")


@pytest.mark.parametrize(
    ("name", "inverse", "vocoder", "problem"),
    [
        ("mell", "auto", None, "unknown representation 'mell'; did you mean mel. known: mel, stft, cqt"),
        ("mel", "magic", None, "unknown inverse 'magic'; known: auto, vocoder, griffin-lim"),
        ("stft", "vocoder", None, "got the representation stft; use griffin-lim"),
        ("cqt", "auto", FOLDER, "got the vocoder some/folder and the representation cqt"),
        ("mel", "griffin-lim", FOLDER, "representation mel through griffin-lim, which needs none"),
    ],
)
def test_refused_representations(name: str, inverse: str, vocoder: Path | None, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        check_representation(name, inverse, vocoder)


@pytest.mark.parametrize(
    ("network", "representation", "layout", "files", "problem"),
    [
        ("random", "mel", "3d", {}, "unknown layout '3d'"),
        ("vgg19", None, "time", {}, "got the layout time; use 2d"),
        ("siamese", "stft", "frequency", {}, "knows mel spectrograms alone, got the representation stft"),
        ("autoencoder", None, "2d", {}, "knows mel spectrograms alone, got a picture"),
        ("siamese", "mel", "time", {}, "takes mel bands as channels, got the layout time; use frequency"),
        ("random", "mel", "2d", {"weights": FOLDER}, "only vgg19 reads a weight file"),
        ("vgg19", "mel", "2d", {"model": FOLDER}, "only autoencoder and siamese take one"),
    ],
)
def test_refused_networks(
    network: str, representation: str | None, layout: str, files: dict[str, Path], problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        check_network(network, representation, layout, **files)


def test_what_goes_together_is_accepted() -> None:
    check_representation("mel", "vocoder", FOLDER)
    check_representation("mel", "auto", FOLDER)
    check_representation("stft", "griffin-lim")
    check_network("siamese", "mel", "frequency", model=FOLDER)
    check_network("vgg19", None, "2d", weights=FOLDER)
    check_network("random", "cqt", "time")


def test_the_module_does_without_pytorch() -> None:
    code = "import sys, stylize.optimize.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"style_weight": -1.0}, "got --style-weight -1; expected a number of at least 0"),
        ({"tv_weight": math.nan}, "got --tv-weight nan"),
        ({"bound_weight": math.inf}, "got --bound-weight inf"),
        ({"content_weight": 0.0, "style_weight": 0.0, "bound_weight": 1.0}, "content, style and histogram are all 0"),
        ({"optimizer": "sgd"}, "unknown optimizer 'sgd'; known: lbfgs, adam"),
        ({"iterations": 0}, "got --iterations 0; expected a whole number of at least 1"),
        ({"decay_iteration": -1}, "got --decay-iteration -1; expected at least 0"),
        ({"learning_rate": 0.0}, "got --learning-rate 0; expected a number above 0"),
        ({"decayed_learning_rate": math.inf}, "got --decayed-learning-rate inf"),
        ({"tolerance": 1.0}, "got --tolerance 1; expected a number from 0 to below 1"),
        ({"tolerance": math.nan}, "got --tolerance nan"),
        ({"loudness": "loud"}, "got the loudness 'loud'; expected song, off, or"),
        ({"init_lower": 1.0}, "got --init-lower 1 and --init-upper 1; the first must be the lower one"),
        ({"init_std": 0.0}, "got --init-std 0; expected"),
        ({"init_mean": math.nan}, "got --init-mean nan"),
        ({"init_upper": math.inf}, "got --init-upper inf"),
        (
            {"init": "truncated-normal", "init_mean": 9.0, "init_std": 1.0},
            r"6 standard .* \(1\) from its mean 9",
        ),
        ({"init": "truncated-normal", "init_mean": -9.0, "init_std": 1.0}, r"\(1\) from its mean -9"),
    ],
)
def test_values_that_cannot_be_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        OptimizeOptions(Path("a.wav"), Path("b.wav"), **values)
    assert "\n" not in str(refusal.value)


def test_a_single_weight_is_enough() -> None:
    for name in ("content_weight", "style_weight", "histogram_weight"):
        weights = {"content_weight": 0.0, "style_weight": 0.0} | {name: 1e-9}
        assert getattr(OptimizeOptions(Path("a.wav"), Path("b.wav"), **weights), name) == 1e-9


def test_every_baseline_has_the_same_defaults() -> None:
    assert OptimizeOptions.content_weight == 0.003
    for name in ("content_weight", "iterations"):
        assert getattr(OptimizeOptions, name) == getattr(BuildOptions, name) == getattr(CompareOptions, name)


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("relu_1", {"relu_1": 1.0}),
        ("relu_1:2, relu_3 : 0.5,conv_2", {"relu_1": 2.0, "relu_3": 0.5, "conv_2": 1.0}),
    ],
)
def test_layers_with_weights(text: str, layers: dict[str, float]) -> None:
    assert parse_layers("--style-layer", text) == layers


@pytest.mark.parametrize("text", ["", "a,", ":1", "a:-1", "a:inf", "a:nan", "a:b", "a,a:2"])
def test_layers_that_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--style-layer"):
        parse_layers("--style-layer", text)
