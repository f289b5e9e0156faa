"""The corpus as a whole: layout, manifest, resuming, refusals. Rendering itself is replaced by a tone."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data.corpus import renderer
from data.corpus.arrangement import Mix
from data.corpus.renderer import CorpusPlan, plan_tasks, render_corpus
from data.folder import index_folder
from stylize_core.errors import UserError

RunModule = Callable[..., "subprocess.CompletedProcess[str]"]
PLAN = CorpusPlan(songs=2, test_songs=1, seconds=1.0, seed=5)


class Tone:
    """Stands for `synthesis.render`: counts calls and can be told to fail."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.fail_after = 10**6

    def __call__(self, text: str, soundfont: str, samples: int, mix: Mix) -> np.ndarray:
        self.texts.append(text)
        if len(self.texts) > self.fail_after:
            raise UserError("mma could not read the song")
        return np.full(samples, mix.peak, dtype=np.float32)


@pytest.fixture
def tone(monkeypatch: pytest.MonkeyPatch) -> Tone:
    tone = Tone()
    monkeypatch.setattr(renderer, "render", tone)
    monkeypatch.setattr(renderer, "check_tools", lambda: None)
    return tone


def counts(root: Path, plan: CorpusPlan) -> list[tuple[int, int]]:
    return list(render_corpus(root, plan))


def manifest(root: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]


def test_plan_goes_song_by_song_through_all_genres() -> None:
    tasks = plan_tasks(PLAN)
    assert len(tasks) == 4 * 10
    assert [task.song.number for task in tasks[:20]] == [0] * 10 + [1] * 10
    assert tasks[3].file == "disco/disco.00000.wav"


def test_layout_and_manifest(tone: Tone, tmp_path: Path) -> None:
    assert list(render_corpus(tmp_path, PLAN, jobs=3)) == [(done, 40) for done in range(41)]
    records = manifest(tmp_path)
    assert [record["file"] for record in records] == [task.file for task in plan_tasks(PLAN)]
    assert set(records[0]) == {
        *("file", "genre", "song", "split", "seconds", "tempo", "key", "chords"),
        *("groove", "soundfont", "melody_program", "seed"),
    }
    assert Counter(record["split"] for record in records) == {
        "train": 20,
        "test_groove": 10,
        "test_soundfont": 10,
    }
    for record in records:
        info = soundfile.info(tmp_path / str(record["file"]))
        assert (info.frames, info.samplerate, info.channels, info.subtype) == (22050, 22050, 1, "PCM_16")
    by_song = {(record["song"], record["key"], record["tempo"], str(record["chords"])) for record in records}
    assert len(by_song) == 4  # the same music in every genre
    assert {clip.split for clip in index_folder(tmp_path)} == {"train", "test_groove", "test_soundfont"}


def test_number_of_jobs_changes_nothing(tone: Tone, tmp_path: Path) -> None:
    for jobs in (1, 4):
        list(render_corpus(tmp_path / str(jobs), PLAN, jobs))
    one, four = ((tmp_path / jobs / "manifest.jsonl").read_bytes() for jobs in ("1", "4"))
    assert one == four
    assert len(set(tone.texts)) == 40


def test_finished_files_are_kept_and_broken_or_missing_ones_made_again(tone: Tone, tmp_path: Path) -> None:
    list(render_corpus(tmp_path, PLAN))
    complete = (tmp_path / "manifest.jsonl").read_bytes()
    tone.texts.clear()
    assert list(render_corpus(tmp_path, PLAN)) == [(40, 40)]
    assert tone.texts == []
    (tmp_path / "jazz/jazz.00001.wav").unlink()
    cut = tmp_path / "pop/pop.00000.wav"
    cut.write_bytes(cut.read_bytes()[:1000])
    assert counts(tmp_path, PLAN)[0] == (38, 40)
    assert len(tone.texts) == 2
    assert soundfile.info(cut).frames == 22050
    assert (tmp_path / "manifest.jsonl").read_bytes() == complete


def test_a_failure_leaves_a_usable_corpus_that_can_be_completed(tone: Tone, tmp_path: Path) -> None:
    tone.fail_after = 7
    with pytest.raises(UserError, match=r"hiphop|jazz|metal|pop.*mma could not read"):
        list(render_corpus(tmp_path, PLAN))
    assert len(manifest(tmp_path)) <= 7
    assert len(list(tmp_path.glob("*/*.wav"))) == 7
    assert not list(tmp_path.rglob(".unfinished*"))
    tone.fail_after = 10**6
    assert list(render_corpus(tmp_path, PLAN))[-1] == (40, 40)


