"""Model folders: what is written, and one line for each way in which one can be broken."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stylize_core import model_folder as pretrained
from stylize_core.errors import UserError
from stylize_core.mel import MelConfig
from stylize_core.model_folder import load_module, load_weights, read_mel_config, read_model_config, save_pretrained

CONFIG = {"mel": MelConfig().to_dict(), "model": {"width": 4}, "training": {}}


def weights() -> dict[str, torch.Tensor]:
    return {"layer.weight": torch.randn(3, 4), "count": torch.tensor([3, 400_000])}


class Holder(torch.nn.Module):
    """Holds tensors of the given names and shapes, each below nothing but dots."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.built = torch.zeros(2)
        for name, shape in shapes.items():
            *parents, last = name.split(".")
            owner: torch.nn.Module = self
            for parent in parents:
                owner.add_module(parent, torch.nn.Module())
                owner = owner.get_submodule(parent)
            if last == "count":
                owner.register_buffer(last, torch.zeros(shape, dtype=torch.int64))
            else:
                owner.register_parameter(last, torch.nn.Parameter(torch.empty(shape)))


SHAPES: dict[str, tuple[int, ...]] = {"layer.weight": (3, 4), "count": (2,)}


def load(folder: Path, kind: str = "vocoder", shapes: dict[str, tuple[int, ...]] = SHAPES) -> dict[str, torch.Tensor]:
    return load_module(folder, kind, lambda config: Holder(shapes)).state_dict()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_pretrained(tmp_path / "model", "vocoder", CONFIG, weights())
    return tmp_path / "model"


def load_error(folder: Path, kind: str = "vocoder") -> str:
    with pytest.raises(UserError) as caught:
        load(folder, kind)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    stored = weights()
    save_pretrained(tmp_path / "a" / "b", "vocoder", CONFIG, stored, half=False)
    loaded = load(tmp_path / "a" / "b")
    assert loaded.keys() == stored.keys()
    config = read_model_config(tmp_path / "a" / "b")
    assert config == {"format_version": 1, "kind": "vocoder", **CONFIG}
    assert all(torch.equal(loaded[name], stored[name]) for name in stored)
    assert read_mel_config(config) == MelConfig()
    assert read_model_config(tmp_path / "a" / "b")["kind"] == "vocoder"


def test_half_precision_is_for_floating_point_only(tmp_path: Path) -> None:
    stored = weights()
    save_pretrained(tmp_path / "half", "vocoder", CONFIG, stored)
    loaded = load(tmp_path / "half")
    assert torch.equal(loaded["count"], stored["count"])
    assert loaded["layer.weight"].dtype == torch.float32
    torch.testing.assert_close(loaded["layer.weight"], stored["layer.weight"], atol=2e-3, rtol=0)
    assert not torch.equal(loaded["layer.weight"], stored["layer.weight"])


def test_weights_that_share_memory_can_be_saved(tmp_path: Path) -> None:
    table = torch.randn(4, 4)
    save_pretrained(tmp_path / "model", "vocoder", CONFIG, {"one": table, "same": table, "view": table.T})
    loaded = load(tmp_path / "model", shapes={"one": (4, 4), "same": (4, 4), "view": (4, 4)})
    torch.testing.assert_close(loaded["view"], table.T, atol=2e-3, rtol=0)


def test_saving_again_replaces_and_leaves_nothing_else(folder: Path) -> None:
    save_pretrained(folder, "translator", CONFIG, {"other": torch.ones(2)})
    assert load(folder, "translator", {"other": (2,)}).keys() == {"other"}
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_full_disk_leaves_the_old_model_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pretrained, "save", full)
    with pytest.raises(UserError, match="disk full while writing .*weights.safetensors"):
        save_pretrained(folder, "vocoder", CONFIG, {"other": torch.ones(2)})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_safetensors_header_may_look_like_a_pickle(folder: Path) -> None:
    """Its first bytes are a length, which can be 0x80, the first byte of a pickle, or PK, that of an archive."""
    lookalikes = set()
    for length in range(1, 400):
        save_file({"n" * length: torch.ones(1)}, folder / "weights.safetensors")
        if (folder / "weights.safetensors").read_bytes()[0] == 0x80:
            lookalikes.add(length)
            assert load(folder, shapes={"n" * length: (1,)}).keys() == {"n" * length}
    assert lookalikes


