"""`stylize compare`: the translator beside the optimization baseline on the same excerpts, by the same metrics."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import MISSING, asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stylize.evaluate.excerpts import read_excerpt
from stylize.evaluate.figures import MelPanel, draw_mels, mel_panel, save_figure
from stylize.evaluate.metrics.multipitch import RATE
from stylize.evaluate.report import MISSING as NO_VALUE
from stylize.evaluate.report import check_folder, format_csv, write_text
from stylize.evaluate.systems import BASELINE, COPY_CONTENT, COPY_STYLE, TRANSLATOR, run_baseline
from stylize.models import BUNDLED_TRANSLATOR, BUNDLED_VOCODER
from stylize.optimize.options import REPRESENTATIONS, OptimizeOptions
from stylize.optimize.plan import plan_optimization
from stylize.optimize.reporting import Reporter, choose_reporter
from stylize.options import POSITIVE, Check, check_options, one_of, option, with_options
from stylize_core.audio.reader import AudioWriter
from stylize_core.errors import UserError

if TYPE_CHECKING:
    from stylize.evaluate.metrics.similarity import Sound, StyleClassifier
    from stylize.pipeline import Stylizer

SYSTEMS = (COPY_CONTENT, COPY_STYLE, TRANSLATOR, BASELINE)
BUNDLED = {
    "translator": BUNDLED_TRANSLATOR,
    "vocoder": BUNDLED_VOCODER,
    "classifier": BUNDLED_VOCODER.parent / "classifier",
}
"""Folders of the models where none are named."""
EXCERPT_SUBTYPE = "PCM_24"
MIN_SECONDS = 1.0
MIN_PEAK = 1e-3
"""An excerpt that stays below this (-60 dB) is silent."""
TABLE_NAME, FIGURE_NAME, CONTENT_NAME = "table.csv", "figure.png", "content.wav"
EXPLANATION = """\
chroma, onsets: similarity to the content (1: the same harmony, rhythm). style: cosine to the style of embeddings of an
independent genre classifier; genre: its probability of the genre it predicts for the style itself.
timbre: distance from the style in MFCC statistics (0: the same)."""


@dataclass(frozen=True)
class CompareOptions:
    """The options of `stylize compare`."""

    content: Path = option(MISSING, "A recording.")
    styles: tuple[Path, ...] = option(MISSING, "Recordings in the wanted styles.")
    output: Path = option(MISSING, "Folder for sounds, table and figure.", flags=("-o", "--output"))
    seconds: float = option(
        10.0,
        "Excerpt from the middle of each recording.",
        check=Check(lambda seconds: MIN_SECONDS <= seconds < math.inf, f"at least {MIN_SECONDS:g}"),
    )
    iterations: int = option(OptimizeOptions.iterations, "Of the baseline.")
    representation: str = option(OptimizeOptions.representation, f"Of the baseline: {one_of(REPRESENTATIONS)}.")
    network: str | None = option(OptimizeOptions.network, "Of the baseline; see optimize.")
    content_weight: float = option(OptimizeOptions.content_weight, "Of the baseline.")
    style_weight: float = option(OptimizeOptions.style_weight, "Of the baseline.")
    model: Path | None = option(None, "Translator folder; default: the bundled one.")
    vocoder: Path | None = option(None, "Vocoder folder; default: the bundled one.")
    classifier: Path | None = option(None, "Genre classifier folder; default: the bundled one.")
    seed: int = option(0, "Of the random network.")
    device: str = option("auto", "auto, cpu, cuda, cuda:N or mps.")
    threads: int | None = option(None, "CPU threads; default: all cores.", check=POSITIVE)
    force: bool = option(False, "The folder may hold files already.", flags=("--force",))

    def __post_init__(self) -> None:
        check_options(self)

    def baseline(self, content: Path, style: Path, output: Path) -> OptimizeOptions:
        """The options of the baseline with one style."""
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
class NamedExcerpt:
    """The middle of a recording, (samples,), and the name of the files made of it."""

    path: Path
    name: str
    wav: np.ndarray


@dataclass(frozen=True)
class ComparisonPlan:
    """Valid options with the excerpts."""

    options: CompareOptions
    content: NamedExcerpt
    styles: tuple[NamedExcerpt, ...]

    def file(self, style: NamedExcerpt, system: str) -> Path:
        """The output file of a system; the content has one for all styles."""
        if system == COPY_CONTENT:
            return self.options.output / CONTENT_NAME
        return self.options.output / f"{style.name}.{'style' if system == COPY_STYLE else system}.wav"


@dataclass(frozen=True)
class Metrics:
    """Similarity of a result to its content and its style; see `EXPLANATION`."""

    chroma: float
    onsets: float
    style: float
    genre: float
    timbre: float


METRICS = tuple(Metrics.__dataclass_fields__)


@dataclass(frozen=True)
class ComparisonRow:
    """One system with one style recording.

    Args:
        style, style_genre: name of the style recording, and the genre that the classifier predicts for it.
        system: one of `SYSTEMS`.
        file, seconds: the result and its duration.
        elapsed: seconds of work; None for copies.
        metrics: of the result.
    """

    style: str
    style_genre: str
    system: str
    file: Path
    seconds: float
    elapsed: float | None
    metrics: Metrics

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of music for a second of work; above 1 is faster than real time."""
        return None if self.elapsed is None else self.seconds / max(self.elapsed, 1e-9)


