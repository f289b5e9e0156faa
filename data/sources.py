"""The audio files of one split of any folder a vocoder learns from: a genre tree, prepared recordings, or others."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data.folder import index_folder, split_by_hash
from data.manifest import MANIFEST_NAME
from data.recordings import read_manifest
from stylize_core.audio.folder import list_audio, loose_files
from stylize_core.errors import UserError
from stylize_core.plain import parse_json

logger = logging.getLogger(__name__)

HELD_OUT = 0.05  # share of the recordings without a style that are `valid`, and of those that are `test`


@dataclass(frozen=True)
class Source:
    """Recordings of one origin, and their share of a training set.

    Args:
        name: the folder, followed by the package or subfolder where the folder holds prepared recordings.
        files: its recordings, sorted.
        share: of all items, in (0, 1]; the shares of a list of sources sum to 1.
    """

    name: str
    files: tuple[Path, ...]
    share: float


def list_split(folder: str | Path, split: str, seed: int = 0) -> list[Path]:
    """Audio files of a split.

    A rendered corpus is split by song, prepared recordings by source. Any other folder is split by style as
    :func:`data.folder.index_folder` does; files in no style's folder by :func:`data.folder.split_by_hash`, one in
    twenty each for `valid` and `test`.

    Args:
        folder: a genre tree, the output of `scripts.prepare recordings`, or any folder with audio.
        split: `train`, `valid`, `test`, or in a rendered corpus also `test_groove` and `test_soundfont`.
        seed: of the split by hash.

    Raises:
        UserError: the folder is missing or has no audio.
    """
    folder = Path(folder)
    kind = _manifest_kind(folder)
    if kind == "recordings":
        return sorted(folder / entry.file for entry in read_manifest(folder).values() if entry.split == split)
    try:
        clips = index_folder(folder, seed=seed)
    except UserError:
        if kind == "corpus":
            raise
        clips, others = [], list_audio(folder)
    else:
        others = [] if kind == "corpus" else loose_files(folder)
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in others]
    splits = dict(zip(others, split_by_hash(names, seed, HELD_OUT), strict=True))
    return [clip.path for clip in clips if clip.split == split] + [path for path in others if splits[path] == split]


def list_splits(folders: Sequence[str | Path], split: str, seed: int = 0) -> list[Path]:
    """Audio files of a split of several folders, see :func:`list_split`; UserError where there are none."""
    files = [path for folder in folders for path in list_split(folder, split, seed)]
    if not files:
        raise UserError(f"no audio of split {split!r} in {', '.join(map(str, folders))}")
    return files


def list_sources(
    folders: Sequence[str | Path], split: str, weights: Mapping[str, float] | None = None, seed: int = 0
) -> list[Source]:
    """The files of :func:`list_splits` by origin.

    A rendered corpus, GTZAN or any folder is one source; in prepared recordings every package (or folder) is one, and
    these share their folder's part evenly.

    Args:
        folders: as for :func:`list_splits`; those without audio of the split are left out.
        split: as for :func:`list_split`.
        weights: positive numbers, relative to each other, by folder; 1 by default.
        seed: as for :func:`list_split`.

    Raises:
        UserError: none of the folders has any; a weight is of no folder, or is not a positive number.
    """
    weights = dict(weights or {})
    for name, weight in weights.items():
        if name not in map(str, folders):
            raise UserError(f"a weight for {name!r}, which is not among the folders: {', '.join(map(str, folders))}")
        if not (math.isfinite(weight) and weight > 0):
            raise UserError(f"the weight of {name!r} is {weight}, expected a positive number")
    sources: list[Source] = []
    for folder in folders:
        weight = weights.get(str(folder), 1.0)
        own = sources_of_folder(folder, split, seed)
        sources += [replace(one, share=weight / len(own)) for one in own]
    if not sources:
        raise UserError(f"no audio of split {split!r} in {', '.join(map(str, folders))}")
    total = sum(source.share for source in sources)
    return [replace(source, share=source.share / total) for source in sources]


def sources_of_folder(folder: str | Path, split: str, seed: int = 0) -> list[Source]:
    """The sources of one folder with equal shares, see :func:`list_sources`; none without audio of the split."""
    folder = Path(folder)
    manifest = read_manifest(folder) if _manifest_kind(folder) == "recordings" else {}
    groups: dict[str, list[Path]] = {}
    for path in list_split(folder, split, seed):
        entry = manifest.get(path.relative_to(folder).as_posix()) if manifest else None
        groups.setdefault(f"{folder}/{entry.source}" if entry else str(folder), []).append(path)
    return [Source(name, tuple(files), 1 / len(groups)) for name, files in groups.items()]


def validation_files(folders: Sequence[str | Path], count: int, seed: int = 0) -> list[Path]:
    """`count` recordings to validate on, spread evenly over the sources of the split `valid`, see :func:`spread`.

    Where the folders hold too few recordings for that, training recordings are taken, with a warning.
    """
    try:
        sources = list_sources(folders, "valid", seed=seed)
    except UserError:
        sources = list_sources(folders, "train", seed=seed)
        logger.warning(
            "%s: too few recordings to keep one back; training recordings are used, which flatters the metrics",
            ", ".join(map(str, folders)),
        )
    return spread(sources, count)


def spread(sources: Sequence[Source], count: int) -> list[Path]:
    """`count` recordings (or all), always the same ones, in proportion to the shares and spread over each source.

    The order alternates between the sources. A source with fewer recordings than its share gives all of them, and the
    others make up for it.
    """
    picks: list[int] = []
    taken = [0] * len(sources)
    for _ in range(min(count, sum(len(source.files) for source in sources))):
        able = [index for index, source in enumerate(sources) if taken[index] < len(source.files)]
        # Webster's method: the source that is furthest behind its share is next.
        chosen = max(able, key=lambda index: (sources[index].share / (2 * taken[index] + 1), -index))
        taken[chosen] += 1
        picks.append(chosen)
    evenly = [
        iter([source.files[rank * len(source.files) // many] for rank in range(many)])
        for source, many in zip(sources, taken, strict=True)
    ]
    return [next(evenly[chosen]) for chosen in picks]


class EvenDraw:
    """Which file an item of an epoch is from, by systematic sampling: every epoch has the shares to within one item.

    Args:
        sources: with their shares; unreadable ones give theirs to the others.
        paths: the readable files.
        counts: of each, how often it is drawn relative to the others of its source.
        seed: of the offset of each epoch.
    """

    def __init__(self, sources: Sequence[Source], paths: Sequence[Path], counts: Sequence[int], seed: int) -> None:
        self.seed = seed
        source_of = {path: index for index, source in enumerate(sources) for path in source.files}
        of_file = np.array([source_of[path] for path in paths])
        within = np.bincount(of_file, weights=counts, minlength=len(sources))
        shares = np.array([source.share for source in sources])[of_file] * counts / within[of_file]
        self._length = int(sum(counts))
        self._edges = self._length * np.cumsum(shares / shares.sum())

    def __len__(self) -> int:
        return self._length

    def __call__(self, epoch: int, index: int) -> int:
        """Number of the file, a pure function of (seed, epoch, index)."""
        # Away from whole numbers, where rounding would decide.
        offset = np.random.default_rng((self.seed, epoch)).uniform(0.01, 0.99)
        found = int(np.searchsorted(self._edges, index + offset, side="right"))
        return min(found, len(self._edges) - 1)


def _manifest_kind(folder: Path) -> str | None:
    manifest = folder / MANIFEST_NAME
    if not manifest.is_file():
        return None
    with manifest.open(encoding="utf-8") as stream:
        first = stream.readline()
    try:
        return "corpus" if "genre" in dict(parse_json(first or "{}")) else "recordings"
    except (ValueError, TypeError):
        raise UserError(f"{manifest} is damaged: its first line is no JSON; make the folder again") from None
