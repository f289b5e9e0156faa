"""YAML to dataclasses: what is refused and how it is said; no field is dead."""

from __future__ import annotations

import ast
import dataclasses
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from melgan.training_config import VocoderTraining
from stylize.optimize.training.autoencoder import AutoencoderTraining
from stylize_core.config import build, load_config, to_plain
from stylize_core.errors import UserError
from training.genre_experiment import ClassifierTraining
from travelgan.training_config import TranslatorTraining

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    names: tuple[str, ...] = ("a",)
    sizes: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError(f"rate must not be negative, got {self.rate}")


@dataclass(frozen=True)
class Outer:
    steps: int
    inner: Inner = field(default_factory=Inner)
    mode: str = "auto"
    fast: bool = False
    folder: str | None = None
    shares: dict[str, float] = field(default_factory=dict)


def load(tmp_path: Path, text: str, *overrides: str) -> Outer:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return load_config(path, Outer, overrides)


def test_values_become_the_types_of_their_fields(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "steps: 3\ninner: {rate: 1, names: [x, y], sizes: [4]}\nfast: true\nfolder: corpus\nshares: {jazz: 1e-4}",
    )
    assert config == Outer(3, Inner(1.0, ("x", "y"), (4,)), "auto", True, "corpus", {"jazz": 1e-4})
    assert isinstance(config.inner.rate, float)
    assert load(tmp_path, "steps: 3\nfolder: null") == Outer(3)


@pytest.mark.parametrize("text", ["1e-4", "1.0e-4", "0.0001", "'1e-4'"])
def test_small_numbers_are_read_however_they_are_written(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, f"steps: 1\ninner: {{rate: {text}}}").inner.rate == 1e-4
    assert load(tmp_path, "steps: 1", f"inner.rate={text}").inner.rate == 1e-4


@pytest.mark.parametrize("word", ["off", "on", "no", "yes", "auto"])
def test_words_are_words(tmp_path: Path, word: str) -> None:
    """YAML 1.1 would read `off` and `no` as booleans, and `mixed_precision: no` could not be said."""
    assert load(tmp_path, f"steps: 1\nmode: {word}").mode == word
    assert load(tmp_path, "steps: 1", f"mode={word}").mode == word


def test_a_saved_configuration_reads_back(tmp_path: Path) -> None:
    config = Outer(3, Inner(1e-7, ("no", "1e5", "on")), "off", True, None, {"a": 0.5})
    assert load(tmp_path, yaml.safe_dump(to_plain(config))) == config
    assert to_plain(config)["inner"] == {"rate": 1e-7, "names": ["no", "1e5", "on"], "sizes": [1, 2]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stepps: 3", "unknown key 'stepps'; did you mean steps?"),
        ("steps: 3\ninner: {raet: 1}", "inner: unknown key 'raet'; did you mean rate?"),
        ("steps: 3\nzzz: 1", "unknown key 'zzz'; known keys: steps, inner, mode, fast, folder, shares"),
        ("fast: true", "the key 'steps' is missing"),
        ("", "the key 'steps' is missing"),
        ("steps: many", "steps must be a whole number, got 'many'"),
        ("steps: 1.5", "steps must be a whole number, got 1.5"),
        ("steps: true", "steps must be a whole number, got True"),
        ("steps: null", "steps must be a whole number, got None"),
        ("steps: 3\ninner: {rate: fast}", "inner: rate must be a number, got 'fast'"),
        ("steps: 3\ninner: {rate: true}", "rate must be a number, got True"),
        ("steps: 3\nfast: yes", "fast must be true or false, got 'yes'"),
        ("steps: 3\nfast: 1", "fast must be true or false, got 1"),
        ("steps: 3\nmode: 7", "mode must be text, got 7"),
        ("steps: 3\nfolder: [a]", "folder must be text"),
        ("steps: 3\ninner: 5", "inner must hold keys and values, got 5"),
        ("steps: 3\ninner: {names: x}", "names must be a list, got 'x'"),
        ("steps: 3\ninner: {sizes: [1, x]}", "sizes must be a whole number, got 'x'"),
        ("steps: 3\nshares: [1]", "shares must hold keys and values"),
        ("steps: 3\nshares: {jazz: loud}", "shares.jazz must be a number"),
        ("steps: 3\ninner: {rate: -1}", "inner: rate must not be negative, got -1.0"),
        ("- 3", "must hold keys and values, got list"),
        ("steps: [3", "is not valid YAML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, text)
    assert problem in str(caught.value)
    assert str(tmp_path / "config.yaml") in str(caught.value) and "\n" not in str(caught.value)


LAUGHS = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
MERGES = "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a0: &a0 [1]\n" + LAUGHS, "more than 10000 values"),
        ("a0: &a0 {b: 1}\n" + MERGES, "more than 10000 values"),
        ("steps: &a [*a]", "nested more than 100 deep"),
        ("steps: &a {b: *a}", "nested more than 100 deep"),
        ("steps: " + "[" * 30_000, "nested too deeply"),
        ("steps: " + "9" * 6000, "Exceeds the limit"),
        ("steps: " + "9" * 30, "steps must be below 2^64"),
        ("steps: 2001-99-99", "month must be in 1..12"),
        ("steps: !!int ''", "not of the type that its tag names"),
        ("steps: !!timestamp x", "not of the type that its tag names"),
        ("steps: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("{[1]: 2}", "unhashable key"),
        ("steps: 3\n5: 6", "unknown key 5"),
        ("steps: 3\n\tmode: x", "cannot start any token"),
        ('steps: "\\uD800"', "half of a surrogate pair"),
        ("steps: 3\ninner: {rate: .nan}", "rate must be a finite number, got nan"),
        ("steps: 3\ninner: {rate: 1e999}", "rate must be a finite number"),
        ("steps: 3\nmode: [" + "x, " * 3000 + "]", "mode must be text, got ['x', 'x'"),
        ("# " + "x" * 70_000, "more than 0.0625 MiB"),
    ],
)
def test_hostile_files_are_one_short_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert problem in message and "\n" not in message and len(message) < 800


