"""Compare vocoders with Griffin-Lim and with the paper's generator on recordings that none of them saw.

python -m scripts.evaluate_vocoder
python -m scripts.evaluate_vocoder runs/vocoder/best runs/istft/best --output docs/vocoder.json --pictures docs/vocoder
python -m scripts.evaluate_vocoder runs/vocoder/best --translated stylize/models/translator
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from data.errors import UserError
from scripts.command_line import run_command

BUNDLED = Path("stylize/models/vocoder")
QUICK_EXCERPTS = 3


def evaluate(
    models: Annotated[
        list[Path] | None, typer.Argument(metavar="MODEL...", help="Vocoder folders; default: the bundled one.")
    ] = None,
    corpus: Annotated[Path, typer.Option(help="Rendered corpus; left out if none.")] = Path("corpus"),
    recordings: Annotated[Path, typer.Option(help="Recordings; left out if none.")] = Path("recordings"),
    excerpts: Annotated[int | None, typer.Option(min=1, help="From each; default: one of every unseen file.")] = None,
    seconds: Annotated[float, typer.Option(min=3.0, help="Length of an excerpt.")] = 4.0,
    translated: Annotated[
        Path | None, typer.Option(metavar="TRANSLATOR", help="Also measure on mels that this translator made.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="JSON to write; the tables go beside it, .md.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder for pictures; made if it is missing.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help=f"{QUICK_EXCERPTS} excerpts of each.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Print how near vocoders come to recordings, what they get wrong, what they cost, and which aims they meet."""
    models = models or [BUNDLED]
    if len(set(models)) < len(models):
        raise UserError("got a model twice; give each once")
    folders = {
        name: path for name, path in {"rendered songs": corpus, "real recordings": recordings}.items() if path.is_dir()
    }
    if not folders:
        raise UserError(f"neither {corpus} nor {recordings} is a folder; give one with --corpus or --recordings")
    check_places(output, pictures, force)

    from data.atomic import atomic_write
    from stylize.vocoder_evaluation import EvaluationPlan, evaluate_vocoders
    from stylize.vocoder_plots import save_pictures
    from stylize.vocoder_report import format_report

    plan = EvaluationPlan(excerpts, seconds, threads=threads)
    if quick:
        plan = replace(plan, excerpts=QUICK_EXCERPTS, speed_seconds=8.0)
    evaluation = evaluate_vocoders(models, folders, plan, translated)
    report = format_report(evaluation.document)
    typer.echo(report)
    if output is not None:
        texts = {output: json.dumps(evaluation.document, indent=2) + "\n", output.with_suffix(".md"): report}
        for path, text in texts.items():
            with atomic_write(path) as stream:
                stream.write(text.encode())
    if pictures is not None:
        pictures.mkdir(exist_ok=True)
        for path in save_pictures(evaluation, pictures):
            typer.echo(f"wrote {path}")


def check_places(output: Path | None, pictures: Path | None, force: bool) -> None:
    """Refuse places that cannot be written to, before anything is measured.

    Raises:
        UserError: no such folder, not a .json name, files that exist without force.
    """
    if output is not None:
        if output.suffix != ".json":
            raise UserError(f"{output} does not end in .json; the tables go beside it, with .md")
        if not output.parent.is_dir():
            raise UserError(f"folder not found: {output.parent}; create it first")
        for path in (output, output.with_suffix(".md")):
            if path.exists() and not force:
                raise UserError(f"{path} exists; give --force to replace it")
    if pictures is not None:
        if not pictures.parent.is_dir() or (pictures.exists() and not pictures.is_dir()):
            raise UserError(f"{pictures} is no folder and cannot be made one; give another place")
        if pictures.is_dir() and any(pictures.iterdir()) and not force:
            raise UserError(f"{pictures} is not empty; give --force to replace pictures in it")


if __name__ == "__main__":
    run_command(evaluate)
