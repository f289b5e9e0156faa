"""Tags (title, artist, cover): copied from one sound file to another, whatever their formats."""

# mutagen has no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import base64
import contextlib
import io
import logging
import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import soundfile

from stylize_core.audio.streams import synchsafe

if TYPE_CHECKING:
    from mutagen.flac import Picture

logger = logging.getLogger(__name__)

# Tags about the sound or its encoding do not hold for another file.
_ABOUT_THE_SOUND = (
    "replaygain", "r128_", "itunnorm", "itunsmpb", "itunpgap", "encoder", "encodedby", "encoding", "length", "software",
    "acoustid_fingerprint", "waveformatextensible", "cuesheet", "metadata_block_picture",
)  # fmt: skip
_FRAMES_ABOUT_THE_SOUND = {
    "TLEN", "TSSE", "TENC", "RVA2", "RVAD", "RGAD", "EQU2", "MLLT", "SEEK", "ASPI", "ETCO", "SYTC", "POSS", "AENC",
    "ENCR",
}  # fmt: skip
_LARGEST_TAG = 2**26  # bytes of an ID3 tag
_LARGEST_FRAMES = 2**20  # bytes that the compressed frames of a file may become in all
Frame = Any  # mutagen creates the classes of ID3 frames from tables


@dataclass
class Tags:
    """Tags of a recording: texts by the lower-case names of Vorbis comments, pictures, and its own ID3 frames."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)


def copy_tags(source: Path, target: Path) -> bool:
    """Copy what can be copied; problems with tags are logged.

    Args:
        source: any sound file.
        target: a finished wav, flac, ogg, opus or mp3 file.

    Returns:
        whether the target is intact; if not, it has to be written again.
    """
    import mutagen

    try:
        tags = read_tags(source)
        file = mutagen.File(target) if tags.texts or tags.pictures or tags.frames else None
        if file is None:
            return True
        _fill(file, tags)
    except Exception as error:  # tags may be malformed in any way; the song matters more
        logger.warning("%s: its tags cannot be copied: %s", source, error)
        return True
    try:
        file.save()
    except Exception as error:
        logger.warning("%s: its tags cannot be copied: %s", source, error)
        return False
    return True


def read_tags(path: Path) -> Tags:
    """The tags of a sound file; any exception where they are damaged or enormous."""
    import mutagen
    import mutagen.id3._frames
    from mutagen.flac import FLAC, Picture
    from mutagen.id3 import ID3, ID3NoHeaderError

    with path.open("rb") as stream:
        head = stream.read(10)
    if head[:3] == b"ID3" and len(head) == 10 and (size := synchsafe(head[6:10])) >= _LARGEST_TAG:
        raise ValueError(f"they take {size / 1e6:.0f} MB")
    vars(mutagen.id3._frames)["zlib"] = _Inflation()  # mutagen has no limit
    file = mutagen.File(path)
    tags = file.tags if file is not None and file.tags else None
    if tags is None:
        with contextlib.suppress(ID3NoHeaderError):  # in front of any format
            tags = ID3(path)
    if tags is None:
        return Tags(_without_sound(_chunk_texts(path)))
    if isinstance(tags, ID3):
        frames = [frame for frame in tags.values() if not _describes_sound(frame)]
        return Tags(_without_sound(_id3_texts(frames)), _id3_pictures(frames), frames)
    texts = {str(name).lower(): [str(value) for value in tags[name]] for name in tags.keys()}  # noqa: SIM118
    pictures = list(file.pictures) if isinstance(file, FLAC) else []
    for encoded in texts.get("metadata_block_picture", []):
        with contextlib.suppress(Exception):
            pictures.append(Picture(base64.b64decode(encoded)))
    return Tags(_without_sound(texts), pictures)


class _Inflation:
    """What mutagen uses of zlib, limited to `_LARGEST_FRAMES`."""

    error = zlib.error

    def __init__(self) -> None:
        self._left = _LARGEST_FRAMES

    def decompress(self, data: bytes) -> bytes:
        stream = zlib.decompressobj()
        content = stream.decompress(data, max(1, self._left))  # 0 is without bounds
        self._left -= len(content)
        if not stream.eof or self._left <= 0:
            raise zlib.error("cut off or too large")
        return content


def _chunk_texts(path: Path) -> dict[str, list[str]]:
    """Texts in the chunks of WAV and AIFF files."""
    with path.open("rb") as stream:
        if stream.read(4) not in (b"RIFF", b"RIFX", b"RF64", b"FORM"):
            return {}
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            return {name: [value] for name, value in file.copy_metadata().items() if value}
    except (soundfile.SoundFileError, UnicodeError):
        return {}


def _without_sound(texts: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: values for name, values in texts.items() if not name.startswith(_ABOUT_THE_SOUND)}


def _describes_sound(frame: Frame) -> bool:
    names = (str(getattr(frame, "desc", "")).lower(),) if frame.FrameID in ("TXXX", "COMM") else ()
    return frame.FrameID in _FRAMES_ABOUT_THE_SOUND or any(name.startswith(_ABOUT_THE_SOUND) for name in names)


def _id3_texts(frames: list[Frame]) -> dict[str, list[str]]:
    """ID3 frames under the names of Vorbis comments."""
    from mutagen.easyid3 import EasyID3

    easy = EasyID3(_stored([frame for frame in frames if frame.FrameID != "APIC"]))
    texts = {}
    for name in easy:
        with contextlib.suppress(Exception):
            texts[name] = [str(value) for value in easy[name]]
    for frame in frames:
        if frame.FrameID == "TXXX":
            texts.setdefault(frame.desc.lower(), [str(value) for value in frame.text])
        elif frame.FrameID == "COMM":
            texts.setdefault("comment", [str(value) for value in frame.text])
        elif frame.FrameID == "USLT":
            texts.setdefault("lyrics", [str(frame.text)])
    return texts


def _stored(frames: list[Frame]) -> io.BytesIO:
    """ID3 tags as a file."""
    from mutagen.id3 import ID3

    tags = ID3()
    for frame in frames:
        tags.add(frame)
    file = io.BytesIO()
    tags.save(file)
    file.seek(0)
    return file


def _id3_pictures(frames: list[Frame]) -> list[Picture]:
    from mutagen.flac import Picture

    pictures = []
    for frame in frames:
        if frame.FrameID == "APIC" and frame.mime != "-->":
            picture = Picture()
            picture.type, picture.mime, picture.desc, picture.data = frame.type, frame.mime, frame.desc, frame.data
            pictures.append(picture)
    return pictures


def _fill(file: Any, tags: Tags) -> None:
    from mutagen.flac import FLAC
    from mutagen.id3 import ID3

    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):
        for frame in tags.frames or _id3_frames(tags):
            file.tags.add(frame)
        return
    for name, values in tags.texts.items():
        with contextlib.suppress(ValueError):  # an invalid comment name
            file.tags[name] = values
    if isinstance(file, FLAC):
        for picture in tags.pictures:
            file.add_picture(picture)
    elif tags.pictures:
        blocks = [base64.b64encode(picture.write()).decode("ascii") for picture in tags.pictures]
        file.tags["metadata_block_picture"] = blocks


def _id3_frames(tags: Tags) -> list[Frame]:
    """Tags as ID3 frames."""
    from mutagen.easyid3 import EasyID3
    from mutagen.id3 import APIC, COMM, ID3, TXXX, USLT

    easy = EasyID3()
    frames: list[Frame] = []
    for name, values in tags.texts.items():
        if name in ("comment", "description"):
            frames.append(COMM(encoding=3, lang="XXX", desc="", text=values))
        elif name in ("lyrics", "unsyncedlyrics"):
            frames.append(USLT(encoding=3, lang="XXX", desc="", text="\n".join(values)))
        else:
            try:
                easy[name] = values
            except Exception:  # a name or a value that ID3 has no frame for
                frames.append(TXXX(encoding=3, desc=name, text=values))
    for picture in tags.pictures:
        frames.append(APIC(encoding=3, mime=picture.mime, type=picture.type, desc=picture.desc, data=picture.data))
    file = io.BytesIO()
    easy.save(file)
    file.seek(0)
    return [*ID3(file).values(), *frames] if len(easy) else frames
