"""The systems that are measured, each with one name everywhere, and how they make a waveform of a pair."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import soundfile
import soxr

from stylize.evaluate.excerpts import Excerpts, fit_length
from stylize.evaluate.metrics.multipitch import RATE
from stylize_core.audio.reader import read_audio
from stylize_core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from stylize.optimize.options import OptimizeOptions
    from stylize.optimize.reporting import Reporter
    from stylize.optimize.run import OptimizeResult
    from stylize.pipeline import Stylizer

TRANSLATOR, BY_EXAMPLE, BASELINE = "translator", "translator-by-example", "baseline"
COPY_CONTENT, COPY_STYLE = "copy-content", "copy-style"
GROUND_TRUTH, TRUTH_VOCODER = "ground-truth", "ground-truth-vocoder"
VOCODER, GRIFFIN_LIM, ORIGINAL = "vocoder", "griffin-lim", "original"

SYSTEMS = {
    TRANSLATOR: "one pass of translator and vocoder",
    BY_EXAMPLE: "the same, with the style of one recording",
    BASELINE: "style transfer by optimization, from one recording of the style",
    COPY_CONTENT: "the input itself: ceiling of content, floor of style",
    COPY_STYLE: "another song of the style: ceiling of style, floor of content",
    GROUND_TRUTH: "the corpus' own version of the song in the style",
    TRUTH_VOCODER: "the ground truth's mel through the vocoder",
    VOCODER: "the input's mel through the vocoder",
    GRIFFIN_LIM: "the input's mel through Griffin-Lim",
    ORIGINAL: "the recording itself",
}
"""Descriptions; with several models, rows are named `translator, NAME`."""
TARGETED = (TRANSLATOR, BY_EXAMPLE, BASELINE, COPY_STYLE, GROUND_TRUTH, TRUTH_VOCODER)
"""Systems that need a target style."""
GRIFFIN_LIM_ITERATIONS = 60
SLACK = 0.05
"""Allowed shortfall of an output, as a share of its input."""


@dataclass(frozen=True)
class Pair:
    """A song to translate.

    Args:
        split: of the song.
        name: unique, valid in a file name.
        song: its identity, a group of the bootstrap.
        source, source_style: the recording, and its genre or predicted genre.
        target: the target style.
        truth: the same song in the target style.
        style: another song of the target style.
        example: a song of the target style, its song and groove in no training.
    """

    split: str
    name: str
    song: str
    source: Path
    source_style: str
    target: str
    truth: Path | None = None
    style: Path | None = None
    example: Path | None = None


@dataclass(frozen=True)
class Output:
    """What a system made: (samples,) at `RATE`, and seconds of work (None for copies)."""

    wav: np.ndarray
    elapsed: float | None = None


class System(Protocol):
    """Something that turns the input of a pair into a song in the target style; its `key` identifies its results."""

    name: str
    key: str

    def applies(self, pair: Pair) -> bool:
        """Whether the pair has what the system needs."""

    def make(self, pair: Pair, excerpts: Excerpts) -> Output:
        """Translate the excerpt of a pair."""


class Needing:
    """A system that applies to the pairs that have some recordings."""

    key = ""
    needs: tuple[str, ...] = ()

    def applies(self, pair: Pair) -> bool:
        """Whether the pair has the needed recordings."""
        return all(getattr(pair, each) is not None for each in self.needs)


class Copy(Needing):
    """A recording of the pair, unchanged."""

    OF = {COPY_CONTENT: "source", COPY_STYLE: "style", GROUND_TRUTH: "truth"}  # noqa: RUF012

    def __init__(self, name: str) -> None:
        self.name, self.needs = name, (self.OF[name],)

    def path(self, pair: Pair) -> Path | None:
        """The recording that is copied."""
        path: Path | None = getattr(pair, self.OF[self.name])
        return path

    def make(self, pair: Pair, excerpts: Excerpts) -> Output:
        """Load the recording."""
        path = self.path(pair)
        assert path is not None
        return Output(excerpts.load(path))


class Pipeline(Needing):
    """Translator and vocoder in memory, without the loudness adjustment of files.

    Args:
        name: of the row.
        stylizer: translator and vocoder.
        weights: digest of their weights.
        strength: of the translation.
        mixture: value of `--to`, with placeholders `TARGET` and `SOURCE` for the two styles.
    """

    def __init__(
        self, name: str, stylizer: Stylizer, weights: str, strength: float = 1.0, mixture: str = "TARGET"
    ) -> None:
        self.name, self.stylizer, self.strength, self.mixture = name, stylizer, strength, mixture
        self.key = f"{weights} {strength:g} {mixture}"

    def applies(self, pair: Pair) -> bool:
        """Whether the pair has what is needed, by default a style that the model knows."""
        return super().applies(pair) if self.needs else pair.target in self.stylizer.styles

    def make(self, pair: Pair, excerpts: Excerpts) -> Output:
        """Translate to the style."""
        started = time.perf_counter()
        wav = render(self.stylizer, excerpts.load(pair.source), self.style(pair), self.strength)
        return Output(wav, time.perf_counter() - started)

    def style(self, pair: Pair) -> Tensor:
        """The style vector of the pair's target."""
        to = self.mixture.replace("TARGET", pair.target).replace("SOURCE", pair.source_style)
        return self.stylizer.named_style(to)


