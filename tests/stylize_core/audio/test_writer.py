"""Audio out: exact lengths and values, clipping, and nothing half-written whatever happens."""

from __future__ import annotations

import errno
import logging
import os
import signal
import stat
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stylize_core.audio import writer as audio_writer
from stylize_core.audio.reader import AudioWriter, check_output, matching_subtype, probe_audio, read_audio, scan_audio
from stylize_core.errors import UserError

EXTENSIONS = ("wav", "flac", "ogg", "opus", "mp3")


def make_noise(frames: int, channels: int = 2, level: float = 0.2) -> np.ndarray:
    """Float32 (channels, frames)."""
    noise = np.random.default_rng(0).standard_normal((channels, frames))
    return np.clip(level * noise, -0.9, 0.9).astype(np.float32)


def make_smooth_noise(frames: int, channels: int) -> np.ndarray:
    """Low-passed noise, which every codec keeps; float32 (channels, frames)."""
    window = np.hanning(33)
    noise = make_noise(frames + 32, channels, level=0.2 / float(np.linalg.norm(window)))
    return np.apply_along_axis(np.convolve, 1, noise, window, "valid").astype(np.float32)


def find_delay(got: np.ndarray, sound: np.ndarray) -> int:
    """The number of samples by which `got` correlates best with `sound`, negative where it is early."""
    size = 2 * sound.shape[1]
    product = np.fft.rfft(got[0], size) * np.fft.rfft(sound[0], size).conj()
    delay = int(np.argmax(np.fft.irfft(product, size)))
    return delay if delay < size // 2 else delay - size


