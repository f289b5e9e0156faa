"""Requests: styles and mixtures, and which song goes where."""

from __future__ import annotations

from pathlib import Path

import pytest

from stylize.mixture import check_known, parse_list, parse_styles
from stylize.request import Job, Request, plan_jobs
from stylize_core.audio.reader import AudioInfo
from stylize_core.errors import UserError


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
        ("jazz,,metal", "empty style name"),
        ("jazz:0.5,:0.5", "empty style name"),
        ("jazz:0.5,jazz:0.5", "style jazz twice"),
        ("jazz,metal:0.2", "without a weight for jazz"),
        ("jazz:0.7,metal", "without a weight for metal"),
        ("jazz:2,metal:-1", "'-1'"),
        ("jazz:0,metal:1", "a number above 0"),
        ("jazz:nan,metal:1", "a number above 0"),
        ("jazz:inf", "a number above 0"),
        ("jazz:lots,metal:0.5", "'lots'"),
        ("Jazz,jazz", "style jazz twice"),
    ],
)
def test_bad_mixtures(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_styles(text, ("jazz", "metal"))


@pytest.mark.parametrize("text", ["jazz:7,metal:3", "jazz:0.7,metal:0.3", "jazz:1e300,metal:4.285714285714286e299"])
def test_weights_have_any_sum(text: str) -> None:
    assert parse_styles(text) == pytest.approx({"jazz": 0.7, "metal": 0.3})


def test_styles_without_weights_are_equal_parts() -> None:
    assert parse_styles("jazz, metal,pop") == pytest.approx({"jazz": 1 / 3, "metal": 1 / 3, "pop": 1 / 3})


ODD_STYLES = ("jazz", "Drum & Bass", "80s, pop", "a:b", "a", "R&B: soul, funk", "cafe\u0301", 'say "hi"', "x,jazz")


@pytest.mark.parametrize("style", ODD_STYLES)
def test_every_style_can_be_asked_for(style: str) -> None:
    assert parse_styles(style, ODD_STYLES) == {style: 1.0}
    assert parse_styles(style.upper(), ODD_STYLES) == {style: 1.0}
    other = "jazz" if style != "jazz" else "a"
    for text in (f"{style}:3,{other}:1", f" {style} : 3 , {other} : 1 "):
        assert parse_styles(text, ODD_STYLES) == {style: 0.75, other: 0.25}
    assert parse_styles(f"{other},{style}", ODD_STYLES) == {style: 0.5, other: 0.5}


def test_quotation_marks_decide_where_names_meet() -> None:
    known = ("x", "jazz", "x,jazz", "x:1")
    assert parse_styles("x,jazz", known) == {"x,jazz": 1.0}
    assert parse_styles("'x','Jazz'", known) == {"x": 0.5, "jazz": 0.5}
    assert parse_styles('"x":1', known) == {"x": 1.0}
    assert parse_styles("x:1", known) == {"x:1": 1.0}
    assert parse_styles("caf\u00e9", ("cafe\u0301",)) == {"cafe\u0301": 1.0}
    assert parse_styles("JAZZ", ("JAZZ", "jazz")) == {"JAZZ": 1.0}
    assert parse_styles("jazz", ("JAZZ", "jazz")) == {"jazz": 1.0}


def test_styles_that_are_meant_one_by_one() -> None:
    assert parse_list(" Metal, 'a, b'", ("jazz", "metal", "a, b")) == ("metal", "a, b") and parse_list("") == ()
    with pytest.raises(UserError, match="with weights; each of these styles is made by itself"):
        parse_list("jazz:2,metal:1")


def test_unknown_style_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="unknown style 'Metall'; did you mean metal. this model knows: jazz, metal"):
        check_known({"Metall": 1.0}, ("jazz", "metal"))
    with pytest.raises(UserError, match="unknown style 'polka'; this model knows: jazz, metal"):
        check_known({"jazz": 0.5, "polka": 0.5}, ("jazz", "metal"))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Request(Path("a.wav")), "no target style"),
        (Request(Path("a.wav"), to="jazz", like=Path("b.wav")), "both --to and --like"),
        (Request(Path("a.wav"), to="jazz", strength=1.5), "strength 1.5; expected a number from 0 to 1"),
        (Request(Path("a.wav"), to="jazz", strength=float("nan")), "strength nan"),
        (Request(Path("a.wav"), to="jazz", sample_rate=10), "--sample-rate 10; expected 4000 to 384000 Hz"),
        (Request(Path("a.wav"), to="jazz", offset=-1.0), "--offset -1; expected seconds from the start"),
        (Request(Path("a.wav"), to="jazz", offset=float("nan")), "--offset nan"),
        (Request(Path("a.wav"), to="jazz", duration=0.0), "--duration 0; expected seconds, more than 0"),
        (Request(Path("a.wav"), to="jazz", force=True, skip_existing=True), "both --force and --skip-existing"),
        (Request(Path("a.wav"), to="jazz", bits="8"), "--bits 8; .wav has 16, 24, 32, float"),
        (Request(Path("a.wav"), Path("a.flac"), to="jazz", bits="32"), "--bits 32; .flac has 16, 24"),
        (Request(Path("a.wav"), Path("a.mp3"), to="jazz", bits="16"), "--bits 16; .mp3 has --quality instead"),
        (Request(Path("a.wav"), to="jazz", quality=5.0), "--quality 5; .wav has --bits instead"),
        (
            Request(Path("a.wav"), Path("a.ogg"), to="jazz", quality=11.0),
            r"--quality 11; expected 0 \(smallest\) to 10",
        ),
        (Request(Path("a.wav"), to="jazz", filename="{title}.wav"), r"unknown part \{title\}; there are \{name\}"),
        (Request(Path("a.wav"), to="jazz", filename="{name.__class__}.wav"), "unknown part"),
        (Request(Path("a.wav"), to="jazz", filename="{name!r}.wav"), "unknown part"),
        (Request(Path("a.wav"), to="jazz", filename="{name.wav"), "expected a name such as"),
        (Request(Path("a.wav"), to="jazz", filename="x/{name}.wav"), "with a folder in it"),
        (Request(Path("a.wav"), to="jazz", filename="{name}"), "no extension"),
    ],
)
def test_bad_requests(wanted: Request, message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan_jobs(wanted)


def test_default_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    song = Path("/music/song.mp3")
    assert plan_jobs(Request(song, to="jazz")) == [Job(song, Path("song.jazz.wav"))]
    assert plan_jobs(Request(song, to="jazz:0.5,pop:0.5"))[0].output == Path("song.jazz+pop.wav")
    assert plan_jobs(Request(song, like=Path("x/ref.ogg")))[0].output == Path("song.like-ref.wav")
    assert plan_jobs(Request(song, tmp_path, to="jazz"))[0].output == tmp_path / "song.jazz.wav"


def test_labels_are_safe_in_file_names() -> None:
    song = Path("song.mp3")
    for style, name in (("a/b", "song.a_b.wav"), ("80s, pop", "song.80s, pop.wav"), ("a\nb", "song.a_b.wav")):
        assert plan_jobs(Request(song, to=style), known=(style,))[0].output == Path(name)
    assert plan_jobs(Request(song, to="JAZZ"), known=("jazz",))[0].output == Path("song.jazz.wav")
    with pytest.raises(UserError, match="unknown style 'polka'"):
        plan_jobs(Request(song, to="polka"), known=("jazz",))


def outputs(root: Path, wanted: Request, *more: Path) -> dict[str, str]:
    jobs = plan_jobs(wanted, more=more)
    return {str(job.source.relative_to(root)): str(job.output.relative_to(root)) for job in jobs}


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for name in ("a.wav", "b.mp3", "album/a.wav", "album/c.au", "album/deep/c.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_several_songs_and_folders(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Request(album / "a.wav", album / "out", to="jazz")
    assert outputs(album, wanted, album / "album", album / "b.mp3") == {
        "a.wav": "out/a.jazz.wav",
        "album/a.wav": "out/album/a.wav",
        "album/c.au": "out/album/c.au.wav",
        "album/deep/c.wav": "out/album/deep/c.wav",
        "b.mp3": "out/b.jazz.wav",
    }
    monkeypatch.chdir(album)
    jobs = plan_jobs(Request(Path("a.wav"), to="jazz"), more=[Path("album")])
    assert [str(job.output) for job in jobs[:2]] == ["a.jazz.wav", "album.jazz/a.wav"]


def test_names_of_results(album: Path) -> None:
    pattern = "{style} of {name}.{ext}"
    assert outputs(album, Request(album / "b.mp3", album, to="jazz", filename=pattern)) == {"b.mp3": "jazz of b.mp3"}
    assert outputs(album, Request(album / "album", album / "out", to="jazz", filename=pattern)) == {
        "album/a.wav": "out/jazz of a.wav",
        "album/c.au": "out/jazz of c.wav",
        "album/deep/c.wav": "out/deep/jazz of c.wav",
    }
    flac = Request(album / "b.mp3", album / "new", to="jazz", filename="{name}.flac")
    assert outputs(album, flac) == {"b.mp3": "new/b.flac"}


def test_two_songs_never_get_one_output(album: Path) -> None:
    wanted = Request(album / "a.wav", album / "out", to="jazz", filename="x.wav")
    with pytest.raises(UserError, match=r"a\.wav and .*b\.mp3 would both be written to .*out/x\.wav"):
        plan_jobs(wanted, more=[album / "b.mp3"])
    same = Request(album / "a.wav", album, to="jazz", filename="b.mp3", force=True)
    with pytest.raises(UserError, match=r"b\.mp3 is one of the inputs"):
        plan_jobs(same, more=[album / "b.mp3"])


def test_several_songs_need_a_folder(album: Path) -> None:
    with pytest.raises(UserError, match="there are 2 inputs and the output .*b.mp3 a file"):
        plan_jobs(Request(album / "a.wav", album / "b.mp3", to="jazz"), more=[album / "album"])
    with pytest.raises(UserError, match="missing.wav does not exist"):
        plan_jobs(Request(album / "a.wav", album / "out", to="jazz"), more=[album / "missing.wav"])
    (album / "link.wav").symlink_to("gone.wav")
    with pytest.raises(UserError, match="link.wav is a broken link to gone.wav; check the name"):
        plan_jobs(Request(album / "a.wav", album / "out", to="jazz"), more=[album / "link.wav"])
    for more, filename in (([album / "c.au"], None), ([], "{name}.wav")):
        with pytest.raises(UserError, match=r"o2\.wav is to be a folder and has the name of a file"):
            plan_jobs(Request(album / "a.wav", album / "o2.wav", to="jazz", filename=filename), more=more)


def test_existing_results_can_be_left_out(album: Path) -> None:
    (album / "a.jazz.wav").touch()
    wanted = Request(album / "a.wav", album, to="jazz")
    with pytest.raises(UserError, match=r"a\.jazz\.wav exists already.*--skip-existing.*--force"):
        plan_jobs(wanted, more=[album / "b.mp3"])
    skipping = Request(album / "a.wav", album, to="jazz", skip_existing=True)
    assert len(plan_jobs(skipping, more=[album / "b.mp3"])) == 2


def test_a_part_of_a_song() -> None:
    info = AudioInfo(Path("a.wav"), 1000, 1, 10_000, "WAV", "PCM_16")
    for offset, duration, expected in ((0.0, None, (0, 10_000)), (2.5, 1.0, (2500, 1000)), (9.0, 5.0, (9000, 1000))):
        wanted = Request(info.path, to="jazz", offset=offset, duration=duration)
        assert wanted.excerpt(info) == expected
        assert wanted.seconds(info) == expected[1] / 1000
    with pytest.raises(UserError, match=r"got --offset 10, but a\.wav ends after 10\.0 s"):
        Request(info.path, to="jazz", offset=10.0).excerpt(info)


def test_input_is_never_overwritten(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.touch()
    with pytest.raises(UserError, match="input itself"):
        plan_jobs(Request(song, tmp_path / "." / "song.wav", to="jazz", force=True))
    with pytest.raises(UserError, match="input itself"):
        plan_jobs(Request(tmp_path, tmp_path, to="jazz", force=True))


def test_folder_keeps_names_and_skips_what_is_no_song(tmp_path: Path) -> None:
    music, out = tmp_path / "music", tmp_path / "music" / "out"
    for name in ("b.mp3", "a.wav", "deep/c.au", ".hidden.wav", "notes.txt", "out/a.wav"):
        (music / name).parent.mkdir(parents=True, exist_ok=True)
        (music / name).touch()
    jobs = plan_jobs(Request(music, out, to="jazz", force=True))
    assert [(str(job.source.relative_to(music)), str(job.output.relative_to(out))) for job in jobs] == [
        ("a.wav", "a.wav"),
        ("b.mp3", "b.mp3"),
        ("deep/c.au", "deep/c.au.wav"),
    ]
    with pytest.raises(UserError, match=r"out/a\.wav exists already"):
        plan_jobs(Request(music, out, to="jazz"))


def test_folder_problems(tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    with pytest.raises(UserError, match="no audio in"):
        plan_jobs(Request(music, tmp_path / "out", to="jazz"))
    (music / "a.wav").touch()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a folder and the output"):
        plan_jobs(Request(music, tmp_path / "file", to="jazz"))
    with pytest.raises(UserError, match="does not exist; create it first"):
        plan_jobs(Request(music, tmp_path / "no" / "out", to="jazz"))
    with pytest.raises(UserError, match="single song"):
        plan_jobs(Request(music, tmp_path / "out", to="jazz", picture=tmp_path / "x.png"))
