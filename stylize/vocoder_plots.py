"""Pictures of what vocoders do: mels side by side, and spectra where blocks meet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from data.atomic import atomic_write
from data.mel import LogMel, MelConfig
from stylize.vocoder_probes import BLOCK_FRAMES, synthesise_in_blocks
from stylize.vocoder_quality import TOP_ROW, copy_synthesis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from melgan import Vocoder
    from stylize.vocoder_evaluation import Evaluation

PICTURE_MEL = MelConfig()
JOIN_SECONDS = 0.25
"""Of the picture of a join, on both sides."""
DECADES = 4.0
"""Range of the colours below the loudest place."""


def picture_names(evaluation: Evaluation) -> list[str]:
    """Names of the files that :func:`save_pictures` writes."""
    names = [f"mels_{source.replace(' ', '_')}.png" for source in evaluation.sources]
    return [*names, *(f"join_{number}.png" for number in range(1, len(evaluation.vocoders) + 1))]


def save_pictures(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Draw an excerpt of every source by every method, and a join of every vocoder.

    Args:
        evaluation: what was measured.
        folder: where to; files of the same names are replaced.

    Raises:
        UserError: the disk is full.
    """
    paths = [folder / name for name in picture_names(evaluation)]
    figures: list[Figure] = []
    for source, excerpts in evaluation.sources.items():
        middle = excerpts[len(excerpts) // 2]
        frame = PICTURE_MEL.hop_length
        wav = torch.from_numpy(middle.wav[: len(middle.wav) // frame * frame])[None]
        made = {name: wavs[0] for name, wavs in copy_synthesis(evaluation.methods, wav).items()}
        figures.append(draw_mels({TOP_ROW: made.pop(TOP_ROW), **made}, f"{source}: {middle.path.name}"))
    first = next(iter(evaluation.sources.values()))
    music = np.concatenate([excerpt.wav for excerpt in first[:2]])
    for name, vocoder in evaluation.vocoders.items():
        figures.append(draw_join(vocoder, music, name))
    for path, figure in zip(paths, figures, strict=True):
        with atomic_write(path) as stream:
            figure.savefig(stream, format="png", dpi=80)
    return paths


def draw_mels(wavs: Mapping[str, np.ndarray], title: str) -> Figure:
    """Mel spectrograms of the same stretch under each other, on the project's front-end.

    Args:
        wavs: (samples,) each, by name, the original first: its loudest place sets the colours.
        title: of the picture.
    """
    from matplotlib.figure import Figure

    log_mel = LogMel(PICTURE_MEL)
    mels = {name: log_mel(torch.from_numpy(wav)[None])[0].numpy() for name, wav in wavs.items()}
    top = float(next(iter(mels.values())).max())
    figure = Figure(figsize=(10, 2.1 * len(mels) + 0.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(mels), sharex=True))
    for axis, (name, mel) in zip(axes, mels.items(), strict=True):
        seconds = mel.shape[1] / PICTURE_MEL.frames_per_second
        image = axis.imshow(
            20 * mel,
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, len(mel)),
            vmin=20 * (top - DECADES),
            vmax=20 * top,
            cmap="magma",
        )
        axis.set_title(name, fontsize=9, loc="left")
        axis.set_ylabel("mel band")
    axes[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=list(axes), label="dB", fraction=0.03)
    figure.suptitle(title, fontsize=10)
    return figure


def draw_join(vocoder: Vocoder, music: np.ndarray, name: str) -> Figure:
    """The waveform and the spectrum over time where two blocks meet, of the original and of the vocoder.

    Args:
        vocoder: in evaluation mode.
        music: (samples,), longer than a block.
        name: of the vocoder.
    """
    from matplotlib.figure import Figure

    config = vocoder.mel_config
    join = BLOCK_FRAMES * config.hop_length
    reach = round(JOIN_SECONDS * config.sample_rate)
    music = music[: len(music) // config.hop_length * config.hop_length]
    with torch.inference_mode():
        mel = LogMel(config)(torch.from_numpy(music)[None])
    joined = synthesise_in_blocks(vocoder, mel).numpy()
    pair = {TOP_ROW: music, f"{name}, blocks of {BLOCK_FRAMES} frames": joined}
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots(2, 2, height_ratios=(1, 2), sharex=True)
    time = np.arange(-reach, reach) / config.sample_rate * 1000
    for column, (title, wav) in zip(axes.T, pair.items(), strict=True):
        around = wav[join - reach : join + reach]
        column[0].plot(time, around, linewidth=0.4, color="black")
        column[0].set_title(title, fontsize=9, loc="left")
        column[0].set_ylabel("amplitude")
        column[1].specgram(
            around + 1e-9,
            NFFT=256,
            noverlap=192,
            Fs=config.sample_rate,
            xextent=(time[0], time[-1]),
            vmin=-140,
            vmax=-30,
            cmap="magma",
        )
        column[1].set_ylabel("Hz")
        column[1].set_xlabel("milliseconds from the join")
        for axis in column:
            axis.axvline(0.0, color="tab:cyan", linewidth=0.8, linestyle="--")
    return figure