def write_file(
    path: Path, sound: np.ndarray, rate: int = 48000, block: int = 10007, **options: str | bool | None
) -> AudioWriter:
    with AudioWriter(path, rate, len(sound), **options) as writer:  # type: ignore[arg-type]
        for start in range(0, sound.shape[1], block):
            writer.write(sound[:, start : start + block])
    return writer


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (24000, 1), (8000, 1)])
@pytest.mark.parametrize("frames", [1, 1151, 70001])
def test_the_length_is_exact_and_nothing_is_delayed(
    tmp_path: Path, extension: str, rate: int, channels: int, frames: int
) -> None:
    sound = make_smooth_noise(frames, channels)
    path = tmp_path / f"out.{extension.upper()}"
    writer = write_file(path, sound, rate)
    assert names_in(tmp_path) == [path.name]
    info = scan_audio(path)
    assert (info.sample_rate, info.channels, info.frames) == (rate, channels, frames)
    assert (writer.frames, writer.gain, writer.peak) == (frames, 1.0, float(np.abs(sound).max()))
    if frames > 1:
        got, _ = read_audio(path, mono=False)
        assert find_delay(got, sound) == 0
        assert np.corrcoef(got.ravel(), sound.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("extension", ["wav", "flac"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_samples_without_loss_come_back_as_they_were(tmp_path: Path, extension: str, subtype: str) -> None:
    if (extension, subtype) == ("flac", "FLOAT"):
        pytest.skip("flac has no float")
    bits = {"PCM_16": 16, "PCM_24": 24, "FLOAT": 20}[subtype]
    integers = np.random.default_rng(0).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (2, 5000))
    sound = (integers / 2 ** (bits - 1)).astype(np.float32)
    path = tmp_path / f"out.{extension}"
    write_file(path, sound, subtype=subtype)
    assert probe_audio(path).subtype == subtype
    assert np.array_equal(read_audio(path, mono=False)[0], sound)


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24), ("PCM_32", 32)])
def test_full_scale_never_wraps_round(tmp_path: Path, subtype: str, bits: int) -> None:
    path = tmp_path / "out.wav"
    sound = np.array([[1.0, -1.0, 0.5, -0.5, 0.0, 0.4 * 2.0**-15, -0.4 * 2.0**-15]], np.float32)
    assert write_file(path, sound, subtype=subtype).gain == 1.0
    integers = soundfile.read(path, dtype="int32")[0] >> (32 - bits)
    full = 2 ** (bits - 1)
    assert list(integers[:5]) == [full - 1, -full, full // 2, -full // 2, 0]
    if bits == 16:  # rounded, not cut: what is next to silence stays silent
        assert list(integers[5:]) == [0, 0]


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_peak_over_full_scale_turns_the_whole_file_down(
    tmp_path: Path, subtype: str, caplog: pytest.LogCaptureFixture
) -> None:
    sound = make_noise(100000)
    sound[1, 99000] = -2.5  # late: the first block is written before the peak is known
    with caplog.at_level(logging.WARNING):
        writer = write_file(tmp_path / "out.wav", sound, subtype=subtype)
    assert writer.peak == 2.5
    assert writer.gain == pytest.approx((1 - 2**-15) / 2.5)
    got, _ = read_audio(tmp_path / "out.wav", mono=False)
    np.testing.assert_allclose(got, sound * writer.gain, atol=2**-16 if subtype == "PCM_16" else 1e-7)
    assert got.min() == pytest.approx(-1 + 2**-15, abs=1e-7)
    (record,) = caplog.records
    message = record.getMessage()
    assert "out.wav: peak 2.500 is over full scale" in message
    assert "turned down by 7.96 dB (gain 0.4000)" in message


def test_full_scale_itself_is_not_turned_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sound = np.array([[1.0, -1.0]], np.float32)
    assert write_file(tmp_path / "out.wav", sound, subtype="FLOAT").gain == 1.0
    assert np.array_equal(read_audio(tmp_path / "out.wav")[0], sound)
    assert not caplog.records


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_interruption_leaves_the_folder_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    old = tmp_path / "old.wav"
    old.write_bytes(b"something of value")
    for path in (old, tmp_path / "new.wav"):
        with pytest.raises(error), AudioWriter(path, 44100, 2, force=True) as writer:
            writer.write(make_noise(1000))
            hidden = [name for name in names_in(tmp_path) if name != "old.wav"]
            assert len(hidden) == 1 and hidden[0].startswith(".")
            raise error
        assert names_in(tmp_path) == ["old.wav"]
        assert old.read_bytes() == b"something of value"


def test_ctrl_c_while_the_file_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = 0

    def interrupted(samples: np.ndarray, subtype: str) -> np.ndarray:
        nonlocal blocks
        blocks += 1
        if blocks == 2:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        return samples

    monkeypatch.setattr(audio_writer, "quantize", interrupted)
    monkeypatch.setattr(audio_writer, "_BLOCK_FRAMES", 100)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "out.ogg", make_noise(20000))
    assert 2 <= blocks < 50
    assert names_in(tmp_path) == []


def test_an_existing_file_is_replaced_only_with_force(tmp_path: Path) -> None:
    path = tmp_path / "out.flac"
    path.write_bytes(b"old")
    with pytest.raises(UserError, match="exists already; choose another name or use --force"):
        AudioWriter(path, 44100, 1)
    assert path.read_bytes() == b"old"
    with AudioWriter(path, 44100, 1, force=True) as writer:
        writer.write(make_noise(100, 1))
        assert path.read_bytes() == b"old"
    assert probe_audio(path).frames == 100
    other = tmp_path / "other.wav"
    with pytest.raises(UserError, match="has appeared meanwhile"), AudioWriter(other, 44100, 1) as writer:
        writer.write(make_noise(100, 1))
        other.write_bytes(b"somebody else's")
    assert names_in(tmp_path) == ["other.wav", "out.flac"] and other.read_bytes() == b"somebody else's"


