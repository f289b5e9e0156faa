"""Speed, memory and start-up time of `stylize` on this machine.

Speeds are relative to the generator of the MelGAN paper (arXiv 1910.06711, section 2.1): ratios are medians over turns,
in which other load slows both down. Memory and start-up are measured on the command in a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
import torch
from torch import Tensor

import stylize
from melgan import Generator, GeneratorConfig
from stylize.evaluate.report import (
    check_report,
    describe_machine,
    format_machine,
    report_files,
    table,
    write_json,
    write_text,
)
from stylize.options import POSITIVE, Check, check_options, option
from stylize.pipeline import Stylizer
from stylize_core.audio.reader import read_audio
from stylize_core.errors import UserError
from stylize_core.mel import MEL_PRESETS, MelConfig

logger = logging.getLogger(__name__)

DEMO_SONG = Path(stylize.__file__).parent / "songs" / "demo_country.ogg"
PAPER = "paper's generator"
SUFFIXES = (".json", ".md")
HEADER = """# Speed

`{command}`: ratios and medians of one run. The paper's generator has random weights and its 80 bands; more about the
vocoders is in [vocoder.md](vocoder.md)."""

# Runs a command in a small process: on Linux, a child's peak memory is never below that of its parent at the start.
_MEASURE_COMMAND = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"code": done.returncode, "errors": done.stderr, "seconds": seconds, "peak": peak}))
"""


@dataclass(frozen=True)
class SpeedSettings:
    """The options of `scripts.benchmark`."""

    output: Path | None = option(None, "Write OUTPUT.json and .md.")
    force: bool = option(False, "Replace files that exist.")
    quick: bool = option(False, "Shorter songs.")
    model: Path | None = option(None, "Translator folder; default: the bundled one.")
    vocoder: Path | None = option(None, "Vocoder folder; default: the bundled one.")
    style: str | None = option(None, "Target style; default: the model's first.")
    repeats: int = option(3, "Turns of which medians are taken.", check=Check(lambda n: n >= 3, "at least 3"))
    threads: int = option(2, "CPU threads.", check=POSITIVE)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class BenchmarkPlan:
    """How much is measured.

    Args:
        seconds: of music for the speeds.
        repeats: turns of the speeds, and starts of the command.
        threads: of PyTorch, in this process and in the command.
        memory_minutes: a short and a long song for peak memory.
        start_seconds: of music for the time from command to file.
    """

    seconds: float = 60.0
    repeats: int = 3
    threads: int = 2
    memory_minutes: tuple[float, float] = (1.0, 60.0)
    start_seconds: float = 10.0


@dataclass(frozen=True)
class CommandRun:
    """The cost of a command."""

    seconds: float
    peak_mebibytes: float


def run_benchmark(settings: SpeedSettings) -> str:
    """Measure this machine and write the files of the settings; returns the page."""
    from stylize.evaluate import optimization_speed

    if settings.output is not None:
        check_report(settings.output, SUFFIXES, settings.force)
    quick: dict[str, Any] = {"seconds": 20.0, "memory_minutes": (1.0, 5.0)} if settings.quick else {}
    plan = BenchmarkPlan(repeats=settings.repeats, threads=settings.threads, **quick)
    machine = describe_machine(settings.threads)
    figures = measure_all(settings, plan)
    quick = {"evaluations": 5, "memory_minutes": (0.5, 1.0)} if settings.quick else {}
    optimization_plan = optimization_speed.OptimizationPlan(repeats=settings.repeats, threads=settings.threads, **quick)
    with tempfile.TemporaryDirectory() as folder:
        optimization = optimization_speed.measure_optimization(optimization_plan, find_command(), Path(folder))
    figures["optimization"] = optimization
    translator = figures["speed"]["tasks"]["translator"]["times_real_time"]
    command = shlex.join(["python", "-m", "scripts.benchmark", *sys.argv[1:]])
    parts = [
        [HEADER.format(command=command)],
        [format_machine(machine)],
        format_speed(figures["speed"]),
        format_command(figures["start"], figures["memory"]),
        optimization_speed.format_optimization(optimization),
        optimization_speed.format_ways(translator, optimization),
    ]
    page = "\n\n".join("\n".join(lines) for lines in parts) + "\n"
    if settings.output is not None:
        files = report_files(settings.output, SUFFIXES)
        write_json(files[".json"], {"machine": machine, **figures})
        write_text(files[".md"], page)
    return page


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Set the number of PyTorch's threads temporarily."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def paper_generator() -> tuple[Generator, MelConfig]:
    """The generator of the MelGAN paper with random weights, and its front-end."""
    mel_config = MEL_PRESETS["melgan"]
    return Generator(GeneratorConfig(n_mels=mel_config.n_mels, hop_length=mel_config.hop_length)).eval(), mel_config


