"""The translator's benchmark as a Markdown page, JSON, CSV and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stylize.evaluate.benchmarks.bench import Row
from stylize.evaluate.benchmarks.pairs import SPLIT_TITLES
from stylize.evaluate.benchmarks.summary import CONTENT, MIXTURE, REDUCTION, STRENGTH
from stylize.evaluate.benchmarks.verdict import format_verdicts
from stylize.evaluate.figures import save_figure
from stylize.evaluate.metrics.content import CONTENT_METRICS, TRUTH_METRICS
from stylize.evaluate.report import MISSING, format_csv, number, percent, table, write_json, write_text
from stylize.evaluate.systems import SYSTEMS

STYLE_COLUMNS = ("classified as target", "as source", "KAD", "FAD")
CONTENT_COLUMNS = ("chroma", "notes F1", "onsets F1", "beats F")
TRUTH_COLUMNS = ("mel L1", "below the input's", "MFCC", "onsets F1 to truth", "chroma to truth")
CSV_COLUMNS = ("split", "pair", "song", "source_style", "target", "system", "classified_as", "seconds", "elapsed")
METRICS = (
    *("classified_as_target", "classified_as_source", "target_probability", "source_probability"),
    *(*CONTENT_METRICS, *TRUTH_METRICS),
)
MARKERS = "osD^vP*X<>hp"
MIN_ACCURACY = 0.7
"""Styles with a lower accuracy of the classifier are named."""

LEGEND = """\
Brackets: 95 % bootstrap interval over songs. Classified as target, as source: part of the outputs that the genre
classifier takes for the target style, or still for the source style (of recordings without a label: its prediction for
the input). KAD × 100 and FAD: distance of the classifier's embeddings from real clips of the target style, training and
validation songs, mean over target styles; the floor is what these come to against each other, at as many clips. Few
clips make FAD large. Chroma, notes, onsets and beats are compared with the input; how much of them the ground truth
keeps is the yardstick. mel L1 (log10 units), MFCC, onsets and chroma to the truth: the same song as the corpus plays it
in the target style, at the same level."""


def write_report(files: Mapping[str, Path], report: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Write all files; returns the page."""
    save_trade_off(files[".png"], report["splits"], report["sweep"])
    write_text(files[".csv"], rows_csv(rows))
    write_json(files[".json"], report)
    page = make_markdown(report, files[".png"].name)
    write_text(files[".md"], page)
    return page


def rows_csv(rows: Sequence[Row]) -> str:
    """A line for each pair and system."""
    cells = ([*(getattr(row, name) for name in CSV_COLUMNS), *map(row.metrics.get, METRICS)] for row in rows)
    return format_csv((*CSV_COLUMNS, *METRICS), cells)


def make_markdown(report: Mapping[str, Any], picture: str | None = None) -> str:
    """The whole page."""
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
        *format_verdicts(report["targets"]),
    ]
    if picture is not None:
        lines += ["", f"![content across, style up]({picture})"]
    for name, split in report["splits"].items():
        lines += ["", *format_split(name, split, about["main"])]
    if report["sweep"] is not None:
        lines += ["", *format_sweep(report["sweep"])]
    known = {name.partition(",")[0] for split in report["splits"].values() for name in split["systems"]}
    systems = [f"* {name}: {text}" for name, text in SYSTEMS.items() if name in known]
    return "\n".join([*lines, "", "## How to read it", "", LEGEND, "", *systems, ""])


def format_split(name: str, split: Mapping[str, Any], main: str) -> list[str]:
    """Heading, accuracy of the classifier, table of systems, and the main system's target styles."""
    title = f"{SPLIT_TITLES[name]} (`{name}`)" if name in SPLIT_TITLES else f"`{name}`"
    with_truth = any("mel_to_truth" in system["metrics"] for system in split["systems"].values())
    columns = [*STYLE_COLUMNS, *CONTENT_COLUMNS, *(TRUTH_COLUMNS if with_truth else ()), "× real time"]
    rows = [_system_cells(system, values, with_truth) for system, values in split["systems"].items()]
    lines = [f"## {title}", "", f"{split['pairs']} pairs of {split['songs']} songs. {_about_classifier(split)}", ""]
    lines += table(["system", "pairs", *columns], rows, numbers_from=1)
    if targets := split["targets"].get(main):
        ordered = sorted(
            targets.items(), key=lambda item: (item[1]["classified_as_target"] / item[1]["pairs"], item[0])
        )
        counts = [f"{style} {value['classified_as_target']} of {value['pairs']}" for style, value in ordered]
        lines += ["", f"Classified as the target, {main}, the worst styles first: {', '.join(counts)}."]
    return lines


def _about_classifier(split: Mapping[str, Any]) -> str:
    accuracy, floor = split["accuracy"], split["floor"]
    parts = []
    if accuracy is not None:
        parts.append(
            f"The classifier is right about {percent(accuracy['right'])} of {accuracy['clips']} unchanged clips "
            f"[{percent(accuracy['low'])}, {percent(accuracy['high'])}]."
        )
        by_style = accuracy["by_style"].items()
        if weak := [f"{style} {percent(right)}" for style, right in by_style if right < MIN_ACCURACY]:
            parts.append(f"Weak at: {', '.join(weak)}.")
    if split["reference_clips"]:
        parts.append(
            f"Real against real, {floor['clips_per_style']} clips of a style against the others of "
            f"{split['reference_clips']}: KAD {floor['kad']:.2f}, FAD {floor['fad']:.2f}."
        )
    return " ".join(parts)


