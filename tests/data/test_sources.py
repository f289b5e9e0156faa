"""Which files of a folder belong to which split, for every kind of folder."""

from __future__ import annotations

import hashlib
import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data.sources import Source, list_sources, list_split, list_splits, spread, validation_files
from stylize_core.errors import UserError


def write_tone(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(64, 0.1), 22050)


def names(folder: Path, split: str) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in list_split(folder, split)]


def test_a_rendered_corpus_has_the_splits_of_its_manifest(tone_corpus: Path) -> None:
    assert names(tone_corpus, "valid") == [f"{g}/{g}.0000{n}.wav" for g in ("jazz", "metal") for n in (3, 4)]
    assert len(names(tone_corpus, "train")) == 6
    assert names(tone_corpus, "test_groove") == []


def test_prepared_recordings_have_the_splits_of_their_manifest(tmp_path: Path) -> None:
    lines = []
    for name, split in (("b.flac", "train"), ("a.flac", "train"), ("c.flac", "valid")):
        write_tone(tmp_path / "band" / name)
        lines.append(
            {"file": f"band/{name}", "source": "band", "split": split, "seconds": 1.0, "licence": "CC0",
             "original": "x", "start": 0.0, "wanted_seconds": 1.0}
        )  # fmt: skip
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    assert names(tmp_path, "train") == ["band/a.flac", "band/b.flac"]
    assert names(tmp_path, "valid") == ["band/c.flac"]
    assert names(tmp_path, "test") == []


def test_gtzan_has_its_fault_filtered_split(tmp_path: Path) -> None:
    splits = {
        "train": ["blues.00029", "jazz.00000", "jazz.00001"],
        "valid": ["blues.00000", "jazz.00002"],
        "test": ["blues.00012", "jazz.00073"],
    }
    for name in [*chain(*splits.values()), "jazz.00054"]:
        write_tone(tmp_path / "genres" / name.split(".")[0] / f"{name}.wav")
    assert {split: [path.stem for path in list_split(tmp_path, split)] for split in splits} == splits


def test_other_folders_are_split_by_a_hash_of_each_name(tmp_path: Path) -> None:
    for number in range(60):
        write_tone(tmp_path / f"{number}.wav")
    splits = {split: names(tmp_path, split) for split in ("train", "valid", "test")}
    places = {
        split: [int(hashlib.sha256(f"0/{Path(name).stem}".encode()).hexdigest(), 16) / 2**256 for name in found]
        for split, found in splits.items()
    }
    assert min(places["train"]) >= max(places["valid"]) and max(places["train"]) <= min(places["test"])
    assert min(places["train"]) >= 0.05 and max(places["train"]) < 0.95
    assert sorted(chain(*splits.values())) == sorted(f"{number}.wav" for number in range(60))
    write_tone(tmp_path / "another.wav")
    assert set(splits["train"]) <= set(names(tmp_path, "train"))


@pytest.mark.parametrize("files", [2, 3, 7])
def test_a_small_folder_still_has_something_to_validate_on(tmp_path: Path, files: int) -> None:
    for number in range(files):
        write_tone(tmp_path / f"{number}.wav")
    splits = [names(tmp_path, split) for split in ("train", "valid", "test")]
    assert splits[0] and splits[1]
    assert sorted(chain(*splits)) == [f"{number}.wav" for number in range(files)]


def test_recordings_beside_the_folders_of_styles_are_not_passed_over(tmp_path: Path) -> None:
    for number in range(4):
        write_tone(tmp_path / "album" / f"{number}.wav")
        write_tone(tmp_path / f"{number}.wav")
    splits = {split: names(tmp_path, split) for split in ("train", "valid", "test")}
    assert len(list(chain(*splits.values()))) == 8
    for split, found in splits.items():
        assert {Path(name).parent.name for name in found} == {"album", ""}, split


def test_a_seed_gives_another_split(tmp_path: Path) -> None:
    for number in range(20):
        write_tone(tmp_path / f"{number}.wav")
    splits = [tuple(list_split(tmp_path, "valid", seed)) for seed in (0, 0, 1, 2)]
    assert splits[0] == splits[1] and len(set(splits)) > 1


def test_what_is_validated_on_is_trained_on_where_there_is_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_tone(tmp_path / "only.wav")
    assert validation_files([tmp_path], 12) == [tmp_path / "only.wav"]
    assert "too few recordings to keep one back" in caplog.text
    caplog.clear()
    for number in range(9):
        write_tone(tmp_path / f"{number}.wav")
    assert validation_files([tmp_path], 12) == list_split(tmp_path, "valid")
    assert not caplog.text


