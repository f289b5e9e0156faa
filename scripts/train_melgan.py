"""Train a vocoder from a configuration, and go on where it stopped.

    python -m scripts.train_melgan configs/vocoder.yaml --run runs/vocoder [name=value ...]
"""

from __future__ import annotations

from pathlib import Path

from scripts.command_line import run_command
from scripts.train import ConfigPath, Device, MaxMinutes, Overrides, RunFolder, train


def train_melgan(
    config: ConfigPath,
    overrides: Overrides = None,
    run: RunFolder = Path("runs/vocoder"),
    max_minutes: MaxMinutes = None,
    device: Device = "auto",
) -> None:
    """Train a vocoder; checkpoints, metrics, samples and the best model are left in the run folder."""
    from melgan.experiment import VocoderExperiment, VocoderTraining

    train(config, VocoderTraining, VocoderExperiment, overrides, run, max_minutes, device)


if __name__ == "__main__":
    run_command(train_melgan)
