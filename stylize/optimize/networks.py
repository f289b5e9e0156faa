"""Networks by name: random ones, those that the project has trained, and VGG-19."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

from torch import Tensor, nn

from data.errors import UserError
from data.layers import scale_mel
from data.mel import MEL_PRESETS, MelConfig
from stylize.models import BUNDLED_TRANSLATOR
from stylize.optimize.choices import NETWORKS, check_network, check_network_name
from stylize.optimize.feature_network import FeatureNetwork, describe_layers
from stylize.optimize.orientation import MapShape, network_shape
from stylize.optimize.random_network import KIND as RANDOM_KIND
from stylize.optimize.random_network import RandomNetwork, RandomNetworkConfig, save_network
from training.pretrained import read_model_config
from travelgan import Siamese, Translator

__all__ = [
    "FeatureNetwork",
    "RandomNetwork",
    "RandomNetworkConfig",
    "SiameseFeatures",
    "describe_layers",
    "load_network",
    "save_network",
]

FOLDER_NETWORKS = {RANDOM_KIND: "random", "autoencoder": "autoencoder", "translator": "siamese"}
"""Kinds of model folder that hold a network, and its name."""


class SiameseFeatures(FeatureNetwork):
    """The trunk of a translator's siamese network: conv_1, relu_1, conv_2, norm_2, relu_2, ...

    Args:
        siamese: the network; its layers are copied.
        mel_config: the front-end whose mels it understands.

    Shape:
        x (B, n_mels, T), log10 mel above the front-end's floor, so 0 is silence -> features by layer.
    """

    reads_plain_mel = True

    def __init__(self, siamese: Siamese, mel_config: MelConfig) -> None:
        chain: dict[str, nn.Module] = {}
        trunk = iter(copy.deepcopy(siamese.trunk))
        blocks = len(siamese.config.widths)
        for block in range(1, blocks + 1):
            for kind in ("conv", "relu") if block == 1 else ("conv", "norm", "relu"):
                chain[f"{kind}_{block}"] = next(trunk)
        super().__init__(
            chain,
            dimensions=1,
            in_channels=siamese.n_mels,
            content_layers={f"relu_{min(2, blocks)}": 1.0},
            style_layers={f"relu_{block}": 1.0 for block in range(1, blocks + 1)},
        )
        self.mel_config = mel_config

    def prepare(self, x: Tensor) -> Tensor:
        """Put the floor back and scale as the siamese network does."""
        return scale_mel(x + self.mel_config.log_floor)

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None) -> SiameseFeatures:
        """Take the siamese network of a translator's folder, by default that of the bundled one.

        Raises:
            UserError: the folder is missing, corrupted, holds another kind of model, or one of another front-end.
        """
        folder = folder or BUNDLED_TRANSLATOR
        translator = Translator.from_pretrained(folder)
        if difference := MEL_PRESETS["music"].describe_difference(translator.mel_config):
            raise UserError(f"the translator {folder} has another mel front-end (wanted / its): {difference}")
        return cls(translator.siamese, translator.mel_config)


def load_network(
    name_or_folder: str,
    *,
    map_shape: MapShape,
    orientation: str,
    representation: str | None = None,
    random: RandomNetworkConfig | None = None,
    weights: Path | None = None,
    model: Path | None = None,
) -> FeatureNetwork:
    """A network for maps of a shape, on the CPU.

    Args:
        name_or_folder: `random`, `autoencoder`, `siamese`, `vgg19`, or a model folder.
        map_shape: planes, rows, columns of the content.
        orientation: `frequency`, `time` or `2d`.
        representation: `mel`, `stft` or `cqt`; None for pictures.
        random: the random network; its dimensions and input channels are set to what the maps need.
        weights: weight file of VGG-19.
        model: folder of the translator (for `siamese`) or autoencoder in place of the bundled one.

    Raises:
        UserError: an unknown name, a network that does not fit the maps, missing or foreign weights.
    """
    name, folder = name_or_folder, model
    if name not in NETWORKS:
        check_network_name(name)
        folder = Path(name)
        kind = read_model_config(folder)["kind"]
        if kind not in FOLDER_NETWORKS:
            raise UserError(f"{folder} holds a {kind}; a network is a folder of: {', '.join(FOLDER_NETWORKS)}")
        name = FOLDER_NETWORKS[kind]
    check_network(name, representation, orientation, weights, model)
    network = _load(name, folder, network_shape(orientation, map_shape), random, weights)
    planes_fit = name == "vgg19" and map_shape[0] == 1  # one plane is repeated
    wanted = network_shape(orientation, map_shape)
    if (network.dimensions, network.in_channels) != wanted and not planes_fit:
        raise UserError(
            f"the network {name_or_folder} reads {network.in_channels} channels in {network.dimensions} dimensions, "
            f"the maps have {wanted[1]} in {wanted[0]}; choose another network, representation or orientation"
        )
    return network


def _load(
    name: str,
    folder: Path | None,
    shape: tuple[int, int],
    random: RandomNetworkConfig | None,
    weights: Path | None,
) -> FeatureNetwork:
    if name == "siamese":
        return SiameseFeatures.from_pretrained(folder)
    if name == "autoencoder":
        from stylize.optimize.autoencoder import load_autoencoder_features

        return load_autoencoder_features(folder)
    if name == "vgg19":
        from stylize.optimize.vgg import load_vgg19

        return load_vgg19(weights)
    if folder is not None:
        return RandomNetwork.from_pretrained(folder)
    dimensions, in_channels = shape
    config = dataclasses.replace(random or RandomNetworkConfig(), dimensions=dimensions, in_channels=in_channels)
    return RandomNetwork(config)
