"""Nothing leaks from training into the tiers: the renderer's own plans, planted leaks, recordings, own files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from data.corpus.renderer import CorpusPlan, plan_tasks
from stylize.evaluate.benchmarks.leaks import assert_no_leak, assert_unseen_files, find_leaks, read_records
from stylize_core.errors import UserError

Record = dict[str, Any]


def plan(**options: Any) -> list[Record]:
    return [task.record() for task in plan_tasks(CorpusPlan(**options))]


def write(folder: Path, records: Sequence[Record]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "manifest.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def of_split(records: Sequence[Record], split: str) -> Record:
    return next(record for record in records if record["split"] == split)


@pytest.fixture(scope="module")
def small() -> list[Record]:
    return plan(songs=20, test_songs=2, seconds=8.0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"extra_songs": 16, "training_songs": 30},
        {"songs": 200, "test_songs": 20},
        {"seed": 7, "seconds": 60.0},
    ],
)
def test_a_corpus_as_it_is_rendered_leaks_nothing(options: dict[str, Any], tmp_path: Path) -> None:
    records = plan(**options)
    splits = {record["split"] for record in records}
    assert splits == {"train", "valid", "test", "test_groove", "test_soundfont"}
    held_out = sum(record["split"].startswith("test") for record in records)
    assert assert_no_leak(write(tmp_path / "corpus", records)) == held_out > 0


@pytest.mark.parametrize(
    ("split", "field", "named"),
    [
        ("test", "song", "the song 00009 of split test "),
        ("test_groove", "song", "the song 80000 of split test_groove "),
        ("test_groove", "groove", "the groove "),
        ("test_soundfont", "song", "the song 90000 of split test_soundfont "),
        ("test_soundfont", "soundfont", "the soundfont TimGM6mb.sf2 of split test_soundfont "),
        ("test", "file", "the file blues/blues.00009.wav of split test "),
    ],
)
@pytest.mark.parametrize("seen", ["train", "valid"])
def test_a_planted_leak_is_found(
    small: list[Record], tmp_path: Path, split: str, field: str, named: str, seen: str
) -> None:
    planted = of_split(small, seen) | {field: of_split(small, split)[field]}
    assert find_leaks([*small, planted])
    with pytest.raises(UserError, match="is in the training side of") as refused:
        assert_no_leak(write(tmp_path / "corpus", [*small, planted]))
    assert named in str(refused.value) and "\n" not in str(refused.value)


def test_known_grooves_and_soundfonts_may_be_shared(small: list[Record]) -> None:
    test, train = of_split(small, "test"), of_split(small, "train")
    assert not find_leaks([*small, train | {"groove": test["groove"], "soundfont": test["soundfont"]}])


def test_another_corpus_that_was_trained_on(small: list[Record], tmp_path: Path) -> None:
    corpus = write(tmp_path / "corpus", small)
    other_seed = write(tmp_path / "other", plan(songs=20, test_songs=0, seconds=8.0, seed=3))
    assert_no_leak(corpus, [other_seed, corpus])
    # A longer corpus of the same seed that gave song 9 to training: its bars go on where the shorter one ends.
    longer = [record | {"split": "train"} for record in plan(songs=10, test_songs=0, seconds=30.0)]
    with pytest.raises(UserError, match=r"corpus leaks: the song 00009 .* training side of .*longer"):
        assert_no_leak(corpus, [write(tmp_path / "longer", longer)])
    groove = [
        of_split(plan(songs=1, test_songs=0, seed=3), "train") | {"groove": of_split(small, "test_groove")["groove"]}
    ]
    with pytest.raises(UserError, match="leaks: the groove"):
        assert_no_leak(corpus, [write(tmp_path / "grooves", groove)])


def test_recordings_are_held_out_by_source(tmp_path: Path) -> None:
    def entry(file: str, source: str, split: str, original: str) -> Record:
        return {"file": file, "source": source, "split": split, "original": original}

    train, test = entry("a/1.flac", "a", "train", "/a/1"), entry("b/1.flac", "b", "test", "/b/1")
    folder = tmp_path / "recordings"
    assert assert_no_leak(write(folder, [train, test])) == 1
    with pytest.raises(UserError, match=r"the source a of split test \(a/2.flac\)"):
        assert_no_leak(write(folder, [train, entry("a/2.flac", "a", "test", "/a/2")]))
    with pytest.raises(UserError, match="the original /a/1 of split test"):
        assert_no_leak(write(folder, [train, entry("c/1.flac", "c", "test", "/a/1")]))


def test_own_files_that_were_trained_on(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "corpus", [{"file": "seen.wav", "split": "train"}, {"file": "unseen.wav", "split": "test"}]
    )
    for name, content in (("seen.wav", b"12345"), ("unseen.wav", b"54321")):
        (folder / name).write_bytes(content)
    copies = [tmp_path / "one.wav", tmp_path / "two.wav"]
    for path, content in zip(copies, (b"54321", b"abcde"), strict=True):
        path.write_bytes(content)
    assert_unseen_files(copies, [folder, tmp_path / "nowhere"])
    copies[1].write_bytes(b"12345")
    with pytest.raises(UserError, match=r"two.wav leaks: it is .*seen.wav, which is trained on"):
        assert_unseen_files(copies, [folder])


def test_a_broken_manifest(tmp_path: Path) -> None:
    write(tmp_path, [{"file": "a.wav", "split": "train"}, {"file": "b.wav"}])
    with pytest.raises(UserError, match="line 2 is no record with file and split"):
        read_records(tmp_path)