def test_a_byte_order_mark_is_no_part_of_a_key(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"\xef\xbb\xbfsteps: 3")
    assert load_config(tmp_path / "config.yaml", Outer) == Outer(3)


def test_a_base_that_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="null byte"):
        load(tmp_path, 'base: "a\\0b"')


def test_a_missing_file_and_a_binary_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the configuration .*No such file"):
        load_config(tmp_path / "no.yaml", Outer)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not valid YAML"):
        load_config(tmp_path / "binary.yaml", Outer)


def test_overrides_reach_into_nested_keys(tmp_path: Path) -> None:
    text = "steps: 3\ninner: {rate: 1}"
    config = load(tmp_path, text, "steps=9", "inner.sizes=[7, 8]", "inner.rate=2", "folder=a=b", "shares.jazz=0.5")
    assert config == Outer(9, Inner(2.0, ("a",), (7, 8)), folder="a=b", shares={"jazz": 0.5})
    assert load(tmp_path, "steps: 3\nfolder: x", "folder=null").folder is None


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("steps", "is not of the form name=value"),
        ("=3", "is not of the form name=value"),
        ("steps.deep=3", "steps is a value, it has no keys below it"),
        ("inner.raet=3", "inner: unknown key 'raet'; did you mean rate?"),
        ("steps=many", "steps must be a whole number"),
        ("inner.sizes=[1", "is not valid YAML"),
    ],
)
def test_overrides_that_do_not_fit(tmp_path: Path, override: str, problem: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, "steps: 3", override)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_overrides_its_base_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "root.yaml").write_text("steps: 1\nmode: root\ninner: {rate: 1, names: [r]}")
    (tmp_path / "sub" / "middle.yaml").write_text("base: ../root.yaml\nmode: middle\ninner: {rate: 2}")
    (tmp_path / "top.yaml").write_text("base: sub/middle.yaml\nsteps: 5")
    config = load_config(tmp_path / "top.yaml", Outer, ["inner.sizes=[9]"])
    assert config == Outer(5, Inner(2.0, ("r",), (9,)), "middle")


@dataclass(frozen=True)
class Circle:
    kind: Literal["circle"] = "circle"
    radius: float = 1.0


@dataclass(frozen=True)
class Square:
    kind: Literal["square"] = "square"
    side: float = 1.0


@dataclass(frozen=True)
class Drawing:
    shape: Circle | Square = field(default_factory=Circle)
    second: Circle | Square | None = None


