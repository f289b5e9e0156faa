"""Styles and splits of folders of recordings: GTZAN, trees of its shape, rendered corpora."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data.gtzan_split import GENRES, GTZAN_SPLIT, UNREADABLE
from data.manifest import MANIFEST_NAME, read_records
from stylize_core.audio.folder import (
    existing_folder,
    is_hidden,
    loose_files,
    no_audio,
    say_once,
    walk_audio,
    warn_of_unreadable,
)
from stylize_core.errors import UserError
from stylize_core.names import nearest

logger = logging.getLogger(__name__)

LAYOUTS = ("Data/genres_original", "genres_original", "genres", ".")
"""Where the genre folders lie below the folder that was given; the first that holds audio counts."""

SPLITS = ("train", "valid", "test")
ALL_SPLITS = (*SPLITS, "test_groove", "test_soundfont")  # with those that only a rendered corpus has
MAX_STRAYS = 0.05  # share of files not named as GTZAN's in a style split by GTZAN's lists
MAX_FAULTY = 0.2  # share that these lists may leave out; of GTZAN's own genres it is 0 to 16 %
_NUMBERED = re.compile(r"(?P<genre>.+)\.(?P<song>\d{5})")


@dataclass(frozen=True)
class Clip:
    """One recording of a genre.

    Args:
        path: the audio file.
        genre: name of its genre, which is its style.
        song: NNNNN of `GENRE.NNNNN.wav`, else its name inside the genre's folder; in a rendered corpus, clips of
            several genres with the same one play the same notes.
        split: train, valid, test; in a rendered corpus also test_groove or test_soundfont.
    """

    path: Path
    genre: str
    song: str
    split: str


def find_genre_root(root: Path) -> Path:
    """The folder whose subfolders are the genres, for every layout of GTZAN; UserError where there is none."""
    root = existing_folder(root)
    for layout in LAYOUTS:
        candidate = root / layout
        if candidate.is_dir() and any(_clip_paths(candidate)):
            return candidate
    loose = sum(1 for path in walk_audio(root) if not is_hidden(path.relative_to(root)))
    expected = f"expected a tree such as {root}/jazz/jazz.00000.wav"
    if not loose:
        raise no_audio(root, expected)
    raise UserError(f"{loose} audio files but no genre folders in {root}: {expected}")


def index_folder(root: Path, *, seed: int = 0) -> list[Clip]:
    """List the clips of a folder tree `GENRE/...` with their splits, sorted by path.

    Splits come from the corpus renderer's `manifest.jsonl` where there is one. Elsewhere each style is split by itself:
    by GTZAN's fault-filtered lists where they fit (:func:`_gtzan_split`; files in no list are left out), else by a hash
    of the files' names (:func:`split_by_hash`).

    Args:
        root: the folder with the genre folders, or one above it (`genres/`, `Data/genres_original/`).
        seed: of the split by hash.

    Raises:
        UserError: no such folder, no audio in genre folders, or a broken manifest.
    """
    genre_root = find_genre_root(root)
    warn_of_unreadable(genre_root)
    paths = sorted(_clip_paths(genre_root))
    for manifest in dict.fromkeys((genre_root / MANIFEST_NAME, Path(root) / MANIFEST_NAME)):
        if manifest.is_file():
            return _index_corpus(paths, genre_root, manifest)
    of_style: dict[str, list[Path]] = {}
    for path in paths:
        of_style.setdefault(_style_of(path, genre_root), []).append(path)
    clips: list[Clip] = []
    listed: list[str] = []
    for style, own in of_style.items():
        split_of = _gtzan_split(own)
        if split_of is None:
            names = [path.relative_to(genre_root).with_suffix("").as_posix() for path in own]
            split_of = dict(zip(own, split_by_hash(names, seed), strict=True))
        else:
            listed.append(style)
            _warn_left_out([path for path in own if path not in split_of], "not in GTZAN's fault-filtered lists")
        clips += [_clip(path, genre_root, split) for path, split in split_of.items()]
    by_hash = f"split by a hash of their names (seed {seed})" if len(listed) < len(of_style) else ""
    by_list = f"split by GTZAN's fault-filtered lists: {', '.join(listed)}" if listed else ""
    how = "; ".join(filter(None, (by_list, by_hash)))
    say_once(logging.INFO, f"{genre_root}: {len(clips)} clips, {how}")
    return clips


def split_by_hash(names: Sequence[str], seed: int, held_out: float = 0.1) -> list[str]:
    """Splits of the files of one style: about `held_out` each in `valid` and `test`, by a hash of each name.

    Each name has a fixed position in [0, 1). Those below `held_out` and the lowest are `valid`, those from `1 -
    held_out` on and the highest `test`; where none is left for `train`, the one nearest the middle is. Three files have
    all splits, two `train` and `valid`, one `train`. Adding files to three or more practically never moves one from
    `train` elsewhere.

    Args:
        names: of the files, without extensions, so that a conversion changes no split.
        seed: gives other positions.
        held_out: share of each of the two small splits.
    """
    if len(names) < 2:
        return ["train"] * len(names)
    places = [_hash_place(name, seed) for name in names]
    splits = ["valid" if place < held_out else "test" if place >= 1 - held_out else "train" for place in places]
    order = sorted(range(len(names)), key=lambda index: (places[index], names[index]))
    splits[order[0]], splits[order[-1]] = "valid", "test"
    if "train" not in splits:
        middle = min(order[1:-1] or order, key=lambda index: abs(places[index] - 0.5))
        splits[middle] = "train"
    if len(names) == 2:
        splits = ["train" if split == "train" else "valid" for split in splits]
    return splits


def choose_styles(clips: Sequence[Clip], wanted: Sequence[str], root: str | Path) -> tuple[str, ...]:
    """The wanted styles, or all that a folder has, sorted; a UserError names one that is missing."""
    found = sorted({clip.genre for clip in clips})
    for style in wanted:
        if style not in found:
            raise UserError(
                f"{root} has no style {style!r}{nearest(style, found) or '.'} It has {', '.join(found)}; "
                "data.styles=[] takes all of these"
            )
    _warn_left_out(loose_files(find_genre_root(Path(root))), "in no folder of a style")
    return tuple(wanted) or tuple(found)


def _clip_paths(genre_root: Path) -> Iterator[Path]:
    for path in walk_audio(genre_root):
        relative = path.relative_to(genre_root)
        if len(relative.parts) > 1 and not is_hidden(relative):
            yield path


def _style_of(path: Path, genre_root: Path) -> str:
    """Name of a clip's folder, in valid UTF-8."""
    return os.fsencode(path.relative_to(genre_root).parts[0]).decode("utf-8", "replace")