class Trap:
    """Pickled, it makes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("archive", [True, False])
def test_a_pickle_is_refused_and_its_code_never_run(folder: Path, tmp_path: Path, archive: bool) -> None:
    sprung = tmp_path / "sprung"
    torch.save(Trap(sprung), folder / "weights.safetensors", _use_new_zipfile_serialization=archive)
    assert "is a pickle" in load_error(folder)
    assert not sprung.exists()


def test_missing_folders_and_files(folder: Path, tmp_path: Path) -> None:
    assert load_error(tmp_path / "nowhere").startswith("model folder not found")
    file = tmp_path / "model.pt"
    file.touch()
    assert "is a file; a model is a folder" in load_error(file)
    (tmp_path / "empty").mkdir()
    assert "it has no config.json" in load_error(tmp_path / "empty")
    (folder / "weights.safetensors").unlink()
    assert "has no weights.safetensors" in load_error(folder)


def test_another_kind(folder: Path) -> None:
    assert load_error(folder, "translator") == f"{folder} holds a vocoder, a translator is needed"


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_truncated_weights(folder: Path, keep: int) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert "is corrupted" in load_error(folder)


@pytest.mark.parametrize("text", ["{half", "", "\xff\xfe"])
def test_broken_json(folder: Path, text: str) -> None:
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    assert "is not valid JSON" in load_error(folder)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format_version": 2}, "has format version 2, this program reads 1"),
        ({"format_version": None}, "has format version None"),
        ({"mel": 5}, "does not describe a model"),
        ({"model": None}, "does not describe a model"),
        ({"model": [1]}, "does not describe a model"),
    ],
)
def test_foreign_configurations(folder: Path, change: dict[str, object], problem: str) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert problem in load_error(folder)


def test_json_that_is_no_configuration(folder: Path) -> None:
    for text in ("[]", "3", '{"kind": "vocoder"}'):
        (folder / "config.json").write_text(text)
        assert "does not describe a model" in load_error(folder)


def test_weights_that_do_not_fit_a_module_leave_it_as_it_was() -> None:
    module = torch.nn.Linear(2, 3)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    nan = dict(before) | {"bias": torch.full((3,), float("nan"))}
    for broken in ({"weight": before["weight"]}, dict(before) | {"weight": torch.ones(3, 3)}, nan):
        with pytest.raises(UserError, match="FOLDER"):
            load_weights(module, broken, "FOLDER")
        assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000, "nested"),
        ('{"a":' * 150 + "1" + "}" * 150, "nested"),
        ('{"format_version": ' + "1" * 6000 + "}", "a whole number of 6000 digits"),
        ('{"kind": "\\ud800"}', "half of a surrogate pair"),
        ('"' + "x" * (9 << 20) + '"', "more than 2 MiB"),
    ],
)
def test_json_out_of_bounds(folder: Path, text: str, problem: str) -> None:
    (folder / "config.json").write_text(text)
    message = load_error(folder)
    assert problem in message and len(message) < 400


def test_a_module_that_is_larger_than_its_weights_takes_no_memory(folder: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json: it describes a network of many more weights than weights\."):
        load_module(folder, "vocoder", lambda config: torch.nn.Linear(1 << 20, 1 << 20))  # 4 TiB
    with pytest.raises(UserError, match="many more weights"):
        endless = (torch.nn.Linear(99, 9) for _ in range(1 << 40))
        load_module(folder, "vocoder", lambda config: torch.nn.ModuleList(endless))


def test_the_weights_decide_before_they_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "load_file", lambda *arguments, **others: pytest.fail("read"))
    shapes = [{"layer.weight": (3, 4)}, {**SHAPES, "more": (0,)}, {"layer.weight": (4, 3), "count": (2,)}]
    for wrong, problem in zip(shapes, ["1 unexpected", "1 missing", "1 of another shape"], strict=True):
        with pytest.raises(UserError, match=problem):
            load(folder, shapes=wrong)
    save_file({"layer.weight": torch.ones(3, 4, dtype=torch.int64), "count": torch.ones(2, dtype=torch.int64)},
              folder / "weights.safetensors")  # fmt: skip
    assert "layer.weight in" in load_error(folder) and "is of type I64, expected F16 or" in load_error(folder)
    save_file({"layer.weight": torch.ones(3, 4), "count": torch.ones(2)}, folder / "weights.safetensors")
    assert "is of type F32, expected I64" in load_error(folder)


@pytest.mark.parametrize("length", [1 << 62, 1 << 30, 0])
def test_a_header_that_lies_about_its_length(folder: Path, length: int) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    assert "is corrupted" in load_error(folder)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e30])
def test_values_that_no_network_can_have(folder: Path, value: float) -> None:
    stored = weights()
    stored["layer.weight"][1, 2] = value
    save_file(stored, folder / "weights.safetensors")
    assert "hold NaN or infinite values" in load_error(folder)


def test_variances_are_not_negative(folder: Path) -> None:
    stored = torch.nn.BatchNorm1d(3).state_dict()
    stored["running_var"][1] = -0.25
    save_file(stored, folder / "weights.safetensors")
    with pytest.raises(UserError, match="NaN or infinite values"):
        load_module(folder, "vocoder", lambda config: torch.nn.BatchNorm1d(3))


def test_loaded_weights_do_not_hang_on_their_file(folder: Path) -> None:
    save_file(weights(), folder / "weights.safetensors")
    loaded = load(folder)
    before = {name: value.clone() for name, value in loaded.items()}
    path = folder / "weights.safetensors"
    path.write_bytes(bytes(path.stat().st_size))
    assert all(torch.equal(value, before[name]) for name, value in loaded.items())
