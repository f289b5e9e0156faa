"""Options that are written once: the fields of a dataclass, as `Annotated[type, typer.Option(...)] = default`."""

from __future__ import annotations

import functools
import inspect
import math
import typing
from collections.abc import Callable
from typing import Any

from typer.models import OptionInfo

from data.errors import UserError


def with_options(kind: type[Any]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command the options of a dataclass in place of its `**options`; it may have some of its own."""

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        own = inspect.signature(command, eval_str=True)
        parameters = [each for each in own.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        hints = typing.get_type_hints(kind, include_extras=True)
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(kind, name), annotation=hints[name])
            for name in _options_of(kind)
            if name not in own.parameters
        ]

        @functools.wraps(command)
        def wrapped(**values: Any) -> int:
            return command(**values)

        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
        return wrapped

    return decorate


def check_options(options: Any) -> None:
    """UserError where a number of a dataclass is out of its option's range; NaN is out of every range."""
    for name, option in _options_of(type(options)).items():
        low, high = option.min, option.max
        value = getattr(options, name)
        if value is not None and (low, high) != (None, None):
            low, high = -math.inf if low is None else low, math.inf if high is None else high
            if not low <= value <= high or math.isinf(value):
                # In `Annotated`, what typer calls the default is the option's first name.
                shown = option.default if isinstance(option.default, str) else f"--{name.replace('_', '-')}"
                expected = f"{low:g} to {high:g}" if math.isfinite(high) else f"at least {low:g}"
                raise UserError(f"got {shown} {value:g}; expected {expected}")


def _options_of(kind: type[Any]) -> dict[str, OptionInfo]:
    """The fields of a dataclass that are options."""
    hints = typing.get_type_hints(kind, include_extras=True)
    metadata = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name: each for name, found in metadata.items() for each in found if isinstance(each, OptionInfo)}
