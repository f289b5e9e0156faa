"""Train an autoencoder from a configuration, and go on where it stopped.

python -m scripts.train_autoencoder configs/autoencoder.yaml --run runs/autoencoder [name=value ...]
"""

from __future__ import annotations

from pathlib import Path

from scripts.command_line import run_command
from scripts.train import ConfigPath, Device, MaxMinutes, Overrides, RunFolder, train


def train_autoencoder(
    config: ConfigPath,
    overrides: Overrides = None,
    run: RunFolder = Path("runs/autoencoder"),
    max_minutes: MaxMinutes = None,
    device: Device = "auto",
) -> None:
    """Train an autoencoder; checkpoints, metrics, samples and the best model are left in the run folder."""
    from stylize.optimize.training.autoencoder import AutoencoderExperiment, AutoencoderTraining

    train(config, AutoencoderTraining, AutoencoderExperiment, overrides, run, max_minutes, device)


if __name__ == "__main__":
    run_command(train_autoencoder)
