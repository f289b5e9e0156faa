"""The evaluation of vocoders as markdown: tables, floors, and which aims were met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stylize.benchmark import format_machine

NOTHING = "–"


def format_report(document: Mapping[str, Any]) -> str:
    """All of it.

    Args:
        document: of :func:`stylize.vocoder_evaluation.evaluate_vocoders`.
    """
    plan = document["plan"]
    parts = [
        [f"{format_machine(document['machine'])}. In brackets: bootstrap intervals of 95 % over excerpts."],
        *(_format_source(name, quality) for name, quality in document["sources"].items()),
        _format_faults(document["sources"]),
        _format_probes(document["probes"]),
        _format_costs(document["costs"], document["models"], plan["threads"]),
    ]
    if "translated" in document:
        parts += _format_translated(document["translated"])
    parts.append(format_verdict(document["verdict"]))
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def format_verdict(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table of the aims."""
    rows = [
        (
            finding["model"],
            finding["source"] or NOTHING,
            finding["aim"],
            "met" if finding["met"] else "**missed**",
            finding["figures"],
        )
        for finding in findings
    ]
    return ["**The aims**", "", *table(("model", "recordings", "aim", "", "figures"), rows)]


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def interval(summary: Mapping[str, float] | None, digits: int = 3) -> str:
    """A mean with its interval."""
    if summary is None:
        return NOTHING
    mean, low, high = (f"{summary[key]:.{digits}f}" for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def _format_source(name: str, quality: Mapping[str, Any]) -> list[str]:
    titles = ("method", "bins", "MR-STFT distance", "mel L1 (decades)", "chroma cosine", "KAD", "FAD")
    rows = [
        (
            method,
            str(row["bins"] or NOTHING),
            *(interval(row[measure]) for measure in ("mr_stft", "mel_l1", "chroma")),
            interval(row.get("kad")),
            f"{row['fad']:.3f}" if "fad" in row else NOTHING,
        )
        for method, row in quality["rows"].items()
    ]
    floor = quality["floor"]
    below = (
        "KAD (V-statistic, × 100) and FAD of the genre classifier's embeddings against those of the "
        f"{quality['excerpts']} originals; "
    )
    if floor:
        below += f"half of these against the other half: KAD {floor['kad']:.3f}, FAD {floor['fad']:.3f}"
    else:
        below += "too few of these to halve them for a floor"
    title = f"**{name}**: {quality['excerpts']} excerpts of {quality['seconds']:g} s, never seen in training"
    return [title, "", *table(titles, rows), "", f"{below}."]


def _format_faults(sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    titles = (
        "recordings",
        "method",
        "worst line (dB)",
        "at (Hz)",
        "in one excerpt (dB)",
        "inside frames (dB)",
        "end click (dB)",
        "samples clipped",
        "flat tops",
        "largest offset",
    )
    rows = [
        (name, method, *_fault_cells(row))
        for name, quality in sources.items()
        for method, row in quality["rows"].items()
    ]
    return ["**Artefacts**, lines and clicks over those of the original", "", *table(titles, rows)]


def _fault_cells(row: Mapping[str, Any]) -> Iterator[str]:
    line, inner = row["line"], row.get("inner_line")
    yield from (f"{line['decibels']:.1f}", f"{line['hertz']:.0f}", f"{line['worst_excerpt']:.1f}")
    yield f"{inner['decibels']:.1f}" if inner else NOTHING
    yield interval(row["end_click"], 1)
    yield from (str(row["clipped_samples"]), str(row["flat_runs"]), f"{row['offset']:.4f}")


def _format_probes(probes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    titles = (
        "method",
        "digital silence (dBFS)",
        "silence after sound (dBFS)",
        "pre-echo of a click (dB)",
        "worst click at a join (dB)",
        "blocks against the whole (dBFS)",
    )
    rows = []
    for method, row in probes.items():
        blocks = row.get("blocks")
        joins = (f"{blocks['worst']:.1f}", f"{blocks['difference']:.0f}") if blocks else (NOTHING, NOTHING)
        rows.append((method, *(f"{row[key]:.1f}" for key in ("silence", "silence_after_sound", "pre_echo")), *joins))
    note = (
        "Levels are peaks; -120 dB is nothing. Pre-echo: power 40 to 3 ms ahead of a click in silence, beside its own."
    )
    return ["**Probes**", "", *table(titles, rows), "", note]


def _format_costs(costs: Mapping[str, Any], models: Mapping[str, Mapping[str, float]], threads: int) -> list[str]:
    titles = (
        "method",
        "parameters (millions)",
        "multiply-adds per second of audio (billions)",
        f"× real time, {threads} threads",
        "× the paper's generator",
        "training steps",
        "steps per hour",
    )
    rows = []
    for method, row in costs["rows"].items():
        parameters, training = row.get("parameters"), models.get(method, {})
        rows.append(
            (
                method,
                f"{parameters / 1e6:.2f}" if parameters else NOTHING,
                f"{row['multiply_adds_per_second'] / 1e9:.2f}",
                f"{row['times_real_time']:.1f}",
                f"{row['times_baseline']:.2f}",
                *(f"{training[key]:,.0f}" if key in training else NOTHING for key in ("steps", "steps_per_hour")),
            )
        )
    note = (
        "Multiply-adds of convolutions and matrix products; FFTs are not in them. Times: medians of "
        f"{costs['repeats']} turns on {costs['music_seconds']:g} s of music, all methods in each turn."
    )
    return ["**Costs**", "", *table(titles, rows), "", note]


def _format_translated(translated: Mapping[str, Any]) -> list[list[str]]:
    titles = (
        "recordings",
        "method",
        "MR-STFT distance",
        "mel L1 (decades)",
        "chroma cosine",
        "KAD",
        "L1 to the asked mel",
        "worst line (dB)",
    )
    rows = [
        (
            name,
            method,
            *(interval(row.get(measure)) for measure in ("mr_stft", "mel_l1", "chroma", "kad", "asked_l1")),
            f"{row['line']['decibels']:.1f}",
        )
        for name, quality in translated["identity"].items()
        for method, row in quality["rows"].items()
    ]
    title = f"**Mels translated to their own style** by {translated['translator']}, against the originals"
    parts = [[title, "", *table(titles, rows)]]
    for name, quality in translated["cross"].items():
        cells = [
            (
                method,
                interval(row["asked_l1"]),
                interval(row["kad"]),
                f"{row['line']['decibels']:.1f}",
                str(row["clipped_samples"]),
            )
            for method, row in quality["rows"].items()
        ]
        cells.append(("not translated", NOTHING, interval(quality["untranslated_kad"]), NOTHING, NOTHING))
        head = ("method", "L1 to the asked mel (decades)", "KAD to the style", "worst line (dB)", "samples clipped")
        parts.append(
            [
                f"**Mels translated to another style**: {quality['excerpts']} excerpts of {name}",
                "",
                *table(head, cells),
                "",
                f"KAD: unbiased, to originals of the style, mean over {quality['styles']} styles.",
            ]
        )
    return parts
