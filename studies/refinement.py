"""Measure how much each plan of the vocoder's refinement brings and costs, on validation recordings.

python -m studies.refinement --output studies/refinement.md
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.command_line import run_command
from stylize_core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

PLANS: tuple[tuple[tuple[tuple[int, int], ...], int], ...] = (
    ((), 0),
    ((), 6),
    ((), 20),
    (((8, 60),), 6),
    (((8, 60),), 12),
    (((16, 80), (8, 24)), 6),
    (((16, 80), (8, 24)), 8),
    (((16, 80), (8, 24)), 10),
)
"""Low bands (factor, iterations), and iterations of the whole band."""


def study(
    vocoder: Annotated[Path, typer.Option(help="Vocoder folder.")] = Path("stylize/models/vocoder"),
    corpus: Annotated[Path, typer.Option(help="Rendered corpus.")] = Path("corpus"),
    recordings: Annotated[Path, typer.Option(help="Prepared recordings.")] = Path("recordings"),
    excerpts: Annotated[int, typer.Option(min=1, help="From each of the two.")] = 6,
    output: Annotated[Path | None, typer.Option(help="Markdown file to write.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Print MR-STFT distance, mel L1, chroma cosine and time of each plan, with Griffin-Lim beside them."""
    import torch

    from data.sources import list_split
    from melgan import Vocoder
    from melgan.refinement import MelRefinement
    from stylize.evaluate.excerpts import pick_excerpts
    from stylize_core.mel import GriffinLim, LogMel
    from stylize_core.metrics.waveform import chroma_cosine, mel_l1, multi_resolution_stft_distance

    if output is not None and not output.parent.is_dir():
        raise UserError(f"folder not found: {output.parent}; create it first")
    torch.set_num_threads(threads)
    model = Vocoder.from_pretrained(vocoder)
    config, log_mel = model.mel_config, LogMel(model.mel_config)
    originals = [
        torch.from_numpy(excerpt.wav[: len(excerpt.wav) // config.hop_length * config.hop_length])
        for folder in (corpus, recordings)
        for excerpt in pick_excerpts(list_split(folder, "valid"), excerpts, 4.0, config.sample_rate)
    ]
    mels = [log_mel(wav[None]) for wav in originals]

    def row(name: str, make: Callable[[int], Tensor]) -> str:
        make(0)  # the first call is slower
        begin = time.perf_counter()
        wavs = [make(number) for number in range(len(mels))]
        seconds = time.perf_counter() - begin
        pairs = list(zip(wavs, originals, strict=True))
        values = [
            statistics.fmean(multi_resolution_stft_distance(*pair) for pair in pairs),
            statistics.fmean(mel_l1(*pair) for pair in pairs),
            statistics.fmean(chroma_cosine(*pair, config.sample_rate) for pair in pairs),
        ]
        music = sum(map(len, originals)) / config.sample_rate
        line = f"| {name} | " + " | ".join(f"{value:.4f}" for value in values) + f" | {1000 * seconds / music:.1f} |"
        typer.echo(line)
        return line

    lines = [
        "| low bands (factor × iterations) | iterations of all | MR-STFT | mel L1 | chroma | ms per second of music |",
        "|---|---|---|---|---|---|",
    ]
    with torch.inference_mode():
        raw = [model.generator(mel)[:, 0] for mel in mels]
        for low_bands, iterations in PLANS:
            refinement = MelRefinement(config, low_bands)
            name = ", ".join(f"{factor} × {count}" for factor, count in low_bands)

            def refine(number: int, refinement: MelRefinement = refinement, iterations: int = iterations) -> Tensor:
                return refinement(raw[number], mels[number], iterations)[0]

            lines.append(row(f"{name} | {iterations}", refine))
        griffin_lim = GriffinLim(config)
        lines.append(row("Griffin-Lim alone | 60", lambda number: griffin_lim(mels[number])[0]))
    if output is not None:
        output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(study)
