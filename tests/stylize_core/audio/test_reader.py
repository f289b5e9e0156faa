"""Audio in: formats, block reading, resampling, and every bad file by its message."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from stylize_core.audio import reader as audio
from stylize_core.audio.reader import AudioReader, probe_audio, read_audio, resampled_length, scan_audio
from stylize_core.errors import UserError

FORMATS = {  # name: (file name, container, encoding)
    "wav16": ("a.wav", "WAV", "PCM_16"),
    "wav24": ("a.wav", "WAV", "PCM_24"),
    "wav8": ("a.wav", "WAV", "PCM_U8"),
    "wav-float": ("a.wav", "WAV", "FLOAT"),
    "wav-extensible": ("a.wav", "WAVEX", "PCM_16"),
    "rf64": ("a.wav", "RF64", "PCM_16"),
    "au": ("a.au", "AU", "PCM_16"),
    "aiff": ("a.aiff", "AIFF", "PCM_16"),
    "flac": ("a.flac", "FLAC", "PCM_24"),
    "ogg": ("a.ogg", "OGG", "VORBIS"),
    "opus": ("a.opus", "OGG", "OPUS"),
    "mp3": ("a.mp3", "MP3", "MPEG_LAYER_III"),
}


def make_sound(frames: int, channels: int = 2, seed: int = 0) -> np.ndarray:
    """Low-passed noise, which every codec keeps; float32 (channels, frames), within [-0.9, 0.9]."""
    noise = np.random.default_rng(seed).standard_normal((channels, frames + 64))
    window = np.hanning(33)
    smooth = np.apply_along_axis(np.convolve, 1, noise, window, "valid")[:, :frames]
    return np.clip(0.2 * smooth / np.linalg.norm(window), -0.9, 0.9).astype(np.float32)


def write_sound(folder: Path, name: str, sound: np.ndarray, rate: int) -> Path:
    file_name, container, subtype = FORMATS[name]
    path = folder / file_name
    soundfile.write(path, sound.T, rate, subtype=subtype, format=container)
    return path


def read_in_blocks(path: Path, samples: int, rate: int | None = None, mono: bool = False) -> np.ndarray:
    blocks = []
    with AudioReader(path, rate, mono) as reader:
        while (block := reader.read(samples)).shape[1]:
            assert block.dtype == np.float32 and block.flags.c_contiguous
            blocks.append(block)
        assert all(block.shape[1] == samples for block in blocks[:-1])
        assert reader.read(samples).shape == (reader.channels, 0)
    return np.concatenate(blocks, axis=1)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("channels", "rate"), [(1, 16000), (2, 48000)])
def test_every_format_is_read_to_the_sample(tmp_path: Path, name: str, channels: int, rate: int) -> None:
    sound = make_sound(20011, channels)
    path = write_sound(tmp_path, name, sound, rate)
    info = probe_audio(path)
    assert (info.path, info.sample_rate, info.channels, info.frames) == (path, rate, channels, 20011)
    assert info.subtype == FORMATS[name][2]
    assert info.seconds == 20011 / rate
    assert scan_audio(path) == info
    got, got_rate = read_audio(path, mono=False)
    assert got.shape == sound.shape and got.dtype == np.float32 and got_rate == rate
    bound = {"wav8": 0.011, "ogg": 0.3, "opus": 0.3, "mp3": 0.3, "wav24": 2e-7, "wav-float": 0.0}
    assert np.abs(got - sound).max() <= bound.get(name, 2**-15)
    assert np.corrcoef(got.ravel(), sound.ravel())[0, 1] > 0.97
    scores = [float(np.dot(np.roll(got[0], -delay), sound[0])) for delay in (-2, -1, 0, 1, 2)]
    assert int(np.argmax(scores)) == 2  # no delay
    assert np.array_equal(read_in_blocks(path, 997), got)


def test_more_than_two_channels_and_the_mean_of_them(tmp_path: Path) -> None:
    sound = make_sound(5000, channels=6)
    path = write_sound(tmp_path, "wav-float", sound, 44100)
    assert np.array_equal(read_audio(path, mono=False)[0], sound)
    mono, _ = read_audio(path)
    assert mono.shape == (1, 5000)
    np.testing.assert_allclose(mono[0], sound.astype(np.float64).mean(axis=0), atol=1e-7)


@pytest.mark.parametrize("rate", [8000, 12000, 16000, 24000, 48000])
def test_opus_in_blocks_equals_opus_in_one_read(tmp_path: Path, rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "_BLOCK_FRAMES", 3001)
    path = write_sound(tmp_path, "opus", make_sound(3 * rate + 17, 1), rate)
    whole = soundfile.read(path, dtype="float32")[0]
    for samples in (1000, 7777):
        assert np.array_equal(read_in_blocks(path, samples)[0], whole)


@pytest.mark.parametrize(
    ("from_rate", "to_rate"),
    [(44100, 22050), (48000, 22050), (22050, 44100), (8000, 22050), (44101, 22050), (192000, 8000)],
)
def test_resampled_blocks_equal_resampling_the_whole(tmp_path: Path, from_rate: int, to_rate: int) -> None:
    # More than one block of the decoder (65536), and an odd number.
    sound = make_sound(150001)
    path = write_sound(tmp_path, "wav-float", sound, from_rate)
    whole = soxr.resample(sound.T, from_rate, to_rate).T
    total = resampled_length(150001, from_rate, to_rate)
    assert 0 <= total - whole.shape[1] <= 1  # soxr rounds to the nearest, we round up
    reference, _ = read_audio(path, to_rate, mono=False)
    for samples in (1009, 65536, 10**6):
        got = read_in_blocks(path, samples, to_rate)
        assert got.shape == (2, total)
        np.testing.assert_allclose(got[:, : whole.shape[1]], whole, atol=1e-6)
        assert np.array_equal(got, reference)
    mono = read_in_blocks(path, 4096, to_rate, mono=True)
    np.testing.assert_allclose(mono[0], reference.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(48000, 22050), (96000, 22050), (8000, 44100)])
@pytest.mark.parametrize("frames", [1, 2, 3, 1000, 65536, 65537])
def test_the_resampled_length_is_exact(tmp_path: Path, from_rate: int, to_rate: int, frames: int) -> None:
    path = write_sound(tmp_path, "wav16", make_sound(frames, 1), from_rate)
    expected = -(-frames * to_rate // from_rate)
    assert read_audio(path, to_rate)[0].shape == (1, expected)


def test_resampled_length_rounds_up() -> None:
    assert resampled_length(44100, 44100, 22050) == 22050
    assert resampled_length(44101, 44100, 22050) == 22051
    assert resampled_length(1, 96000, 22050) == 1
    assert resampled_length(10**12 + 1, 3, 3) == 10**12 + 1


@pytest.mark.parametrize(("from_rate", "to_rate"), [(44100, 22050), (22050, 44100), (16000, 48000)])
def test_an_impulse_stays_where_it_is(tmp_path: Path, from_rate: int, to_rate: int) -> None:
    sound = np.zeros((1, from_rate), np.float32)
    sound[0, from_rate // 2] = 0.9
    path = write_sound(tmp_path, "wav-float", sound, from_rate)
    got = read_in_blocks(path, 1000, to_rate)[0]
    peak = int(np.argmax(np.abs(got)))
    assert peak == to_rate // 2
    np.testing.assert_allclose(got[peak - 50 : peak], got[peak + 50 : peak : -1], atol=1e-4)  # linear phase


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak_memory(seconds: int) -> int:
        path = write_sound(tmp_path, "wav16", np.zeros((2, 8000 * seconds)), 8000)
        tracemalloc.start()
        with AudioReader(path, 22050) as reader:
            while reader.read(10000).size:
                pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert peak_memory(160) < 1.1 * peak_memory(40)


def test_float_files_may_exceed_full_scale(tmp_path: Path) -> None:
    path = write_sound(tmp_path, "wav-float", np.full((1, 100), 1.75), 8000)
    assert (read_audio(path)[0] == 1.75).all()


def test_silence_is_audio(tmp_path: Path) -> None:
    path = write_sound(tmp_path, "wav16", np.zeros((2, 1000)), 8000)
    assert scan_audio(path).frames == 1000
    assert not read_audio(path)[0].any()


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    path = write_sound(tmp_path, "wav16", np.zeros((2, 1000)), 8000)
    with pytest.raises(ValueError, match="positive, got 0"):
        AudioReader(path, sample_rate=0)
    with AudioReader(path) as reader, pytest.raises(ValueError, match="at least 1, got 0"):
        reader.read(0)


def test_what_is_no_audio_is_said_without_a_word_from_the_decoder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = b"These are notes, not a song.\n" * 300
    contents = {
        "notes.wav": (text, "is not audio that can be read .*ffmpeg"),
        "notes.raw": (text, "is not audio that can be read"),
        "notes.mp3": (text, "no MP3 frames"),
        "tag.mp3": (b"ID3\x04\0\0\0\0\0\0" + text, "no MP3 frames"),
        "noise.mp3": (np.random.default_rng(1).bytes(100000), "no MP3 frames"),
        "riff.wav": (b"RIFF\0\0\0\0WAVE" + text, "cannot be decoded"),
        "empty.wav": (b"", r"is empty \(0 bytes\)"),
    }
    for name, (content, message) in contents.items():
        (tmp_path / name).write_bytes(content)
        for check in (probe_audio, scan_audio, read_audio):
            with pytest.raises(UserError, match=f"{name}.*{message}") as caught:
                check(tmp_path / name)
            assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"nowhere\.wav does not exist"):
        probe_audio(tmp_path / "nowhere.wav")
    (tmp_path / "link.wav").symlink_to("nowhere.wav")
    with pytest.raises(UserError, match=r"link\.wav is a broken link to nowhere\.wav"):
        probe_audio(tmp_path / "link.wav")
    with pytest.raises(UserError, match="is a folder, expected an audio file"):
        probe_audio(tmp_path)
    with pytest.raises(UserError, match="/dev/null is not a regular file"):
        probe_audio("/dev/null")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["wav16", "aiff", "au", "ogg"])
def test_zero_samples_are_refused(tmp_path: Path, name: str) -> None:
    path = write_sound(tmp_path, name, np.zeros((2, 0)), 44100)
    for check in (probe_audio, scan_audio):
        with pytest.raises(UserError, match="holds no samples"):
            check(path)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("part", [0.6, 0.9])
def test_a_file_without_its_end_is_refused(
    tmp_path: Path, name: str, part: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_sound(tmp_path, name, make_sound(60000), 48000)
    content = path.read_bytes()
    assert scan_audio(path).frames == 60000
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=r"is cut off: .*; get the whole file, or keep what is there"):
        scan_audio(path)
    with pytest.raises(UserError, match="is cut off"):
        read_audio(path)
    if name != "flac":
        with pytest.raises(UserError, match="is cut off"):
            probe_audio(path)
    assert capfd.readouterr() == ("", "")


def test_an_ogg_file_cut_between_two_pages_is_read_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_sound(tmp_path, "ogg", make_sound(200000), 48000)
    content = path.read_bytes()
    assert content.count(b"OggS") > 3
    path.write_bytes(content[: content.rindex(b"OggS")])
    assert 100_000 < probe_audio(path).frames == scan_audio(path).frames < 200_000
    assert f"{path}: its Ogg stream has no mark at its end; pages behind may be missing" in caplog.text


def test_a_damaged_flac_is_refused(tmp_path: Path) -> None:
    path = write_sound(tmp_path, "flac", make_sound(60000), 48000)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"decoding fails after 0\.\d s of 1\.2 s"):
        scan_audio(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_a_number_is_refused_with_its_place(tmp_path: Path, value: float) -> None:
    sound = make_sound(100000)
    sound[1, 88200] = value
    path = write_sound(tmp_path, "wav-float", sound, 44100)
    assert probe_audio(path).frames == 100000
    for check in (scan_audio, read_audio):
        with pytest.raises(UserError, match=r"NaN or infinite samples \(the first at 2\.000 s\)"):
            check(path)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_file_from_a_pipe_has_no_length_and_is_whole(tmp_path: Path, size: int) -> None:
    path = write_sound(tmp_path, "wav16", make_sound(3000), 44100)
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    assert scan_audio(path).frames == 3000


def test_a_flac_stream_without_a_length_is_decoded_to_know(tmp_path: Path) -> None:
    path = write_sound(tmp_path, "flac", make_sound(100000), 44100)
    content = bytearray(path.read_bytes())
    content[8 + 13] &= 0xF0  # the stream information's 36 bits of length
    content[8 + 14 : 8 + 18] = bytes(4)
    path.write_bytes(content)
    assert probe_audio(path).frames == 100000
    assert read_audio(path, 22050)[0].shape == (1, 50000)
