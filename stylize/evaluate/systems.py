"""The systems of the benchmark: each makes one waveform of a pair."""

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

from data.audio import read_audio
from data.errors import UserError
from stylize.evaluate.material import Excerpts, Pair
from stylize.evaluate.multipitch import RATE

if TYPE_CHECKING:
    from torch import Tensor

    from stylize.pipeline import Stylizer

COPY_CONTENT, COPY_STYLE = "copy content", "copy style"
GROUND_TRUTH, TRUTH_THROUGH_VOCODER = "ground truth", "ground truth through the vocoder"
FEED_FORWARD, BY_EXAMPLE, BASELINE = "feed-forward", "feed-forward by example", "baseline"
LEAST_PART = 0.95
"""An output may be this much shorter than its input; the rest is silence."""


@dataclass(frozen=True)
class Made:
    """What a system made.

    Args:
        wav: (samples,) at `RATE`.
        elapsed: seconds of work, models loaded (the baseline loads its own); None where nothing was to be done.
    """

    wav: np.ndarray
    elapsed: float | None = None


class System(Protocol):
    """Something that turns an input into a song in the target style."""

    name: str
    key: str
    """Changes when the same pair may give something else."""

    def applies(self, pair: Pair) -> bool:
        """Whether the pair has what the system needs."""

    def make(self, pair: Pair, excerpts: Excerpts) -> Made:
        """Translate the excerpt of a pair."""


class CopyContent:
    """Gives the input back: the ceiling of content, the floor of style."""

    name, key = COPY_CONTENT, ""

    def applies(self, pair: Pair) -> bool:
        """Always."""
        return True

    def make(self, pair: Pair, excerpts: Excerpts) -> Made:
        """The input."""
        return Made(excerpts.load(pair.source))


class CopyStyle:
    """Gives another song of the target style: the ceiling of style, the floor of content."""

    name, key = COPY_STYLE, ""

    def applies(self, pair: Pair) -> bool:
        """Where such a song is known."""
        return pair.style is not None

    def make(self, pair: Pair, excerpts: Excerpts) -> Made:
        """The other song."""
        assert pair.style is not None
        return Made(excerpts.load(pair.style))


class GroundTruth:
    """The corpus' own version of the song in the target style."""

    name, key = GROUND_TRUTH, ""

    def applies(self, pair: Pair) -> bool:
        """Where it is known."""
        return pair.truth is not None

    def make(self, pair: Pair, excerpts: Excerpts) -> Made:
        """That version."""
        assert pair.truth is not None
        return Made(excerpts.load(pair.truth))


class FeedForward:
    """The pipeline in one pass, in memory: what it made is not turned down to fit into a file.

    Args:
        name: of the row.
        stylizer: translator and vocoder.
        key: of their weights.
        strength: see :class:`stylize.request.Order`.
        mixture: `--to` with `TARGET` for the target style and `SOURCE` for the source style; None for the target.
    """

    def __init__(
        self, name: str, stylizer: Stylizer, key: str, strength: float = 1.0, mixture: str | None = None
    ) -> None:
        self.name, self.stylizer, self.strength, self.mixture = name, stylizer, strength, mixture
        self.key = f"{key} {strength:g} {mixture or ''}".strip()

    def applies(self, pair: Pair) -> bool:
        """Where the model knows the style."""
        return pair.target in self.stylizer.styles

    def make(self, pair: Pair, excerpts: Excerpts) -> Made:
        """Translate by the name of the style."""
        to = (self.mixture or "TARGET").replace("TARGET", pair.target).replace("SOURCE", pair.source_style)
        started = time.perf_counter()
        wav = render(self.stylizer, excerpts.load(pair.source), self.stylizer.named_style(to), self.strength)
        return Made(wav, time.perf_counter() - started)


class ByExample:
    """The pipeline with its style taken from a recording whose song and groove are in no training.

    Args:
        name: of the row.
        stylizer: translator and vocoder.
        key: of their weights.
    """

    def __init__(self, name: str, stylizer: Stylizer, key: str) -> None:
        self.name, self.stylizer, self.key = name, stylizer, key

    def applies(self, pair: Pair) -> bool:
        """Where there is such a recording."""
        return pair.example is not None

    def make(self, pair: Pair, excerpts: Excerpts) -> Made:
        """Translate to the style of the example, all of which is heard."""
        assert pair.example is not None
        started = time.perf_counter()
        style = self.stylizer.style_like(pair.example).vector
        return Made(
            render(self.stylizer, excerpts.load(pair.source), style, 1.0),
            time.perf_counter() - started,
        )


