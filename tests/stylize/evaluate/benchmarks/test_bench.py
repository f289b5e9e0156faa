"""Systems on pairs: what the rows say, and that a benchmark goes on where it stopped."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data.folder import index_folder
from stylize import Stylizer
from stylize.evaluate.benchmarks.bench import Bench, Measurements, Row, Split, measure_accuracy, read_reference
from stylize.evaluate.benchmarks.pairs import load_pair, rendered_pairs
from stylize.evaluate.benchmarks.summary import CONTENT, REDUCTION, embeddings_by_target, summarize_split
from stylize.evaluate.excerpts import Excerpts
from stylize.evaluate.metrics.content import CONTENT_METRICS
from stylize.evaluate.metrics.similarity import StyleClassifier
from stylize.evaluate.metrics.style import Reference
from stylize.evaluate.systems import (
    BY_EXAMPLE,
    COPY_CONTENT,
    COPY_STYLE,
    GROUND_TRUTH,
    TRANSLATOR,
    TRUTH_VOCODER,
    ByExample,
    Copy,
    Folder,
    Output,
    Pair,
    Pipeline,
    TruthThroughVocoder,
    fit_to_input,
    render,
    weights_key,
)
from stylize_core.errors import UserError

STYLES = ("jazz", "metal")


class Perfect:
    """A system that knows the answer; counts how often it is asked."""

    name, key = "perfect", "1"

    def __init__(self) -> None:
        self.asked = 0

    def applies(self, pair: Pair) -> bool:
        return pair.truth is not None

    def make(self, pair: Pair, excerpts: Excerpts) -> Output:
        self.asked += 1
        assert pair.truth is not None
        return Output(0.5 * excerpts.load(pair.truth), elapsed=0.5)


@pytest.fixture(scope="module")
def excerpts() -> Excerpts:
    return Excerpts(2.0)


@pytest.fixture(scope="module")
def pairs(small_corpus: Path) -> list[Pair]:
    return rendered_pairs(index_folder(small_corpus), "test", STYLES)


@pytest.fixture
def bench(classifier: StyleClassifier, excerpts: Excerpts, tmp_path: Path) -> Bench:
    return Bench(classifier, "weights", excerpts, Measurements(tmp_path / "rows.jsonl"), lambda text: None)


def test_known_systems_have_known_figures(
    bench: Bench, pairs: list[Pair], small_corpus: Path, classifier: StyleClassifier, excerpts: Excerpts
) -> None:
    tier = Split("test", pairs, [Copy(COPY_CONTENT), Copy(COPY_STYLE), Copy(GROUND_TRUTH), Perfect()])
    bench.run(tier)
    train = [clip for clip in index_folder(small_corpus) if clip.split == "train"]
    summary = summarize_split(tier, read_reference(classifier, train, STYLES, excerpts))
    assert (summary["pairs"], summary["songs"], summary["reference_clips"]) == (4, 2, 4)
    systems = {name: value["metrics"] for name, value in summary["systems"].items()}

    def mean(system: str, measure: str) -> float:
        return float(systems[system][measure]["mean"])

    assert (mean("copy-content", "classified_as_target"), mean("copy-content", "classified_as_source")) == (0, 1)
    for system in ("copy-style", "ground-truth", "perfect"):
        assert (mean(system, "classified_as_target"), mean(system, "classified_as_source")) == (1, 0)
    assert [mean("copy-content", name) for name in CONTENT_METRICS] == pytest.approx([1, 1, 1, 1])
    assert mean("copy-style", "chroma") < mean("ground-truth", "chroma")
    assert mean("copy-style", "pitch_f1") < 0.5 < mean("ground-truth", "pitch_f1")
    assert mean("copy-content", REDUCTION) == pytest.approx(0)
    assert mean("ground-truth", REDUCTION) == pytest.approx(1)
    assert mean("perfect", REDUCTION) > 0.98  # half as loud, which is not counted
    assert mean("copy-content", CONTENT) == pytest.approx(1)
    distances = {name: value["distances"] for name, value in summary["systems"].items()}
    assert distances["ground-truth"]["kad"] < distances["copy-content"]["kad"]
    assert distances["ground-truth"]["fad"] < distances["copy-content"]["fad"]
    assert summary["systems"]["perfect"]["real_time_factor"] == pytest.approx(4)
    assert summary["systems"]["copy-content"]["real_time_factor"] is None
    assert summary["targets"]["perfect"]["jazz"] == {"pairs": 2, "classified_as_target": 2, "classified_as_source": 0}


def test_a_benchmark_goes_on_where_it_stopped(
    bench: Bench, pairs: list[Pair], classifier: StyleClassifier, excerpts: Excerpts
) -> None:
    system = Perfect()
    first = Split("test", pairs[:2], [system])
    bench.run(first)
    path = bench.measurements.path
    path.write_text(path.read_text() + '{"key": "cut off')  # a kill in the middle of a line
    again = Bench(classifier, "weights", excerpts, Measurements(path), lambda text: None)
    tier = Split("test", pairs, [system])
    again.run(tier)
    assert system.asked == len(pairs) and len(Measurements(path)) == len(pairs)
    for old, new in zip(first.rows, tier.rows, strict=False):
        assert old.metrics == new.metrics
        np.testing.assert_allclose(old.embedding, new.embedding, rtol=1e-6)


def test_a_row_is_measured_again_where_something_changed(bench: Bench, pairs: list[Pair]) -> None:
    one, other = Perfect(), Perfect()
    other.key = "2"
    keys = {bench.key(pair, system) for pair in pairs for system in (one, other, Copy(COPY_CONTENT))}
    assert len(keys) == 3 * len(pairs)
    bench.classifier_key = "another"
    assert bench.key(pairs[0], one) not in keys
    shorter = Bench(bench.classifier, "weights", Excerpts(1.5), bench.measurements, lambda text: None)
    assert shorter.key(pairs[0], one) not in keys


def test_rows_survive_the_file(tmp_path: Path) -> None:
    row = Row("k", "t", "p", "s", "jazz", "metal", "x", "pop", {"a": 1 / 3}, 2.0, None, np.array([1.5, -2], np.float32))
    back = Row.from_json(row.to_json())
    assert back.embedding.tolist() == [1.5, -2] and back.metrics == {"a": 1 / 3} and back.elapsed is None
    (tmp_path / "rows.jsonl").write_text('{"strange": 1}\n' + row.to_json() + "\n")
    with pytest.raises(UserError, match="line 1 is no measurement"):
        Measurements(tmp_path / "rows.jsonl")
    old = json.dumps({"key": "k", "tier": "test"}) + "\n"
    (tmp_path / "rows.jsonl").write_text(old)
    with pytest.raises(UserError, match="line 1 is no measurement"):
        Measurements(tmp_path / "rows.jsonl")
    assert (tmp_path / "rows.jsonl").read_text() == old


def test_equal_clips_count_once() -> None:
    rows = [
        Row("k", "t", "p", "s", "jazz", target, "x", "pop", {}, 2.0, None, np.array(vector, np.float32))
        for target, vector in (("metal", [1, 2]), ("metal", [1, 2]), ("metal", [3, 4]), ("pop", [1, 2]))
    ]
    assert {style: len(vectors) for style, vectors in embeddings_by_target(rows).items()} == {"metal": 2, "pop": 1}


def test_the_pipeline_is_a_system(tiny_stylizer: Stylizer, pairs: list[Pair], excerpts: Excerpts) -> None:
    pair = pairs[0]
    wav, truth = load_pair(pair, excerpts)
    assert truth is not None and pair.example is not None
    named = Pipeline(TRANSLATOR, tiny_stylizer, "k")
    made = named.make(pair, excerpts)
    expected = render(tiny_stylizer, wav, tiny_stylizer.named_style(pair.target), 1.0)
    np.testing.assert_array_equal(made.wav, expected)
    assert len(made.wav) == len(wav) and made.elapsed is not None and made.elapsed > 0
    like = ByExample(BY_EXAMPLE, tiny_stylizer, "k").make(pair, excerpts).wav
    np.testing.assert_array_equal(like, render(tiny_stylizer, wav, tiny_stylizer.style_like(pair.example).vector, 1.0))
    ceiling = TruthThroughVocoder(TRUTH_VOCODER, tiny_stylizer, "k").make(pair, excerpts).wav
    np.testing.assert_array_equal(ceiling, render(tiny_stylizer, truth, tiny_stylizer.named_style("blues"), 0.0))
    half = Pipeline("half", tiny_stylizer, "k", strength=0.5)
    assert half.key != named.key and np.abs(half.make(pair, excerpts).wav - made.wav).max() > 1e-3
    mixed = Pipeline("mixed", tiny_stylizer, "k", mixture="TARGET:0.25,SOURCE:0.75")
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
    soundfile.write(tmp_path / "a.wav", np.zeros(22050), 22050)
    with pytest.raises(UserError, match=r"a.wav has 22050 samples, expected 44100"):
        fit_to_input(tmp_path / "a.wav", np.zeros(44100))


def test_weights_have_a_digest(tmp_path: Path) -> None:
    """And what a model does with them counts too: a vocoder's iterations stand in its configuration."""
    for name, weights, config in (("a", b"1", "{}"), ("b", b"2", "{}"), ("c", b"1", "{}"), ("d", b"1", '{"x": 1}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.safetensors").write_bytes(weights)
        (tmp_path / name / "config.json").write_text(config)
    keys = [weights_key(tmp_path / name) for name in "abcd"]
    assert keys[0] == keys[2] and len(set(keys)) == 3


def test_no_reference_no_distances(bench: Bench, pairs: list[Pair]) -> None:
    tier = Split("test", pairs[:1], [Copy(COPY_CONTENT)])
    bench.run(tier)
    summary = summarize_split(tier, Reference({}))
    assert summary["systems"]["copy-content"]["distances"] is None and summary["reference_clips"] == 0


def test_accuracy_on_unchanged_clips_names_and_skips_what_cannot_be_read(
    small_corpus: Path,
    classifier: StyleClassifier,
    excerpts: Excerpts,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clips = [clip for clip in index_folder(small_corpus) if clip.split == "test"]
    (tmp_path / "broken.wav").write_text("no music")
    broken = dataclasses.replace(clips[0], path=tmp_path / "broken.wav")
    accuracy = measure_accuracy(classifier, [broken, *clips], excerpts)
    styles = {"jazz": 1.0, "metal": 1.0}
    assert accuracy == {"clips": 4, "right": 1.0, "low": 1.0, "high": 1.0, "by_style": styles}
    assert "skipped: " in caplog.text and "broken.wav" in caplog.text
    assert measure_accuracy(classifier, [broken], excerpts) is None


def test_reference_clips_are_spread_evenly(small_corpus: Path, classifier: StyleClassifier, excerpts: Excerpts) -> None:
    clips = index_folder(small_corpus)
    everything = read_reference(classifier, clips, STYLES, excerpts)
    part = read_reference(classifier, clips, STYLES, excerpts, per_style=4)
    assert everything.clips_per_style == 8
    np.testing.assert_array_equal(part.embeddings["jazz"], everything.embeddings["jazz"][::2])
    assert read_reference(classifier, clips, ("polka",), excerpts).clips_per_style == 0
