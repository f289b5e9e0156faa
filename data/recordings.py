"""Real recordings for vocoder training: any audio to mono 22.05 kHz FLAC, split by source."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from data.debian_packages import package_files, package_license
from data.manifest import MANIFEST_NAME, file_digest, read_records, write_records
from stylize_core.audio.folder import existing_folder, no_audio, warn_of_unreadable
from stylize_core.audio.kinds import READABLE_SUFFIXES
from stylize_core.audio.reader import AudioReader, AudioWriter, probe_audio
from stylize_core.errors import UserError
from stylize_core.plain import build, one_line

PACKAGES = (
    "wesnoth-1.16-music",
    "warzone2100-music",
    "singularity-music",
    "nexuiz-music",
    "fb-music-high",
    "hyperrogue-music",
    "drascula-music",
    "planetblupi-music-ogg",
)
TEST_PACKAGES = ("singularity-music", "drascula-music")
EFFECTS_FOLDER = "sounds"
SOUND_EFFECT = "sound effect"
TRACKER_SUFFIXES = frozenset({".xm", ".mod", ".it", ".s3m"})
ARCHIVE_SUFFIXES = frozenset({".pk3", ".zip"})
SAMPLE_RATE = 22050
BLOCK_SAMPLES = 1 << 17
SILENCE_PEAK = 1e-3
_OLD_KEYS = {"licence": "license"}


class UnusableRecordingError(UserError):
    """A recording that is left out, while the others continue."""


@dataclass(frozen=True)
class Recording:
    """One source recording: a file, or a member of an archive.

    Args:
        source: name of the package or folder it came from.
        name: file stem in the output, unique within the source.
        path: the file, or the archive that holds it.
        member: path inside the archive, empty for a plain file.
        license: short license name.
        split: train, valid, test, or mixed: not yet decided between train and valid.
        start: of the part that is kept, seconds.
        seconds: length of that part; of the whole once it is measured.
    """

    source: str
    name: str
    path: Path
    member: str = ""
    license: str = "unknown"
    split: str = "train"
    start: float = 0.0
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """The file, for messages."""
        return f"{self.path}:{self.member}" if self.member else str(self.path)


@dataclass(frozen=True)
class Entry:
    """One line of the manifest; `original` and `start` say where the audio came from."""

    file: str
    source: str
    split: str
    seconds: float
    license: str
    original: str
    start: float
    wanted_seconds: float


@dataclass(frozen=True)
class Skipped:
    """A file that was not used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Limits:
    """What is kept of each source, in seconds.

    Args:
        shortest: shorter recordings are skipped.
        per_source: maximum of each source, shared evenly between its recordings.
        excerpt: no recording is cut below this; fewer are used instead.
    """

    shortest: float = 15.0
    per_source: float = 30 * 60.0
    excerpt: float = 45.0

    def __post_init__(self) -> None:
        if not 0 <= self.shortest <= self.per_source:
            minutes = f"--max-minutes-per-source {self.per_source / 60:g}"
            raise UserError(f"got {minutes} and --min-seconds {self.shortest:g}: no recording can fit")


def find_package_recordings(package: str) -> tuple[list[Recording], list[Skipped]]:
    """Recordings of one installed package; some packages are test sets."""
    files = package_files(package)
    effects = [path for path in files if path.parent.name == EFFECTS_FOLDER]
    found, skipped = _recordings_in(package, [path for path in files if path not in effects])
    skipped += [Skipped(str(path), SOUND_EFFECT) for path in effects if path.suffix in READABLE_SUFFIXES]
    split = "test" if package in TEST_PACKAGES else "mixed"
    return [replace(one, license=package_license(package, one.path), split=split) for one in found], skipped


def find_folder_recordings(folder: Path, split: str = "mixed") -> tuple[list[Recording], list[Skipped]]:
    """Recordings below a folder; UserError where it does not exist or holds no audio."""
    files = sorted(
        path for path in existing_folder(folder).rglob("*") if path.is_file() and not path.name.startswith(".")
    )
    found, skipped = _recordings_in(folder.resolve().name, files)
    if not found:
        raise no_audio(folder, f"expected {', '.join(sorted(READABLE_SUFFIXES))} or a .zip of them")
    warn_of_unreadable(folder)
    return [replace(one, split=split) for one in found], skipped


