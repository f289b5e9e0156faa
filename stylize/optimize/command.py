"""The command `stylize optimize`: options, what it says meanwhile and at the end, exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data.errors import UserError
from data.loudness import describe_limiting
from stylize.models import check_device_name
from stylize.optimize.choices import (
    INVERSES,
    NETWORKS,
    OPTIMIZERS,
    ORIENTATIONS,
    REPRESENTATIONS,
    STARTS,
    WANDB_MODES,
    check_choice,
    check_network,
    check_network_name,
)
from stylize.optimize.order import OptimizeOrder
from stylize.optimize.plan import plan_optimization
from stylize.program import EarlyStopError

if TYPE_CHECKING:
    from stylize.optimize.engine import Step
    from stylize.optimize.reporter import Place
    from stylize.optimize.run import OptimizeResult

DEFAULT = OptimizeOrder(content=Path(), style=Path())


def _option(panel: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def _one_of(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1] + "."


FILES, MAP, NETWORK, LOSS, START, SEARCH, RUN = (
    "Files",
    "What is optimised",
    "Network",
    "Loss",
    "Start",
    "Optimizer",
    "Run",
)


def optimize_command(
    content: Annotated[Path | None, typer.Argument(metavar="CONTENT", help="A recording or a picture.")] = None,
    style: Annotated[Path | None, typer.Argument(metavar="STYLE", help="Another one, in the wanted style.")] = None,
    output: Annotated[
        Path | None, _option(FILES, "Default: CONTENT.like-STYLE.wav (pictures: .png)", "-o", "--output")
    ] = DEFAULT.output,
    force: Annotated[bool, _option(FILES, "Overwrite existing files.", "--force")] = DEFAULT.force,
    loudness: Annotated[str, _option(FILES, "song (as loud as CONTENT), off, or LUFS such as -14.")] = DEFAULT.loudness,
    history: Annotated[Path | None, _option(FILES, "CSV of every loss at every iteration.")] = DEFAULT.history,
    picture: Annotated[Path | None, _option(FILES, "PNG of content, style and result.")] = DEFAULT.picture,
    curves: Annotated[Path | None, _option(FILES, "PNG of the losses.")] = DEFAULT.curves,
    wandb: Annotated[str, _option(FILES, f"Weights & Biases: {_one_of(WANDB_MODES)}")] = DEFAULT.wandb,
    representation: Annotated[str, _option(MAP, f"Of sound: {_one_of(REPRESENTATIONS)}")] = DEFAULT.representation,
    inverse: Annotated[str, _option(MAP, f"Back to sound: {_one_of(INVERSES)}")] = DEFAULT.inverse,
    vocoder: Annotated[Path | None, _option(MAP, "Vocoder folder; default: the bundled one.")] = DEFAULT.vocoder,
    unit_scale: Annotated[
        bool, _option(MAP, "Scale sound to [0, 1] by the extremes of both.", "--unit-scale")
    ] = DEFAULT.unit_scale,
    image_size: Annotated[int, _option(MAP, "Longest side of a picture, pixels.")] = DEFAULT.image_size,
    block_seconds: Annotated[float, _option(MAP, "Longer sound is cut into blocks.")] = DEFAULT.block_seconds,
    overlap_seconds: Annotated[float, _option(MAP, "What blocks share.")] = DEFAULT.overlap_seconds,
    network: Annotated[
        str | None,
        _option(
            NETWORK,
            f"{_one_of((*NETWORKS, 'a model folder'))} Default: autoencoder for mel, else random; for pictures vgg19 "
            "if its weights are there.",
        ),
    ] = DEFAULT.network,
    orientation: Annotated[
        str | None,
        _option(NETWORK, f"Channels: {_one_of(ORIENTATIONS)} Default: frequency; 2d for pictures and vgg19."),
    ] = DEFAULT.orientation,
    weights_file: Annotated[
        Path | None, _option(NETWORK, "Weights of vgg19; default: in torch hub's cache.", "--weights")
    ] = DEFAULT.weights_file,
    model: Annotated[
        Path | None, _option(NETWORK, "Folder of siamese (a translator) or autoencoder; default: the bundled one.")
    ] = DEFAULT.model,
    layers: Annotated[int, _option(NETWORK, "Of the random network.")] = DEFAULT.layers,
    width: Annotated[int | None, _option(NETWORK, "Its channels; default: 2048, in 2d 64.")] = DEFAULT.width,
    kernel: Annotated[int | None, _option(NETWORK, "Its filters' extent; default: 11, in 2d 5.")] = DEFAULT.kernel,
    pool: Annotated[int, _option(NETWORK, "Its pooling; 1 for none.")] = DEFAULT.pool,
    batchnorm: Annotated[bool, _option(NETWORK, "Whether it normalises.", "--batchnorm")] = DEFAULT.batchnorm,
    list_layers: Annotated[
        str | None, _option(NETWORK, "List the layers of a network and do nothing else.", metavar="NETWORK")
    ] = None,
    content_layer: Annotated[
        str | None, _option(LOSS, "relu_1, or with weights relu_1:1,relu_2:0.5; default: by network.")
    ] = DEFAULT.content_layer,
    style_layer: Annotated[str | None, _option(LOSS, "The same for the style.")] = DEFAULT.style_layer,
    content_weight: Annotated[
        float, _option(LOSS, "Small, since the start is the content; 0: texture synthesis.")
    ] = DEFAULT.content_weight,
    style_weight: Annotated[float, _option(LOSS, "Of Gram matrices.")] = DEFAULT.style_weight,
    tv_weight: Annotated[float, _option(LOSS, "Of the total variation.")] = DEFAULT.tv_weight,
    histogram_weight: Annotated[float, _option(LOSS, "Of histograms.")] = DEFAULT.histogram_weight,
    bound_weight: Annotated[float, _option(LOSS, "Of soft bounds in place of hard ones.")] = DEFAULT.bound_weight,
    raw_weights: Annotated[
        bool, _option(LOSS, "Losses as they are, not relative to the content's.", "--raw-weights")
    ] = DEFAULT.raw_weights,
    start: Annotated[str, _option(START, _one_of((*STARTS, "a file")))] = DEFAULT.start,
    start_lower: Annotated[float, _option(START, "Of truncated-normal.")] = DEFAULT.start_lower,
    start_upper: Annotated[float, _option(START, "Of truncated-normal.")] = DEFAULT.start_upper,
    start_mean: Annotated[float, _option(START, "Of truncated-normal.")] = DEFAULT.start_mean,
    start_deviation: Annotated[float, _option(START, "Of truncated-normal.")] = DEFAULT.start_deviation,
    optimizer: Annotated[str, _option(SEARCH, _one_of(OPTIMIZERS))] = DEFAULT.optimizer,
    iterations: Annotated[int, _option(SEARCH, "For each block and channel.")] = DEFAULT.iterations,
    learning_rate: Annotated[float, _option(SEARCH, "Of Adam.")] = DEFAULT.learning_rate,
    decayed_learning_rate: Annotated[
        float, _option(SEARCH, "Of Adam, later.", show_default="1/30")
    ] = DEFAULT.decayed_learning_rate,
    decay_iteration: Annotated[int, _option(SEARCH, "From when on.")] = DEFAULT.decay_iteration,
    tolerance: Annotated[
        float, _option(SEARCH, "Stop where ten iterations improve the loss by less than this part; 0: never.")
    ] = DEFAULT.tolerance,
    seed: Annotated[int, _option(RUN, "Of the random network and a random start.")] = DEFAULT.seed,
    device: Annotated[str, _option(RUN, "auto, cpu, cuda, cuda:N or mps.")] = DEFAULT.device,
    threads: Annotated[int | None, _option(RUN, "CPU threads; default: all cores.")] = DEFAULT.threads,
) -> int:
    """Give CONTENT the style of STYLE by optimization: minutes, but any style, without training.

    Both are recordings or both are pictures (PNG, JPEG). Ctrl-C ends it early and keeps the result so far.
    """
    arguments = dict(locals())  # all of them, and nothing else yet
    listed = arguments.pop("list_layers")
    if listed is not None:
        return print_layers(OptimizeOrder(**arguments | {"content": Path(), "style": Path()}), listed)
    if content is None or style is None:
        raise UserError("`stylize optimize` needs two files, CONTENT and STYLE; `stylize optimize --help` has the rest")
    return run_order(OptimizeOrder(**arguments))


def run_order(order: OptimizeOrder) -> int:
    """Check, optimise, print; the exit code is 0.

    Raises:
        UserError: what the user can mend, and a loss that was no number, after the last good result was written.
        EarlyStopError: Ctrl-C, after the result so far was written.
    """
    plan = plan_optimization(order)

    from stylize.optimize.progress import choose_reporter
    from stylize.optimize.run import run_plan  # the first import of PyTorch

    with choose_reporter(order.iterations) as reporter:
        result = run_plan(plan, reporter)
    if result.stopped == "interrupted":
        raise EarlyStopError(describe_stop(result, order))
    if result.stopped == "not finite":
        raise UserError(f"the loss was no finite number; {describe_stop(result, order)}; use another --seed or weights")
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
        line += f"; {last.iteration} iteration{plural}{converged}, {describe_losses(last)}"
    return "\n".join([line, *(f"note: {note}" for note in describe_limiting(result.limited_db))])


def describe_losses(step: Step) -> str:
    """The total and every term; those of single layers are in the history."""
    terms = {name: value for name, value in step.terms.items() if "/" not in name}
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in {"total": step.total, **terms}.items())


def describe_stop(result: OptimizeResult, order: OptimizeOrder) -> str:
    """Where a run stopped, and what the file holds."""
    place, rows = result.stopped_at, result.history.rows
    assert place is not None
    own = [row for row in rows if (row.block, row.channel) == (place.block, place.channel)]
    text = f"stopped at iteration {own[-1].step.iteration if own else 0} of {order.iterations}{describe_place(place)}"
    text += f"; {result.path} holds the result so far"
    if result.unchanged_after is not None:
        text += f", and from {result.unchanged_after:.1f} s on the content unchanged"
    return text


def describe_place(place: Place) -> str:
    """Block and channel, where there are several: ` in block 2 of 5, channel 1 of 2`."""
    parts = []
    if place.blocks > 1:
        parts.append(f"block {place.block} of {place.blocks}")
    if place.channels > 1:
        parts.append(f"channel {place.channel} of {place.channels}")
    return f" in {', '.join(parts)}" if parts else ""


def print_layers(order: OptimizeOrder, network: str) -> int:
    """One line for each layer of a network, for maps of the representation of an order.

    Raises:
        UserError: an unknown network, or one that does not fit.
    """
    check_network_name(network)
    check_choice("representation", order.representation, REPRESENTATIONS)
    orientation = order.orientation or ("2d" if network == "vgg19" else "frequency")
    check_network(network, order.representation, orientation, order.weights_file, order.model)
    check_device_name(order.device)

    from stylize.optimize.transfer import describe_network_layers

    for line in describe_network_layers(order, network, orientation):
        print(line)
    return 0
