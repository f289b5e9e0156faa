"""Speed and memory of the whole path, measured on the machine at hand in one run.

Speeds are compared with the generator of the MelGAN paper (arXiv 1910.06711, section 2.1) in plain PyTorch:
everything is repeated in turns, and a ratio is the median of the ratios of the turns, so that a machine busy
with other things slows both sides down. Memory and start-up are the real command's, in a process of its own.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
import torch

import stylize
from data.audio import read_audio
from data.errors import UserError
from data.mel import MEL_PRESETS
from melgan import Generator, GeneratorConfig
from stylize.pipeline import Stylizer

logger = logging.getLogger(__name__)

DEMO_SONG = Path(stylize.__file__).parent / "songs" / "demo_country.ogg"

# Runs the command in its arguments and writes how it went. A process of its own, and a small one: on Linux a
# child's peak memory is never below what its parent had when it was started.
_MEASURE_COMMAND = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"code": done.returncode, "errors": done.stderr, "seconds": seconds, "peak": peak}))
"""


@dataclass(frozen=True)
class BenchmarkPlan:
    """How much is measured.

    Args:
        seconds: of music for the speeds.
        repeats: turns of the speeds, and starts of the command.
        threads: of PyTorch, in this process and in the command.
        memory_minutes: lengths of the two songs for peak memory, short and long.
        start_seconds: of music for the time from command to file.
    """

    seconds: float = 60.0
    repeats: int = 3
    threads: int = 2
    memory_minutes: tuple[float, float] = (1.0, 60.0)
    start_seconds: float = 10.0


@dataclass(frozen=True)
class CommandRun:
    """What a command took.

    Args:
        seconds: from its start to its end.
        peak_mebibytes: its largest resident memory.
    """

    seconds: float
    peak_mebibytes: float


def describe_machine(threads: int) -> dict[str, Any]:
    """What figures depend on: processor, cores, versions, threads, day."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "processor": read_processor_name(Path("/proc/cpuinfo")),
        "cores": cores,
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }


def read_processor_name(cpuinfo: Path) -> str:
    """The processor's model name from Linux's list of processors, else what Python knows."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def write_long_song(path: Path, seconds: float, song: Path = DEMO_SONG) -> Path:
    """Write a mono wav of any length by repeating a song, in constant memory.

    Args:
        path: the file to write, .wav.
        seconds: how long; rounded to a sample.
        song: what is repeated.
    """
    wav, sample_rate = read_audio(song)
    piece = wav[0]
    missing = round(seconds * sample_rate)
    with soundfile.SoundFile(path, "w", sample_rate, 1, "PCM_16") as file:
        while missing > 0:
            file.write(piece[:missing])
            missing -= len(piece)
    return path


