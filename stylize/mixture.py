"""Styles and mixtures of them, as they are written: `jazz`, `jazz,metal` or `jazz:7,metal:3`."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection, Mapping

from stylize_core.errors import UserError
from stylize_core.names import nearest

_EXAMPLE = "write jazz, jazz,metal or jazz:7,metal:3"


def parse_styles(text: str, known: Collection[str] = ()) -> dict[str, float]:
    """Read a style or a mixture, such as `jazz`, `jazz,metal` or `jazz:7,metal:3`.

    Known names may contain any characters and match regardless of case; a quoted text is one name.

    Returns:
        a weight for each style, which add up to exactly 1; unknown names are returned as they are.
    """
    given: dict[str, float | None] = {}
    rest = unicodedata.normalize("NFC", text)
    more = True
    while more:
        name, rest = _take_name(rest.lstrip(), known)
        if not name:
            raise UserError(f"got --to {text!r} with an empty style name; {_EXAMPLE}")
        if name in given:
            raise UserError(f"got --to {text!r} with the style {name} twice; give each style once")
        part, comma, rest = rest.partition(",")
        given[name] = _parse_weight(part[1:].strip(), text) if part else None
        more = bool(comma)
    weights = {name: weight for name, weight in given.items() if weight is not None}
    if weights and len(weights) < len(given):
        missing = next(name for name in given if name not in weights)
        raise UserError(f"got --to {text!r} without a weight for {missing}; give one to each style or to none")
    weights = weights or dict.fromkeys(given, 1.0)
    largest = max(weights.values())
    total = math.fsum(weight / largest for weight in weights.values())
    return {name: weight / largest / total for name, weight in weights.items()}


def parse_list(text: str, known: Collection[str] = ()) -> tuple[str, ...]:
    """The names of several separate styles, as :func:`parse_styles` reads them; empty without any."""
    weights = parse_styles(text, known) if text.strip() else {}
    if len(set(weights.values())) > 1:
        raise UserError(f"got --to {text!r} with weights; each of these styles is made by itself, so leave them out")
    return tuple(weights)


def check_known(weights: Mapping[str, float], known: Collection[str]) -> None:
    """Refuse styles that the model does not have."""
    for name in weights:
        if name not in known:
            raise UserError(f"unknown style {name!r}{nearest(name, known) or ';'} this model knows: {', '.join(known)}")


def _take_name(text: str, known: Collection[str]) -> tuple[str, str]:
    """The name in front, and what follows it: nothing, a weight after a colon, or a comma."""
    for name in sorted(known, key=lambda name: (-len(name), not text.startswith(name))):
        length = len(unicodedata.normalize("NFC", name))
        rest = text[length:].lstrip()
        if _folded(text[:length]) == _folded(name) and (not rest or rest[0] in ",:"):
            return name, rest
    if text[:1] in ("'", '"'):
        quoted, _, rest = text[1:].partition(text[0])
        if not rest.lstrip() or rest.lstrip()[0] in ",:":
            return next((name for name in known if _folded(name) == _folded(quoted)), quoted), rest.lstrip()
    end = next((index for index, letter in enumerate(text) if letter in ",:"), len(text))
    return text[:end].strip(), text[end:]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _parse_weight(number: str, text: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise UserError(f"got the weight {number!r} in --to {text}; a weight is a number above 0")
    return weight