@dataclass(frozen=True)
class ComparisonTable:
    """All systems with all styles."""

    content: str
    rows: tuple[ComparisonRow, ...]

    @property
    def styles(self) -> list[str]:
        """Names of the styles, in order."""
        return list(dict.fromkeys(row.style for row in self.rows))

    def mean(self, system: str) -> tuple[float | None, Metrics]:
        """Real-time factor (total music by total work) and mean metrics of a system over the styles."""
        rows = [row for row in self.rows if row.system == system]
        means = {name: statistics.fmean(getattr(row.metrics, name) for row in rows) for name in METRICS}
        elapsed = [row.elapsed for row in rows if row.elapsed is not None]
        factor = sum(row.seconds for row in rows) / max(sum(elapsed), 1e-9) if elapsed else None
        return factor, Metrics(**means)

    def text(self) -> str:
        """A table for each style, the means over several styles, and an explanation."""
        lines = [f"content: {self.content}"]
        for style in self.styles:
            rows = [row for row in self.rows if row.style == style]
            lines += ["", f"style: {style}, classified as {rows[0].style_genre}", _HEADER]
            lines += [_line(row.system, row.elapsed, row.real_time_factor, row.metrics) for row in rows]
        if len(self.styles) > 1:
            lines += ["", f"mean of {len(self.styles)} styles", _HEADER]
            lines += [_line(system, None, *self.mean(system)) for system in SYSTEMS]
        return "\n".join([*lines, "", EXPLANATION])

    def csv(self) -> str:
        """One line for each style and system."""
        metrics = ["style_similarity" if name == "style" else name for name in METRICS]
        titles = ["style", "style_genre", "system", "file", "seconds", "elapsed", "real_time_factor"]
        rows = (asdict(row) | {"file": row.file.name, "real_time_factor": row.real_time_factor} for row in self.rows)
        cells = ([self.content, *map(row.get, titles), *row["metrics"].values()] for row in rows)
        return format_csv(["content", *titles, *metrics], cells)


_HEADER = f"  {'':<14}{'seconds':>9}{'x real time':>13}" + "".join(f"{name:>9}" for name in METRICS)


def _line(system: str, elapsed: float | None, factor: float | None, metrics: Metrics) -> str:
    line = f"  {system:<14}{NO_VALUE if elapsed is None else f'{elapsed:.2f}':>9}"
    line += f"{NO_VALUE if factor is None else f'{factor:.3g}':>13}"
    numbers = (f"{value:.{2 if name == 'timbre' else 3}f}" for name, value in asdict(metrics).items())
    return line + "".join(f"{number:>9}" for number in numbers)


def plan_comparison(options: CompareOptions) -> ComparisonPlan:
    """Check options without loading a network, and read the excerpts."""
    if not options.styles:
        raise UserError("no style to compare with; give one or more recordings after the content")
    check_folder(options.output, options.force)
    chosen = {"translator": options.model, "vocoder": options.vocoder, "classifier": options.classifier}
    for kind, folder in chosen.items():  # whether they fit is found when they are loaded
        if not (folder or BUNDLED[kind]).is_dir():
            raise UserError(f"model folder not found: {folder or BUNDLED[kind]}; give the folder of a {kind}")
    names: list[str] = []
    for path in options.styles:
        stems = (path.stem if number == 1 else f"{path.stem}-{number}" for number in count(1))
        names.append(next(stem for stem in stems if stem not in names))
    folder = options.output if options.output.is_dir() else options.output.parent
    for name, style in zip(names, options.styles, strict=True):
        baseline = plan_optimization(options.baseline(options.content, style, folder / f"{name}.{BASELINE}.wav"))
        if baseline.content is None or baseline.style is None:
            raise UserError(f"{options.content} is a picture; only sounds can be compared")
    excerpts = [
        _read_excerpt(path, name, options.seconds)
        for path, name in zip((options.content, *options.styles), ("content", *names), strict=True)
    ]
    plan = ComparisonPlan(options, excerpts[0], tuple(excerpts[1:]))
    inputs = [excerpt.path for excerpt in excerpts]
    for written in (plan.file(style, system) for style in plan.styles for system in SYSTEMS):
        if written.exists() and any(written.samefile(path) for path in inputs):
            raise UserError(f"{written} is an input itself; give another folder with -o")
    return plan


