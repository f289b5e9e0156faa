"""The folder of a dashboard: what it says, and where it may be written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from stylize.dashboard.command import make_dashboard
from stylize.dashboard.content import measure, opinions_of, save_mel
from stylize.evaluate.metrics.similarity import Sound
from stylize.listening import systems as systems_module
from stylize.listening.build import build_trial
from stylize.listening.plan import BuildOptions
from stylize.listening.results import evaluate
from stylize.listening.statistics import Preference
from stylize.listening.store import Answer, Store
from stylize.listening.trial import ANSWERS_NAME
from stylize_core.atomic import atomic_folder, check_output_folder
from stylize_core.errors import UserError
from tests.stylize.dashboard.conftest import LISTENERS, Dashboard, answer


def test_the_data_beside_the_page(dashboard: Dashboard) -> None:
    values = json.loads((dashboard.page.parent / "dashboard.json").read_text())
    assert values["listeners"] == LISTENERS and len(values["rows"]) == 6
    for row in values["rows"]:
        wav, rate = soundfile.read(dashboard.page.parent / row["output"]["audio"])
        assert rate == 22050 and len(wav) == 44100
        assert set(row["measures"]) == {"style similarity", "chroma", "onsets", "timbre distance"}
    copy, griffin_lim, vocoder = values["systems"]
    assert copy["measures"]["chroma"] > griffin_lim["measures"]["chroma"] > vocoder["measures"]["chroma"]
    assert copy["opinions"]["style"]["count"] == 2 * LISTENERS
    assert values["songs"][0]["original"] == values["rows"][0]["output"]  # a copy of the song is no second file
    assert str(dashboard.folder.parent) not in json.dumps(values)


def test_the_page_needs_nothing_else(dashboard: Dashboard) -> None:
    page = dashboard.page.read_text()
    assert not re.search(r"https?://|src=\"/|@import", page)
    assert "<script>alert" not in page  # the title
    assert not list(dashboard.page.parent.parent.glob(".unfinished*"))


def test_mel_pictures_have_low_bands_at_the_bottom(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 100 * np.arange(22050) / 22050).astype(np.float32)
    save_mel(Sound(tone, 22050), tmp_path / "mel.png")
    picture = imread(tmp_path / "mel.png")[..., :3].sum(axis=2)
    assert picture.shape[0] == 192
    assert picture[-20:].max() > picture[:100].max() + 1


def test_shares_of_choices(dashboard: Dashboard) -> None:
    import dataclasses

    trial = dataclasses.replace(dashboard.trial, method="ab", questions=("preference",))
    song = trial.songs[0].name
    choices = [Preference(str(n), song, "preference", "vocoder", "griffin-lim") for n in range(6)]
    choices += [Preference("9", song, "preference", "copy-content", "vocoder") for _ in range(2)]
    found = opinions_of(evaluate(trial, [], choices), song)
    vocoder = found["vocoder"]["preference"]
    assert (vocoder.mean, vocoder.count, vocoder.listeners) == (75, 8, 7)
    # Wilson's interval of a share of 0.75 among 7 listeners, worked out by hand.
    assert (vocoder.low, vocoder.high) == (pytest.approx(38.89, abs=0.01), pytest.approx(93.40, abs=0.01))
    assert found["griffin-lim"]["preference"].mean == 0
    assert opinions_of(evaluate(trial, [], choices), trial.songs[1].name) == {}


@pytest.mark.parametrize("method", ["mushra", "ab"])
def test_other_methods(
    method: str, order: BuildOptions, dashboard: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    monkeypatch.setattr(systems_module, "GRIFFIN_LIM_ITERATIONS", 2)
    mushra = method == "mushra"
    trial = build_trial(
        dataclasses.replace(
            order,
            method=method,
            songs=order.songs[:1],
            systems=("griffin-lim",) if mushra else ("copy-content", "griffin-lim"),
            to=() if mushra else order.to,
            style_recordings=() if mushra else order.style_recordings,
            output=tmp_path / "trial",
            seconds=1.0,
        )
    )
    answer(trial, tmp_path / "trial" / ANSWERS_NAME)
    with Store(tmp_path / "trial" / ANSWERS_NAME, trial.id) as store:
        if mushra:  # one more, who takes the reference for bad
            careless = LISTENERS + 1
            store.add_listener().result()
            for screen, labels in trial.order_for(careless):
                for identity in labels:
                    store.save(Answer(careless, screen.id, identity, identity, 10, 1)).result()
    content = make_dashboard(tmp_path / "trial", wandb="off").content
    values = json.loads((tmp_path / "trial-dashboard" / "dashboard.json").read_text())
    assert values["listeners"] == LISTENERS + mushra and values["left_out"] == int(mushra)
    if mushra:
        assert [row.system for row in content.rows] == ["griffin-lim", "reference", "anchor-3.5kHz", "anchor-7kHz"]
        assert content.songs[0].role == "reference" and content.songs[0].example is None
        assert set(content.rows[0].measures) == {"chroma", "onsets"}
        assert content.rows[1].opinions["quality"].count == LISTENERS and content.results.pairs == ()
    else:
        assert content.songs[0].role == "original" and content.results.differences == ()
        (pair,) = values["pairs"]
        assert {pair["first"], pair["second"]} == {"copy-content", "griffin-lim"} and pair["share"] in (0, 1)
        assert content.totals["copy-content"]["preference"].mean == 100


def test_measures_that_are_no_numbers_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylize.dashboard.content.harmony_similarity", lambda output, original: float("nan"))
    noise = Sound(np.random.default_rng(0).normal(0, 0.1, 22050).astype(np.float32), 22050)
    assert set(measure(noise, noise, None, None)) == {"onsets"}  # type: ignore[arg-type]


def test_nothing_of_the_user_s_is_replaced(dashboard: Dashboard, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exists and is not empty; choose another one or use --force"):
        make_dashboard(dashboard.folder, output=dashboard.page.parent)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(UserError, match="has no dashboard.json, so --force does not replace it"):
        make_dashboard(dashboard.folder, output=tmp_path / "mine", force=True)
    with pytest.raises(UserError, match="does not exist; create it first"):
        make_dashboard(dashboard.folder, output=tmp_path / "no" / "where")
    with pytest.raises(UserError, match="is not there; give the answers"):
        make_dashboard(dashboard.folder, output=tmp_path / "new", answers=tmp_path / "none.sqlite3")
    with pytest.raises(UserError, match="is no trial"):
        make_dashboard(tmp_path, output=tmp_path / "new")
    with pytest.raises(UserError, match="'never' is unknown; choose one of"):
        make_dashboard(dashboard.folder, output=tmp_path / "new", wandb="never")
    check_output_folder(dashboard.page.parent, force=True, mark="dashboard.json")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_dashboard_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    output = tmp_path / "page"
    output.mkdir()
    (output / "dashboard.json").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(output) as unfinished:
        (unfinished / "dashboard.json").write_text("half")
        raise RuntimeError
    assert (output / "dashboard.json").read_text() == "old" and list(tmp_path.iterdir()) == [output]
    with atomic_folder(output) as unfinished:
        (unfinished / "dashboard.json").write_text("new")
    assert (output / "dashboard.json").read_text() == "new" and list(tmp_path.iterdir()) == [output]


def test_the_command_refuses_in_one_line(run_module: Any, tmp_path: Path) -> None:
    result = run_module("scripts.dashboard", tmp_path)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "is no trial" in result.stderr
