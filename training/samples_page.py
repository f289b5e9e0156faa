"""A static page beside a run's validation clips: each input and its outputs at every step, to listen to and compare."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

import numpy as np

from stylize_core.atomic import atomic_write
from stylize_core.errors import UserError
from stylize_core.plain import build, parse_json, read_lines
from training.experiment import Sample

PAGE = Path(__file__).parent / "pages" / "samples.html"

MIN_SECONDS = 0.5
"""Shorter clips have too few frames for harmony and rhythm."""


@dataclass(frozen=True)
class Comparison:
    """A validation clip and its input at a step.

    Args:
        step: training step.
        name: name of the clip.
        original: name of its input.
        audio: file name of the clip.
        picture: file name of its mels.
        sample_rate: Hz.
        measures: similarity of the clip and its input.
    """

    step: int
    name: str
    original: str
    audio: str
    picture: str
    sample_rate: int
    measures: Mapping[str, float]


def pair_samples(samples: Sequence[Sample]) -> list[tuple[Sample, Sample]]:
    """Each sample that changes, with the fixed one before it; those without a waveform are left out."""
    pairs, original = [], None
    for sample in samples:
        if sample.fixed:
            original = sample
        elif original is not None and original.wav is not None and sample.wav is not None:
            pairs.append((original, sample))
    return pairs


def compare(step: int, original: Sample, output: Sample) -> Comparison:
    """Similarity of an output and its input in harmony (chroma) and rhythm (onsets), each at most 1."""
    from stylize_core.metrics.waveform import chroma_cosine, onset_correlation

    assert original.wav is not None and output.wav is not None
    length, rate = min(len(original.wav), len(output.wav)), output.sample_rate
    measures = {}
    if length >= MIN_SECONDS * rate and original.sample_rate == rate:
        made, given = (np.ascontiguousarray(wav[:length], dtype=np.float32) for wav in (output.wav, original.wav))
        if np.isfinite(made).all() and np.isfinite(given).all():
            measures = {"chroma": chroma_cosine(made, given, rate), "onsets": onset_correlation(made, given, rate)}
    stem = f"{output.name}.step-{step:08d}"
    rounded = {name: float(f"{value:.6g}") for name, value in measures.items()}
    return Comparison(step, output.name, original.name, f"{stem}.wav", f"{stem}.png", rate, rounded)


def read_comparisons(path: Path) -> list[Comparison]:
    """All comparisons of a run, the last of each step and clip; incomplete lines, left by a kill, are skipped."""
    found: dict[tuple[int, str], Comparison] = {}
    for line in read_lines(path):
        try:
            comparison = build(Comparison, parse_json(line), path.name)
        except (ValueError, UserError):
            continue
        found[comparison.step, comparison.name] = comparison
    return sorted(found.values(), key=lambda each: each.step)


def write_samples_page(folder: Path, title: str, comparisons: Sequence[Comparison]) -> None:
    """Write `index.html` atomically."""
    # A name with "</script>" must not end the script block.
    values = json.dumps([asdict(each) for each in comparisons]).replace("<", "\\u003c")
    parts = {"@TITLE@": escape(title), "@DATA@": values}
    page = re.sub("@TITLE@|@DATA@", lambda mark: parts[mark[0]], PAGE.read_text(encoding="utf-8"))
    with atomic_write(folder / "index.html") as stream:
        stream.write(page.encode())
