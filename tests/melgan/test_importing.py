"""Weights of the original repository: the original's waveform, and one line for what is no such file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from melgan.importing import import_published
from stylize_core.errors import UserError
from stylize_core.mel import MEL_PRESETS

VECTORS = Path(__file__).parent / "vectors"


@pytest.fixture
def published() -> dict[str, Tensor]:
    return torch.load(VECTORS / "melgan_ngf8.pt", weights_only=True)


def test_the_waveform_is_the_originals(published: dict[str, Tensor]) -> None:
    answer = np.load(VECTORS / "melgan_ngf8.npz")
    vocoder = import_published(published, "FILE")
    wav = vocoder(torch.from_numpy(answer["mel"]))
    assert np.abs(answer["wav"]).max() > 0.01
    np.testing.assert_allclose(wav.numpy(), answer["wav"], atol=1e-5)
    assert vocoder.mel_config == MEL_PRESETS["melgan"]
    assert vocoder.generator.config.width == 128


def test_weights_saved_from_several_gpus_have_a_prefix(published: dict[str, Tensor]) -> None:
    prefixed = {f"module.{name}": value for name, value in published.items()}
    plain, from_prefixed = (import_published(state, "FILE").state_dict() for state in (published, prefixed))
    assert plain.keys() == from_prefixed.keys()
    assert all(torch.equal(plain[name], from_prefixed[name]) for name in plain)


def without(name: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {key: value for key, value in state.items() if key != name}


def cut(name: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: state | {name: state[name][:, :-1].contiguous()}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: {}, "no key model.1.weight_v"),
        (lambda state: {"fc.weight": torch.ones(2, 2)}, "no key model.1.weight_v"),
        (lambda state: {"model.1.weight_v": state["model.1.weight_v"]}, "does not fit the paper's front-end"),
        (cut("model.1.weight_v"), r"does not fit the paper's front-end \(80 bins, hop 256\): n_mels is 79"),
        (without("model.1.weight_g"), "lacks the weight 'model.1.weight_g'"),
        (without("model.3.bias"), "lacks the weight 'model.3.bias'"),
        (without("model.4.block.2.weight_v"), "lacks the weight 'model.4.block.2.weight_v'"),
        (without("model.4.shortcut.bias"), "lacks the weight 'model.4.shortcut.bias'"),
        (cut("model.4.block.2.weight_v"), "1 of another shape"),
        (lambda state: state | {"model.1.weight_v": torch.ones(8)}, "more than 1-D convolutions"),
        (lambda state: state | {"model.1.weight_g": torch.ones(3)}, r"length of shape \(3,\)"),
        (lambda state: state | {"model.3.weight_v": 0 * state["model.3.weight_v"]}, "NaN or infinite"),
    ],
)
def test_what_is_no_published_generator_is_said(
    published: dict[str, Tensor], change: Callable[[dict[str, Tensor]], dict[str, Tensor]], problem: str
) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        import_published(change(published), "FILE")
    assert "FILE" in str(caught.value) and "\n" not in str(caught.value)