def _read_excerpt(path: Path, name: str, seconds: float) -> NamedExcerpt:
    wav = read_excerpt(path, seconds)[0]
    if len(wav) < MIN_SECONDS * RATE:
        raise UserError(f"{path} is {len(wav) / RATE:.2f} s long; expected at least {MIN_SECONDS:g} s")
    if np.abs(wav).max() < MIN_PEAK:
        raise UserError(f"{path} is silent in its middle {len(wav) / RATE:g} s; give one that sounds there")
    return NamedExcerpt(path, name, wav)


def compare(options: CompareOptions, reporter: Reporter | None = None) -> ComparisonTable:
    """Run both systems with each style and measure the results beside unchanged content and style.

    The folder receives the excerpts, the results, `table.csv` (updated after each style) and `figure.png`. Times are
    from file to file; they include loading the networks for the baseline only.

    Raises:
        UserError: invalid options.
        KeyboardInterrupt: Ctrl-C; finished styles are kept.
    """
    plan = plan_comparison(options)

    import torch

    from stylize.evaluate.metrics.similarity import StyleClassifier
    from stylize.pipeline import Stylizer

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    classifier = StyleClassifier.from_pretrained(options.classifier)
    stylizer = Stylizer.from_pretrained(options.model, options.vocoder, options.device)
    return _Comparison(plan, stylizer, classifier, reporter or Reporter()).run()


@dataclass
class _Comparison:
    plan: ComparisonPlan
    stylizer: Stylizer
    classifier: StyleClassifier
    reporter: Reporter
    rows: list[ComparisonRow] = field(default_factory=list)
    panels: list[list[MelPanel]] = field(default_factory=list)

    def run(self) -> ComparisonTable:
        folder = self.plan.options.output
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder {folder}: {error.strerror}") from None
        _write_excerpt(self.plan.content, folder / CONTENT_NAME)
        for style in self.plan.styles:
            self._compare_style(style)
            table = ComparisonTable(self.plan.content.path.name, tuple(self.rows))
            write_text(folder / TABLE_NAME, table.csv())
        save_figure(draw_mels(self.panels), folder / FIGURE_NAME)
        return table

    def _compare_style(self, style: NamedExcerpt) -> None:
        from stylize.evaluate.metrics.similarity import Sound

        style_file = self.plan.file(style, COPY_STYLE)
        _write_excerpt(style, style_file)
        content, reference = Sound(self.plan.content.wav, RATE), Sound(style.wav, RATE)
        genre = self.classifier.predict(style.wav).genre
        work = {TRANSLATOR: self._translate, BASELINE: self._optimize}
        titles = {COPY_CONTENT: f"content: {self.plan.content.path.stem}", COPY_STYLE: f"style: {style.name}"}
        panels = []
        for system in SYSTEMS:
            file = self.plan.file(style, system)
            elapsed = None
            if system in work:
                self.reporter.note(f"{style.name}: {system}")
                started = time.perf_counter()
                work[system](style_file, file)
                elapsed = time.perf_counter() - started
            result = Sound.read(file)
            metrics = self._measure(result, content, reference, genre)
            self.rows.append(ComparisonRow(style.name, genre, system, file, result.seconds, elapsed, metrics))
            title = titles.get(system) or f"{system}, {elapsed:.1f} s"
            panels.append(mel_panel(title, result.wav, result.sample_rate))
        self.panels.append(panels)

    def _translate(self, style_file: Path, output: Path) -> None:
        content = self.plan.options.output / CONTENT_NAME
        self.stylizer.stylize_file(content, output, like=style_file, force=True)

    def _optimize(self, style_file: Path, output: Path) -> None:
        options = self.plan.options
        result = run_baseline(options.baseline(options.output / CONTENT_NAME, style_file, output), self.reporter)
        if result.stopped == "not finite":
            self.reporter.note(f"{output.name}: the loss was no finite number any more; the last good one is compared")

    def _measure(self, result: Sound, content: Sound, style: Sound, genre: str) -> Metrics:
        from stylize.evaluate.metrics.similarity import harmony_similarity, rhythm_similarity, timbre_distance

        return Metrics(
            chroma=harmony_similarity(result, content),
            onsets=rhythm_similarity(result, content),
            style=self.classifier.style_similarity(result, style),
            genre=self.classifier.genre_probabilities(result)[genre],
            timbre=timbre_distance(result, style),
        )


def _write_excerpt(excerpt: NamedExcerpt, path: Path) -> None:
    with AudioWriter(path, RATE, 1, EXCERPT_SUBTYPE, force=True) as writer:
        writer.write(excerpt.wav[None])


@with_options(CompareOptions, required=True)
def compare_command(values: dict[str, Any]) -> int:
    """One pass beside optimization: the same song in the style of recordings by both, with times and metrics."""
    options = CompareOptions(**values)
    with choose_reporter(options.iterations) as reporter:
        table = compare(options, reporter)
    print(table.text())
    print(f"{options.output}: results, {TABLE_NAME}, {FIGURE_NAME}", flush=True)
    return 0
