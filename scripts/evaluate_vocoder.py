"""Compare vocoders with Griffin-Lim and with the paper's generator on recordings that none of them saw.

python -m scripts.evaluate_vocoder
python -m scripts.evaluate_vocoder MODEL... --output docs/results/vocoder.json --pictures docs/images/vocoder
python -m scripts.evaluate_vocoder runs/vocoder/best --translated stylize/models/translator
"""

from __future__ import annotations

from typing import Any

import typer

from scripts.command_line import run_command
from stylize.evaluate.benchmarks.settings import VocoderSettings
from stylize.options import with_options


@with_options(VocoderSettings)
def evaluate(values: dict[str, Any]) -> int:
    """Print how close vocoders come to recordings, their artifacts, their costs, and which targets they meet."""
    settings = VocoderSettings(**values).check()  # before PyTorch is loaded

    from stylize.evaluate.benchmarks.vocoder import run_evaluation

    typer.echo(run_evaluation(settings))
    return 0


if __name__ == "__main__":
    run_command(evaluate)
