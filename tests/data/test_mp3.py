"""MP3 frames counted: files with a right, a wrong and no length header."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data.audio import probe_audio, read_audio, scan_audio
from data.errors import UserError
from data.mp3 import parse_frame_header

RATE_AND_CHANNELS = [(44100, 2), (44100, 1), (22050, 2), (22050, 1), (8000, 1)]


def make_mp3(rate: int, channels: int, seconds: float = 2.0) -> bytes:
    """Silence, then noise: the first frames are small, so a length guessed from them is far off."""
    frames = round(seconds * rate)
    sound = 0.3 * np.random.default_rng(0).standard_normal((frames, channels))
    sound[: frames // 4] = 0.0
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format="MP3", bitrate_mode="VARIABLE")
    return file.getvalue()


def without_length_header(content: bytes) -> bytes:
    frame = parse_frame_header(content[:4])
    assert frame is not None and content[4 + frame.side_information :].startswith((b"Xing", b"Info"))
    return content[frame.size :]


def frame_starts(content: bytes) -> list[int]:
    """Offsets of the frames of a file without tags, and its end."""
    starts = [0]
    while (frame := parse_frame_header(content[starts[-1] : starts[-1] + 4])) is not None:
        starts.append(starts[-1] + frame.size)
    assert starts[-1] == len(content)
    return starts


def test_frame_headers_of_known_files() -> None:
    # 128 kbit/s, 44.1 kHz, joint stereo: 417 bytes, 418 with padding (144 * 128000 / 44100 = 417.96).
    plain = parse_frame_header(bytes([0xFF, 0xFB, 0x90, 0x64]))
    padded = parse_frame_header(bytes([0xFF, 0xFB, 0x92, 0x64]))
    assert plain is not None and padded is not None
    assert (plain.size, plain.samples, plain.sample_rate, plain.channels) == (417, 1152, 44100, 2)
    assert padded.size == 418
    # MPEG 2, 64 kbit/s, 22.05 kHz, mono: 72 * 64000 / 22050 = 208.98.
    half_rate = parse_frame_header(bytes([0xFF, 0xF3, 0x80, 0xC4]))
    assert half_rate is not None
    assert (half_rate.size, half_rate.samples, half_rate.sample_rate, half_rate.channels) == (
        208,
        576,
        22050,
        1,
    )


@pytest.mark.parametrize(
    "header", ["fffb", "fefb9064", "fff99064", "fffbf064", "fffb0064", "fffb9c64", "ffeb9064"]
)
def test_what_is_no_layer_three_header(header: str) -> None:
    assert parse_frame_header(bytes.fromhex(header)) is None


@pytest.mark.parametrize(("rate", "channels"), RATE_AND_CHANNELS)
def test_a_file_without_a_length_header_is_read_to_its_end(tmp_path: Path, rate: int, channels: int) -> None:
    content = make_mp3(rate, channels)
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    whole = read_audio(path, mono=False)[0]
    assert whole.shape == (channels, 2 * rate)
    bare = without_length_header(content)
    path.write_bytes(bare)
    info = probe_audio(path)
    samples_per_frame = 1152 if rate > 24000 else 576
    expected = (len(frame_starts(bare)) - 1) * samples_per_frame
    assert (info.sample_rate, info.channels, info.frames) == (rate, channels, expected)
    assert scan_audio(path) == info
    got = read_audio(path, mono=False)[0]
    assert got.shape == (channels, info.frames)
    # The same sound, behind a delay of the encoder that only the length header told.
    delay = info.frames - whole.shape[1]
    assert 0 < delay < 5 * samples_per_frame
    scores = [np.abs(got[:, lag : lag + whole.shape[1]] - whole).max() for lag in range(delay)]
    assert min(scores) < 1e-4


def test_tags_around_the_frames_change_nothing(tmp_path: Path) -> None:
    content = make_mp3(22050, 1)
    id3v2 = b"ID3\x03\0\0\0\0\x07\x68" + bytes(7 * 128 + 0x68)
    path = tmp_path / "song.mp3"
    for sound in (content, without_length_header(content)):
        path.write_bytes(sound)
        expected = read_audio(path)[0]
        for leading, trailing in ((id3v2, b""), (b"", b"TAG" + bytes(125)), (id3v2, b"APETAGEX" + bytes(24))):
            path.write_bytes(leading + sound + trailing)
            assert np.array_equal(read_audio(path)[0], expected)


def test_two_files_joined_are_read_to_the_end_of_the_second(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = make_mp3(44100, 2)
    path = tmp_path / "joined.mp3"
    path.write_bytes(content)
    single = read_audio(path, mono=False)[0]
    path.write_bytes(content + content)
    assert scan_audio(path).frames == probe_audio(path).frames == 2 * single.shape[1]
    assert np.array_equal(read_audio(path, mono=False)[0], np.concatenate([single, single], axis=1))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("rate", "channels"), RATE_AND_CHANNELS)
@pytest.mark.parametrize("part", [0.6, 0.97])
def test_a_cut_inside_a_frame_shows_without_a_length_header(
    tmp_path: Path, rate: int, channels: int, part: float
) -> None:
    content = without_length_header(make_mp3(rate, channels))
    path = tmp_path / "cut.mp3"
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=r"is cut off: \d+ MP3 frames are complete"):
        probe_audio(path)


def test_a_cut_between_frames_shows_by_the_length_header(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    content = make_mp3(44100, 2)
    path.write_bytes(content)
    starts = frame_starts(content)
    path.write_bytes(content[: starts[21]])
    with pytest.raises(UserError, match=f"20 of {len(starts) - 2} MP3 frames are complete"):
        probe_audio(path)
