"""Metrics, audio and pictures of a run: in a local folder, and in Weights & Biases where configured.

RUN/metrics.jsonl                 one JSON object a line: step, name: value, ...
RUN/samples/NAME.step-N.wav       validation clips; RUN/samples/NAME.step-N.png their mels
RUN/samples/index.html            a page to listen to and compare them, made from RUN/samples/comparisons.jsonl
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
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
        active: False on all processes but the first, to write nothing.
        first_step: first step of a resumed run; metrics of later steps are dropped.
    """

    def __init__(
        self, folder: Path, config: Mapping[str, Any], wandb_mode: str, active: bool = True, first_step: int = 0
    ) -> None:
        self.folder, self.active = folder, active
        self.metrics_path = folder / "metrics.jsonl"
        self.comparisons_path = folder / "samples" / "comparisons.jsonl"
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
            # W&B's own step only grows; a run's may go back at a resume.
            self.run.define_metric("step")
            self.run.define_metric("*", step_metric="step")

    def _drop_metrics_after(self, step: int) -> None:
        for path in (self.metrics_path, self.comparisons_path):
            if not path.exists():
                continue
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if _step_of(line) <= step]
            with atomic_write(path) as stream:
                stream.write("".join(line + "\n" for line in kept).encode())

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record named values of a step."""
        if not self.active:
            return
        document = {"step": step, **{name: float(f"{value:.6g}") for name, value in values.items()}}
        with self.metrics_path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(document) + "\n")
        if self.run is not None:
            self.run.log(document)

    def samples(self, step: int, samples: Sequence[Sample]) -> None:
        """Write clips as audio and mel pictures, a fixed one once a run, and compare those after it with it."""
        if not self.active:
            return
        import soundfile

        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        media: dict[str, Any] = {"step": step}
        pairs = pair_samples(samples)
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
                media[f"mels/{sample.name}"] = _wandb_image(picture)
                if sample.wav is not None:
                    media[f"audio/{sample.name}"] = _wandb_audio(audio, sample.sample_rate)
        if self.run is not None and len(media) > 1:
            self.run.log(media)
        if pairs:
            self._compare(step, pairs)

    def _compare(self, step: int, pairs: Sequence[tuple[Sample, Sample]]) -> None:
        """Add a row for each clip to the local file, the page and the W&B table."""
        comparisons = [compare(step, original, output) for original, output in pairs]
        with self.comparisons_path.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(asdict(comparison)) + "\n" for comparison in comparisons)
        write_samples_page(self.comparisons_path.parent, self.folder.name, read_comparisons(self.comparisons_path))
        if self.run is not None:
            with artifacts_staged_in(self.folder / "wandb"):
                self._log_tables(comparisons)

    def _log_tables(self, comparisons: Sequence[Comparison]) -> None:
        """One table for each validation, since W&B uploads a growing one completely each time; inputs once."""
        import wandb

        folder = self.comparisons_path.parent
        tables: dict[str, Any] = {"step": comparisons[0].step}
        if not self._inputs_logged:
            names = dict.fromkeys((each.original, each.sample_rate) for each in comparisons)
            rows = [
                [name, _wandb_audio(folder / f"{name}.wav", rate), _wandb_image(folder / f"{name}.png")]
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
                _wandb_audio(folder / each.audio, each.sample_rate),
                _wandb_image(folder / each.picture),
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
    """Have W&B stage files of artifacts and tables in a folder within the block, beside the offline run, not at home.

    A user's `WANDB_DATA_DIR` stays in effect.
    """
    if "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str(folder.absolute())
    try:
        yield
    finally:
        os.environ.pop("WANDB_DATA_DIR", None)


def _wandb_audio(path: Path, sample_rate: int) -> Any:
    import wandb

    return wandb.Audio(str(path), sample_rate=sample_rate)


def _wandb_image(path: Path) -> Any:
    import wandb

    return wandb.Image(str(path))


def _step_of(line: str) -> float:
    """The step of a line of metrics; infinite for an incomplete line."""
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
