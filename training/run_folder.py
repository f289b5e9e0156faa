"""May a run folder be gone on with? Its `config.yaml` says with what it was started."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.plain import one_line
from training.config import build, read_yaml, to_plain

CONFIG_NAME = "config.yaml"


def check_same_run(
    run_folder: Path, resolved: Mapping[str, Any], kinds: Mapping[str, type], free: Collection[str]
) -> None:
    """Compare a configuration with the one that a run folder was started with, if it was.

    A value that the older one does not name, because there was no such setting then, counts as its default.

    Args:
        run_folder: the folder.
        resolved: the configuration as plain values.
        kinds: dataclasses that know the defaults, by the name of the part of the configuration; "" is the whole.
        free: names of values that may change, such as `loop.steps`.

    Raises:
        UserError: the folder was started with another configuration, or its file is damaged.
    """
    if run_folder.exists() and not run_folder.is_dir():
        raise UserError(f"the run folder {run_folder} is a file; name a folder with --run")
    path = run_folder / CONFIG_NAME
    if not path.exists():
        return
    try:
        before = read_yaml(path)
        if not isinstance(before, dict):
            raise ValueError("it holds no keys and values")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}); name another run folder with --run") from None
    changed = sorted(_differences(_with_defaults(before, kinds), _with_defaults(resolved, kinds)))
    if fixed := [name for name in changed if name not in free]:
        raise UserError(
            f"{run_folder} was started with another configuration ({', '.join(fixed[:5])} differ); "
            "name another run folder with --run"
        )


def _with_defaults(values: Any, kinds: Mapping[str, type]) -> Any:
    """The values and the defaults of all that they do not name; as they are where they fit no dataclass any more."""
    for name, kind in kinds.items():
        part = values.get(name) if name and isinstance(values, Mapping) else values
        if not isinstance(part, Mapping) or not dataclasses.is_dataclass(kind):
            continue
        try:
            filled = to_plain(build(kind, part, CONFIG_NAME))
        except UserError:
            continue
        values = {**values, name: filled} if name else filled
    return values


def _differences(before: Any, after: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in before.keys() | after.keys():
            yield from _differences(before.get(name), after.get(name), f"{prefix}{name}.")
    elif before != after:
        yield prefix.rstrip(".")
