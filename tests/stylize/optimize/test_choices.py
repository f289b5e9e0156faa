"""What goes together, checked without PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import UserError
from stylize.optimize.choices import check_network, check_representation

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
    ("network", "representation", "orientation", "files", "problem"),
    [
        ("random", "mel", "3d", {}, "unknown orientation '3d'"),
        ("vgg19", None, "time", {}, "got orientation time; use 2d"),
        ("siamese", "stft", "frequency", {}, "knows mel spectrograms alone, got the representation stft"),
        ("autoencoder", None, "2d", {}, "knows mel spectrograms alone, got a picture"),
        ("siamese", "mel", "time", {}, "takes mel bands as channels, got time; use frequency"),
        ("random", "mel", "2d", {"weights": FOLDER}, "only vgg19 reads a weight file"),
        ("vgg19", "mel", "2d", {"model": FOLDER}, "only autoencoder and siamese take one"),
    ],
)
def test_refused_networks(
    network: str, representation: str | None, orientation: str, files: dict[str, Path], problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        check_network(network, representation, orientation, **files)


def test_what_goes_together_is_accepted() -> None:
    check_representation("mel", "vocoder", FOLDER)
    check_representation("mel", "auto", FOLDER)
    check_representation("stft", "griffin-lim")
    check_network("siamese", "mel", "frequency", model=FOLDER)
    check_network("vgg19", None, "2d", weights=FOLDER)
    check_network("random", "cqt", "time")


def test_the_module_does_without_pytorch() -> None:
    code = "import sys, stylize.optimize.choices; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
