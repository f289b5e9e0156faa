"""What is in a file is heard: joined, chained, tagged and wrapped files, wrong sizes, and missing ends.

The files are made in the formats' own encoders and then changed as other programs are known to leave them.
"""

from __future__ import annotations

import io
import logging
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stylize_core.audio.ogg import _sealed
from stylize_core.audio.reader import AudioReader, probe_audio, read_audio, scan_audio
from stylize_core.errors import UserError
from tests.fuzz.audio import ape_tag, id3_tag, in_riff, make_case, make_file, try_case

RATE = 8000
ID3V1 = b"TAG" + b"Song".ljust(125, b"\0")
TAGS = {"ID3v2": id3_tag(300), "ID3v2.4 with a footer": id3_tag(90, footer=True), "APEv2": ape_tag(),
        "two": id3_tag(20) + ape_tag()}  # fmt: skip


def encode(container: str, subtype: str | None = None, seconds: float = 1.0, channels: int = 2, rate: int = RATE,
           seed: int = 0, **more: object) -> bytes:  # fmt: skip
    """Smooth noise in a format."""
    frames = round(seconds * rate)
    noise = np.random.default_rng(seed).standard_normal((frames + 8, channels)).cumsum(axis=0)
    sound = 0.1 * (noise[8:] - noise[:-8])
    file = io.BytesIO()
    soundfile.write(file, np.clip(sound, -0.9, 0.9), rate, format=container, subtype=subtype, **more)
    return file.getvalue()


def read(folder: Path, content: bytes, suffix: str = ".bin") -> np.ndarray:
    """All that is heard in a file; its header agrees."""
    path = folder / f"song{suffix}"
    path.write_bytes(content)
    wav = read_audio(path, mono=False)[0]
    assert probe_audio(path).frames == wav.shape[1]
    return wav


def refusal(folder: Path, content: bytes, suffix: str = ".bin") -> str:
    """The one line with which a file is refused."""
    path = folder / f"song{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        scan_audio(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message.replace(str(path), "FILE")


def patched(content: bytes, place: int, value: bytes) -> bytes:
    assert place >= 0
    return content[:place] + value + content[place + len(value) :]


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body


PCM = (3000 * np.sin(np.arange(RATE) / 7)).astype("<i2")
FMT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16))


