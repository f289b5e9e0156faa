"""Runs from files to a file: what the result has of its input, blocks, silence, seeds, starts, pictures."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from torch import Tensor

from stylize.optimize import transfer
from stylize.optimize.blocks import DECODE_CONTEXT_SECONDS, BlockDecoder
from stylize.optimize.objective import Objective
from stylize.optimize.options import OptimizeOptions
from stylize.optimize.reporting import Place, Reporter, Step
from stylize.optimize.run import OptimizeResult, stylize_by_optimization
from stylize.optimize.transfer import Transfer
from stylize_core.errors import UserError

Chord = Callable[..., Path]

HOP = 512
"""Samples between frames of the representation `stft`, whose inverse is the fastest."""
SMALL = OptimizeOptions(
    Path("content.wav"),
    Path("style.wav"),
    Path("out.wav"),
    representation="stft",
    width=8,
    kernel=3,
    iterations=3,
    content_weight=1.0,
    device="cpu",
)


def run(**changes: object) -> OptimizeResult:
    """Optimise content.wav toward style.wav in the current folder."""
    return stylize_by_optimization(dataclasses.replace(SMALL, **changes))  # type: ignore[arg-type]


class Notes(Reporter):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.places: list[tuple[Place, int]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, place: Place, step: Step) -> None:
        self.places.append((place, step.iteration))


@pytest.mark.parametrize(
    ("content", "output", "channels", "rate", "samples"),
    [
        ("content.wav", "out.wav", 1, 22050, 11_001),
        ("content.wav", "out.flac", 2, 44100, 22_003),
        ("content.flac", "out.wav", 3, 48000, 20_001),
        ("content.wav", "out.ogg", 1, 16000, 7_999),
    ],
)
def test_length_rate_and_channels_are_those_of_the_content(
    place: Path, chord: Chord, content: str, output: str, channels: int, rate: int, samples: int
) -> None:
    chord(place / content, samples / rate, channels=channels, rate=rate)
    chord(place / "style.wav", 0.4, 370.0, channels=2, rate=32000)
    result = run(content=Path(content), output=Path(output))
    wav, written_rate = soundfile.read(output, always_2d=True)
    assert (wav.shape, written_rate) == ((samples, channels), rate)
    assert np.isfinite(wav).all()
    assert wav.std(axis=0).min() > 0.01
    assert (result.path, result.stopped, result.seconds) == (Path(output), "finished", samples / rate)


@pytest.mark.parametrize(
    ("representation", "inverse", "layout"),
    [
        ("mel", "vocoder", "frequency"),
        ("mel", "griffin-lim", "time"),
        ("stft", "auto", "2d"),
        ("stft", "auto", "time"),
        ("cqt", "auto", "frequency"),
    ],
)
@pytest.mark.usefixtures("two_songs")
def test_every_representation_and_every_layout(representation: str, inverse: str, layout: str) -> None:
    result = run(representation=representation, inverse=inverse, layout=layout)
    assert soundfile.info("out.wav").frames == soundfile.info("content.wav").frames
    totals = [row.step.total for row in result.history.rows]
    assert totals[-1] < totals[0]


@pytest.mark.usefixtures("two_songs")
@pytest.mark.parametrize("start", ["content", "uniform"])  # the seed is that of the network, and of the noise
def test_the_same_seed_gives_the_same_file_and_another_seed_another(start: str) -> None:
    for name, seed in (("a.wav", 0), ("b.wav", 0), ("c.wav", 1)):
        run(output=Path(name), seed=seed, init=start)
    first, again, other = (Path(name).read_bytes() for name in ("a.wav", "b.wav", "c.wav"))
    assert first == again
    assert first != other


@pytest.mark.usefixtures("two_songs")
def test_the_result_nears_the_style_and_without_style_weight_stays_the_content() -> None:
    style = run(output=Path("a.wav"), iterations=20, style_weight=10.0).history.rows
    assert style[-1].step.terms["style"] < 0.5 * style[0].step.terms["style"]
    run(output=Path("b.wav"), style_weight=0.0)
    run(output=Path("c.wav"), style_weight=0.0, style=Path("content.wav"))
    assert Path("b.wav").read_bytes() == Path("c.wav").read_bytes()  # whatever the style is
    assert Path("a.wav").read_bytes() != Path("b.wav").read_bytes()


def test_texture_synthesis_takes_nothing_but_the_length_from_the_content(place: Path, chord: Chord) -> None:
    chord(place / "style.wav", 0.6)
    for name, pitch in (("a", 200.0), ("b", 500.0)):
        chord(place / f"{name}.wav", 0.5, pitch)
        result = run(content=Path(f"{name}.wav"), output=Path(f"{name}.out.wav"), content_weight=0.0, init="uniform")
        assert "content" not in result.history.terms
        assert result.history.rows[-1].step.total < result.history.rows[0].step.total
    assert Path("a.out.wav").read_bytes() == Path("b.out.wav").read_bytes()


def test_equal_channels_are_optimised_once_and_others_each(place: Path, chord: Chord) -> None:
    mono = soundfile.read(chord(place / "mono.wav", 0.5))[0]
    chord(place / "style.wav", 0.5, 370.0)
    soundfile.write("content.wav", np.stack([mono, mono], axis=1), 22050)
    once = run(loudness="off")
    left, right = soundfile.read("out.wav")[0].T
    assert np.array_equal(left, right)
    assert {row.place.channel for row in once.history.rows} == {1}
    soundfile.write("content.wav", np.stack([mono, -0.5 * mono[::-1]], axis=1), 22050)
    each = run(force=True, loudness="off")
    assert {row.place.channel for row in each.history.rows} == {1, 2}
    assert len(each.history.rows) == 2 * len(once.history.rows)
    both = soundfile.read("out.wav")[0].T
    assert np.array_equal(both[0], left)  # a channel does not depend on its neighbours
    assert not np.array_equal(both[0], both[1])


def test_silence_stays_silence(place: Path, chord: Chord) -> None:
    chord(place / "style.wav", 0.5)
    soundfile.write("content.wav", np.zeros((11_001, 2)), 44100)
    result = run()
    wav = soundfile.read("out.wav")[0]
    assert wav.shape == (11_001, 2)
    assert not wav.any()
    assert result.history.rows == []


class TestBlocks:
    CUT: ClassVar = {"block_seconds": 2.0, "overlap_seconds": 0.5}

    @pytest.fixture(autouse=True)
    def long_songs(self, place: Path, chord: Chord) -> None:
        chord(place / "content.wav", 4.5)
        chord(place / "style.wav", 1.0, 370.0)

    def test_one_style_for_all_blocks_and_no_map_longer_than_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        measured, widths, decoded = [], [], []
        measure, optimise, decode = transfer.measure_style, Transfer.run, BlockDecoder._decode

        def count(*arguments: object) -> object:
            measured.append(arguments)
            return measure(*arguments)  # type: ignore[arg-type]

        def look(self: Transfer, content: Tensor, **more: object) -> object:
            widths.append(content.shape[-1])
            return optimise(self, content, **more)  # type: ignore[arg-type]

        def watch(self: BlockDecoder, held: Tensor, length: int) -> Tensor:
            decoded.append(held.shape[-1])
            return decode(self, held, length)

        monkeypatch.setattr(transfer, "measure_style", count)
        monkeypatch.setattr(Transfer, "run", look)
        monkeypatch.setattr(BlockDecoder, "_decode", watch)
        notes = Notes()
        order = dataclasses.replace(SMALL, **self.CUT)
        result = stylize_by_optimization(order, notes)
        assert result.blocks == 3
        assert "in 3 blocks" in notes.notes[0]
        assert len(measured) == 1
        frames_of_two_seconds = round(2 * 22050 / HOP)
        assert len(widths) == 3
        assert max(widths) <= frames_of_two_seconds
        assert max(decoded) <= 2 * frames_of_two_seconds + 2 * round(DECODE_CONTEXT_SECONDS * 22050 / HOP)
        assert [place.block for place, iteration in notes.places if iteration == 1] == [1, 2, 3]
        assert soundfile.info("out.wav").frames == soundfile.info("content.wav").frames

    @pytest.mark.parametrize("representation", ["mel", "stft"])
    def test_joins_do_not_click(self, representation: str) -> None:
        """High-passed by differences, the samples around joins are no larger than elsewhere."""
        run(**self.CUT, representation=representation, style_weight=0.01)
        run(output=Path("whole.wav"), representation=representation, style_weight=0.01)
        blocks, whole = (np.abs(np.diff(soundfile.read(name)[0], 3)) for name in ("out.wav", "whole.wav"))
        assert blocks.max() < 1.5 * whole.max()

    def test_without_style_blocks_give_the_map_of_the_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        maps: list[Tensor] = []
        push = BlockDecoder.push

        def keep(self: BlockDecoder, columns: Tensor, last: bool) -> np.ndarray:
            maps.append(columns)
            return push(self, columns, last)

        monkeypatch.setattr(BlockDecoder, "push", keep)
        run(style_weight=0.0)
        whole = torch.cat(maps, dim=-1)
        maps.clear()
        run(style_weight=0.0, **self.CUT, force=True)
        assert len(maps) == 3
        torch.testing.assert_close(torch.cat(maps, dim=-1), whole, atol=1e-3, rtol=0)

    def test_frames_as_channels(self) -> None:
        """All blocks have as many columns, or one network could not read them all."""
        result = run(**self.CUT, layout="time")
        assert result.blocks == 3

    def test_noise_goes_on_where_the_last_block_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        starts, outcomes, columns = [], [], []
        optimise, push = transfer.optimize, BlockDecoder.push

        def keep(objective: Objective, start: Tensor, *more: object, **named: object) -> object:
            starts.append(start)
            outcomes.append(optimise(objective, start, *more, **named))  # type: ignore[arg-type]
            return outcomes[-1]

        def count(self: BlockDecoder, joined: Tensor, last: bool) -> np.ndarray:
            columns.append(joined.shape[-1])
            return push(self, joined, last)

        monkeypatch.setattr(transfer, "optimize", keep)
        monkeypatch.setattr(BlockDecoder, "push", count)
        run(block_seconds=3.0, overlap_seconds=0.5, init="uniform", content_weight=0.0)
        assert len(starts) == 2
        length = starts[0].shape[-1]
        shared = 2 * length - sum(columns)
        assert torch.equal(starts[1][..., :shared], outcomes[0].result[..., length - shared :].clamp(min=0))
        assert not torch.equal(starts[1][..., shared:], starts[0][..., shared:])


@pytest.mark.usefixtures("two_songs")
class TestOptions:
    def test_unit_scale(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[Tensor] = []
        optimise = Transfer.run

        def look(self: Transfer, content: Tensor, **more: object) -> object:
            outcome = optimise(self, content, **more)  # type: ignore[arg-type]
            seen.extend([content, outcome.result])
            return outcome

        monkeypatch.setattr(Transfer, "run", look)
        run(unit_scale=True)
        assert all(map_.min() >= 0 and map_.max() <= 1 for map_ in seen)
        assert seen[0].max() > 0.5
        assert np.abs(soundfile.read("out.wav")[0]).max() > 0.05

    @pytest.mark.parametrize("network", ["autoencoder", "siamese"])
    def test_unit_scale_is_undone_before_a_network_that_was_trained_on_mels(self, network: str) -> None:
        """So the losses of the content and of the style are those without it; a random network sees other maps."""
        losses = {}
        for name in (network, "random"):
            for unit_scale in (False, True):
                values = {"network": name, "representation": "mel", "inverse": "griffin-lim", "unit_scale": unit_scale}
                plain = {"width": None, "kernel": None} if name == network else {}
                result = run(**values, **plain, raw_weights=True, iterations=2, init="style.wav", force=True)
                losses[name, unit_scale] = result.history.rows[0].step.terms
        for term in ("content", "style"):
            assert losses[network, True][term] == pytest.approx(losses[network, False][term], rel=1e-3)
            assert losses["random", True][term] < 0.5 * losses["random", False][term]

    def test_soft_bounds_take_the_place_of_hard_ones(self) -> None:
        result = run(bound_weight=100.0, unit_scale=True, init="normal", iterations=10)
        bound = [row.step.terms["bound"] for row in result.history.rows]
        assert bound[0] > 0.1  # a start of noise is not put inside hard bounds
        assert bound[-1] < 0.7 * bound[0]

    def test_start_from_a_file(self, place: Path, chord: Chord) -> None:
        chord(place / "start.wav", 0.7, 300.0, channels=2, rate=44100)
        result = run(init="start.wav")
        assert soundfile.info("out.wav").frames == soundfile.info("content.wav").frames
        assert result.history.rows[0].step.terms["content"] > 0.01  # it does not start with the content

    def test_histogram_total_variation_and_layers(self) -> None:
        result = run(
            histogram_weight=1.0, tv_weight=0.1, layers=2, content_layer="relu_2", style_layer="conv_1,relu_2:0.5"
        )
        assert {
            "content", "style", "histogram", "total_variation", "content/relu_2", "style/conv_1", "style/relu_2",
            "histogram/conv_1", "histogram/relu_2",
        } == set(result.history.terms)  # fmt: skip

    def test_adam(self) -> None:
        result = run(optimizer="adam", iterations=30, learning_rate=0.01)
        assert result.history.rows[-1].step.total < result.history.rows[0].step.total

    def test_history_curves_and_picture(self) -> None:
        result = run(history=Path("h.csv"), curves=Path("c.png"), picture=Path("p.png"))
        rows = list(csv.DictReader(Path("h.csv").read_text().splitlines()))
        assert len(rows) == len(result.history.rows) >= 3
        assert float(rows[-1]["total"]) == pytest.approx(result.history.rows[-1].step.total, rel=1e-6)
        for name in ("c.png", "p.png"):
            assert Image.open(name).size[0] > 500
        assert {path.name for path in Path().iterdir()} == {
            "content.wav", "style.wav", "out.wav", "h.csv", "c.png", "p.png",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"content_layer": "relu_9"}, "unknown layer 'relu_9'; this network has: conv_1, relu_1"),
            ({"style_layer": "conv4_1"}, "unknown layer 'conv4_1'"),
            ({"content_layer": "relu_9", "content_weight": 0.0}, "unknown layer 'relu_9'"),
        ],
    )
    def test_unknown_layers_are_refused(self, changes: dict[str, object], words: str) -> None:
        with pytest.raises(UserError, match=words):
            run(**changes)
        assert not Path("out.wav").exists()

    def test_recordings_shorter_than_the_receptive_field_are_refused(self, place: Path, chord: Chord) -> None:
        chord(place / "short.wav", 0.1)  # 5 columns
        for files in ({"style": Path("short.wav")}, {"content": Path("short.wav")}):
            with pytest.raises(UserError, match="short.wav is 0.100 s long, 5 columns.*sees 7 at once.*0.14 s"):
                run(kernel=7, **files)
        assert not Path("out.wav").exists()
        run(kernel=5, style=Path("short.wav"))

    def test_a_folder_that_holds_another_kind_of_model(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="not a model folder"):
            run(network=str(tmp_path), width=None, kernel=None)


@pytest.fixture
def two_pictures(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(place.parent / "torch"))  # where there are no weights of vgg19
    rows, columns = np.mgrid[0:30, 0:41]
    content = np.stack([rows * 8, columns * 6, rows + columns], axis=2).astype(np.uint8)
    Image.fromarray(content).save("content.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (25, 25, 3), np.uint8)).save("style.jpg")


@pytest.mark.usefixtures("two_pictures")
class TestPictures:
    ORDER = OptimizeOptions(Path("content.png"), Path("style.jpg"), iterations=5, width=8, kernel=3, device="cpu")

    def test_a_picture_in_the_style_of_another(self) -> None:
        notes = Notes()
        order = dataclasses.replace(self.ORDER, picture=Path("panels.png"), style_weight=10.0)
        result = stylize_by_optimization(order, notes)
        with Image.open("content.like-style.png") as picture:
            assert (picture.size, picture.mode, picture.format) == ((41, 30), "RGB", "PNG")
            assert np.abs(np.asarray(picture).astype(int) - np.asarray(Image.open("content.png"))).mean() > 2
        terms = [row.step.terms["style"] for row in result.history.rows]
        assert terms[-1] < terms[0]
        assert len(notes.notes) == 1
        assert notes.notes[0].startswith("network random")
        assert {path.name for path in Path().iterdir()} == {
            "content.png", "style.jpg", "content.like-style.png", "panels.png",
        }  # fmt: skip

    def test_the_network_is_random_where_weights_of_vgg19_are_missing_and_that_is_said(self) -> None:
        notes = Notes()
        stylize_by_optimization(dataclasses.replace(self.ORDER, width=None, kernel=None, iterations=1), notes)
        assert "random, since the weights of vgg19 are not there" in notes.notes[0]
        assert "vgg19-dcbb9e9d.pth" in notes.notes[0]

    def test_vgg19_without_weights_is_refused(self) -> None:
        with pytest.raises(UserError, match="--network random"):
            stylize_by_optimization(dataclasses.replace(self.ORDER, width=None, kernel=None, network="vgg19"))
        assert not Path("content.like-style.png").exists()

    def test_seeds_sizes_and_starts(self) -> None:
        written = []
        for seed in (0, 0, 1):
            order = dataclasses.replace(self.ORDER, seed=seed, init="uniform", image_size=20, force=True)
            written.append(stylize_by_optimization(order).path.read_bytes())
        assert written[0] == written[1] != written[2]
        assert Image.open("content.like-style.png").size == (20, 15)
        stylize_by_optimization(dataclasses.replace(self.ORDER, init="style.jpg", force=True))


def test_offline_run_of_wandb(place: Path, chord: Chord, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("content.wav", "style.wav"):
        chord(place / name, 0.5)
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(place / "no-netrc"))
    monkeypatch.setenv("HOME", str(place))
    notes = Notes()
    stylize_by_optimization(dataclasses.replace(SMALL, wandb="online"), notes)
    assert notes.notes[1].startswith("W&B: offline (no key for https://")
    assert list(place.glob("wandb/offline-run-*/*.wandb"))
