"""Feature networks: what their layers compute, how far they look, and what the loader gives and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from stylize.models import BUNDLED_TRANSLATOR, BUNDLED_VOCODER
from stylize.optimize.networks import (
    FeatureNetwork,
    MelFeatures,
    RandomNetwork,
    RandomNetworkConfig,
    describe_layers,
    siamese_features,
)
from stylize.optimize.transfer import load_network
from stylize_core.errors import UserError
from stylize_core.layers import scale_mel
from stylize_core.mel import MEL_PRESETS, LogMel
from travelgan import Translator

if TYPE_CHECKING:
    from tests.conftest import TinyModels


def random_network(**values: Any) -> RandomNetwork:
    """A narrow one."""
    return RandomNetwork(RandomNetworkConfig(**{"in_channels": 3, "width": 4, "kernel": 3, **values}))


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def siamese() -> MelFeatures:
    translator = Translator.from_pretrained(BUNDLED_TRANSLATOR)
    return siamese_features(translator.siamese, translator.mel_config)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, ("conv_1", "relu_1")),
        ({"layers": 2, "pool": 2}, ("conv_1", "relu_1", "pool_1", "conv_2", "relu_2", "pool_2")),
        ({"batchnorm": True, "pool": 3}, ("conv_1", "batchnorm_1", "relu_1", "pool_1")),
        ({"dimensions": 2, "batchnorm": True}, ("conv_1", "batchnorm_1", "relu_1")),
    ],
)
def test_names_and_order_of_random_layers(values: dict[str, Any], names: tuple[str, ...]) -> None:
    network = random_network(**values)
    assert network.layer_names == names
    x = seeded(1, 3, 12) if network.dimensions == 1 else seeded(1, 3, 12, 13)
    assert tuple(network(x, set(names))) == names
    assert list(network(x, [names[-1], names[0]])) == [names[0], names[-1]]


def test_a_convolution_by_hand() -> None:
    network = random_network(in_channels=1, width=1)
    network.chain["conv_1"].weight.copy_(torch.tensor([[[1.0, 10.0, 100.0]]]))
    features = network(torch.tensor([[[1.0, -2.0, 3.0]]]), ["conv_1", "relu_1"])
    # Continued by reflection: -2, 1, -2, 3, -2.
    assert features["conv_1"].tolist() == [[[-2 + 10 - 200, 1 - 20 + 300, -2 + 30 - 200]]]
    assert features["relu_1"].tolist() == [[[0, 281, 0]]]


def test_an_even_kernel_looks_one_further_ahead_than_back() -> None:
    network = random_network(in_channels=1, width=1, kernel=2)
    network.chain["conv_1"].weight.copy_(torch.tensor([[[1.0, 10.0]]]))
    assert network(torch.tensor([[[1.0, 2.0, 3.0]]]), ["conv_1"])["conv_1"].tolist() == [[[21, 32, 23]]]


def test_two_dimensions_against_the_padding_of_pytorch() -> None:
    network = random_network(dimensions=2, kernel=5)
    x = seeded(1, 3, 9, 11)
    expected = nn.functional.conv2d(nn.functional.pad(x, (2, 2, 2, 2), mode="reflect"), network.chain["conv_1"].weight)
    torch.testing.assert_close(network(x, ["conv_1"])["conv_1"], expected)


def test_a_signal_shorter_than_the_kernel_is_reflected_to_and_fro() -> None:
    assert random_network(kernel=11)(seeded(1, 3, 2), ["relu_1"])["relu_1"].shape == (1, 4, 2)


def test_batchnorm_is_that_of_pytorch_in_training() -> None:
    network = random_network(batchnorm=True, pool=2)
    features = network(seeded(1, 3, 20), network.layer_names)
    torch.testing.assert_close(features["batchnorm_1"], nn.BatchNorm1d(4, affine=False)(features["conv_1"]))
    torch.testing.assert_close(features["pool_1"], nn.functional.max_pool1d(features["relu_1"], 2))
    two = random_network(batchnorm=True, dimensions=2)(seeded(1, 3, 6, 7), ["conv_1", "batchnorm_1"])
    torch.testing.assert_close(two["batchnorm_1"], nn.BatchNorm2d(4, affine=False)(two["conv_1"]))
    silence = network(torch.zeros(1, 3, 20), ["batchnorm_1"])["batchnorm_1"]
    assert not silence.any()


def test_the_same_seed_gives_the_same_weights_and_the_global_generator_has_no_part_in_it() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = random_network(seed=5, layers=2).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second = random_network(seed=5, layers=2).state_dict()
    other = random_network(seed=6, layers=2).state_dict()
    assert list(first) == ["chain.conv_1.weight", "chain.conv_2.weight"]
    for name, value in first.items():
        assert torch.equal(value, second[name])
        assert not torch.equal(value, other[name])


def test_he_scaling_keeps_the_size_of_signals() -> None:
    network = random_network(in_channels=64, width=512, kernel=5, layers=3)
    assert float(network.chain["conv_1"].weight.std()) == pytest.approx((2 / (64 * 5)) ** 0.5, rel=0.02)
    features = network(seeded(1, 64, 200), network.layer_names)
    # A ReLU halves the mean square, the next convolution doubles it.
    for block in (1, 2, 3):
        assert float(features[f"conv_{block}"].square().mean()) == pytest.approx(2.0, rel=0.15)


@pytest.mark.parametrize(("wanted", "calls"), [(["conv_1"], 1), (["relu_1"], 2), (["pool_2", "conv_1"], 6), ([], 0)])
def test_nothing_is_computed_beyond_the_deepest_wanted_layer(wanted: list[str], calls: int) -> None:
    network = random_network(layers=4, pool=2)
    counted: list[str] = []
    for name, module in network.chain.items():
        module.register_forward_hook(lambda *_, name=name: counted.append(name))
    network(seeded(1, 3, 64), wanted)
    assert counted == list(network.layer_names[:calls])


def sees(network: FeatureNetwork, layer: str, shape: tuple[int, ...]) -> int:
    """Positions along the last axis, from the first to the last, whose change reaches one value of a layer."""
    seen: set[int] = set()
    for trial in range(6):  # a maximum hides what is below it, and a ReLU half of all
        x = seeded(*shape, seed=trial)
        before = network(x, [layer])[layer]
        middle = before.shape[-1] // 2
        for position in range(shape[-1]):
            changed = x.clone()
            changed[..., position] += 3.0 if trial % 2 else -3.0
            if not torch.equal(network(changed, [layer])[layer][..., middle], before[..., middle]):
                seen.add(position)
    return max(seen) - min(seen) + 1


@pytest.mark.parametrize("layer", ["relu_1", "pool_1", "conv_2", "pool_2", "relu_3"])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_receptive_field_of_a_random_network(dimensions: int, layer: str) -> None:
    network = random_network(dimensions=dimensions, layers=3, pool=2)
    shape = (1, 3, 60) if dimensions == 1 else (1, 3, 8, 60)
    assert sees(network, layer, shape) == network.receptive_field(layer)
    by_hand = {"relu_1": 3, "pool_1": 4, "conv_2": 8, "pool_2": 10, "relu_3": 18}
    assert network.receptive_field(layer) == by_hand[layer]


def test_the_receptive_field_of_a_siamese_trunk(tiny_models: TinyModels) -> None:
    translator = Translator.from_pretrained(tiny_models.translator)
    network = siamese_features(translator.siamese, translator.mel_config)
    for norm in ("norm_2", "norm_3"):
        network.chain[norm] = nn.Identity()  # group normalisation looks at everything
    for layer, by_hand in (("conv_1", 5), ("relu_2", 9), ("relu_3", 17)):
        assert sees(network, layer, (1, 12, 64)) == network.receptive_field(layer) == by_hand


def test_siamese_features_are_those_of_the_trunk(siamese: MelFeatures) -> None:
    translator = Translator.from_pretrained(BUNDLED_TRANSLATOR)
    log_mel = LogMel(MEL_PRESETS["music"])(0.1 * seeded(1, 256 * 40))
    assert siamese.layer_names == (
        "conv_1", "relu_1", "conv_2", "norm_2", "relu_2", "conv_3", "norm_3", "relu_3", "conv_4", "norm_4", "relu_4",
    )  # fmt: skip
    features = siamese(log_mel + 5.0, siamese.layer_names)
    expected = scale_mel(log_mel)
    for name, module in zip(siamese.layer_names, translator.siamese.trunk, strict=True):
        expected = module(expected)
        torch.testing.assert_close(features[name], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(features["relu_4"], translator.siamese.trunk(scale_mel(log_mel)), atol=1e-5, rtol=1e-5)


def test_networks_are_frozen_and_let_gradients_through(siamese: MelFeatures) -> None:
    for network in (random_network(batchnorm=True), siamese):
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())
        x = seeded(1, network.in_channels, 40).requires_grad_()
        deepest = network.layer_names[-1]
        network(x, [deepest])[deepest].square().sum().backward()
        assert x.grad is not None and x.grad.abs().sum() > 0


def test_default_layers_exist(siamese: MelFeatures) -> None:
    for network in (random_network(layers=3), siamese):
        network.check_layers(network.default_content_layers)
        network.check_layers(network.default_style_layers)
        assert network.default_content_layers and network.default_style_layers
    assert random_network(layers=3).default_style_layers == {"relu_1": 1.0, "relu_2": 1.0, "relu_3": 1.0}
    assert random_network(layers=3).default_content_layers == {"relu_3": 1.0}


def test_an_unknown_layer_is_named_with_the_known_ones() -> None:
    network = random_network(layers=2)
    expected = "unknown layer 'relu_9'; this network has: conv_1, relu_1, conv_2, relu_2"
    with pytest.raises(UserError, match=expected):
        network(seeded(1, 3, 9), ["relu_1", "relu_9"])
    with pytest.raises(UserError, match=expected):
        network.receptive_field("relu_9")


def test_shapes_that_do_not_fit_are_refused() -> None:
    network = random_network(layers=3, pool=4)
    with pytest.raises(ValueError, match=r"expected \(B, 3, positions\), got \(1, 2, 64\)"):
        network(seeded(1, 2, 64), ["relu_1"])
    with pytest.raises(ValueError, match=r"expected \(B, 3, positions\)"):
        network(seeded(3, 64), ["relu_1"])
    assert network(seeded(1, 3, 64), ["pool_3"])["pool_3"].shape == (1, 4, 1)
    with pytest.raises(UserError, match="layer pool_3 needs 64 positions at least, got 63"):
        network(seeded(1, 3, 63), ["pool_3", "conv_1"])
    assert network(seeded(1, 3, 63), ["conv_3"])["conv_3"].shape == (1, 4, 3)


@pytest.mark.parametrize(
    "values", [{"dimensions": 3}, {"layers": 0}, {"width": 0}, {"kernel": -1}, {"pool": 0}, {"seed": -1}]
)
def test_impossible_random_networks(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        RandomNetworkConfig(**values)  # type: ignore[arg-type]


def test_a_random_network_that_is_too_large_is_refused_in_one_line() -> None:
    for random in ({"width": 10**6}, {"layers": 65}):
        with pytest.raises(UserError, match="random network"):
            load_network("random", shape=(1, 192, 40), layout="frequency", random=random)


def test_layers_are_described() -> None:
    assert describe_layers(random_network(layers=2, pool=2)) == [
        "conv_1: 4 channels, sees 3 positions",
        "relu_1: 4 channels, sees 3 positions",
        "pool_1: 4 channels, sees 4 positions",
        "conv_2: 4 channels, sees 8 positions",
        "relu_2: 4 channels, sees 8 positions",
        "pool_2: 4 channels, sees 10 positions",
    ]
    assert describe_layers(random_network(dimensions=2))[0] == "conv_1: 4 channels, sees 3 x 3 positions"


@pytest.mark.parametrize(("layout", "dimensions", "in_channels"), [("frequency", 1, 6), ("time", 1, 8), ("2d", 2, 2)])
def test_a_random_network_takes_its_shape_from_the_input(layout: str, dimensions: int, in_channels: int) -> None:
    network = load_network("random", shape=(2, 3, 4), layout=layout, random={"width": 5, "kernel": 3, "seed": 3})
    assert isinstance(network, RandomNetwork)
    assert (network.dimensions, network.in_channels) == (dimensions, in_channels)
    assert (network.config.filters, network.config.seed) == (5, 3)


def test_default_widths_and_kernels() -> None:
    wide = load_network("random", shape=(1, 3, 40), layout="frequency")
    assert wide.chain["conv_1"].weight.shape == (2048, 3, 11)
    assert load_network("random", shape=(1, 3, 40), layout="2d").chain["conv_1"].weight.shape == (64, 1, 5, 5)


def test_a_random_network_survives_its_folder(tmp_path: Path) -> None:
    network = random_network(layers=2, batchnorm=True, pool=2, seed=7)
    with torch.no_grad():
        network.chain["conv_1"].weight.mul_(1.5)  # the weights count, not the seed
    network.save_pretrained(tmp_path / "net")
    document = json.loads((tmp_path / "net" / "config.json").read_text())
    assert document["kind"] == "random-network"
    loaded = load_network(str(tmp_path / "net"), shape=(1, 3, 50), layout="frequency", representation="stft")
    assert isinstance(loaded, RandomNetwork) and loaded.config == network.config
    x = seeded(1, 3, 50)
    for name, value in network(x, network.layer_names).items():
        assert torch.equal(loaded(x, [name])[name], value)
    with pytest.raises(UserError, match="reads 3 channels in 1 dimensions, the input has 4 in 1"):
        load_network(str(tmp_path / "net"), shape=(1, 4, 50), layout="frequency")


def test_a_folder_with_foreign_weights(tmp_path: Path) -> None:
    random_network().save_pretrained(tmp_path / "net")
    config = json.loads((tmp_path / "net" / "config.json").read_text())
    for change, problem in (({"width": 5}, "do not fit"), ({"depth": 5}, "unknown key 'depth'"), ({"pool": 0}, "pool")):
        changed = config | {"model": config["model"] | change}
        (tmp_path / "net" / "config.json").write_text(json.dumps(changed))
        with pytest.raises(UserError, match=problem):
            load_network(str(tmp_path / "net"), shape=(1, 3, 50), layout="frequency")


def test_the_networks_of_the_project_by_name_and_by_folder(siamese: MelFeatures) -> None:
    fitting = {"shape": (1, 192, 40), "layout": "frequency", "representation": "mel"}
    x = seeded(1, 192, 40).abs()
    for network in (
        load_network("siamese", **fitting),  # type: ignore[arg-type]
        load_network("siamese", model=BUNDLED_TRANSLATOR, **fitting),  # type: ignore[arg-type]
        load_network(str(BUNDLED_TRANSLATOR), **fitting),  # type: ignore[arg-type]
    ):
        assert torch.equal(network(x, ["relu_2"])["relu_2"], siamese(x, ["relu_2"])["relu_2"])


def test_an_autoencoder_folder_is_read_by_its_own_loader(tmp_path: Path) -> None:
    from stylize.optimize.autoencoder import Autoencoder, AutoencoderConfig

    autoencoder = Autoencoder(AutoencoderConfig(widths=(4, 3), kernels=(3, 3), strides=(1, 2)), MEL_PRESETS["music"])
    autoencoder.save_pretrained(tmp_path / "model", {})
    for name, model in ((str(tmp_path / "model"), None), ("autoencoder", tmp_path / "model")):
        network = load_network(name, shape=(1, 192, 40), layout="frequency", representation="mel", model=model)
        assert network.layer_names == ("conv_1", "relu_1", "conv_2", "relu_2")
        assert network(torch.zeros(1, 192, 40), ["relu_2"])["relu_2"].shape == (1, 3, 20)
        assert sees(network, "conv_2", (1, 192, 24)) == network.receptive_field("conv_2") == 5


@pytest.mark.parametrize(
    ("name", "changes", "problem"),
    [
        (
            "randem",
            {},
            "unknown network 'randem'; did you mean random. known: random, autoencoder, siamese, vgg19, or a",
        ),
        ("siamese", {"representation": "stft"}, "knows mel spectrograms alone, got the representation stft"),
        ("autoencoder", {"representation": None}, "knows mel spectrograms alone, got a picture"),
        (str(BUNDLED_TRANSLATOR), {"representation": "cqt"}, "siamese knows mel spectrograms alone"),
        ("siamese", {"layout": "2d"}, "takes mel bands as channels, got the layout 2d"),
        ("siamese", {"shape": (1, 80, 40)}, "reads 192 channels in 1 dimensions, the input has 80 in 1"),
        (
            str(BUNDLED_VOCODER),
            {},
            "holds a vocoder; a network is a folder of: random-network, autoencoder, translator",
        ),
        ("siamese", {"model": BUNDLED_VOCODER}, "holds a vocoder, a translator is needed"),
        ("random", {"model": BUNDLED_VOCODER}, "only autoencoder and siamese take one"),
        ("random", {"weights": Path("vgg19.pth")}, "only vgg19 reads a weight file"),
        ("vgg19", {}, "use 2d"),
        (str(Path(__file__)), {}, "is a file; a model is a folder"),
    ],
)
def test_networks_that_cannot_be_had(name: str, changes: dict[str, Any], problem: str) -> None:
    values = {"shape": (1, 192, 40), "layout": "frequency", "representation": "mel", **changes}
    with pytest.raises(UserError, match=problem) as refusal:
        load_network(name, **values)
    assert "\n" not in str(refusal.value)


def test_a_translator_of_another_front_end(tiny_models: TinyModels) -> None:
    with pytest.raises(UserError, match=r"another mel front-end \(wanted / its\): n_mels: 192 / 12"):
        load_network(
            "siamese", shape=(1, 12, 40), layout="frequency", representation="mel", model=tiny_models.translator
        )
