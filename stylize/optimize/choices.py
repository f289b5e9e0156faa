"""Names that a user chooses from, and which of them go together; known without loading PyTorch."""

from __future__ import annotations

import difflib
from pathlib import Path

from data.errors import UserError

REPRESENTATIONS = ("mel", "stft", "cqt")
INVERSES = ("auto", "vocoder", "griffin-lim")
ORIENTATIONS = ("frequency", "time", "2d")
NETWORKS = ("random", "autoencoder", "siamese", "vgg19")
MEL_NETWORKS = ("autoencoder", "siamese")
"""Networks that were trained on log-mel columns and know nothing else."""
STARTS = ("content", "uniform", "normal", "truncated-normal")
START_KINDS = (*STARTS, "file")
OPTIMIZERS = ("lbfgs", "adam")
WANDB_MODES = ("off", "offline", "online")


def check_choice(what: str, value: str, known: tuple[str, ...], beside: str = "") -> None:
    """Refuse a name that is not among the known ones.

    Args:
        what: is named, for the message.
        value: the name.
        known: what it can be.
        beside: what else it could have been, for the message: `, or an existing file`.

    Raises:
        UserError: the known names are listed.
    """
    if value not in known:
        close = difflib.get_close_matches(value.lower(), known, n=1)
        advice = f"did you mean {close[0]}? " if close else ""
        raise UserError(f"unknown {what} {value!r}; {advice}known: {', '.join(known)}{beside}")


def check_network_name(name: str) -> None:
    """Refuse what is neither the name of a network nor a folder.

    Raises:
        UserError: the known names are listed.
    """
    if Path(name).is_file() and name not in NETWORKS:
        raise UserError(f"{name} is a file; a model is a folder")
    if not Path(name).is_dir():
        check_choice("network", name, NETWORKS, ", or a model folder")


def check_representation(name: str, inverse: str = "auto", vocoder: Path | None = None) -> None:
    """Refuse a representation that is not known, or an inverse that it does not have.

    Args:
        name: `mel`, `stft` or `cqt`.
        inverse: `auto` is the vocoder for mel and Griffin-Lim for the others.
        vocoder: a model folder in place of the bundled vocoder.

    Raises:
        UserError: unknown names; a vocoder for what is no mel, or beside Griffin-Lim.
    """
    check_choice("representation", name, REPRESENTATIONS)
    check_choice("inverse", inverse, INVERSES)
    if inverse == "vocoder" and name != "mel":
        raise UserError(f"the vocoder turns mel alone into sound, got the representation {name}; use griffin-lim")
    if vocoder is not None and (name != "mel" or inverse == "griffin-lim"):
        chosen = name if name != "mel" else "mel through griffin-lim"
        raise UserError(f"got the vocoder {vocoder} and the representation {chosen}, which needs none; leave one out")


def check_network(
    network: str,
    representation: str | None,
    orientation: str,
    weights: Path | None = None,
    model: Path | None = None,
) -> None:
    """Refuse a network that cannot read the maps; a name that is not known is taken for a folder and not judged here.

    Args:
        network: one of :data:`NETWORKS`, or a model folder.
        representation: of sound; None for pictures.
        orientation: one of :data:`ORIENTATIONS`.
        weights: file for VGG-19.
        model: folder in place of the bundled translator or autoencoder.

    Raises:
        UserError: an unknown orientation, or one that the network does not have; maps that it was not trained on;
            weights or a model for a network that takes none.
    """
    check_choice("orientation", orientation, ORIENTATIONS)
    if weights is not None and network != "vgg19":
        raise UserError(f"got the weights {weights} and the network {network}; only vgg19 reads a weight file")
    if model is not None and network not in MEL_NETWORKS:
        raise UserError(f"got the model {model} and the network {network}; only {' and '.join(MEL_NETWORKS)} take one")
    if network == "vgg19" and orientation != "2d":
        raise UserError(f"the network vgg19 looks at maps in two dimensions, got orientation {orientation}; use 2d")
    if network in MEL_NETWORKS and representation != "mel":
        got = "a picture" if representation is None else f"the representation {representation}"
        raise UserError(
            f"the network {network} knows mel spectrograms alone, got {got}; use mel, or the network random"
        )
    if network in MEL_NETWORKS and orientation != "frequency":
        raise UserError(f"the network {network} takes mel bands as channels, got {orientation}; use frequency")
