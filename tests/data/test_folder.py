"""Folder index: layouts, GTZAN's split, the manifest's split, the split by hash, and what is left out."""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from data.folder import GENRES, Clip, choose_styles, index_folder, split_by_hash
from data.gtzan_split import GTZAN_SPLIT
from data.verify import verify_folder
from stylize_core.audio.folder import list_audio
from stylize_core.audio.kinds import READABLE_SUFFIXES, UNREADABLE_SUFFIXES
from stylize_core.errors import UserError


def touch(root: Path, names: Iterable[str]) -> None:
    """Empty files: the index looks at names only."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write_manifest(path: Path, splits: dict[str, str]) -> None:
    path.write_text("".join(json.dumps({"file": f, "split": s}) + "\n" for f, s in splits.items()))


def splits_of(clips: Iterable[Clip], root: Path) -> dict[str, str]:
    return {clip.path.relative_to(root).as_posix(): clip.split for clip in clips}


@pytest.fixture
def whole_gtzan(tmp_path: Path) -> Path:
    touch(tmp_path, (f"genres/{g}/{g}.{n:05d}.wav" for g in GENRES for n in range(100)))
    return tmp_path


@pytest.mark.parametrize("layout", [".", "genres", "genres_original", "Data/genres_original"])
def test_every_layout_gives_the_same_clips(layout: str, tmp_path: Path) -> None:
    base = tmp_path / layout
    touch(base, ["jazz/jazz.00000.au", "blues/blues.00029.wav", "blues/blues.00005.WAV"])
    touch(tmp_path, ["readme.txt", "Data/images_original/blues/blues00000.png"])
    assert index_folder(tmp_path) == [
        Clip(base / "blues/blues.00005.WAV", "blues", "00005", "valid"),
        Clip(base / "blues/blues.00029.wav", "blues", "00029", "train"),
        Clip(base / "jazz/jazz.00000.au", "jazz", "00000", "train"),
    ]


def test_gtzan_has_its_own_split_without_the_unreadable_file(whole_gtzan: Path) -> None:
    clips = index_folder(whole_gtzan)
    for split, names in GTZAN_SPLIT.items():
        assert {clip.path.stem for clip in clips if clip.split == split} == set(names) - {"jazz.00054"}
    assert len(clips) == 929


def test_dot_files_hidden_folders_and_strays_are_left_out_of_gtzan(whole_gtzan: Path, caplog) -> None:
    before = index_folder(whole_gtzan)
    touch(
        whole_gtzan / "genres",
        ["blues/._blues.00029.wav", "blues/.cache/blues.00029.wav", "__MACOSX/blues/blues.00030.wav"],
    )
    touch(whole_gtzan / "genres", ["blues/blues.00029 (1).wav", "rock/jazz.00001.wav"])
    assert index_folder(whole_gtzan) == before
    assert "2 files left out" in caplog.text


def test_manifest_decides_whatever_the_names(tmp_path: Path) -> None:
    splits = {
        f"{genre}/{genre}.{number:05d}.wav": split
        for genre in ("blues", "jazz")
        for number, split in enumerate(["test", "train", "valid", "test_groove", "test_soundfont"])
    }
    touch(tmp_path, splits)
    write_manifest(tmp_path / "manifest.jsonl", splits)
    assert splits_of(index_folder(tmp_path), tmp_path) == splits


def test_song_of_the_manifest_takes_unlisted_genres_into_its_split(tmp_path: Path, caplog) -> None:
    touch(tmp_path, ["blues/blues.00007.wav", "jazz/jazz.00007.wav", "jazz/jazz.00009.wav"])
    write_manifest(tmp_path / "manifest.jsonl", {"blues/blues.00007.wav": "valid", "rock/rock.00007.wav": "valid"})
    assert splits_of(index_folder(tmp_path), tmp_path) == {
        "blues/blues.00007.wav": "valid",
        "jazz/jazz.00007.wav": "valid",
    }
    assert "1 files of the manifest are missing" in caplog.text
    assert "jazz.00009.wav" in caplog.text


def test_last_line_of_a_manifest_may_be_cut_but_no_other(tmp_path: Path) -> None:
    touch(tmp_path, ["blues/blues.00007.wav"])
    line = '{"file": "blues/blues.00007.wav", "split": "test"}\n'
    (tmp_path / "manifest.jsonl").write_text(line + '{"file": "ja')
    assert [clip.split for clip in index_folder(tmp_path)] == ["test"]
    (tmp_path / "manifest.jsonl").write_text('{"file": "ja\n' + line)
    with pytest.raises(UserError, match=r"line 1 of .*manifest\.jsonl"):
        index_folder(tmp_path)
    (tmp_path / "manifest.jsonl").write_text('{"file": "jazz/jazz.00000.wav"}\n')
    with pytest.raises(UserError, match="split"):
        index_folder(tmp_path)


def test_manifest_without_any_existing_file_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, ["blues/other.wav"])
    write_manifest(tmp_path / "manifest.jsonl", {"blues/blues.00000.wav": "train"})
    with pytest.raises(UserError, match="lists no file that exists"):
        index_folder(tmp_path)


def test_other_folders_are_split_by_file_name_alone(tmp_path: Path) -> None:
    touch(tmp_path / "a", (f"techno/song {n}.flac" for n in range(300)))
    first = splits_of(index_folder(tmp_path / "a"), tmp_path / "a")
    counts = Counter(first.values())
    assert 210 <= counts["train"] <= 270 and counts["valid"] >= 15 and counts["test"] >= 15
    assert set(counts) == {"train", "valid", "test"}

    touch(tmp_path / "b/genres", (f"techno/song {n}.wav" for n in range(0, 600, 2)))  # moved, converted, others
    second = splits_of(index_folder(tmp_path / "b"), tmp_path / "b/genres")
    for name, split in second.items():
        assert first.get(name.replace(".wav", ".flac"), split) == split
    assert splits_of(index_folder(tmp_path / "a", seed=1), tmp_path / "a") != first


@pytest.mark.parametrize("name", ["techno/techno.00029.wav", "blues/blues.00129.wav", "blues/blues.29.wav"])
def test_names_that_cannot_be_gtzans_are_split_by_hash(name: str, tmp_path: Path) -> None:
    touch(tmp_path, [name])
    assert [clip.path for clip in index_folder(tmp_path)] == [tmp_path / name]


@pytest.mark.parametrize(("files", "expected"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_small_folders_have_every_split_they_can(files: int, expected: int, tmp_path: Path) -> None:
    touch(tmp_path, (f"x/{n}.wav" for n in range(files)))
    splits = {clip.split for clip in index_folder(tmp_path)}
    assert splits == set(["train", "valid", "test"][:expected])


NOTES = ["love", "night", "day", "rain", "song", "blue", "moon", "dance", "home", "fire", "river", "light"]


@pytest.mark.parametrize(("styles", "songs"), [(2, 10), (10, 10), (3, 3), (1, 4)])
def test_every_style_has_every_split(styles: int, songs: int, tmp_path: Path) -> None:
    for trial in range(20):
        draw = random.Random(trial)
        names = [
            f"{trial}/style {s}/{n:02d} {' '.join(draw.sample(NOTES, 3))}.mp3"
            for s in range(styles)
            for n in range(songs)
        ]
        touch(tmp_path, names)
        clips = index_folder(tmp_path / str(trial), seed=trial)
        splits = Counter((clip.genre, clip.split) for clip in clips)
        assert len(clips) == styles * songs
        assert set(splits) == {(f"style {s}", split) for s in range(styles) for split in ("train", "valid", "test")}


def test_an_added_file_takes_no_other_from_training() -> None:
    """Over many folders that grow file by file; styles without a place in the middle are the exception named."""
    draw, moves, rescued = random.Random(0), 0, 0
    for trial in range(300):
        names = [f"{trial}/{draw.random()}" for _ in range(3)]
        before = dict(zip(names, split_by_hash(names, 0), strict=True))
        for added in range(12):
            names.insert(draw.randrange(len(names)), f"{trial}/added {added}")
            after = dict(zip(names, split_by_hash(names, 0), strict=True))
            gone = [name for name, split in before.items() if split == "train" and after[name] != "train"]
            if gone:
                assert list(before.values()).count("train") == 1
                rescued += 1
            moves += sum(after[name] != split for name, split in before.items())
            before = after
    assert moves > 300  # from the edge into training
    assert 0 < rescued < 30


def test_shares_of_a_large_style_are_about_those_wanted() -> None:
    counts = Counter(split_by_hash([str(number) for number in range(5000)], 0, 0.05))
    assert 200 < counts["valid"] < 300 and 200 < counts["test"] < 300


@pytest.mark.parametrize("first", [0, 20, 50])
def test_songs_numbered_as_gtzans_that_are_not_gtzan_are_split_by_hash(first: int, tmp_path: Path) -> None:
    genres = {"blues", "metal", "pop", "disco"}
    touch(tmp_path, (f"{g}/{g}.{n:05d}.wav" for g in genres for n in range(first, first + 10)))
    clips = index_folder(tmp_path)
    assert len(clips) == 40
    assert {(clip.genre, clip.split) for clip in clips} == {(g, s) for g in genres for s in ("train", "valid", "test")}


def test_each_style_is_split_by_what_fits_it(tmp_path: Path) -> None:
    touch(tmp_path, (f"rock/rock.{n:05d}.wav" for n in range(100)))
    touch(tmp_path, (f"jazz/jazz.{n:05d}.wav" for n in range(20, 100)))
    touch(tmp_path, (f"metal/{n}.wav" for n in range(10)))
    touch(tmp_path, (f"pop/{'pop.0000' if n < 9 else 'my song '}{n}.wav" for n in range(10)))
    clips = index_folder(tmp_path)
    listed = {name: split for split, names in GTZAN_SPLIT.items() for name in names}
    assert all(listed[clip.path.stem] == clip.split for clip in clips if clip.genre in ("rock", "jazz"))
    assert Counter(clip.genre for clip in clips) == {"rock": 100, "jazz": 66, "metal": 10, "pop": 10}


def test_styles_are_those_wanted_or_all_there_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, ["Drum, Bass: live/1.wav", "hiphop/2.wav", "Jazz/3.wav", "loose.wav", ".hidden.wav"])
    clips = index_folder(tmp_path)
    assert choose_styles(clips, (), tmp_path) == ("Drum, Bass: live", "Jazz", "hiphop")
    assert "1 files left out, in no folder of a style; the first: " in caplog.text and "loose.wav" in caplog.text
    assert choose_styles(clips, ("hiphop", "Jazz"), tmp_path) == ("hiphop", "Jazz")
    list_found = "It has Drum, Bass: live, Jazz, hiphop; data.styles=.. takes all of these"
    for wanted, advice in (
        ("jazz", "'jazz'; did you mean Jazz.? "),
        ("hip-hop", "'hip-hop'; did you mean hiphop.? "),
        ("xyz", "'xyz'. "),
    ):
        with pytest.raises(UserError, match=f"has no style {advice}.*{list_found}"):
            choose_styles(clips, (wanted,), tmp_path)


def test_a_folder_name_that_is_not_utf8_is_a_style(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    (tmp_path / os.fsdecode(b"caf\xe9/\xe9t\xe9.wav")).touch()
    (clip,) = index_folder(tmp_path)
    assert clip.genre == "caf\ufffd" and clip.path.exists()


def test_song_is_the_number_or_the_name_inside_the_genre(tmp_path: Path) -> None:
    touch(tmp_path, ["x/x.00012.wav", "x/disc 1/y.wav", "x/x.0001.wav", "x/z.ogg"])
    songs = {clip.path.name: (clip.genre, clip.song) for clip in index_folder(tmp_path)}
    assert songs == {
        "x.00012.wav": ("x", "00012"),
        "y.wav": ("x", "disc 1/y"),
        "x.0001.wav": ("x", "x.0001"),
        "z.ogg": ("x", "z"),
    }


def test_list_audio_is_recursive_sorted_and_follows_links_once(tmp_path: Path) -> None:
    touch(tmp_path / "real", ["b.wav", "a/c.MP3", "a/.d.wav", ".hidden/e.wav", "notes.txt"])
    (tmp_path / "real/a/loop").symlink_to(tmp_path / "real")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/music").symlink_to(tmp_path / "real")
    assert list_audio(tmp_path / "real") == [tmp_path / "real/a/c.MP3", tmp_path / "real/b.wav"]
    names = [path.relative_to(tmp_path / "linked").as_posix() for path in list_audio(tmp_path / "linked")]
    assert names == ["music/a/c.MP3", "music/b.wav"]


@pytest.mark.parametrize("function", [index_folder, list_audio])
def test_folder_must_exist_and_hold_audio(function, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        function(tmp_path / "missing")
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(UserError, match="link is a broken link to elsewhere"):
        function(tmp_path / "link")
    touch(tmp_path, ["file.wav", "empty/notes.txt", "empty/jazz/.hidden.wav"])
    with pytest.raises(UserError, match="is a file"):
        function(tmp_path / "file.wav")
    with pytest.raises(UserError, match="no audio in"):
        function(tmp_path / "empty")


def test_how_a_folder_is_split_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, [f"{style}/{number}.wav" for style in ("jazz", "own") for number in range(4)])
    with caplog.at_level("INFO"):
        assert index_folder(tmp_path) == index_folder(tmp_path)
        index_folder(tmp_path, seed=1)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: 8 clips, split by a hash of their names (seed {seed})" for seed in (0, 1)
    ]


def test_audio_outside_genre_folders_is_no_data_set(tmp_path: Path) -> None:
    touch(tmp_path, ["a.wav", "b.wav"])
    with pytest.raises(UserError, match="2 audio files but no genre folders"):
        index_folder(tmp_path)


NAMES = ["a.wav", "b.WAVE", "c.bwf", "d.w64", "e.aifc", "f.mpga", "g.caf", "h.mp2", "i.rf64", "j.snd"]


@pytest.mark.parametrize("function", [index_folder, list_audio])
def test_music_that_cannot_be_read_is_named_and_counted(function, tmp_path: Path, caplog) -> None:
    others = ["x/1.m4a", "x/2.M4A", "x/3.webm", "x/._4.m4a", "x/cover.jpg", "x/notes.txt", "x/song.mid", "x/5.wma"]
    touch(tmp_path, [f"x/{name}" for name in NAMES] + others)
    found = [getattr(item, "path", item).name for item in function(tmp_path)]
    assert sorted(found) == NAMES
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert lines == [
        f"skipped: 4 files in {tmp_path} cannot be read (2 .m4a, 1 .webm, 1 .wma); convert each first, "
        f"for example: ffmpeg -i {tmp_path}/x/1.m4a {tmp_path}/x/1.flac"
    ]


@pytest.mark.parametrize("function", [index_folder, list_audio, verify_folder])
def test_a_folder_of_nothing_but_unreadable_music_says_so(function, tmp_path: Path) -> None:
    touch(tmp_path, ["x/1 one.m4a", "x/2.m4a"])
    with pytest.raises(UserError, match=r"no audio in .*: 2 files in .* cannot be read \(2 .m4a\).*ffmpeg -i '.*1 one"):
        function(tmp_path)


def test_no_ending_is_both_readable_and_not() -> None:
    assert not READABLE_SUFFIXES & UNREADABLE_SUFFIXES
    assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in READABLE_SUFFIXES | UNREADABLE_SUFFIXES)