def test_several_folders_are_joined_in_their_order(tone_corpus: Path, tmp_path: Path) -> None:
    for number in range(40):
        write_tone(tmp_path / f"{number}.wav")
    assert list_splits([tmp_path, tone_corpus], "valid") == [
        *list_split(tmp_path, "valid"),
        *list_split(tone_corpus, "valid"),
    ]


def test_what_is_missing_is_said(tmp_path: Path, tone_corpus: Path) -> None:
    with pytest.raises(UserError, match="no such folder: .*nowhere"):
        list_split(tmp_path / "nowhere", "train")
    with pytest.raises(UserError, match="no audio in"):
        list_split(tmp_path, "train")
    with pytest.raises(UserError, match=r"no audio of split 'test_soundfont' in .*tones"):
        list_splits([tone_corpus], "test_soundfont")


@pytest.mark.parametrize("line", ["{half", "[1, 2]", "7"])
def test_a_damaged_manifest_is_said(tmp_path: Path, line: str) -> None:
    write_tone(tmp_path / "a.wav")
    (tmp_path / "manifest.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=r"manifest.jsonl"):
        list_split(tmp_path, "train")


def write_recordings(folder: Path, files: dict[str, tuple[str, str]]) -> Path:
    """Prepared recordings: file name to (source, split)."""
    lines = []
    for name, (source, split) in files.items():
        write_tone(folder / name)
        lines.append(
            {"file": name, "source": source, "split": split, "seconds": 1.0, "licence": "CC0",
             "original": "x", "start": 0.0, "wanted_seconds": 1.0}
        )  # fmt: skip
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    files = {f"big/{number}.flac": ("big", "train") for number in range(6)}
    files |= {"small/0.flac": ("small", "train"), "small/1.flac": ("small", "valid"), "held/0.flac": ("held", "test")}
    return write_recordings(tmp_path / "prepared", files)


def shares(sources: list[Source]) -> dict[str, float]:
    return {source.name: round(source.share, 6) for source in sources}


def test_folders_share_evenly_and_packages_within_them(prepared: Path, tone_corpus: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    for number in range(40):
        write_tone(plain / f"{number}.wav")
    sources = list_sources([tone_corpus, prepared, plain], "train")
    third = round(1 / 3, 6)
    assert shares(sources) == {
        str(tone_corpus): third,
        f"{prepared}/big": round(1 / 6, 6),
        f"{prepared}/small": round(1 / 6, 6),
        str(plain): third,
    }
    files = [path for source in sources for path in source.files]
    assert sorted(files) == sorted(list_splits([tone_corpus, prepared, plain], "train"))
    assert [path.name for path in sources[1].files] == [f"{number}.flac" for number in range(6)]


def test_weights_are_of_folders(prepared: Path, tone_corpus: Path) -> None:
    sources = list_sources([tone_corpus, prepared], "train", {str(prepared): 3.0})
    assert shares(sources) == {str(tone_corpus): 0.25, f"{prepared}/big": 0.375, f"{prepared}/small": 0.375}


def test_a_folder_without_the_split_leaves_its_part_to_the_others(prepared: Path, tone_corpus: Path) -> None:
    assert shares(list_sources([tone_corpus, prepared], "valid")) == {str(tone_corpus): 0.5, f"{prepared}/small": 0.5}
    assert shares(list_sources([prepared], "test")) == {f"{prepared}/held": 1.0}
    with pytest.raises(UserError, match=r"no audio of split 'test_groove' in .*prepared"):
        list_sources([prepared], "test_groove")


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_weights_are_said(weight: float, prepared: Path) -> None:
    with pytest.raises(UserError, match="expected a positive number"):
        list_sources([prepared], "train", {str(prepared): weight})
    with pytest.raises(UserError, match="'prepered', which is not among the folders: .*prepared"):
        list_sources([prepared], "train", {"prepered": 1.0})


def test_clips_are_spread_over_sources_and_within_them() -> None:
    def source(name: str, many: int, share: float) -> Source:
        return Source(name, tuple(Path(f"{name}{number}") for number in range(many)), share)

    sources = [source("a", 40, 0.5), source("b", 4, 0.25), source("c", 1, 0.25)]
    assert [path.name for path in spread(sources, 3)] == ["a0", "b0", "c0"]
    picked = [path.name for path in spread(sources, 8)]
    assert sorted(picked) == ["a0", "a16", "a24", "a32", "a8", "b0", "b2", "c0"]
    assert len(spread(sources, 100)) == 45 and len(set(spread(sources, 100))) == 45
    assert [path.name for path in spread([source("a", 4, 1.0)], 2)] == ["a0", "a2"]
