"""The real command that converts published weights."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from melgan import Vocoder

VECTORS = Path(__file__).parent.parent / "melgan" / "vectors"
MODULE = "scripts.import_melgan"


def test_converted_weights_make_the_originals_waveform(run_module: Any, tmp_path: Path) -> None:
    result = run_module(MODULE, VECTORS / "melgan_ngf8.pt", "-o", tmp_path / "model")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"wrote {tmp_path / 'model'} (0.3" in result.stdout
    answer = np.load(VECTORS / "melgan_ngf8.npz")
    wav = Vocoder.from_pretrained(tmp_path / "model")(torch.from_numpy(answer["mel"]))
    np.testing.assert_allclose(wav.numpy(), answer["wav"], atol=1e-5)


class Trap:
    """Pickled, it makes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


@pytest.fixture
def convert(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The same command within this process, which spares a start; returns exit code and stderr."""
    from scripts.command_line import run_command
    from scripts.import_melgan import import_melgan

    def run(file: Path, output: Path) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", [MODULE, str(file), "-o", str(output)])
        with pytest.raises(SystemExit) as ended:
            run_command(import_melgan)
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


def check_refused(result: tuple[int, str], problem: str, output: Path) -> None:
    code, error = result
    assert code == 2
    assert error.startswith("error: ") and error.count("\n") == 1
    assert problem in error
    assert not output.exists()


@pytest.mark.parametrize("archive", [True, False])
def test_code_in_a_pickle_is_refused_and_not_run(convert: Any, tmp_path: Path, archive: bool) -> None:
    file, sprung = tmp_path / "weights.pt", tmp_path / "sprung"
    state = {"model.1.weight_v": torch.ones(2), "extra": Trap(sprung)}
    torch.save(state, file, _use_new_zipfile_serialization=archive)
    check_refused(convert(file, tmp_path / "model"), "is not a plain state dict of tensors", tmp_path / "model")
    assert not sprung.exists()
    torch.load(file, weights_only=False)  # the trap is a real one
    assert sprung.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80", b"\x80\x02", b"PK\x03\x04", b"hello world, no weights", pickle.dumps([1, 2]), b"\x80\x02}q\x00."],
)
def test_files_that_hold_no_weights(convert: Any, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(content)
    check_refused(convert(file, tmp_path / "model"), str(file), tmp_path / "model")


def test_a_truncated_file(convert: Any, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    whole = (VECTORS / "melgan_ngf8.pt").read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    check_refused(convert(file, tmp_path / "model"), "is not a plain state dict", tmp_path / "model")


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({"fc.weight": torch.ones(2, 2)}, "weights.pt is no generator of the original MelGAN repository"),
        ({1: torch.ones(2)}, "is not a plain state dict"),
        ([torch.ones(2)], "is not a plain state dict"),
        ({"step": 3}, "is not a plain state dict"),
    ],
)
def test_a_foreign_state_dict(convert: Any, tmp_path: Path, state: Any, problem: str) -> None:
    torch.save(state, tmp_path / "weights.pt")
    check_refused(convert(tmp_path / "weights.pt", tmp_path / "model"), problem, tmp_path / "model")


def test_a_missing_file(convert: Any, tmp_path: Path) -> None:
    check_refused(convert(tmp_path / "no.pt", tmp_path / "model"), "file not found", tmp_path / "model")


def test_an_existing_output_is_left_alone(convert: Any, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "note").write_text("mine")
    code, error = convert(VECTORS / "melgan_ngf8.pt", tmp_path / "model")
    assert code == 2 and error == f"error: {tmp_path / 'model'} exists; name a folder that does not\n"
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["note"]
