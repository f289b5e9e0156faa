"""Checks before a run resumes in a folder: its `config.yaml` holds the configuration, its lock the running process."""

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
    """Lock a folder against other runs within the block; the first of several processes holds the lock for all.

    The system releases the lock when the process ends. A folder made for the lock alone is removed.

    Raises:
        UserError: another process holds the lock, on this machine or another one; the folder cannot be made.
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
            if accelerator.reduce(failed, reduction="sum") and refused is None:
                raise SystemExit(2)  # the first process reports why
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
    """An open file with this process's name and a record lock, which data-reading child processes do not inherit."""
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
        os.close(descriptor)  # another process removed the file before this one opened it


def check_same_run(
    run_folder: Path, resolved: Mapping[str, Any], kinds: Mapping[str, type], free: Collection[str]
) -> None:
    """Compare a configuration with the one of a run folder, if any; values missing in the latter count as defaults.

    Args:
        run_folder: the folder.
        resolved: the configuration as plain values.
        kinds: dataclasses with the defaults, by the part of the configuration; "" is the whole.
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
    """The values with defaults filled in; unchanged where they no longer fit the dataclass."""
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
