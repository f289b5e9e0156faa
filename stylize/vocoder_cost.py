"""What vocoders cost: parameters, multiply-adds, time, training. All of it counted or measured, beside the paper's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from data.mel import MEL_PRESETS, MelConfig
from melgan import Generator, GeneratorConfig, Vocoder
from melgan.layers import plain_state_dict
from stylize.benchmark import summarise_speed, time_in_turns
from stylize.vocoder_quality import Method
from training.pretrained import read_training_record

PAPER = "the paper's generator"


def count_parameters(network: nn.Module) -> int:
    """Numbers that a model folder stores for a network; a weight and its norm are one."""
    return sum(value.numel() for value in plain_state_dict(network).values())


def count_multiply_adds(synthesise: Callable[[Tensor], Tensor], mel_config: MelConfig, seconds: float = 2.0) -> float:
    """Multiply-adds for a second of audio, in convolutions and matrix products; FFTs and the rest are not in it.

    Args:
        synthesise: mel (1, n_mels, T) to wav.
        mel_config: the front-end.
        seconds: of audio that are counted; reflected ends weigh less the longer it is.
    """
    frames = round(seconds * mel_config.frames_per_second)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        synthesise(quiet_noise(mel_config, frames))
    return counter.get_total_flops() / 2 / (frames / mel_config.frames_per_second)


def quiet_noise(mel_config: MelConfig, frames: int) -> Tensor:
    """A mel to work on, about as loud as music, (1, n_mels, frames)."""
    return torch.randn(1, mel_config.n_mels, frames, generator=torch.Generator().manual_seed(0)) * 0.5 - 2.0


def paper_generator() -> tuple[Generator, MelConfig]:
    """The generator of the MelGAN paper (arXiv 1910.06711, section 2.1) with random weights, and its front-end."""
    mel_config = MEL_PRESETS["melgan"]
    return Generator(GeneratorConfig(n_mels=mel_config.n_mels, hop_length=mel_config.hop_length)).eval(), mel_config


def measure_costs(
    vocoders: Mapping[str, Vocoder], methods: list[Method], seconds: float = 20.0, repeats: int = 3
) -> dict[str, Any]:
    """Parameters, multiply-adds and times of all methods and of the paper's generator, in turns in one run.

    Args:
        vocoders: by name.
        methods: see :func:`stylize.vocoder_quality.find_methods`.
        seconds: of music in each timing.
        repeats: timings of which the median is taken; one before them does not count.
    """
    paper, paper_mel = paper_generator()
    networks = {method.name: (method.synthesise, method.mel_config) for method in methods}
    networks[PAPER] = (paper, paper_mel)

    def task(synthesise: Callable[[Tensor], Tensor], mel_config: MelConfig) -> Callable[[], object]:
        mel = quiet_noise(mel_config, round(seconds * mel_config.frames_per_second))

        def run() -> None:
            with torch.inference_mode():
                synthesise(mel)

        return run

    tasks = {name: task(*network) for name, network in networks.items()}
    speeds = summarise_speed(time_in_turns(tasks, repeats), seconds, PAPER)
    costs: dict[str, Any] = {}
    for name, network in networks.items():
        speed = {key: speeds[name][key] for key in ("times_real_time", "times_baseline")}
        costs[name] = {"multiply_adds_per_second": count_multiply_adds(*network), **speed}
    for name, vocoder in vocoders.items():
        for row in (name, f"{name} without refinement"):
            if row in costs:
                costs[row]["parameters"] = count_parameters(vocoder.generator)
    costs[PAPER]["parameters"] = count_parameters(paper)
    return {"music_seconds": seconds, "repeats": repeats, "rows": costs}


def read_training(folder: Path) -> dict[str, float]:
    """Steps of training and steps in an hour, as far as the model's card tells them."""
    training = read_training_record(folder)
    step, minutes = training.get("step"), training.get("minutes")
    known: dict[str, float] = {}
    if isinstance(step, int):
        known["steps"] = step
        if isinstance(minutes, int | float) and minutes > 0:
            known["steps_per_hour"] = 60 * step / minutes
    return known
