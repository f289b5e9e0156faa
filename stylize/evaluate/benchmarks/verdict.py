"""Checks a report against the targets of a JSON file in `configs/targets/`.

A target has a `text` and `checks`, all of which must hold. A check names a `value` of the report by its path and bounds
it by `min` or `max` (inclusive), `above` or `below` (exclusive): a number, or the path of another value less `margin`.
`shows` are figures for context. `for` repeats a target with variables, which `{...}` in texts and paths refers to.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stylize.evaluate.report import MISSING, percent, table

TARGETS = Path(__file__).resolve().parents[3] / "configs" / "targets"
BOUNDS = {"min": operator.ge, "max": operator.le, "above": operator.gt, "below": operator.lt}


@dataclass(frozen=True)
class Verdict:
    """A target, whether it is met (None if not measured), and the figures."""

    target: str
    met: bool | None
    found: str


def load_targets(name: str) -> dict[str, list[Any]]:
    """The targets of `configs/targets/NAME.json`, by group."""
    groups: dict[str, list[Any]] = json.loads((TARGETS / f"{name}.json").read_text(encoding="utf-8"))
    return groups


def check_targets(targets: Sequence[Mapping[str, Any]], report: Mapping[str, Any], **variables: str) -> list[Verdict]:
    """The verdict on every target."""
    return [_check_target(one, report) for target in targets for one in _expand(target, variables)]


def format_verdicts(verdicts: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table of verdicts as plain values; further keys come first as columns."""
    further = [key for key in (verdicts[0] if verdicts else {}) if key not in ("target", "met", "found")]
    words = {True: "met", False: "**missed**", None: MISSING}
    rows = [
        [*(each[key] or MISSING for key in further), each["target"], words[each["met"]], each["found"]]
        for each in verdicts
    ]
    return ["## Targets", "", *table([*further, "target", "", "found"], rows)]


def plain(verdicts: Sequence[Verdict], **further: str) -> list[dict[str, Any]]:
    """Verdicts as plain values, with further columns."""
    return [further | asdict(verdict) for verdict in verdicts]


def _expand(target: Mapping[str, Any], variables: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    fixed = {name: value for name, value in target.items() if name != "for"}
    for more in target.get("for", [{}]):
        yield _fill(fixed, {**variables, **_fill(more, variables)})


def _fill(node: Any, variables: Mapping[str, Any]) -> Any:
    if isinstance(node, str):
        alone = node[1:-1] if node.startswith("{") and node.endswith("}") else ""
        return variables[alone] if alone in variables else node.format(**variables)
    if isinstance(node, list):
        return [_fill(each, variables) for each in node]
    if isinstance(node, dict):
        return {key: each if key == "format" else _fill(each, variables) for key, each in node.items()}
    return node


def _check_target(target: Mapping[str, Any], report: Mapping[str, Any]) -> Verdict:
    met, found = True, []
    try:
        for check in target["checks"]:
            value = _find(report, check["value"])
            if value is None and check.get("optional"):
                continue
            kind = next(kind for kind in BOUNDS if kind in check)
            bound = check[kind] if not isinstance(check[kind], list) else _need(_find(report, check[kind]))
            met &= BOUNDS[kind](_mean(_need(value)), _mean(bound) - check.get("margin", 0.0))
            against = f" against {_format(_mean(bound), check)}" if isinstance(check[kind], list) else ""
            if not check.get("hidden"):
                found.append(_named(check, value) + against)
    except LookupError:
        return Verdict(target["text"], None, "not measured in this run")
    for shown in target.get("shows", ()):
        value = _find(report, shown["value"])
        found += [] if value is None else [_named(shown, value)]
    return Verdict(target["text"], met, ", ".join(found))


def _find(report: Any, path: Sequence[str]) -> Any:
    """The value at a path, if any; `*` maps over a list."""
    for place, key in enumerate(path):
        if key == "*":
            return [_find(each, path[place + 1 :]) for each in report]
        report = report.get(key) if isinstance(report, Mapping) else None
        if report is None:
            return None
    return report


def _need(value: Any) -> Any:
    if value is None:
        raise LookupError
    return value


def _mean(value: Any) -> Any:
    return value["mean"] if isinstance(value, Mapping) else value


def _named(shown: Mapping[str, Any], value: Any) -> str:
    values = value if isinstance(value, list) else [_mean(value)]
    text = " ".join(_format(each, shown) for each in values)
    if isinstance(value, Mapping) and "low" in value:
        text += f" ({_format(value['low'], shown)} to {_format(value['high'], shown)})"
    return f"{shown.get('name', '')} {text}".strip()


def _format(value: float, shown: Mapping[str, Any]) -> str:
    form = shown.get("format", "{:.3f}")
    return percent(value) if form == "percent" else str(form).format(value)
