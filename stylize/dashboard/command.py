"""From a trial's folder to its dashboards."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.atomic import atomic_folder
from data.errors import UserError
from stylize.dashboard.content import Content, Say, collect
from stylize.dashboard.folder import check_output, write_page
from stylize.listening.results import Results, read_results
from stylize.listening.trial import ANSWERS_NAME, Trial


@dataclass(frozen=True)
class Made:
    """What was written.

    Args:
        content: that the dashboards show.
        page: the page.
        wandb_mode: online, offline or off.
        run: folder of the W&B run; None where that is off.
    """

    content: Content
    page: Path
    wandb_mode: str
    run: Path | None


def make_dashboard(
    trial_folder: Path,
    *,
    output: Path | None = None,
    wandb: str = "auto",
    answers: Path | None = None,
    webmushra: Sequence[Path] = (),
    force: bool = False,
    say: Say = lambda text: None,
) -> Made:
    """Write the page of a trial, and then its W&B run.

    Args:
        trial_folder: of the trial.
        output: folder of the page; None for NAME-dashboard beside the trial.
        wandb: auto, online, offline or off; `auto` is offline where there is no key.
        answers: the server's file; None for the trial's own, if it is there.
        webmushra: CSV files of webMUSHRA.
        force: a dashboard in `output` is replaced.
        say: called with a line for each song.

    Raises:
        UserError: no trial, answers of another one, a place that cannot be written to, W&B cannot be reached.
    """
    trial = Trial.read(trial_folder)
    absolute = trial_folder.absolute()
    output = absolute.with_name(f"{absolute.name}-dashboard") if output is None else output
    check_output(output, force)
    results = _results(trial, trial_folder, answers, webmushra)
    # These bring torch along, which takes seconds.
    from stylize.evaluate.metrics.similarity import StyleClassifier
    from training.wandb_run import choose_wandb_mode

    mode = choose_wandb_mode(wandb)
    logging.getLogger("wandb").setLevel(logging.ERROR)
    likeness = StyleClassifier.from_pretrained()
    with atomic_folder(output) as unfinished:
        content = collect(trial, trial_folder, results, unfinished, likeness, say)
        write_page(content, unfinished)
    run = None
    if mode != "off":
        from stylize.dashboard.tracking import log_trial, wandb_place

        run = log_trial(content, results, trial_folder, output, mode, wandb_place(output))
    return Made(content, output / "index.html", mode, run)


def _results(trial: Trial, folder: Path, answers: Path | None, webmushra: Sequence[Path]) -> Results | None:
    """What listeners said; None where nobody has answered yet."""
    if answers is not None and not answers.is_file():
        raise UserError(f"{answers} is not there; give the answers of a trial with --answers, or leave it out")
    own = answers or folder / ANSWERS_NAME
    if not own.is_file() and not webmushra:
        return None
    results = read_results(trial, own, webmushra)
    return results if results.listeners else None