def test_the_file_has_ordinary_permissions(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        write_file(tmp_path / "out.wav", make_noise(10))
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "out.wav").stat().st_mode) == 0o644


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("no mount command")
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_disk_that_is_full_at_the_first_or_the_second_pass(small_disk: Path, extension: str) -> None:
    path = small_disk / f"out.{extension}"
    path.write_bytes(b"something of value")
    sound = make_noise(60000)  # 480000 bytes of float
    with pytest.raises(UserError, match=r"disk full while writing .*; free some space"):
        write_file(path, np.tile(sound, 3), force=True)
    assert names_in(small_disk) == [path.name]
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2**20 - 480000 - 5 * 4096))  # the float samples fit, the file does not
    with pytest.raises(UserError, match="disk full while writing"):
        write_file(path, sound, force=True)
    assert names_in(small_disk) == ["ballast", path.name]
    assert path.read_bytes() == b"something of value"
    ballast.unlink()
    write_file(path, sound, force=True)
    assert scan_audio(path).frames == 60000


def test_no_error_of_the_disk_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FailsOnce(audio_writer._OutputFile):
        def write(self, data: bytes) -> int:
            self._failure = OSError(errno.EIO, "Input/output error")
            return self._file.write(data)

    monkeypatch.setattr(audio_writer, "_OutputFile", FailsOnce)
    with pytest.raises(UserError, match=r"out\.ogg cannot be written: Input/output error"):
        write_file(tmp_path / "out.ogg", make_noise(1000))
    assert names_in(tmp_path) == []