def test_a_union_is_told_apart_by_kind_and_another_kind_replaces_all_of_the_base(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("shape: {kind: circle, radius: 2}")
    (tmp_path / "same.yaml").write_text("base: base.yaml\nshape: {kind: circle}")
    (tmp_path / "other.yaml").write_text("base: base.yaml\nshape: {kind: square, side: 3}\nsecond: {kind: circle}")
    assert load_config(tmp_path / "same.yaml", Drawing) == Drawing(Circle(radius=2.0))
    config = load_config(tmp_path / "other.yaml", Drawing)
    assert config == Drawing(Square(side=3.0), Circle()) == build(Drawing, to_plain(config), "")
    for text, problem in (
        ("shape: {kind: circle, side: 3}", "shape: unknown key 'side'"),
        ("shape: {kind: oval}", "shape: kind must be one of circle, square, got 'oval'"),
        ("shape: {kind: [circle]}", "kind must be one of circle, square, got ['circle']"),
        ("shape: {radius: 3}", "kind must be one of circle, square, got None"),
        ("second: circle", "second must hold keys and values, got 'circle'"),
    ):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(UserError, match=re.escape(problem)):
            load_config(tmp_path / "bad.yaml", Drawing)


def test_bases_in_a_circle_and_missing_bases(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: b.yaml")
    (tmp_path / "b.yaml").write_text("base: a.yaml")
    (tmp_path / "c.yaml").write_text("base: gone.yaml")
    with pytest.raises(UserError, match="name each other in a circle"):
        load_config(tmp_path / "a.yaml", Outer)
    with pytest.raises(UserError, match=r"cannot read .*gone\.yaml"):
        load_config(tmp_path / "c.yaml", Outer)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"generator": {"n_mels": 80}}, "n_mels is 80 in generator and 192 in mel"),
        ({"data": {"folders": ["x"], "segment_frames": 4}}, "segments of 4 frames are 1024 samples; .* at least 1025"),
        ({"data": {"folders": ["x"], "translated": ["y"]}}, "mean nothing without each other"),
        ({"weights": {"raw_stft": 1.0}}, "the same as weights.stft at refine_iterations 0"),
        ({"adversary": {"first_step": 1}}, "first_step 1 is not below loop.steps 1"),
        ({"loop": {"steps": 1, "decay_steps": 5}}, "decay_steps 5 and final_lr_scale 1 mean nothing without"),
        ({"loop": {"steps": 1, "average_decay": 0.9}}, "unknown key 'average_decay'"),
        ({"start_from": "x"}, "unknown key 'start_from'"),
        ({"loop": {"steps": 0}}, "loop: steps must be at least 1, got 0"),
        ({"loop": {"steps": 1, "mixed_precision": "fp16"}}, "mixed_precision must be auto, no or bf16, got 'fp16'"),
    ],
)
def test_vocoder_runs_that_cannot_train_are_refused_before_they_start(change: dict[str, Any], problem: str) -> None:
    values = {"loop": {"steps": 1}, "data": {"folders": ["x"]}, "generator": {"n_mels": 192}}
    build(VocoderTraining, values, "FILE")
    with pytest.raises(UserError, match=problem):
        build(VocoderTraining, values | change, "FILE")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"loop": {"steps": 1, "batch_size": 1}}, "batches of at least 2 songs, got 1"),
        ({"data": {"folder": "x", "styles": ["jazz", "jazz"]}}, "a translator needs two styles or more"),
        ({"data": {"folder": "x", "segment_frames": 16}}, "segment_frames is 16; the networks need at least 32"),
        ({"data": {"folder": "x", "validation_frames": 8}}, "validation_frames is 8"),
        ({"data": {"folder": "x", "unlabeled_share": 0.5}}, "mean nothing without each other"),
        ({"method": {"kind": "joint", "adversary": {"first_step": 1}}}, "first_step 1 is not below loop.steps 1"),
    ],
)  # fmt: skip
def test_translator_runs_that_cannot_train_are_refused_before_they_start(change: dict[str, Any], problem: str) -> None:
    values = {"loop": {"steps": 1}, "data": {"folder": "x"}}
    build(TranslatorTraining, values, "FILE")
    with pytest.raises(UserError, match=problem):
        build(TranslatorTraining, values | change, "FILE")


def config_fields(cls: Any) -> Iterator[tuple[str, str]]:
    """Every (class, field) below a configuration, itself included."""
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        yield cls.__name__, item.name
        for kind in typing.get_args(hints[item.name]) or (hints[item.name],):
            if dataclasses.is_dataclass(kind):
                yield from config_fields(kind)


def names_read() -> set[str]:
    """Attributes and strings in the code, but for the checks of configurations themselves."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef) and child.name == "__post_init__":
                continue
            if isinstance(child, ast.Attribute):
                names.add(child.attr)
            if isinstance(child, ast.Constant) and isinstance(child.value, str):
                names.add(child.value)
            visit(child)

    for room in ("stylize_core", "data", "melgan", "travelgan", "training", "stylize/optimize", "scripts"):
        for path in (ROOT / room).rglob("*.py"):
            visit(ast.parse(path.read_text(encoding="utf-8")))
    return names


@pytest.mark.parametrize("cls", [VocoderTraining, TranslatorTraining, AutoencoderTraining, ClassifierTraining])
def test_no_setting_is_dead(cls: type) -> None:
    read = names_read()
    assert "a_setting_that_nobody_reads" not in read
    assert [f"{owner}.{name}" for owner, name in config_fields(cls) if name not in read] == []
