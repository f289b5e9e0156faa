"""Screening, tables, files and the exchange with webMUSHRA."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from stylize.cli import main
from stylize.listening.results import evaluate, read_results
from stylize.listening.statistics import Rating, preferences_of, ratings_of, screen_listeners
from stylize.listening.store import CHOICE, Answer, Store
from stylize.listening.trial import ANSWERS_NAME, Trial
from stylize.listening.webmushra import export_trial, read_csv
from stylize_core.errors import UserError

GOODNESS = {"copy-content": 90, "copy-style": 20, "other": 55, "reference": 96, "anchor-3.5kHz": 30, "anchor-7kHz": 60}


def mushra(listener: str, references: Sequence[float], anchors: Sequence[float]) -> list[Rating]:
    return [
        Rating(listener, f"S{song}", "quality", system, value)
        for system, values in (("reference", references), ("anchor-7kHz", anchors))
        for song, value in enumerate(values)
    ]


def test_screening_by_the_limits_of_bs_1534() -> None:
    # 3 of 20 items are 15 %, which is not more than 15 %; 4 of 20 are.
    ratings = [
        *mushra("careful", [100] * 20, [60] * 20),
        *mushra("just in", [89] * 3 + [90] * 17, [91] * 3 + [90] * 17),
        *mushra("deaf", [89] * 4 + [100] * 16, [60] * 20),
        *mushra("generous", [100] * 20, [91] * 4 + [60] * 16),
        *mushra("both", [0] * 20, [100] * 20),
    ]
    kept, screened = screen_listeners(ratings)
    assert {row.listener for row in kept} == {"careful", "just in"}
    reasons = {row.listener: row.reason for row in screened}
    assert reasons["deaf"] == "hidden reference below 90 in 4 of 20 items"
    assert reasons["generous"] == "7 kHz anchor above 90 in 4 of 20 items"
    assert reasons["both"].count(";") == 1


def test_nobody_is_screened_without_a_hidden_reference() -> None:
    ratings = [Rating("L", "S", "quality", "copy-content", 0)]
    assert screen_listeners(ratings) == (ratings, [])


def answers_of(trial: Trial, listeners: int) -> list[Answer]:
    """Listeners who hear what the systems are, and differ a little."""
    answers = []
    for listener in range(1, listeners + 1):
        for screen, labels in trial.order_for(listener):
            goodness = {identity: GOODNESS[trial.stimulus[identity].system] for identity in labels}
            if trial.method == "ab":
                answers.append(Answer(listener, screen.id, CHOICE, max(goodness, key=goodness.__getitem__), 1, 1))
                continue
            answers += [
                Answer(listener, screen.id, identity, identity, value + listener % 3, 1)
                for identity, value in goodness.items()
            ]
    return answers


def test_answers_become_ratings_of_systems(trial: Trial) -> None:
    results = evaluate(trial, ratings_of(trial, answers_of(trial, 8)), [])
    assert results.listeners == 8
    means = {(row.question, row.system): row.mean for row in results.summaries}
    assert [row.system for row in results.summaries][:3] == ["copy-content", "copy-style", "other"]
    assert means["style", "other"] == pytest.approx(55 + (1 + 2 + 0 + 1 + 2 + 0 + 1 + 2) / 8)
    assert len(results.summaries) == 9 and all(row.ratings == 16 and row.songs == 2 for row in results.summaries)
    assert all(row.p == pytest.approx(2 / 2**8) for row in results.differences)
    assert all(row.adjusted == pytest.approx(6 / 2**8) for row in results.differences)


def test_too_few_listeners_for_so_many_systems_are_told(trial: Trial) -> None:
    """Six of six agree, which is 2/64; three comparisons make it 6/64."""
    few = evaluate(trial, ratings_of(trial, answers_of(trial, 6)), [])
    assert few.caution == (
        "No difference could be significant: with 6 listeners and 3 comparisons p (Holm) cannot come below 0.094; "
        "it takes 7 listeners, or fewer systems."
    )
    assert all(row.adjusted >= 0.05 for row in few.differences)
    enough = evaluate(trial, ratings_of(trial, answers_of(trial, 7)), [])
    assert enough.caution is None and any(row.adjusted < 0.05 for row in enough.differences)
    seven, two_of_them = ratings_of(trial, answers_of(trial, 7)), {"1", "2"}
    uneven = [row for row in seven if row.question == "style" or row.listener in two_of_them]
    assert evaluate(trial, uneven, []).caution is None  # the style can differ, so nothing is said of the others
    two = [row for row in ratings_of(trial, answers_of(trial, 5)) if row.system != "other"]
    assert str(evaluate(trial, two, []).caution).endswith("cannot come below 0.062; it takes 6 listeners.")
    by_rating = evaluate(trial, ratings_of(trial, answers_of(trial, 3)), [], "rating")
    assert str(by_rating.caution).endswith("it takes 7 ratings, or fewer systems.")
    assert evaluate(trial, [], []).caution is None


def test_choices_become_preferences_of_systems(pair_folder: Path) -> None:
    trial = Trial.read(pair_folder)
    answers = answers_of(trial, 5)
    results = evaluate(trial, [], preferences_of(trial, answers))
    wins = {(row.first, row.second): (row.wins, row.choices) for row in results.pairs}
    assert wins == {
        ("copy-content", "copy-style"): (10, 10),
        ("copy-content", "other"): (10, 10),
        ("copy-style", "other"): (0, 10),
    }
    assert ratings_of(trial, answers) == []


def test_reference_and_anchors_are_summarized_and_not_compared(mushra_folder: Path) -> None:
    trial = Trial.read(mushra_folder)
    results = evaluate(trial, ratings_of(trial, answers_of(trial, 4)), [])
    assert {row.system for row in results.summaries} == {"other", "reference", "anchor-3.5kHz", "anchor-7kHz"}
    assert results.differences == () and results.screened == ()
    careless = [replace(row, listener="5", value=10.0) for row in results.ratings if row.listener == "1"]
    with_them = evaluate(trial, [*ratings_of(trial, answers_of(trial, 4)), *careless], [])
    assert [entry.listener for entry in with_them.screened] == ["5"] and with_them.listeners == 5
    assert with_them.summaries == results.summaries and with_them.ratings == results.ratings


@pytest.fixture
def answered(trial: Trial, tmp_path: Path) -> Path:
    path = tmp_path / ANSWERS_NAME
    with Store(path, trial.id) as store:
        for _ in range(7):
            store.add_listener().result()
        for future in [store.save(answer) for answer in answers_of(trial, 7)]:
            future.result()
    return path


def test_results_are_printed_and_written(
    trial_folder: Path, answered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["listen", "results", str(trial_folder), "--answers", str(answered)]
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "Tones: multiple-stimuli, 2 songs, 7 listeners, 126 answers that count" in printed
    assert "| copy-style | 21.0 | 20.4 to 21.6 | 21.0 | 7 | 2 | 14 |" in printed
    assert "| copy-content – copy-style | +70.0 | 7 | 0.016 | 0.047 * |" in printed
    assert "could be significant" not in printed
    with (tmp_path / "out" / "summary.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["system"]: float(row["mean"]) for row in rows} == {"copy-content": 91, "copy-style": 21, "other": 56}
    with (tmp_path / "out" / "ratings.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 7 * 2 * 3 * 3
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["listeners"] == 7 and len(document["differences"]) == 9
    for name in ("ratings_content.png", "ratings_style.png", "ratings_quality.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 2
    assert "use --force" in capsys.readouterr().err
    assert main([*arguments, "-o", str(tmp_path / "out"), "--force"]) == 0


def test_pairs_are_printed_and_plotted(pair_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = Trial.read(pair_folder)
    with Store(tmp_path / "answers", trial.id) as store:
        for future in [store.add_listener(), store.add_listener()]:
            future.result()
        for answer in answers_of(trial, 2):
            store.save(answer).result()
    arguments = ["listen", "results", str(pair_folder), "--answers", str(tmp_path / "answers")]
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "| copy-content over copy-style | 4 of 4 (100 %) | 34 to 100 % | 2 | 2 of 2 | 0.5 | 1 |" in printed
    assert "with 2 listeners and 3 comparisons p (Holm) cannot come below 1; it takes 7 listeners, or" in printed
    assert main([*arguments, "--unit", "rating"]) == 0
    assert "4 of 4 (100 %) | 51 to 100 % | 2 | 4 of 4 | 0.12 | 0.38 |" in capsys.readouterr().out
    assert (tmp_path / "out" / "pairs_preference.png").is_file()


def test_answers_to_another_trial_are_refused(
    mushra_folder: Path, answered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["listen", "results", str(mushra_folder), "--answers", str(answered)]) == 2
    assert "belongs to another trial" in capsys.readouterr().err


def test_mushra_goes_out_to_webmushra_and_its_results_come_back(mushra_folder: Path, tmp_path: Path) -> None:
    trial = Trial.read(mushra_folder)
    path = export_trial(trial, mushra_folder, tmp_path / "web")
    configuration = yaml.safe_load(path.read_text())
    assert configuration["testId"] == trial.id
    _, (word, *pages), finish = configuration["pages"]
    assert word == "random" and finish["type"] == "finish" and len(pages) == 2
    lines = ["session_test_id,listener,trial_id,rating_stimulus,rating_score,rating_time,rating_comment"]
    for page in pages:
        assert page["type"] == "mushra" and (tmp_path / "web" / page["reference"]).is_file()
        assert len(page["stimuli"]) == 3  # webMUSHRA hides the reference itself
        for identity, file in page["stimuli"].items():
            assert (tmp_path / "web" / file).is_file()
            lines.append(f"{trial.id},Ann,{page['id']},{identity},{GOODNESS[trial.stimulus[identity].system]},1,")
        lines.append(f'{trial.id},Ann,{page["id"]},reference,100,1,"well, yes"')
    (tmp_path / "mushra.csv").write_text("\n".join(lines) + "\n")
    results = read_results(trial, tmp_path / "nothing", [tmp_path / "mushra.csv"])
    means = {row.system: row.mean for row in results.summaries}
    assert means == {"other": 55, "anchor-3.5kHz": 30, "anchor-7kHz": 60, "reference": 100}


def test_multiple_stimuli_go_out_as_five_parts_of_the_scale(trial: Trial, trial_folder: Path, tmp_path: Path) -> None:
    configuration = yaml.safe_load(export_trial(trial, trial_folder, tmp_path / "web").read_text())
    page = configuration["pages"][1][1]
    assert page["type"] == "likert_multi_stimulus"
    assert [each["value"] for each in page["response"]] == ["10", "30", "50", "70", "90"]
    identity = next(iter(page["stimuli"]))
    header = "session_test_id,listener,trial_id,stimuli_rating,stimuli,rating_time"
    (tmp_path / "lms.csv").write_text(f"{header}\n{trial.id},Bo,{page['id']}, 70 ,{identity},3\n")
    (rating,) = read_csv(tmp_path / "lms.csv", trial)
    assert (rating.value, rating.system) == (70, trial.stimulus[identity].system)
    with pytest.raises(UserError, match="exists; choose another folder"):
        export_trial(trial, trial_folder, tmp_path / "web")


def test_pairs_do_not_go_out(pair_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="which A/B trials do not have"):
        export_trial(Trial.read(pair_folder), pair_folder, tmp_path / "web")


HEADER = "session_test_id,listener,trial_id,rating_stimulus,rating_score,rating_time,rating_comment\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "is no mushra.csv or lms.csv"),
        (HEADER + "TRIAL,Ann,SCREEN,SOUND,50\n", "line 2 of .* has 5 columns, expected 7"),
        (HEADER + "other,Ann,SCREEN,SOUND,50,1,\n", "belongs to the test 'other'"),
        (HEADER + "TRIAL,Ann,nothing,SOUND,50,1,\n", "has the page 'nothing'"),
        (HEADER + "TRIAL,Ann,SCREEN,C1,50,1,\n", "no sound of its page, or no value"),
        (HEADER + "TRIAL,Ann,SCREEN,SOUND,101,1,\n", "no sound of its page, or no value"),
        (HEADER + "TRIAL,Ann,SCREEN,SOUND,nan,1,\n", "no sound of its page, or no value"),
        (HEADER + "TRIAL,Ann,SCREEN,SOUND,,1,\n", "no sound of its page, or no value"),
        (HEADER.replace("listener,", "") + "TRIAL,SCREEN,SOUND,50,1,\n", "no column that tells listeners apart"),
        ("\x00\xff", "cannot be read as CSV|is no mushra.csv"),
    ],
)
def test_bad_csv_files_are_refused_in_one_line(trial: Trial, tmp_path: Path, text: str, message: str) -> None:
    screen = trial.screens[0]
    text = text.replace("TRIAL", trial.id).replace("SCREEN", screen.id).replace("SOUND", screen.stimuli[0])
    (tmp_path / "results.csv").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=message) as caught:
        read_csv(tmp_path / "results.csv", trial)
    assert "\n" not in str(caught.value)