def time_in_turns(tasks: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds that each task took in each turn; a turn runs every task once, the first turn does not count.

    Args:
        tasks: what to time, by name.
        repeats: turns that count.
    """
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


def summarise_speed(
    seconds: Mapping[str, Sequence[float]], music_seconds: float, baseline: str
) -> dict[str, Any]:
    """Medians, times real time, and how many times faster than the baseline each task was.

    Args:
        seconds: of each task in each turn.
        music_seconds: length of the music they worked on.
        baseline: the task the others are compared with.
    """
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


def measure_speed(stylizer: Stylizer, style: str, plan: BenchmarkPlan, folder: Path) -> dict[str, Any]:
    """Speed from wav to wav, of each network alone, and of the paper's generator.

    Args:
        stylizer: the models.
        style: where the song goes.
        plan: how much.
        folder: for the songs in and out.
    """
    song = write_long_song(folder / "speed.wav", plan.seconds)
    vector = stylizer.named_style(style)
    wav, _ = read_audio(song, stylizer.mel_config.sample_rate)
    with torch.inference_mode():
        mel = stylizer.log_mel(torch.from_numpy(wav))
    mel = mel[..., : mel.shape[-1] // stylizer.layout.frame_multiple * stylizer.layout.frame_multiple]
    paper_mel = MEL_PRESETS["melgan"]
    paper = Generator(GeneratorConfig(n_mels=paper_mel.n_mels, hop_length=paper_mel.hop_length)).eval()
    paper_frames = round(plan.seconds * paper_mel.frames_per_second)
    noise = torch.randn(1, paper_mel.n_mels, paper_frames, generator=torch.Generator().manual_seed(0)) - 2.0

    def inference(network: Callable[..., object], *inputs: torch.Tensor) -> None:
        with torch.inference_mode():
            network(*inputs)

    tasks: dict[str, Callable[[], object]] = {
        "end to end": lambda: stylizer.stylize_file(song, folder / "speed.out.wav", to=style, force=True),
        "translator": lambda: inference(stylizer.translator, mel, vector[None]),
        "vocoder": lambda: inference(stylizer.vocoder, mel),
        "vocoder without refinement": lambda: inference(stylizer.vocoder.generator, mel),
        "paper's generator": lambda: inference(paper, noise),
    }
    before = torch.get_num_threads()
    torch.set_num_threads(plan.threads)
    try:
        seconds = time_in_turns(tasks, plan.repeats)
    finally:
        torch.set_num_threads(before)
    return summarise_speed(seconds, plan.seconds, "paper's generator")


def find_command() -> list[str]:
    """The installed `stylize` command, or the same program by its module where it is not installed."""
    installed = Path(sys.executable).with_name("stylize")
    return [str(installed)] if installed.is_file() else [sys.executable, "-m", "stylize.cli"]


def run_measured(command: Sequence[str]) -> CommandRun:
    """Run a command in a process of its own and measure time and peak memory.

    Raises:
        UserError: it failed.
    """
    watched = [sys.executable, "-I", "-S", "-c", _MEASURE_COMMAND, *command]
    root = Path(stylize.__file__).parents[1]
    done = subprocess.run(watched, cwd=root, capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    if measured["code"] != 0:
        last = (measured["errors"].strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{' '.join(command)} ended with exit code {measured['code']}: {last}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes in the system's unit of memory
    return CommandRun(measured["seconds"], measured["peak"] * unit / 2**20)


def measure_memory(arguments: Sequence[str], plan: BenchmarkPlan, folder: Path) -> dict[str, Any]:
    """Peak memory of the command for a short and a long song.

    Args:
        arguments: the command up to the song.
        plan: how long the songs are.
        folder: for the songs in and out.
    """
    runs = []
    for minutes in plan.memory_minutes:
        song = write_long_song(folder / "memory.wav", 60 * minutes)
        run = run_measured([*arguments, str(song), "-o", str(folder / "memory.out.wav"), "--force"])
        logger.info("memory: %g min of music, %.0f MiB, %.1f s", minutes, run.peak_mebibytes, run.seconds)
        runs.append(run)
    return {
        "minutes": list(plan.memory_minutes),
        "peak_mebibytes": [round(run.peak_mebibytes, 1) for run in runs],
        "seconds": [round(run.seconds, 2) for run in runs],
        "long_to_short": runs[1].peak_mebibytes / runs[0].peak_mebibytes,
    }


def measure_start(arguments: Sequence[str], plan: BenchmarkPlan, folder: Path) -> dict[str, Any]:
    """Time from the command to the file, loading of the models included.

    Args:
        arguments: the command up to the song.
        plan: how long the song is, and how often.
        folder: for the songs in and out.
    """
    song = write_long_song(folder / "start.wav", plan.start_seconds)
    command = [*arguments, str(song), "-o", str(folder / "start.out.wav"), "--force"]
    seconds = [run_measured(command).seconds for _ in range(plan.repeats)]
    logger.info("start: %s s", ", ".join(f"{value:.1f}" for value in seconds))
    return {
        "music_seconds": plan.start_seconds,
        "seconds": [round(value, 2) for value in seconds],
        "median_seconds": statistics.median(seconds),
    }


def measure_all(
    model: Path | None, vocoder: Path | None, style: str | None, plan: BenchmarkPlan
) -> tuple[Stylizer, dict[str, Any]]:
    """Load the models and measure speed, memory and start-up.

    Args:
        model: translator folder, None for the bundled one.
        vocoder: vocoder folder, None for the bundled one.
        style: where songs go, None for the translator's first style.
        plan: how much.

    Returns:
        the loaded models, and the figures by name.

    Raises:
        UserError: models that cannot be loaded, an unknown style, a command that fails.
    """
    stylizer = Stylizer.from_pretrained(model, vocoder, "cpu")
    style = style or stylizer.styles[0]
    stylizer.named_style(style)
    options = ["--to", style, "--device", "cpu", "--threads", str(plan.threads)]
    for name, folder in (("--model", model), ("--vocoder", vocoder)):
        options += [name, str(folder.resolve())] if folder else []
    arguments = [*find_command(), "song", *options]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        figures = {
            "speed": {"music_seconds": plan.seconds, "tasks": measure_speed(stylizer, style, plan, folder)},
            "start": measure_start(arguments, plan, folder),
            "memory": measure_memory(arguments, plan, folder),
        }
    return stylizer, figures


def format_speed(speed: Mapping[str, Any]) -> list[str]:
    """A markdown table of the speeds."""
    lines = [
        f"| {speed['music_seconds']:g} s mono | seconds | × real time | × the paper's generator |",
        "|---|---|---|---|",
    ]
    for name, task in speed["tasks"].items():
        lines.append(
            f"| {name} | {task['median_seconds']:.2f} | {task['times_real_time']:.1f} "
            f"| {task['times_baseline']:.2f} |"
        )
    return lines


def format_command(start: Mapping[str, Any], memory: Mapping[str, Any]) -> list[str]:
    """A markdown table of the command's time and memory."""
    lines = [
        "| the command `stylize` | measured |",
        "|---|---|",
        f"| {start['music_seconds']:g} s of music, from command to file | {start['median_seconds']:.1f} s |",
    ]
    for minutes, peak in zip(memory["minutes"], memory["peak_mebibytes"], strict=True):
        lines.append(f"| peak memory, {minutes:g} min of music | {peak:.0f} MiB |")
    lines.append(f"| the second to the first | {memory['long_to_short']:.2f} |")
    return lines


def format_machine(machine: Mapping[str, Any]) -> str:
    """The machine in one line."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads used; "
        f"{machine['system']}, Python {machine['python']}, PyTorch {machine['torch']}; {machine['date']}"
    )
