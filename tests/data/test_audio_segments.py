"""Waveform segments: reproducible, from the right place, with the right gain, and honest about bad files."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from data.segments import AudioSegments
from data.sources import Source
from stylize_core.errors import UserError

RATE = 8000


def write_ramp(path: Path, seconds: float = 2.0, rate: int = RATE, channels: int = 1) -> Path:
    """Sample n has the value n / 2**20, so that a crop tells where it is from."""
    ramp = np.arange(round(seconds * rate), dtype=np.float32) / 2**20
    soundfile.write(path, np.stack([ramp] * channels, axis=1), rate, subtype="FLOAT")
    return path


def make(files: list[Path] | list[Source], *, length: int = 500, seed: int = 0, **more) -> AudioSegments:
    return AudioSegments(files, sample_rate=RATE, segment_samples=length, seed=seed, **{"gain_db": 0.0, **more})


def position(segment: torch.Tensor) -> int:
    """Sample of the file at which a segment of a ramp begins; fails unless it is an unbroken piece of one."""
    samples = segment.numpy() * 2**20
    np.testing.assert_allclose(np.diff(samples), 1.0)
    return round(float(samples[0]))


def test_item_is_a_pure_function_of_seed_epoch_and_index(tmp_path: Path) -> None:
    files = [write_ramp(tmp_path / f"{number}.wav", 8.0) for number in range(3)]
    dataset = make(files, gain_db=6.0, seconds_per_item=2.0)
    first = [dataset[epoch, index] for epoch in range(2) for index in range(len(dataset))]
    again = make(files, gain_db=6.0, seconds_per_item=2.0)
    backwards = [again[epoch, index] for epoch in (1, 0) for index in reversed(range(len(dataset)))][::-1]
    assert len(first) == 24
    assert all(torch.equal(one, other) for one, other in zip(first, backwards, strict=True))
    assert all(not torch.equal(one, other) for one, other in zip(first[:12], first[12:], strict=True))
    other_seed = make(files, gain_db=6.0, seconds_per_item=2.0, seed=1)
    assert all(not torch.equal(other_seed[0, index], first[index]) for index in range(12))


def test_crops_are_pieces_from_everywhere(tmp_path: Path) -> None:
    dataset = make([write_ramp(tmp_path / "a.wav", 2.0, channels=2)])
    starts = [position(dataset[epoch, 0]) for epoch in range(300)]
    assert dataset[0, 0].dtype == torch.float32 and dataset[0, 0].shape == (500,)
    assert min(starts) < 500 and max(starts) > 15000 and max(starts) <= 16000 - 500
    assert abs(np.mean(starts) - 15500 / 2) < 800


def test_first_and_last_sample_can_be_drawn(tmp_path: Path) -> None:
    dataset = make([write_ramp(tmp_path / "a.wav", 502 / RATE)])
    assert {position(dataset[epoch, 0]) for epoch in range(30)} == {0, 1, 2}


def test_long_recordings_are_drawn_in_proportion(tmp_path: Path) -> None:
    files = [write_ramp(tmp_path / f"{seconds}.wav", seconds) for seconds in (1.0, 16.0, 40.0)]
    dataset = make(files, seconds_per_item=8.0, length=100)
    assert len(dataset) == 1 + 2 + 5
    assert position(dataset[0, 0]) <= 7900
    starts = np.array([position(dataset[epoch, index]) for epoch in range(40) for index in range(3, 8)])
    assert starts.max() > 8000 * 35 and starts.min() < 8000 * 5  # each item from the whole file


def test_gain_is_random_within_its_limits(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(4000, 0.1), RATE, subtype="FLOAT")
    dataset = make([tmp_path / "a.wav"], gain_db=6.0)
    gains = 20 * np.log10([float(dataset[epoch, 0][0]) / 0.1 for epoch in range(300)])
    assert gains.min() == pytest.approx(-6, abs=0.3) and gains.max() == pytest.approx(6, abs=0.3)
    assert abs(gains.mean()) < 0.7


def test_gain_never_lifts_the_peak_above_one(tmp_path: Path) -> None:
    wav = np.random.default_rng(0).uniform(-0.9, 0.9, 4000)
    soundfile.write(tmp_path / "a.wav", wav, RATE, subtype="FLOAT")
    dataset = make([tmp_path / "a.wav"], length=4000, gain_db=12.0)
    segments = [dataset[epoch, 0].numpy() for epoch in range(60)]
    peaks = np.array([np.abs(segment).max() for segment in segments])
    assert peaks.max() == pytest.approx(1.0, abs=1e-6) and peaks.max() <= 1.0 and peaks.min() < 0.4
    for segment in segments:  # scaled as a whole, not clipped
        np.testing.assert_allclose(segment / np.abs(segment).max(), wav / np.abs(wav).max(), atol=1e-5)


def test_silence_stays_silence(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(4000), RATE)
    assert torch.equal(make([tmp_path / "a.wav"], gain_db=6.0)[0, 0], torch.zeros(500))


def test_short_files_are_continued_by_reflection(tmp_path: Path) -> None:
    samples = make([write_ramp(tmp_path / "a.wav", 5 / RATE)], length=11)[0, 0].numpy() * 2**20
    np.testing.assert_allclose(samples, [0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2])


def test_other_rate_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    files = [write_ramp(tmp_path / "a.wav"), write_ramp(tmp_path / "b.wav", rate=44100)]
    with pytest.raises(UserError, match=r"1 of 2 .* not at 8000 Hz: resample .*b\.wav is at 44100 Hz"):
        make(files)


def test_no_readable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of 0"):
        make([])
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(UserError, match="none of 1"):
        make([tmp_path / "text.wav"])


def test_files_unreadable_from_the_start_are_named_and_left_out(tmp_path: Path, caplog) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    dataset = make([tmp_path / "text.wav", write_ramp(tmp_path / "a.wav")])
    assert len(dataset) == 1 and position(dataset[0, 0]) >= 0
    assert "text.wav" in caplog.text


@pytest.mark.parametrize("damage", ["gone", "cut", "nan"])
def test_file_that_goes_bad_is_named_and_another_taken(damage: str, tmp_path: Path, caplog) -> None:
    bad = tmp_path / "bad.wav"
    soundfile.write(bad, np.full(16000, 0.5), RATE, subtype="FLOAT")
    dataset = make([bad, *(write_ramp(tmp_path / f"{number}.wav") for number in range(9))], length=15000)
    if damage == "gone":
        bad.unlink()
    else:
        wav = np.full(16000, np.nan) if damage == "nan" else np.full(14000, 0.5)
        soundfile.write(bad, wav, RATE, subtype="FLOAT")
    with caplog.at_level(logging.WARNING):
        segment = dataset[0, 0]
    assert position(segment) >= 0
    assert "bad.wav" in caplog.text
    assert torch.equal(segment, dataset[0, 0])


def test_four_bad_items_in_a_row_are_an_error(tmp_path: Path, caplog) -> None:
    files = [write_ramp(tmp_path / f"{number}.wav") for number in range(5)]
    dataset = make(files)
    for file in files:
        file.unlink()
    with pytest.raises(UserError, match="4 recordings in a row cannot be read"):
        dataset[0, 0]
    assert caplog.text.count("cannot read") == 4


def test_index_outside_is_an_error(tmp_path: Path) -> None:
    dataset = make([write_ramp(tmp_path / "a.wav")])
    for index in (-1, 1):
        with pytest.raises(IndexError):
            dataset[0, index]


def write_level(path: Path, seconds: float, level: float) -> Path:
    """A constant, so that an item tells which file it is from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(round(seconds * RATE), level), RATE, subtype="FLOAT")
    return path


