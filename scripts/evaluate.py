"""The benchmark: style reached, content kept and nearness to the known version, for any system, on unseen songs.

python -m scripts.evaluate --output docs/benchmark_translation
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts.command_line import run_command

QUICK = {"pairs": 20, "real_pairs": 10, "seconds": 5.0, "baseline_pairs": 1, "sweep_pairs": 5, "reference_clips": 16}
"""What `--quick` takes where nothing else is given."""


def evaluate(
    corpus: Annotated[Path, typer.Option(help="Rendered corpus.")] = Path("corpus"),
    recordings: Annotated[Path, typer.Option(help="Prepared recordings, for the tier real.")] = Path("recordings"),
    folder: Annotated[list[Path] | None, typer.Option(help="Recordings of your own; may be repeated.")] = None,
    tier: Annotated[
        list[str] | None, typer.Option(help="test, test_groove, test_soundfont, real; may be repeated; default: all.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="[NAME=]DIR of a translator; may be repeated.")] = None,
    vocoder: Annotated[
        list[str] | None, typer.Option(help="DIR for all models, or NAME=DIR for one; may be repeated.")
    ] = None,
    system: Annotated[
        list[str] | None, typer.Option(help="NAME=DIR with results of another system; may be repeated.")
    ] = None,
    export_pairs: Annotated[
        Path | None, typer.Option(help="Write inputs and a manifest for other systems here, and stop.")
    ] = None,
    classifier: Annotated[Path | None, typer.Option(help="Classifier folder; default: the bundled one.")] = None,
    trained_on: Annotated[
        list[Path] | None, typer.Option(help="Folder that models learnt from; searched for leaks; may be repeated.")
    ] = None,
    pairs: Annotated[int | None, typer.Option(min=1, help="Pairs of each rendered tier (90).")] = None,
    real_pairs: Annotated[int | None, typer.Option(min=1, help="Of each tier without ground truth (40).")] = None,
    seconds: Annotated[float | None, typer.Option(help="Of each song, from its middle (10).")] = None,
    baseline_pairs: Annotated[
        int | None, typer.Option(min=0, help="For the slow baseline, in all tiers together (40).")
    ] = None,
    sweep_pairs: Annotated[int | None, typer.Option(min=0, help="For strength and mixtures (20).")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small part, in less than three minutes.")] = False,
    seed: Annotated[int, typer.Option(help="Of every choice; the same one gives the same numbers.")] = 0,
    work: Annotated[Path, typer.Option(help="Folder for what is measured; a benchmark goes on there.")] = Path(
        "runs/evaluate"
    ),
    output: Annotated[
        Path | None, typer.Option(help="Write OUTPUT.md, .json, .csv, .png; default: WORK/report.*")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing output.")] = False,
    wandb: Annotated[str, typer.Option(help="auto, online, offline (also without a key) or off.")] = "off",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Measure systems on songs that no model saw, print and write a table for each tier, the aims and a plot."""
    from stylize.evaluate.settings import Settings, check_settings, parse_named

    numbers = {
        "pairs": pairs,
        "real_pairs": real_pairs,
        "seconds": seconds,
        "baseline_pairs": baseline_pairs,
        "sweep_pairs": sweep_pairs,
    }
    given = {name: value for name, value in numbers.items() if value is not None}
    sizes: dict[str, float] = (QUICK if quick else {}) | given
    settings = Settings(
        corpus=corpus,
        recordings=recordings,
        folders=tuple(folder or ()),
        tiers=tuple(tier or ()),
        models=tuple(parse_named("--model", text, _default_name(model)) for text in model or ()),
        vocoders=tuple(parse_named("--vocoder", text, "") for text in vocoder or ()),
        systems=tuple(parse_named("--system", text) for text in system or ()),
        classifier=classifier,
        trained_on=tuple(trained_on or ()),
        export=export_pairs,
        work=work,
        output=output.with_suffix("") if output is not None and output.suffix in (".md", ".json") else output,
        force=force,
        wandb=wandb,
        threads=threads,
        device=device,
        seed=seed,
        command=shlex.join(["python", "-m", "scripts.evaluate", *sys.argv[1:]]),
        **sizes,  # type: ignore[arg-type]
    )
    check_settings(settings)  # before PyTorch is loaded

    from stylize.evaluate.run import Evaluation, run_benchmark
    from stylize.evaluate.tracking import log_to_wandb

    def say(text: str) -> None:
        typer.echo(text, err=True)

    if export_pairs is not None:
        manifest = Evaluation(settings, say).export(export_pairs)
        typer.echo(f"{manifest}: run your system on it, then come back with --system NAME=DIR and the same options")
        return
    report = run_benchmark(settings, say)
    typer.echo(report["markdown"])
    say(log_to_wandb(settings, report))


def _default_name(models: list[str] | None) -> str | None:
    """Only a single model needs no name."""
    return "" if models is not None and len(models) == 1 else None


if __name__ == "__main__":
    run_command(evaluate)