def test_half_a_line_at_the_end_of_the_manifest_is_forgiven(tone: Tone, tmp_path: Path) -> None:
    list(render_corpus(tmp_path, PLAN))
    path = tmp_path / "manifest.jsonl"
    complete = path.read_text()
    path.write_text(complete[:-40])
    assert counts(tmp_path, PLAN)[0] == (39, 40)
    assert path.read_text() == complete
    path.write_text("nonsense\n" + complete)
    with pytest.raises(UserError, match="line 1 of .* is no JSON object"):
        list(render_corpus(tmp_path, PLAN))


def test_a_corpus_grows_and_does_not_shrink(tone: Tone, tmp_path: Path) -> None:
    list(render_corpus(tmp_path, PLAN))
    larger = CorpusPlan(songs=3, test_songs=1, seconds=1.0, seed=5)
    assert counts(tmp_path, larger)[0] == (40, 50)
    with pytest.raises(UserError, match="at least as many songs"):
        list(render_corpus(tmp_path, PLAN))


@pytest.mark.parametrize("other", [CorpusPlan(2, 1, 1.0, seed=6), CorpusPlan(2, 1, 2.0, seed=5)])
def test_another_corpus_is_not_mixed_in(tone: Tone, tmp_path: Path, other: CorpusPlan) -> None:
    list(render_corpus(tmp_path, PLAN))
    with pytest.raises(UserError, match="holds another corpus"):
        list(render_corpus(tmp_path, other))


def test_files_of_others_are_not_overwritten(tone: Tone, tmp_path: Path) -> None:
    theirs = tmp_path / "blues" / "blues.00000.wav"
    theirs.parent.mkdir()
    theirs.write_bytes(b"a recording")
    with pytest.raises(UserError, match=r"holds blues/blues\.00000\.wav but no manifest"):
        list(render_corpus(tmp_path, PLAN))
    assert theirs.read_bytes() == b"a recording"


def test_impossible_requests(tone: Tone, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="songs must be 0 to"):
        CorpusPlan(songs=-1)
    with pytest.raises(UserError, match="nothing to render"):
        CorpusPlan(songs=0, test_songs=0)
    with pytest.raises(UserError, match="seconds must be"):
        CorpusPlan(seconds=float("nan"))
    with pytest.raises(UserError, match="jobs"):
        list(render_corpus(tmp_path, PLAN, jobs=0))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the corpus"):
        list(render_corpus(tmp_path / "file", PLAN))


def test_demo_song(tone: Tone, tmp_path: Path) -> None:
    for name, subtype in (("song.ogg", "VORBIS"), ("song.flac", "PCM_16")):
        renderer.render_demo_song(tmp_path / name, "country", seconds=2.0)
        info = soundfile.info(tmp_path / name)
        assert (info.subtype, info.samplerate, info.channels, info.frames) == (subtype, 22050, 1, 44100)
    for path, genre in (("song.mp3", "country"), ("nowhere/song.ogg", "country"), ("song.ogg", "polka")):
        with pytest.raises(UserError):
            renderer.render_demo_song(tmp_path / path, genre)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["song.flac", "song.ogg"]
    renderer.render_style_examples(tmp_path)
    assert soundfile.info(tmp_path / "jazz.ogg").frames == 8 * 22050
    assert len(list(tmp_path.iterdir())) == 2 + 10


@pytest.mark.parametrize(
    "arguments",
    [["demo-song"], ["demo-song", "-o", "a.ogg", "--genre", "polka"], ["style-examples"], ["corpus", "--songs", "-1"]],
)
def test_command_says_in_one_line_what_is_wrong(
    tone: Tone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_module: RunModule, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_module("scripts.prepare", *arguments)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_command_renders(tone: Tone, tmp_path: Path, run_module: RunModule) -> None:
    counts = ["--songs", "1", "--test-songs", "0", "--extra-songs", "1", "--training-songs", "1"]
    result = run_module("scripts.prepare", "corpus", "-o", tmp_path / "corpus", *counts, "--seconds", 1)
    assert result.returncode == 0, result.stderr
    splits = {record["song"]: record["split"] for record in manifest(tmp_path / "corpus")}
    assert splits == {"00000": "train", "60000": "train", "70000": "train"}
    assert len(manifest(tmp_path / "corpus")) == 30
