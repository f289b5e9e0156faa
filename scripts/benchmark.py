"""Measure speed, memory, start-up and vocoder quality, as a table and as JSON.

python -m scripts.benchmark [--quick] [--output docs/speed.json]
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from data.errors import UserError
from scripts.command_line import run_command

HEADER = """# Speed

`{command}`: ratios and medians of one run. The paper's generator has random weights and its 80 bands; more about the
vocoders is in [vocoder.md](vocoder.md)."""


def benchmark(
    output: Annotated[Path | None, typer.Option(help="JSON to write; the table goes beside it, .md.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter songs and fewer excerpts.")] = False,
    model: Annotated[Path | None, typer.Option(help="Translator folder; default: the bundled one.")] = None,
    vocoder: Annotated[Path | None, typer.Option(help="Vocoder folder; default: the bundled one.")] = None,
    style: Annotated[str | None, typer.Option(help="Target style; default: the model's first.")] = None,
    corpus: Annotated[Path, typer.Option(help="Rendered corpus; left out if none.")] = Path("corpus"),
    recordings: Annotated[Path, typer.Option(help="Recordings; left out if none.")] = Path("recordings"),
    excerpts: Annotated[int, typer.Option(min=1, help="Excerpts from each of the two.")] = 20,
    repeats: Annotated[int, typer.Option(min=3, help="Turns of which medians are taken.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Measure this machine with these models; takes about ten minutes, with --quick about two."""
    from stylize import benchmark as speed
    from stylize import vocoder_quality as quality
    from stylize.optimize import speed as optimization

    if output is not None and not output.parent.is_dir():
        raise UserError(f"folder not found: {output.parent}; create it first")
    plan = speed.BenchmarkPlan(repeats=repeats, threads=threads)
    if quick:
        plan, excerpts = replace(plan, seconds=20.0, memory_minutes=(1.0, 5.0)), min(excerpts, 4)
    machine = speed.describe_machine(threads)
    stylizer, figures = speed.measure_all(model, vocoder, style, plan)
    with tempfile.TemporaryDirectory() as temporary:
        optimization_plan = optimization.OptimizationPlan(repeats=repeats, threads=threads)
        if quick:
            optimization_plan = replace(optimization_plan, evaluations=5, memory_minutes=(0.5, 1.0))
        figures["optimization"] = optimization.measure_optimization(
            optimization_plan, speed.find_command(), Path(temporary)
        )
    sources = {"rendered songs": corpus, "real recordings": recordings}
    qualities = {
        name: quality.measure_vocoder(stylizer.vocoder, folder, excerpts)
        for name, folder in sources.items()
        if folder.is_dir()
    }
    tables = [speed.format_speed(figures["speed"])]
    tables.append(speed.format_command(figures["start"], figures["memory"]))
    tables.append(optimization.format_optimization(figures["optimization"]))
    translator = figures["speed"]["tasks"]["translator"]["times_real_time"]
    tables.append(optimization.format_ways(translator, figures["optimization"]))
    tables += [quality.format_quality(qualities)] if qualities else []
    command = shlex.join(["python", "-m", "scripts.benchmark", *sys.argv[1:]])
    parts = [HEADER.format(command=command), speed.format_machine(machine), *map("\n".join, tables)]
    text = "\n\n".join(parts) + "\n"
    typer.echo(text)
    for name, folder in sources.items():
        if name not in qualities:
            typer.echo(f"{name} left out: no folder {folder}", err=True)
    if output is not None:
        document = {"machine": machine, **figures, "vocoder": qualities}
        output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        output.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_command(benchmark)
