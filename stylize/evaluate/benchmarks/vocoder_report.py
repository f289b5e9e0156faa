"""The evaluation of vocoders as Markdown tables and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stylize.evaluate.benchmarks.verdict import format_verdicts
from stylize.evaluate.excerpts import Excerpt
from stylize.evaluate.figures import draw_mels, mel_panel, save_figure
from stylize.evaluate.metrics.vocoder import BLOCK_FRAMES, Method, copy_synthesis, stack_excerpts, synthesize_in_blocks
from stylize.evaluate.report import MISSING, format_machine, interval, number, table
from stylize.evaluate.systems import GRIFFIN_LIM_ITERATIONS, ORIGINAL
from stylize_core.mel import LogMel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from melgan import Vocoder

JOIN_SECONDS = 0.25
"""On both sides of a join in its picture."""
DISTANCE_TITLES = ("MR-STFT distance", "mel L1 (log10 units)", "chroma cosine", "KAD")
DISTANCE_KEYS = ("mr_stft", "mel_l1", "chroma", "kad")


def format_report(document: Mapping[str, Any]) -> str:
    """The page."""
    about = (
        f"{format_machine(document['machine'])}. In brackets: bootstrap intervals of 95 % over excerpts. "
        f"griffin-lim: {GRIFFIN_LIM_ITERATIONS} iterations."
    )
    parts = [
        [about],
        *(_format_source(name, quality) for name, quality in document["sources"].items()),
        _format_artifacts(document["sources"]),
        _format_probes(document["probes"]),
        _format_costs(document["costs"], document["models"], document["plan"]["threads"]),
        *(_format_translated(document["translated"]) if "translated" in document else []),
        format_verdicts(document["verdict"]),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _format_source(name: str, quality: Mapping[str, Any]) -> list[str]:
    rows = [
        [method, str(row["bins"] or MISSING), *_intervals(row, *DISTANCE_KEYS), number(row.get("fad"), 3)]
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
    return [title, "", *table(("method", "bins", *DISTANCE_TITLES, "FAD"), rows), "", f"{below}."]


def _format_artifacts(sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    titles = (
        *("recordings", "method", "worst line (dB)", "at (Hz)", "in one excerpt (dB)", "inside frames (dB)"),
        *("end click (dB)", "samples clipped", "flat tops", "largest offset"),
    )
    rows = [
        [name, method, *_artifact_cells(row)]
        for name, quality in sources.items()
        for method, row in quality["rows"].items()
    ]
    return ["**Artifacts**, lines and clicks over those of the original", "", *table(titles, rows)]


def _artifact_cells(row: Mapping[str, Any]) -> Iterator[str]:
    line = row["line"]
    yield from (number(line["decibels"]), number(line["hertz"], 0), number(line["worst_excerpt"]))
    yield from (number(row.get("inner_line", {}).get("decibels")), interval(row["end_click"], 1))
    yield from (str(row["clipped_samples"]), str(row["flat_runs"]), number(row["offset"], 4))


def _intervals(row: Mapping[str, Any], *keys: str) -> Iterator[str]:
    return (interval(row.get(key)) for key in keys)


def _format_probes(probes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    titles = (
        *("method", "digital silence (dBFS)", "silence after sound (dBFS)", "pre-echo of a click (dB)"),
        *("worst click at a join (dB)", "blocks against the whole (dBFS)"),
    )
    rows = []
    for method, row in probes.items():
        blocks = row.get("blocks", {})
        joins = (number(blocks.get("worst")), number(blocks.get("difference"), 0))
        rows.append([method, *(number(row[key]) for key in ("silence", "silence_after_sound", "pre_echo")), *joins])
    note = (
        "Levels are peaks; -120 dB is nothing. Pre-echo: power 40 to 3 ms ahead of a click in silence, beside its own."
    )
    return ["**Probes**", "", *table(titles, rows), "", note]


def _format_costs(costs: Mapping[str, Any], models: Mapping[str, Mapping[str, float]], threads: int) -> list[str]:
    titles = (
        *("method", "parameters (millions)", "multiply-adds per second of audio (billions)"),
        *(f"× real time, {threads} threads", "× the paper's generator", "training steps", "steps per hour"),
    )
    rows = []
    for method, row in costs["rows"].items():
        parameters, training = row.get("parameters"), models.get(method, {})
        cells = [method, number(parameters and parameters / 1e6, 2), number(row["multiply_adds_per_second"] / 1e9, 2)]
        cells += [number(row["times_real_time"]), number(row["times_baseline"], 2)]
        rows.append([*cells, *(number(training.get(key), 0, ",") for key in ("steps", "steps_per_hour"))])
    note = (
        "Multiply-adds of convolutions and matrix products; FFTs are not in them. Times: medians of "
        f"{costs['repeats']} turns on {costs['music_seconds']:g} s of music, all methods in each turn."
    )
    return ["**Costs**", "", *table(titles, rows), "", note]


def _format_translated(translated: Mapping[str, Any]) -> list[list[str]]:
    rows = [
        [name, method, *_intervals(row, *DISTANCE_KEYS, "asked_l1"), number(row["line"]["decibels"])]
        for name, quality in translated["identity"].items()
        for method, row in quality["rows"].items()
    ]
    title = f"**Mels translated to their own style** by {translated['translator']}, against the originals"
    titles = ("recordings", "method", *DISTANCE_TITLES, "L1 to the asked mel", "worst line (dB)")
    parts = [[title, "", *table(titles, rows)]]
    for name, quality in translated["cross"].items():
        cells = [
            [method, *_intervals(row, "asked_l1", "kad"), number(row["line"]["decibels"]), str(row["clipped_samples"])]
            for method, row in quality["rows"].items()
        ]
        cells.append(["not translated", MISSING, interval(quality["untranslated_kad"]), MISSING, MISSING])
        distance = "L1 to the asked mel (log10 units)"
        cross_titles = ("method", distance, "KAD to the style", "worst line (dB)", "samples clipped")
        title = f"**Mels translated to another style**: {quality['excerpts']} excerpts of {name}"
        note = f"KAD: unbiased, to originals of the style, mean over {quality['styles']} styles."
        parts.append([title, "", *table(cross_titles, cells), "", note])
    return parts


def save_pictures(
    folder: Path,
    methods: Sequence[Method],
    vocoders: Mapping[str, Vocoder],
    sources: Mapping[str, Sequence[Excerpt]],
) -> None:
    """Draw an excerpt of each source by every method, and a block boundary of each vocoder."""
    sample_rate = methods[0].mel_config.sample_rate
    for source, excerpts in sources.items():
        wav = stack_excerpts([excerpts[len(excerpts) // 2]], methods)
        made = {name: wavs[0] for name, wavs in copy_synthesis(methods, wav).items()}
        rows = [[mel_panel(name, made[name], sample_rate)] for name in (ORIGINAL, *(each.name for each in methods))]
        save_figure(draw_mels(rows), folder / f"mels_{source.replace(' ', '_')}.png", dpi=80)
    music = np.concatenate([excerpt.wav for excerpt in next(iter(sources.values()))[:2]])
    for index, (name, vocoder) in enumerate(vocoders.items(), start=1):
        save_figure(draw_join(vocoder, music, name), folder / f"join_{index}.png", dpi=80)


def draw_join(vocoder: Vocoder, music: np.ndarray, name: str) -> Figure:
    """Waveforms and spectrograms of the original and the vocoder at a block boundary."""
    from matplotlib.figure import Figure

    config = vocoder.mel_config
    join = BLOCK_FRAMES * config.hop_length
    reach = round(JOIN_SECONDS * config.sample_rate)
    music = music[: len(music) // config.hop_length * config.hop_length]
    with torch.inference_mode():
        mel = LogMel(config)(torch.from_numpy(music)[None])
    joined = synthesize_in_blocks(vocoder, mel).numpy()
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots(2, 2, height_ratios=(1, 2), sharex=True)
    time = np.arange(-reach, reach) / config.sample_rate * 1000
    pair = {ORIGINAL: music, f"{name}, blocks of {BLOCK_FRAMES} frames": joined}
    for column, (title, wav) in zip(axes.T, pair.items(), strict=True):
        around = wav[join - reach : join + reach]
        column[0].plot(time, around, linewidth=0.4, color="black")
        column[0].set_title(title, fontsize=9, loc="left")
        column[0].set_ylabel("amplitude")
        column[1].specgram(
            around + 1e-9,
            NFFT=256,
            noverlap=192,
            Fs=config.sample_rate,
            xextent=(time[0], time[-1]),
            vmin=-140,
            vmax=-30,
            cmap="magma",
        )
        column[1].set(xlabel="milliseconds from the join", ylabel="Hz")
        for axis in column:
            axis.axvline(0.0, color="tab:cyan", linewidth=0.8, linestyle="--")
    return figure
