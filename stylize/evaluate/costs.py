"""Costs of vocoders: parameters, multiply-adds, time, training, beside the generator of the MelGAN paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from melgan import Vocoder
from melgan.layers import plain_state_dict
from stylize.evaluate.metrics.vocoder import WITHOUT_ITERATIONS, Method
from stylize.evaluate.speed import PAPER, paper_generator, quiet_noise, summarize_speed, time_in_turns
from stylize_core.mel import MelConfig
from stylize_core.model_folder import read_training_record


def count_parameters(network: nn.Module) -> int:
    """Numbers that a model folder stores for a network; a weight and its norm are one."""
    return sum(value.numel() for value in plain_state_dict(network).values())


def count_multiply_adds(synthesize: Callable[[Tensor], Tensor], mel_config: MelConfig, seconds: float = 2.0) -> float:
    """Multiply-adds for a second of audio, in convolutions and matrix products; FFTs and the rest are not in it.

    Args:
        synthesize: mel (1, n_mels, T) to wav.
        mel_config: the front-end.
        seconds: of audio that are counted; reflected ends weigh less the longer it is.
    """
    frames = round(seconds * mel_config.frames_per_second)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        synthesize(quiet_noise(mel_config, frames))
    return counter.get_total_flops() / 2 / (frames / mel_config.frames_per_second)


def measure_costs(
    vocoders: Mapping[str, Vocoder], methods: Sequence[Method], seconds: float, repeats: int
) -> dict[str, Any]:
    """Parameters, multiply-adds and times of all methods and of the paper's generator, in turns in one run."""
    paper, paper_mel = paper_generator()
    networks = {method.name: (method.synthesize, method.mel_config) for method in methods} | {PAPER: (paper, paper_mel)}

    def task(synthesize: Callable[[Tensor], Tensor], mel_config: MelConfig) -> Callable[[], object]:
        mel = quiet_noise(mel_config, round(seconds * mel_config.frames_per_second))
        return torch.inference_mode()(lambda: synthesize(mel))

    tasks = {name: task(*network) for name, network in networks.items()}
    speeds = summarize_speed(time_in_turns(tasks, repeats), seconds, PAPER)
    costs: dict[str, Any] = {}
    for name, network in networks.items():
        speed = {key: speeds[name][key] for key in ("times_real_time", "times_baseline")}
        costs[name] = {"multiply_adds_per_second": count_multiply_adds(*network), **speed}
    for name, vocoder in vocoders.items():
        for row in (name, f"{name}{WITHOUT_ITERATIONS}"):
            if row in costs:
                costs[row]["parameters"] = count_parameters(vocoder.generator)
    costs[PAPER]["parameters"] = count_parameters(paper)
    return {"music_seconds": seconds, "repeats": repeats, "rows": costs}


def read_training(folder: Path) -> dict[str, float]:
    """Steps of training and steps in an hour, as far as the model folder has them."""
    training = read_training_record(folder)
    step, minutes = training.get("step"), training.get("minutes")
    known: dict[str, float] = {}
    if isinstance(step, int):
        known["steps"] = step
        if isinstance(minutes, int | float) and minutes > 0:
            known["steps_per_hour"] = 60 * step / minutes
    return known
