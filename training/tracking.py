"""Where numbers, sounds and pictures of a run go: always a local folder, and Weights & Biases where it is wanted.

    RUN/metrics.jsonl                 one JSON object a line: step, name: value, ...
    RUN/samples/NAME.step-N.wav       validation clips; RUN/samples/NAME.step-N.png their mels
"""

from __future__ import annotations

import json
import logging
import netrc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import UserError
from training.experiment import Sample

logger = logging.getLogger(__name__)

WANDB_MODES = ("auto", "online", "offline", "off")


def choose_wandb_mode(wanted: str) -> str:
    """`auto` is online where there is a key (environment or netrc) and offline where there is none.

    Raises:
        UserError: the mode is unknown.
    """
    if wanted not in WANDB_MODES:
        raise UserError(f"wandb mode {wanted!r} is unknown; choose one of {', '.join(WANDB_MODES)}")
    if wanted != "auto":
        return wanted
    if os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        return {"offline": "offline", "disabled": "off"}[os.environ["WANDB_MODE"]]
    if os.environ.get("WANDB_API_KEY"):
        return "online"
    try:
        return "online" if netrc.netrc().authenticators("api.wandb.ai") else "offline"
    except (OSError, netrc.NetrcParseError):
        return "offline"


class Tracker:
    """Writes metrics and samples of a run.

    Args:
        folder: the run's folder; metrics of a resumed run are appended.
        config: plain values, stored with the W&B run.
        wandb_mode: `auto`, `online`, `offline` or `off`.
        active: False on all processes but the first: nothing is written.
        first_step: where a resumed run goes on; metrics of later steps, left by a stop between two checkpoints, are
            dropped.
    """

    def __init__(
        self, folder: Path, config: Mapping[str, Any], wandb_mode: str, active: bool = True, first_step: int = 0
    ) -> None:
        self.folder, self.active = folder, active
        self.run: Any = None
        mode = choose_wandb_mode(wandb_mode)
        if not active:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._drop_metrics_after(first_step)
        if mode != "off":
            import wandb

            self.run = wandb.init(
                project="music-style-transfer",
                name=folder.name,
                dir=str(folder),
                config=dict(config),
                mode=mode,  # type: ignore[arg-type]
                settings=wandb.Settings(console="off", silent=True),
            )
            # W&B's own step must grow by one log call at a time; ours may go back at a resume.
            self.run.define_metric("step")
            self.run.define_metric("*", step_metric="step")

    @property
    def metrics_path(self) -> Path:
        """The local file of all metrics."""
        return self.folder / "metrics.jsonl"

    def _drop_metrics_after(self, step: int) -> None:
        if not self.metrics_path.exists():
            return
        lines = self.metrics_path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if _step_of(line) <= step]
        self.metrics_path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

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
        """Write validation clips as audio and mel pictures; a fixed clip is written once a run."""
        if not self.active:
            return
        import soundfile

        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        media: dict[str, Any] = {"step": step}
        for sample in samples:
            stem = sample.name if sample.fixed else f"{sample.name}.step-{step:08d}"
            picture, audio = folder / f"{stem}.png", folder / f"{stem}.wav"
            if sample.fixed and picture.exists():
                continue
            if sample.wav is not None:
                soundfile.write(audio, np.clip(sample.wav, -1, 1), sample.sample_rate, subtype="PCM_16")
            plot_mels(sample.mels, picture)
            if self.run is not None:
                import wandb

                media[f"mels/{sample.name}"] = wandb.Image(str(picture))
                if sample.wav is not None:
                    media[f"audio/{sample.name}"] = wandb.Audio(str(audio), sample_rate=sample.sample_rate)
        if self.run is not None and len(media) > 1:
            self.run.log(media)

    def close(self) -> None:
        """Finish the W&B run."""
        if self.run is not None:
            self.run.finish()


def _step_of(line: str) -> float:
    """The step of a line of metrics; infinite where a kill or a full disk left half a line."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def plot_mels(mels: Mapping[str, np.ndarray], path: Path) -> None:
    """Draw log-mels side by side on one colour scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(mels), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for index, (title, mel) in enumerate(mels.items()):
        axes = figure.add_subplot(1, len(mels), index + 1)
        axes.imshow(mel, origin="lower", aspect="auto", vmin=-4, vmax=1, cmap="magma", interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("frame")
        axes.set_ylabel("mel band" if index == 0 else "")
    figure.savefig(path, dpi=90)
