"""Systems on pairs: what the rows say, and that a benchmark goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from data.errors import UserError
from data.folder import index_folder
from stylize import Stylizer
from stylize.evaluate.benchmark import Bench, Tier, embeddings_by_target
from stylize.evaluate.content import CONTENT_MEASURES
from stylize.evaluate.material import Excerpts, Pair, rendered_pairs
from stylize.evaluate.measurements import Measurements, Row
from stylize.evaluate.style import Judge, Reference, read_reference
from stylize.evaluate.summary import CONTENT, REDUCTION, summarise_tier
from stylize.evaluate.systems import (
    BY_EXAMPLE,
    FEED_FORWARD,
    ByExample,
    CopyContent,
    CopyStyle,
    FeedForward,
    Folder,
    GroundTruth,
    Made,
    TruthThroughVocoder,
    fit_length,
    render,
    weights_key,
)

STYLES = ("jazz", "metal")


class Perfect:
    """A system that knows the answer; counts how often it is asked."""

    name, key = "perfect", "1"

    def __init__(self) -> None:
        self.asked = 0

    def applies(self, pair: Pair) -> bool:
        return pair.truth is not None

    def make(self, pair: Pair, excerpts: Excerpts) -> Made:
        self.asked += 1
        assert pair.truth is not None
        return Made(0.5 * excerpts.load(pair.truth), elapsed=0.5)


@pytest.fixture(scope="module")
def excerpts() -> Excerpts:
    return Excerpts(2.0)


@pytest.fixture(scope="module")
def pairs(small_corpus: Path) -> list[Pair]:
    return rendered_pairs(index_folder(small_corpus), "test", STYLES)


@pytest.fixture
def bench(judge: Judge, excerpts: Excerpts, tmp_path: Path) -> Bench:
    return Bench(judge, "judge", excerpts, Measurements(tmp_path / "rows.jsonl"), say=lambda text: None)


def test_known_systems_have_known_figures(
    bench: Bench, pairs: list[Pair], small_corpus: Path, judge: Judge, excerpts: Excerpts
) -> None:
    tier = Tier("test", pairs, [CopyContent(), CopyStyle(), GroundTruth(), Perfect()])
    bench.run(tier)
    train = [clip for clip in index_folder(small_corpus) if clip.split == "train"]
    summary = summarise_tier(tier, read_reference(judge, train, STYLES, excerpts))
    assert (summary["pairs"], summary["songs"], summary["reference_clips"]) == (4, 2, 4)
    systems = {name: value["measures"] for name, value in summary["systems"].items()}

    def mean(system: str, measure: str) -> float:
        return float(systems[system][measure]["mean"])

    assert (mean("copy content", "target_heard"), mean("copy content", "source_heard")) == (0, 1)
    for system in ("copy style", "ground truth", "perfect"):
        assert (mean(system, "target_heard"), mean(system, "source_heard")) == (1, 0)
    assert [mean("copy content", name) for name in CONTENT_MEASURES] == pytest.approx([1, 1, 1, 1])
    assert mean("copy style", "chroma") < mean("ground truth", "chroma")
    assert mean("copy style", "pitch_f1") < 0.5 < mean("ground truth", "pitch_f1")
    assert mean("copy content", REDUCTION) == pytest.approx(0)
    assert mean("ground truth", REDUCTION) == pytest.approx(1)
    assert mean("perfect", REDUCTION) > 0.98  # half as loud, which is not counted
    assert mean("copy content", CONTENT) == pytest.approx(1)
    distances = {name: value["distances"] for name, value in summary["systems"].items()}
    assert distances["ground truth"]["kad"] < distances["copy content"]["kad"]
    assert distances["ground truth"]["fad"] < distances["copy content"]["fad"]
    assert summary["systems"]["perfect"]["real_time_factor"] == pytest.approx(4)
    assert summary["systems"]["copy content"]["real_time_factor"] is None
    assert summary["targets"]["perfect"]["jazz"] == {"pairs": 2, "target_heard": 2, "source_heard": 0}


def test_a_benchmark_goes_on_where_it_stopped(
    bench: Bench, pairs: list[Pair], judge: Judge, excerpts: Excerpts
) -> None:
    system = Perfect()
    first = Tier("test", pairs[:2], [system])
    bench.run(first)
    path = bench.measurements.path
    path.write_text(path.read_text() + '{"key": "cut off')  # a kill in the middle of a line
    again = Bench(judge, "judge", excerpts, Measurements(path), say=lambda text: None)
    tier = Tier("test", pairs, [system])
    again.run(tier)
    assert system.asked == len(pairs) and len(Measurements(path)) == len(pairs)
    for old, new in zip(first.rows, tier.rows, strict=False):
        assert old.measures == new.measures
        np.testing.assert_allclose(old.embedding, new.embedding, rtol=1e-6)


def test_a_row_is_measured_again_where_something_changed(bench: Bench, pairs: list[Pair]) -> None:
    one, other = Perfect(), Perfect()
    other.key = "2"
    keys = {bench.key(pair, system) for pair in pairs for system in (one, other, CopyContent())}
    assert len(keys) == 3 * len(pairs)
    bench.judge_key = "another"
    assert bench.key(pairs[0], one) not in keys
    shorter = Bench(bench.judge, "judge", Excerpts(1.5), bench.measurements)
    assert shorter.key(pairs[0], one) not in keys


def test_rows_survive_the_file(tmp_path: Path) -> None:
    row = Row("k", "t", "p", "s", "jazz", "metal", "x", "pop", {"a": 1 / 3}, 2.0, None, np.array([1.5, -2], np.float32))
    back = Row.from_json(row.to_json())
    assert back.embedding.tolist() == [1.5, -2] and back.measures == {"a": 1 / 3} and back.elapsed is None
    (tmp_path / "rows.jsonl").write_text('{"strange": 1}\n' + row.to_json() + "\n")
    with pytest.raises(UserError, match="line 1 is no measurement"):
        Measurements(tmp_path / "rows.jsonl")


def test_equal_clips_count_once() -> None:
    rows = [
        Row("k", "t", "p", "s", "jazz", target, "x", "pop", {}, 2.0, None, np.array(vector, np.float32))
        for target, vector in (("metal", [1, 2]), ("metal", [1, 2]), ("metal", [3, 4]), ("pop", [1, 2]))
    ]
    assert {style: len(vectors) for style, vectors in embeddings_by_target(rows).items()} == {"metal": 2, "pop": 1}


def test_the_pipeline_is_a_system(tiny_stylizer: Stylizer, pairs: list[Pair], excerpts: Excerpts) -> None:
    pair = pairs[0]
    wav, truth = excerpts.of_pair(pair)
    assert truth is not None and pair.example is not None
    named = FeedForward(FEED_FORWARD, tiny_stylizer, "k")
    made = named.make(pair, excerpts)
    expected = render(tiny_stylizer, wav, tiny_stylizer.named_style(pair.target), 1.0)
    np.testing.assert_array_equal(made.wav, expected)
    assert len(made.wav) == len(wav) and made.elapsed is not None and made.elapsed > 0
    like = ByExample(BY_EXAMPLE, tiny_stylizer, "k").make(pair, excerpts).wav
    np.testing.assert_array_equal(like, render(tiny_stylizer, wav, tiny_stylizer.style_like(pair.example).vector, 1.0))
    ceiling = TruthThroughVocoder(tiny_stylizer, "k").make(pair, excerpts).wav
    np.testing.assert_array_equal(ceiling, render(tiny_stylizer, truth, tiny_stylizer.named_style("blues"), 0.0))
    half = FeedForward("half", tiny_stylizer, "k", strength=0.5)
    assert half.key != named.key and np.abs(half.make(pair, excerpts).wav - made.wav).max() > 1e-3
    mixed = FeedForward("mixed", tiny_stylizer, "k", mixture="TARGET:0.25,SOURCE:0.75")
    vector = tiny_stylizer.named_style(f"{pair.target}:0.25,{pair.source_style}:0.75")
    np.testing.assert_array_equal(mixed.make(pair, excerpts).wav, render(tiny_stylizer, wav, vector, 1.0))


def test_results_of_other_systems_come_from_a_folder(pairs: list[Pair], excerpts: Excerpts, tmp_path: Path) -> None:
    system = Folder("mine", tmp_path)
    with pytest.raises(UserError, match=rf"lacks 4 of 4 results, the first: {pairs[0].name}.wav"):
        system.check(pairs)
    for pair in pairs:
        soundfile.write(tmp_path / f"{pair.name}.wav", np.full(44000, 0.25), 22050)
    system.check(pairs)
    key = system.key
    made = system.make(pairs[0], excerpts).wav
    assert len(made) == 44100 and (made[:44000] == 0.25).all() and (made[44000:] == 0).all()
    soundfile.write(tmp_path / f"{pairs[0].name}.wav", np.full(60000, 0.25), 22050)
    system.check(pairs)
    assert system.key != key and len(system.make(pairs[0], excerpts).wav) == 44100
    with pytest.raises(UserError, match="is 1.00 s long and its input 2.00 s"):
        fit_length(np.zeros(22050), 44100, tmp_path / "a.wav")


def test_weights_have_a_digest(tmp_path: Path) -> None:
    """And what a model does with them counts too: a vocoder's iterations stand in its configuration."""
    for name, weights, config in (("a", b"1", "{}"), ("b", b"2", "{}"), ("c", b"1", "{}"), ("d", b"1", '{"x": 1}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.safetensors").write_bytes(weights)
        (tmp_path / name / "config.json").write_text(config)
    keys = [weights_key(tmp_path / name) for name in "abcd"]
    assert keys[0] == keys[2] and len(set(keys)) == 3


def test_no_reference_no_distances(bench: Bench, pairs: list[Pair]) -> None:
    tier = Tier("test", pairs[:1], [CopyContent()])
    bench.run(tier)
    summary = summarise_tier(tier, Reference({}))
    assert summary["systems"]["copy content"]["distances"] is None and summary["reference_clips"] == 0
