"""A page beside a run's validation clips, to hear each input and what became of it, step by step, without a server."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import UserError
from data.plain import build, parse_json, read_lines
from training.experiment import Sample

LEAST_SECONDS = 0.5
"""Shorter clips have too few frames for harmony and rhythm."""


@dataclass(frozen=True)
class Comparison:
    """A validation clip and its input at a step.

    Args:
        step: of the training.
        name: of the clip.
        original: name of its input.
        audio: file name of the clip.
        picture: file name of its mels.
        sample_rate: Hz.
        measures: of the clip against its input.
    """

    step: int
    name: str
    original: str
    audio: str
    picture: str
    sample_rate: int
    measures: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def pair_samples(samples: Sequence[Sample]) -> list[tuple[Sample, Sample]]:
    """Each sample that changes, with the fixed one before it; those that cannot be heard are left out."""
    pairs, original = [], None
    for sample in samples:
        if sample.fixed:
            original = sample
        elif original is not None and original.wav is not None and sample.wav is not None:
            pairs.append((original, sample))
    return pairs


def compare(step: int, original: Sample, output: Sample) -> Comparison:
    """Harmony (chroma) and rhythm (onsets) that an output kept of its input, each 1 where all is kept."""
    from training.measures import chroma_cosine, onset_correlation

    assert original.wav is not None and output.wav is not None
    length, rate = min(len(original.wav), len(output.wav)), output.sample_rate
    measures = {}
    if length >= LEAST_SECONDS * rate and original.sample_rate == rate:
        made, given = (np.ascontiguousarray(wav[:length], dtype=np.float32) for wav in (output.wav, original.wav))
        if np.isfinite(made).all() and np.isfinite(given).all():
            measures = {"chroma": chroma_cosine(made, given, rate), "onsets": onset_correlation(made, given, rate)}
    stem = f"{output.name}.step-{step:08d}"
    rounded = {name: float(f"{value:.6g}") for name, value in measures.items()}
    return Comparison(step, output.name, original.name, f"{stem}.wav", f"{stem}.png", rate, rounded)


def read_comparisons(path: Path) -> list[Comparison]:
    """All comparisons of a run; half a line, left by a kill, is left out. A step that came again counts once."""
    found: dict[tuple[int, str], Comparison] = {}
    for line in read_lines(path):
        try:
            comparison = build(Comparison, parse_json(line), path.name)
        except (ValueError, UserError):
            continue
        found[comparison.step, comparison.name] = comparison
    return sorted(found.values(), key=lambda each: each.step)


def write_samples_page(folder: Path, title: str, comparisons: Sequence[Comparison]) -> None:
    """Write `index.html`, whole or not at all."""
    # A name with "</script>" must not end the block that the values stand in.
    values = json.dumps([each.to_dict() for each in comparisons]).replace("<", "\\u003c")
    parts = {"@TITLE@": escape(title), "@DATA@": values}
    page = re.sub("@TITLE@|@DATA@", lambda mark: parts[mark[0]], _PAGE)
    temporary = folder / ".index.html"
    temporary.write_text(page, encoding="utf-8")
    os.replace(temporary, folder / "index.html")


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>@TITLE@</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
article { border: 1px solid #8886; border-radius: 10px; padding: 1rem; margin: 0 0 1rem; }
h2 { font-size: 1rem; margin: 0 0 .5rem; }
img, audio { display: block; max-width: 100%; box-sizing: border-box; }
audio { width: 100%; margin: .5rem 0; }
label { display: flex; gap: .8rem; align-items: center; min-height: 2.75rem; font-variant-numeric: tabular-nums; }
label input { flex: 1; min-width: 0; height: 2.75rem; margin: 0; }
p { margin: .5rem 0; }
button { font: inherit; min-height: 2.75rem; padding: 0 1rem; margin: .5rem .5rem 0 0; }
button[aria-pressed="true"] { outline: 3px solid; }
</style>
</head>
<body>
<h1>@TITLE@</h1>
<p>Validation clips of this run. A change of step, or between input and output, goes on at the same place. The arrow
keys move a slider that has the focus. Measures compare an output with its input: chroma is the cosine of harmony,
onsets the correlation of rhythm, 1 where all is kept.</p>
<noscript><p>This page needs JavaScript; the sounds and pictures lie beside it.</p></noscript>
<script type="application/json" id="data">@DATA@</script>
<script>
"use strict";
const rows = JSON.parse(document.getElementById("data").textContent);
const make = (tag, properties, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const sounds = [];
const card = (name) => {
  const steps = rows.filter((row) => row.name === name);
  const last = steps.length - 1;
  const slider = make("input", { type: "range", min: 0, max: last, value: last, disabled: last === 0 });
  const shown = make("output", {});
  const audio = make("audio", { controls: true, preload: "none" });
  const picture = make("img", { alt: `mel spectrograms of ${name}`, loading: "lazy" });
  const link = make("a", {}, picture);
  const text = make("p", {});
  const buttons = ["input", "output"].map((title) => make("button", { type: "button", textContent: title }));
  let original = false;
  const show = () => {
    const row = steps[slider.value];
    const source = encodeURIComponent(original ? `${row.original}.wav` : row.audio);
    shown.textContent = `${row.step} of ${steps[last].step}`;
    slider.setAttribute("aria-valuetext", shown.textContent);
    picture.src = link.href = encodeURIComponent(row.picture);
    text.textContent = Object.entries(row.measures).map(([title, value]) => `${title} ${value.toFixed(3)}`).join(", ");
    buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(original === (index === 0))));
    if (audio.getAttribute("src") === source) return;
    const [position, playing] = [audio.currentTime, !audio.paused];
    audio.src = source;
    if (position > 0) audio.addEventListener("loadedmetadata", () => { audio.currentTime = position; }, { once: true });
    if (playing) audio.play().catch(() => {});
    else if (position > 0) audio.load();
  };
  buttons.forEach((button, index) => button.addEventListener("click", () => {
    original = index === 0;
    show();
    audio.play().catch(() => {});
  }));
  slider.addEventListener("input", show);
  audio.addEventListener("play", () => sounds.forEach((other) => other !== audio && other.pause()));
  sounds.push(audio);
  show();
  const label = make("label", {}, "step", slider, shown);
  return make("article", {}, make("h2", { textContent: name }), ...buttons, label, audio, link, text);
};
document.body.append(...[...new Set(rows.map((row) => row.name))].map(card));
</script>
</body>
</html>
"""
