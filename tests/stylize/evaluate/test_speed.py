"""Speed, memory and start-up: the arithmetic, the order of turns, and that a command's memory is its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from stylize import Stylizer
from stylize.evaluate import optimization_speed
from stylize.evaluate import speed as module
from stylize.evaluate.report import read_processor_name
from stylize.evaluate.speed import (
    BenchmarkPlan,
    CommandRun,
    SpeedSettings,
    format_command,
    format_speed,
    measure_memory,
    measure_speed,
    measure_start,
    run_benchmark,
    run_measured,
    summarize_speed,
    time_in_turns,
    write_long_song,
)
from stylize.optimize.losses import gram_matrix
from stylize.optimize.networks import RandomNetwork, RandomNetworkConfig
from stylize_core.errors import UserError

PLAN = BenchmarkPlan(seconds=0.3, repeats=3, threads=3, memory_minutes=(0.01, 0.03), start_seconds=0.25)
FIGURES: dict[str, Any] = {
    "speed": {
        "music_seconds": 60.0,
        "tasks": {
            "end to end": {"median_seconds": 3.0, "times_real_time": 20.0, "times_baseline": 2.5},
            "translator": {"median_seconds": 0.25, "times_real_time": 240.0, "times_baseline": 30.0},
            "paper's generator": {"median_seconds": 7.5, "times_real_time": 8.0, "times_baseline": 1.0},
        },
    },
    "start": {"music_seconds": 10.0, "median_seconds": 4.25},
    "memory": {"minutes": [1, 60], "peak_mebibytes": [800.4, 880.2], "long_to_short": 1.0997},
}


def test_a_long_song_is_the_song_again_and_again(tmp_path: Path) -> None:
    piece = (np.arange(1000) % 97 / 100).astype(np.float32)
    soundfile.write(tmp_path / "song.wav", np.stack([piece, piece], axis=1), 8000, subtype="PCM_16")
    path = write_long_song(tmp_path / "long.wav", 0.4, tmp_path / "song.wav")
    wav, rate = soundfile.read(path, dtype="float32")
    assert rate == 8000 and wav.shape == (3200,)
    np.testing.assert_allclose(wav, np.tile(piece, 4)[:3200], atol=1e-4)


def test_turns_are_interleaved_and_the_first_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])

    def task(name: str, seconds: float) -> None:
        order.append(name)
        clock[0] += seconds * len(order)  # every call is slower than the one before

    seconds = time_in_turns({"a": lambda: task("a", 1.0), "b": lambda: task("b", 10.0)}, repeats=2)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert seconds == {"a": [3.0, 5.0], "b": [40.0, 60.0]}


def test_ratios_are_taken_within_a_turn() -> None:
    # The ratios of the turns are 3, 2 and 7; that of the medians would be 2.
    speed = summarize_speed({"ours": [1.0, 4.0, 10.0], "base": [3.0, 8.0, 70.0]}, 60.0, "base")
    assert speed["ours"] == {
        "seconds": [1.0, 4.0, 10.0],
        "median_seconds": 4.0,
        "times_real_time": 15.0,
        "times_baseline": 3.0,
    }
    assert speed["base"]["times_baseline"] == 1.0


def test_the_tasks_of_the_speed_run(tiny_stylizer: Stylizer, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    speed = measure_speed(tiny_stylizer, "jazz", PLAN, tmp_path)
    assert list(speed) == [
        "end to end",
        "translator",
        "vocoder",
        "vocoder without Griffin-Lim iterations",
        "paper's generator",
    ]
    assert all(len(task["seconds"]) == 3 and task["median_seconds"] > 0 for task in speed.values())
    assert soundfile.info(tmp_path / "speed.out.wav").frames == soundfile.info(tmp_path / "speed.wav").frames
    assert torch.get_num_threads() == threads


def test_memory_of_a_command_is_its_own() -> None:
    held = np.ones(400 * 2**17)  # 400 MiB here must not show there
    small = run_measured([sys.executable, "-S", "-c", "pass"])
    large = run_measured([sys.executable, "-S", "-c", "x = b'1' * (200 * 2**20)"])
    assert held[-1] == 1.0
    assert 1 < small.peak_mebibytes < 100
    assert 190 < large.peak_mebibytes - small.peak_mebibytes < 230


def test_a_command_that_fails_says_why() -> None:
    program = "import sys; print('warning', file=sys.stderr); sys.exit('error: no such style')"
    with pytest.raises(UserError, match="ended with exit code 1: error: no such style"):
        run_measured([sys.executable, "-c", program])


def test_what_the_command_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[str], float]] = []

    def run(command: list[str]) -> CommandRun:
        asked.append((command[:2] + command[3:], round(soundfile.info(command[2]).duration, 3)))
        return CommandRun(seconds=float(len(asked) ** 2), peak_mebibytes=100.0 + 10 * len(asked))

    monkeypatch.setattr(module, "run_measured", run)
    start = measure_start(["stylize", "song"], PLAN, tmp_path)
    assert asked == [(["stylize", "song", "-o", str(tmp_path / "start.out.wav"), "--force"], 0.25)] * 3
    assert start == {"music_seconds": 0.25, "seconds": [1.0, 4.0, 9.0], "median_seconds": 4.0}
    memory = measure_memory(["stylize", "song"], PLAN, tmp_path)
    assert [seconds for _, seconds in asked[3:]] == pytest.approx([0.6, 1.8])
    assert memory["peak_mebibytes"] == [140.0, 150.0]
    assert memory["long_to_short"] == pytest.approx(150 / 140)


def test_processor_name(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Other\n")
    assert read_processor_name(tmp_path / "cpuinfo") == "Some CPU @ 2 GHz"
    assert read_processor_name(tmp_path / "none") != ""


OPTIMIZATION = {
    "music_seconds": 10.0,
    "speeds": {
        "autoencoder (default)": {
            "plain loop": {"seconds_per_minute": 1.18, "times_plain": 1.0},
            "Adam": {"seconds_per_minute": 1.2, "times_plain": 1.02},
            "L-BFGS": {"seconds_per_minute": 1.25, "times_plain": 1.06},
        },
        "random, 8 channels": {"plain loop": {"seconds_per_minute": 2.0, "times_plain": 1.0}},
    },
    "memory_minutes": [0.5, 1.0],
    "peak_mebibytes": [700.0, 710.4],
}


def test_the_optimization_beside_a_plain_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str]) -> CommandRun:
        commands.append(list(command))
        return CommandRun(1.0, 100.0 + len(commands))

    monkeypatch.setattr(optimization_speed, "run_measured", run)
    plan = optimization_speed.OptimizationPlan(
        1.0, evaluations=2, repeats=3, threads=1, width=8, memory_minutes=(0.02, 0.04)
    )
    figures = optimization_speed.measure_optimization(plan, ["stylize"], tmp_path)
    assert list(figures["speeds"]) == ["autoencoder (default)", "random, 8 channels"]
    for speeds in figures["speeds"].values():
        assert list(speeds) == ["plain loop", "Adam", "L-BFGS"] and speeds["plain loop"]["times_plain"] == 1.0
        assert all(values["seconds_per_minute"] > 0 for values in speeds.values())
    assert figures["peak_mebibytes"] == [101.0, 102.0]
    assert [command[:2] for command in commands] == [["stylize", "optimize"]] * 2
    assert optimization_speed.format_optimization(OPTIMIZATION)[2:] == [
        "| plain loop | autoencoder (default) | 1.18 | 1.00 |",
        "| Adam | autoencoder (default) | 1.20 | 1.02 |",
        "| L-BFGS | autoencoder (default) | 1.25 | 1.06 |",
        "| plain loop | random, 8 channels | 2.00 | 1.00 |",
        "",
        "| `stylize optimize`, peak memory | MiB |",
        "| --- | --- |",
        "| 0.5 min of music | 700 |",
        "| 1 min of music | 710 |",
    ]
    # 200 times 1.25 s is 250 s for a minute: 0.24 times real time, a thousandth of 240.
    assert optimization_speed.format_ways(240.0, OPTIMIZATION)[2:] == [
        "| translator | 240.0 |",
        "| optimization, 200 evaluations | 0.24 |",
        "| the first to the second | 1000 |",
    ]


def test_the_plain_loop_does_what_the_baseline_does() -> None:
    """Both lower the same loss from the same start by about as much."""
    generator = torch.Generator().manual_seed(0)
    content, style = (torch.rand(1, 6, 40, generator=generator) * scale for scale in (1.0, 3.0))
    network = RandomNetwork(RandomNetworkConfig(in_channels=6, width=16, kernel=3))
    before = optimization_speed.plain_loop(network, content, style, ["relu_1"], 0)
    after = optimization_speed.plain_loop(network, content, style, ["relu_1"], 60)
    assert torch.equal(before, content)

    def distance(map_: torch.Tensor) -> float:
        grams = [gram_matrix(network(made, ["relu_1"])["relu_1"]) for made in (map_, style)]
        return float((grams[0] - grams[1]).square().mean())

    assert distance(after) < 0.2 * distance(before) and float(after.min()) >= 0


def test_tables() -> None:
    assert format_speed(FIGURES["speed"])[2:] == [
        "| end to end | 3.00 | 20.0 | 2.50 |",
        "| translator | 0.25 | 240.0 | 30.00 |",
        "| paper's generator | 7.50 | 8.0 | 1.00 |",
    ]
    assert format_command(FIGURES["start"], FIGURES["memory"])[2:] == [
        "| 10 s of music, from command to file | 4.2 s |",
        "| peak memory, 1 min of music | 800 MiB |",
        "| peak memory, 60 min of music | 880 MiB |",
        "| the second to the first | 1.10 |",
    ]


def test_the_benchmark_writes_json_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[BenchmarkPlan] = []

    def measure_all(settings: SpeedSettings, plan: BenchmarkPlan) -> dict[str, Any]:
        plans.append(plan)
        return dict(FIGURES)

    monkeypatch.setattr(module, "measure_all", measure_all)
    monkeypatch.setattr(optimization_speed, "measure_optimization", lambda plan, command, folder: OPTIMIZATION)
    output = tmp_path / "figures.json"
    page = run_benchmark(SpeedSettings(output, quick=True, style="jazz", threads=1))
    assert plans == [BenchmarkPlan(seconds=20.0, repeats=3, threads=1, memory_minutes=(1.0, 5.0))]
    document = json.loads(output.read_text())
    assert document["speed"] == FIGURES["speed"] and document["optimization"] == OPTIMIZATION
    assert document["machine"]["threads"] == 1 and document["machine"]["torch"] == torch.__version__
    assert page == (tmp_path / "figures.md").read_text()
    assert page.startswith("# Speed\n\n`python -m scripts.benchmark")
    assert "| the first to the second | 1000 |" in page
    assert "| end to end | 3.00 |" in page and "| Adam | autoencoder (default) | 1.20 | 1.02 |" in page
    with pytest.raises(UserError, match="figures.json exists already"):
        run_benchmark(SpeedSettings(output))
    with pytest.raises(UserError, match="folder not found"):
        run_benchmark(SpeedSettings(tmp_path / "no" / "figures.json"))
