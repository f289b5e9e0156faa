"""Pairs of a song and a target style, balanced, and reproducible by a seed."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from data.folder import Clip
from stylize.evaluate.excerpts import Excerpts
from stylize.evaluate.systems import Pair
from stylize_core.errors import UserError

RENDERED_SPLITS = ("test", "test_groove", "test_soundfont")
REAL_SPLIT = "real"
SPLIT_TITLES = {
    "test": "new songs, known grooves",
    "test_groove": "new songs, held-out grooves",
    "test_soundfont": "new songs, held-out soundfont",
    REAL_SPLIT: "real recordings, held-out sources",
}
EXAMPLE_SPLIT = "test_groove"
"""Style examples are from this split, of whose songs and grooves none is in training."""


def ordered_pairs(styles: Sequence[str], seed: int) -> list[tuple[str, str]]:
    """All ordered pairs of styles, in rounds in which every style is source once and target once."""
    generator = random.Random(f"styles {seed}")
    names = generator.sample(list(styles), len(styles))
    offsets = generator.sample(range(1, len(names)), len(names) - 1)
    return [(names[i], names[(i + offset) % len(names)]) for offset in offsets for i in range(len(names))]


def rendered_pairs(
    clips: Sequence[Clip], split: str, styles: Sequence[str], count: int | None = None, seed: int = 0
) -> list[Pair]:
    """Songs of a split of a rendered corpus from each style to each other, all pairs of styles in turn."""
    found = {(clip.song, clip.genre): clip for clip in clips if clip.split == split}
    songs = random.Random(f"songs {seed}").sample(sorted({song for song, _ in found}), len({song for song, _ in found}))
    pairs = []
    for turn, (place, (source, target)) in itertools.product(range(len(songs)), enumerate(ordered_pairs(styles, seed))):
        song = songs[(turn + place + place // len(styles)) % len(songs)]
        if (song, source) in found and (song, target) in found:
            pairs.append(
                Pair(
                    split=split,
                    name=f"{split}.{song}.{source}.{target}",
                    song=song,
                    source=found[song, source].path,
                    source_style=source,
                    target=target,
                    truth=found[song, target].path,
                    style=_other_song(clips, split, target, song, seed),
                    example=_other_song(clips, EXAMPLE_SPLIT, target, song, seed + 1),
                )
            )
    return pairs[:count]


def unlabeled_pairs(
    split: str,
    root: Path,
    files: Sequence[Path],
    predict: Callable[[Path], str],
    clips: Sequence[Clip],
    styles: Sequence[str],
    count: int,
    seed: int = 0,
) -> list[Pair]:
    """Recordings without a genre, each to a style other than the predicted one, the styles evenly.

    Args:
        split: name of the split.
        root: a folder that holds all files.
        files: the recordings.
        predict: gives the predicted style of a recording.
        clips: of a rendered corpus, for songs of the target style; may be empty.
        styles: target styles.
        count: at most; files are reused if there are fewer.
        seed: of the choice.
    """
    generator = random.Random(f"{split} {seed}")
    order = generator.sample(sorted(files), len(files))
    turns, used = Counter[str](), set[tuple[Path, str]]()
    pairs: list[Pair] = []
    for path in itertools.chain.from_iterable(itertools.repeat(order, len(styles) - 1)):
        if len(pairs) == count:
            break
        source_style = predict(path)
        possible = [style for style in styles if style != source_style and (path, style) not in used]
        if not possible:
            continue
        target = min(possible, key=lambda style: (turns[style], generator.random()))
        turns[target] += 1
        used.add((path, target))
        song = ".".join(path.relative_to(root).parts)
        pairs.append(
            Pair(
                split=split,
                name=f"{split}.{song}.{target}",
                song=song,
                source=path,
                source_style=source_style,
                target=target,
                style=_other_song(clips, "test", target, song, seed + len(pairs)),
                example=_other_song(clips, EXAMPLE_SPLIT, target, song, seed + len(pairs)),
            )
        )
    return pairs


def _other_song(clips: Sequence[Clip], split: str, style: str, song: str, seed: int) -> Path | None:
    candidates = sorted(clip.path for clip in clips if (clip.split, clip.genre) == (split, style) and clip.song != song)
    return random.Random(f"{song} {style} {seed}").choice(candidates) if candidates else None


def load_pair(pair: Pair, excerpts: Excerpts) -> tuple[np.ndarray, np.ndarray | None]:
    """Input and ground truth of a pair, (samples,) each; raises UserError for different lengths."""
    source = excerpts.load(pair.source)
    if pair.truth is None:
        return source, None
    truth = excerpts.load(pair.truth)
    if len(source) != len(truth):
        raise UserError(
            f"{pair.source} and {pair.truth} are not equally long, as one song must be; render the corpus again"
        )
    return source, truth
