"""MP3 frames counted: files with a right, a wrong and no length header."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stylize_core.audio.mp3 import parse_frame_header
from stylize_core.audio.reader import probe_audio, read_audio, scan_audio
from stylize_core.errors import UserError

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


@pytest.mark.parametrize("header", ["fffb", "fefb9064", "fff99064", "fffbf064", "fffb0064", "fffb9c64", "ffeb9064"])
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


def test_two_files_joined_are_read_to_the_end_of_the_second(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
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
def test_a_cut_inside_a_frame_is_noted_without_a_length_header(
    tmp_path: Path, rate: int, channels: int, part: float, caplog: pytest.LogCaptureFixture
) -> None:
    content = without_length_header(make_mp3(rate, channels))
    path = tmp_path / "cut.mp3"
    stop = int(part * len(content))
    path.write_bytes(content[:stop])
    begun, samples = sum(start < stop for start in frame_starts(content)), 1152 if rate >= 32000 else 576
    assert abs(scan_audio(path).frames - begun * samples) <= samples
    assert "bytes, less than" in caplog.text and "frames behind it may be missing" in caplog.text


def test_a_cut_between_frames_shows_by_the_length_header(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    content = make_mp3(44100, 2)
    path.write_bytes(content)
    starts = frame_starts(content)
    path.write_bytes(content[: starts[21]])
    with pytest.raises(UserError, match=f"20 of {len(starts) - 2} MP3 frames are complete"):
        probe_audio(path)


def with_sound(rate: int = 44100, channels: int = 2, seed: int = 1, bitrate_mode: str = "CONSTANT") -> bytes:
    """Noise of even loudness."""
    sound = 0.2 * np.random.default_rng(seed).standard_normal((rate, channels))
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format="MP3", bitrate_mode=bitrate_mode)
    return file.getvalue()


def heard_in(folder: Path, content: bytes) -> np.ndarray:
    path = folder / "song.mp3"
    path.write_bytes(content)
    wav = read_audio(path, mono=False)[0]
    assert probe_audio(path).frames == scan_audio(path).frames == wav.shape[1]
    return wav


@pytest.mark.parametrize(
    "tag",
    [
        b"",
        b"ID3\x04\0\x10\0\0\0\x05" + bytes(5) + b"3DI\x04\0\x10\0\0\0\x05",
        b"TAG" + bytes(125),
        b"TAG" + bytes(125) + b"ID3\x03\0\0\0\0\x01\0" + bytes(128),
    ],
)
def test_bare_files_are_joined_without_a_seam(tmp_path: Path, tag: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    first, second = (without_length_header(with_sound(seed=seed)) for seed in (1, 2))
    whole = heard_in(tmp_path, first + second)
    assert whole.shape[1] == 1152 * (len(frame_starts(first)) + len(frame_starts(second)) - 2)
    assert np.array_equal(heard_in(tmp_path, first + tag + second), whole)
    assert capfd.readouterr() == ("", "")


def test_joined_files_of_different_kinds(tmp_path: Path) -> None:
    parts = [with_sound(44100, 2), with_sound(32000, 1), with_sound(22050, 2)]
    for between in (b"", b"TAG" + bytes(125)):
        assert heard_in(tmp_path, between.join(parts)).shape == (2, 3 * 44100)


@pytest.mark.parametrize("is_bare", [False, True])
def test_a_hole_in_the_middle_is_passed_over_and_noted(
    tmp_path: Path, is_bare: bool, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    content = without_length_header(with_sound()) if is_bare else with_sound()
    whole = heard_in(tmp_path, content)
    middle = frame_starts(content)[len(frame_starts(content)) // 2]
    inserted = heard_in(tmp_path, content[:middle] + bytes(100_000) + content[middle:])
    assert inserted.shape == whole.shape and np.abs(inserted).max() < 1.5
    part = slice(0, whole.shape[1] // 3)
    assert np.array_equal(inserted[:, part], whole[:, part])
    np.testing.assert_allclose(inserted[:, -part.stop :], whole[:, -part.stop :], atol=1e-4)
    assert "song.mp3: 100000 bytes in it are no MP3 frames and are skipped" in caplog.text
    over = heard_in(tmp_path, content[: middle - 9] + bytes(2000) + content[middle + 1991 :])
    assert whole.shape[1] - 8 * 1152 <= over.shape[1] < whole.shape[1] and np.abs(over).max() < 1.5
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("missing", [1, 2, 4, 5, 100])
def test_a_last_frame_that_lacks_a_few_bytes_is_noted(
    tmp_path: Path, missing: int, caplog: pytest.LogCaptureFixture
) -> None:
    content = with_sound()
    whole = heard_in(tmp_path, content)
    short = heard_in(tmp_path, content[:-missing])
    assert short.shape == whole.shape and np.array_equal(short[:, :-1152], whole[:, :-1152])
    assert f"its last frame lacks {missing} bytes, less than 27 ms" in caplog.text
    bare = without_length_header(content)
    assert heard_in(tmp_path, bare[:-missing]).shape == heard_in(tmp_path, bare).shape


@pytest.mark.parametrize("announced", [0, 3, 30])
def test_a_length_header_that_says_too_little(
    tmp_path: Path, announced: int, capfd: pytest.CaptureFixture[str]
) -> None:
    content = with_sound()
    place = content.index(b"Info" if b"Info" in content[:200] else b"Xing")
    wrong = content[: place + 8] + announced.to_bytes(4, "big") + b"\0\0\0\7" + content[place + 16 :]
    assert heard_in(tmp_path, wrong).shape[1] == 1152 * (len(frame_starts(content)) - 2)
    assert capfd.readouterr() == ("", "")


def test_a_size_in_the_length_header_that_tags_make_wrong_is_no_reason_for_words(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = with_sound(bitrate_mode="VARIABLE")
    tag = b"ID3\x03\0\0\0\1\x07\x68" + bytes(128 * 128 + 7 * 128 + 0x68)
    whole = heard_in(tmp_path, content)
    assert np.array_equal(heard_in(tmp_path, tag + content + tag + b"TAG" + bytes(125)), whole)
    assert np.array_equal(heard_in(tmp_path, b"rubbish" * 30 + content), whole)
    assert np.array_equal(heard_in(tmp_path, content + b"rubbish" * 300), whole)
    assert capfd.readouterr() == ("", "")


def test_a_fraunhofer_length_header(tmp_path: Path) -> None:
    bare = without_length_header(with_sound())
    frame = parse_frame_header(bare[:4])
    assert frame is not None
    mark = b"VBRI" + bytes(10) + (len(frame_starts(bare)) - 1).to_bytes(4, "big")
    header = (bare[:4] + bytes(32) + mark).ljust(frame.size, b"\0")
    assert np.array_equal(heard_in(tmp_path, header + bare), heard_in(tmp_path, bare))


@pytest.mark.parametrize(
    ("header", "samples", "rate", "channels"),
    [
        ("fffd8404", 1152, 48000, 2),  # layer II, MPEG 1
        ("fff584c4", 1152, 24000, 1),  # layer II, MPEG 2
        ("ffff7404", 384, 48000, 2),  # layer I
        ("ffe388c4", 576, 8000, 1),  # layer III, MPEG 2.5
    ],
)
def test_the_other_layers_and_versions(
    tmp_path: Path, header: str, samples: int, rate: int, channels: int, capfd: pytest.CaptureFixture[str]
) -> None:
    frame = parse_frame_header(bytes.fromhex(header))
    assert frame is not None and (frame.samples, frame.sample_rate, frame.channels) == (samples, rate, channels)
    silence = bytes.fromhex(header).ljust(frame.size, b"\0")
    wav = heard_in(tmp_path, b"".join([silence] * 100))
    assert wav.shape == (channels, 100 * samples) and not wav.any()
    assert capfd.readouterr() == ("", "")


def test_damage_inside_frames_is_no_reason_for_words(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = bytearray(with_sound())
    rng = np.random.default_rng(0)
    starts = frame_starts(bytes(content))[2:-1]
    for start in starts:
        content[start + 4 : start + 60] = rng.bytes(56)
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    assert np.isfinite(read_audio(path)[0]).all()
    assert capfd.readouterr() == ("", "")
