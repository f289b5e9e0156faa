"""Measure how far right answers lie apart: test songs again in the same style, with another band, by lot.

python -m scripts.study_takes --output docs/takes.md
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import UserError
from scripts.command_line import run_command

if TYPE_CHECKING:
    from torch import Tensor

    from stylize.evaluate.excerpts import Excerpts
    from stylize.evaluate.systems import Pair
    from stylize.pipeline import Stylizer

TIERS = ("test", "test_groove", "test_soundfont")


def study(
    corpus: Annotated[Path, typer.Option(help="Rendered corpus.")] = Path("corpus"),
    takes: Annotated[int, typer.Option(min=2, help="Takes of each song in each style.")] = 5,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of each tier, as scripts.evaluate takes them.")] = 90,
    seconds: Annotated[float, typer.Option(help="Of each song, from its middle.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Of the corpus.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Files rendered at the same time.")] = 1,
    work: Annotated[Path, typer.Option(help="Folder of the takes; rendering goes on there.")] = Path("runs/takes"),
    output: Annotated[Path | None, typer.Option(help="Markdown file to write.")] = None,
) -> None:
    """Print, for each tier, the mel L1 to the corpus' version of what knows the style but not the draw."""
    import soundfile

    from data.corpus.takes import render_takes
    from data.folder import index_folder
    from stylize.evaluate.benchmarks.pairs import rendered_pairs
    from stylize.evaluate.excerpts import Excerpts
    from stylize.pipeline import Stylizer

    if output is not None and not output.parent.is_dir():
        raise UserError(f"folder not found: {output.parent}; create it first")
    if not corpus.is_dir():
        raise UserError(f"folder not found: {corpus}; render it with scripts.render_corpus")
    clips = index_folder(corpus)
    styles = sorted({clip.genre for clip in clips})
    chosen = {tier: rendered_pairs(clips, tier, styles, pairs) for tier in TIERS}
    songs = sorted({(int(pair.song), pair.target) for tier in chosen.values() for pair in tier})
    length = soundfile.info(clips[0].path).duration
    for done, wanted in render_takes(work, songs, takes, length, seed, jobs):
        if done == wanted or done % 20 == 0:
            typer.echo(f"{done} of {wanted} takes", err=True)
    stylizer, excerpts = Stylizer.from_pretrained(), Excerpts(seconds)
    lines = [
        f"`python -m scripts.study_takes --takes {takes} --pairs {pairs}`",
        "",
        "| tier | version | mel L1 to the corpus' version | below the input's |",
        "| --- | --- | ---: | ---: |",
    ]
    for tier, of_tier in chosen.items():
        found = [distances(pair, work, takes, excerpts, stylizer) for pair in of_tier]
        means = {name: statistics.fmean(row[name] for row in found) for name in found[0]}
        for name, value in means.items():
            lines.append(f"| `{tier}` | {name} | {value:.3f} | {100 * (1 - value / means['input']):.0f} % |")
            typer.echo(lines[-1])
    if output is not None:
        output.write_text("\n".join(lines) + "\n")


def distances(pair: Pair, work: Path, takes: int, excerpts: Excerpts, stylizer: Stylizer) -> dict[str, float]:
    """Mel L1 to the ground truth of a pair, all brought to its level, in decades.

    The band by band median of all takes but the truth is what a network does best that is trained to be near and
    cannot know the draw: no version that anybody would play.
    """
    import torch

    from data.corpus.takes import take_path
    from data.mel import MEL_PRESETS, LogMel
    from stylize.evaluate.benchmarks.pairs import load_pair
    from stylize.evaluate.metrics.content import at_level_of
    from stylize.evaluate.systems import Pipeline

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
        mel(excerpts.load(take_path(work, int(pair.song), pair.target, take))) for take in range(1, takes + 1)
    ]
    return {
        "input": distance(mel(source)),
        "another take": statistics.fmean(distance(other) for other in others),
        f"median of {takes} takes": distance(torch.stack(others).median(dim=0).values),
        "translator": distance(mel(Pipeline("", stylizer, "").make(pair, excerpts).wav)),
    }


if __name__ == "__main__":
    run_command(study)
