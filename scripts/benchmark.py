"""Measure speed, memory and start-up, as tables and as JSON; takes about ten minutes.

python -m scripts.benchmark [--quick] [--output docs/results/speed.json]
"""

from __future__ import annotations

from typing import Any

import typer

from scripts.command_line import run_command
from stylize.evaluate.speed import SpeedSettings, run_benchmark
from stylize.options import with_options


@with_options(SpeedSettings)
def benchmark(values: dict[str, Any]) -> int:
    """Measure this machine with these models; takes about ten minutes, with --quick about two."""
    typer.echo(run_benchmark(SpeedSettings(**values)))
    return 0


if __name__ == "__main__":
    run_command(benchmark)
