"""The vocoder's model folder: the same waveform after saving, one line for everything that is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from melgan import GeneratorConfig, Vocoder
from melgan.layers import add_weight_norm
from stylize_core.errors import UserError
from stylize_core.mel import MEL_PRESETS, MelConfig

CONFIG = GeneratorConfig(n_mels=8, width=16, frame_layers=1, scale_input=True)
MEL = MelConfig(n_mels=8)


@pytest.fixture
def vocoder() -> Vocoder:
    torch.manual_seed(0)
    vocoder = Vocoder(CONFIG, MEL)
    for parameter in vocoder.parameters():
        if parameter.ndim == 3:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return vocoder


@pytest.fixture
def folder(vocoder: Vocoder, tmp_path: Path) -> Path:
    vocoder.save_pretrained(tmp_path / "model", {"step": 7})
    return tmp_path / "model"


def mel() -> torch.Tensor:
    return torch.randn(2, 8, 12, generator=torch.Generator().manual_seed(1)) - 2


def change_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_saved_vocoder_makes_the_same_waveform(vocoder: Vocoder, tmp_path: Path) -> None:
    add_weight_norm(vocoder)
    with torch.no_grad():
        for parameter in vocoder.parameters():
            parameter.mul_(1 + 0.3 * torch.rand_like(parameter))
        expected = vocoder(mel())
    vocoder.save_pretrained(tmp_path / "single", {}, half=False)
    loaded = Vocoder.from_pretrained(tmp_path / "single")
    assert torch.equal(loaded(mel()), expected)
    assert (loaded.mel_config, loaded.generator.config) == (MEL, CONFIG)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())


def test_half_precision_costs_little(vocoder: Vocoder, folder: Path) -> None:
    loaded = Vocoder.from_pretrained(folder)
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    assert all(v.dtype == torch.float16 for v in load_file(folder / "weights.safetensors").values())
    difference = (loaded(mel()) - vocoder(mel())).detach().abs().max()
    assert 0 < float(difference) < 5e-3


def test_a_folder_says_what_made_it(folder: Path) -> None:
    document = json.loads((folder / "config.json").read_text())
    assert (document["format_version"], document["kind"]) == (1, "vocoder")
    assert document["training"] == {"step": 7}
    assert document["mel"]["n_mels"] == document["model"]["n_mels"] == 8
    assert (folder / "weights.safetensors").stat().st_mode & 0o044 == 0o044


def test_the_context_is_the_generators(vocoder: Vocoder) -> None:
    assert vocoder.context_frames == vocoder.generator.context_frames > 3


@pytest.mark.parametrize("name", ["n_mels", "hop_length"])
def test_network_and_front_end_must_agree(name: str) -> None:
    config = {"n_mels": GeneratorConfig(), "hop_length": GeneratorConfig(hop_length=128, ratios=(8, 8, 2))}[name]
    mel_config = MelConfig() if name == "n_mels" else MEL_PRESETS["melgan"]
    with pytest.raises(ValueError, match=f"{name} is .* in the generator"):
        Vocoder(config, mel_config)


def load_error(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        Vocoder.from_pretrained(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_folder(tmp_path: Path) -> None:
    assert load_error(tmp_path / "nowhere") == f"model folder not found: {tmp_path / 'nowhere'}"


def test_another_kind_of_model(folder: Path) -> None:
    change_config(folder, kind="translator")
    assert load_error(folder) == f"{folder} holds a translator, a vocoder is needed"


def test_misshapen_weights(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    weights["first.conv.weight"] = weights["first.conv.weight"][:, :, :5].contiguous()
    save_file(weights, folder / "weights.safetensors")
    assert "0 missing, 0 unexpected, 1 of another shape (first: first.conv.weight)" in load_error(folder)


def test_missing_and_unexpected_weights(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    weights["stranger"] = weights.pop("first.conv.bias")
    save_file(weights, folder / "weights.safetensors")
    assert "1 missing, 1 unexpected, 0 of another shape (first: first.conv.bias)" in load_error(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(folder: Path, value: float) -> None:
    weights = load_file(folder / "weights.safetensors")
    weights["head.last.conv.bias"][0] = value
    save_file(weights, folder / "weights.safetensors")
    assert "NaN or infinite" in load_error(folder)


@pytest.mark.parametrize(
    ("section", "change", "problem"),
    [
        ("model", {"widht": 3}, "unknown key 'widht'; did you mean width?"),
        ("model", {"width": "many"}, "width must be a whole number"),
        ("model", {"width": 17}, "width 17 cannot be halved"),
        ("mel", {"n_mels": 80}, "n_mels is 8 in the generator and 80 in the mel front-end"),
        ("mel", {"n_mels": "8"}, "n_mels must be a whole number, got '8'"),
        ("mel", {"f_max": 20000.0}, "f_max 20000.0 Hz"),
    ],
)
def test_a_configuration_that_builds_no_vocoder(
    folder: Path, section: str, change: dict[str, object], problem: str
) -> None:
    document = json.loads((folder / "config.json").read_text())
    change_config(folder, **{section: document[section] | change})
    assert problem in load_error(folder)
