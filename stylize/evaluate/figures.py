"""Pictures: written atomically, and mel spectrograms side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stylize_core.atomic import atomic_write
from stylize_core.names import readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class MelPanel:
    """One mel spectrogram."""

    title: str
    mel: np.ndarray
    seconds: float


def mel_panel(title: str, wav: np.ndarray, sample_rate: int) -> MelPanel:
    """The mel spectrogram of a waveform, (samples,), on the project's front-end."""
    import torch

    from stylize.evaluate.metrics.similarity import Sound
    from stylize_core.mel import LogMel, MelConfig

    config, sound = MelConfig(), Sound(wav, sample_rate)
    mel = LogMel(config)(torch.from_numpy(np.ascontiguousarray(sound.at(config.sample_rate)))[None])[0].numpy()
    return MelPanel(title, mel, sound.seconds)


def draw_mels(rows: Sequence[Sequence[MelPanel]]) -> Figure:
    """Mel spectrograms in rows of one length, all on one color scale."""
    from matplotlib.figure import Figure

    columns = len(rows[0])
    figure = Figure(figsize=(4.2 * max(columns, 2), 2.9 * len(rows)), dpi=100, layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False, sharey=True)
    values = np.concatenate([panel.mel.ravel() for row in rows for panel in row])
    low, high = float(np.percentile(values, 2)), float(values.max())
    for axis, panel in zip(axes.flat, (panel for row in rows for panel in row), strict=True):
        image = axis.imshow(
            panel.mel,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            cmap="magma",
            vmin=low,
            vmax=max(high, low + 1e-3),
            extent=(0.0, panel.seconds, 0, panel.mel.shape[0]),
        )
        axis.set_title(readable(panel.title), fontsize=10, parse_math=False)
    for axis in axes[:, 0]:
        axis.set_ylabel("mel bin")
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    figure.colorbar(image, ax=axes, label="log10 magnitude")
    return figure


def save_figure(figure: Figure, path: Path, dpi: float | None = None) -> Path:
    """Write a PNG file."""
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png", dpi=dpi or figure.dpi)
    return path
