"""The comparison of systems: what is refused, what is made, how it is measured. The optimization is a stand-in."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import torch

from stylize import Stylizer
from stylize.evaluate.compare import BUNDLED, SYSTEMS, CompareOptions, compare, plan_comparison
from stylize.evaluate.metrics.similarity import Sound, StyleClassifier, timbre_distance
from stylize.optimize import run as optimize_run
from stylize.optimize.options import OptimizeOptions
from stylize.optimize.run import OptimizeResult, Reporter
from stylize_core.classifier import GenreClassifier
from stylize_core.errors import UserError
from stylize_core.mel import MelConfig

if TYPE_CHECKING:
    from tests.conftest import TinyModels

RATE = 22050
MakeOrder = Callable[..., CompareOptions]


def melody(seconds: float, partials: int, seed: int, rate: int = RATE) -> np.ndarray:
    """Notes of a fifth of a second, in tones with so many partials, (samples,)."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    pitches = 220 * 2 ** (rng.integers(0, 13, int(5 * seconds) + 1) / 12)
    phase = 2 * np.pi * np.cumsum(pitches[(5 * time).astype(int)]) / rate
    wav = sum(np.sin(k * phase) / k for k in range(1, partials + 1)) * np.exp(-8 * ((5 * time) % 1) / 5)
    return 0.3 * wav + 0.001 * rng.standard_normal(len(time))


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """`song`, `rock`, and another `rock` that is shorter than an excerpt; all in a folder of their own."""
    folder = tmp_path / "in"
    (folder / "short").mkdir(parents=True)
    soundfile.write(folder / "song.wav", melody(5.0, 1, seed=0), RATE)
    rock = melody(4.0, 8, seed=1, rate=32000)
    soundfile.write(folder / "rock.wav", np.stack([rock, 0.5 * rock], axis=1), 32000)
    soundfile.write(folder / "short" / "rock.wav", melody(1.5, 3, seed=2), RATE)
    return folder


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random, but strong enough to hear jazz in the melody of the song and metal in that of the style."""
    torch.manual_seed(23)
    folder = tmp_path_factory.mktemp("judge") / "classifier"
    classifier = GenreClassifier(("jazz", "metal"), MelConfig(n_mels=12), width=8, embedding_size=6)
    with torch.no_grad():
        for parameter in classifier.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)
        classifier.classify.bias[0] -= 0.457
    classifier.save(folder)
    return folder


@pytest.fixture
def make_order(recordings: Path, tmp_path: Path, tiny_models: TinyModels, classifier: Path) -> MakeOrder:
    def make_order(**changes: Any) -> CompareOptions:
        order = CompareOptions(
            recordings / "song.wav",
            (recordings / "rock.wav", recordings / "short" / "rock.wav"),
            tmp_path / "out",
            seconds=2.0,
            model=tiny_models.translator,
            vocoder=tiny_models.vocoder,
            classifier=classifier,
            device="cpu",
        )
        return dataclasses.replace(order, **changes)

    return make_order


class StandIn:
    """In place of the optimization: content and style on top of each other."""

    def __init__(self) -> None:
        self.orders: list[OptimizeOptions] = []
        self.stopped = "finished"

    def __call__(self, order: OptimizeOptions, reporter: Reporter | None = None) -> OptimizeResult:
        self.orders.append(order)
        assert order.output is not None
        soundfile.write(order.output, self.mix(order.content, order.style), RATE)
        return OptimizeResult(order.output, stopped=self.stopped)

    @staticmethod
    def mix(content: Path, style: Path) -> np.ndarray:
        wavs = [soundfile.read(path)[0] for path in (content, style)]
        length = min(map(len, wavs))
        mixed = wavs[0].copy()
        mixed[:length] += wavs[1][:length]
        return mixed / 2


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(optimize_run, "stylize_by_optimization", stand_in)
    return stand_in


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the measure that takes longest, where measures are not the subject."""
    monkeypatch.setattr("stylize.evaluate.metrics.similarity.harmony_similarity", lambda *sounds: 0.5)


