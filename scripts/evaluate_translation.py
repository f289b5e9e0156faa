"""Translate unseen songs of a corpus: what does an independent classifier hear, what is left of the song?

python -m scripts.evaluate_translation corpus --pairs 90 --output docs/evaluation_translation.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from data.errors import UserError
from scripts.command_line import run_command


def make_tables(report: Mapping[str, Any]) -> tuple[Table, Table]:
    """The versions with their measures, and the target styles with their counts."""
    versions = Table(title=f"{report['pairs']} pairs of {report['songs']} songs, split {report['split']}")
    versions.add_column("version")
    for column in ("target heard", "source heard", "chroma to input", "onsets to input", "mel L1 to truth"):
        versions.add_column(column, justify="right")
    for name, row in report["versions"].items():
        rates = (f"{100 * row[key]:.0f} %" for key in ("target_heard", "source_heard"))
        measures = (f"{row[key]:.3f}" for key in ("chroma", "onsets", "to_truth"))
        versions.add_row(name, *rates, *measures)
    targets = Table(title="translated, by target style")
    targets.add_column("target")
    for column in ("pairs", "target heard", "source heard"):
        targets.add_column(column, justify="right")
    for name, row in report["targets"].items():
        targets.add_row(name, *(str(row[key]) for key in ("pairs", "target_heard", "source_heard")))
    return versions, targets


def evaluate(
    corpus: Annotated[Path, typer.Argument(help="Rendered corpus.")] = Path("corpus"),
    output: Annotated[Path | None, typer.Option(help="JSON to write.")] = None,
    model: Annotated[Path | None, typer.Option(help="Translator folder; default: the bundled one.")] = None,
    vocoder: Annotated[Path | None, typer.Option(help="Vocoder folder; default: the bundled one.")] = None,
    classifier: Annotated[Path, typer.Option(help="Classifier folder.")] = Path("runs/classifier"),
    pairs: Annotated[int, typer.Option(min=0, help="Pairs of song and target style; 0 for all.")] = 90,
    split: Annotated[str, typer.Option(help="test, test_groove or test_soundfont.")] = "test",
    seconds: Annotated[float | None, typer.Option(min=2.0, help="Of each song; default: all of it.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Print a table of measures for the input, the translations and the corpus' own versions."""
    import torch

    from stylize.benchmark import describe_machine
    from stylize.evaluation import evaluate_translation
    from stylize.pipeline import Stylizer
    from training.genre import GenreClassifier

    if output is not None and not output.parent.is_dir():
        raise UserError(f"folder not found: {output.parent}; create it first")
    torch.set_num_threads(threads)
    judge = GenreClassifier.from_pretrained(classifier)
    stylizer = Stylizer.from_pretrained(model, vocoder, "cpu")
    report = evaluate_translation(stylizer, judge, corpus, split=split, count=pairs or None, seconds=seconds)
    console = Console(width=None if sys.stdout.isatty() else 120)
    for table in make_tables(report):
        console.print(table)
    if output is not None:
        document = {"machine": describe_machine(threads), **report}
        output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(evaluate)
