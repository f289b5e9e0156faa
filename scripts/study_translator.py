"""Ablation of the translator: short runs from nothing, each with one thing changed, measured on validation songs.

python -m scripts.study_translator --output docs/ablation.md

Every run has the same steps, the same music in each step, and the same seed. A stopped study goes on.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from data.errors import UserError
from scripts.command_line import run_command

VARIANTS: dict[str, tuple[str, ...]] = {
    "the reference": (),
    "without the TraVeL loss and its margin": ("weights.travel=0", "weights.margin=0"),
    "without contrastive style loss and pull": ("weights.style=0", "weights.pull=0"),
    "without the pull alone": ("weights.pull=0",),
    "without identity": ("weights.identity=0",),
    "without the adversary": ("pretrain_steps={steps}",),
    "adversary half as strong": ("weights.adversarial=1", "weights.feature_matching=1"),
    "adversary does not mind wrong names": ("mismatch=0",),
    "without known pairs": ("weights.pair=0", "weights.feature_matching=0", "pretrain_steps=0"),
    "known pairs only until the adversary joins": ("weights.pair=0", "weights.feature_matching=0"),
    "segments of 0.9 s, twice as many": ("data.segment_frames=80", "loop.batch_size={double}"),
    "segments of 3.7 s, half as many": ("data.segment_frames=320", "loop.batch_size={half}"),
    "a receptive field of 0.9 s": ("generator.dilations=[1,1,1,1,1,1,1,1]",),
    "with the harmony loss": ("weights.harmony=2",),
    "styles heard as they are": ("augment_style=false",),
    "last weights, not their moving average": ("loop.average_decay=0",),
}
"""What is changed in each run. The whole receptive field is 3.2 s."""
MEASURES = ("target_rate", "source_rate", "chroma", "to_truth", "score")


def study(
    config: Annotated[Path, typer.Argument(help="YAML configuration of the reference.")] = Path(
        "configs/translator.yaml"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Of each run.")] = 600,
    pretrain_steps: Annotated[int, typer.Option(min=0, help="Of these, on known pairs alone.")] = 200,
    batch_size: Annotated[int, typer.Option(min=2, help="Songs a step.")] = 8,
    only: Annotated[list[str] | None, typer.Option(help="Part of a variant's name; may be repeated.")] = None,
    value: Annotated[list[str] | None, typer.Option(help="For all runs, such as data.folder=DIR.")] = None,
    work: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/ablation"),
    output: Annotated[Path | None, typer.Option(help="Markdown file to write, after each run again.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Train every variant and print a row for each."""
    import torch

    if output is not None and not output.parent.is_dir():
        raise UserError(f"folder not found: {output.parent}; create it first")
    if pretrain_steps >= steps:
        raise UserError(f"--pretrain-steps is {pretrain_steps}; expected less than --steps, {steps}")
    chosen = {name: values for name, values in VARIANTS.items() if not only or any(part in name for part in only)}
    if not chosen:
        raise UserError(f"no variant has {' or '.join(only or ())} in its name; there are: {', '.join(VARIANTS)}")
    torch.set_num_threads(threads)
    logging.getLogger("training").setLevel(logging.WARNING)
    common = [f"loop.{name}={steps}" for name in ("steps", "decay_steps", "validate_every")]
    common += [f"loop.batch_size={batch_size}", f"pretrain_steps={pretrain_steps}"]
    common += ["loop.average_decay=0.99", "loop.workers=0", "loop.wandb=off", *(value or ())]
    sizes = {"steps": steps, "double": 2 * batch_size, "half": batch_size // 2}
    sizes_given = f"--steps {steps} --pretrain-steps {pretrain_steps} --batch-size {batch_size}"
    lines = [
        f"`python -m scripts.study_translator {sizes_given}`",
        "",
        "| run | target heard | source heard | chroma to the input | mel L1 to the known version | score |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for number, (name, values) in enumerate(chosen.items()):
        folder = work / name.replace(",", "").replace(" ", "_")
        measures = train(config, folder, [*common, *(value.format(**sizes) for value in values)])
        lines.append(format_row(name, measures))
        typer.echo(f"{number + 1} of {len(chosen)} {lines[-1]}")
        if output is not None:
            output.write_text("\n".join(lines) + "\n")


def train(config: Path, folder: Path, overrides: list[str]) -> dict[str, float]:
    """Train one variant to its end, or go on with it, and give its last validation."""
    from training.config import load_config, to_plain
    from training.loop import Trainer, make_accelerator
    from travelgan.experiment import TranslatorExperiment, TranslatorTraining

    resolved = load_config(config, TranslatorTraining, overrides)
    if (found := last_validation(folder, resolved.loop.steps)) is None:
        accelerator = make_accelerator(resolved.loop, "cpu")
        Trainer(TranslatorExperiment(resolved), resolved.loop, folder, accelerator, to_plain(resolved)).run()
        found = last_validation(folder, resolved.loop.steps)
    assert found is not None
    return found


def last_validation(folder: Path, step: int) -> dict[str, float] | None:
    """Measures of a run at a step, if it came so far."""
    metrics = folder / "metrics.jsonl"
    records = [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.is_file() else []
    return next((record for record in records if record["step"] == step and "valid/score" in record), None)


def format_row(name: str, measures: dict[str, float]) -> str:
    """A row of the table; what was not measured is a dash."""
    cells = []
    for measure in MEASURES:
        value = measures.get(f"valid/{measure}")
        form = "{:.0%}" if measure.endswith("rate") else "{:.3f}"
        cells.append("-" if value is None else form.format(value).replace("%", " %"))
    return f"| {name} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    run_command(study)
