"""VGG-19 from a file: the same features as torchvision's network, and nothing but tensors is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision import transforms
from torchvision.models import vgg

from stylize.optimize.networks import describe_layers
from stylize.optimize.transfer import load_network
from stylize.optimize.vgg import VGG19Features, load_vgg19
from stylize_core.errors import UserError

CONVOLUTIONS = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256),
                16: (256, 256), 19: (256, 512), 21: (512, 512), 23: (512, 512), 25: (512, 512), 28: (512, 512),
                30: (512, 512), 32: (512, 512), 34: (512, 512)}  # fmt: skip
"""Numbers of the convolutions among torchvision's layers, inputs and outputs."""


@pytest.fixture(scope="module")
def state_dict() -> dict[str, Tensor]:
    """Random weights that keep the size of signals, named as torchvision names them."""
    generator = torch.Generator().manual_seed(0)
    values = {}
    for index, (inputs, outputs) in CONVOLUTIONS.items():
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator) * (2 / (9 * inputs)) ** 0.5
        values[f"features.{index}.weight"] = weight
        values[f"features.{index}.bias"] = 0.1 * torch.randn(outputs, generator=generator)
    return values


@pytest.fixture(scope="module")
def network(state_dict: dict[str, Tensor]) -> VGG19Features:
    return VGG19Features(state_dict)


@pytest.fixture(scope="module")
def picture() -> Tensor:
    return torch.rand(1, 3, 40, 33, generator=torch.Generator().manual_seed(1))


def test_names_and_default_layers(network: VGG19Features) -> None:
    names = []
    for stage, count in enumerate((2, 2, 4, 4, 4), start=1):
        for place in range(1, count + 1):
            names += [f"conv{stage}_{place}", f"relu{stage}_{place}"]
        names.append(f"pool{stage}")
    assert network.layer_names == tuple(names)
    assert network.default_content_layers == {"conv4_2": 1.0}
    assert list(network.default_style_layers) == ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]


def test_features_are_those_of_torchvision(
    network: VGG19Features, state_dict: dict[str, Tensor], picture: Tensor
) -> None:
    layers = vgg.make_layers(vgg.cfgs["E"])
    layers.load_state_dict({name.removeprefix("features."): value for name, value in state_dict.items()})
    standardize = transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    assert len(layers) == len(network.layer_names)
    features = network(picture, network.layer_names)
    with torch.no_grad():
        expected = standardize(picture)
        for name, layer in zip(network.layer_names, layers, strict=True):
            expected = layer(expected.clone())  # torchvision's ReLUs overwrite their input
            torch.testing.assert_close(features[name], expected, atol=1e-4, rtol=1e-4)


def test_one_plane_is_repeated(network: VGG19Features) -> None:
    gray = torch.rand(1, 1, 16, 16)
    layers = ["relu1_1", "relu2_1"]
    repeated = network(gray.expand(-1, 3, -1, -1), layers)
    for name, value in network(gray, layers).items():
        assert torch.equal(value, repeated[name])
    with pytest.raises(ValueError, match="expected"):
        network(torch.rand(1, 2, 16, 16), layers)


def test_receptive_fields_and_least_sizes(network: VGG19Features) -> None:
    # Two convolutions of 3 see 5; pooling by 2 adds the step and doubles it.
    by_hand = {"conv1_1": 3, "relu1_2": 5, "pool1": 6, "conv2_1": 10, "pool2": 16, "relu3_1": 24, "conv4_2": 84}
    assert {name: network.receptive_field(name) for name in by_hand} == by_hand
    assert describe_layers(network)[-1] == "pool5: 512 channels, sees 268 x 268 positions"
    with pytest.raises(UserError, match="layer pool3 needs 8 positions at least, got 7"):
        network(torch.rand(1, 3, 7, 30), ["pool3"])


def test_gradients_reach_the_picture_and_not_the_weights(network: VGG19Features) -> None:
    map_ = torch.rand(1, 3, 16, 16, requires_grad=True)
    network(map_, ["relu2_1"])["relu2_1"].square().sum().backward()
    assert map_.grad is not None and map_.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.fixture(scope="module")
