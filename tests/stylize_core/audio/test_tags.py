"""Tags go from every format to every other, and no fault in them costs a song."""

from __future__ import annotations

import base64
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.flac import Picture
from mutagen.id3 import APIC, COMM, ID3, TALB, TIT2, TLEN, TPE1, TRCK, TXXX

from stylize_core.audio.reader import AudioWriter, scan_audio
from stylize_core.audio.tags import read_tags

FORMATS = ("wav", "flac", "ogg", "opus", "mp3")
COVER = b"\x89PNG\r\n\x1a\n" + bytes(range(200)) * 50
SOUND = 0.1 * np.random.default_rng(0).standard_normal((1, 4800)).astype(np.float32)
WANTED = {
    "title": ["Lied ä"],
    "artist": ["One", "Two"],
    "album": ["Long"],
    "tracknumber": ["3/12"],
    "comment": ["fine"],
}


def write(path: Path, tags_from: Path | None = None) -> Path:
    with AudioWriter(path, 24000, 1, tags_from=tags_from) as writer:
        writer.write(SOUND)
    return path


def picture() -> Picture:
    cover = Picture()
    cover.type, cover.mime, cover.desc, cover.data = 3, "image/png", "front", COVER
    return cover


def tagged(path: Path) -> Path:
    """A file with tags as another program writes them."""
    file = mutagen.File(write(path))
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):
        for frame in (TIT2(3, WANTED["title"]), TPE1(3, WANTED["artist"]), TALB(3, WANTED["album"]),
                      TRCK(3, WANTED["tracknumber"]), COMM(3, "eng", "", WANTED["comment"]), TLEN(3, ["99"]),
                      TXXX(3, "replaygain_track_gain", ["-9 dB"]), TXXX(3, "mood of it", ["calm"]),
                      APIC(3, "image/png", 3, "front", COVER)):  # fmt: skip
            file.tags.add(frame)
    else:
        for name, values in (WANTED | {"replaygain_track_gain": ["-9 dB"], "mood of it": ["calm"]}).items():
            file.tags[name] = values
        if path.suffix == ".flac":
            file.add_picture(picture())
        else:
            file.tags["metadata_block_picture"] = [base64.b64encode(picture().write()).decode()]
    file.save()
    return path


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_tags_are_copied(tmp_path: Path, source: str, target: str) -> None:
    plain = soundfile.read(write(tmp_path / f"plain.{target}"))[0]
    song = tagged(tmp_path / f"song.{source}")
    out = write(tmp_path / f"out.{target}", tags_from=song)
    found = read_tags(out)
    assert {name: found.texts.get(name) for name in WANTED} == WANTED
    assert found.texts["mood of it"] == ["calm"]
    assert "replaygain_track_gain" not in found.texts
    assert "length" not in found.texts
    (cover,) = found.pictures
    assert (cover.type, cover.mime, cover.desc, cover.data) == (3, "image/png", "front", COVER)
    assert np.array_equal(soundfile.read(out)[0], plain)
    assert scan_audio(out).frames == 4800
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({f"plain.{target}", song.name, out.name})


def test_chunks_of_a_wav_file(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "song.wav", "w", 24000, 1) as file:
        file.title, file.artist = "Lied", "One"
        file.write(SOUND[0])
    found = read_tags(write(tmp_path / "out.flac", tags_from=tmp_path / "song.wav"))
    assert (found.texts["title"], found.texts["artist"]) == (["Lied"], ["One"])


def test_an_id3_tag_in_front_of_a_flac_file(tmp_path: Path) -> None:
    plain = write(tmp_path / "song.flac").read_bytes()
    ID3().save(tmp_path / "song.flac")  # what another program puts there
    tag = ID3(tmp_path / "song.flac")
    tag.add(TIT2(3, ["Lied"]))
    tag.save(tmp_path / "song.flac")
    assert (tmp_path / "song.flac").read_bytes().endswith(plain)
    assert read_tags(tmp_path / "song.flac").texts["title"] == ["Lied"]


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp3")
    tagged(tmp_path / "song.mp3").rename(tmp_path / name)
    assert read_tags(write(tmp_path / "out.wav", tags_from=tmp_path / name)).texts["album"] == ["Long"]


@pytest.mark.parametrize(
    "content", [b"", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7fAPIC", b"fLaC\x00\x00\x00\xff", b"RIFF" + bytes(40)]
)
def test_damaged_tags_cost_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "song.mp3").write_bytes(content)
    for name in ("song.mp3", "missing.mp3"):
        out = write(tmp_path / "out.ogg", tags_from=tmp_path / name)
        assert scan_audio(out).frames == 4800
        out.unlink()


def id3_tag(*frames: bytes, size: int = -1) -> bytes:
    content = b"".join(frames)
    size = len(content) if size < 0 else size
    return b"ID3\x03\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + content


def compressed(name: bytes, text: bytes) -> bytes:
    content = struct.pack(">I", len(text) + 1) + zlib.compress(b"\0" + text, 9)
    return name + struct.pack(">IH", len(content), 0x80) + content


def test_tags_that_would_fill_the_memory_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sound = write(tmp_path / "plain.mp3").read_bytes()
    song = tmp_path / "song.mp3"
    bombs = [compressed(b"TXXX", b"%d\0" % number + b"x" * 700_000) for number in range(4)]
    song.write_bytes(id3_tag(compressed(b"TIT2", b"Lied"), compressed(b"TALB", b"x" * 10**8), *bombs) + sound)
    tracemalloc.start()
    found = read_tags(song)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()
    assert found.texts["title"] == ["Lied"] and "album" not in found.texts and len(found.texts) <= 2
    song.write_bytes(id3_tag(size=2**27) + sound)
    write(tmp_path / "out.wav", tags_from=song)
    assert f"{song}: its tags cannot be copied: they take 134 MB" in caplog.text


def test_a_failing_save_costs_the_tags_and_not_the_song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: mutagen.FileType, *_: object, **__: object) -> None:
        Path(self.filename).write_bytes(b"half")
        raise mutagen.MutagenError("no space left")

    song = tagged(tmp_path / "song.flac")
    plain = write(tmp_path / "plain.flac").read_bytes()
    monkeypatch.setattr("mutagen.flac.FLAC.save", fail)
    assert write(tmp_path / "out.flac", tags_from=song).read_bytes() == plain
