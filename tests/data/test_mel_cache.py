"""Mel cache: the right values, computed once per content and configuration, and whole files only."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import save

from data import mel_cache as module
from data.mel_cache import MelCache, MelCacheError
from stylize_core.errors import UserError
from stylize_core.mel import LogMel, MelConfig

CONFIG = MelConfig(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=16, f_max=4000.0)


def write_noise(path: Path, samples: int = 8000, seed: int = 0, rate: int = 8000) -> np.ndarray:
    wav = np.random.default_rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32)
    soundfile.write(path, wav, rate, subtype="FLOAT")
    return wav


def expected_mel(wav: np.ndarray, config: MelConfig = CONFIG) -> np.ndarray:
    return LogMel(config)(torch.from_numpy(wav)[None])[0].numpy()


@pytest.fixture
def cache(tmp_path: Path) -> MelCache:
    return MelCache(tmp_path / "cache", CONFIG)


@pytest.fixture
def computed(monkeypatch) -> list[str]:
    """Names of the files whose mels are really computed."""
    names: list[str] = []
    compute = MelCache.compute

    def count(cache: MelCache, path: Path) -> np.ndarray:
        names.append(path.name)
        return compute(cache, path)

    monkeypatch.setattr(MelCache, "compute", count)
    return names


def test_mel_is_log_mel_of_the_whole_file(cache: MelCache, tmp_path: Path) -> None:
    wav = write_noise(tmp_path / "a.wav", samples=8000 + 13)
    mel = cache.load(tmp_path / "a.wav")
    assert isinstance(mel, np.memmap) and mel.dtype == np.float16 and mel.shape == (16, 125)
    np.testing.assert_allclose(mel, expected_mel(wav), atol=2e-3)  # half precision
    with pytest.raises(ValueError, match="read-only"):
        mel[0, 0] = 0


def test_long_files_in_blocks_equal_the_whole(cache: MelCache, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_SECONDS", 1)
    wav = write_noise(tmp_path / "a.wav", samples=3 * 8000 + 100)
    np.testing.assert_allclose(cache.load(tmp_path / "a.wav"), expected_mel(wav), atol=5e-3)  # half precision


def test_stereo_is_averaged_and_resampled(cache: MelCache, tmp_path: Path) -> None:
    time = np.arange(16000) / 16000
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time)
    soundfile.write(tmp_path / "stereo.wav", np.stack([tone, 0.5 * tone], axis=1), 16000, subtype="FLOAT")
    mel = cache.load(tmp_path / "stereo.wav")
    at_8000 = 0.375 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    np.testing.assert_allclose(mel[:, 10:-10], expected_mel(at_8000.astype(np.float32))[:, 10:-10], atol=0.05)


def test_short_files_are_reflected_as_often_as_needed(cache: MelCache, tmp_path: Path) -> None:
    write_noise(tmp_path / "a.wav", samples=70)  # shorter than the reflection of 96 samples
    assert cache.load(tmp_path / "a.wav").shape == (16, 1)
    write_noise(tmp_path / "b.wav", samples=63)
    with pytest.raises(UserError, match=r"b\.wav is shorter than a mel frame: 63 of 64"):
        cache.load(tmp_path / "b.wav")


def test_same_content_is_computed_once(cache: MelCache, tmp_path: Path, computed: list[str]) -> None:
    write_noise(tmp_path / "a.wav")
    first = np.array(cache.load(tmp_path / "a.wav"))
    cache.load(tmp_path / "a.wav")
    (tmp_path / "copy.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    os.utime(tmp_path / "a.wav", (1, 1))
    again = MelCache(tmp_path / "cache", CONFIG)
    for name in ("a.wav", "copy.wav"):
        np.testing.assert_array_equal(again.load(tmp_path / name), first)
    assert computed == ["a.wav"]


def test_known_files_are_not_hashed_again(cache: MelCache, tmp_path: Path, monkeypatch) -> None:
    write_noise(tmp_path / "a.wav")
    first = np.array(cache.load(tmp_path / "a.wav"))
    monkeypatch.setattr(module, "file_digest", lambda path: pytest.fail("hashed again"))
    np.testing.assert_array_equal(MelCache(tmp_path / "cache", CONFIG).load(tmp_path / "a.wav"), first)


def test_changed_content_is_seen_while_the_cache_is_open(cache: MelCache, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_noise(path, seed=0)
    cache.load(path)
    changed = write_noise(path, seed=1)
    os.utime(path, ns=(1, 1))
    np.testing.assert_allclose(cache.load(path), expected_mel(changed), atol=2e-3)


def test_configurations_do_not_share_mels(cache: MelCache, tmp_path: Path) -> None:
    wav = write_noise(tmp_path / "a.wav")
    cache.load(tmp_path / "a.wav")
    other = dataclasses.replace(CONFIG, f_min=100.0)  # the same shape
    np.testing.assert_allclose(
        MelCache(tmp_path / "cache", other).load(tmp_path / "a.wav"), expected_mel(wav, other), atol=2e-3
    )


def damaged(content: bytes, other: bytes, how: str) -> bytes:
    """A cached mel that is not what was written; `other` is a whole one of a shorter file."""
    return {
        "half": content[: len(content) // 2],
        "empty": b"",
        "longer": content + b"more",
        "pickle": pickle.dumps(np.ones(3)),
        "bit": content[:-7] + bytes([content[-7] ^ 1]) + content[-6:],
        "zeros": content[:-400] + bytes(400),
        "header": (1 << 60).to_bytes(8, "little") + content[8:],
        "shorter song": other,
        "other shape": save({"mel": np.zeros((3, 5), np.float16)}),
        "other type": save({"mel": np.zeros((16, 5), np.float32)}),
        "other name": save({"noise": np.zeros((16, 5), np.float16)}),
        "no metadata": save({"mel": np.zeros((16, 5), np.float16)}),
    }[how]


@pytest.mark.parametrize(
    "how",
    ["half", "empty", "longer", "pickle", "bit", "zeros", "header", "shorter song", "other shape", "other type",
     "other name", "no metadata"],
)  # fmt: skip
def test_damaged_mels_are_made_again(how: str, cache: MelCache, tmp_path: Path, caplog) -> None:
    write_noise(tmp_path / "a.wav")
    write_noise(tmp_path / "b.wav", samples=3000, seed=1)
    good = np.array(cache.load(tmp_path / "a.wav"))
    (stored,) = (tmp_path / "cache").rglob("*.safetensors")
    cache.load(tmp_path / "b.wav")
    (other,) = {*(tmp_path / "cache").rglob("*.safetensors")} - {stored}
    content = stored.read_bytes()
    stored.write_bytes(damaged(content, other.read_bytes(), how))
    np.testing.assert_array_equal(MelCache(tmp_path / "cache", CONFIG).load(tmp_path / "a.wav"), good)
    assert stored.read_bytes() == content
    (line,) = caplog.messages
    assert str(stored) in line and "is damaged" in line and "made again" in line


def test_an_index_that_was_copied_over_another_is_not_believed(cache: MelCache, tmp_path: Path) -> None:
    write_noise(tmp_path / "a.wav")
    expected = np.array(cache.load(tmp_path / "a.wav"))
    (index,) = (tmp_path / "cache").rglob("*.txt")
    write_noise(tmp_path / "b.wav", samples=3000, seed=1)
    cache.load(tmp_path / "b.wav")
    (other,) = {*(tmp_path / "cache").rglob("*.txt")} - {index}
    for content in (other.read_bytes(), index.read_bytes()[:64], b"\xff", b""):
        index.write_bytes(content)
        np.testing.assert_array_equal(MelCache(tmp_path / "cache", CONFIG).load(tmp_path / "a.wav"), expected)


def test_a_mel_is_read_through_once_in_a_process(cache: MelCache, tmp_path: Path, monkeypatch) -> None:
    """However often it is opened; unless it changes."""
    monkeypatch.setattr(module, "_MAX_OPEN", 1)
    for name in ("a", "b"):
        write_noise(tmp_path / f"{name}.wav", seed=ord(name))
        cache.load(tmp_path / f"{name}.wav")
    monkeypatch.setattr(module, "_crc32", lambda mel: pytest.fail("read through again"))
    for name in ("a", "b", "a", "b"):
        cache.load(tmp_path / f"{name}.wav")
    os.utime(next((tmp_path / "cache").rglob("*.safetensors")), (1, 1))
    with pytest.raises(pytest.fail.Exception):
        for name in ("a", "b", "a"):
            cache.load(tmp_path / f"{name}.wav")


def test_mels_of_the_format_before_are_left_alone(cache: MelCache, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "_FORMAT", 1)
    old = MelCache(tmp_path / "cache", CONFIG)
    assert old._home != cache._home


def test_failed_writing_leaves_nothing(cache: MelCache, tmp_path: Path, monkeypatch) -> None:
    write_noise(tmp_path / "a.wav")

    def fill_disk(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "replace", fill_disk)
    with pytest.raises(MelCacheError, match="cannot write the mel cache in .*: disk full"):
        cache.load(tmp_path / "a.wav")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_cache_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    write_noise(tmp_path / "a.wav")
    with pytest.raises(MelCacheError, match="cannot write the mel cache"):
        MelCache(tmp_path / "a.wav", CONFIG).load(tmp_path / "a.wav")


def test_missing_and_foreign_files_are_errors(cache: MelCache, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.wav"):
        cache.load(tmp_path / "missing.wav")
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(UserError, match=r"text\.wav"):
        cache.load(tmp_path / "text.wav")


def test_few_files_are_kept_open(cache: MelCache, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "_MAX_OPEN", 3)
    for number in range(8):
        write_noise(tmp_path / f"{number}.wav", samples=1000, seed=number)
    before = len(os.listdir("/proc/self/fd"))
    firsts = [np.array(cache.load(tmp_path / f"{number}.wav")) for number in range(8)]
    assert len(os.listdir("/proc/self/fd")) - before <= 3
    for number in range(8):
        np.testing.assert_array_equal(cache.load(tmp_path / f"{number}.wav"), firsts[number])


def test_cache_travels_to_another_process_without_its_mels(cache: MelCache, tmp_path: Path) -> None:
    write_noise(tmp_path / "a.wav", samples=80000)
    mel = cache.load(tmp_path / "a.wav")
    packed = pickle.dumps(cache)
    assert len(packed) < 2000 < mel.nbytes
    np.testing.assert_array_equal(pickle.loads(packed).load(tmp_path / "a.wav"), mel)


def _load_all(cache: MelCache, paths: list[Path]) -> list[float]:
    torch.set_num_threads(1)
    return [float(cache.load(path).astype(np.float64).sum()) for path in paths]


def test_processes_can_fill_one_cache_together(cache: MelCache, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.wav" for number in range(6)]
    wavs = [write_noise(path, seed=number) for number, path in enumerate(paths)]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        answers = list(pool.map(_load_all, [cache] * 2, [paths] * 2))
    expected = [float(expected_mel(wav).astype(np.float16).astype(np.float64).sum()) for wav in wavs]
    assert answers[0] == answers[1] == pytest.approx(expected, rel=1e-4)
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 6
    assert not list((tmp_path / "cache").rglob("*.tmp"))
