"""Translated mels and the recordings they were made of: a folder of them, and training pairs from it.

OUT/description.json     the mel front-end and the translator
OUT/manifest.jsonl       one line for each recording
OUT/NAME.safetensors     its translated mel, half precision
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor
from torch.utils.data import Dataset

from data.folder import ALL_SPLITS, index_folder
from data.manifest import MANIFEST_NAME, read_records, write_records
from data.segments import AudioSegments, DrawnSegments, probe_all, read_crop
from data.sources import EvenDraw, Source, sources_of_folder, spread
from stylize_core.atomic import atomic_path, atomic_write
from stylize_core.audio.reader import AudioInfo
from stylize_core.errors import UserError
from stylize_core.mel import MelConfig
from stylize_core.plain import build, one_line, read_json

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
DESCRIPTION = "description.json"
TENSOR = "mel"
ITSELF = "itself"  # style of a recording that was translated to its own


@dataclass(frozen=True)
class TranslatedMel:
    """One line of the manifest.

    Args:
        file: the mel, below the folder.
        audio: the recording that it was made of, relative to the folder.
        source: origin of the recording, see :class:`data.sources.Source`.
        split: of the recording.
        style: the style it was translated to, its own: a name, or `itself`.
        frames: of the mel; frame t belongs to samples [t * hop_length, (t + 1) * hop_length) of the recording.
    """

    file: str
    audio: str
    source: str
    split: str
    style: str
    frames: int


class TranslatedFolder:
    """The folder that `python -m scripts.prepare translations` writes.

    Args:
        root: the folder.
        mel_config: the front-end of the mels.
        translator: identifies the translator.
        entries: the finished files by name.
    """

    def __init__(self, root: Path, mel_config: MelConfig, translator: str, entries: dict[str, TranslatedMel]) -> None:
        self.root, self.mel_config, self.translator, self.entries = root, mel_config, translator, entries

    @classmethod
    def create(cls, root: str | Path, mel_config: MelConfig, translator: str) -> TranslatedFolder:
        """A new folder, or an unfinished one of the same translator; UserError where it holds something else."""
        root = Path(root)
        if (root / DESCRIPTION).is_file():
            folder = cls.open(root)
            if folder.translator != translator or folder.mel_config != mel_config:
                raise UserError(f"{root} holds mels of another translator; choose another folder or delete this one")
            return folder
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise UserError(f"{root} is there and has no {DESCRIPTION}; choose a new folder")
        document = {"format_version": FORMAT_VERSION, "mel": mel_config.to_dict(), "translator": translator}
        root.mkdir(parents=True, exist_ok=True)
        with atomic_write(root / DESCRIPTION) as stream:
            stream.write((json.dumps(document, indent=2) + "\n").encode())
        return cls(root, mel_config, translator, {})

    @classmethod
    def open(cls, root: str | Path) -> TranslatedFolder:
        """An existing folder; UserError where it is missing, of another version, or damaged."""
        root = Path(root)
        try:
            document = read_json(root / DESCRIPTION)
            if document["format_version"] != FORMAT_VERSION:
                raise UserError(f"{root} has format version {document['format_version']}, expected {FORMAT_VERSION}")
            manifest = root / MANIFEST_NAME
            records = read_records(manifest) if manifest.is_file() else []
            entries = [build(TranslatedMel, record, MANIFEST_NAME) for record in records]
            mel_config, translator = MelConfig.from_dict(document["mel"]), str(document["translator"])
        except FileNotFoundError:
            raise UserError(f"no translated mels in {root}; make them with `scripts.prepare translations`") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{root} is damaged ({one_line(error)}); make it again") from None
        return cls(root, mel_config, translator, {entry.file: entry for entry in entries})

    def is_finished(self, file: str, audio: Path) -> bool:
        """Whether a mel is there, was made of this recording, and is not older than it."""
        entry, path = self.entries.get(file), self.root / file
        if entry is None or not path.is_file() or self.audio_of(entry) != audio.resolve():
            return False
        return path.stat().st_mtime_ns >= audio.stat().st_mtime_ns

    def audio_of(self, entry: TranslatedMel) -> Path:
        """The recording of a mel."""
        return (self.root / entry.audio).resolve()

    def add(self, file: str, mel: np.ndarray, *, audio: Path, source: str, split: str, style: str | None) -> None:
        """Write a mel, (n_mels, T) log10, then its line of the manifest; others as in :class:`TranslatedMel`."""
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            save_file({TENSOR: np.ascontiguousarray(mel, dtype=np.float16)}, temporary)
        relative = os.path.relpath(audio.resolve(), self.root.resolve())
        self.entries[file] = TranslatedMel(file, relative, source, split, style or ITSELF, mel.shape[1])
        write_records(self.root / MANIFEST_NAME, (asdict(self.entries[name]) for name in sorted(self.entries)))


@dataclass(frozen=True)
class TranslationTask:
    """One recording to translate; `style` is None for its own, the others are as in :class:`TranslatedMel`."""

    audio: Path
    file: str
    source: str
    split: str
    style: str | None


def plan_translations(folders: Sequence[Path], splits: Sequence[str], styles: Sequence[str]) -> list[TranslationTask]:
    """All recordings of the splits, each with its style.

    Args:
        folders: genre trees, prepared recordings or others, of different names.
        splits: names of splits.
        styles: those of the translator; a recording of another genre, or of none, has its own.

    Raises:
        UserError: a folder is missing or has no audio; two folders have the same name; there is nothing of the splits.
    """
    if unknown := [name for name in splits if name not in ALL_SPLITS]:
        raise UserError(f"unknown split {unknown[0]!r}; known splits: {', '.join(ALL_SPLITS)}")
    names = [folder.resolve().name for folder in folders]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{doubled.count(doubled[0])} folders are called {doubled[0]}; give them names of their own")
    tasks = []
    for folder, name in zip(folders, names, strict=True):
        genres = _genres(folder)
        for split in splits:
            for source in sources_of_folder(folder, split):
                for audio in source.files:
                    genre = genres.get(audio)
                    file = f"{name}/{audio.relative_to(folder)}.safetensors"
                    style = genre if genre in styles else None
                    tasks.append(TranslationTask(audio, file, source.name, split, style))
    if not tasks:
        raise UserError(f"nothing of the splits {', '.join(splits)} in {', '.join(map(str, folders))}")
    return tasks


def _genres(folder: Path) -> dict[Path, str]:
    """Genre of each file of a genre tree; empty for other folders."""
    try:
        return {clip.path: clip.genre for clip in index_folder(folder)}
    except UserError:
        return {}


@dataclass(frozen=True)
class _Pair:
    """A translated mel and its recording."""

    mel: Path
    info: AudioInfo
    frames: int


class TranslatedSegments(DrawnSegments[dict[str, Tensor]]):
    """A translated mel and the same segment of its recording, as `dataset[epoch, index]`.

    Every translated folder has the same share of the items, divided between its sources as in
    :func:`data.sources.list_sources`. A random gain changes recording and mel alike; silence stays at the floor.

    Args:
        folders: see :class:`TranslatedFolder`; a recording that is in several of them has the mel of the last.
        split: of the recordings.
        mel_config: expected front-end.
        segment_frames: length of an item, frames; shorter recordings are left out.
        seed: of every random choice.
        gain_db: as in :class:`data.segments.AudioSegments`.
        seconds_per_item: as in :class:`data.segments.AudioSegments`.

    Shape:
        wav (segment_frames * hop_length,) in [-1, 1]; mel (n_mels, segment_frames) log10; both float32.

    Raises:
        UserError: a folder is missing, damaged or of another front-end; none has a pair of the split.
    """

    def __init__(
        self,
        folders: Sequence[str | Path],
        *,
        split: str,
        mel_config: MelConfig,
        segment_frames: int,
        seed: int,
        gain_db: float = 6.0,
        seconds_per_item: float = 8.0,
    ) -> None:
        self.mel_config, self.segment_frames = mel_config, segment_frames
        self.gain_db = gain_db
        groups: dict[tuple[str, str], dict[Path, TranslatedMel]] = {}
        mels: dict[Path, Path] = {}
        for root in folders:
            folder = TranslatedFolder.open(root)
            if difference := mel_config.describe_difference(folder.mel_config):
                raise UserError(f"the mels in {root} have another front-end (wanted / theirs: {difference})")
            for entry in folder.entries.values():
                if entry.split == split and entry.frames >= segment_frames:
                    audio = folder.audio_of(entry)
                    top = "/".join((str(root), *Path(entry.file).parts[:-1][:1]))
                    groups.setdefault((top, entry.source), {})[audio] = entry
                    mels[audio] = folder.root / entry.file
        if not mels:
            raise UserError(
                f"no translated mel of split {split!r} with {segment_frames} frames in {', '.join(map(str, folders))}"
            )
        frames = {audio: entry.frames for group in groups.values() for audio, entry in group.items()}
        infos = probe_all(sorted(mels), mel_config.sample_rate)
        infos = [info for info in infos if _belongs(info, frames[info.path] * mel_config.hop_length)]
        if not infos:
            raise UserError(f"no recording of the translated mels in {', '.join(map(str, folders))} is as it was")
        self.pairs = [_Pair(mels[info.path], info, frames[info.path]) for info in infos]
        beside = Counter(top for top, _ in groups)
        readable = {info.path for info in infos}
        self.sources = [
            Source(name, tuple(sorted(readable & set(group))), 1 / beside[top] / len(beside))
            for (top, name), group in groups.items()
        ]
        counts = [max(1, round(info.seconds / seconds_per_item)) for info in infos]
        super().__init__(seed, EvenDraw(self.sources, [info.path for info in infos], counts, seed))

    def _read(self, number: int, generator: np.random.Generator) -> dict[str, Tensor]:
        pair = self.pairs[number]
        start = int(generator.integers(pair.frames - self.segment_frames + 1))
        wav, mel = self.crop(pair, start)
        return self._amplified(wav, mel, float(generator.uniform(-self.gain_db, self.gain_db)))

    def fixed(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """The first crops (wav, mel) of `count` recordings without gain, spread evenly over the sources."""
        pairs = {pair.info.path: pair for pair in self.pairs}
        crops = [self.crop(pairs[path], 0) for path in spread(self.sources, count)]
        return [(torch.from_numpy(wav), torch.from_numpy(mel)) for wav, mel in crops]

    def crop(self, pair: _Pair, start: int) -> tuple[np.ndarray, np.ndarray]:
        """Samples and mel of a pair from frame `start` on."""
        hop = self.mel_config.hop_length
        wav = read_crop(pair.info, start * hop, self.segment_frames * hop)
        try:
            with safe_open(pair.mel, framework="np") as file:
                mel = file.get_slice(TENSOR)[:, start : start + self.segment_frames].astype(np.float32)
        except (SafetensorError, OSError) as error:
            raise RuntimeError(f"cannot read {pair.mel}: {error}") from error
        if mel.shape != (self.mel_config.n_mels, self.segment_frames) or not np.isfinite(mel).all():
            raise RuntimeError(f"cannot read {pair.mel}: it is not what the manifest says")
        return wav, mel

    def _amplified(self, wav: np.ndarray, mel: np.ndarray, gain_db: float) -> dict[str, Tensor]:
        peak = float(np.abs(wav).max())
        units = min(gain_db / 20.0, -np.log10(peak) if peak > 0 else np.inf)
        floor = np.float32(self.mel_config.log_floor)
        silent = mel <= max(floor, np.float32(np.float16(floor)))
        mel = np.where(silent, floor, np.maximum(mel + np.float32(units), floor))
        wav = np.clip(wav * np.float32(10.0**units), -1.0, 1.0)
        return {"wav": torch.from_numpy(wav), "mel": torch.from_numpy(mel)}


def _belongs(info: AudioInfo, samples: int) -> bool:
    """Whether a recording still has the samples of its mel."""
    if info.frames < samples:
        logger.warning("%s has become shorter since it was translated, left out", info.path)
    return info.frames >= samples


class MixedSegments(Dataset[dict[str, Tensor]]):
    """Recordings and translated pairs as `dataset[epoch, index]`, an epoch as long as that of the recordings.

    Args:
        natural: recordings.
        translated: pairs of the same length.
        share: of translated pairs among the items, in [0, 1].
        seed: of the choice.

    Shape:
        wav (samples,); mel (n_mels, frames), zeros for a recording, whose mel is its own; has_mel bool scalar.
    """

    def __init__(self, natural: AudioSegments, translated: TranslatedSegments, share: float, seed: int) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"the share of translated mels must be in [0, 1], got {share}")
        self.natural, self.translated, self.share, self.seed = natural, translated, share, seed

    def __len__(self) -> int:
        return len(self.natural)

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        """The recording or pair of one (epoch, index)."""
        epoch, index = item
        # One number more than the datasets seed by, so that the choice does not follow theirs.
        if np.random.default_rng((self.seed, epoch, index, 1)).uniform() < self.share:
            place = index * len(self.translated) // len(self)  # both are in the order of their sources
            return self.translated[epoch, place] | {"has_mel": torch.tensor(True)}
        shape = (self.translated.mel_config.n_mels, self.translated.segment_frames)
        return {"wav": self.natural[item], "mel": torch.zeros(shape), "has_mel": torch.tensor(False)}
