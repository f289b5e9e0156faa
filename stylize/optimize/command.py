"""The command `stylize optimize`: options, final report, exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stylize.optimize.options import NETWORK, OptimizeOptions, check_network, check_network_name
from stylize.optimize.plan import plan_optimization
from stylize.optimize.reporting import choose_reporter
from stylize.options import with_options
from stylize.program import EarlyStopError
from stylize_core.audio.loudness import describe_limiting
from stylize_core.errors import UserError

if TYPE_CHECKING:
    from stylize.optimize.run import OptimizeResult


@with_options(OptimizeOptions)
def optimize_command(
    values: dict[str, Any],
    list_layers: Annotated[
        str | None, typer.Option(help="Only list the layers of a network.", metavar="NETWORK", rich_help_panel=NETWORK)
    ] = None,
) -> int:
    """Give CONTENT the style of STYLE by optimization: minutes, but any style, without training.

    Both are recordings or both are pictures (PNG, JPEG). Ctrl-C ends it early and keeps the result so far.
    """
    if list_layers is not None:
        return print_layers(OptimizeOptions(**values | {"content": Path(), "style": Path()}), list_layers)
    if values["content"] is None or values["style"] is None:
        raise UserError("`stylize optimize` needs two files, CONTENT and STYLE; `stylize optimize --help` has the rest")
    return optimize_files(OptimizeOptions(**values))


def optimize_files(options: OptimizeOptions) -> int:
    """Check, optimize, print; the exit code is 0.

    Raises:
        UserError: what the user can mend, and a loss that was no number, after the last good result was written.
        EarlyStopError: Ctrl-C, after the result so far was written.
    """
    plan = plan_optimization(options)

    from stylize.optimize.run import run_plan  # the first import of PyTorch

    with choose_reporter(options.iterations) as reporter:
        result = run_plan(plan, reporter)
    if result.stopped == "interrupted":
        raise EarlyStopError(describe_stop(result, options))
    if result.stopped == "not finite":
        raise UserError(
            f"the loss was no finite number; {describe_stop(result, options)}; use another --seed or weights"
        )
    print(describe_result(result), flush=True)
    return 0


def describe_result(result: OptimizeResult) -> str:
    """Path, time and losses in one line, and a second line where peaks were limited."""
    last = result.history.rows[-1].step if result.history.rows else None
    parts = [f"{result.path}:"]
    if result.seconds is not None:
        parts.append(f"{result.seconds:.1f} s of music in")
    parts.append(f"{result.elapsed:.1f} s")
    if result.blocks > 1:
        parts.append(f"in {result.blocks} blocks")
    line = " ".join(parts)
    if last is None:
        line += "; silence, which stays as it is"
    else:
        converged = " until nothing fell any more" if result.stopped == "converged" else ""
        plural = "" if last.iteration == 1 else "s"
        line += f"; {last.iteration} iteration{plural}{converged}, {last.describe()}"
    return "\n".join([line, *(f"note: {note}" for note in describe_limiting(result.limited_db))])


def describe_stop(result: OptimizeResult, options: OptimizeOptions) -> str:
    """Where a run stopped, and what the file holds."""
    place, rows = result.stopped_at, result.history.rows
    assert place is not None
    own = [row for row in rows if row.place == place]
    text = f"stopped at iteration {own[-1].step.iteration if own else 0} of {options.iterations}{place.describe()}"
    text += f"; {result.path} holds the result so far"
    if result.unchanged_after is not None:
        text += f", and from {result.unchanged_after:.1f} s on the content unchanged"
    return text


def print_layers(options: OptimizeOptions, network: str) -> int:
    """One line for each layer of a network, for spectrograms of the representation."""
    check_network_name(network)
    layout = options.layout or ("2d" if network == "vgg19" else "frequency")
    check_network(network, options.representation, layout, options.weights, options.model)

    from stylize.optimize.transfer import describe_network_layers

    for line in describe_network_layers(options, network, layout):
        print(line)
    return 0
