"""Compare vocoders with each other and with Griffin-Lim on recordings that none of them saw.

python -m scripts.evaluate_vocoder stylize/models/vocoder runs/istft/best --output docs/vocoder_members.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from data.errors import UserError
from scripts.command_line import run_command


def evaluate(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Vocoder folders of one front-end.")],
    corpus: Annotated[Path, typer.Option(help="Rendered corpus; left out if none.")] = Path("corpus"),
    recordings: Annotated[Path, typer.Option(help="Recordings; left out if none.")] = Path("recordings"),
    excerpts: Annotated[int, typer.Option(min=1, help="Excerpts from each of the two.")] = 20,
    seconds: Annotated[float, typer.Option(min=2.0, help="Length of an excerpt.")] = 5.0,
    output: Annotated[Path | None, typer.Option(help="JSON to write; the table goes beside it, .md.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Print how near each vocoder comes to recordings from their mels, with and without its refinement."""
    import torch

    from melgan import Vocoder
    from stylize import vocoder_quality as quality

    if output is not None and not output.parent.is_dir():
        raise UserError(f"folder not found: {output.parent}; create it first")
    if len(set(models)) < len(models):
        raise UserError("got a model twice; give each once")
    sources = {
        name: path for name, path in {"rendered songs": corpus, "real recordings": recordings}.items() if path.is_dir()
    }
    if not sources:
        raise UserError(f"neither {corpus} nor {recordings} is a folder; give one with --corpus or --recordings")
    torch.set_num_threads(threads)
    vocoders = {str(model): Vocoder.from_pretrained(model) for model in models}
    measured = {name: quality.measure_vocoders(vocoders, path, excerpts, seconds) for name, path in sources.items()}
    table = "\n".join(quality.format_quality(measured)) + "\n"
    typer.echo(table)
    if output is not None:
        output.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
        output.with_suffix(".md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    run_command(evaluate)
