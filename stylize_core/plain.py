"""Plain values from untrusted files: JSON within bounds, and dataclasses with every type checked.

Functions raise a `ValueError` of one line; the caller adds the file's name and the advice.
"""

from __future__ import annotations

import dataclasses
import json
import math
import reprlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from stylize_core.errors import UserError
from stylize_core.names import nearest

T = TypeVar("T")

MAX_BYTES = 2 << 20  # of a file with one document
MAX_LINES_BYTES = 256 << 20  # of a file with one document a line
MAX_DEPTH = 100  # nested values; functions may recurse at each level
MAX_DIGITS = 20  # of a whole number, its sign counted: enough for 64 bits

_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 80


def show(value: Any) -> str:
    """A value as Python writes it, short enough for an error message and without line breaks."""
    try:
        return " ".join(_brief.repr(value).split())
    except ValueError:  # a whole number of thousands of digits, which Python does not write
        return f"{type(value).__name__} of too many digits"


def one_line(error: BaseException, most: int = 200) -> str:
    """What an error says, in one line of limited length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[: most - 3]}..."


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """A text file in UTF-8, with or without a byte order mark; ValueError where it is larger or no UTF-8."""
    with path.open("rb") as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"it has more than {max_bytes / (1 << 20):g} MiB")
    return content.decode("utf-8-sig")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, which only line feeds end; errors as :func:`read_text`."""
    lines = read_text(path, MAX_LINES_BYTES).split("\n")
    if any(len(line) > MAX_BYTES for line in lines):
        raise ValueError(f"it has a line of more than {MAX_BYTES >> 20} MiB")
    return lines if lines[-1] else lines[:-1]


def read_json(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """The JSON document of a file; errors as :func:`read_text` and :func:`parse_json`."""
    return parse_json(read_text(path, max_bytes))


def parse_json(text: str) -> Any:
    """A JSON document, `NaN` and `Infinity` included; ValueError where it is malformed or out of bounds."""
    try:
        values = json.loads(text, parse_int=_whole)
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep") from None
    check_bounds(values, _children)
    return values


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"it holds a whole number of {len(text)} digits")
    return int(text)


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else ()


def check_bounds(root: Any, children: Callable[[Any], Iterable[Any]], most: float = math.inf) -> None:
    """Refuse a tree that is too deep, has too many nodes, or has text that cannot be encoded.

    Args:
        root: of the tree.
        children: of a node; a node that is a child twice counts twice.
        most: nodes.

    Raises:
        ValueError: it is refused.
    """
    level, count = [root], 0
    for _ in range(MAX_DEPTH):
        following: list[Any] = []
        for node in level:
            if isinstance(node, str) and not node.isascii():
                _check_text(node)
            following.extend(children(node))
            if count + len(following) > most:
                raise ValueError(f"it holds more than {most:g} values")
        if not following:
            return
        level, count = following, count + len(following)
    raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"it holds the text {show(text)}, half of a surrogate pair") from None


def check_range(least: float, most: float, **values: float | tuple[float, ...]) -> None:
    """Refuse numbers, or tuples of them, by name, that are not in [least, most], with a ValueError."""
    for name, value in values.items():
        for number in value if isinstance(value, tuple) else (value,):
            if not least <= number <= most:
                raise ValueError(f"{name} must be from {least:g} to {most:g}, got {show(number)}")


def check_names(what: str, names: tuple[str, ...]) -> None:
    """Refuse names that are blank, longer than 100 characters or not printable, with a ValueError."""
    for name in names:
        if not name.strip() or not name.isprintable() or len(name) > 100:
            raise ValueError(f"the name of a {what} is 1 to 100 characters that can be printed, got {show(name)}")


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build a dataclass from plain values, closed on both sides: an unknown key and a missing key are errors.

    Args:
        cls: a dataclass, whose fields may be dataclasses, unions of them that `kind` tells apart, tuples, mappings,
            optional and plain values.
        values: keys and values, nested.
        where: name of the source in error messages.

    Raises:
        UserError: a key is unknown or missing; a value has the wrong type, or is a number that is not finite.
    """
    values = _mapping(values, where)
    hints = typing.get_type_hints(cls)
    known = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            advice = nearest(str(name)[:100], known) or f"; known keys: {', '.join(known)}"
            raise UserError(f"{where}: unknown key {show(name)}{advice}")
    arguments = {}
    for name, field in known.items():
        if name in values:
            arguments[name] = _convert(hints[name], values[name], f"{where}: {name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UserError(f"{where}: the key {name!r} is missing")
    try:
        return cls(**arguments)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        kinds = [argument for argument in arguments if argument is not type(None)]
        return _convert(kinds[0] if len(kinds) == 1 else _tagged(kinds, value, where), value, where)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return build(kind, value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UserError(f"{where} must be a list, got {show(value)}")
        if arguments[-1] is not Ellipsis:
            if len(value) != len(arguments):
                raise UserError(f"{where} must have {len(arguments)} entries, got {show(value)}")
            return tuple(_convert(argument, item, where) for argument, item in zip(arguments, value, strict=True))
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin in (dict, Mapping):
        items = _mapping(value, where).items()
        return {str(key): _convert(arguments[1], item, f"{where}.{str(key)[:100]}") for key, item in items}
    return _convert_plain(kind, value, where)


def _tagged(kinds: Sequence[Any], value: Any, where: str) -> Any:
    """The dataclass of plain values: each candidate has a field `kind` with its own default."""
    by_name = {kind.kind: kind for kind in kinds}
    name = _mapping(value, where).get("kind")
    if not isinstance(name, str) or name not in by_name:
        raise UserError(f"{where}: kind must be one of {', '.join(by_name)}, got {show(name)}")
    return by_name[name]


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"{where} must hold keys and values, got {show(value)}")
    return value


def _convert_plain(kind: Any, value: Any, where: str) -> Any:
    if kind not in (int, float, str, bool):
        return value
    name = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}[kind]
    refused = UserError(f"{where} must be {name}, got {show(value)}")
    if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:  # YAML 1.1 reads 1e-4 as text
            number = float(value)
        except (ValueError, OverflowError):
            raise refused from None
        if not math.isfinite(number):
            raise UserError(f"{where} must be a finite number, got {show(value)}")
        return number
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise refused
    if kind is int and abs(value) >= 2**64:
        raise UserError(f"{where} must be below 2^64, got a number of {value.bit_length()} bits")
    return value


def to_plain(config: Any) -> dict[str, Any]:
    """A dataclass as plain values for YAML and JSON; tuples become lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value

    values: dict[str, Any] = plain(dataclasses.asdict(config))
    return values
