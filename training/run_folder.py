"""May a run folder be gone on with? Its `config.yaml` says with what it was started, its lock who is at work in it."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import logging
import os
import platform
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from stylize_core.config import build, read_yaml, to_plain
from stylize_core.errors import UserError
from stylize_core.plain import one_line

logger = logging.getLogger(__name__)

CONFIG_NAME = "config.yaml"
LOCK_NAME = ".lock"


@contextmanager
def locked(run_folder: Path, accelerator: Accelerator) -> Iterator[None]:
    """Within the block no other run works in a folder; the first of several processes has the lock for all of them.

    The lock is the system's: it ends with the process that holds it, however that ends. A folder that was made for the
    lock alone is removed again.

    Raises:
        UserError: another process has the lock, on this machine or another one; the folder cannot be made.
    """
    refused: UserError | None = None
    with contextlib.ExitStack() as stack:
        if accelerator.is_main_process:
            try:
                stack.enter_context(_lock(run_folder))
            except UserError as error:
                refused = error
        if accelerator.num_processes > 1:
            failed = torch.tensor(float(refused is not None), device=accelerator.device)
            if accelerator.reduce(failed, reduction="sum") and refused is None:  # type: ignore[arg-type]
                raise SystemExit(2)  # the first process says why
        if refused is not None:
            raise refused
        yield


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    path = folder / LOCK_NAME
    try:
        descriptor = _locked_file(path)
    except OSError as error:
        raise UserError(f"{folder} cannot be used as a run folder: {error.strerror}; name another with --run") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        with contextlib.suppress(OSError):  # not empty: something was written
            for parent in made:
                parent.rmdir()


def _locked_file(path: Path) -> int:
    """An open file with this process's lock and name on it.

    Record locks are not inherited: processes that read data, which outlive a killed run by seconds, hold nothing up.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                holder = os.read(descriptor, 200).decode("utf-8", "replace") or "another process"
                os.close(descriptor)
                raise UserError(
                    f"{path.parent} is being trained in by {holder}; wait for it, stop it, or name another run folder "
                    "with --run"
                ) from None
            logger.warning("%s: this file system has no locks; see to it that no other run uses it", path.parent)
        try:
            mine = os.path.samestat(os.stat(path), os.fstat(descriptor))
        except FileNotFoundError:
            mine = False
        if mine:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {platform.node()}".encode())
            return descriptor
        os.close(descriptor)  # the one before removed its file while this one waited to open it


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
