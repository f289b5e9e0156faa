"""Requests: styles and mixtures, and which song goes where."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import UserError
from stylize.request import Job, Order, check_known, parse_styles, plan_jobs


def test_single_style() -> None:
    assert parse_styles("jazz") == {"jazz": 1.0}
    assert parse_styles("jazz:1") == {"jazz": 1.0}


def test_mixture_adds_up_to_one() -> None:
    assert parse_styles(" jazz : 0.7, metal:0.3 ") == pytest.approx({"jazz": 0.7, "metal": 0.3})
    thirds = parse_styles("a:0.33,b:0.33,c:0.33")
    assert sum(thirds.values()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty style name"),
        ("jazz,,metal", "without a weight for jazz"),
        ("jazz:0.5,:0.5", "empty style name"),
        ("jazz:0.5,jazz:0.5", "style jazz twice"),
        ("jazz,metal", "without a weight for jazz"),
        ("jazz:0.7,metal:0.2", "add up to 0.9; they must add up to 1"),
        ("jazz:0.7", "add up to 0.7"),
        ("jazz:2,metal:-1", "'-1'"),
        ("jazz:0,metal:1", "a number above 0"),
        ("jazz:nan,metal:1", "a number above 0"),
        ("jazz:inf", "a number above 0"),
        ("jazz:lots,metal:0.5", "'lots'"),
    ],
)
def test_bad_mixtures(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_styles(text)


def test_unknown_style_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="unknown style 'polka'; this model knows: jazz, metal"):
        check_known({"jazz": 0.5, "polka": 0.5}, ("jazz", "metal"))


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (Order(Path("a.wav")), "no target style"),
        (Order(Path("a.wav"), to="jazz", like=Path("b.wav")), "both --to and --like"),
        (Order(Path("a.wav"), to="jazz", strength=1.5), "strength 1.5; expected a number from 0 to 1"),
        (Order(Path("a.wav"), to="jazz", strength=float("nan")), "strength nan"),
        (Order(Path("a.wav"), to="jazz", sample_rate=10), "sample rate 10"),
    ],
)
def test_bad_orders(order: Order, message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan_jobs(order)


def test_default_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    song = Path("/music/song.mp3")
    assert plan_jobs(Order(song, to="jazz")) == [Job(song, Path("song.jazz.wav"))]
    assert plan_jobs(Order(song, to="jazz:0.5,pop:0.5"))[0].output == Path("song.jazz+pop.wav")
    assert plan_jobs(Order(song, like=Path("x/ref.ogg")))[0].output == Path("song.like-ref.wav")
    assert plan_jobs(Order(song, tmp_path, to="jazz"))[0].output == tmp_path / "song.jazz.wav"


def test_input_is_never_overwritten(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.touch()
    with pytest.raises(UserError, match="input itself"):
        plan_jobs(Order(song, tmp_path / "." / "song.wav", to="jazz", force=True))
    with pytest.raises(UserError, match="input itself"):
        plan_jobs(Order(tmp_path, tmp_path, to="jazz", force=True))


def test_folder_keeps_names_and_skips_what_is_no_song(tmp_path: Path) -> None:
    music, out = tmp_path / "music", tmp_path / "music" / "out"
    for name in ("b.mp3", "a.wav", "deep/c.au", ".hidden.wav", "notes.txt", "out/a.wav"):
        (music / name).parent.mkdir(parents=True, exist_ok=True)
        (music / name).touch()
    jobs = plan_jobs(Order(music, out, to="jazz", force=True))
    assert [(str(job.source.relative_to(music)), str(job.output.relative_to(out))) for job in jobs] == [
        ("a.wav", "a.wav"),
        ("b.mp3", "b.mp3"),
        ("deep/c.au", "deep/c.au.wav"),
    ]
    with pytest.raises(UserError, match=r"out/a\.wav exists already"):
        plan_jobs(Order(music, out, to="jazz"))


def test_folder_problems(tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    with pytest.raises(UserError, match="no audio in"):
        plan_jobs(Order(music, tmp_path / "out", to="jazz"))
    (music / "a.wav").touch()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a folder and the output"):
        plan_jobs(Order(music, tmp_path / "file", to="jazz"))
    with pytest.raises(UserError, match="does not exist; create it first"):
        plan_jobs(Order(music, tmp_path / "no" / "out", to="jazz"))
    with pytest.raises(UserError, match="single song"):
        plan_jobs(Order(music, tmp_path / "out", to="jazz", picture=tmp_path / "x.png"))
