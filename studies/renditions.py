"""Measure how far right answers lie apart: test songs again in the same style, with another band, by lot.

python -m studies.renditions --output studies/renditions.md
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.command_line import run_command
from stylize_core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from stylize.evaluate.excerpts import Excerpts
    from stylize.evaluate.systems import Pair
    from stylize.pipeline import Stylizer

SPLITS = ("test", "test_groove", "test_soundfont")


def study(
    corpus: Annotated[Path, typer.Option(help="Rendered corpus.")] = Path("corpus"),
    renditions: Annotated[int, typer.Option(min=2, help="Renditions of each song in each style.")] = 5,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of each split, as scripts.evaluate takes them.")] = 90,
    seconds: Annotated[float, typer.Option(help="Of each song, from its middle.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Of the corpus.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Files rendered at the same time.")] = 1,
    work: Annotated[Path, typer.Option(help="Folder of the renditions; rendering goes on there.")] = Path(
        "runs/renditions"
    ),
    output: Annotated[Path | None, typer.Option(help="Markdown file to write.")] = None,
) -> None:
    """Print, for each split, the mel L1 to the corpus' version of what knows the style but not the draw."""
    import soundfile

    from data.folder import index_folder
    from studies.rendition_files import render_renditions
    from stylize.evaluate.benchmarks.pairs import rendered_pairs
    from stylize.evaluate.excerpts import Excerpts
    from stylize.pipeline import Stylizer

    if output is not None and not output.parent.is_dir():
        raise UserError(f"folder not found: {output.parent}; create it first")
    if not corpus.is_dir():
        raise UserError(f"folder not found: {corpus}; render it with `python -m scripts.prepare corpus`")
    clips = index_folder(corpus)
    styles = sorted({clip.genre for clip in clips})
    chosen = {split: rendered_pairs(clips, split, styles, pairs) for split in SPLITS}
    songs = sorted({(int(pair.song), pair.target) for split in chosen.values() for pair in split})
    length = soundfile.info(clips[0].path).duration
    for done, wanted in render_renditions(work, songs, renditions, length, seed, jobs):
        if done == wanted or done % 20 == 0:
            typer.echo(f"{done} of {wanted} renditions", err=True)
    stylizer, excerpts = Stylizer.from_pretrained(), Excerpts(seconds)
    lines = [
        f"`python -m studies.renditions --renditions {renditions} --pairs {pairs}`",
        "",
        "| split | version | mel L1 to the corpus' version | below the input's |",
        "| --- | --- | ---: | ---: |",
    ]
    for split, of_tier in chosen.items():
        found = [distances(pair, work, renditions, excerpts, stylizer) for pair in of_tier]
        means = {name: statistics.fmean(row[name] for row in found) for name in found[0]}
        for name, value in means.items():
            lines.append(f"| `{split}` | {name} | {value:.3f} | {100 * (1 - value / means['input']):.0f} % |")
            typer.echo(lines[-1])
    if output is not None:
        output.write_text("\n".join(lines) + "\n")


def distances(pair: Pair, work: Path, renditions: int, excerpts: Excerpts, stylizer: Stylizer) -> dict[str, float]:
    """Mel L1 to the ground truth of a pair, all brought to its level, in decades.

    The band by band median of all renditions but the truth is what a network does best that is trained to be near and
    cannot know the draw: no version that anybody would play.
    """
    import torch

    from studies.rendition_files import rendition_path
    from stylize.evaluate.benchmarks.pairs import load_pair
    from stylize.evaluate.metrics.content import at_level_of
    from stylize.evaluate.systems import Pipeline
    from stylize_core.mel import MEL_PRESETS, LogMel

    source, truth = load_pair(pair, excerpts)
    assert truth is not None
    reference = truth
    log_mel = LogMel(MEL_PRESETS["melgan"])

    def mel(wav: object) -> Tensor:
        return log_mel(torch.from_numpy(at_level_of(wav, reference))[None])  # type: ignore[arg-type]

    expected = mel(truth)

    def distance(guess: Tensor) -> float:
        return float((guess - expected).abs().mean())

    others = [
        mel(excerpts.load(rendition_path(work, int(pair.song), pair.target, rendition)))
        for rendition in range(1, renditions + 1)
    ]
    return {
        "input": distance(mel(source)),
        "another rendition": statistics.fmean(distance(other) for other in others),
        f"median of {renditions} renditions": distance(torch.stack(others).median(dim=0).values),
        "translator": distance(mel(Pipeline("", stylizer, "").make(pair, excerpts).wav)),
    }


if __name__ == "__main__":
    run_command(study)