def test_a_file_too_large_for_the_system(tmp_path: Path) -> None:
    program = (
        "import resource, sys, numpy\n"
        "from stylize_core.audio.reader import AudioWriter\n"
        "from stylize_core.errors import UserError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))\n"
        "try:\n"
        "    with AudioWriter(sys.argv[1], 44100, 1) as writer:\n"
        "        writer.write(numpy.zeros((1, 44100)))\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    root = Path(audio_writer.__file__).parents[1]
    command = [sys.executable, "-c", program, str(tmp_path / "out.wav")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert "out.wav becomes too large for its disk" in done.stdout and done.stderr == ""
    assert names_in(tmp_path) == []


def test_a_wav_file_beyond_four_gigabytes_is_rf64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = make_noise(1000)
    monkeypatch.setattr(audio_writer, "_RIFF_LIMIT", 3999)
    write_file(tmp_path / "large.wav", sound)  # 4000 bytes of samples
    monkeypatch.setattr(audio_writer, "_RIFF_LIMIT", 4000)
    write_file(tmp_path / "small.wav", sound)
    assert (tmp_path / "large.wav").read_bytes()[:4] == b"RF64"
    assert (tmp_path / "small.wav").read_bytes()[:4] == b"RIFF"
    assert scan_audio(tmp_path / "large.wav").frames == 1000
    assert np.array_equal(read_audio(tmp_path / "large.wav")[0], read_audio(tmp_path / "small.wav")[0])


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    block = make_noise(8000)

    def peak_memory(seconds: int) -> int:
        tracemalloc.start()
        with AudioWriter(tmp_path / "out.wav", 8000, 2, force=True) as writer:
            for _ in range(seconds):
                writer.write(block)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert peak_memory(160) < 1.1 * peak_memory(40)


def test_wrong_blocks_are_refused(tmp_path: Path) -> None:
    with AudioWriter(tmp_path / "out.wav", 44100, 2) as writer:
        for shape in ((1, 5), (5, 2), (5,)):
            with pytest.raises(ValueError, match=r"got a block of shape .*, expected \(2, samples\)"):
                writer.write(np.zeros(shape))
        writer.write(np.zeros((2, 5)))
    (tmp_path / "out.wav").unlink()
    for value in (np.nan, np.inf):
        with pytest.raises(UserError, match=r"got NaN or infinite samples after 0\.500 s .* the model that made them"):
            write_file(tmp_path / "out.wav", np.array([[0.0, value]]), rate=2, block=1)
    with pytest.raises(ValueError, match="no samples were written"):
        write_file(tmp_path / "out.wav", np.zeros((2, 0)))
    with pytest.raises(ValueError, match="only inside its with statement"):
        AudioWriter(tmp_path / "out.wav", 44100, 2).write(np.zeros((2, 5)))
    assert names_in(tmp_path) == []


def test_outputs_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, message in {
        "out.m4a": "unknown extension .m4a; use one of: wav flac ogg opus mp3",
        "out": "has no extension; use one of: wav flac ogg opus mp3",
        "no/out.wav": r"the folder .*no does not exist; create it first: mkdir -p",
    }.items():
        with pytest.raises(UserError, match=message) as caught:
            check_output(tmp_path / name)
        assert "\n" not in str(caught.value)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(UserError, match=r"folder\.wav is a folder"):
        check_output(tmp_path / "folder.wav", force=True)
    (tmp_path / "device.wav").symlink_to("/dev/null")
    with pytest.raises(UserError, match="is not a regular file"):
        check_output(tmp_path / "device.wav", force=True)
    check_output(tmp_path / "out.wav")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(UserError, match="is not writable; choose another one"):
        check_output(tmp_path / "out.wav")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_write_protected_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match="is not writable"):
        check_output(tmp_path / "out.wav")


def test_what_a_format_cannot_store(tmp_path: Path) -> None:
    for name, rate, channels, message in [
        ("out.opus", 44100, 2, "opus cannot store 44100 Hz .*--sample-rate 48000, or the extension ogg"),
        ("out.opus", 22050, 2, "--sample-rate 24000"),
        ("out.mp3", 96000, 2, "mp3 cannot store 96000 Hz .*--sample-rate 48000"),
        ("out.mp3", 44100, 6, "mp3 cannot store 6 channels at 44100 Hz; use the extension wav"),
        ("out.flac", 44100, 9, "flac cannot store 9 channels"),
    ]:
        path = tmp_path / name
        check_output(path)
        with pytest.raises(UserError, match=message):
            check_output(path, sample_rate=rate, channels=channels)
        with pytest.raises(UserError, match=message):
            AudioWriter(path, rate, channels)
    with pytest.raises(UserError, match="no encoding FLOAT there; use one of: PCM_16, PCM_24"):
        check_output(tmp_path / "out.flac", subtype="FLOAT")
    check_output(tmp_path / "out.opus", sample_rate=16000, channels=2)
    assert names_in(tmp_path) == []


def test_the_encoding_that_keeps_the_precision_of_the_source() -> None:
    expected = {
        ("PCM_16", "wav"): "PCM_16",
        ("PCM_24", "wav"): "PCM_24",
        ("PCM_32", "wav"): "PCM_24",
        ("FLOAT", "wav"): "FLOAT",
        ("DOUBLE", "wav"): "FLOAT",
        ("VORBIS", "wav"): "PCM_16",
        ("MPEG_LAYER_III", "WAV"): "PCM_16",
        ("PCM_16", "flac"): "PCM_16",
        ("PCM_24", "flac"): "PCM_24",
        ("FLOAT", "flac"): "PCM_24",
        ("FLOAT", "ogg"): None,
        ("PCM_16", "opus"): None,
        ("PCM_24", "mp3"): None,
    }
    for (source, extension), subtype in expected.items():
        assert matching_subtype(source, f"out.{extension}") == subtype, (source, extension)


@pytest.mark.parametrize("extension", ["ogg", "opus", "mp3"])
def test_a_higher_quality_is_a_larger_file(tmp_path: Path, extension: str) -> None:
    sound = make_noise(48000)
    sizes = []
    for quality in (0.0, None, 10.0):
        path = tmp_path / f"out{quality}.{extension}"
        with AudioWriter(path, 48000, 2, quality=quality) as writer:
            writer.write(sound)
        assert scan_audio(path).frames == 48000
        sizes.append(path.stat().st_size)
    assert sizes == sorted(sizes) and sizes[0] < 0.7 * sizes[1] and sizes[1] < sizes[2]


def test_what_a_format_has_no_choice_of(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"got --quality 5; \.wav has --bits instead"):
        AudioWriter(tmp_path / "out.wav", 48000, 2, quality=5.0)
    assert matching_subtype("PCM_16", "out.flac", "24") == "PCM_24"
    assert matching_subtype("PCM_16", "out.wav", "float") == "FLOAT"
    assert matching_subtype("PCM_24", "out.wav", "16") == "PCM_16"
