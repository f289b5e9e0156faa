"""Ablation of the translator: short runs between two styles, each with one thing changed, measured on validation songs.

python -m studies.ablation --output studies/ablation.md

Without paired data unless the row says so. Every run has as many steps and hears as much music in each. A stopped study
goes on.
"""

from __future__ import annotations

import itertools
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.command_line import run_command
from scripts.train import EXPERIMENTS
from stylize_core.errors import UserError
from stylize_core.plain import read_json

if TYPE_CHECKING:
    from torch import Tensor

    from travelgan.training_config import TranslatorData

REFERENCE = ("data.paired=true", "method.adversary.adversarial=2")
"""Paired data is there to be measured, their losses weigh nothing; the adversary has its first weight."""
VARIANTS: dict[str, tuple[str, ...]] = {
    "the reference": (),
    "the reference, another seed": ("loop.seed=1",),
    "without the TraVeL loss and its margin": ("method.weights.travel=0", "method.weights.margin=0"),
    "without contrastive and cosine style losses": ("method.weights.style=0", "method.weights.style_cosine=0"),
    "without identity": ("method.weights.identity=0",),
    "without the adversary": ("method.adversary=null",),
    "adversary half as strong": ("method.adversary.adversarial=1",),
    "no mismatched-label loss": ("method.adversary.mismatched_label=0",),
    "segments of 0.9 s, twice as many": ("data.segment_frames=80", "loop.batch_size={double}"),
    "segments of 3.7 s, half as many": ("data.segment_frames=320", "loop.batch_size={half}"),
    "a receptive field of 0.9 s, not 3.2 s": ("generator.dilations=[1,1,1,1,1,1,1,1]",),
    "with paired data": ("method.weights.paired=10", "method.adversary.feature_matching=2"),
    "paired data, then the adversary too": (
        "method.weights.paired=10", "method.adversary.feature_matching=2", "method.adversary.first_step={third}",
    ),
    "paired data alone": ("method.weights.paired=10", "method.adversary=null"),
    "with the harmony loss": ("method.weights.harmony=2",),
    "styles heard as they are": ("augment_style=false",),
    "last weights, not their EMA": ("loop.ema_decay=0",),
}  # fmt: skip
"""What is changed in each run."""
COLUMNS = {
    "target heard": "target_rate",
    "its probability": "target_probability",
    "source heard": "source_rate",
    "chroma to the input": "chroma",
    "mel L1 to the known version": "to_truth",
}
WINDOWS = 4
"""Stretches of a song that are translated."""


