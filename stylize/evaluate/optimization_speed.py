"""Speed and memory of the optimization, compared with a plain loop over the same network."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylize.evaluate.report import table
from stylize.evaluate.speed import CommandRun, run_measured, time_in_turns, torch_threads, write_long_song
from stylize.optimize.engine import optimize
from stylize.optimize.networks import FeatureNetwork, RandomNetwork, RandomNetworkConfig, make_layout
from stylize.optimize.objective import Objective, measure_style
from stylize.optimize.options import OptimizeOptions
from stylize.optimize.representations import make_representation
from stylize.optimize.transfer import load_network
from stylize_core.audio.reader import read_audio

PLAIN = "plain loop"
DEFAULT_NETWORK = "autoencoder (default)"


@dataclass(frozen=True)
class OptimizationPlan:
    """How much is measured.

    Args:
        seconds: of music for the speeds.
        evaluations: of the objective in each turn.
        repeats: turns that count.
        threads: of PyTorch.
        width: channels of the random network measured beside the default one.
        memory_minutes: songs for peak memory; the longer ones are optimized in blocks.
    """

    seconds: float = 10.0
    evaluations: int = 10
    repeats: int = 3
    threads: int = 2
    width: int = 2048
    memory_minutes: tuple[float, ...] = (0.5, 1.0, 3.0)


def measure_optimization(plan: OptimizationPlan, command: Sequence[str], folder: Path) -> dict[str, Any]:
    """Seconds per evaluation and minute of music of each network and optimizer, and peak memory of the command."""
    representation = make_representation("mel", inverse="griffin-lim")
    networks: dict[str, FeatureNetwork] = {
        DEFAULT_NETWORK: load_network(
            "autoencoder", shape=(1, representation.rows, 4), layout="frequency", representation="mel"
        ),
        f"random, {plan.width} channels": RandomNetwork(
            RandomNetworkConfig(in_channels=representation.rows, width=plan.width)
        ),
    }
    wav, _ = read_audio(write_long_song(folder / "optimize.wav", 2 * plan.seconds), representation.sample_rate)
    content, style = (representation.encode(half) for half in torch.from_numpy(wav[0]).chunk(2))
    with torch_threads(plan.threads):
        speeds = {
            name: _summarize(time_in_turns(_tasks(plan, network, content, style), plan.repeats), plan)
            for name, network in networks.items()
        }
    runs = [_run(minutes, plan, command, folder) for minutes in plan.memory_minutes]
    return {
        "music_seconds": plan.seconds,
        "speeds": speeds,
        "memory_minutes": list(plan.memory_minutes),
        "peak_mebibytes": [round(run.peak_mebibytes, 1) for run in runs],
    }


def _summarize(seconds: Mapping[str, Sequence[float]], plan: OptimizationPlan) -> dict[str, dict[str, float]]:
    per_minute = 60 / plan.seconds / plan.evaluations
    return {
        name: {
            "seconds_per_minute": statistics.median(turns) * per_minute,
            "times_plain": statistics.median(mine / plain for mine, plain in zip(turns, seconds[PLAIN], strict=True)),
        }
        for name, turns in seconds.items()
    }


def _tasks(
    plan: OptimizationPlan, network: FeatureNetwork, content: Tensor, style: Tensor
) -> dict[str, Callable[[], object]]:
    layout = make_layout("frequency", (1, content.shape[1], content.shape[2]))
    layers = network.default_style_layers

    def run(optimizer: str) -> None:
        options = OptimizeOptions(Path(), Path(), optimizer=optimizer, iterations=plan.evaluations)
        target = measure_style(network, layout, style, layers, False)
        objective = Objective(
            network, layout=layout, content=content, style=target, content_layers=layers, options=options
        )
        optimize(objective, content, options, max_evaluations=plan.evaluations)

    return {
        PLAIN: lambda: plain_loop(network, content, style, tuple(layers), plan.evaluations),
        "Adam": lambda: run("adam"),
        "L-BFGS": lambda: run("lbfgs"),
    }


def plain_loop(
    network: FeatureNetwork, content: Tensor, style: Tensor, layers: Sequence[str], evaluations: int
) -> Tensor:
    """Plain Adam on content and Gram losses."""

    def gram(features: Tensor) -> Tensor:
        flat = features[0].flatten(1)
        return flat @ flat.T / flat.shape[1]

    with torch.no_grad():
        content_features, style_features = network(content, layers), network(style, layers)
        targets = {name: gram(style_features[name]) for name in layers}
    variable = content.clone().requires_grad_()
    optimizer = torch.optim.Adam([variable], lr=0.1)
    for _ in range(evaluations):
        optimizer.zero_grad()
        features = network(variable, layers)
        loss = torch.stack(
            [
                (features[name] - content_features[name]).square().mean()
                + (gram(features[name]) - targets[name]).square().mean()
                for name in layers
            ]
        ).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            variable.clamp_(min=0.0)
        loss.item()
    return variable.detach()


def _run(minutes: float, plan: OptimizationPlan, command: Sequence[str], folder: Path) -> CommandRun:
    song = write_long_song(folder / "optimize-memory.wav", 60 * minutes)
    style = write_long_song(folder / "optimize-style.wav", 10)
    options = ["--iterations", "2", "--threads", str(plan.threads), "--device", "cpu", "--force"]
    return run_measured([*command, "optimize", str(song), str(style), "-o", str(folder / "out.wav"), *options])


def format_optimization(figures: Mapping[str, Any]) -> list[str]:
    """Markdown tables of the figures."""
    columns = (
        f"optimization, {figures['music_seconds']:g} s at a time",
        *("network", "s per evaluation and minute of music", "× the plain loop"),
    )
    rows = [
        [name, network, f"{speed['seconds_per_minute']:.2f}", f"{speed['times_plain']:.2f}"]
        for network, speeds in figures["speeds"].items()
        for name, speed in speeds.items()
    ]
    memory = zip(figures["memory_minutes"], figures["peak_mebibytes"], strict=True)
    peaks = [[f"{minutes:g} min of music", f"{peak:.0f}"] for minutes, peak in memory]
    return [*table(columns, rows), "", *table(("`stylize optimize`, peak memory", "MiB"), peaks)]


def format_ways(translator_times_real_time: float, figures: Mapping[str, Any]) -> list[str]:
    """A Markdown table of both ways from mel to mel; the optimization with one evaluation per iteration."""
    evaluations = OptimizeOptions.iterations
    minute = figures["speeds"][DEFAULT_NETWORK]["L-BFGS"]["seconds_per_minute"] * evaluations
    slow = 60 / minute
    rows = [
        ["translator", f"{translator_times_real_time:.1f}"],
        [f"optimization, {evaluations} evaluations", f"{slow:.2f}"],
        ["the first to the second", f"{translator_times_real_time / slow:.0f}"],
    ]
    return table(("from mel to mel", "× real time"), rows)
