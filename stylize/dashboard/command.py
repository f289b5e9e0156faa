"""From a trial's folder to its dashboards: a W&B run, and a page without a server or an account.

FOLDER/index.html        the page; opens from the disk
FOLDER/dashboard.json    what it shows, as data
FOLDER/media/            sounds, mel pictures and plots
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stylize.listening.results import read_results
from stylize.listening.trial import ANSWERS_NAME, Trial
from stylize.local_server import PALETTE
from stylize_core.atomic import atomic_folder, check_output_folder
from stylize_core.errors import UserError
from stylize_core.names import readable
from stylize_core.wandb_run import check_wandb_mode

if TYPE_CHECKING:
    from stylize.dashboard.content import Content

PAGES = Path(__file__).parent / "pages"
DATA_NAME = "dashboard.json"


@dataclass(frozen=True)
class Made:
    """Files that were written."""

    content: Content
    page: Path
    run: Path | None  # folder of the W&B run
    wandb: str  # where the run is, or why there is none


def make_dashboard(
    trial_folder: Path,
    *,
    output: Path | None = None,
    wandb: str = "auto",
    answers: Path | None = None,
    webmushra: Sequence[Path] = (),
    force: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> Made:
    """Write the page of a trial, and then its W&B run.

    The page is NAME-dashboard beside the trial unless `output` says otherwise; the answers are the trial's own, if
    there are any.
    """
    trial = Trial.read(trial_folder)
    absolute = trial_folder.absolute()
    output = absolute.with_name(f"{absolute.name}-dashboard") if output is None else output
    check_output_folder(output, force, DATA_NAME)
    if answers is not None and not answers.is_file():
        raise UserError(f"{answers} is not there; give the answers of a trial with --answers, or leave it out")
    own = answers or trial_folder / ANSWERS_NAME
    results = read_results(trial, own if own.is_file() else None, webmushra)
    check_wandb_mode(wandb)
    # These bring torch along, which takes seconds.
    from stylize.dashboard.content import collect
    from stylize.dashboard.tracking import log_trial

    with atomic_folder(output) as unfinished:
        content = collect(trial, trial_folder, results, unfinished, progress)
        write_page(content, unfinished)
    run, where = log_trial(content, trial_folder, output, wandb)
    return Made(content, output / "index.html", run, where)


def write_page(content: Content, folder: Path) -> None:
    """Write the page and its data beside the media."""
    values = content.to_dict()
    (folder / DATA_NAME).write_text(readable(json.dumps(values, indent=1, ensure_ascii=False)) + "\n", encoding="utf-8")
    page, style, script = (
        (PAGES / name).read_text(encoding="utf-8") for name in ("index.html", "style.css", "dashboard.js")
    )
    page = page.replace("/*STYLE*/", PALETTE.read_text(encoding="utf-8") + style, 1).replace("/*SCRIPT*/", script, 1)
    # A name with "</script>" must not end the block that the values stand in.
    embedded = readable(json.dumps(values, ensure_ascii=False)).replace("<", "\\u003c")
    (folder / "index.html").write_text(page.replace("/*DATA*/", embedded, 1), encoding="utf-8")
