"""What is translated: pairs of a song and a target style, in tiers, balanced and always the same for a seed."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from data.audio import AudioReader, resampled_length
from data.errors import UserError
from data.folder import Clip
from stylize.evaluate.multipitch import RATE

RENDERED_TIERS = ("test", "test_groove", "test_soundfont")
REAL_TIER = "real"
TIER_TITLES = {
    "test": "new songs, known grooves",
    "test_groove": "new songs, held-out grooves",
    "test_soundfont": "new songs, held-out soundfont",
    REAL_TIER: "real recordings, held-out sources",
}
EXAMPLE_TIER = "test_groove"
"""Examples for the translation by example come from here: neither their songs nor their grooves are in training."""
LEAST_SECONDS = 2.0
"""Shorter recordings are passed over; from here on the classifier is reliable."""
LEAST_PEAK = 0.01
"""Excerpts that stay below this (-40 dB) are passed over."""


@dataclass(frozen=True)
class Pair:
    """A song to translate.

    Args:
        tier: where it belongs.
        name: unique, and good as the name of a file.
        song: what it plays; a bootstrap draws songs.
        source: the recording.
        source_style: its genre; of recordings without a label, what the classifier hears in them.
        target: the style wanted.
        truth: the same song in that style, where it is known.
        style: another song of that style, for systems that copy or that learn from an example.
        example: a song of that style with song and groove that are in no training.
    """

    tier: str
    name: str
    song: str
    source: Path
    source_style: str
    target: str
    truth: Path | None = None
    style: Path | None = None
    example: Path | None = None


def ordered_pairs(styles: Sequence[str], seed: int) -> list[tuple[str, str]]:
    """All ordered pairs of styles; as long as a part is a multiple of their number, all are equally often in it.

    They come in rounds, and in a round every style is source once and target once.
    """
    generator = random.Random(f"styles {seed}")
    names = generator.sample(list(styles), len(styles))
    offsets = generator.sample(range(1, len(names)), len(names) - 1)
    return [(names[i], names[(i + offset) % len(names)]) for offset in offsets for i in range(len(names))]


def rendered_pairs(
    clips: Sequence[Clip], tier: str, styles: Sequence[str], count: int | None = None, seed: int = 0
) -> list[Pair]:
    """Songs of a tier of a rendered corpus from each style to each other; every pair of styles before any twice.

    Args:
        clips: of the whole corpus.
        tier: its split.
        styles: to translate between.
        count: at most so many; None for all songs in all pairs of styles.
        seed: another one takes other songs, in another order.
    """
    found = {(clip.song, clip.genre): clip for clip in clips if clip.split == tier}
    songs = random.Random(f"songs {seed}").sample(sorted({song for song, _ in found}), len({song for song, _ in found}))
    pairs = []
    for turn, (place, (source, target)) in itertools.product(range(len(songs)), enumerate(ordered_pairs(styles, seed))):
        song = songs[(turn + place + place // len(styles)) % len(songs)]
        if (song, source) in found and (song, target) in found:
            pairs.append(
                Pair(
                    tier=tier,
                    name=f"{tier}.{song}.{source}.{target}",
                    song=song,
                    source=found[song, source].path,
                    source_style=source,
                    target=target,
                    truth=found[song, target].path,
                    style=_other_song(clips, tier, target, song, seed),
                    example=_other_song(clips, EXAMPLE_TIER, target, song, seed + 1),
                )
            )
    return pairs[:count]


def unlabelled_pairs(
    tier: str,
    root: Path,
    files: Sequence[Path],
    heard: Callable[[Path], str],
    clips: Sequence[Clip],
    styles: Sequence[str],
    count: int,
    seed: int = 0,
) -> list[Pair]:
    """Recordings without a genre, each to a style that the classifier does not hear in it, the styles evenly.

    Args:
        tier: name of the tier.
        root: a folder that all of them are in.
        files: the recordings.
        heard: the style that the classifier hears in one.
        clips: of a rendered corpus, for songs of the target style; may be empty.
        styles: to translate to.
        count: how many pairs at most; where it is larger than the number of files, they are taken again.
        seed: another one takes others.
    """
    generator = random.Random(f"{tier} {seed}")
    order = generator.sample(sorted(files), len(files))
    turns, used = Counter(), Counter[tuple[Path, str]]()  # type: ignore[var-annotated]
    pairs: list[Pair] = []
    for path in itertools.chain.from_iterable(itertools.repeat(order, len(styles) - 1)):
        if len(pairs) == count:
            break
        source_style = heard(path)
        possible = [style for style in styles if style != source_style and not used[path, style]]
        if not possible:
            continue
        target = min(possible, key=lambda style: (turns[style], generator.random()))
        turns[target] += 1
        used[path, target] += 1
        song = ".".join(path.relative_to(root).parts)
        pairs.append(
            Pair(
                tier=tier,
                name=f"{tier}.{song}.{target}",
                song=song,
                source=path,
                source_style=source_style,
                target=target,
                style=_other_song(clips, "test", target, song, seed + len(pairs)),
                example=_other_song(clips, EXAMPLE_TIER, target, song, seed + len(pairs)),
            )
        )
    return pairs


def _other_song(clips: Sequence[Clip], tier: str, style: str, song: str, seed: int) -> Path | None:
    candidates = sorted(clip.path for clip in clips if (clip.split, clip.genre) == (tier, style) and clip.song != song)
    return random.Random(f"{song} {style} {seed}").choice(candidates) if candidates else None


class Excerpts:
    """The middles of recordings, mono at `RATE`; the last ones asked for are remembered.

    Args:
        seconds: length; shorter recordings are taken whole.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.load = lru_cache(maxsize=256)(self._load)

    def _load(self, path: Path) -> np.ndarray:
        """The excerpt of a recording, (samples,).

        Raises:
            UserError: the file cannot be read.
        """
        wanted = round(self.seconds * RATE)
        with AudioReader(path, RATE, mono=True) as reader:
            length = resampled_length(reader.info.frames, reader.info.sample_rate, RATE)
            skipped = max(0, (length - wanted) // 2)
            while skipped > 0 and (block := reader.read(min(skipped, 65536))).size:
                skipped -= block.shape[1]
            return reader.read(wanted)[0].copy()

    def sounds(self, path: Path) -> bool:
        """Whether the excerpt is long and loud enough to be judged."""
        wav = self.load(path)
        return len(wav) >= LEAST_SECONDS * RATE and float(np.abs(wav).max()) >= LEAST_PEAK

    def of_pair(self, pair: Pair) -> tuple[np.ndarray, np.ndarray | None]:
        """Input and ground truth of a pair, (samples,) each.

        Raises:
            UserError: they are not equally long, so that their middles are not the same bars.
        """
        source = self.load(pair.source)
        if pair.truth is None:
            return source, None
        truth = self.load(pair.truth)
        if len(source) != len(truth):
            raise UserError(
                f"{pair.source} and {pair.truth} are not equally long, as one song must be; render the corpus again"
            )
        return source, truth