def _system_cells(name: str, system: Mapping[str, Any], with_truth: bool) -> list[str]:
    metrics, distances, factor = system["metrics"], system["distances"], system["real_time_factor"]
    target, means = metrics["classified_as_target"], {key: value["mean"] for key, value in metrics.items()}
    cells = [
        name,
        str(system["pairs"]),
        f"{percent(target['mean'])} [{100 * target['low']:.0f}, {100 * target['high']:.0f}]",
        percent(means["classified_as_source"]),
        *([MISSING] * 2 if distances is None else [f"{distances[kind]:.2f}" for kind in ("kad", "fad")]),
        *(f"{means[name]:.3f}" for name in CONTENT_METRICS),
    ]
    if with_truth:
        reduction = percent(means[REDUCTION]) if REDUCTION in means else MISSING
        cells += [f"{means['mel_to_truth']:.3f}", reduction, f"{means['mfcc_to_truth']:.2f}"]
        cells += [f"{means[name]:.3f}" for name in ("onset_f1_to_truth", "chroma_to_truth")]
    return [*cells, MISSING if factor is None else f"{factor:.3g}"]


def format_sweep(sweep: Mapping[str, Any]) -> list[str]:
    """Tables of strength and mixture."""
    lines = ["## Strength and mixtures", "", f"{sweep['pairs']} pairs of split `{sweep['split']}`, {sweep['system']}."]
    titles = {STRENGTH: "`--strength`", MIXTURE: "share of the target style, the rest is the source style"}
    for kind, title in titles.items():
        verdicts = [
            f"style {'rises' if sweep[kind]['style_rises'] else 'does **not** rise'} at every step",
            f"content {'falls' if sweep[kind]['content_falls'] else 'does **not** fall'} at every step",
        ]
        names = ("target_probability", "source_probability", CONTENT)
        rows = [
            [f"{step['step']:g}", percent(step["classified_as_target"]), *(number(step[name], 3) for name in names)]
            for step in sweep[kind]["steps"]
        ]
        columns = [title, "classified as target", "its probability", "source's probability", "content"]
        lines += ["", *table(columns, rows, numbers_from=0), "", f"{', '.join(verdicts)}.".capitalize()]
    return lines


def flat_summary(report: Mapping[str, Any]) -> dict[str, float]:
    """Means by names such as `test/translator/chroma`."""
    return {
        f"{split}/{system}/{name}": value
        for split, summary in report["splits"].items()
        for system, found in summary["systems"].items()
        for name, value in (
            {key: metric["mean"] for key, metric in found["metrics"].items()} | (found["distances"] or {})
        ).items()
    }


def save_trade_off(path: Path, splits: Mapping[str, Mapping[str, Any]], sweep: Mapping[str, Any] | None = None) -> None:
    """Plot content across and style up, a point with 95 % intervals for each system, a panel for each split."""
    from matplotlib.figure import Figure

    columns = min(2, len(splits))
    rows = -(-len(splits) // columns)
    figure = Figure(figsize=(6.4 * columns, 4.6 * rows + 1.0), dpi=100, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flat
    names = list(dict.fromkeys(name for split in splits.values() for name in split["systems"]))
    for (split, summary), axis in zip(splits.items(), axes, strict=False):
        for name, system in summary["systems"].items():
            _draw_point(axis, system["metrics"], name, names.index(name))
        if sweep is not None and sweep["split"] == split:
            steps = sweep["strength"]["steps"]
            across, up = ([step[name] for step in steps] for name in (CONTENT, "classified_as_target"))
            label = f"strength 0 to 1 ({sweep['pairs']} pairs)"
            axis.plot(across, up, color="0.6", linewidth=1, marker=".", label=label, zorder=1)
        title = f"{SPLIT_TITLES.get(split, split)}: {summary['pairs']} pairs of {summary['songs']} songs"
        axis.set_title(title, fontsize=10)
        axis.set(xlabel="content kept: mean of chroma, notes, onsets, beats", ylabel="classified as the target style")
        axis.set(xlim=(0, 1.03), ylim=(-0.03, 1.03))
        axis.grid(alpha=0.3)
    for axis in axes:  # those that are left
        axis.set_axis_off()
    found = {
        label: handle for axis in figure.axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=3, fontsize=8)
    save_figure(figure, path)


def _draw_point(axis: Any, metrics: Mapping[str, Mapping[str, float]], name: str, number: int) -> None:
    across, up = metrics[CONTENT], metrics["classified_as_target"]
    errors = [  # a percentile interval of few songs need not hold the mean
        [[max(0.0, value["mean"] - value["low"])], [max(0.0, value["high"] - value["mean"])]] for value in (across, up)
    ]
    axis.errorbar(
        across["mean"],
        up["mean"],
        xerr=errors[0],
        yerr=errors[1],
        fmt=MARKERS[number % len(MARKERS)],
        color=f"C{number % 10}",
        capsize=2,
        elinewidth=0.8,
        label=name,
    )