def quiet_noise(mel_config: MelConfig, frames: int) -> Tensor:
    """A mel about as loud as music, (1, n_mels, frames)."""
    return torch.randn(1, mel_config.n_mels, frames, generator=torch.Generator().manual_seed(0)) * 0.5 - 2.0


def write_long_song(path: Path, seconds: float, song: Path = DEMO_SONG) -> Path:
    """Write a mono wav of any length by repeating a song."""
    wav, sample_rate = read_audio(song)
    piece = wav[0]
    missing = round(seconds * sample_rate)
    with soundfile.SoundFile(path, "w", sample_rate, 1, "PCM_16") as file:
        while missing > 0:
            file.write(piece[:missing])
            missing -= len(piece)
    return path


def time_in_turns(tasks: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each task in each turn, after a warm-up turn; a turn runs every task once."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            elapsed = time.perf_counter() - start
            if turn > 0:
                seconds[name].append(elapsed)
        logger.info("speed: turn %d of %d%s", turn, repeats, " (warm-up)" if turn == 0 else "")
    return seconds


def summarize_speed(seconds: Mapping[str, Sequence[float]], music_seconds: float, baseline: str) -> dict[str, Any]:
    """Medians, and factors of real time and of the baseline's speed."""
    return {
        name: {
            "seconds": [round(value, 4) for value in turns],
            "median_seconds": statistics.median(turns),
            "times_real_time": music_seconds / statistics.median(turns),
            "times_baseline": statistics.median(
                base / value for base, value in zip(seconds[baseline], turns, strict=True)
            ),
        }
        for name, turns in seconds.items()
    }


def measure_all(settings: SpeedSettings, plan: BenchmarkPlan) -> dict[str, Any]:
    """Speed, memory and start-up."""
    stylizer = Stylizer.from_pretrained(settings.model, settings.vocoder, "cpu")
    style = settings.style or stylizer.styles[0]
    stylizer.named_style(style)
    options = ["--to", style, "--device", "cpu", "--threads", str(plan.threads)]
    for name, folder in (("--model", settings.model), ("--vocoder", settings.vocoder)):
        options += [name, str(folder.resolve())] if folder else []
    arguments = [*find_command(), "song", *options]
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        return {
            "speed": {"music_seconds": plan.seconds, "tasks": measure_speed(stylizer, style, plan, place)},
            "start": measure_start(arguments, plan, place),
            "memory": measure_memory(arguments, plan, place),
        }


def measure_speed(stylizer: Stylizer, style: str, plan: BenchmarkPlan, folder: Path) -> dict[str, Any]:
    """Speed from wav to wav, of each network alone, and of the paper's generator."""
    song = write_long_song(folder / "speed.wav", plan.seconds)
    vector = stylizer.named_style(style)
    wav, _ = read_audio(song, stylizer.mel_config.sample_rate)
    with torch.inference_mode():
        mel = stylizer.log_mel(torch.from_numpy(wav))
    mel = mel[..., : mel.shape[-1] // stylizer.layout.frame_multiple * stylizer.layout.frame_multiple]
    paper, paper_mel = paper_generator()
    noise = quiet_noise(paper_mel, round(plan.seconds * paper_mel.frames_per_second))

    def inference(network: Callable[..., object], *inputs: Tensor) -> None:
        with torch.inference_mode():
            network(*inputs)

    tasks: dict[str, Callable[[], object]] = {
        "end to end": lambda: stylizer.stylize_file(song, folder / "speed.out.wav", to=style, force=True),
        "translator": lambda: inference(stylizer.translator, mel, vector[None]),
        "vocoder": lambda: inference(stylizer.vocoder, mel),
        "vocoder without Griffin-Lim iterations": lambda: inference(stylizer.vocoder.generator, mel),
        PAPER: lambda: inference(paper, noise),
    }
    with torch_threads(plan.threads):
        seconds = time_in_turns(tasks, plan.repeats)
    return summarize_speed(seconds, plan.seconds, PAPER)


def find_command() -> list[str]:
    """The installed `stylize` command, or its module if not installed."""
    installed = Path(sys.executable).with_name("stylize")
    return [str(installed)] if installed.is_file() else [sys.executable, "-m", "stylize.cli"]


def run_measured(command: Sequence[str]) -> CommandRun:
    """Run a command in a process of its own and measure time and peak memory."""
    watched = [sys.executable, "-I", "-S", "-c", _MEASURE_COMMAND, *command]
    root = Path(stylize.__file__).parents[1]
    done = subprocess.run(watched, cwd=root, capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    if measured["code"] != 0:
        last = (measured["errors"].strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{' '.join(command)} ended with exit code {measured['code']}: {last}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes in the system's unit of memory
    return CommandRun(measured["seconds"], measured["peak"] * unit / 2**20)


def _run_on_song(arguments: Sequence[str], seconds: float, path: Path) -> CommandRun:
    song = write_long_song(path, seconds)
    run = run_measured([*arguments, str(song), "-o", str(path.with_suffix(".out.wav")), "--force"])
    logger.info("%s: %g s of music, %.0f MiB, %.1f s", path.stem, seconds, run.peak_mebibytes, run.seconds)
    return run


def measure_memory(arguments: Sequence[str], plan: BenchmarkPlan, folder: Path) -> dict[str, Any]:
    """Peak memory of the command for a short and a long song."""
    runs = [_run_on_song(arguments, 60 * minutes, folder / "memory.wav") for minutes in plan.memory_minutes]
    return {
        "minutes": list(plan.memory_minutes),
        "peak_mebibytes": [round(run.peak_mebibytes, 1) for run in runs],
        "seconds": [round(run.seconds, 2) for run in runs],
        "long_to_short": runs[1].peak_mebibytes / runs[0].peak_mebibytes,
    }


def measure_start(arguments: Sequence[str], plan: BenchmarkPlan, folder: Path) -> dict[str, Any]:
    """Time from the command to the file, including the loading of models."""
    runs = [_run_on_song(arguments, plan.start_seconds, folder / "start.wav") for _ in range(plan.repeats)]
    seconds = [run.seconds for run in runs]
    return {
        "music_seconds": plan.start_seconds,
        "seconds": [round(value, 2) for value in seconds],
        "median_seconds": statistics.median(seconds),
    }


def format_speed(speed: Mapping[str, Any]) -> list[str]:
    """A Markdown table of the speeds."""
    keys = ("median_seconds", "times_real_time", "times_baseline")
    rows = [
        [name, *(f"{task[key]:.{digits}f}" for key, digits in zip(keys, (2, 1, 2), strict=True))]
        for name, task in speed["tasks"].items()
    ]
    columns = (f"{speed['music_seconds']:g} s mono", "seconds", "× real time", "× the paper's generator")
    return table(columns, rows)


def format_command(start: Mapping[str, Any], memory: Mapping[str, Any]) -> list[str]:
    """A Markdown table of the command's time and memory."""
    peaks = zip(memory["minutes"], memory["peak_mebibytes"], strict=True)
    rows = [
        [f"{start['music_seconds']:g} s of music, from command to file", f"{start['median_seconds']:.1f} s"],
        *([f"peak memory, {minutes:g} min of music", f"{peak:.0f} MiB"] for minutes, peak in peaks),
        ["the second to the first", f"{memory['long_to_short']:.2f}"],
    ]
    return table(("the command `stylize`", "measured"), rows)