class ByExample(Pipeline):
    """The pipeline with the style of the pair's example."""

    needs = ("example",)

    def style(self, pair: Pair) -> Tensor:
        """The style vector of the example."""
        assert pair.example is not None
        return self.stylizer.style_like(pair.example).vector


class TruthThroughVocoder(Pipeline):
    """The ground truth's mel through the vocoder, an upper bound."""

    needs = ("truth",)

    def make(self, pair: Pair, excerpts: Excerpts) -> Output:
        """Encode and decode."""
        assert pair.truth is not None
        style = self.stylizer.named_style(self.stylizer.styles[0])  # unused at strength 0
        return Output(render(self.stylizer, excerpts.load(pair.truth), style, 0.0))


class Baseline:
    """Style transfer by optimization with default options, on chosen pairs.

    Args:
        work: folder for temporary files.
        seed: of its random network.
        pairs: names of the pairs.
        weights: digest of the vocoder's weights.
        vocoder: folder; None for the bundled one.
        device: see :func:`stylize.models.find_device`.
    """

    name = BASELINE

    def __init__(
        self, work: Path, seed: int, pairs: Sequence[str], weights: str, vocoder: Path | None, device: str
    ) -> None:
        self.work, self.seed, self.pairs, self.vocoder, self.device = work, seed, frozenset(pairs), vocoder, device
        self.key = f"{weights} {seed}"

    def applies(self, pair: Pair) -> bool:
        """Whether the pair is chosen and has a song of the style."""
        return pair.name in self.pairs and pair.style is not None

    def make(self, pair: Pair, excerpts: Excerpts) -> Output:
        """Optimize, from file to file."""
        from stylize.optimize.options import OptimizeOptions

        assert pair.style is not None
        content, style, output = (self.work / f"baseline.{part}.wav" for part in ("content", "style", "output"))
        for path, source in ((content, pair.source), (style, pair.style)):
            soundfile.write(path, excerpts.load(source), RATE, subtype="FLOAT")
        options = OptimizeOptions(
            content, style, output, force=True, vocoder=self.vocoder, seed=self.seed, device=self.device
        )
        try:
            elapsed = run_baseline(options).elapsed
            return Output(fit_to_input(output, excerpts.load(pair.source)), elapsed)
        finally:
            for path in (content, style, output):
                path.unlink(missing_ok=True)


class Folder(Needing):
    """Results of another system, `PAIR.wav` in a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.key = name, folder, ""

    def check(self, pairs: Sequence[Pair]) -> None:
        """Raise UserError for missing results, and digest the files."""
        missing = [pair.name for pair in pairs if not self._path(pair).is_file()]
        if missing:
            raise UserError(
                f"{self.folder} lacks {len(missing)} of {len(pairs)} results, the first: {missing[0]}.wav; export the "
                "pairs with the same options (--export-pairs) and run the system on all of them"
            )
        digest = hashlib.sha256()
        for pair in pairs:
            stat = self._path(pair).stat()
            digest.update(f"{pair.name} {stat.st_size} {stat.st_mtime_ns}".encode())
        self.key = digest.hexdigest()[:16]

    def make(self, pair: Pair, excerpts: Excerpts) -> Output:
        """Read the file."""
        return Output(fit_to_input(self._path(pair), excerpts.load(pair.source)))

    def _path(self, pair: Pair) -> Path:
        return self.folder / f"{pair.name}.wav"


def run_baseline(options: OptimizeOptions, reporter: Reporter | None = None) -> OptimizeResult:
    """Style transfer by optimization, file to file; Ctrl-C removes the partial output."""
    from stylize.optimize.run import stylize_by_optimization

    result = stylize_by_optimization(options, reporter)
    if result.stopped == "interrupted":
        result.path.unlink(missing_ok=True)
        raise KeyboardInterrupt
    return result


def render(stylizer: Stylizer, wav: np.ndarray, style: Tensor, strength: float) -> np.ndarray:
    """Send a waveform at `RATE`, (samples,), through the pipeline."""
    rate = stylizer.mel_config.sample_rate
    samples = wav if rate == RATE else soxr.resample(wav, RATE, rate).astype(np.float32)
    position = 0

    def read(count: int) -> np.ndarray:
        nonlocal position
        position += count
        return samples[None, position - count : position]

    made = np.concatenate([block.wav[0] for block in stylizer.blocks(read, 1, style, strength)])
    if rate != RATE:
        made = soxr.resample(made, rate, RATE).astype(np.float32)
    return fit_length(made, len(wav), len(wav), "the output")


def fit_to_input(path: Path, source: np.ndarray) -> np.ndarray:
    """Read a result at `RATE`, cut or padded to the length of its input."""
    return fit_length(read_audio(path, RATE)[0][0], len(source), int(SLACK * len(source)), path)


def weights_key(*folders: Path) -> str:
    """A short digest of weights and configurations of model folders."""
    from stylize_core.model_folder import CONFIG_NAME, WEIGHTS_NAME  # here, since it loads PyTorch

    digest = hashlib.sha256()
    for folder in folders:
        for name in (WEIGHTS_NAME, CONFIG_NAME):
            with (folder / name).open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]
