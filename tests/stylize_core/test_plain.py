"""Plain values from files that anyone may have written: what is read, and one short line for everything else."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from data.corpus.check import check_corpus
from data.recordings import read_manifest
from stylize.evaluate.benchmarks.leaks import read_records
from stylize.evaluate.curves import read_curves
from stylize_core.errors import UserError
from stylize_core.plain import build, check_range, one_line, parse_json, read_json, read_lines, show
from stylize_core.tensor_files import read_header


def test_what_python_writes_is_read() -> None:
    values = {"a": [1, -(2**63), 0.5, True, None], "b": {"é\u2028": "\U0001f3b5"}, "c": math.inf}
    assert parse_json(json.dumps(values)) == parse_json(json.dumps(values, ensure_ascii=False)) == values
    assert math.isnan(parse_json("NaN"))
    assert parse_json('{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000, "nested"),
        ("[" * 101 + "]" * 101, "nested more than 100 deep"),
        ('{"a":' * 500 + "1" + "}" * 500, "nested"),
        ("[" + "7" * 6000 + "]", "a whole number of 6000 digits"),
        ("-" + "7" * 20, "a whole number of 21 digits"),
        ('{"\\ud800": 1}', "half of a surrogate pair"),
        ('["\\udfff"]', "half of a surrogate pair"),
        ("{half", "Expecting property name"),
        ("", "Expecting value"),
    ],
)
def test_json_out_of_bounds_is_a_value_error_of_one_line(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_a_hundred_levels_are_read() -> None:
    assert parse_json("[" * 100 + "]" * 100)


def test_files_are_utf_8_of_limited_size(tmp_path: Path) -> None:
    path = tmp_path / "values.json"
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(path) == [1]
    for content, problem in ((b"[1, 2, 3]", "more than"), (b"\xff\xfe[", "can't decode")):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=problem):
            read_json(path, max_bytes=5)


def test_only_line_feeds_end_lines(tmp_path: Path) -> None:
    """Names of files may hold what `str.splitlines` takes for the end of a line."""
    path = tmp_path / "lines"
    path.write_text("a\u2028b\x85c\r\n\nlast", encoding="utf-8", newline="")
    assert read_lines(path) == ["a\u2028b\x85c\r", "", "last"]
    path.write_text("a\n", encoding="utf-8")
    assert read_lines(path) == ["a"]
    path.write_text("")
    assert read_lines(path) == []
    path.write_text("x" * (3 << 20))
    with pytest.raises(ValueError, match="a line of more than 2 MiB"):
        read_lines(path)


@dataclass(frozen=True)
class Values:
    number: float = 0.0
    pair: tuple[str, int] = ("a", 1)
    size: int = 0


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([], "must hold keys and values"),
        ({"number": 10**5000}, "number must be a number, got int of too many digits"),
        ({"number": "nan"}, "must be a finite number"),
        ({"number": -math.inf}, "must be a finite number"),
        ({"pair": ["a"]}, "pair must have 2 entries"),
        ({"pair": ["a", "b"]}, "pair must be a whole number"),
        ({"size": 2**64}, "size must be below 2^64"),
        ({"x" * 10**6: 1}, "unknown key 'xxx"),
        ({"size": "a\nb" * 1000}, r"size must be a whole number, got 'a\\nba"),
    ],
)
def test_dataclasses_are_built_of_their_types_only(values: object, problem: str) -> None:
    with pytest.raises(UserError) as caught:
        build(Values, values, "FILE")  # type: ignore[arg-type]
    message = str(caught.value)
    assert problem.replace("\\\\", "\\") in message and "\n" not in message and len(message) < 300


def test_ranges_refuse_what_is_no_number() -> None:
    check_range(1, 3, a=1, b=(1, 2, 3), c=())
    for value in (0, 4, math.nan, (1, 2, 4)):
        with pytest.raises(ValueError, match="^x must be from 1 to 3, got "):
            check_range(1, 3, x=value)


def test_messages_are_short_and_of_one_line() -> None:
    assert one_line(ValueError("a\n  b")) == "a b" and one_line(KeyError()) == "KeyError"
    assert len(one_line(ValueError("x" * 10**6))) == 200
    assert show("a\nb") == r"'a\nb'" and len(show(list(range(10**6)))) < 100 and len(show(10**5000)) < 100


HOSTILE = ["{half", "3", "[]", "[" * 100_000, '{"step": ' + "1" * 6000 + "}", '{"file": 3, "split": [], "song": {}}']


@pytest.mark.parametrize("content", [*(text.encode() for text in HOSTILE), b"\xff\xfe"])
def test_manifests_that_are_damaged_are_one_line(tmp_path: Path, content: bytes) -> None:
    readers = {
        "manifest.jsonl": (read_manifest, read_records, lambda folder: check_corpus(folder)),
        "metrics.jsonl": (read_curves,),
    }
    for name, functions in readers.items():
        (tmp_path / name).write_bytes(content + b"\n" + content)
        for function in functions:
            with pytest.raises(UserError) as caught:
                function(tmp_path)  # type: ignore[operator]
            message = str(caught.value)
            assert str(tmp_path) in message and "\n" not in message and len(message) < 500


@pytest.mark.parametrize("content", [b"", bytes(7), b"\xff" * 8, (1 << 30).to_bytes(8, "little"), b"\2" + bytes(7)])
def test_headers_of_no_safetensors_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError):
        read_header(tmp_path / "file")
