"""Translated mels and their recordings: written whole, found again, and aligned to the sample."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from data.segments import AudioSegments
from data.translated import MixedSegments, TranslatedFolder, TranslatedMel, TranslatedSegments
from stylize_core.errors import UserError
from stylize_core.mel import LogMel, MelConfig

RATE = 22050
MEL = MelConfig(n_fft=512, win_length=512, hop_length=128, n_mels=8)
HOP, FRAMES = MEL.hop_length, 16


def write_wav(path: Path, wav: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wav, RATE, subtype="FLOAT")
    return path


def ramp(frames: int) -> np.ndarray:
    """Sample n has the value n / 2**20."""
    return np.arange(frames * HOP, dtype=np.float32) / 2**20


def counted(frames: int) -> np.ndarray:
    """A mel whose frame t has the value -t / 512, exact in half precision."""
    return np.tile(-np.arange(frames, dtype=np.float32) / 512, (MEL.n_mels, 1))


@pytest.fixture
def folder(tmp_path: Path) -> TranslatedFolder:
    """Three recordings of two sources in train, one in valid."""
    folder = TranslatedFolder.create(tmp_path / "translated", MEL, "digest")
    for name, source, split, frames in (
        ("a", "big", "train", 400), ("b", "big", "train", 100), ("c", "small", "train", 50), ("d", "big", "valid", 60)
    ):  # fmt: skip
        audio = write_wav(tmp_path / "audio" / f"{name}.wav", ramp(frames))
        folder.add(f"{source}/{name}.safetensors", counted(frames), audio=audio, source=source, split=split, style="x")
    return folder


def segments(folder: TranslatedFolder, **changes) -> TranslatedSegments:
    settings = {"split": "train", "mel_config": MEL, "segment_frames": FRAMES, "seed": 0, "gain_db": 0.0}
    return TranslatedSegments([folder.root], **(settings | {"seconds_per_item": 0.1} | changes))


def test_mel_and_samples_are_of_the_same_place(folder: TranslatedFolder) -> None:
    dataset = segments(folder)
    starts = []
    for epoch in range(20):
        for index in range(len(dataset)):
            item = dataset[epoch, index]
            assert item["wav"].shape == (FRAMES * HOP,) and item["mel"].shape == (8, FRAMES)
            first = round(float(item["wav"][0]) * 2**20)
            assert first % HOP == 0
            np.testing.assert_allclose(item["wav"].numpy() * 2**20, np.arange(first, first + FRAMES * HOP))
            expected = -(first // HOP + np.arange(FRAMES)) / 512
            np.testing.assert_array_equal(item["mel"].numpy(), np.tile(expected.astype(np.float32), (8, 1)))
            starts.append(first // HOP)
    assert min(starts) == 0 and max(starts) > 380  # the last frame of 400 is reached from 384


def test_a_click_is_in_the_frame_that_covers_its_sample(tmp_path: Path) -> None:
    """A true mel, written and cut: frame t is loudest for a click in the middle of samples [t hop, (t + 1) hop)."""
    wav = np.zeros(200 * HOP, np.float32)
    clicks = [37, 90, 151]
    wav[[frame * HOP + HOP // 2 for frame in clicks]] = 0.9
    audio = write_wav(tmp_path / "clicks.wav", wav)
    mel = LogMel(MEL)(torch.from_numpy(wav)[None])[0].numpy()
    folder = TranslatedFolder.create(tmp_path / "out", MEL, "digest")
    folder.add("clicks.safetensors", mel, audio=audio, source="s", split="train", style="x")
    dataset, found = segments(folder, seconds_per_item=0.01), 0
    for epoch in range(3):
        for index in range(len(dataset)):
            item = dataset[epoch, index]
            places = item["wav"].nonzero().flatten().tolist()
            if len(places) == 1 and 4 * HOP <= places[0] < 12 * HOP:
                assert places[0] % HOP == HOP // 2
                assert int(item["mel"].mean(dim=0).argmax()) == places[0] // HOP
                found += 1
    assert found > 10


def test_a_crop_equals_the_same_stretch_of_the_whole(folder: TranslatedFolder) -> None:
    dataset = segments(folder, segment_frames=20)
    for pair in dataset.pairs:
        whole_wav, whole_mel = ramp(pair.frames), counted(pair.frames)
        for start in (0, 1, pair.frames - 20):
            wav, mel = dataset.crop(pair, start)
            np.testing.assert_array_equal(wav, whole_wav[start * HOP : (start + 20) * HOP])
            np.testing.assert_array_equal(mel, whole_mel[:, start : start + 20])


def test_gain_moves_both_and_leaves_the_floor(tmp_path: Path) -> None:
    floor = MEL.log_floor
    mel = np.full((8, 60), -2.0, np.float32)
    mel[:4], mel[4] = floor, floor + 0.1
    folder = TranslatedFolder.create(tmp_path / "out", MEL, "digest")
    audio = write_wav(tmp_path / "a.wav", np.full(60 * HOP, 0.1, np.float32))
    folder.add("a.safetensors", mel, audio=audio, source="s", split="train", style="x")
    dataset = segments(folder, gain_db=30.0)
    items = [dataset[epoch, 0] for epoch in range(60)]
    gains = np.array([float(torch.log10(item["wav"][0] / 0.1)) for item in items])
    assert gains.max() == pytest.approx(1.0, abs=1e-4) and gains.min() < -1.2  # the peak stays within full scale
    for item, gain in zip(items, gains, strict=True):
        assert torch.all(item["mel"][:4] == torch.tensor(floor))
        assert float(item["mel"][6, 0]) == pytest.approx(-2.0 + gain, abs=1e-4)
        assert item["mel"].min() >= floor and item["wav"].abs().max() <= 1.0


def test_items_are_a_pure_function_and_sources_even(folder: TranslatedFolder) -> None:
    one, other = segments(folder, gain_db=6.0), segments(folder, gain_db=6.0)
    assert all(torch.equal(one[2, i]["wav"], other[2, i]["wav"]) for i in reversed(range(len(one))))
    drawn = Counter(
        one.pairs[one._draw(epoch, index)].info.path.stem for epoch in range(20) for index in range(len(one))
    )
    total = sum(drawn.values())
    assert drawn["c"] / total == pytest.approx(0.5, abs=0.02) and drawn["a"] / total == pytest.approx(0.4, abs=0.02)
    assert "d" not in drawn


def test_a_second_run_finds_what_is_finished(folder: TranslatedFolder, tmp_path: Path) -> None:
    again = TranslatedFolder.create(folder.root, MEL, "digest")
    assert again.entries == folder.entries and len(again.entries) == 4
    audio = tmp_path / "audio" / "a.wav"
    assert again.is_finished("big/a.safetensors", audio)
    assert not again.is_finished("big/a.safetensors", tmp_path / "audio" / "b.wav")
    assert not again.is_finished("big/z.safetensors", audio)
    os.utime(audio, ns=(2**62, 2**62))  # the recording was made again
    assert not again.is_finished("big/a.safetensors", audio)
    (folder.root / "small" / "c.safetensors").unlink()
    assert not again.is_finished("small/c.safetensors", tmp_path / "audio" / "c.wav")
    assert not [path for path in folder.root.rglob(".*")]


def test_the_folder_can_be_moved_with_its_recordings(folder: TranslatedFolder, tmp_path: Path) -> None:
    home = tmp_path / "moved"
    home.mkdir()
    for name in ("translated", "audio"):
        (tmp_path / name).rename(home / name)
    assert len(segments(TranslatedFolder.open(home / "translated")).pairs) == 3


def test_what_does_not_fit_is_said(folder: TranslatedFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no translated mels in .*nowhere"):
        TranslatedFolder.open(tmp_path / "nowhere")
    with pytest.raises(UserError, match="another translator"):
        TranslatedFolder.create(folder.root, MEL, "other")
    with pytest.raises(UserError, match=r"audio is there and has no description\.json"):
        TranslatedFolder.create(tmp_path / "audio", MEL, "digest")
    with pytest.raises(UserError, match=r"another front-end \(wanted / theirs: n_mels: 9 / 8\)"):
        segments(folder, mel_config=MelConfig(n_fft=512, win_length=512, hop_length=128, n_mels=9))
    with pytest.raises(UserError, match="no translated mel of split 'test'"):
        segments(folder, split="test")
    with pytest.raises(UserError, match="with 401 frames"):
        segments(folder, segment_frames=401)
    (folder.root / "manifest.jsonl").write_text("3\n")
    with pytest.raises(UserError, match="line 1 of .* is no JSON object"):
        TranslatedFolder.open(folder.root)
    (folder.root / "description.json").write_text(json.dumps({"format_version": 7}))
    with pytest.raises(UserError, match="format version 7"):
        TranslatedFolder.open(folder.root)


def test_pairs_that_broke_are_left_out_or_replaced(folder: TranslatedFolder, tmp_path: Path, caplog) -> None:
    dataset = segments(folder)
    (folder.root / "big" / "b.safetensors").write_bytes(b"no tensors")
    for index in range(len(dataset)):
        assert dataset[0, index]["mel"].shape == (8, FRAMES)
    assert "b.safetensors" in caplog.text
    write_wav(tmp_path / "audio" / "a.wav", ramp(399))
    assert {pair.info.path.stem for pair in segments(folder).pairs} == {"b", "c"} and "shorter" in caplog.text


def test_the_mixture_has_the_share_that_was_asked_for(folder: TranslatedFolder, tmp_path: Path) -> None:
    level = write_wav(tmp_path / "natural.wav", np.full(RATE * 4, 0.5, np.float32))
    natural = AudioSegments(
        [level], sample_rate=RATE, segment_samples=FRAMES * HOP, seed=0, gain_db=0.0, seconds_per_item=0.04
    )
    mixed = MixedSegments(natural, segments(folder), 0.3, seed=0)
    assert len(mixed) == len(natural) == 100
    items = [mixed[epoch, index] for epoch in range(10) for index in range(100)]
    assert np.mean([bool(item["has_mel"]) for item in items]) == pytest.approx(0.3, abs=0.05)
    for item in items:
        own = item["wav"][0] != 0.5
        assert bool(item["has_mel"]) == bool(own) and bool(item["mel"].any()) == bool(own)
    again = mixed[4, 50]
    assert all(torch.equal(again[name], items[450][name]) for name in again)
    for share, expected in ((0.0, 0), (1.0, 100)):
        other = MixedSegments(natural, segments(folder), share, seed=0)
        assert sum(bool(other[0, index]["has_mel"]) for index in range(100)) == expected
    with pytest.raises(ValueError, match=r"in \[0, 1\], got 1.5"):
        MixedSegments(natural, segments(folder), 1.5, seed=0)


def test_entries_say_what_they_are(folder: TranslatedFolder) -> None:
    lines = [json.loads(line) for line in (folder.root / "manifest.jsonl").read_text().splitlines()]
    assert TranslatedMel(**lines[0]) == TranslatedMel(
        "big/a.safetensors", "../audio/a.wav", "big", "train", "x", frames=400
    )


def test_folders_share_evenly_and_sources_within_them(tmp_path: Path) -> None:
    """A corpus beside two packages: half, a quarter, a quarter, as recordings are drawn."""
    folder = TranslatedFolder.create(tmp_path / "out", MEL, "digest")
    for number, (file, source) in enumerate(
        (("corpus/jazz/a", "corpus"), ("recordings/p/b", "recordings/p"), ("recordings/q/c", "recordings/q"))
    ):
        audio = write_wav(tmp_path / f"{number}.wav", ramp(80))
        folder.add(f"{file}.safetensors", counted(80), audio=audio, source=source, split="train", style="x")
    assert [source.share for source in segments(folder).sources] == [0.5, 0.25, 0.25]