def _clip(path: Path, genre_root: Path, split: str = "") -> Clip:
    numbered = _NUMBERED.fullmatch(path.stem)
    inside = Path(*path.relative_to(genre_root).parts[1:]).with_suffix("").as_posix()
    return Clip(path, _style_of(path, genre_root), numbered["song"] if numbered else inside, split)


def _is_gtzan_name(path: Path) -> bool:
    """Whether a file is named as one of GTZAN's thousand."""
    numbered = _NUMBERED.fullmatch(path.stem)
    return bool(
        numbered
        and numbered["genre"] == path.parent.name
        and numbered["genre"] in GENRES
        and int(numbered["song"]) < 100
    )


def _gtzan_split(paths: Sequence[Path]) -> dict[Path, str] | None:
    """Splits of a style by GTZAN's lists; None where they do not fit.

    They fit where nearly all files are named as GTZAN's, the lists leave out no more than of GTZAN itself, and most are
    in `train` and some in each other split. Hardly any numbered songs of a user's own do.
    """
    named = [path for path in paths if _is_gtzan_name(path)]
    if len(paths) - len(named) > MAX_STRAYS * len(paths):
        return None
    split_of = {name: split for split, names in GTZAN_SPLIT.items() for name in names if name not in UNREADABLE}
    listed = {path: split_of[path.stem] for path in named if path.stem in split_of}
    counts = Counter(listed.values())
    has_all = all(counts[split] for split in SPLITS[: len(paths)])
    fits = has_all and counts["train"] == max(counts.values()) and len(named) - len(listed) <= MAX_FAULTY * len(named)
    return listed if fits else None


def _index_corpus(paths: Sequence[Path], genre_root: Path, manifest: Path) -> list[Clip]:
    """Splits from the manifest; a file it does not list joins the split of its song, or is left out."""
    try:
        listed = {manifest.parent / record["file"]: str(record["split"]) for record in read_records(manifest)}
    except (KeyError, TypeError):
        raise UserError(f"{manifest}: a line lacks file or split; render the corpus again or remove it") from None
    splits_of_song: dict[str, set[str]] = {}
    for path, split in listed.items():
        if genre_root in path.parents:
            splits_of_song.setdefault(_clip(path, genre_root).song, set()).add(split)
    clips: list[Clip] = []
    strays: list[Path] = []
    for path in paths:
        clip = _clip(path, genre_root)
        splits = {listed[path]} if path in listed else splits_of_song.get(clip.song, set())
        if len(splits) == 1:
            clips.append(replace(clip, split=next(iter(splits))))
        else:
            strays.append(path)
    missing = len(listed.keys() - set(paths))
    if missing:
        logger.warning("%s: %d files of the manifest are missing", manifest, missing)
    _warn_left_out(strays, f"not in {manifest}")
    if not clips:
        raise UserError(f"{manifest} lists no file that exists: render the corpus again or remove the manifest")
    return clips


def _hash_place(name: str, seed: int) -> float:
    digest = hashlib.sha256(os.fsencode(f"{seed}/{name}")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _warn_left_out(paths: Sequence[Path], reason: str) -> None:
    if paths:
        logger.warning("%d files left out, %s; the first: %s", len(paths), reason, paths[0])
