"""The benchmark as a markdown page, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.atomic import atomic_write
from data.names import readable
from stylize.evaluate.aims import Aim
from stylize.evaluate.content import CONTENT_MEASURES, TRUTH_MEASURES
from stylize.evaluate.material import TIER_TITLES
from stylize.evaluate.measurements import Row
from stylize.evaluate.summary import CONTENT, REDUCTION
from stylize.evaluate.sweep import MIXTURE, STRENGTH

STYLE_COLUMNS = ("target heard", "source heard", "KAD", "FAD")
CONTENT_COLUMNS = ("chroma", "notes F1", "onsets F1", "beats F")
TRUTH_COLUMNS = ("mel L1", "below the input's", "MFCC", "onsets F1 to truth", "chroma to truth")
MEASURES = (
    "target_heard",
    "source_heard",
    "target_probability",
    "source_probability",
    *CONTENT_MEASURES,
    *TRUTH_MEASURES,
)

LEGEND = """\
Brackets: 95 % bootstrap interval over songs. Target heard, source heard: part of the outputs that the genre classifier
hears as the target style, or still as the source style (of recordings without a label: what it hears in the input).
KAD × 100 and FAD: distance of the classifier's embeddings from real clips of the target style, training and
validation songs, mean over target styles; the floor is what these come to against each other, at as many clips. Few
clips make FAD large. Chroma, notes, onsets and beats are compared with the input; how much of them the ground truth
keeps is the yardstick. mel L1 (decades), MFCC, onsets and chroma to the truth: the same song as the corpus plays it in
the target style, at the same level."""


def make_markdown(report: Mapping[str, Any], aims: Sequence[Aim], picture: str | None = None) -> str:
    """The whole page.

    Args:
        report: as :func:`stylize.evaluate.run.run_benchmark` gives it.
        aims: judged.
        picture: file name of the plot.
    """
    about, machine = report["settings"], report["machine"]
    lines = [
        "# Style transfer benchmark",
        "",
        f"`{about['command']}`",
        "",
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, device {about['device']}; "
        f"PyTorch {machine['torch']}; {machine['date']}; {report['minutes']:.1f} minutes, of which "
        f"{report['measured_rows']} of {report['rows']} results were measured in this run.",
        "",
        *(
            f"* {name}: translator `{model['translator']}`, vocoder `{model['vocoder']}`"
            for name, model in about["models"].items()
        ),
        f"* nothing leaks: {report['held_out']} held-out files, compared with {', '.join(about['trained_on'])}",
        "",
        *format_aims(aims),
    ]
    if picture is not None:
        lines += ["", f"![content across, style up]({picture})"]
    for name, tier in report["tiers"].items():
        lines += ["", *format_tier(name, tier, about["judged"])]
    if report["sweep"] is not None:
        lines += ["", *format_sweep(report["sweep"])]
    return "\n".join([*lines, "", "## How to read it", "", LEGEND, ""])


def format_aims(aims: Sequence[Aim]) -> list[str]:
    """A table of the aims."""
    words = {True: "met", False: "**missed**", None: "-"}
    lines = ["## Aims", "", "| aim | | found |", "| --- | --- | --- |"]
    return lines + [f"| {aim.text} | {words[aim.met]} | {aim.numbers} |" for aim in aims]


def format_tier(name: str, tier: Mapping[str, Any], judged: str) -> list[str]:
    """Heading, what the judge is worth there, the table of systems, and each target style of the judged system."""
    title = f"{TIER_TITLES[name]} (`{name}`)" if name in TIER_TITLES else f"`{name}`"
    with_truth = any("mel_to_truth" in system["measures"] for system in tier["systems"].values())
    columns = [*STYLE_COLUMNS, *CONTENT_COLUMNS, *(TRUTH_COLUMNS if with_truth else ()), "× real time"]
    lines = [f"## {title}", "", f"{tier['pairs']} pairs of {tier['songs']} songs. {_about_judge(tier)}", ""]
    lines += [f"| system | pairs | {' | '.join(columns)} |", f"| --- |{' ---: |' * (len(columns) + 1)}"]
    lines += [_system_line(system, values, with_truth) for system, values in tier["systems"].items()]
    targets = tier["targets"].get(judged)
    if targets:
        counts = (f"{style} {value['target_heard']} of {value['pairs']}" for style, value in _worst_first(targets))
        lines += ["", f"Target heard in {judged}, the worst styles first: {', '.join(counts)}."]
    return lines


def _about_judge(tier: Mapping[str, Any]) -> str:
    accuracy, floor = tier["accuracy"], tier["floor"]
    parts = []
    if accuracy is not None:
        parts.append(
            f"The classifier is right about {_percent(accuracy['right'])} of {accuracy['clips']} untouched clips "
            f"[{_percent(accuracy['low'])}, {_percent(accuracy['high'])}]."
        )
        weak = [f"{style} {_percent(right)}" for style, right in accuracy["by_style"].items() if right < 0.7]
        if weak:
            parts.append(f"Weak at: {', '.join(weak)}.")
    if tier["reference_clips"]:
        parts.append(
            f"Real against real, {floor['clips_per_style']} clips of a style against the others of "
            f"{tier['reference_clips']}: KAD {floor['kad']:.2f}, FAD {floor['fad']:.2f}."
        )
    return " ".join(parts)


def _worst_first(targets: Mapping[str, Mapping[str, float]]) -> list[tuple[str, Mapping[str, float]]]:
    return sorted(targets.items(), key=lambda item: (item[1]["target_heard"] / item[1]["pairs"], item[0]))


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _system_line(name: str, system: Mapping[str, Any], with_truth: bool) -> str:
    measures, distances = system["measures"], system["distances"]
    heard = measures["target_heard"]
    cells = [
        f"{_percent(heard['mean'])} [{100 * heard['low']:.0f}, {100 * heard['high']:.0f}]",
        _percent(measures["source_heard"]["mean"]),
        *(["-", "-"] if distances is None else [f"{distances[kind]:.2f}" for kind in ("kad", "fad")]),
        *(f"{measures[measure]['mean']:.3f}" for measure in CONTENT_MEASURES),
    ]
    if with_truth:
        reduction = measures.get(REDUCTION)
        cells.append(f"{measures['mel_to_truth']['mean']:.3f}")
        cells.append("-" if reduction is None else _percent(reduction["mean"]))
        cells.append(f"{measures['mfcc_to_truth']['mean']:.2f}")
        cells += [f"{measures[measure]['mean']:.3f}" for measure in ("onset_f1_to_truth", "chroma_to_truth")]
    factor = system["real_time_factor"]
    cells.append("-" if factor is None else f"{factor:.3g}")
    return f"| {name} | {system['pairs']} | {' | '.join(cells)} |"


def format_sweep(sweep: Mapping[str, Any]) -> list[str]:
    """Tables of strength and mixture."""
    lines = ["## Strength and mixtures", "", f"{sweep['pairs']} pairs of tier `{sweep['tier']}`, {sweep['system']}."]
    titles = {STRENGTH: "`--strength`", MIXTURE: "share of the target style, the rest is the source style"}
    for kind, title in titles.items():
        verdicts = [
            f"style {'rises' if sweep[kind]['style_rises'] else 'does **not** rise'} at every step",
            f"content {'falls' if sweep[kind]['content_falls'] else 'does **not** fall'} at every step",
        ]
        lines += ["", f"| {title} | target heard | its probability | source's probability | content |"]
        lines.append("| ---: |" + " ---: |" * 4)
        lines += [
            f"| {step['step']:g} | {_percent(step['target_heard'])} | {step['target_probability']:.3f} "
            f"| {step['source_probability']:.3f} | {step[CONTENT]:.3f} |"
            for step in sweep[kind]["steps"]
        ]
        lines += ["", f"{', '.join(verdicts)}.".capitalize()]
    return lines


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write a line for each pair and system, with unrounded numbers.

    Raises:
        UserError: the disk is full or fails.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    about = ("tier", "pair", "song", "source_style", "target", "system", "heard", "seconds", "elapsed")
    writer.writerow([*about, *MEASURES])
    for row in rows:
        values = [getattr(row, name) for name in about] + [row.measures.get(name) for name in MEASURES]
        writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in values])
    with atomic_write(path) as stream:
        stream.write(readable(text.getvalue()).encode())


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """Write the report.

    Raises:
        UserError: the disk is full or fails.
    """
    with atomic_write(path) as stream:
        stream.write((json.dumps(report, indent=1) + "\n").encode())


def write_markdown(path: Path, text: str) -> None:
    """Write the page.

    Raises:
        UserError: the disk is full or fails.
    """
    with atomic_write(path) as stream:
        stream.write(readable(text).encode())
