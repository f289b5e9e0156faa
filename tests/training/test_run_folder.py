"""One run in a folder at a time: who holds the lock is named, and a lock of the dead holds nobody up."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stylize_core.errors import UserError
from training.run_folder import LOCK_NAME, locked

HOLD = """
import fcntl, os, sys, time
file = open(sys.argv[1], "a+")
fcntl.lockf(file, fcntl.LOCK_EX)
print(f"process {os.getpid()} on elsewhere", end="", file=file, flush=True)
print("held", flush=True)
time.sleep(60)
"""
ONE: Any = SimpleNamespace(is_main_process=True, num_processes=1)


@pytest.fixture
def hold() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Another process with the lock of a folder."""
    holders = []

    def hold(folder: Path) -> subprocess.Popen[str]:
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-S", "-c", HOLD, str(folder / LOCK_NAME)]
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        holders.append(holder)
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        return holder

    yield hold
    for holder in holders:
        holder.kill()
        holder.wait()


def test_a_second_run_is_refused_and_the_first_one_named(
    hold: Callable[[Path], subprocess.Popen[str]], tmp_path: Path
) -> None:
    holder = hold(tmp_path / "run")
    with (
        pytest.raises(UserError, match=f"run is being trained in by process {holder.pid} on elsewhere; .* --run$"),
        locked(tmp_path / "run", ONE),
    ):
        pass
    assert (tmp_path / "run" / LOCK_NAME).exists()


def test_a_killed_run_leaves_no_lock(hold: Callable[[Path], subprocess.Popen[str]], tmp_path: Path) -> None:
    holder = hold(tmp_path / "run")
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "run" / LOCK_NAME).read_text()  # the file is there still
    with locked(tmp_path / "run", ONE):
        text = (tmp_path / "run" / LOCK_NAME).read_text()
        assert text == f"process {os.getpid()} on {platform.node()}"
    assert not (tmp_path / "run" / LOCK_NAME).exists()


def test_nothing_is_left_of_a_run_that_wrote_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="of no use"), locked(tmp_path / "runs" / "one", ONE):
        assert (tmp_path / "runs" / "one" / LOCK_NAME).exists()
        raise UserError("of no use")
    assert not (tmp_path / "runs").exists()
    with locked(tmp_path / "runs" / "one", ONE):
        (tmp_path / "runs" / "one" / "config.yaml").touch()
    assert os.listdir(tmp_path / "runs" / "one") == ["config.yaml"]


def test_a_run_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match="cannot be used as a run folder: .*; name another"), locked(place, ONE):
            pass
    assert (tmp_path / "file").is_file()


def test_the_first_process_alone_has_the_lock(hold: Callable[[Path], subprocess.Popen[str]], tmp_path: Path) -> None:
    def reduce(failed: Any, reduction: str) -> Any:
        return failed + others_failed

    other: Any = SimpleNamespace(is_main_process=False, num_processes=2, device="cpu", reduce=reduce)
    hold(tmp_path / "run")
    others_failed = 0.0
    with locked(tmp_path / "run", other):
        pass
    others_failed = 1.0
    with pytest.raises(SystemExit) as ended, locked(tmp_path / "run", other):
        pass
    assert ended.value.code == 2
