"""What a comparison of systems found: the table as text and CSV, and the figure with all mel spectrograms."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.atomic import atomic_write
from data.names import readable

COPY_CONTENT, COPY_STYLE, FEED_FORWARD, OPTIMIZATION = "copy-content", "copy-style", "feed-forward", "optimization"
SYSTEMS = (COPY_CONTENT, COPY_STYLE, FEED_FORWARD, OPTIMIZATION)
"""The two that only copy are ceiling and floor: of content the one, of style the other."""

EXPLANATION = """\
chroma, onsets: likeness to the content (1: the same harmony, rhythm). style: cosine to the style in what an
independent genre classifier hears; genre: its probability of the genre that it hears in the style itself.
timbre: distance from the style in MFCC statistics (0: the same)."""


@dataclass(frozen=True)
class Measures:
    """How like its content and its style a result is.

    Args:
        chroma: cosine of chroma to the content.
        onsets: correlation of onset strengths with the content.
        style: cosine of the genre classifier's embeddings of result and style.
        genre: probability of the genre that the classifier hears in the style.
        timbre: distance of MFCC statistics from those of the style.
    """

    chroma: float
    onsets: float
    style: float
    genre: float
    timbre: float


MEASURES = tuple(Measures.__dataclass_fields__)


@dataclass(frozen=True)
class ComparisonRow:
    """One system with one style.

    Args:
        style: name of the style recording.
        heard: the genre that the classifier hears in it.
        system: one of `SYSTEMS`.
        file: the result.
        seconds: its duration.
        elapsed: seconds of work; None where nothing was to be done.
        measures: of the result.
    """

    style: str
    heard: str
    system: str
    file: Path
    seconds: float
    elapsed: float | None
    measures: Measures

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of music for a second of work; above 1 is faster than real time."""
        return None if self.elapsed is None else self.seconds / max(self.elapsed, 1e-9)


@dataclass(frozen=True)
class ComparisonTable:
    """All systems with all styles.

    Args:
        content: name of the content recording.
        rows: by style, in the order of `SYSTEMS`.
    """

    content: str
    rows: tuple[ComparisonRow, ...]

    @property
    def styles(self) -> list[str]:
        """Names of the styles, in order."""
        return list(dict.fromkeys(row.style for row in self.rows))

    def mean(self, system: str) -> tuple[float | None, Measures]:
        """Mean real-time factor (all the music by all the work) and mean measures of a system over the styles.

        Raises:
            ValueError: the system is not in the table.
        """
        rows = [row for row in self.rows if row.system == system]
        if not rows:
            raise ValueError(f"got the system {system!r}, expected one of {', '.join(SYSTEMS)}")
        means = {name: statistics.fmean(getattr(row.measures, name) for row in rows) for name in MEASURES}
        elapsed = [row.elapsed for row in rows if row.elapsed is not None]
        factor = sum(row.seconds for row in rows) / max(sum(elapsed), 1e-9) if elapsed else None
        return factor, Measures(**means)

    def text(self) -> str:
        """The table as lines of text: a part for each style, the means where there are several, an explanation."""
        lines = [f"content: {self.content}"]
        for style in self.styles:
            rows = [row for row in self.rows if row.style == style]
            lines += ["", f"style: {style}, heard as {rows[0].heard}", _HEADER]
            lines += [_line(row.system, row.elapsed, row.real_time_factor, row.measures) for row in rows]
        if len(self.styles) > 1:
            lines += ["", f"mean of {len(self.styles)} styles", _HEADER]
            for system in SYSTEMS:
                factor, measures = self.mean(system)
                lines.append(_line(system, None, factor, measures))
        return "\n".join([*lines, "", EXPLANATION])

    def write_csv(self, path: Path) -> None:
        """Write one line for each style and system, with unrounded numbers.

        Raises:
            UserError: the disk is full or fails.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = ["style_similarity" if name == "style" else name for name in MEASURES]
        writer.writerow(
            ["content", "style", "style_genre", "system", "file", "seconds", "elapsed", "real_time_factor", *columns]
        )
        for row in self.rows:
            times = [row.seconds, row.elapsed, row.real_time_factor]
            numbers = [*times, *(getattr(row.measures, name) for name in MEASURES)]
            shown = ["" if number is None else f"{number:.6g}" for number in numbers]
            writer.writerow([self.content, row.style, row.heard, row.system, row.file.name, *shown])
        with atomic_write(path) as stream:
            stream.write(readable(text.getvalue()).encode())


_HEADER = f"  {'':<14}{'seconds':>9}{'x real time':>13}" + "".join(f"{name:>9}" for name in MEASURES)


def _line(system: str, elapsed: float | None, factor: float | None, measures: Measures) -> str:
    line = f"  {system:<14}{'-' if elapsed is None else f'{elapsed:.2f}':>9}"
    line += f"{'-' if factor is None else f'{factor:.3g}':>13}"
    numbers = (f"{getattr(measures, name):.{2 if name == 'timbre' else 3}f}" for name in MEASURES)
    return line + "".join(f"{number:>9}" for number in numbers)


@dataclass(frozen=True)
class MelPanel:
    """One mel spectrogram of the figure.

    Args:
        title: above it.
        mel: (n_mels, columns), log10 magnitudes.
        seconds: its duration.
    """

    title: str
    mel: np.ndarray
    seconds: float


def save_figure(path: Path, rows: Sequence[Sequence[MelPanel]]) -> None:
    """Draw mel spectrograms in rows, all on one scale of colour.

    Args:
        path: of the PNG file; written under a temporary name first.
        rows: a row for each style, all of the same length.

    Raises:
        UserError: the disk is full or fails.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = len(rows[0])
    figure = Figure(figsize=(4.2 * columns, 2.9 * len(rows)), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), columns, squeeze=False, sharey=True)
    low, high = _range(panel.mel for row in rows for panel in row)
    image = None
    for axis, panel in zip(axes.flat, (panel for row in rows for panel in row), strict=True):
        image = axis.imshow(
            panel.mel,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            cmap="magma",
            vmin=low,
            vmax=high,
            extent=(0.0, panel.seconds, 0, panel.mel.shape[0]),
        )
        axis.set_title(readable(panel.title), fontsize=10, parse_math=False)
    for axis in axes[:, 0]:
        axis.set_ylabel("mel bin")
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    assert image is not None
    figure.colorbar(image, ax=axes, label="log10 magnitude")
    with atomic_write(path) as stream:
        canvas.print_png(stream)


def _range(mels: Iterable[np.ndarray]) -> tuple[float, float]:
    values = np.concatenate([mel.ravel() for mel in mels])
    low, high = float(np.percentile(values, 2)), float(values.max())
    return low, max(high, low + 1e-3)
