"""Pairs go out as files, so that any system can be run on them; its results come back as a folder of wavs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import soundfile

from data.atomic import atomic_write
from data.errors import UserError
from stylize.evaluate.material import Excerpts, Pair
from stylize.evaluate.multipitch import RATE

MANIFEST_NAME = "manifest.jsonl"


def check_export_folder(folder: Path, force: bool) -> None:
    """Refuse a folder that holds something.

    Raises:
        UserError: it is a file, not empty, or its parent does not exist.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; give a folder with --export-pairs")
    if not folder.parent.is_dir():
        raise UserError(f"the folder {folder.parent} does not exist; create it first")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise UserError(f"the folder {folder} exists and is not empty; choose another one or use --force")


def export_pairs(folder: Path, pairs: Sequence[Pair], excerpts: Excerpts) -> Path:
    """Write the input of every pair, another song of the target style, and a manifest.

    A line of the manifest says: `pair`, `tier`, `input`, `style_example` (or null), `source_style`, `target_style`, and
    `output`, the name of the file that the result must have. Ground truths stay here.

    Args:
        folder: made where it does not exist.
        pairs: of all tiers.
        excerpts: of their recordings.

    Returns:
        the manifest.

    Raises:
        UserError: the disk is full or fails.
    """
    lines = []
    for part in ("inputs", "style_examples"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for pair in pairs:
        files = {"input": pair.source, "style_example": pair.style}
        written = {name: _write(folder, f"{name}s/{pair.name}.wav", path, excerpts) for name, path in files.items()}
        about = {"pair": pair.name, "tier": pair.tier, **written, "source_style": pair.source_style}
        lines.append(json.dumps({**about, "target_style": pair.target, "output": f"{pair.name}.wav"}))
    manifest = folder / MANIFEST_NAME
    with atomic_write(manifest) as stream:
        stream.write("".join(f"{line}\n" for line in lines).encode())
    return manifest


def _write(folder: Path, name: str, path: Path | None, excerpts: Excerpts) -> str | None:
    if path is None:
        return None
    with atomic_write(folder / name) as stream:
        soundfile.write(stream, excerpts.load(path), RATE, subtype="FLOAT", format="WAV")
    return name
