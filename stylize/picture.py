"""A picture of the mel spectrogram before and after, for a song of any length in constant memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stylize.evaluate.figures import save_figure
from stylize_core.atomic import check_output_file
from stylize_core.errors import UserError
from stylize_core.names import readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_ROUND_FREQUENCIES = (100, 250, 500, 1000, 2000, 4000, 8000, 16000)


def check_picture(path: Path, force: bool, kind: str = "PNG") -> None:
    """Refuse a path that a picture, or a file of another kind, cannot be written to."""
    if path.suffix.lower() != f".{kind.lower()}":
        raise UserError(f"{path} does not end in .{kind.lower()}; it is written as a {kind} file")
    check_output_file(path, force)


class MelHistory:
    """A mel spectrogram of at most `most_columns` columns: neighboring columns are averaged as the song grows."""

    def __init__(self, most_columns: int = 2000) -> None:
        self._most = most_columns + most_columns % 2
        self._columns: np.ndarray | None = None
        self._pending: np.ndarray | None = None
        self._frames_per_column = 1

    def add(self, mel: np.ndarray) -> None:
        """Append frames, (n_mels, T)."""
        pending = mel if self._pending is None else np.concatenate([self._pending, mel], axis=1)
        whole = pending.shape[1] // self._frames_per_column * self._frames_per_column
        new = _average_columns(pending[:, :whole], self._frames_per_column)
        self._pending = pending[:, whole:].copy()
        self._columns = new if self._columns is None else np.concatenate([self._columns, new], axis=1)
        while self._columns.shape[1] > self._most:
            self._halve()

    def _halve(self) -> None:
        assert self._columns is not None and self._pending is not None
        if self._columns.shape[1] % 2:  # the odd column goes back, so that order and weights stay right
            odd = np.repeat(self._columns[:, -1:], self._frames_per_column, axis=1)
            self._pending = np.concatenate([odd, self._pending], axis=1)
            self._columns = self._columns[:, :-1]
        self._columns = _average_columns(self._columns, 2)
        self._frames_per_column *= 2

    def image(self) -> np.ndarray:
        """The spectrogram, (n_mels, columns)."""
        if self._columns is None or self._pending is None:
            raise ValueError("no frame was added")
        if self._pending.shape[1] == 0:
            return self._columns
        return np.concatenate([self._columns, self._pending.mean(axis=1, keepdims=True)], axis=1)


def _average_columns(mel: np.ndarray, count: int) -> np.ndarray:
    averaged: np.ndarray = mel.reshape(mel.shape[0], -1, count).mean(axis=2)
    return averaged


def hertz_ticks(frequencies: np.ndarray) -> list[tuple[float, str]]:
    """Positions and labels of round frequencies on an axis of mel bands, whose `frequencies` are in Hz."""
    places = np.arange(len(frequencies)) + 0.5  # the middle of each band
    return [
        (float(np.interp(hertz, frequencies, places)), f"{hertz / 1000:g} kHz" if hertz >= 1000 else f"{hertz} Hz")
        for hertz in _ROUND_FREQUENCIES
        if frequencies[0] <= hertz <= frequencies[-1]
    ]


def draw_spectrogram(axes: Axes, image: np.ndarray, seconds: float, low: float, high: float) -> AxesImage:
    """Draw a spectrogram, (rows, columns), low frequencies first, with colors from `low` to `high`."""
    return axes.imshow(
        image,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap="magma",
        vmin=low,
        vmax=high,
        extent=(0.0, seconds, 0, image.shape[0]),
    )


def save_picture(
    path: Path, before: np.ndarray, after: np.ndarray, *, frequencies: np.ndarray, seconds: float, title: str
) -> None:
    """Draw the log-mel spectrograms of a song and of its result, (n_mels, columns), above each other, as a PNG file.

    Args:
        path: of the PNG file.
        before: log10 magnitudes of the song.
        after: of the result.
        frequencies: of the bands, Hz.
        seconds: duration of the song.
        title: of the lower picture, the style.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7), dpi=100, layout="constrained")
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    ticks = hertz_ticks(frequencies)
    low, high = np.percentile(before, 2), max(before.max(), after.max())
    for axis, mel, name in zip(axes, (before, after), ("before", f"after: {title}"), strict=True):
        image = draw_spectrogram(axis, mel, seconds, low, max(high, low + 1e-3))
        axis.set_title(readable(name), parse_math=False)
        axis.set_yticks([place for place, _ in ticks], [name for _, name in ticks])
        axis.set_ylabel("frequency")
        figure.colorbar(image, ax=axis, label="log10 magnitude")
    axes[-1].set_xlabel("seconds")
    save_figure(figure, path)
