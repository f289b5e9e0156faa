"""Folders that a command may write: none in the place of something else."""

from __future__ import annotations

import os
from pathlib import Path

from stylize_core.errors import UserError


def check_output_folder(output: Path, force: bool = False, mark: str | None = None) -> None:
    """Refuse a place that a folder cannot be written to."""
    parent = output.absolute().parent
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise UserError(f"{output} is no folder; give a new one with -o")
    if not parent.is_dir():
        raise UserError(f"the folder {parent} does not exist; create it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"the folder {parent} is not writable; choose another place with -o")
    if output.is_dir() and any(output.iterdir()):
        if not force:
            raise UserError(f"the folder {output} exists and is not empty; choose another one or use --force")
        if mark is not None and not (output / mark).is_file():
            raise UserError(f"{output} has no {mark}, so --force does not replace it; choose another folder")
