"""The folder of one run of the server: nobody else on this machine can read it, and it does not outlive the run."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "stylize-web-"
_LOCK_NAME = "lock"


class RunFolder:
    """A folder that is removed at the end, or by the next run where this one has no end of its own (SIGKILL).

    The lock in it is held as long as the process lives, however it ends.

    Attributes:
        files: where to put files.
    """

    def __init__(self) -> None:
        remove_abandoned()
        self._path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.files = self._path / "files"
        self.files.mkdir()
        unready = self._path / "unready"
        self._lock = unready.open("xb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unready.rename(self._path / _LOCK_NAME)  # a lock that can be found is held

    def close(self) -> None:
        """Remove everything; can be called twice."""
        shutil.rmtree(self._path, ignore_errors=True)
        self._lock.close()


def remove_abandoned() -> None:
    """Remove this user's folders of runs that are no more."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            with (path / _LOCK_NAME).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except OSError:  # in use, or not one of ours
            continue