def riff(*parts: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


FORMATS = ["WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "OPUS", "MP3"]


def encode_format(name: str, **more: object) -> bytes:
    return encode("OGG", "OPUS", **more) if name == "OPUS" else encode(name, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("between", ["", *TAGS])
def test_joined_files_are_heard_one_after_the_other(tmp_path: Path, name: str, between: str) -> None:
    parts = [encode_format(name, seconds=seconds, seed=seed) for seed, seconds in enumerate((0.3, 0.2, 0.25))]
    heard = np.concatenate([read(tmp_path, part) for part in parts], axis=1)
    assert np.array_equal(read(tmp_path, TAGS.get(between, b"").join(parts)), heard)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("behind", [b"", ID3V1, ape_tag(), ape_tag() + ID3V1, bytes(5000)])
def test_tags_in_front_and_behind_change_nothing(tmp_path: Path, name: str, behind: bytes) -> None:
    content = encode_format(name, seconds=0.3)
    heard = read(tmp_path, content)
    for tag in (b"", *TAGS.values()):
        assert np.array_equal(read(tmp_path, tag + content + behind), heard)


def test_formats_may_be_joined_with_others(tmp_path: Path) -> None:
    parts = [encode_format(name) for name in ("FLAC", "MP3", "WAV", "OGG", "AIFF")]
    heard = np.concatenate([read(tmp_path, part) for part in parts], axis=1)
    tagged = parts[0] + id3_tag(50) + b"".join(parts[1:])
    assert np.array_equal(read(tmp_path, tagged), heard)


def test_links_of_other_rates_and_channels_follow_the_first(tmp_path: Path) -> None:
    first, other = encode("OGG", channels=2), encode("OGG", channels=1, rate=11025, seconds=0.5)
    wav = read(tmp_path, first + other)
    assert wav.shape == (2, RATE + RATE // 2)
    assert np.array_equal(wav[:, :RATE], read(tmp_path, first)) and np.array_equal(wav[0, RATE:], wav[1, RATE:])
    alone, _ = read_audio(tmp_path / "song.bin", 11025)
    (tmp_path / "other").write_bytes(other)
    resampled, _ = read_audio(tmp_path / "other", RATE)
    np.testing.assert_allclose(wav[0, RATE:], resampled[0], atol=1e-5)
    assert alone.shape[1] == 11025
    assert "2 and with 3 channels" in refusal(tmp_path, encode("WAV") + encode("WAV", channels=3))


# Ogg


def pages(content: bytes) -> list[bytes]:
    found, position = [], 0
    while position < len(content):
        table = content[position + 27 : position + 27 + content[position + 26]]
        size = 27 + len(table) + sum(table)
        found.append(content[position : position + size])
        position += size
    return found


def with_serial(content: bytes, serial: int) -> list[bytes]:
    return [_sealed(page[:14] + struct.pack("<I", serial) + page[18:]) for page in pages(content)]


def without_end_mark(content: bytes) -> bytes:
    *others, last = pages(content)
    assert last[5] == 4
    return b"".join(others) + _sealed(patched(last, 5, b"\0"))


def test_an_ogg_page_is_sealed_as_its_encoder_does() -> None:
    for page in pages(encode("OGG")):
        assert _sealed(page) == page and _sealed(patched(page, 40, b"?")) != patched(page, 40, b"?")


@pytest.mark.parametrize("name", ["OGG", "OPUS"])
def test_a_missing_end_mark_is_noted(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    content = encode_format(name)
    heard = read(tmp_path, content)
    assert np.array_equal(read(tmp_path, without_end_mark(content)), heard)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/song.bin: its Ogg stream has no mark at its end; pages behind may be missing"
    ]
    joined = without_end_mark(content) + content
    assert np.array_equal(read(tmp_path, joined), np.concatenate([heard, heard], axis=1))


def test_a_stream_that_ends_between_two_pages_is_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = encode("OGG", rate=44100, seconds=2.0)
    heard, others = read(tmp_path, content), pages(content)[:-1]
    wav = read(tmp_path, b"".join(others))
    (position,) = struct.unpack("<q", others[-1][6:14])
    assert wav.shape == (2, position) and np.array_equal(wav, heard[:, :position])
    assert "pages behind may be missing" in caplog.text
    open_end = _sealed(patched(others[-1], 26 + others[-1][26], b"\xff") + bytes(255 - others[-1][26 + others[-1][26]]))
    assert "goes on, on a page that is missing" in refusal(tmp_path, b"".join(others[:-1]) + open_end)


def test_a_last_page_without_its_last_packet_is_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = encode("OGG")
    heard = read(tmp_path, content)
    path = tmp_path / "song.ogg"
    path.write_bytes(content[:-3])
    wav = read_audio(path, mono=False)[0]
    assert 0 < heard.shape[1] - wav.shape[1] <= 1024 and np.array_equal(wav, heard[:, : wav.shape[1]])
    assert "the last packet of its Ogg stream is incomplete" in caplog.text
    assert "the last page of the Ogg stream is incomplete" in refusal(tmp_path, content[:-600])


def test_a_stream_beside_the_sound_is_passed_over(tmp_path: Path) -> None:
    content = encode("OGG")
    sound = with_serial(content, 7)
    bodies = [(2, b"\x80theora!"), (0, b"frame"), (4, b"frame")]
    picture = [
        _sealed(b"OggS\0" + struct.pack("<BqIII", flags, 0, 9, number, 0) + bytes([1, len(body)]) + body)
        for number, (flags, body) in enumerate(bodies)
    ]
    mixed = [picture[0], sound[0], *sound[1:3], picture[1], *sound[3:], picture[2]]
    assert np.array_equal(read(tmp_path, b"".join(mixed)), read(tmp_path, content))
    other = with_serial(content, 8)
    both = [page for pair in zip(sound, other, strict=True) for page in pair]
    assert "holds 2 Ogg streams at the same time" in refusal(tmp_path, b"".join(both))
    assert "no sound of a known kind" in refusal(tmp_path, b"".join(picture))


def test_a_broken_or_missing_ogg_page_is_no_short_song(tmp_path: Path) -> None:
    content = encode("OGG", rate=44100, seconds=2.0)
    whole = pages(content)
    assert len(whole) > 5
    assert "Ogg pages are missing before" in refusal(tmp_path, b"".join(whole[:3] + whole[4:]))
    position = len(content) // 2
    assert "is broken" in refusal(tmp_path, patched(content, position, bytes(300)))
    gap = sum(len(page) for page in whole[:4])
    assert "are no Ogg page" in refusal(tmp_path, content[:gap] + bytes(5000) + content[gap:])


def test_a_recording_of_a_stream_that_runs_for_hours_is_as_long_as_it_is(tmp_path: Path) -> None:
    content = encode("OGG")
    shifted = []
    for page in pages(content):
        (position,) = struct.unpack("<q", page[6:14])
        shifted.append(_sealed(patched(page, 6, struct.pack("<q", position + 10**9))) if position > 0 else page)
    path = tmp_path / "radio.ogg"
    path.write_bytes(b"".join(shifted))
    assert abs(scan_audio(path).frames - RATE) <= 2048 and abs(probe_audio(path).frames - RATE) <= 2048


def test_flac_in_ogg(tmp_path: Path) -> None:
    flac = encode("FLAC", seconds=0.3)  # a single frame
    frame = flac.index(b"\xff\xf8", 42)
    bodies = [b"\x7fFLAC\1\0\0\1fLaC\0" + flac[5:42], b"\x84\0\0\x08" + bytes(8), flac[frame:]]
    content = b""
    for number, (flags, body) in enumerate(zip((2, 0, 4), bodies, strict=True)):
        table = b"\xff" * (len(body) // 255) + bytes([len(body) % 255])
        header = struct.pack("<BqIII", flags, 0, 9, number, 0)
        content += _sealed(b"OggS\0" + header + bytes([len(table)]) + table + body)
    heard = read(tmp_path, flac)
    assert np.array_equal(read(tmp_path, content * 2), np.concatenate([heard, heard], axis=1))


# wav and its relatives

LIST = chunk(b"LIST", b"INFOISFT\6\0\0\0Maker\0")


@pytest.mark.parametrize("size", [0, 0x80000000, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFF000])
@pytest.mark.parametrize("behind", [b"", LIST, chunk(b"id3 ", id3_tag(30)) + LIST])
def test_a_recorder_that_wrote_no_size(tmp_path: Path, size: int, behind: bytes) -> None:
    content = riff(FMT, chunk(b"data", PCM.tobytes(), size), behind, size=0)
    assert np.array_equal(read(tmp_path, content)[0] * 32768, PCM)


@pytest.mark.parametrize("outer", [0, 36, 0xFFFFFFFF])
def test_a_size_that_has_wrapped_round(tmp_path: Path, outer: int, caplog: pytest.LogCaptureFixture) -> None:
    content = riff(FMT, chunk(b"data", PCM.tobytes(), len(PCM)), size=outer)
    assert np.array_equal(read(tmp_path, content)[0] * 32768, PCM)
    assert f"announces {len(PCM)} bytes of sound and {2 * len(PCM)} are there" in caplog.text


def test_more_than_the_header_accounts_for_is_ambiguous(tmp_path: Path) -> None:
    content = riff(FMT, chunk(b"data", PCM.tobytes(), len(PCM)), size=36 + len(PCM))
    assert f"announces {len(PCM)} bytes of sound, and {len(PCM)} unknown bytes follow" in refusal(tmp_path, content)
    assert read(tmp_path, encode("WAV") + bytes(2000)).shape == (2, RATE)
    assert read(tmp_path, encode("WAV") + b"end of file").shape == (2, RATE)
    rubbish = np.random.default_rng(0).bytes(3000)
    for name in FORMATS:
        if name != "MP3":
            assert re.search("follow|decoding fails", refusal(tmp_path, encode_format(name) + rubbish))


@pytest.mark.parametrize(
    "content",
    [
        riff(chunk(b"JUNK", bytes(28)), FMT, chunk(b"data", PCM.tobytes())),
        riff(FMT, LIST, chunk(b"data", PCM.tobytes()), LIST, chunk(b"cue ", bytes(4))),
        riff(FMT, chunk(b"note", b"odd"), chunk(b"data", PCM.tobytes())),  # the padding is forgotten
        riff(FMT, chunk(b"note", b"odd") + b"\0", chunk(b"data", PCM.tobytes()), chunk(b"note", b"odd")),
        riff(FMT, chunk(b"data", PCM.tobytes()), chunk(b"LIST", b"cut", 200)),
        riff(FMT, chunk(b"data", PCM.tobytes()))[:-1] + PCM.tobytes()[-1:] + b"\0",
        riff(FMT, chunk(b"data", PCM.tobytes(), 2 * len(PCM) + 44)),  # the header is counted in
        id3_tag(77) + riff(FMT, chunk(b"data", PCM.tobytes(), 0), LIST),
        b"RF64" + riff(chunk(b"ds64", struct.pack("<QQQI", 0, 2 * len(PCM), 0, 0)), FMT,
                       chunk(b"data", PCM.tobytes(), 0xFFFFFFFF))[4:],
        b"RF64" + riff(chunk(b"ds64", bytes(28)), FMT, chunk(b"data", PCM.tobytes(), 0xFFFFFFFF))[4:],
    ],
)  # fmt: skip
def test_chunks_in_every_order(tmp_path: Path, content: bytes) -> None:
    assert np.array_equal(read(tmp_path, content)[0] * 32768, PCM)


@pytest.mark.parametrize("between", [b"", LIST])
def test_sound_in_two_chunks_is_read_to_the_end(
    tmp_path: Path, between: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [chunk(b"data", PCM[:1000].tobytes() + b"?"), between, chunk(b"data", PCM[1000:].tobytes()), LIST]
    assert np.array_equal(read(tmp_path, riff(FMT, *parts))[0] * 32768, PCM)
    assert "its sound is in 2 chunks, which are read one after the other" in caplog.text


def test_no_sound_is_said_to_be_none(tmp_path: Path) -> None:
    assert "holds no samples" in refusal(tmp_path, riff(FMT, chunk(b"data", b"")))
    assert "holds no samples" in refusal(tmp_path, riff(FMT, chunk(b"data", b""), LIST))
    assert "cannot be decoded" in refusal(tmp_path, riff(FMT, LIST))


@pytest.mark.parametrize("name", ["RIFX", "W64", "AIFF", "AIFC", "AU", "CAF"])
def test_sizes_of_other_containers_that_were_never_filled_in(tmp_path: Path, name: str) -> None:
    make = {
        "RIFX": lambda: encode("WAV", endian="BIG"),
        "AIFC": lambda: encode("AIFF", endian="LITTLE"),
    }.get(name, lambda: encode_format(name))
    content = make()
    heard = read(tmp_path, content)
    mark, size = {
        "RIFX": (b"data", 4), "W64": (b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a", 8),
        "AIFF": (b"SSND", 4), "AIFC": (b"SSND", 4), "AU": (b".snd\0\0\0", 4), "CAF": (b"data", 8),
    }[name]  # fmt: skip
    place = content.index(mark) + len(mark) + (name == "AU")
    for value in (bytes(size), b"\xff" * size):
        wav = read(tmp_path, patched(content, place, value))
        assert np.array_equal(wav[:, : heard.shape[1]], heard) and wav.shape[1] - heard.shape[1] <= 2


def test_mp3_in_a_wav_container(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = encode("MP3", rate=16000)
    info = soundfile.info(io.BytesIO(content))
    path = tmp_path / "song.wav"
    path.write_bytes(in_riff(content))
    assert np.array_equal(read_audio(path, mono=False)[0], read(tmp_path, content))
    assert probe_audio(path).subtype == info.subtype == "MPEG_LAYER_III"
    assert capfd.readouterr() == ("", "")


# FLAC


@pytest.mark.parametrize("announced", [0, 5000, 2**36 - 1, 10**9])
def test_a_flac_header_that_is_wrong_about_the_length(tmp_path: Path, announced: int) -> None:
    content = encode("FLAC", seconds=2.0)
    numbers = int.from_bytes(content[18:26], "big")
    wrong = patched(content, 18, (numbers & ~(2**36 - 1) | announced).to_bytes(8, "big"))
    if announced > 2 * RATE:
        assert f"is cut off: 2.0 s of {announced / RATE:.1f} s are there" in refusal(tmp_path, wrong)
    else:
        assert np.array_equal(read(tmp_path, wrong), read(tmp_path, content))
        assert np.array_equal(read(tmp_path, wrong + ID3V1), read(tmp_path, content))


def test_a_flac_without_a_length_and_without_its_end_is_refused(tmp_path: Path) -> None:
    content = encode("FLAC")
    wrong = patched(content, 21, bytes([content[21] & 0xF0]) + bytes(4))
    assert "its last FLAC frame is incomplete" in refusal(tmp_path, wrong[:-50])


# Limits


def test_enormous_samples_are_refused_with_their_place(tmp_path: Path) -> None:
    sound = np.full((RATE, 2), 0.1)
    sound[4000, 1] = -2e4
    path = tmp_path / "a.wav"
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    with pytest.raises(UserError, match=r"beyond 10000 times full scale \(the first at 0\.500 s\)"):
        scan_audio(path)
    soundfile.write(path, np.minimum(np.abs(sound), 50.0), RATE, subtype="FLOAT")
    assert scan_audio(path).frames == RATE


@pytest.mark.parametrize("rate", [1, 999, 2**31 - 1, 2**32 - 1])
def test_a_rate_that_cannot_be_is_refused(tmp_path: Path, rate: int) -> None:
    content = patched(encode("WAV"), 24, struct.pack("<I", rate))
    message = refusal(tmp_path, content)
    assert "samples a second, expected 1000 to 768000 Hz" in message or "cannot be decoded" in message


def test_a_header_with_hundreds_of_channels_is_refused(tmp_path: Path) -> None:
    content = encode("AIFF", seconds=3.0)
    message = refusal(tmp_path, patched(content, content.index(b"COMM") + 8, struct.pack(">H", 1000)))
    assert "has 1000 channels, expected at most 64" in message


# Refusals that say what a file is


@pytest.mark.parametrize(
    ("content", "suffix", "what", "is_convertible"),
    [
        (b"\0\0\0\x1cftypM4A \0\0\0\0" + bytes(3000), ".mp3", "an MP4 file", True),
        (b"\0\0\0\x1cftypM4A \0\0\0\0" + bytes(3000), ".m4a", "an MP4 file", True),
        (id3_tag(40) + b"\xff\xf1\x50\x80" * 900, ".mp3", "an AAC file", True),
        (b"\x1a\x45\xdf\xa3" + bytes(3000), ".webm", "a Matroska or WebM file", True),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(99), ".wav", "a Windows Media file", True),
        (b"\r\n<!DOCTYPE html><title>404</title>" * 99, ".mp3", "a web page", False),
        (b"<html>not found</html>" * 99, ".flac", "a web page", False),
        (b"MThd\0\0\0\6" + bytes(99), ".mp3", "a MIDI file", False),
        (b"version https://git-lfs.github.com/spec/v1\n", ".wav", "a Git LFS pointer", False),
        (id3_tag(40, claimed=2**27) + b"text" * 900, ".mp3", "no MP3 frames", True),
        (b"text" * 900, ".mp3", "no MP3 frames", True),
    ],
)
def test_a_refusal_says_what_the_file_is(
    tmp_path: Path, content: bytes, suffix: str, what: str, is_convertible: bool
) -> None:
    message = refusal(tmp_path, content, suffix)
    assert what in message and ("ffmpeg -i FILE" in message) == is_convertible and "wav, flac" in message


@pytest.mark.parametrize("claimed", [0, 100, 5000, 2**20])
@pytest.mark.parametrize("name", ["MP3", "FLAC", "WAV", "OGG", "CAF"])
def test_a_tag_of_wrong_size_is_passed_over(tmp_path: Path, name: str, claimed: int) -> None:
    content = encode_format(name)
    assert np.array_equal(read(tmp_path, id3_tag(60, claimed=claimed) + content), read(tmp_path, content))


# Seeded mutations; tests/fuzz/audio.py tries a thousand.


@pytest.mark.parametrize("seeds", [range(start, start + 22) for start in (0, 22, 44)])
def test_mutations_end_in_sound_or_in_one_line(
    tmp_path: Path, seeds: range, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    outcomes = [try_case(seed, tmp_path) for seed in seeds]
    assert [outcome for outcome in outcomes if outcome.result == "FAULT"] == []
    assert {outcome.base for outcome in outcomes} == {make_case(seed).base for seed in range(22)}
    assert any(outcome.result == "sound" for outcome in outcomes)
    assert capfd.readouterr() == ("", "")


def test_case_files_of_a_fuzz_seed_are_always_the_same() -> None:
    assert make_case(5) == make_case(5) and make_file("flac") == make_file("flac")


def test_closing_in_the_middle_closes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "song.ogg"
    path.write_bytes(encode("OGG") * 2)
    with AudioReader(path) as reader:
        assert reader.read(10).shape == (2, 10)
    path.unlink()