def weight_file(state_dict: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg.pth"
    torch.save(state_dict | {"classifier.0.weight": torch.ones(2, 2)}, path)
    return path


def test_a_state_dict_is_read_from_either_kind_of_file(
    weight_file: Path, state_dict: dict[str, Tensor], network: VGG19Features, tmp_path: Path
) -> None:
    tensors = {name.removeprefix("features."): value.half() for name, value in state_dict.items()}
    save_file(tensors, tmp_path / "vgg.safetensors")
    assert torch.equal(load_vgg19(weight_file).chain["conv5_4"].weight, network.chain["conv5_4"].weight)
    half = load_vgg19(tmp_path / "vgg.safetensors").chain["conv5_4"].weight
    torch.testing.assert_close(half, network.chain["conv5_4"].weight, atol=1e-4, rtol=1e-3)


def test_the_hub_cache_is_looked_into_and_nothing_is_fetched(
    weight_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: VGG19Features
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", None)
    fitting: dict[str, Any] = {"shape": (3, 40, 40), "layout": "2d"}
    with pytest.raises(UserError) as refusal:
        load_network("vgg19", **fitting)
    for part in ("vgg19-dcbb9e9d.pth", str(tmp_path / "hub" / "checkpoints"), "--weights", "--network random"):
        assert part in str(refusal.value)
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth").symlink_to(weight_file)
    found = load_network("vgg19", **fitting)
    assert torch.equal(found.chain["conv1_1"].weight, network.chain["conv1_1"].weight)
    one_plane = load_network("vgg19", shape=(1, 40, 40), layout="2d", representation="stft")
    assert one_plane.in_channels == 3
    with pytest.raises(UserError, match="the input has 2 in 2"):
        load_network("vgg19", shape=(2, 40, 40), layout="2d")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "sprung")


@pytest.mark.parametrize("archive", [True, False])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, archive: bool) -> None:
    file, sprung = tmp_path / "weights.pth", tmp_path / "sprung"
    state = {"features.0.weight": torch.ones(2), "extra": Trap(sprung)}
    torch.save(state, file, _use_new_zipfile_serialization=archive)
    with pytest.raises(UserError, match="is not a plain state dict of tensors"):
        load_vgg19(file)
    assert not sprung.exists()
    torch.load(file, weights_only=False)  # the trap is a real one
    assert sprung.exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02", b"hello world, no weights"])
def test_files_that_are_no_weights(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="is (not a plain state dict|no safetensors file)") as refusal:
        load_vgg19(tmp_path / name)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("missing", ["no.pth", "."])
def test_a_missing_file(tmp_path: Path, missing: str) -> None:
    with pytest.raises(UserError, match="weight file not found: .*--weights FILE; --network random works without"):
        load_vgg19(tmp_path / missing)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"features.34.bias": None}, "features.34.bias is missing"),
        (
            {"features.5.weight": torch.ones(64, 64, 3, 3)},
            r"features.5.weight has shape \(64, 64, 3, 3\), expected \(128,",
        ),
        ({"features.0.weight": 3}, "features.0.weight is missing"),
        ({"features.2.bias": torch.full((64,), torch.nan)}, "features.2.bias holds NaN or infinite values"),
    ],
)
def test_weights_that_do_not_fit(state_dict: dict[str, Tensor], changes: dict[str, Any], problem: str) -> None:
    changed = {name: value for name, value in (state_dict | changes).items() if value is not None}
    with pytest.raises(UserError, match=problem):
        VGG19Features(changed, "weights.pth")


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (
            {"fc.weight": torch.ones(2, 2)},
            "weights.pth holds no VGG-19: expected keys such as features.0.weight, got fc",
        ),
        ({}, "got none"),
        ({1: torch.ones(2)}, "is not a plain state dict"),
        ([torch.ones(2)], "is not a plain state dict"),
    ],
)
def test_a_foreign_state_dict(tmp_path: Path, state: Any, problem: str) -> None:
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=problem):
        load_vgg19(tmp_path / "weights.pth")