def share_mixed(recordings: Sequence[Recording]) -> list[Recording]:
    """Decide the split of one source's ``mixed`` recordings by their names: one in ten to valid, the rest to train."""
    mixed = sorted((one for one in recordings if one.split == "mixed"), key=_order)
    count = max(round(0.1 * len(mixed)), int(len(mixed) >= 5))
    decided = {one.name: "valid" if rank < count else "train" for rank, one in enumerate(mixed)}
    return [replace(one, split=decided.get(one.name, one.split)) for one in recordings]


def plan_excerpts(measured: Sequence[Recording], limits: Limits) -> list[Recording]:
    """Share a source's limit between its recordings; each is cut from the middle."""
    share = _even_share([recording.seconds for recording in measured], limits.per_source)
    kept, total = [], 0.0
    for one in sorted(measured, key=_order):
        length = min(one.seconds, max(share, limits.excerpt), limits.per_source - total)
        if length < min(limits.shortest, one.seconds):
            break
        kept.append(replace(one, start=round((one.seconds - length) / 2, 3), seconds=round(length, 3)))
        total += length
    return sorted(kept, key=lambda recording: recording.name)


def measure(recordings: Sequence[Recording], limits: Limits) -> tuple[list[Recording], list[Skipped]]:
    """Read the headers of one source: usable recordings with seconds and split, and what is unusable."""
    usable: list[Recording] = []
    skipped: list[Skipped] = []
    for recording in recordings:
        try:
            with plain_file(recording) as path:
                seconds = probe_audio(path).seconds
        except (UserError, OSError, zipfile.BadZipFile) as error:
            skipped.append(Skipped(recording.label, f"unreadable: {error}"))
            continue
        if seconds < limits.shortest:
            skipped.append(Skipped(recording.label, f"too short: {seconds:.1f} s of {limits.shortest:g} s"))
        else:
            usable.append(replace(recording, seconds=seconds))
    return share_mixed(usable), skipped


def plan_sources(
    sources: Iterable[tuple[list[Recording], list[Skipped]]], limits: Limits
) -> tuple[list[Recording], list[Skipped]]:
    """What to keep of several sources, each its recordings and what was skipped already, and what is left out."""
    kept, skipped = [], []
    for found, unusable in sources:
        measured, rejected = measure(found, limits)
        kept += plan_excerpts(measured, limits)
        skipped += unusable + rejected
    return kept, skipped


