"""A run in small files, to go on with it elsewhere: the newest checkpoint in half precision, the best model, the log.

    OUT/portable.json             version, the other files and their SHA-256, shapes of tensors in several pieces
    OUT/state.json                as in the checkpoint
    OUT/tensors-000.safetensors   networks, optimizers, moving average, best model; no file above 16 MiB
    OUT/config.yaml, metrics.jsonl, best.json

What half precision does no harm to: weights and their moving average keep eleven bits as float16; Adam's moments, whose
size varies over more than float16 can tell apart, keep eight as bfloat16. Counters stay as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from data.atomic import atomic_folder
from data.errors import UserError
from data.plain import check_range, one_line, read_json
from training.checkpoint import list_checkpoints
from training.pretrained import CONFIG_NAME, WEIGHTS_NAME

FORMAT_VERSION = 1
LARGEST_FILE = 16 * 2**20
"""No file is larger, bytes."""

ROOM_FOR_HEADER = 2**18
"""Bytes of a file that its table of contents may take."""

TEXTS = ("config.yaml", "metrics.jsonl")
"""Files of a run folder that go along as they are."""


def export_state(run_folder: str | Path, out: str | Path, half: bool = True) -> Path:
    """Write the newest checkpoint of a run, its best model and its log as small files.

    Args:
        run_folder: of the run; it is not changed.
        out: folder to write; it must not exist.
        half: store tensors in half precision; otherwise to the bit.

    Raises:
        UserError: there is no checkpoint, it is damaged, `out` exists or cannot be written.
    """
    run_folder, out = Path(run_folder), Path(out)
    checkpoints = list_checkpoints(run_folder)
    if not checkpoints:
        raise UserError(f"{run_folder} has no checkpoint; name the folder of a run that has trained")
    if out.exists():
        raise UserError(f"{out} exists; name a folder that does not")
    try:
        tensors = load_file(checkpoints[-1] / "tensors.safetensors")
        texts = {"state.json": (checkpoints[-1] / "state.json").read_bytes()}
        if (run_folder / "best" / CONFIG_NAME).exists():
            tensors |= {f"best/{name}": value for name, value in load_file(run_folder / "best" / WEIGHTS_NAME).items()}
            texts["best.json"] = (run_folder / "best" / CONFIG_NAME).read_bytes()
        texts |= {name: (run_folder / name).read_bytes() for name in TEXTS if (run_folder / name).exists()}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{run_folder} cannot be read ({error})") from None
    if half:
        tensors = {name: _halved(name, value) for name, value in tensors.items()}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(out) as temporary:
            for name, content in texts.items():
                (temporary / name).write_bytes(content)
            for number, pieces in enumerate(_shared_out(tensors)):
                save_file(pieces, temporary / f"tensors-{number:03d}.safetensors")
            document = {
                "format_version": FORMAT_VERSION,
                "half": half,
                "files": {path.name: _sha256(path) for path in sorted(temporary.iterdir())},
                "shapes": {name: list(value.shape) for name, value in tensors.items() if _is_large(value)},
            }
            for path in temporary.iterdir():
                os.chmod(path, 0o644)
            (temporary / "portable.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write {out} ({error})") from None
    return out


def import_state(folder: str | Path, run_folder: str | Path) -> Path:
    """Make a run folder of what :func:`export_state` wrote; training goes on in it with the same configuration.

    Args:
        folder: what was moved.
        run_folder: folder to write; it must not exist.

    Returns:
        the checkpoint in the run folder.

    Raises:
        UserError: a file is missing or damaged, or the run folder exists.
    """
    folder, run_folder = Path(folder), Path(run_folder)
    if run_folder.exists():
        raise UserError(f"{run_folder} exists; name a folder that does not")
    document = _read_checked(folder)
    try:
        tensors = _joined(folder, document)
        step = _step(folder / "state.json")
        run_folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(run_folder) as temporary:
            for name in TEXTS:
                if name in document["files"]:
                    shutil.copyfile(folder / name, temporary / name)
            checkpoint = Path("checkpoints") / f"step-{step:08d}"
            (temporary / checkpoint).mkdir(parents=True)
            shutil.copyfile(folder / "state.json", temporary / checkpoint / "state.json")
            best = {name: tensors.pop(name) for name in [*tensors] if name.startswith("best/")}
            save_file({name: _single(value) for name, value in tensors.items()},
                      temporary / checkpoint / "tensors.safetensors")  # fmt: skip
            if best:
                (temporary / "best").mkdir()
                shutil.copyfile(folder / "best.json", temporary / "best" / CONFIG_NAME)
                save_file({name.removeprefix("best/"): value for name, value in best.items()},
                          temporary / "best" / WEIGHTS_NAME)  # fmt: skip
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"cannot make {run_folder} of {folder} ({' '.join(str(error).split())[:200]})") from None
    return run_folder / checkpoint


def _halved(name: str, value: Tensor) -> Tensor:
    """A tensor in half precision where that is harmless; see the head of this file."""
    if value.dtype != torch.float32 or value.ndim == 0:
        return value
    if name.startswith("optimizer/"):
        return value.bfloat16()
    half = value.half()
    return half if torch.isfinite(half).all() else value


def _single(value: Tensor) -> Tensor:
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def _is_large(value: Tensor) -> bool:
    return value.nbytes > LARGEST_FILE - ROOM_FOR_HEADER


def _pieces(tensors: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor by its name, those that are too large for a file as flat pieces `NAME@0`, `NAME@1`, ..."""
    for name, value in tensors.items():
        if not _is_large(value):
            yield name, value
            continue
        count = (LARGEST_FILE - ROOM_FOR_HEADER) // value.element_size()
        for number, piece in enumerate(value.flatten().split(count)):
            yield f"{name}@{number}", piece.clone()