def read(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32")[0]


def test_excerpts_are_the_middles_mono_at_the_rate_of_the_models(make_order: MakeOrder) -> None:
    plan = plan_comparison(make_order())
    song = melody(5.0, 1, seed=0)
    np.testing.assert_allclose(plan.content.wav, song[33075 : 33075 + 44100], atol=1e-4)
    first, second = plan.styles
    assert (first.name, second.name) == ("rock", "rock-2")
    stereo = Sound(np.stack([1.0, 0.5])[:, None] * melody(4.0, 8, seed=1, rate=32000), 32000)
    np.testing.assert_allclose(first.wav, stereo.at(RATE)[22050 : 22050 + 44100], atol=2e-3)
    np.testing.assert_allclose(second.wav, melody(1.5, 3, seed=2), atol=1e-4)  # too short: all of it


def test_everything_is_made_and_measured(
    make_order: MakeOrder, stand_in: StandIn, tmp_path: Path, tiny_models: TinyModels, classifier: Path
) -> None:
    order, notes = make_order(iterations=7, style_weight=3.0, network="siamese", seed=4), []

    class Listening(Reporter):
        def note(self, text: str) -> None:
            notes.append(text)

    table = compare(order, Listening())
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "content.wav", "figure.png", "rock-2.baseline.wav", "rock-2.style.wav", "rock-2.translator.wav",
        "rock.baseline.wav", "rock.style.wav", "rock.translator.wav", "table.csv",
    ]  # fmt: skip
    assert [(row.style, row.system) for row in table.rows] == [
        (style, system) for style in ("rock", "rock-2") for system in SYSTEMS
    ]
    assert notes == [f"{style}: {system}" for style in ("rock", "rock-2") for system in SYSTEMS[2:]]
    assert (out / "table.csv").read_text().count("\n") == 9

    # What each system was given.
    baseline = stand_in.orders[0]
    assert (baseline.content, baseline.style) == (out / "content.wav", out / "rock.style.wav")
    assert (baseline.iterations, baseline.style_weight, baseline.network, baseline.seed) == (7, 3.0, "siamese", 4)
    assert (baseline.model, baseline.vocoder) == (tiny_models.translator, tiny_models.vocoder)
    stylizer = Stylizer.from_pretrained(tiny_models.translator, tiny_models.vocoder, device="cpu")
    stylizer.stylize_file(out / "content.wav", tmp_path / "again.wav", like=out / "rock.style.wav")
    np.testing.assert_array_equal(read(out / "rock.translator.wav"), read(tmp_path / "again.wav"))

    # What was measured, the copies by what must be so, the others by the measures themselves.
    content, style = Sound.read(out / "content.wav"), Sound.read(out / "rock.style.wav")
    likeness = StyleClassifier.from_pretrained(classifier)
    copy_content, copy_style, feed_forward, optimization = (row.metrics for row in table.rows[:4])
    assert copy_content.chroma == pytest.approx(1, abs=1e-3) and copy_content.onsets == pytest.approx(1, abs=1e-3)
    assert copy_style.style == pytest.approx(1, abs=1e-4) and copy_style.timbre == pytest.approx(0, abs=1e-2)
    assert copy_style.chroma < 0.95 and copy_content.timbre > 1
    assert {row.style_genre for row in table.rows[:4]} == {"metal"}
    assert (
        copy_style.genre == pytest.approx(likeness.genre_probabilities(style)["metal"], abs=1e-4)
        and copy_style.genre > 0.5
    )
    assert copy_content.genre == pytest.approx(likeness.genre_probabilities(content)["metal"], abs=1e-4)
    assert copy_content.genre < 0.5 and copy_content.style < 0.9
    for name, measured in (("translator", feed_forward), ("baseline", optimization)):
        result = Sound.read(out / f"rock.{name}.wav")
        assert measured.timbre == pytest.approx(timbre_distance(result, style), rel=1e-3)
        assert measured.style == pytest.approx(likeness.style_similarity(result, style), rel=1e-3)
    assert 0.3 < optimization.chroma < 1 and optimization.chroma > copy_style.chroma
    assert [row.elapsed is None for row in table.rows[:4]] == [True, True, False, False]
    assert [row.seconds for row in table.rows[:4]] == [2.0, 2.0, 2.0, 2.0] and table.rows[5].seconds == 1.5
    assert content.seconds == 2.0 and content.sample_rate == RATE


def test_only_what_the_baseline_needs_is_given_to_it(make_order: MakeOrder) -> None:
    order = make_order(representation="stft", network="random")
    baseline = order.baseline(Path("a.wav"), Path("b.wav"), Path("c.wav"))
    assert baseline.representation == "stft" and baseline.vocoder is None and baseline.model is None
    plan_comparison(order)


