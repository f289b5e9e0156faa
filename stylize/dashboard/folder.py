"""A dashboard as a folder: `index.html` with sounds and pictures beside it, without a server or an account.

FOLDER/index.html        the page; opens from the disk
FOLDER/dashboard.json    what it shows, as data
FOLDER/media/            sounds, mel pictures and plots
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.names import readable
from stylize.dashboard.content import MEASURES, Content
from stylize.dashboard.models import without_paths
from stylize.local_server import PALETTE

PAGES = Path(__file__).parent / "pages"
DATA_NAME = "dashboard.json"


def check_output(output: Path, force: bool) -> None:
    """Refuse a place that a dashboard cannot be written to.

    Raises:
        UserError: exists and is not empty without force, or is no dashboard; no such parent; not writable.
    """
    parent = output.absolute().parent
    if not parent.is_dir():
        raise UserError(f"the folder {parent} does not exist; create it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"the folder {parent} is not writable; choose another place with --output")
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise UserError(f"{output} is no folder; give a new one with --output")
    if output.is_dir() and any(output.iterdir()):
        if not force:
            raise UserError(f"the folder {output} exists and is not empty; choose another one or use --force")
        if not (output / DATA_NAME).is_file():
            raise UserError(f"the folder {output} holds something else than a dashboard; choose another one")


def document(content: Content) -> dict[str, Any]:
    """What a dashboard shows, as plain values."""
    trial = content.trial
    return {
        "trial": {
            name: getattr(trial, name) for name in ("id", "title", "method", "created", "sample_rate", "questions")
        },
        "listeners": content.listeners,
        "left_out": content.left_out,
        "measures": MEASURES,
        "systems": [
            {
                "name": system.name,
                "kind": system.kind,
                "details": without_paths(system.details),
                "measures": content.mean_measures(system.name),
                "opinions": {name: asdict(each) for name, each in content.totals.get(system.name, {}).items()},
            }
            for system in trial.systems
        ],
        "songs": [asdict(song) for song in content.songs],
        "rows": [asdict(row) for row in content.rows],
        "differences": [asdict(row) for row in content.differences],
        "pairs": [asdict(row) | {"share": row.share} for row in content.pairs],
        "caution": content.caution,
        "models": content.models,
        "plots": content.plots,
    }


def write_page(content: Content, folder: Path) -> None:
    """Write the page and its data beside the media."""
    values = document(content)
    (folder / DATA_NAME).write_text(readable(json.dumps(values, indent=1, ensure_ascii=False)) + "\n", encoding="utf-8")
    # A name with "</script>" must not end the block that the values stand in.
    embedded = readable(json.dumps(values, ensure_ascii=False)).replace("<", "\\u003c")
    parts = {name: (PAGES / name).read_text(encoding="utf-8") for name in ("index.html", "style.css", "dashboard.js")}
    page = parts["index.html"]
    for mark, text in (
        ("/*STYLE*/", PALETTE.read_text(encoding="utf-8") + parts["style.css"]),
        ("/*SCRIPT*/", parts["dashboard.js"]),
        ("/*DATA*/", embedded),
    ):
        page = page.replace(mark, text, 1)
    (folder / "index.html").write_text(page, encoding="utf-8")
