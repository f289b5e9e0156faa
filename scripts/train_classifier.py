"""Train the genre classifier that judges translations, on the training split of a corpus."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from data.errors import UserError
from data.folder import Clip, choose_styles, index_folder
from data.mel import MEL_PRESETS
from data.mel_cache import MelCache
from data.segments import choose_validation
from stylize.program import run_program
from training.genre import (
    Accuracy,
    ClassifierTraining,
    GenreClassifier,
    TrainingReport,
    evaluate,
    load_split,
    train,
)
from training.precision import PRECISIONS

SEGMENT_FRAMES = 256


def build_parser() -> argparse.ArgumentParser:
    """Command line of this program."""
    defaults = ClassifierTraining()
    parser = argparse.ArgumentParser(
        prog="python -m scripts.train_classifier",
        description="Train a genre classifier on CORPUS and print how well it hears each split.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="folder tree GENRE/GENRE.NNNNN.wav")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="MODEL", help="model folder to write"
    )
    parser.add_argument("--minutes", type=float, default=defaults.minutes, help="wall-clock limit")
    parser.add_argument("--steps", type=int, default=defaults.steps, help="limit in steps")
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size)
    parser.add_argument("--preset", choices=sorted(MEL_PRESETS), default="music", help="mel front-end")
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="folder of the mel cache")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: cuda if any")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--split-seed", type=int, default=0, help="of the split of folders without a manifest")
    parser.add_argument("--validation-clips", type=int, default=80, help="clips that validations hear, of all genres")
    parser.add_argument(
        "--mixed-precision", choices=PRECISIONS, default=defaults.mixed_precision, help="auto: as the hardware has it"
    )
    return parser


def format_report(report: TrainingReport) -> str:
    """One line for a validation."""
    return (
        f"step {report.step:5} {100 * report.progress:4.0f} %  loss {report.loss:.3f}  valid loss "
        f"{report.valid.loss:.3f}, {100 * report.valid.segments:.1f} % right{'  best' if report.best else ''}"
    )


def format_accuracy(name: str, clips: int, accuracy: Accuracy) -> str:
    """One line for a split."""
    return (
        f"{name:15} right: {100 * accuracy.clips:5.1f} % of {clips} clips, "
        f"{100 * accuracy.segments:5.1f} % of {accuracy.confusion.sum()} segments; loss {accuracy.loss:.3f}"
    )


def format_confusion(genres: Sequence[str], confusion: np.ndarray) -> str:
    """Table of segments: a row per true genre, a column per heard genre, per cent."""
    shares = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    head = " " * 10 + "".join(f"{genre[:8]:>9}" for genre in genres)
    rows = [
        f"{genre:10}" + "".join(f"{share:9.0f}" for share in row)
        for genre, row in zip(genres, shares, strict=True)
    ]
    return "\n".join([head, *rows])


def choose_device(name: str) -> torch.device:
    """The device of a name; UserError when there is no such device."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU here; use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def run(options: argparse.Namespace) -> None:
    """Index, load, train, evaluate, save."""
    settings = ClassifierTraining(
        minutes=options.minutes,
        steps=options.steps,
        batch_size=options.batch_size,
        mixed_precision=options.mixed_precision,
        seed=options.seed,
    )
    clips = index_folder(options.corpus, seed=options.split_seed)
    genres = choose_styles([clip for clip in clips if clip.split == "train"], (), options.corpus)
    if len(genres) < 2:
        raise UserError(f"{options.corpus} has training clips of {len(genres)} genres, 2 are needed at least")
    device = choose_device(options.device)
    mel_config = MEL_PRESETS[options.preset]
    cache = MelCache(options.cache, mel_config)
    splits: dict[str, list[Clip]] = {}
    for clip in clips:
        splits.setdefault(clip.split, []).append(clip)
    splits["valid"] = choose_validation(clips, genres, cache, options.validation_clips)
    loaded = {name: load_split(clips, genres, cache) for name, clips in sorted(splits.items())}
    torch.manual_seed(settings.seed)
    classifier = GenreClassifier(genres, mel_config).to(device)
    parameters = sum(parameter.numel() for parameter in classifier.parameters())
    print(f"{len(loaded['train'])} training clips, {parameters:,} parameters")
    for report in train(classifier, loaded["train"], loaded["valid"], settings):
        print(format_report(report), flush=True)
    accuracies = {
        name: evaluate(classifier, split, SEGMENT_FRAMES)
        for name, split in loaded.items()
        if name != "train" and len(split)
    }
    for name, accuracy in accuracies.items():
        print(format_accuracy(name, len(loaded[name]), accuracy))
        print(format_confusion(genres, accuracy.confusion))
    measured = {name: round(accuracy.segments, 4) for name, accuracy in accuracies.items()}
    classifier.save(
        options.output, {"accuracy": measured, "batch_size": settings.batch_size, "seed": settings.seed}
    )
    print(f"written to {options.output}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run; the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = build_parser().parse_args(arguments)
    return run_program(partial(run, options))


if __name__ == "__main__":
    sys.exit(main())
