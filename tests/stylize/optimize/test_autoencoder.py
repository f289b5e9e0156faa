"""The autoencoder: shapes, no view beyond its neighbourhood, model folders, and its encoder as a feature network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from stylize.evaluate.speed import DEMO_SONG
from stylize.optimize.autoencoder import (
    BUNDLED_AUTOENCODER,
    Autoencoder,
    AutoencoderConfig,
    autoencoder_features,
)
from stylize.optimize.networks import FeatureNetwork
from stylize.optimize.transfer import load_network
from stylize_core.audio.reader import read_audio
from stylize_core.errors import UserError
from stylize_core.mel import MEL_PRESETS, LogMel, MelConfig
from stylize_core.model_folder import save_pretrained

CONFIG = AutoencoderConfig(widths=(10, 6, 4), kernels=(5, 3, 3), strides=(1, 2, 2))
MEL = MelConfig(n_mels=12)


def tiny(seed: int = 0, config: AutoencoderConfig = CONFIG, mel_config: MelConfig = MEL) -> Autoencoder:
    torch.manual_seed(seed)
    return Autoencoder(config, mel_config)


def load(folder: Path) -> FeatureNetwork:
    return load_network("autoencoder", shape=(1, 192, 40), layout="frequency", representation="mel", model=folder)


def some_mel(frames: int, bands: int = 12, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, bands, frames, generator=torch.Generator().manual_seed(frames)) * 6 - 5


@pytest.mark.parametrize("frames", [1, 3, 4, 5, 7, 40, 41, 42, 43])
def test_the_mel_keeps_its_shape(frames: int) -> None:
    mel = some_mel(frames)
    assert tiny()(mel).shape == mel.shape


def test_the_bottleneck_is_narrow_and_slow() -> None:
    assert tiny().encode(some_mel(40)).shape == (2, 4, 10)
    default = AutoencoderConfig()
    assert default.frames_per_code == 4
    # 64 values for 4 columns of 192 bands.
    assert Autoencoder(default, MEL_PRESETS["music"]).encode(some_mel(40, 192, 1)).shape == (1, 64, 10)


@pytest.mark.parametrize("shape", [(12, 40), (1, 11, 40), (1, 12, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(batch, 12, at least 4 frames\)"):
        tiny().encode(torch.zeros(shape))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"widths": (10, 6)}, "must name the same number of layers"),
        ({"widths": (), "kernels": (), "strides": ()}, "at least one"),
        ({"kernels": (5, 4, 3)}, "kernels must be odd"),
        ({"widths": (10, 0, 4)}, "must be positive"),
        ({"strides": (1, 2, 0)}, "must be positive"),
        ({"kernels": (5, 1, 3)}, "must not be smaller than the strides"),
    ],
)
def test_impossible_layers_are_refused(changes: dict[str, tuple[int, ...]], problem: str) -> None:
    layers = {"widths": (10, 6, 4), "kernels": (5, 3, 3), "strides": (1, 2, 2)}
    with pytest.raises(ValueError, match=problem):
        AutoencoderConfig(**(layers | changes))


def test_a_change_is_seen_in_its_neighbourhood_alone() -> None:
    """No statistics over time: far from a changed column the reconstruction is the same to the bit."""
    model, mel = tiny(), some_mel(120, batch=1)
    changed = mel.clone()
    changed[..., 60] += 1.0
    with torch.no_grad():
        moved = (model(changed) != model(mel)).any(dim=1)[0].nonzero()[:, 0]
    # Half of 5 + 2 + 2 * 2 columns of the encoder and of 4 * 3 + 2 * 2 + 4 of the decoder, and a bottleneck column.
    assert 60 in moved and moved.min() >= 60 - 19 and moved.max() <= 60 + 19


def test_the_encoder_is_what_plain_functions_make_of_its_weights() -> None:
    model, mel = tiny(), some_mel(41)
    x = (mel + 2) / 3
    for index, (kernel, stride) in enumerate(((5, 1), (3, 2), (3, 2))):
        weight = model.get_parameter(f"encoder.{index}.convolution.weight")
        bias = model.get_parameter(f"encoder.{index}.convolution.bias")
        padding = kernel - stride
        x = functional.pad(x, (padding // 2, padding - padding // 2), mode="reflect")
        x = functional.conv1d(x, weight, bias, stride=stride)
        x = torch.maximum(x, 0.2 * x)
    torch.testing.assert_close(model.encode(mel), x)


def test_the_decoder_can_say_any_mel() -> None:
    """The last layer is linear: values below -2, where the scaled mel is negative, are reached."""
    made = tiny()(some_mel(40))
    assert made.min() < -2 < made.max()


def test_adapted_layers_have_mean_0_and_deviation_1() -> None:
    """On data whose bands rise and fall together, as those of music do."""
    generator = torch.Generator().manual_seed(0)
    loudness, bands = torch.randn(8, 1, 41, generator=generator), torch.linspace(-1, -4, 12)[:, None]
    mel = bands + 0.6 * loudness + 0.3 * torch.randn(8, 12, 41, generator=generator)
    model = tiny()
    made: dict[str, torch.Tensor] = {}
    for name, layer in [
        *model.encoder.named_children(),
        *((f"back {n}", m) for n, m in model.decoder.named_children()),
    ]:
        layer.register_forward_hook(lambda _, __, output, name=name: made.__setitem__(name, output))
    model.adapt(mel)
    made.clear()
    first = model.decode(model.encode(mel))
    assert list(made) == ["0", "1", "2", "back 0", "back 1", "back 2"]
    for name in list(made)[:-1]:
        torch.testing.assert_close(made[name].mean(dim=(0, 2)), torch.zeros(made[name].shape[1]), atol=1e-4, rtol=0)
        torch.testing.assert_close(made[name].std(dim=(0, 2)), torch.ones(made[name].shape[1]), atol=1e-3, rtol=0)
    torch.testing.assert_close(first.mean(dim=(0, 2)), mel.mean(dim=(0, 2)), atol=0.4, rtol=0)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_a_model_folder_gives_the_same_network(tmp_path: Path) -> None:
    model, mel = tiny(), some_mel(40)
    model.save_pretrained(tmp_path / "model", {"step": 7}, half=False)
    loaded = Autoencoder.from_pretrained(tmp_path / "model")
    torch.testing.assert_close(loaded(mel), model(mel), rtol=0, atol=0)
    assert loaded.config == CONFIG and loaded.mel_config == MEL and not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert json.loads((tmp_path / "model" / "config.json").read_text())["training"] == {"step": 7}
    model.save_pretrained(tmp_path / "half", {})
    assert {value.dtype for value in load_file(tmp_path / "half" / "weights.safetensors").values()} == {torch.float16}


def test_the_default_network_is_small_enough_to_be_bundled() -> None:
    values = sum(parameter.numel() for parameter in Autoencoder(AutoencoderConfig(), MEL_PRESETS["music"]).parameters())
    assert 2 * values < 10e6  # bytes in half precision


def test_foreign_and_impossible_folders_are_refused(tmp_path: Path) -> None:
    config = {"mel": MEL.to_dict(), "model": {"widths": [10]}, "training": {}}
    save_pretrained(tmp_path / "vocoder", "vocoder", config, {})
    with pytest.raises(UserError, match="holds a vocoder"):
        load(tmp_path / "vocoder")
    save_pretrained(tmp_path / "odd", "autoencoder", config, {})
    with pytest.raises(UserError, match="must name the same number of layers"):
        Autoencoder.from_pretrained(tmp_path / "odd")
    with pytest.raises(UserError, match="model folder not found"):
        load(tmp_path / "gone")
    tiny().save_pretrained(tmp_path / "bands", {})
    with pytest.raises(UserError, match=r"another mel front-end \(wanted / its\): n_mels: 192 / 12"):
        load(tmp_path / "bands")


def test_features_are_the_layers_of_the_encoder() -> None:
    """Maps are log10 mels above the floor (-5), so that silence is 0."""
    model = tiny()
    features = autoencoder_features(model)
    assert features.layer_names == ("conv_1", "relu_1", "conv_2", "relu_2", "conv_3", "relu_3")
    assert (features.dimensions, features.in_channels) == (1, 12)
    mel = some_mel(40, batch=1)
    found = features(mel + 5, ["relu_3", "conv_1"])
    assert list(found) == ["conv_1", "relu_3"]
    torch.testing.assert_close(found["relu_3"], model.encode(mel))
    torch.testing.assert_close(found["conv_1"], model.encoder[0]((mel + 2) / 3))
    assert not any(parameter.requires_grad for parameter in features.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    for layers in (features.default_content_layers, features.default_style_layers):
        features.check_layers(layers)


def test_gradients_reach_the_map() -> None:
    map_ = (some_mel(40, batch=1) + 5).requires_grad_()
    autoencoder_features(tiny())(map_, ["relu_3"])["relu_3"].sum().backward()
    assert map_.grad is not None and map_.grad.abs().sum() > 0


@pytest.mark.parametrize("layer", ["relu_1", "relu_2", "relu_3"])
def test_the_receptive_field_is_what_gradients_see(layer: str) -> None:
    features = autoencoder_features(tiny())
    map_ = torch.zeros(1, 12, 80, requires_grad=True)
    middle = features(map_ + torch.rand(12, 1), [layer.replace("relu", "conv")]).popitem()[1]
    middle[0, :, middle.shape[2] // 2].abs().sum().backward()
    assert map_.grad is not None
    seen = map_.grad[0].abs().sum(dim=0).nonzero()[:, 0]
    assert features.receptive_field(layer) == int(seen.max() - seen.min()) + 1


@pytest.mark.skipif(not BUNDLED_AUTOENCODER.is_dir(), reason="no bundled autoencoder yet")
def test_the_bundled_autoencoder_reconstructs_and_is_alive() -> None:
    """A song it never heard comes back much nearer than its mean column, and no channel is dead."""
    wav, _ = read_audio(DEMO_SONG, sample_rate=22050)
    mel = LogMel(MelConfig())(torch.from_numpy(wav[:1, : 5 * 22050]))
    made = Autoencoder.from_pretrained(BUNDLED_AUTOENCODER)(mel)
    assert (made - mel).abs().mean() < 0.75 * (mel.mean(dim=2, keepdim=True) - mel).abs().mean()
    for name, features in load(BUNDLED_AUTOENCODER)(mel + 5, ["relu_1", "relu_2", "relu_3"]).items():
        assert (features.std(dim=(0, 2)) > 1e-3).all(), f"{name} has a dead channel"
