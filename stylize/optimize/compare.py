"""The feed-forward pipeline beside the optimization-based baseline, on the same recordings, by the same measures.

Both get the same excerpts; what judges them is optimised by neither.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.audio import AudioReader, AudioWriter, resampled_length
from data.errors import UserError
from stylize.models import BUNDLED_TRANSLATOR, BUNDLED_VOCODER
from stylize.optimize.comparison import (
    COPY_CONTENT,
    COPY_STYLE,
    FEED_FORWARD,
    OPTIMIZATION,
    SYSTEMS,
    ComparisonRow,
    ComparisonTable,
    Measures,
    MelPanel,
    save_figure,
)
from stylize.optimize.options import OptimizeOptions
from stylize.optimize.plan import plan_optimization
from stylize.optimize.reporting import Reporter

if TYPE_CHECKING:
    from stylize.likeness import Likeness, Sound
    from stylize.pipeline import Stylizer

__all__ = ["CompareOrder", "ComparisonPlan", "ComparisonTable", "Excerpt", "compare", "plan_comparison"]

BUNDLED = {
    "translator": BUNDLED_TRANSLATOR,
    "vocoder": BUNDLED_VOCODER,
    "classifier": BUNDLED_VOCODER.parent / "classifier",
}
"""Folders of the models where none are named."""

EXCERPT_RATE = 22050
"""Excerpts are mono at this rate, Hz: that of the models and of the measures."""
EXCERPT_SUBTYPE = "PCM_24"
LEAST_SECONDS = 1.0
LEAST_PEAK = 1e-3
"""An excerpt that stays below this (-60 dB) is silent."""
TABLE_NAME, FIGURE_NAME, CONTENT_NAME = "table.csv", "figure.png", "content.wav"


@dataclass(frozen=True)
class CompareOrder:
    """All that a user can ask for, and the defaults.

    Args:
        content: a recording whose content the results have.
        styles: recordings whose styles they take, one after the other.
        output: folder for the results, the table and the figure; made where it does not exist.
        seconds: length of the excerpts, from the middle of each recording; shorter recordings are taken whole.
        iterations: of the optimization.
        representation: of the optimization: mel, stft or cqt.
        network: of the optimization: random, autoencoder, siamese, vgg19 or a model folder; None for its default.
        content_weight: of the optimization.
        style_weight: of the optimization.
        model: folder of the translator, of the siamese network too; None for the bundled one.
        vocoder: folder of the vocoder of both systems; None for the bundled one.
        classifier: folder of the genre classifier that measures style; None for the bundled one.
        seed: of the optimization's random network.
        device: auto, cpu, cuda, cuda:N or mps.
        threads: of the CPU; None for all cores.
        force: the output folder may exist and hold files; those of the same names are replaced.
    """

    content: Path
    styles: tuple[Path, ...]
    output: Path
    seconds: float = 10.0
    iterations: int = OptimizeOptions.iterations
    representation: str = OptimizeOptions.representation
    network: str | None = OptimizeOptions.network
    content_weight: float = OptimizeOptions.content_weight
    style_weight: float = OptimizeOptions.style_weight
    model: Path | None = None
    vocoder: Path | None = None
    classifier: Path | None = None
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    force: bool = False

    def baseline(self, content: Path, style: Path, output: Path) -> OptimizeOptions:
        """The options of the optimization with one style."""
        return OptimizeOptions(
            content,
            style,
            output,
            force=True,
            representation=self.representation,
            vocoder=self.vocoder if self.representation == "mel" else None,
            network=self.network,
            model=self.model if self.network == "siamese" else None,
            content_weight=self.content_weight,
            style_weight=self.style_weight,
            iterations=self.iterations,
            seed=self.seed,
            device=self.device,
            threads=self.threads,
        )


@dataclass(frozen=True)
class Excerpt:
    """The middle of a recording.

    Args:
        path: the recording.
        name: of the files made of it; no two styles have the same.
        wav: (samples,), at `EXCERPT_RATE`.
    """

    path: Path
    name: str
    wav: np.ndarray


@dataclass(frozen=True)
class ComparisonPlan:
    """An order that was found good, with the excerpts."""

    order: CompareOrder
    content: Excerpt
    styles: tuple[Excerpt, ...]

    def file(self, style: Excerpt, system: str) -> Path:
        """Where a result is written; what is only copied has one place."""
        if system == COPY_CONTENT:
            return self.order.output / CONTENT_NAME
        return self.order.output / f"{style.name}.{'style' if system == COPY_STYLE else system}.wav"


def plan_comparison(order: CompareOrder) -> ComparisonPlan:
    """Check an order as far as that goes without a network, and read the excerpts.

    Raises:
        UserError: anything about it that cannot be done.
    """
    if not order.styles:
        raise UserError("no style to compare with; give one or more recordings after the content")
    if not LEAST_SECONDS <= order.seconds < math.inf:
        raise UserError(f"got --seconds {order.seconds:g}; expected at least {LEAST_SECONDS:g}")
    _check_folder(order)
    _check_models(order)
    names = _unique_names(order.styles)
    folder = order.output if order.output.is_dir() else order.output.parent
    frames = {}
    for name, style in zip(names, order.styles, strict=True):
        baseline = plan_optimization(order.baseline(order.content, style, folder / f"{name}.{OPTIMIZATION}.wav"))
        if baseline.content is None or baseline.style is None:
            raise UserError(f"{order.content} is a picture; only sounds can be compared")
        frames[order.content], frames[style] = baseline.content.info.frames, baseline.style.info.frames
    plan = ComparisonPlan(
        order,
        _read_excerpt(order.content, "content", frames[order.content], order.seconds),
        tuple(
            _read_excerpt(style, name, frames[style], order.seconds)
            for name, style in zip(names, order.styles, strict=True)
        ),
    )
    _check_inputs_stay(plan)
    return plan


def _check_folder(order: CompareOrder) -> None:
    output = order.output
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; give a folder with -o")
    if not output.exists() and not output.parent.is_dir():
        raise UserError(f"the folder {output.parent} does not exist; create it first")
    if not os.access(output if output.exists() else output.parent, os.W_OK | os.X_OK):
        raise UserError(f"the folder {output} is not writable; choose another one")
    if output.exists() and any(output.iterdir()) and not order.force:
        raise UserError(f"the folder {output} exists and is not empty; choose another one or use --force")


def _check_models(order: CompareOrder) -> None:
    """Refuse folders that are not there; whether they fit is found when they are loaded."""
    chosen = {"translator": order.model, "vocoder": order.vocoder, "classifier": order.classifier}
    for kind, folder in chosen.items():
        if not (folder or BUNDLED[kind]).is_dir():
            raise UserError(f"model folder not found: {folder or BUNDLED[kind]}; give the folder of a {kind}")


def _unique_names(styles: tuple[Path, ...]) -> list[str]:
    """The stem of each file, numbered where another has it already."""
    names: list[str] = []
    for path in styles:
        number = 1
        while (name := path.stem if number == 1 else f"{path.stem}-{number}") in names:
            number += 1
        names.append(name)
    return names


def _read_excerpt(path: Path, name: str, frames: int, seconds: float) -> Excerpt:
    """The middle of a recording of so many samples at its own rate, mixed to mono."""
    wanted = round(seconds * EXCERPT_RATE)
    with AudioReader(path, EXCERPT_RATE, mono=True) as reader:
        skipped = (resampled_length(frames, reader.info.sample_rate, EXCERPT_RATE) - wanted) // 2
        while skipped > 0 and (block := reader.read(min(skipped, 65536))).size:
            skipped -= block.shape[1]
        wav = reader.read(wanted)[0]
    if len(wav) < LEAST_SECONDS * EXCERPT_RATE:
        raise UserError(f"{path} is {len(wav) / EXCERPT_RATE:.2f} s long; expected at least {LEAST_SECONDS:g} s")
    if np.abs(wav).max() < LEAST_PEAK:
        raise UserError(f"{path} is silent in its middle {len(wav) / EXCERPT_RATE:g} s; give one that sounds there")
    return Excerpt(path, name, wav)


def _check_inputs_stay(plan: ComparisonPlan) -> None:
    """Refuse to write over a recording that is read."""
    inputs = [plan.content.path, *(style.path for style in plan.styles)]
    for written in (plan.file(style, system) for style in plan.styles for system in SYSTEMS):
        if written.exists() and any(written.samefile(path) for path in inputs):
            raise UserError(f"{written} is an input itself; give another folder with -o")


def compare(order: CompareOrder, reporter: Reporter | None = None) -> ComparisonTable:
    """Run both systems with each style and measure them, beside content and style as they are.

    Into the folder go the excerpts, the results, `table.csv` (brought up to date after each style) and `figure.png`.
    The time of a system is from file to file, its networks loaded for the feed-forward one, which serves many songs,
    and their loading included for the optimization.

    Args:
        order: see there.
        reporter: hears of every system, and of every iteration of the optimization.

    Raises:
        UserError: anything about the order that cannot be done.
        KeyboardInterrupt: Ctrl-C; the styles that were done stay.
    """
    plan = plan_comparison(order)

    import torch

    from stylize.likeness import Likeness
    from stylize.pipeline import Stylizer

    if order.threads is not None:
        torch.set_num_threads(order.threads)
    likeness = Likeness.from_pretrained(order.classifier)
    stylizer = Stylizer.from_pretrained(order.model, order.vocoder, order.device)
    return _Comparison(plan, stylizer, likeness, reporter or Reporter()).run()


class _Comparison:
    """The models and what was found so far."""

    def __init__(self, plan: ComparisonPlan, stylizer: Stylizer, likeness: Likeness, reporter: Reporter) -> None:
        self.plan, self.stylizer, self.likeness, self.reporter = plan, stylizer, likeness, reporter
        self.rows: list[ComparisonRow] = []
        self.panels: list[list[MelPanel]] = []

    def run(self) -> ComparisonTable:
        """All styles, one after the other."""
        folder = self.plan.order.output
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder {folder}: {error.strerror}") from None
        _write_excerpt(self.plan.content, folder / CONTENT_NAME)
        for style in self.plan.styles:
            self._compare_style(style)
            table = ComparisonTable(self.plan.content.path.name, tuple(self.rows))
            table.write_csv(folder / TABLE_NAME)
        save_figure(folder / FIGURE_NAME, self.panels)
        return table

    def _compare_style(self, style: Excerpt) -> None:
        from stylize.likeness import Sound

        style_file = self.plan.file(style, COPY_STYLE)
        _write_excerpt(style, style_file)
        content, reference = Sound(self.plan.content.wav, EXCERPT_RATE), Sound(style.wav, EXCERPT_RATE)
        heard = _most_likely(self.likeness.genre_probabilities(reference))
        panels = []
        for system in SYSTEMS:
            file = self.plan.file(style, system)
            elapsed = None
            if system in (FEED_FORWARD, OPTIMIZATION):
                self.reporter.note(f"{style.name}: {system}")
                work = self._feed_forward if system == FEED_FORWARD else self._optimize
                started = time.perf_counter()
                work(style_file, file)
                elapsed = time.perf_counter() - started
            result = Sound.read(file)
            measures = self._measure(result, content, reference, heard)
            self.rows.append(ComparisonRow(style.name, heard, system, file, result.seconds, elapsed, measures))
            titles = {COPY_CONTENT: f"content: {self.plan.content.path.stem}", COPY_STYLE: f"style: {style.name}"}
            title = titles.get(system) or f"{system}, {elapsed:.1f} s"
            panels.append(MelPanel(title, _mel(result), result.seconds))
        self.panels.append(panels)

    def _feed_forward(self, style_file: Path, output: Path) -> None:
        content = self.plan.order.output / CONTENT_NAME
        self.stylizer.stylize_file(content, output, like=style_file, force=True)

    def _optimize(self, style_file: Path, output: Path) -> None:
        from stylize.optimize.run import stylize_by_optimization

        order = self.plan.order.baseline(self.plan.order.output / CONTENT_NAME, style_file, output)
        result = stylize_by_optimization(order, self.reporter)
        if result.stopped == "interrupted":
            output.unlink(missing_ok=True)
            raise KeyboardInterrupt
        if result.stopped == "not finite":
            self.reporter.note(f"{output.name}: the loss was no finite number any more; the last good map is compared")

    def _measure(self, result: Sound, content: Sound, style: Sound, heard: str) -> Measures:
        from stylize.likeness import harmony_similarity, rhythm_similarity, timbre_distance

        return Measures(
            chroma=harmony_similarity(result, content),
            onsets=rhythm_similarity(result, content),
            style=self.likeness.style_similarity(result, style),
            genre=self.likeness.genre_probabilities(result)[heard],
            timbre=timbre_distance(result, style),
        )


def _write_excerpt(excerpt: Excerpt, path: Path) -> None:
    with AudioWriter(path, EXCERPT_RATE, 1, EXCERPT_SUBTYPE, force=True) as writer:
        writer.write(excerpt.wav[None])


def _most_likely(probabilities: dict[str, float]) -> str:
    return max(probabilities, key=probabilities.__getitem__)


def _mel(sound: Sound) -> np.ndarray:
    """Log-mel of the `music` preset, (n_mels, frames)."""
    import torch

    from data.mel import MEL_PRESETS, LogMel

    config = MEL_PRESETS["music"]
    return LogMel(config)(torch.from_numpy(sound.at(config.sample_rate))[None])[0].numpy()