@pytest.fixture
def uneven(tmp_path: Path) -> list[Source]:
    """A long source of two files (level 0.1, 0.3 of its seconds; 0.2), and two short ones (0.4; 0.5)."""
    long = (write_level(tmp_path / "a" / "1.wav", 48.0, 0.1), write_level(tmp_path / "a" / "2.wav", 112.0, 0.2))
    return [
        Source("a", long, 0.5),
        Source("b", (write_level(tmp_path / "b" / "1.wav", 8.0, 0.4),), 0.25),
        Source("c", (write_level(tmp_path / "c" / "1.wav", 16.0, 0.5),), 0.25),
    ]


def levels(dataset: AudioSegments, epoch: int) -> np.ndarray:
    return np.array([round(float(dataset[epoch, index][0]), 3) for index in range(len(dataset))])


def test_every_epoch_has_the_shares_of_the_sources(uneven: list[Source]) -> None:
    dataset = make(uneven, length=50, seconds_per_item=8.0)
    assert len(dataset) == (48 + 112 + 8 + 16) // 8  # as many as without sources
    epochs = [levels(dataset, epoch) for epoch in range(40)]
    for epoch in epochs:
        assert abs((epoch <= 0.2).sum() - 11.5) <= 1 and abs((epoch == 0.4).sum() - 5.75) <= 1
    drawn = np.concatenate(epochs)
    expected = {0.1: 0.15, 0.2: 0.35, 0.4: 0.25, 0.5: 0.25}  # within a source by seconds
    for level, share in expected.items():
        assert (drawn == level).mean() == pytest.approx(share, abs=0.012), level


def test_drawing_from_sources_is_a_pure_function(uneven: list[Source]) -> None:
    one, other = (make(uneven, length=50, gain_db=6.0) for _ in range(2))
    assert all(torch.equal(one[3, index], other[3, index]) for index in reversed(range(len(one))))
    sets = {tuple(levels(make(uneven, length=50), epoch)) for epoch in range(12)}
    assert len(sets) > 1  # where a share is no whole number of items, epochs take turns


def test_what_cannot_be_read_leaves_its_share_to_its_source(uneven: list[Source]) -> None:
    uneven[0].files[1].write_text("no audio")
    uneven[2].files[0].write_text("no audio")
    drawn = np.concatenate([levels(make(uneven, length=50, seconds_per_item=1.0), epoch) for epoch in range(10)])
    assert (drawn == 0.1).mean() == pytest.approx(2 / 3, abs=0.01)
    assert (drawn == 0.4).mean() == pytest.approx(1 / 3, abs=0.01)


def test_one_source_has_each_file_for_its_seconds_in_every_epoch(tmp_path: Path) -> None:
    files = [write_level(tmp_path / f"{n}.wav", seconds, n / 10) for n, seconds in ((1, 24.0), (2, 2.0), (3, 8.0))]
    dataset = make(files, length=50, seconds_per_item=8.0)
    for epoch in range(30):
        assert levels(dataset, epoch).tolist() == [0.1, 0.1, 0.1, 0.2, 0.3]
