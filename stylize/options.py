"""Options defined once: fields of a frozen dataclass carry flags, checks and help texts."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from stylize_core.errors import UserError
from stylize_core.names import nearest


@dataclass(frozen=True)
class Check:
    """What a value must be."""

    holds: Callable[[Any], bool]  # whether a value is that
    expected: str  # the same in words, for the message


MACHINE = "Models and machine"
"""Group of the options below."""
ModelOption = Annotated[
    Path | None, typer.Option("--model", help="Translator folder; default: the bundled one.", rich_help_panel=MACHINE)
]
VocoderOption = Annotated[
    Path | None, typer.Option("--vocoder", help="Vocoder folder; default: the bundled one.", rich_help_panel=MACHINE)
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel=MACHINE)]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="CPU threads; default: all cores.", rich_help_panel=MACHINE)
]

POSITIVE = Check(lambda count: count >= 1, "a whole number of at least 1")
WEIGHT = Check(lambda weight: 0 <= weight < float("inf"), "a number of at least 0")


def between(low: float, high: float) -> Check:
    """A number in a range that includes its ends."""
    return Check(lambda value: low <= value <= high, f"{low:g} to {high:g}")


def option(
    default: Any,
    help: str,
    group: str | None = None,
    *,
    check: Check | None = None,
    choices: tuple[str, ...] = (),
    flags: tuple[str, ...] = (),
    shown: str | bool = True,
    complete: Callable[[typer.Context, str], list[str]] | None = None,
) -> Any:
    """A field of a dataclass that is an option.

    Args:
        default: of the option; `MISSING` for an argument that is always given.
        help: one short line.
        group: heading of the help below which it stands; None for the options that everyone meets first.
        check: of every value but None.
        choices: all that a string can be.
        flags: on the command line, the long one last; by default the name of the field with dashes.
        shown: how the help shows the default.
        complete: values for shell completion.
    """
    metadata = {"help": help, "group": group, "check": check, "choices": choices, "flags": flags, "shown": shown}
    return dataclasses.field(default=default, metadata=metadata | {"complete": complete})


def fields_of(options: Any) -> list[dataclasses.Field[Any]]:
    """The fields of a dataclass, or of one of its instances, that are options."""
    return [field for field in dataclasses.fields(options) if "help" in field.metadata]


def flag(name: str, options: Any) -> str:
    """The command-line flag of a field of a dataclass or of one of its instances."""
    flags = {field.name: field.metadata["flags"] for field in fields_of(options)}[name]
    return flags[-1] if flags else "--" + name.replace("_", "-")


def check_options(options: Any) -> None:
    """Refuse values that their fields do not allow."""
    for field in fields_of(options):
        value, check, choices = getattr(options, field.name), field.metadata["check"], field.metadata["choices"]
        if value is not None and choices:
            check_choice(field.name.replace("_", " "), value, choices)
        if value is not None and check is not None and not check.holds(value):
            shown = f"{value:g}" if isinstance(value, float) else value
            raise UserError(f"got {flag(field.name, options)} {shown}; expected {check.expected}")


def check_choice(what: str, value: str, known: tuple[str, ...], others: str = "") -> None:
    """Refuse a name that is not among the known ones.

    Args:
        what: kind of name, for the message.
        value: the name.
        known: the valid names.
        others: further possibilities, for the message: `, or an existing file`.
    """
    if value not in known:
        advice = nearest(value, known) or ";"
        raise UserError(f"unknown {what} {value!r}{advice} known: {', '.join(known)}{others}")


def one_of(names: tuple[str, ...]) -> str:
    """The names as a phrase: `mel, stft or cqt`."""
    return ", ".join(names[:-1]) + " or " + names[-1]


def with_options(options: type, required: bool = False) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Make a Typer command of a function whose first parameter takes the values of all options by name.

    Options without a default become arguments, or options where they have flags. The function's other parameters are
    options of the command as usual.

    Args:
        options: the dataclass.
        required: whether what has no default must be given; else it is None.
    """

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        hints = typing.get_type_hints(options)
        given = [_parameter(field, hints[field.name], options, required) for field in fields_of(options)]
        several = {name for name, hint in hints.items() if typing.get_origin(hint) is tuple}

        def command(**values: Any) -> int:
            extra = {parameter.name: values.pop(parameter.name) for parameter in own}
            return function({n: tuple(v or ()) if n in several else v for n, v in values.items()}, **extra)

        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*given, *own)]
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


def _parameter(field: dataclasses.Field[Any], hint: Any, options: type, required: bool) -> inspect.Parameter:
    """A field as a parameter of a command; Typer takes lists where the field is a tuple of any length."""
    meta, default = field.metadata, field.default
    text = f"{meta['help'].rstrip('.')}: {one_of(meta['choices'])}." if meta["choices"] else meta["help"]
    if typing.get_origin(hint) is tuple:
        hint, default = list[typing.get_args(hint)[0]], default or None  # type: ignore[misc]
    if default is MISSING and not meta["flags"]:
        info: Any = typer.Argument(metavar=field.name.upper(), help=text)
    else:
        flags = meta["flags"] or (flag(field.name, options),)
        info = typer.Option(
            *flags,
            help=text,
            rich_help_panel=meta["group"],
            show_default=meta["shown"],
            autocompletion=meta["complete"],
        )
    if default is MISSING:
        default = inspect.Parameter.empty if required else None
    hint = hint | None if default is None else hint
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, info]
    )