def study(
    config: Annotated[Path, typer.Argument(help="YAML configuration of the reference.")] = Path(
        "configs/translator_two_domains.yaml"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Of each run.")] = 600,
    batch_size: Annotated[int, typer.Option(min=2, help="Songs a step.")] = 8,
    only: Annotated[list[str] | None, typer.Option(help="Part of a run's name; may be repeated.")] = None,
    value: Annotated[list[str] | None, typer.Option(help="For all runs, such as data.folder=DIR.")] = None,
    work: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/ablation"),
    output: Annotated[Path | None, typer.Option(help="Markdown file to write, after each run again.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Train every variant and print a row for each."""
    import torch

    if output is not None and not output.parent.is_dir():
        raise UserError(f"folder not found: {output.parent}; create it first")
    chosen = {name: values for name, values in VARIANTS.items() if not only or any(part in name for part in only)}
    if not chosen:
        raise UserError(f"no run has {' or '.join(only or ())} in its name; there are: {', '.join(VARIANTS)}")
    torch.set_num_threads(threads)
    common = [f"loop.{name}={steps}" for name in ("steps", "decay_steps", "validate_every")]
    common += [f"loop.batch_size={batch_size}", "loop.ema_decay=0.99", "loop.workers=0", "loop.wandb=off"]
    common += ["loop.final_lr_scale=0.05", *REFERENCE, *(value or ())]
    sizes = {"steps": steps, "third": steps // 3, "double": 2 * batch_size, "half": batch_size // 2}
    lines = [
        f"`{shlex.join(['python', '-m', 'studies.ablation', *sys.argv[1:]])}`",
        "",
        f"| run | {' | '.join(COLUMNS)} |",
        "| --- |" + " ---: |" * len(COLUMNS),
    ]
    for number, (name, values) in enumerate(chosen.items()):
        folder = work / name.replace(",", "").replace(" ", "_")
        measured = train(config, folder, [*common, *(text.format(**sizes) for text in values)])
        if number == 0:
            lines.append(format_row("the input as it is", measured["input"]))
        lines.append(format_row(name, measured["output"]))
        typer.echo(f"{number + 1} of {len(chosen)} {lines[-1]}")
        if output is not None:
            output.write_text("\n".join(lines) + "\n")


def train(config: Path, folder: Path, overrides: list[str]) -> dict[str, dict[str, float]]:
    """Train one run to its end, or go on with it, and measure what came out."""
    from stylize_core.config import to_plain
    from training.loop import Trainer, make_accelerator
    from training.recipe import read_recipe
    from training.run_folder import locked
    from travelgan.experiment import TranslatorExperiment, with_styles

    found = folder / "measured.json"
    resolved = with_styles(read_recipe(config, EXPERIMENTS, overrides).stages[0].config)
    if not found.is_file():
        accelerator = make_accelerator(resolved.loop, "cpu")
        with locked(folder, accelerator):
            Trainer(TranslatorExperiment(resolved), resolved.loop, folder, accelerator, to_plain(resolved)).run()
        found.write_text(json.dumps(measure(folder / "best", resolved.data)))
    measured: dict[str, dict[str, float]] = read_json(found)
    return measured


def measure(model: Path, data: TranslatorData) -> dict[str, dict[str, float]]:
    """Measures of the inputs as they are and of their translations, over all validation songs and pairs of styles."""
    import torch

    from data.folder import index_folder
    from data.mel_cache import MelCache
    from stylize_core.classifier import GenreClassifier
    from travelgan.translator import Translator
    from travelgan.validation import translate_all, validation_measures

    translator = Translator.from_pretrained(model)
    classifier = GenreClassifier.from_pretrained(data.classifier) if data.classifier else None
    cache = MelCache(Path(data.cache), translator.mel_config)
    clips = [clip for clip in index_folder(Path(data.folder), seed=data.split_seed) if clip.split == "valid"]
    mels = {(clip.song, clip.genre): cache.load(clip.path) for clip in clips}
    windows = [
        (song, source, target, data.validation_frames * window)
        for song, source, target in itertools.product(sorted({clip.song for clip in clips}), data.styles, data.styles)
        for window in range(WINDOWS)
        if source != target and mels[song, source].shape[1] >= data.validation_frames * (window + 1)
    ]

    def cut(song: str, style: str, start: int) -> Tensor:
        return torch.from_numpy(mels[song, style][:, start : start + data.validation_frames].astype("float32"))

    batch = {
        "source": torch.stack([cut(song, source, start) for song, source, _, start in windows]),
        "pair": torch.stack([cut(song, target, start) for song, _, target, start in windows]),
        "has_pair": torch.ones(len(windows), dtype=torch.bool),
        "source_style": torch.tensor([data.styles.index(source) for _, source, _, _ in windows]),
        "target_style": torch.tensor([data.styles.index(target) for _, _, target, _ in windows]),
    }
    with torch.no_grad():
        translations = translate_all(translator, batch)
    versions = {"input": [replace(one, output=one.source) for one in translations], "output": translations}
    measured = {}
    for name, version in versions.items():
        found = validation_measures(translator, version, classifier)
        measured[name] = {measure.removeprefix("valid/"): number for measure, number in found.items()}
        if classifier is not None:
            with torch.no_grad():
                heard = classifier(torch.stack([one.output for one in version])).softmax(dim=1)
            places = [classifier.genres.index(target) for _, _, target, _ in windows]
            measured[name]["target_probability"] = float(heard[range(len(places)), places].mean())
    return measured


def format_row(name: str, measured: dict[str, float]) -> str:
    """A row of the table; what was not measured is a dash."""
    cells = []
    for measure in COLUMNS.values():
        number = measured.get(measure)
        form = "{:.0%}" if measure.endswith("rate") else "{:.3f}"
        cells.append("-" if number is None else form.format(number).replace("%", " %"))
    return f"| {name} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    run_command(study)
