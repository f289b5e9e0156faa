"""Where numbers, sounds and pictures of a run go: always a local folder, and Weights & Biases where it is wanted.

RUN/metrics.jsonl                 one JSON object a line: step, name: value, ...
RUN/samples/NAME.step-N.wav       validation clips; RUN/samples/NAME.step-N.png their mels
RUN/samples/index.html            a page to hear and compare them, made from RUN/samples/comparisons.jsonl
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from stylize_core.atomic import atomic_write
from stylize_core.plain import parse_json
from stylize_core.wandb_run import check_wandb_mode, open_wandb_run
from training.experiment import Sample
from training.samples_page import Comparison, compare, pair_samples, read_comparisons, write_samples_page

logger = logging.getLogger(__name__)


class Tracker:
    """Writes metrics and samples of a run.

    Args:
        folder: the run's folder; metrics of a resumed run are appended.
        config: plain values, stored with the W&B run.
        wandb_mode: `auto`, `online`, `offline` or `off`.
        active: False on all processes but the first: nothing is written.
        first_step: where a resumed run begins; metrics of later steps, left by a stop between two checkpoints, are
            dropped.
    """

    def __init__(
        self, folder: Path, config: Mapping[str, Any], wandb_mode: str, active: bool = True, first_step: int = 0
    ) -> None:
        self.folder, self.active = folder, active
        self.run: Any = None
        self._inputs_logged = False
        check_wandb_mode(wandb_mode)
        if not active:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._drop_metrics_after(first_step)
        self.run, place = open_wandb_run(wandb_mode, name=folder.name, dir=str(folder), config=dict(config))
        logger.info("metrics go to %s, samples to %s; %s", self.metrics_path, folder / "samples" / "index.html", place)
        if self.run is not None:
            # W&B's own step must grow by one log call at a time; ours may go back at a resume.
            self.run.define_metric("step")
            self.run.define_metric("*", step_metric="step")

    @property
    def metrics_path(self) -> Path:
        """The local file of all metrics."""
        return self.folder / "metrics.jsonl"

    @property
    def comparisons_path(self) -> Path:
        """The local file of what was compared with its input at every validation."""
        return self.folder / "samples" / "comparisons.jsonl"

    def _drop_metrics_after(self, step: int) -> None:
        for path in (self.metrics_path, self.comparisons_path):
            if not path.exists():
                continue
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if _step_of(line) <= step]
            with atomic_write(path) as stream:
                stream.write("".join(line + "\n" for line in kept).encode())

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record named numbers of a step."""
        if not self.active:
            return
        document = {"step": step, **{name: float(f"{value:.6g}") for name, value in values.items()}}
        with self.metrics_path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(document) + "\n")
        if self.run is not None:
            self.run.log(document)

    def samples(self, step: int, samples: Sequence[Sample]) -> None:
        """Write validation clips as audio and mel pictures; a fixed clip is written once a run.

        Clips that follow a fixed one are compared with it, on a page and in a W&B table.
        """
        if not self.active:
            return
        import soundfile

        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        media: dict[str, Any] = {"step": step}
        pairs = pair_samples(samples)
        # These go into tables, and are not kept twice.
        in_tables = {sample.name for pair in pairs for sample in pair}
        for sample in samples:
            stem = sample.name if sample.fixed else f"{sample.name}.step-{step:08d}"
            picture, audio = folder / f"{stem}.png", folder / f"{stem}.wav"
            if sample.fixed and picture.exists():
                continue
            if sample.wav is not None:
                soundfile.write(audio, np.clip(sample.wav, -1, 1), sample.sample_rate, subtype="PCM_16")
            plot_mels(sample.mels, picture)
            if self.run is not None and sample.name not in in_tables:
                import wandb

                media[f"mels/{sample.name}"] = wandb.Image(str(picture))
                if sample.wav is not None:
                    media[f"audio/{sample.name}"] = wandb.Audio(str(audio), sample_rate=sample.sample_rate)
        if self.run is not None and len(media) > 1:
            self.run.log(media)
        if pairs:
            self._compare(step, pairs)

    def _compare(self, step: int, pairs: Sequence[tuple[Sample, Sample]]) -> None:
        """One row for each clip: a line on the disk, the page, the W&B table."""
        comparisons = [compare(step, original, output) for original, output in pairs]
        with self.comparisons_path.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(comparison.to_dict()) + "\n" for comparison in comparisons)
        write_samples_page(self.comparisons_path.parent, self.folder.name, read_comparisons(self.comparisons_path))
        if self.run is not None:
            with artifacts_staged_in(self.folder / "wandb"):
                self._log_tables(comparisons)

    def _log_tables(self, comparisons: Sequence[Comparison]) -> None:
        """A new table for each validation, since one that grows would be kept and sent whole; inputs once, apart."""
        import wandb

        folder = self.comparisons_path.parent
        tables: dict[str, Any] = {"step": comparisons[0].step}
        if not self._inputs_logged:
            names = dict.fromkeys((each.original, each.sample_rate) for each in comparisons)
            rows = [
                [
                    name,
                    wandb.Audio(str(folder / f"{name}.wav"), sample_rate=rate),
                    wandb.Image(str(folder / f"{name}.png")),
                ]
                for name, rate in names
            ]
            tables["validation/inputs"] = wandb.Table(columns=["input", "original", "mel"], data=rows)
            self._inputs_logged = True
        measures = list(dict.fromkeys(name for each in comparisons for name in each.measures))
        outputs = [
            [
                each.step,
                each.name,
                each.original,
                wandb.Audio(str(folder / each.audio), sample_rate=each.sample_rate),
                wandb.Image(str(folder / each.picture)),
                *(each.measures.get(name) for name in measures),
            ]
            for each in comparisons
        ]
        columns: list[str | int] = ["step", "clip", "input", "output", "mels", *measures]
        tables["validation/outputs"] = wandb.Table(columns=columns, data=outputs)
        self.run.log(tables)

    def close(self) -> None:
        """Finish the W&B run."""
        if self.run is not None:
            self.run.finish()


@contextmanager
def artifacts_staged_in(folder: Path) -> Iterator[None]:
    """Within the block W&B puts what artifacts and tables hold into a folder, by default not into the user's home.

    An offline run refers to these files until it is uploaded; beside it they are moved, kept and removed with it.
    """
    before = os.environ.get("WANDB_DATA_DIR")
    if before is None:
        os.environ["WANDB_DATA_DIR"] = str(folder.absolute())
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("WANDB_DATA_DIR", None)


def _step_of(line: str) -> float:
    """The step of a line of metrics; infinite where a kill or a full disk left half a line."""
    try:
        return float(parse_json(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def plot_mels(mels: Mapping[str, np.ndarray], path: Path) -> None:
    """Draw log-mels side by side on one color scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from stylize_core.names import readable

    figure = Figure(figsize=(4.5 * len(mels), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for index, (title, mel) in enumerate(mels.items()):
        axes = figure.add_subplot(1, len(mels), index + 1)
        axes.imshow(mel, origin="lower", aspect="auto", vmin=-4, vmax=1, cmap="magma", interpolation="nearest")
        axes.set_title(readable(title), fontsize=9, parse_math=False)
        axes.set_xlabel("frame")
        axes.set_ylabel("mel band" if index == 0 else "")
    figure.savefig(path, dpi=90)
