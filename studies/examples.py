"""Measure how far the style of an example should be drawn to the named styles, and how well examples are recognized.

python -m studies.examples --output studies/examples.md
"""

from __future__ import annotations

import shlex
import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.command_line import run_command
from stylize_core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from data.folder import Clip
    from stylize_core.classifier import GenreClassifier
    from travelgan.translator import Translator

SPLITS = ("valid", "test", "test_groove", "test_soundfont")
WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Of the named styles beside the embedding of the example."""
COLUMNS = (
    "examples from",
    "recognized",
    "weight of the named styles",
    "classified as the example's style",
    "mean spectrum, L1 to the example's",
)
FRAMES = 512
"""Of each song that is translated."""


def study(
    model: Annotated[Path | None, typer.Option(help="Translator folder; the bundled one by default.")] = None,
    classifier: Annotated[Path | None, typer.Option(help="Judge of style; the bundled one by default.")] = None,
    corpus: Annotated[Path, typer.Option(help="Rendered corpus.")] = Path("corpus"),
    cache: Annotated[Path, typer.Option(help="Where mels are kept.")] = Path("cache/mels"),
    sources: Annotated[int, typer.Option(min=1, help="Validation songs translated by each example.")] = 2,
    output: Annotated[Path | None, typer.Option(help="Markdown file to write.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Print a row for each part of the corpus that examples are taken from, and each weight."""
    import torch

    from data.folder import index_folder
    from data.mel_cache import MelCache
    from stylize.evaluate.metrics.similarity import BUNDLED_CLASSIFIER
    from stylize.models import BUNDLED_TRANSLATOR
    from stylize_core.classifier import GenreClassifier
    from travelgan.translator import Translator
    from travelgan.validation import recognize

    if output is not None and not output.parent.is_dir():
        raise UserError(f"folder not found: {output.parent}; create it first")
    if not corpus.is_dir():
        raise UserError(f"folder not found: {corpus}; render it with `python -m scripts.prepare corpus`")
    torch.set_num_threads(threads)
    translator = Translator.from_pretrained(model or BUNDLED_TRANSLATOR)
    judge = GenreClassifier.from_pretrained(classifier or BUNDLED_CLASSIFIER)
    store = MelCache(cache, translator.mel_config)

    def load(clip: Clip) -> Tensor:
        return torch.from_numpy(store.load(clip.path).astype("float32"))

    clips = [clip for clip in index_folder(corpus) if clip.genre in translator.styles]
    songs = [(clip.genre, load(clip)[:, :FRAMES]) for clip in clips if clip.split == "valid"]
    lines = [
        f"`{shlex.join(['python', '-m', 'studies.examples', *sys.argv[1:]])}`",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]  # fmt: skip
    missed = {}
    for split in SPLITS:
        examples = [(clip.genre, load(clip)) for clip in clips if clip.split == split]
        if not examples:
            continue
        names = [(style, recognize(translator, mel)) for style, mel in examples]
        recognized = statistics.fmean(named == style for style, named in names)
        missed[split] = count_missed(names)
        for weight, (heard, distance) in measure(translator, judge, examples, songs, sources).items():
            known = f"{100 * recognized:.0f} % of {len(examples)}"
            lines.append(f"| `{split}` | {known} | {weight:g} | {100 * heard:.0f} % | {distance:.3f} |")
            typer.echo(lines[-1])
    lines += ["", "Taken for another style:", "", *(f"* `{split}`: {text}" for split, text in missed.items())]
    typer.echo("\n".join(lines[-len(missed) - 2 :]))
    if output is not None:
        output.write_text("\n".join(lines) + "\n")


def count_missed(names: Sequence[tuple[str, str]]) -> str:
    """Which examples were taken for which other style, in words.

    Args:
        names: style of each example, and the one that it was taken for.
    """
    counts = Counter(pair for pair in names if pair[0] != pair[1])
    return ", ".join(f"{style} for {named} ({count})" for (style, named), count in sorted(counts.items())) or "none"


def measure(
    translator: Translator,
    judge: GenreClassifier,
    examples: list[tuple[str, Tensor]],
    songs: list[tuple[str, Tensor]],
    sources: int,
) -> Mapping[float, tuple[float, float]]:
    """For each weight: part of the translations classified as the example's style, and how far their timbre is from it.

    Args:
        translator: to be measured.
        judge: hears styles in mels.
        examples: style and mel of each.
        songs: style and mel of each, all of one length.
        sources: so many songs of other styles are translated by each example, other ones for the next.
    """
    import torch

    found: dict[float, list[tuple[float, float]]] = {weight: [] for weight in WEIGHTS}
    for number, (style, example) in enumerate(examples):
        others = [mel for name, mel in songs if name != style]
        start = number * sources
        mels = torch.stack([others[place % len(others)] for place in range(start, start + sources)])
        for weight in WEIGHTS:
            with torch.no_grad():
                vector = translator.style_by_example(example[None], weight).vector
                made = translator(mels, vector.expand(len(mels), -1))
                names = [judge.genres[place] for place in judge(made).argmax(dim=1).tolist()]
            difference = (timbre(made) - timbre(example[None])).abs().mean()
            found[weight].append((names.count(style) / sources, float(difference)))
    return {
        weight: (statistics.fmean(heard for heard, _ in rows), statistics.fmean(far for _, far in rows))
        for weight, rows in found.items()
    }


def timbre(mel: Tensor) -> Tensor:
    """Mean of each band over time, without the level that all share; (B, n_mels, T) -> (B, n_mels)."""
    mean = mel.mean(dim=-1)
    return mean - mean.mean(dim=1, keepdim=True)


if __name__ == "__main__":
    run_command(study)
