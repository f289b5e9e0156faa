"""Trials from recordings to files: equal length and loudness, blind names, and refusals that leave nothing behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

import stylize
from stylize.cli import main
from stylize.listening import systems as systems_module
from stylize.listening.build import build_trial
from stylize.listening.plan import STYLE_EXAMPLES, BuildOptions
from stylize.listening.stimuli import low_pass, measure_loudness
from stylize.listening.trial import MANIFEST_NAME, Trial, audio_file
from stylize_core.errors import UserError

if TYPE_CHECKING:
    from stylize.optimize.options import OptimizeOptions
    from tests.conftest import TinyModels
    from tests.stylize.listening.conftest import Recordings


LONG_SONG = Path(stylize.__file__).parent / "songs" / "demo_country.ogg"


def read(folder: Path, identity: str) -> np.ndarray:
    return soundfile.read(audio_file(folder, identity), dtype="float32", always_2d=True)[0].T


def test_all_sounds_of_a_trial_are_equally_long_and_loud(trial: Trial, trial_folder: Path) -> None:
    assert len(trial.stimuli) == 2 * (3 + 2)
    for stimulus in trial.stimuli:
        wav = read(trial_folder, stimulus.id)
        assert wav.shape == (1, 16000)
        # 20 ms fades take a little from a second of sound, from all of them the same.
        assert measure_loudness(wav, 16000) == pytest.approx(trial.song[stimulus.song].loudness, abs=0.3)
        assert abs(wav[0, 0]) < 1e-3 and abs(wav[0, -1]) < 1e-3


def test_a_copy_is_the_excerpt(trial: Trial, trial_folder: Path, recordings: Recordings) -> None:
    source = soundfile.read(recordings.songs[0], dtype="float32")[0][8000:24000]
    (copy,) = (each for each in trial.stimuli if each.system == "copy-content" and each.song == "first")
    expected = source * 10 ** (copy.gain_db / 20)
    np.testing.assert_allclose(read(trial_folder, copy.id)[0, 1000:-1000], expected[1000:-1000], atol=1e-4)


def test_names_say_nothing(trial: Trial, trial_folder: Path) -> None:
    files = [path.name for path in (trial_folder / "audio").iterdir()]
    assert len(files) == len(trial.stimuli)
    assert all(re.fullmatch(r"[0-9a-f]{32}\.wav", name) for name in files)
    assert len({path.stat().st_size for path in (trial_folder / "audio").iterdir()}) == 1
    for path in (trial_folder / "audio").iterdir():
        content = path.read_bytes()
        assert not any(word in content for word in (b"copy", b"other", b"first", b"jazz"))
    # Nor does an order: random ids, sorted.
    for ids in ([each.id for each in trial.stimuli], *(screen.stimuli for screen in trial.screens)):
        assert list(ids) == sorted(ids)


def test_a_manifest_is_read_back_as_it_was(trial: Trial, trial_folder: Path, tmp_path: Path) -> None:
    values = json.loads((trial_folder / MANIFEST_NAME).read_text())
    assert values["format"] == "stylize listening trial" and values["version"] == 1
    assert {system.name: system.kind for system in trial.systems} == {
        "copy-content": "copy-content",
        "copy-style": "copy-style",
        "other": "folder",
    }
    trial.write(tmp_path)
    assert (tmp_path / MANIFEST_NAME).read_text() == (trial_folder / MANIFEST_NAME).read_text()


def test_mushra_hides_the_reference_and_two_anchors(mushra_folder: Path) -> None:
    trial = Trial.read(mushra_folder)
    assert len(trial.screens) == 2
    for screen in trial.screens:
        ids = {trial.stimulus[identity].system: identity for identity in screen.stimuli}
        assert set(ids) == {"other", "reference", "anchor-3.5kHz", "anchor-7kHz"}
        ((role, beside),) = screen.examples
        assert role == "reference" and beside not in screen.stimuli
        reference = read(mushra_folder, ids["reference"])
        np.testing.assert_array_equal(reference, read(mushra_folder, beside))
        inner = slice(1000, -1000)
        for name, edge in (("anchor-3.5kHz", 3500), ("anchor-7kHz", 7000)):
            expected = low_pass(reference, edge, 22050)[0, inner]
            np.testing.assert_allclose(read(mushra_folder, ids[name])[0, inner], expected, atol=2e-3)


def test_pairs_are_all_pairs_of_systems(pair_folder: Path) -> None:
    trial = Trial.read(pair_folder)
    pairs = [tuple(sorted(trial.stimulus[identity].system for identity in each.stimuli)) for each in trial.screens]
    every = [("copy-content", "copy-style"), ("copy-content", "other"), ("copy-style", "other")]
    assert sorted(pairs) == sorted(every * 2)
    assert {role for role, _ in trial.screens[0].examples} == {"original", "style"}


def test_a_rendered_corpus_gives_ground_truth_and_examples_of_the_style(tone_corpus: Path, tmp_path: Path) -> None:
    song = tone_corpus / "jazz" / "jazz.00003.wav"
    systems = ("copy-content", "ground-truth", "copy-style")
    trial = build_trial(BuildOptions((song,), systems, tmp_path / "t", ("metal",), seconds=1.0))
    recording = Path(str(trial.songs[0].style_recording))
    assert recording == tone_corpus / "metal" / "metal.00004.wav"  # the other song of the same split
    (truth,) = (each for each in trial.stimuli if each.system == "ground-truth")
    source = soundfile.read(tone_corpus / "metal" / "metal.00003.wav", dtype="float32")[0]
    start = round(trial.songs[0].start * 22050)
    expected = source[start : start + 22050] * 10 ** (truth.gain_db / 20)
    np.testing.assert_allclose(read(tmp_path / "t", truth.id)[0, 1000:-1000], expected[1000:-1000], atol=1e-4)


def test_own_songs_get_the_bundled_example_of_the_style(recordings: Recordings, tmp_path: Path) -> None:
    trial = build_trial(recordings.options(tmp_path / "trial", style_recordings=()))
    assert {song.style_recording for song in trial.songs} == {str(STYLE_EXAMPLES / "jazz.ogg")}
    assert {role for screen in trial.screens for role, _ in screen.examples} == {"original", "style"}


def test_no_example_of_the_style_is_asked_for_where_none_is_played(recordings: Recordings, tmp_path: Path) -> None:
    changes = {"systems": ("copy-content", f"other={recordings.other}"), "to": ("polka",), "style_recordings": ()}
    trial = build_trial(recordings.options(tmp_path / "trial", questions=("content", "quality"), **changes))
    assert {song.style_recording for song in trial.songs} == {None}
    with pytest.raises(UserError, match="no example of the style polka"):
        build_trial(recordings.options(tmp_path / "another", **changes))
    unstyled = build_trial(recordings.options(tmp_path / "unstyled", **changes | {"to": ()}))
    assert unstyled.questions == ("content", "quality")


def test_the_project_s_systems_render(
    tiny_models: TinyModels, recordings: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems_module, "GRIFFIN_LIM_ITERATIONS", 2)
    systems = ("translator", "vocoder", "griffin-lim", f"another={tiny_models.translator}")
    order = recordings.options(
        tmp_path / "trial",
        songs=recordings.songs[:1],
        systems=systems,
        model=tiny_models.translator,
        vocoder=tiny_models.vocoder,
        device="cpu",
        seconds=0.3,
    )
    trial = build_trial(order)
    sounds = {each.system: read(tmp_path / "trial", each.id) for each in trial.stimuli if each.rated}
    assert {wav.shape for wav in sounds.values()} == {(1, 4800)}
    assert all(np.abs(wav).max() > 0.01 for wav in sounds.values())
    # The same translator under two names gives the same; every other system differs from it.
    np.testing.assert_array_equal(sounds["translator"], sounds["another"])
    for name in ("vocoder", "griffin-lim"):
        assert np.abs(sounds["translator"] - sounds[name]).max() > 0.01
    details = {system.name: system.details for system in trial.systems}
    assert details["translator"]["translator"]["folder"] == str(tiny_models.translator)
    assert len(details["translator"]["translator"]["weights_sha256"]) == 64


def test_the_baseline_gets_the_excerpts(
    recordings: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The optimization has tests of its own; here it writes the content backwards."""
    from stylize.optimize import run as optimize_run

    def reverse(order: OptimizeOptions, reporter: object = None) -> optimize_run.OptimizeResult:
        assert order.content_weight == 0.5 and order.iterations == 3 and order.network == "random"
        content, rate = soundfile.read(order.content)
        style, _ = soundfile.read(order.style)
        assert len(content) == len(style) == 16000
        soundfile.write(order.output, content[::-1], rate)
        return optimize_run.OptimizeResult(Path(str(order.output)))

    monkeypatch.setattr(optimize_run, "stylize_by_optimization", reverse)
    changes = {"systems": ("copy-content", "baseline"), "network": "random", "iterations": 3, "content_weight": 0.5}
    trial = build_trial(recordings.options(tmp_path / "trial", songs=recordings.songs[:1], **changes))
    sounds = {each.system: read(tmp_path / "trial", each.id)[0] for each in trial.stimuli if each.rated}
    np.testing.assert_allclose(sounds["baseline"][::-1], sounds["copy-content"], atol=2e-3)
    assert {system.name: system.details for system in trial.systems}["baseline"]["iterations"] == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"systems": ("guesswork",)}, "unknown system 'guesswork'"),
        ({"systems": ("copy-content",)}, "compares at least 2"),
        ({"systems": ("copy-content", "copy-content")}, "is there twice"),
        ({"systems": ("copy-content", "reference=.")}, "a name is letters"),
        ({"systems": ("copy-content", "../x=.")}, "a name is letters"),
        ({"systems": ("copy-content", "x=nowhere")}, "no such folder"),
        ({"systems": ("copy-content", "ground-truth")}, "ground-truth needs songs of a rendered corpus"),
        ({"systems": ("copy-content", "translator"), "to": ("polka",)}, "unknown style 'polka'"),
        ({"to": ()}, "give --to STYLE"),
        ({"to": ("jazz", "jazz")}, "stands twice"),
        ({"songs": ()}, "no songs"),
        ({"songs": (Path("nowhere.wav"),)}, "nowhere.wav"),
        ({"style_recordings": (), "to": ("polka",)}, "in that style with --style-recordings FILE, or leave out"),
        ({"style_recordings": (), "songs": (LONG_SONG,), "seconds": 9.0}, "or fewer --seconds"),
        ({"seconds": 0.0}, "got --seconds 0"),
        ({"seconds": float("nan")}, "got --seconds nan"),
        ({"start": 1.9}, "no 1 s are left after --start 1.9"),
        ({"loudness": 0.0}, "got --loudness 0"),
        ({"fade_seconds": -1.0}, "got --fade -1"),
        ({"sample_rate": 1}, "got --sample-rate 1"),
        ({"method": "mushra"}, "use --reference ground-truth"),
        ({"method": "mushra", "to": (), "systems": ("x=OTHER",), "sample_rate": 8000}, "anchor needs at least"),
        ({"reference": "nothing"}, "unknown reference 'nothing'"),
        ({"device": "abacus"}, "got device 'abacus'"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line_and_leaves_nothing(
    recordings: Recordings,
    tmp_path: Path,
    changes: dict[str, object],
    message: str,
) -> None:
    if systems := changes.get("systems"):
        named = [str(recordings.other) if part == "x=OTHER" else part for part in systems]  # type: ignore[attr-defined]
        changes = changes | {"systems": tuple("x=" + part if part == str(recordings.other) else part for part in named)}
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        build_trial(recordings.options(tmp_path / "trial", **changes))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"songs": ("FIRST", "SILENT")}, "silent.wav is silent in its excerpt"),
        ({"songs": ("FIRST", "BROKEN")}, "broken.wav"),
        ({"systems": ("translator", "cut=CUT")}, "first.wav is 1.25 s long; expected the excerpt"),
        ({"systems": ("translator", "baseline"), "network": "guesswork"}, "guesswork"),
        ({"systems": ("translator", "baseline"), "content_weight": -1.0}, "-1"),
        ({"systems": ("vocoder", "griffin-lim"), "method": "mushra", "to": (), "sample_rate": 8000}, "anchor needs"),
    ],
)
@pytest.mark.usefixtures("no_model")
def test_everything_is_checked_before_a_model_is_loaded(
    recordings: Recordings, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    (tmp_path / "cut").mkdir()
    soundfile.write(tmp_path / "cut" / "first.wav", np.full(20000, 0.1), 16000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(32000), 16000)
    (tmp_path / "broken.wav").write_bytes(recordings.songs[1].read_bytes()[:9000])
    named = {"FIRST": recordings.songs[0], "SILENT": tmp_path / "silent.wav", "BROKEN": tmp_path / "broken.wav"}
    songs = tuple(named[str(song)] for song in changes.get("songs", ("FIRST",)))  # type: ignore[attr-defined]
    systems = changes.get("systems", ("translator", "copy-content"))
    systems = tuple(system.replace("CUT", str(tmp_path / "cut")) for system in systems)  # type: ignore[attr-defined]
    order = recordings.options(tmp_path / "trial", **changes | {"songs": songs, "systems": systems})
    with pytest.raises(UserError, match=re.escape(message)):
        build_trial(order)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.wav", "cut", "silent.wav"]


def test_a_silent_excerpt_is_refused(recordings: Recordings, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "first.wav", np.zeros(32000), 16000)
    with pytest.raises(UserError, match="is silent in its excerpt"):
        build_trial(recordings.options(tmp_path / "trial", songs=(tmp_path / "first.wav",)))


def test_a_silent_system_is_kept_as_it_is(recordings: Recordings, tmp_path: Path) -> None:
    (tmp_path / "mute").mkdir()
    soundfile.write(tmp_path / "mute" / "first.wav", np.zeros(32000), 16000)
    systems = ("copy-content", f"mute={tmp_path / 'mute'}")
    trial = build_trial(recordings.options(tmp_path / "trial", songs=recordings.songs[:1], systems=systems))
    (mute,) = (each for each in trial.stimuli if each.system == "mute")
    assert mute.loudness is None and mute.peak == 0 and not read(tmp_path / "trial", mute.id).any()


def test_a_sound_of_another_length_is_refused(recordings: Recordings, tmp_path: Path) -> None:
    (tmp_path / "cut").mkdir()
    soundfile.write(tmp_path / "cut" / "first.wav", np.full(20000, 0.1), 16000)
    with pytest.raises(UserError, match=r"is 1\.25 s long; expected the excerpt \(1\.00 s\) or the whole song"):
        build_trial(
            recordings.options(
                tmp_path / "trial", songs=recordings.songs[:1], systems=("copy-content", f"cut={tmp_path / 'cut'}")
            )
        )


def test_a_trial_is_replaced_on_demand_only_and_never_with_answers(recordings: Recordings, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    first = build_trial(recordings.options(folder, songs=recordings.songs[:1]))
    with pytest.raises(UserError, match="use --force"):
        build_trial(recordings.options(folder, songs=recordings.songs[:1]))
    second = build_trial(recordings.options(folder, songs=recordings.songs[:1], force=True))
    assert first.id != second.id and Trial.read(folder).id == second.id
    (folder / "answers.sqlite3").write_bytes(b"")
    with pytest.raises(UserError, match="holds answers of listeners"):
        build_trial(recordings.options(folder, songs=recordings.songs[:1], force=True))
    (folder / "answers.sqlite3").unlink()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes\.txt beside the trial, so --force does not replace it"):
        build_trial(recordings.options(folder, songs=recordings.songs[:1], force=True))
    assert (folder / "notes.txt").read_text() == "mine"
    with pytest.raises(UserError, match="has no manifest.json, so --force does not replace it"):
        build_trial(recordings.options(recordings.other, force=True))


def test_answers_that_come_while_a_trial_is_built_are_not_lost(recordings: Recordings, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    first = build_trial(recordings.options(folder, songs=recordings.songs[:1]))
    with pytest.raises(UserError, match="holds answers of listeners"):
        build_trial(
            recordings.options(folder, songs=recordings.songs[:1], force=True),
            progress=lambda text: (folder / "answers.sqlite3").touch(),
        )
    assert Trial.read(folder).id == first.id
    assert [path.name for path in tmp_path.iterdir()] == ["trial"]


def test_the_command_builds_what_was_ordered(
    recordings: Recordings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Songs with and without --songs, and an option of each kind that is not the default."""
    first, second = map(str, recordings.songs)
    options = ["--systems", "copy-content, copy-style", "--to", "Jazz", "--seconds", "0.5", "--start", "1"]
    options += ["--questions", "quality,content", "--title", "Mine", "--loudness", "-30", "--seed", "3"]
    options += ["--fade", "0.1", "--style-recordings", str(recordings.style)]
    assert main(["listen", "build", "--songs", first, second, *options, "-o", str(tmp_path / "trial")]) == 0
    assert f"take it with: stylize listen run {tmp_path / 'trial'}" in capsys.readouterr().out
    trial = Trial.read(tmp_path / "trial")
    assert {song.style for song in trial.songs} == {"jazz"}
    assert (trial.title, trial.seed, trial.questions, trial.fade_seconds) == ("Mine", 3, ("quality", "content"), 0.1)
    assert [(song.name, song.start, song.seconds, song.loudness, song.style_recording) for song in trial.songs] == [
        (name, 1.0, 0.5, -30.0, str(recordings.style)) for name in ("first", "second")
    ]
    assert main(["listen", "build", first, *options, "-o", str(tmp_path / "trial")]) == 2
    assert "use --force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-40], "is no manifest"),
        (lambda text: text.replace('"version": 1', '"version": 2'), "has version 2, expected 1"),
        (lambda text: text.replace("stylize listening trial", "shopping list"), "is no manifest"),
        (lambda text: text.replace('"system": "other"', '"system": "nobody"'), "unknown system"),
        (lambda text: re.sub(r'"id": "[0-9a-f]{32}"', '"id": "../../etc/passwd"', text, count=1), "impossible id"),
        (lambda text: text.replace('"seed": 0', '"seed": 0, "extra": 1'), "is damaged"),
        (lambda text: text.replace('"seed": 0', '"seed": "no"'), "seed must be a whole number, got 'no'"),
        (lambda text: re.sub(r'"peak": [-0-9.e]+', '"peak": NaN', text, count=1), "peak must be a finite number"),
        (lambda text: text.replace('"seed": 0', '"seed": "\\ud800"'), "half of a surrogate pair"),
        (lambda text: "[" * 100_000, "nested"),
        (lambda text: "[]", "is no manifest"),
    ],
)
def test_a_damaged_manifest_is_refused(
    trial_folder: Path, tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    text = (trial_folder / MANIFEST_NAME).read_text()
    assert change(text) != text
    (tmp_path / MANIFEST_NAME).write_text(change(text))
    with pytest.raises(UserError, match=message):
        Trial.read(tmp_path)


def test_missing_files_and_folders_are_named(trial: Trial, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no trial"):
        Trial.read(tmp_path)
    trial.write(tmp_path)
    with pytest.raises(UserError, match=r"\.wav is missing"):
        Trial.read(tmp_path)