def convert(recording: Recording, output: Path) -> float:
    """Write the kept part as mono 16-bit FLAC in constant memory; return its seconds.

    Raises:
        UnusableRecordingError: nothing but silence, or it cannot be decoded up to the end of the part.
        UserError: the output cannot be written.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with AudioWriter(output, SAMPLE_RATE, 1, subtype="PCM_16", force=True) as writer:
        for block in _kept_blocks(recording):
            writer.write(block)
        if writer.peak < SILENCE_PEAK:
            raise UnusableRecordingError("silent")
    return writer.frames / SAMPLE_RATE


def _kept_blocks(recording: Recording) -> Iterator[np.ndarray]:
    skip, left = round(recording.start * SAMPLE_RATE), round(recording.seconds * SAMPLE_RATE)
    try:
        with plain_file(recording) as path, AudioReader(path, SAMPLE_RATE, mono=True) as reader:
            while skip > 0 and (skipped := reader.read(min(BLOCK_SAMPLES, skip)).shape[1]):
                skip -= skipped
            while left > 0 and (block := reader.read(min(BLOCK_SAMPLES, left))).size:
                left -= block.shape[1]
                yield block
    except (UserError, zipfile.BadZipFile) as error:
        raise UnusableRecordingError(str(error)) from error


def prepare(recordings: Sequence[Recording], output: Path) -> Iterator[Entry | Skipped]:
    """Convert the kept part of every recording that is not there yet, and update OUT/manifest.jsonl after each.

    Files of an earlier run of the same sources that are no longer wanted are removed; those of other sources stay.
    """
    manifest = read_manifest(output)
    wanted = {f"{one.source}/{one.name}.flac": one for one in recordings}
    sources = {one.source for one in recordings}
    for name in [name for name, entry in manifest.items() if entry.source in sources and name not in wanted]:
        (output / name).unlink(missing_ok=True)
        del manifest[name]
    for name, one in wanted.items():
        entry = Entry(name, one.source, one.split, 0.0, one.license, one.label, one.start, one.seconds)
        earlier = manifest.get(name)
        if earlier is not None and (output / name).is_file() and replace(earlier, seconds=0.0) == entry:
            yield earlier
            continue
        try:
            seconds = convert(one, output / name)
        except UnusableRecordingError as error:
            manifest.pop(name, None)
            yield Skipped(one.label, str(error))
            continue
        manifest[name] = replace(entry, seconds=round(seconds, 3))
        write_manifest(output, manifest)
        yield manifest[name]
    write_manifest(output, manifest)


def read_manifest(output: Path) -> dict[str, Entry]:
    """The manifest of a prepared folder by file name; empty when there is none. UserError for a foreign line."""
    path = output / MANIFEST_NAME
    if not path.is_file():
        return {}
    try:
        records = [{_OLD_KEYS.get(key, key): value for key, value in record.items()} for record in read_records(path)]
        entries = [build(Entry, record, "a line") for record in records]
    except UserError as error:
        raise UserError(f"{path} is no manifest of recordings ({one_line(error)}); remove it, start again") from error
    return {entry.file: entry for entry in entries}


def write_manifest(output: Path, entries: dict[str, Entry]) -> None:
    """Write OUT/manifest.jsonl."""
    write_records(output / MANIFEST_NAME, (asdict(entries[name]) for name in sorted(entries)))


@contextmanager
def plain_file(recording: Recording) -> Iterator[Path]:
    """The recording as a file of its own; an archive's member is unpacked to a temporary one."""
    if not recording.member:
        yield recording.path
        return
    with TemporaryDirectory(prefix="recording-") as folder:
        unpacked = Path(folder) / Path(recording.member).name
        with zipfile.ZipFile(recording.path) as archive:
            unpacked.write_bytes(archive.read(recording.member))
        yield unpacked


def _recordings_in(source: str, files: Sequence[Path]) -> tuple[list[Recording], list[Skipped]]:
    """Audio among the files and inside archives, without exact copies, with unique names."""
    found, skipped = [], []
    digests: set[str] = set()
    for path in files:
        suffix = path.suffix.lower()
        if suffix in TRACKER_SUFFIXES:
            skipped.append(Skipped(str(path), "tracker module, not audio"))
        elif suffix in ARCHIVE_SUFFIXES and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = [name for name in archive.namelist() if Path(name).suffix.lower() in READABLE_SUFFIXES]
            found += [Recording(source, Path(member).stem, path, member) for member in sorted(members)]
        elif suffix in READABLE_SUFFIXES:
            digest = file_digest(path)
            if digest in digests:
                skipped.append(Skipped(str(path), "copy of another file"))
            else:
                digests.add(digest)
                found.append(Recording(source, path.stem, path))
    return _with_unique_names(found), skipped


def _with_unique_names(recordings: Sequence[Recording]) -> list[Recording]:
    """Replace characters unfit for file names, and number duplicates."""
    seen: dict[str, int] = {}
    named = []
    for recording in recordings:
        plain = "".join(char if char.isalnum() or char in "-_" else "_" for char in recording.name) or "audio"
        seen[plain] = seen.get(plain, 0) + 1
        named.append(replace(recording, name=plain if seen[plain] == 1 else f"{plain}-{seen[plain]}"))
    return named


def _even_share(lengths: Sequence[float], total: float) -> float:
    """The longest cut such that the lengths, each cut to it, do not exceed the total."""
    left = total
    for index, length in enumerate(ordered := sorted(lengths)):
        share = left / (len(ordered) - index)
        if length > share:
            return share
        left -= length
    return max(lengths, default=0.0)


def _order(recording: Recording) -> str:
    """Key of a fixed but arbitrary order of the recordings of a source."""
    return hashlib.sha256(f"{recording.source}/{recording.name}".encode()).hexdigest()
