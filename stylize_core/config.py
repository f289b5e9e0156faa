"""YAML to frozen dataclasses, closed on both sides; a file may name a `base:` file whose values it overrides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from stylize_core.errors import UserError
from stylize_core.plain import build, check_bounds, one_line, read_text, to_plain

__all__ = ["build", "load_config", "read_yaml", "to_plain"]

T = TypeVar("T")

MAX_BYTES = 64 << 10  # of a file; a configuration takes a tenth of it
MAX_VALUES = 10_000
"""In a document, those that an alias repeats counted each time: aliases of aliases can make billions."""


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's booleans, `true` and `false`: `no`, `off`, `yes` and `on` stay text."""


_BOOLEAN = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))


def load_config(path: str | Path, cls: type[T], overrides: Sequence[str] = ()) -> T:
    """Read a YAML file into a dataclass, with overrides as in :func:`override_values`.

    Raises:
        UserError: the file is missing or no YAML; a key is unknown or missing; a value has the wrong type.
    """
    return build(cls, override_values(read_config(Path(path)), overrides), str(path))


def override_values(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Set values in place, each by `a.b=value` with the value in YAML's notation.

    Raises:
        UserError: an override is not of this form, or goes below a plain value.
    """
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
            node[last] = _parse_yaml(text)
        except ValueError as error:
            raise UserError(f"override {override!r} is not valid YAML: {error}") from None
    return values


def _parse_yaml(text: str) -> Any:
    """A YAML document of plain values within bounds; else a ValueError of one line."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        check_bounds(node, _parts, MAX_VALUES)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(one_line(error, 500)) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (TypeError, AttributeError, LookupError, ArithmeticError):  # of scalars that do not match their tag
        raise ValueError("a value is not of the type that its tag names") from None


def _parts(node: Any) -> Iterable[Any]:
    """Children of a node, and the text of a scalar."""
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    if isinstance(node, yaml.ScalarNode):
        return [node.value]
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def read_yaml(path: Path) -> Any:
    """The YAML document of a file; OSError or, where it is no YAML of plain values within bounds, ValueError."""
    return _parse_yaml(read_text(path, MAX_BYTES))


def read_config(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The values of a YAML file; its optional key `base` names another file, relative to it, that it overrides.

    Raises:
        UserError: a file is missing or no YAML, or base files form a cycle.
    """
    try:
        values = read_yaml(path)
    except OSError as error:
        raise UserError(f"cannot read the configuration {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {one_line(error, 500)}") from None
    if path.resolve() in seen:
        raise UserError(f"{path}: its base files name each other in a circle")
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold keys and values, got {type(values).__name__}")
    base = values.pop("base", None)
    if base is None:
        return values
    return merge_values(read_config(path.parent / str(base), (*seen, path.resolve())), values)


def merge_values(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values with those of `over` in place; values of another `kind` replace the base's as a whole."""
    if "kind" in over and over["kind"] != base.get("kind", over["kind"]):
        return dict(over)
    merged = dict(base)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = merge_values(merged[name], value) if both else value
    return merged