def _shared_out(tensors: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The pieces, as many together as a file holds."""
    together: dict[str, Tensor] = {}
    size = 0
    for name, piece in _pieces(tensors):
        # A line of the table of contents is the name, the shape and about 60 bytes around them.
        cost = piece.nbytes + len(name) + 100
        if together and size + cost > LARGEST_FILE - 1024:
            yield together
            together, size = {}, 0
        together[name] = piece
        size += cost
    yield together


def _joined(folder: Path, document: dict[str, Any]) -> dict[str, Tensor]:
    """All tensors of a folder, pieces put together again."""
    pieces: dict[str, Tensor] = {}
    for name in document["files"]:
        if name.endswith(".safetensors"):
            pieces |= load_file(folder / name)
    for name, shape in document["shapes"].items():
        parts: list[Tensor] = []
        while (piece := pieces.pop(f"{name}@{len(parts)}", None)) is not None:
            parts.append(piece)
        pieces[name] = torch.cat(parts).reshape(shape)
    return pieces


def _read_checked(folder: Path) -> dict[str, Any]:
    """`portable.json`, once all files that it names are found to be what was written."""
    try:
        document: Any = read_json(folder / "portable.json")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} is no exported run ({one_line(error)})") from None
    version = document.get("format_version") if isinstance(document, dict) else None
    if version != FORMAT_VERSION or not isinstance(document.get("files"), dict):
        raise UserError(f"{folder} has format version {version}, expected {FORMAT_VERSION}")
    for name, expected in document["files"].items():
        path = folder / name
        # Names come from a file that anyone may have written.
        if Path(name).name != name or not path.is_file() or _sha256(path) != expected:
            raise UserError(f"{path} is missing or damaged; copy the whole of {folder} again")
    return document


def _step(path: Path) -> int:
    try:
        step = read_json(path)["step"]
        check_range(0, 1e15, step=step)
        return int(step)
    except (ValueError, TypeError, LookupError) as error:
        raise UserError(f"{path} does not say of which step it is ({one_line(error)})") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
