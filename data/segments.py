"""Training segments: random crops of recordings and of mels, each a pure function of (seed, epoch, index)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from data.folder import Clip
from data.mel_cache import MelCache, MelCacheError
from data.sources import EvenDraw, Source, spread
from stylize_core.audio.reader import AudioInfo, probe_audio, read_audio, read_part
from stylize_core.errors import UserError

logger = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")

UNLABELED = -1  # style number of a source of unknown style
OTHER_ITEMS = 3  # items tried in place of an unreadable one


class DrawnSegments(Dataset[T]):
    """Items of recordings as `dataset[epoch, index]`, each a pure function of seed, epoch and index.

    Args:
        seed: of every random choice.
        draw: which recording an item is from.
    """

    def __init__(self, seed: int, draw: EvenDraw) -> None:
        self.seed, self._draw = seed, draw

    def __len__(self) -> int:
        return len(self._draw)

    def __getitem__(self, item: tuple[int, int]) -> T:
        """The item of one (epoch, index), or another one, with a warning, where its file cannot be read.

        Raises:
            UserError: it and three others, chosen by the same (epoch, index), cannot be read.
        """
        epoch, index = item
        generator = np.random.default_rng((self.seed, epoch, _checked(index, len(self))))
        failed: list[str] = []
        for attempt in range(1 + OTHER_ITEMS):
            chosen = index if attempt == 0 else int(generator.integers(len(self)))
            try:
                return self._read(self._draw(epoch, chosen), generator)
            except (OSError, RuntimeError) as error:
                logger.warning("taking another recording: %s", error)
                failed.append(str(error))
        raise UserError(f"{len(failed)} recordings in a row cannot be read, check them: {'; '.join(failed)}")

    def _read(self, number: int, generator: np.random.Generator) -> T:
        """A crop of recording `number`; OSErrors and RuntimeErrors (as soundfile's are) name the file."""
        raise NotImplementedError


class AudioSegments(DrawnSegments[Tensor]):
    """Mono waveform segments, for the vocoder, as `dataset[epoch, index]`.

    An epoch has one item per `seconds_per_item` of recordings: a random crop with a random gain. In every epoch each
    source has its share of the items to within one; within a source files are drawn in proportion to their durations.
    Only the crop is read, so formats that seek slowly (mp3) are better converted first. Shorter files are continued by
    reflection.

    Args:
        files: recordings, which make one source, or sources with their shares; of channels the mono mix is taken.
        sample_rate: of all recordings, Hz.
        segment_samples: length of an item, samples.
        seed: of every random choice.
        gain_db: gains are uniform in [-gain_db, gain_db], but never lift the peak above 1.
        seconds_per_item: of recordings per item of an epoch.

    Shape:
        item (segment_samples,), float32, in [-1, 1].

    Raises:
        UserError: no file can be read, or one has another sample rate.
    """

    def __init__(
        self,
        files: Sequence[Path] | Sequence[Source],
        *,
        sample_rate: int,
        segment_samples: int,
        seed: int,
        gain_db: float = 6.0,
        seconds_per_item: float = 8.0,
    ) -> None:
        self.segment_samples, self.gain_db = segment_samples, gain_db
        recordings = tuple(one for one in files if isinstance(one, Path))
        sources = [one for one in files if isinstance(one, Source)] or [Source("", recordings, 1.0)]
        self.infos = probe_all([path for source in sources for path in source.files], sample_rate)
        counts = [max(1, round(info.seconds / seconds_per_item)) for info in self.infos]
        super().__init__(seed, EvenDraw(sources, [info.path for info in self.infos], counts, seed))

    def _read(self, number: int, generator: np.random.Generator) -> Tensor:
        info = self.infos[number]
        length = min(self.segment_samples, info.frames)
        wav = read_crop(info, int(generator.integers(info.frames - length + 1)), length)
        if length < self.segment_samples:
            wav = np.pad(wav, (0, self.segment_samples - length), mode="reflect")
        gain = 10.0 ** (generator.uniform(-self.gain_db, self.gain_db) / 20.0)
        peak = float(np.abs(wav).max())
        wav = np.clip(wav * np.float32(min(gain, 1.0 / peak) if peak > 0 else gain), -1.0, 1.0)
        return torch.from_numpy(wav)


def probe_all(files: Sequence[Path], sample_rate: int) -> list[AudioInfo]:
    """Headers of all readable files of one sample rate; warns about unreadable ones."""
    infos = _readable(files, probe_audio, "recording")
    if not infos:
        raise UserError(f"none of {len(files)} recordings can be read: expected at least one")
    others = [info for info in infos if info.sample_rate != sample_rate]
    if others:
        raise UserError(
            f"{len(others)} of {len(infos)} recordings are not at {sample_rate} Hz: resample them first "
            f"({others[0].path} is at {others[0].sample_rate} Hz)"
        )
    return infos


def read_clips(files: Sequence[Path], sample_rate: int, samples: int) -> list[Tensor]:
    """The beginnings of recordings, mono float32 of shape (samples,), padded with silence; warns about unreadable ones.

    Raises:
        UserError: none can be read.
    """

    def beginning(path: Path) -> Tensor:
        wav = read_audio(path, sample_rate=sample_rate, mono=True)[0][0, :samples]
        return torch.from_numpy(np.pad(wav, (0, samples - len(wav))))

    clips = _readable(files, beginning, "recording")
    if not clips:
        raise UserError(f"none of {len(files)} recordings for validation can be read: expected at least one")
    return clips


def read_crop(info: AudioInfo, start: int, length: int) -> np.ndarray:
    """`length` mono samples from `start`; a RuntimeError names the file that lacks them."""
    try:
        wav = read_part(info, start, length)
    except (UserError, OSError, RuntimeError) as error:  # soundfile's errors are RuntimeErrors
        raise RuntimeError(f"cannot read {info.path}: {error}") from error
    if len(wav) < length:
        found = f"{len(wav)} samples from sample {start}, expected {length}"
        raise RuntimeError(f"cannot read {info.path}: {found}: it is truncated")
    return wav


@dataclass(frozen=True)
class _Mel:
    """A clip with its number of mel frames."""

    clip: Clip
    frames: int


class MelSegments(Dataset[dict[str, Tensor]]):
    """Mel segments of a source and a target style, for the translator, as `dataset[epoch, index]`.

    An item holds crops: `source`; `target`, of the target style; `reference`, of another clip of that style (of the
    same one where it has only one); `pair`, the source's song in the target style at the same position, zeros where
    there is none; the style numbers; and whether there is a pair. In training crops are random, source styles alternate
    whatever their number of clips, and the target style is uniform over all styles. In validation every clip is the
    source of one item without gain, the target styles alternate, and epoch n has the n-th crops and target styles.

    A gain shifts the log-mel of a crop, the same for the source and its pair. Silence stays silence.

    Args:
        clips: recordings; those of a genre not in `styles` are left out.
        styles: style names, whose positions are the style numbers.
        mel_cache: filled on construction where a clip is new.
        frames: length of a crop, mel frames; shorter clips are continued by reflection.
        seed: of every random choice.
        train: random crops, gains and targets, or fixed ones.
        gain_db: gains are uniform in [-gain_db, gain_db].
        paired: clips of equal `song` play the same notes at the same time in every style, as in a rendered corpus.
        unlabeled: recordings of no known style.
        unlabeled_share: share of the training items whose source is one of them, in [0, 1).

    Shape:
        source, target, reference, pair (n_mels, frames), float32, log10; source_style, target_style int64 scalars;
        has_pair bool scalar.

    Raises:
        UserError: a style, or the share of unlabeled recordings, has nothing readable.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        *,
        styles: Sequence[str],
        mel_cache: MelCache,
        frames: int,
        seed: int,
        train: bool,
        gain_db: float = 3.0,
        paired: bool,
        unlabeled: Sequence[Path] = (),
        unlabeled_share: float = 0.0,
    ) -> None:
        self.styles, self.mel_cache, self.frames = tuple(styles), mel_cache, frames
        self.seed, self.train, self.gain_db, self.paired = seed, train, gain_db, paired
        self._floor = np.float32(mel_cache.mel_config.log_floor)
        self._silence = np.float32(np.float16(self._floor))
        mels = _measure_all([clip for clip in clips if clip.genre in self.styles], mel_cache)
        self._mels = {style: [mel for mel in mels if mel.clip.genre == style] for style in self.styles}
        for style, of_style in self._mels.items():
            if not of_style:
                count = sum(clip.genre == style for clip in clips)
                raise UserError(
                    f"no readable clip of style {style!r}: none of its {count} recordings for "
                    f"{'training' if train else 'validation'} can be read; check them or leave the style out"
                )
        self.unlabeled_share = unlabeled_share if train else 0.0
        strangers = [Clip(path, "", str(path), "train") for path in unlabeled] if self.unlabeled_share else []
        self._unlabeled = _measure_all(strangers, mel_cache)
        if self.unlabeled_share and not self._unlabeled:
            raise UserError(
                f"none of {len(unlabeled)} unlabeled recordings can be read, but a share of {unlabeled_share:g} of "
                "the sources should be such: add some, or set the share to 0"
            )
        self._pairs = {(mel.clip.genre, mel.clip.song): mel for mel in mels} if paired else {}
        self._turns = {style: _crop_turns(of_style, frames) for style, of_style in self._mels.items()}
        self._validation = _interleave(self._mels)
        self._length = sum(len(turns) for turns in self._turns.values()) if train else len(self._validation)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Tensor]:
        """The source, target, reference and pair of one (epoch, index)."""
        epoch, index = item
        generator = np.random.default_rng((self.seed, epoch, _checked(index, len(self))))
        if self.train:
            source, others, target_style = self._draw(generator, epoch, index)
        else:
            source, others, target_style = self._fixed(epoch, index)
        pair = self._pairs.get((target_style, source.clip.song))
        if pair is not None and pair.frames != source.frames and min(pair.frames, source.frames) < self.frames:
            pair = None  # one would be continued by reflection, the other not
        shared = min(source.frames, pair.frames) if pair else source.frames
        start, gain = self._start(generator, epoch, shared), self._gain(generator)
        crops = {"source": self._crop(source, start, gain)}
        crops["pair"] = self._crop(pair, start, gain) if pair else np.zeros_like(crops["source"])
        for name, mel in zip(("target", "reference"), others, strict=True):
            crops[name] = self._crop(mel, self._start(generator, epoch, mel.frames), self._gain(generator))
        return {name: torch.from_numpy(crop) for name, crop in crops.items()} | {
            "source_style": torch.tensor(self.styles.index(source.clip.genre) if source.clip.genre else UNLABELED),
            "target_style": torch.tensor(self.styles.index(target_style)),
            "has_pair": torch.tensor(pair is not None),
        }

    def _draw(self, generator: np.random.Generator, epoch: int, index: int) -> tuple[_Mel, tuple[_Mel, _Mel], str]:
        """Source, (target, reference) and target style of a training item."""
        turn, style = divmod(index, len(self.styles))
        turns = self._turns[self.styles[style]]
        per_epoch = -(-len(self) // len(self.styles))  # long styles continue where the last epoch stopped
        source = turns[(epoch * per_epoch + turn) % len(turns)]
        target_style = self.styles[int(generator.integers(len(self.styles)))]
        target_turns, mels = self._turns[target_style], self._mels[target_style]
        target = target_turns[int(generator.integers(len(target_turns)))]
        others = [mel for mel in mels if mel is not target] or [target]
        if self.unlabeled_share and generator.random() < self.unlabeled_share:
            source = self._unlabeled[int(generator.integers(len(self._unlabeled)))]
        return source, (target, others[int(generator.integers(len(others)))]), target_style

    def _fixed(self, epoch: int, index: int) -> tuple[_Mel, tuple[_Mel, _Mel], str]:
        """Source, (target, reference) and target style of a validation item."""
        rank, source = self._validation[index]
        style = self.styles.index(source.clip.genre)
        target_style = self.styles[(style + 1 + rank + epoch) % len(self.styles)]
        mels = self._mels[target_style]
        return source, (mels[(rank + 1) % len(mels)], mels[(rank + 2) % len(mels)]), target_style

    def _start(self, generator: np.random.Generator, epoch: int, frames: int) -> int:
        last = max(0, frames - self.frames)
        return int(generator.integers(last + 1)) if self.train else min(epoch * self.frames, last)

    def _gain(self, generator: np.random.Generator) -> float:
        """A gain as an offset of log10 magnitudes."""
        return float(generator.uniform(-self.gain_db, self.gain_db)) / 20.0 if self.train else 0.0

    def _crop(self, mel: _Mel, start: int, gain: float) -> np.ndarray:
        crop = np.asarray(self.mel_cache.load(mel.clip.path)[:, start : start + self.frames], dtype=np.float32)
        if gain:
            crop = np.where(crop > self._silence, np.maximum(crop + np.float32(gain), self._floor), crop)
        if crop.shape[1] < self.frames:
            crop = np.pad(crop, ((0, 0), (0, self.frames - crop.shape[1])), mode="reflect")
        return crop


def choose_validation(clips: Sequence[Clip], styles: Sequence[str], mel_cache: MelCache, count: int) -> list[Clip]:
    """At most `count` readable recordings to validate on, always the same ones, but one of each style at least.

    They are spread evenly over the styles and over the split `valid` of each. A style without a readable one there has
    one that it is trained on, with a warning. The cache is filled with their mels.
    """
    valid = {style: [clip for clip in clips if (clip.genre, clip.split) == (style, "valid")] for style in styles}
    sources = [Source(style, tuple(clip.path for clip in own), 1 / len(styles)) for style, own in valid.items()]
    wanted = set(spread(sources, max(count, len(styles))))
    chosen: list[Clip] = []
    for style, own in valid.items():
        found = [mel.clip for mel in _measure_all([clip for clip in own if clip.path in wanted], mel_cache)]
        if not found:
            found = _first_readable([clip for clip in own if clip.path not in wanted], mel_cache)
        if not found:
            trained_on = [clip for clip in clips if (clip.genre, clip.split) == (style, "train")]
            found = _first_readable(trained_on, mel_cache)
            logger.warning(
                "style %r has no recording to keep back: one that is trained on is used, which flatters the metrics",
                style,
            )
        chosen += found
    return chosen


def _first_readable(clips: Sequence[Clip], mel_cache: MelCache) -> list[Clip]:
    return next(([clip] for clip in clips if _measure_all([clip], mel_cache)), [])


def _measure_all(clips: Sequence[Clip], mel_cache: MelCache) -> list[_Mel]:
    """Readable clips with their numbers of frames, computing mels that are new."""
    return _readable(clips, lambda clip: _Mel(clip, mel_cache.load(clip.path).shape[1]), "clip")


def _readable(items: Sequence[S], read: Callable[[S], T], name: str) -> list[T]:
    """What is read of the readable items; warns about the others."""
    found: list[T] = []
    for item in items:
        try:
            found.append(read(item))
        except MelCacheError:
            raise
        except UserError as error:
            logger.warning("%s left out: %s", name, error)
    if len(found) < len(items) and len(items) > 1:
        logger.warning("%d of %d recordings cannot be read and are left out", len(items) - len(found), len(items))
    return found


def _crop_turns(mels: Sequence[_Mel], frames: int) -> list[_Mel]:
    """Each clip once for each crop that fits into it, in rotation."""
    counts = [max(1, mel.frames // frames) for mel in mels]
    return [mel for turn in range(max(counts)) for mel, count in zip(mels, counts, strict=True) if turn < count]


def _interleave(mels: Mapping[str, Sequence[_Mel]]) -> list[tuple[int, _Mel]]:
    """All clips, the styles in turn, each with its rank within its style."""
    ranks = range(max(len(of_style) for of_style in mels.values()))
    return [(rank, of_style[rank]) for rank in ranks for of_style in mels.values() if rank < len(of_style)]


def _checked(index: int, length: int) -> int:
    if not 0 <= index < length:
        raise IndexError(f"item {index} of {length}")
    return index
