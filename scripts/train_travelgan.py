"""Train a translator from a configuration, and go on where it stopped.

    python -m scripts.train_travelgan configs/translator.yaml --run runs/translator [name=value ...]
"""

from __future__ import annotations

from pathlib import Path

from scripts.command_line import run_command
from scripts.train import ConfigPath, Device, MaxMinutes, Overrides, RunFolder, train


def train_travelgan(
    config: ConfigPath,
    overrides: Overrides = None,
    run: RunFolder = Path("runs/translator"),
    max_minutes: MaxMinutes = None,
    device: Device = "auto",
) -> None:
    """Train a translator; checkpoints, metrics, samples and the best model are left in the run folder."""
    from travelgan.experiment import TranslatorExperiment
    from travelgan.training_config import TranslatorTraining

    train(config, TranslatorTraining, TranslatorExperiment, overrides, run, max_minutes, device)


if __name__ == "__main__":
    run_command(train_travelgan)