class TruthThroughVocoder:
    """The ground truth's mel through the vocoder: the ceiling of any method that works on these spectrograms.

    Args:
        stylizer: of which only the vocoder counts.
        key: of its weights.
    """

    name = TRUTH_THROUGH_VOCODER

    def __init__(self, stylizer: Stylizer, key: str) -> None:
        self.stylizer, self.key = stylizer, key

    def applies(self, pair: Pair) -> bool:
        """Where the truth is known."""
        return pair.truth is not None

    def make(self, pair: Pair, excerpts: Excerpts) -> Made:
        """Encode and decode."""
        assert pair.truth is not None
        style = self.stylizer.named_style(self.stylizer.styles[0])  # not used with strength 0
        return Made(render(self.stylizer, excerpts.load(pair.truth), style, 0.0))


class Baseline:
    """Style transfer by optimization with its default settings, from another song of the target style.

    Args:
        work: folder for its files.
        seed: of its random network.
        pairs: names of the pairs it is run on; it is slow.
        key: of the vocoder's weights.
        vocoder: folder; None for the bundled one.
        device: see :func:`stylize.models.find_device`.
    """

    name = BASELINE

    def __init__(
        self, work: Path, seed: int, pairs: Sequence[str], key: str, vocoder: Path | None, device: str
    ) -> None:
        self.work, self.seed, self.pairs, self.vocoder, self.device = work, seed, frozenset(pairs), vocoder, device
        self.key = f"{key} {seed}"

    def applies(self, pair: Pair) -> bool:
        """On the chosen pairs, where another song of the style is known."""
        return pair.name in self.pairs and pair.style is not None

    def make(self, pair: Pair, excerpts: Excerpts) -> Made:
        """Optimise, from file to file."""
        from stylize.optimize.run import OptimizeOptions, stylize_by_optimization

        assert pair.style is not None
        content, style, output = (self.work / f"baseline.{part}.wav" for part in ("content", "style", "output"))
        for path, source in ((content, pair.source), (style, pair.style)):
            soundfile.write(path, excerpts.load(source), RATE, subtype="FLOAT")
        options = OptimizeOptions(
            content, style, output, force=True, vocoder=self.vocoder, seed=self.seed, device=self.device
        )
        try:
            result = stylize_by_optimization(options)
            if result.stopped == "interrupted":
                raise KeyboardInterrupt
            wav = fit_length(read_audio(output, RATE)[0][0], len(excerpts.load(pair.source)), output)
        finally:
            for path in (content, style, output):
                path.unlink(missing_ok=True)
        return Made(wav, result.elapsed)


class Folder:
    """Results of any other system, as wavs named after the pairs; see `stylize.evaluate.exchange`.

    Args:
        name: of the row.
        folder: with `PAIR.wav` for every pair.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.key = name, folder, ""

    def check(self, pairs: Sequence[Pair]) -> None:
        """Refuse a folder that lacks results, before anything is measured.

        Raises:
            UserError: how many are missing and the first of them.
        """
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

    def applies(self, pair: Pair) -> bool:
        """Always: a folder has all pairs."""
        return True

    def make(self, pair: Pair, excerpts: Excerpts) -> Made:
        """Read the file."""
        path = self._path(pair)
        return Made(fit_length(read_audio(path, RATE)[0][0], len(excerpts.load(pair.source)), path))

    def _path(self, pair: Pair) -> Path:
        return self.folder / f"{pair.name}.wav"


def render(stylizer: Stylizer, wav: np.ndarray, style: Tensor, strength: float) -> np.ndarray:
    """A waveform at `RATE`, (samples,), through the pipeline; as long as before."""
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
    return np.pad(made[: len(wav)], (0, max(0, len(wav) - len(made))))


def fit_length(wav: np.ndarray, samples: int, path: Path) -> np.ndarray:
    """Cut a result to the length of its input, or continue it with silence where a little is missing.

    Raises:
        UserError: it is shorter than `LEAST_PART` of its input.
    """
    if len(wav) < LEAST_PART * samples:
        raise UserError(
            f"{path} is {len(wav) / RATE:.2f} s long and its input {samples / RATE:.2f} s; expected results as long as "
            "their inputs"
        )
    return np.pad(wav[:samples], (0, max(0, samples - len(wav))))


def weights_key(*folders: Path) -> str:
    """A short digest of model folders: weights, and the configuration, which says how often a vocoder refines."""
    from training.pretrained import CONFIG_NAME, WEIGHTS_NAME  # here, since it loads PyTorch

    digest = hashlib.sha256()
    for folder in folders:
        for name in (WEIGHTS_NAME, CONFIG_NAME):
            with (folder / name).open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]
