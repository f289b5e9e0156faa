"""The study: pairs of different songs and genres, cases run once and results kept, tables and plots of measures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from studies.baseline import COPY_CONTENT, COPY_STYLE, Case, Study, choose_pairs, make_cases
from studies.baseline_report import QUESTIONS, make_markdown, save_plots, table
from stylize.evaluate.metrics.similarity import Sound, StyleClassifier, harmony_similarity
from stylize_core.errors import UserError

TINY = {"content_weight": 1.0, "width": 8, "kernel": 3, "iterations": 2, "inverse": "griffin-lim"}


def write_chord(path: Path, seconds: float, pitch: float = 220.0) -> None:
    """A chord that swells, with noise."""
    time = np.arange(round(seconds * 22050)) / 22050
    tones = np.sin(2 * np.pi * pitch * np.array([1, 1.25, 1.5])[:, None] * time).mean(axis=0)
    noise = np.random.default_rng(round(pitch)).standard_normal(len(time))
    soundfile.write(path, 0.5 * tones * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * time)) + 0.02 * noise, 22050)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = tmp_path / "corpus"
    root.mkdir()
    with (root / "manifest.jsonl").open("w") as manifest:
        for song in (8, 9, 19):
            for index, genre in enumerate(("blues", "jazz", "metal")):
                (root / genre).mkdir(exist_ok=True)
                name = f"{genre}/{genre}.{song:05d}.wav"
                write_chord(root / name, 3.0, 200.0 + 7 * song + 50 * index)
                split = "test" if song % 10 == 9 else "valid"
                manifest.write(json.dumps({"file": name, "genre": genre, "song": f"{song:05d}", "split": split}) + "\n")
    return root


@pytest.fixture
def study(corpus: Path, tmp_path: Path) -> Study:
    pairs = choose_pairs(corpus, tmp_path / "work", 2, 2.0)
    return Study(pairs, tmp_path / "work", StyleClassifier.from_pretrained())


def test_pairs_are_of_unheard_songs_that_differ_in_song_and_genre(corpus: Path, tmp_path: Path) -> None:
    pairs = choose_pairs(corpus, tmp_path / "work", 6, 2.0)
    assert len(pairs) == 6
    for pair in pairs:
        (genre, song), (style_genre, style_song) = (path.stem.split(".") for path in (pair.content, pair.style))
        assert song != style_song and {song, style_song} == {"00009", "00019"}
        assert genre != style_genre == pair.style_genre
        assert soundfile.info(pair.content).frames == 44100


def test_a_corpus_without_songs_to_test_with(tmp_path: Path) -> None:
    for genre in ("blues", "jazz"):
        (tmp_path / genre).mkdir()
        write_chord(tmp_path / genre / "song.wav", 1.0)
    with pytest.raises(UserError, match="expected two or more"):
        choose_pairs(tmp_path, tmp_path / "work", 2, 2.0)


def test_cases_are_measured_on_every_pair_and_never_twice(study: Study, tmp_path: Path) -> None:
    cases = [Case("balance", "first", TINY), Case("network", "same again", TINY)]
    said: list[str] = []
    study.progress = said.append
    study.run(cases)
    assert len(said) == 2
    lines = (tmp_path / "work" / "measurements.jsonl").read_text().splitlines()
    assert len(lines) == 2 * (2 + 1)
    again = Study(study.pairs, tmp_path / "work", study.likeness, said.append)
    again.run(cases)
    assert len(said) == 2 and again.mean(cases[0].key) == study.mean(cases[0].key)


def test_measures_are_those_of_the_files(study: Study) -> None:
    case = Case("balance", "one", TINY)
    study.run([case])
    copied, styled = study.mean(COPY_CONTENT), study.mean(COPY_STYLE)
    assert copied["harmony"] == pytest.approx(1.0, abs=1e-6) and copied["harmony_error"] == pytest.approx(0, abs=1e-6)
    assert styled["style"] == pytest.approx(1.0, abs=1e-6) and styled["timbre"] == 0
    last, pair = study.of(case.key)[-1], study.pairs[-1]
    result = Sound.read(study.work / "result.wav")
    assert last.harmony == harmony_similarity(result, Sound.read(pair.content))
    assert 0 < last.content_loss < 10 and 0 < last.style_loss <= 1 and last.evaluations >= 2
    assert last.total == pytest.approx(last.content_loss + last.style_loss, rel=1e-4)


def test_every_question_has_cases_that_the_baseline_takes() -> None:
    cases = make_cases(7)
    assert {case.question for case in cases} == set(QUESTIONS)
    assert len({(case.question, case.label) for case in cases}) == len(cases)
    assert {case.options["iterations"] for case in cases if case.question != "iterations"} == {7, 3}


def test_tables_and_plots(tmp_path: Path) -> None:
    cases = make_cases(5)
    numbers = {name: 0.5 for name in ("harmony", "rhythm", "style", "heard", "timbre", "total")}
    numbers |= {"content_loss": float("nan"), "style_loss": 0.01234, "seconds": 7.4}
    mean = numbers | {f"{name}_error": 0.25 for name in numbers}
    means = {key: mean for key in (COPY_CONTENT, COPY_STYLE, *(case.key for case in cases))}
    row = table("balance", cases, means).splitlines()[4]
    assert row.startswith("| content 0.01 : style 1 | 0.50 ± 0.25 |") and row.endswith("| 0.5 ± 0.2 |  | 0.012 | 7 |")
    markdown = make_markdown(cases, means, "plots")
    assert markdown.count("### ") == len(QUESTIONS) == markdown.count("](plots/")
    for path in save_plots(tmp_path / "plots", cases, means):
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000
