"""Whether a vocoder meets the project's aims, each beside its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_KAD_PART = 0.5
"""Kernel audio distance, as a part of that of Griffin-Lim."""
MOST_SILENCE = -70.0
"""dBFS of what digital silence becomes."""
MOST_LINE = 6.0
"""Decibels of a line that the original does not have."""
LEAST_REAL_TIME = 40.0
LEAST_TIMES_PAPER = 5.0


@dataclass(frozen=True)
class Finding:
    """One aim and what became of it.

    Args:
        model: whose it is.
        source: on which recordings; empty where they do not matter.
        aim: in words.
        met: whether it was reached.
        figures: that say so.
    """

    model: str
    source: str
    aim: str
    met: bool
    figures: str


def decide(document: Mapping[str, Any]) -> list[Finding]:
    """Every aim for every model, from the figures of :func:`stylize.vocoder_evaluation.evaluate_vocoders`."""
    findings: list[Finding] = []
    for model in document["models"]:
        for source, quality in document["sources"].items():
            findings += _on_source(model, source, quality["rows"])
        findings += _of_model(model, document["probes"][model], document["costs"]["rows"][model])
    return findings


def _on_source(model: str, source: str, rows: Mapping[str, Any]) -> Iterator[Finding]:
    row = rows[model]
    rival = rows[row["griffin_lim"]]
    for measure, title, sign in (
        ("mr_stft", "MR-STFT distance below Griffin-Lim's", -1),
        ("mel_l1", "mel L1 below Griffin-Lim's", -1),
        ("chroma", "chroma cosine above Griffin-Lim's", 1),
    ):
        difference = row[measure]["minus_griffin_lim"]
        figures = (
            f"{row[measure]['mean']:.3f} against {rival[measure]['mean']:.3f}, difference {difference['mean']:+.3f} "
            f"({difference['low']:+.3f} to {difference['high']:+.3f})"
        )
        yield Finding(model, source, title, sign * difference["mean"] > 0, figures)
    if "part_of_griffin_lim" in row.get("kad", {}):
        part = row["kad"]["part_of_griffin_lim"]
        figures = (
            f"{row['kad']['mean']:.3g} against {rival['kad']['mean']:.3g}, {part['mean']:.2f} of it "
            f"({part['low']:.2f} to {part['high']:.2f})"
        )
        yield Finding(model, source, "KAD at most half of Griffin-Lim's", part["mean"] <= MOST_KAD_PART, figures)
    line, other = row["line"], rival["line"]
    figures = (
        f"{line['decibels']:.1f} dB at {line['hertz']:.0f} Hz over all excerpts (Griffin-Lim {other['decibels']:.1f}); "
        f"worst single excerpt {line['worst_excerpt']:.1f} dB (Griffin-Lim {other['worst_excerpt']:.1f})"
    )
    highest = max(line["decibels"], row.get("inner_line", line)["decibels"])
    if "inner_line" in row:
        figures += f"; inside frames {row['inner_line']['decibels']:.1f} dB at {row['inner_line']['hertz']:.0f} Hz"
    aim = f"no line of more than {MOST_LINE:g} dB at multiples of the frame rate that the original has not"
    yield Finding(model, source, aim, highest <= MOST_LINE, figures)


def _of_model(model: str, probes: Mapping[str, Any], costs: Mapping[str, Any]) -> Iterator[Finding]:
    levels = probes["silence"], probes["silence_after_sound"]
    figures = f"peak {levels[0]:.0f} dBFS, after sound {levels[1]:.0f} dBFS"
    yield Finding(model, "", f"silence below {MOST_SILENCE:g} dBFS", max(levels) < MOST_SILENCE, figures)
    speed, times = costs["times_real_time"], costs["times_baseline"]
    yield Finding(
        model, "", f"at least {LEAST_REAL_TIME:g} × real time", speed >= LEAST_REAL_TIME, f"{speed:.1f} × real time"
    )
    yield Finding(
        model,
        "",
        f"at least {LEAST_TIMES_PAPER:g} × the paper's generator",
        times >= LEAST_TIMES_PAPER,
        f"{times:.2f} × the paper's generator in the same run",
    )
