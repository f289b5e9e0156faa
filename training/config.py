"""YAML to frozen dataclasses, closed on both sides: an unknown key and a missing key are errors.

A file may name a `base:` file whose values it overrides, so that an experiment is a few lines.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from data.errors import UserError

T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's booleans: `no`, `off`, `yes` and `on` stay text, as `mixed_precision: no` means.

    Only `true` and `false` are booleans.
    """


_BOOLEAN = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))


def load_config(path: str | Path, cls: type[T], overrides: Sequence[str] = ()) -> T:
    """Read a YAML file into a dataclass.

    Args:
        path: the file; its optional key `base` names another file, relative to it, that it overrides.
        cls: a frozen dataclass, whose fields may be dataclasses, tuples, mappings, optional and plain values.
        overrides: `a.b=value` from the command line, the value in YAML's notation.

    Raises:
        UserError: the file is missing or no YAML; a key is unknown or missing; a value has the wrong type.
    """
    values = _read(Path(path))
    for override in overrides:
        name, separator, text = override.partition("=")
        if not separator or not name:
            raise UserError(f"override {override!r} is not of the form name=value, for example optimizer.lr=1e-4")
        node = values
        *parents, last = name.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise UserError(f"override {override!r}: {parent} is a value, it has no keys below it")
        try:
            node[last] = yaml.load(text, Loader=_Loader)
        except yaml.YAMLError as error:
            raise UserError(f"override {override!r} is not valid YAML: {' '.join(str(error).split())}") from None
    return build(cls, values, str(path))


def _read(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    if path.resolve() in seen:
        raise UserError(f"{path}: its base files name each other in a circle")
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise UserError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold keys and values, got {type(values).__name__}")
    base = values.pop("base", None)
    if base is None:
        return values
    return _merge(_read(path.parent / str(base), (*seen, path.resolve())), values)


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = _merge(merged[name], value)
        else:
            merged[name] = value
    return merged


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build a dataclass from plain values; see :func:`load_config` for what is refused.

    Args:
        cls: the dataclass.
        values: keys and values, nested.
        where: what to call the place in error messages.
    """
    hints = typing.get_type_hints(cls)
    known = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            advice = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
            raise UserError(f"{where}: unknown key {name!r}; {advice}")
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
        return _convert(kinds[0], value, where)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise UserError(f"{where} must hold keys and values, got {value!r}")
        return build(kind, value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UserError(f"{where} must be a list, got {value!r}")
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise UserError(f"{where} must hold keys and values, got {value!r}")
        return {str(key): _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    return _convert_plain(kind, value, where)


def _convert_plain(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, str):  # YAML 1.1 reads 1e-4 as text
        try:
            return float(value)
        except ValueError:
            raise UserError(f"{where} must be a number, got {value!r}") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, bool):
        raise UserError(f"{where} must be a whole number, got {value!r}")
    if kind in (int, float, str, bool) and not isinstance(value, kind):
        name = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}[kind]
        raise UserError(f"{where} must be {name}, got {value!r}")
    return value


def to_plain(config: Any) -> dict[str, Any]:
    """A dataclass as plain values for YAML and JSON; tuples become lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value

    return plain(dataclasses.asdict(config))