@pytest.mark.usefixtures("quick")
def test_ctrl_c_leaves_finished_styles_and_nothing_half_done(
    make_order: MakeOrder, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted_at_the_second(order: OptimizeOptions, reporter: Reporter | None = None) -> OptimizeResult:
        stand_in.stopped = "interrupted" if stand_in.orders else "finished"
        return stand_in(order, reporter)

    monkeypatch.setattr(optimize_run, "stylize_by_optimization", interrupted_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        compare(make_order())
    out = tmp_path / "out"
    assert (out / "rock.baseline.wav").exists() and not (out / "rock-2.baseline.wav").exists()
    assert (out / "table.csv").read_text().count("\n") == 5
    assert not (out / "figure.png").exists()


@pytest.mark.usefixtures("quick")
def test_a_loss_that_is_no_number_is_said_and_compared(make_order: MakeOrder, stand_in: StandIn) -> None:
    notes = []

    class Listening(Reporter):
        def note(self, text: str) -> None:
            notes.append(text)

    stand_in.stopped = "not finite"
    order = make_order()
    assert len(compare(dataclasses.replace(order, styles=order.styles[:1]), Listening()).rows) == 4
    assert any(note.startswith("rock.baseline.wav: the loss was no finite number") for note in notes)


@pytest.mark.usefixtures("quick")
def test_a_folder_is_used_again_only_with_force(make_order: MakeOrder, stand_in: StandIn, tmp_path: Path) -> None:
    order = make_order(styles=make_order().styles[:1])
    (tmp_path / "out").mkdir()
    plan_comparison(order)  # an empty folder will do
    (tmp_path / "out" / "mine.txt").write_text("mine")
    (tmp_path / "out" / "rock.translator.wav").write_text("old")
    with pytest.raises(UserError, match=r"out exists and is not empty; choose another one or use --force"):
        compare(order)
    compare(dataclasses.replace(order, force=True))
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert len(read(tmp_path / "out" / "rock.translator.wav")) == 44100


def refuse(order: CompareOptions, problem: str) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        compare(order)
    assert "\n" not in str(caught.value)
    assert not order.output.is_dir() or order.output.name == "in"


def test_what_cannot_be_done_is_refused_before_anything_is_made(
    make_order: MakeOrder, recordings: Path, tmp_path: Path, tiny_models: TinyModels
) -> None:
    song = recordings / "song.wav"
    soundfile.write(recordings / "brief.wav", melody(0.9, 1, seed=0), RATE)
    gap = melody(6.0, 1, seed=0)
    gap[RATE : 5 * RATE] = 0.0
    soundfile.write(recordings / "gap.wav", gap, RATE)
    (recordings / "text.wav").write_text("no music")
    refuse(make_order(styles=()), "no style to compare with")
    for seconds in (0.5, float("nan")):
        with pytest.raises(UserError, match=f"got --seconds {seconds:g}; expected at least 1"):
            make_order(seconds=seconds)
    refuse(make_order(content=recordings / "gone.wav"), "gone.wav")
    refuse(make_order(styles=(song, recordings / "gone.wav")), "gone.wav")
    refuse(make_order(styles=(recordings / "text.wav",)), "text.wav")
    refuse(make_order(styles=(recordings / "brief.wav",)), r"brief.wav is 0.90 s long; expected at least 1 s")
    refuse(make_order(content=recordings / "gap.wav"), r"gap.wav is silent in its middle 2 s")
    refuse(make_order(output=song), "song.wav is a file; give a folder")
    refuse(make_order(output=tmp_path / "no" / "out"), r"no does not exist; create it first")
    refuse(make_order(iterations=0), "iterations")
    refuse(make_order(representation="wavelet"), "unknown representation 'wavelet'")
    refuse(make_order(network="autoencoder", representation="cqt"), "autoencoder knows mel")
    refuse(make_order(network="vgg"), "unknown network 'vgg'")
    refuse(make_order(style_weight=-1.0), "--style-weight")
    refuse(make_order(device="tpu"), "tpu")
    for name in ("model", "vocoder", "classifier"):
        refuse(make_order(**{name: tmp_path / "gone"}), f"model folder not found: {tmp_path / 'gone'}")
    refuse(make_order(classifier=tiny_models.vocoder), "holds a vocoder, a classifier is needed")
    refuse(make_order(model=tiny_models.vocoder), "holds a vocoder, a translator is needed")


def test_inputs_are_never_written_over(make_order: MakeOrder, recordings: Path) -> None:
    (recordings / "song.wav").rename(recordings / "content.wav")
    refuse(
        make_order(content=recordings / "content.wav", output=recordings, force=True), "content.wav is an input itself"
    )
    assert len(read(recordings / "content.wav")) == 5 * RATE


def test_a_missing_bundled_classifier_is_said(
    make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(BUNDLED, "classifier", tmp_path / "nowhere")
    refuse(make_order(classifier=None), "nowhere")


def test_planning_needs_no_torch(make_order: MakeOrder) -> None:
    """Arguments are checked before PyTorch is loaded, which takes seconds."""
    order = make_order()
    code = (
        "import sys; from pathlib import Path\n"
        "from stylize.evaluate.compare import CompareOptions, plan_comparison\n"
        f"order = CompareOptions(Path({str(order.content)!r}), (Path({str(order.styles[0])!r}),), "
        f"Path({str(order.output)!r}), classifier=Path({str(order.classifier)!r}))\n"
        "plan_comparison(order); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3], env=os.environ | {})
