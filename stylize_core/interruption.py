"""Ctrl-C, SIGTERM and SIGHUP in work that ends in good order: the step is finished and what was made is kept."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LAUNCHER_SECONDS = 2.0
"""A launcher of several processes passes on within so long what the terminal has sent to them as well."""


class StopSignals:
    """Notes the first of several signals within a block, for the work to ask for; a second one ends the process.

    Handlers are restored afterwards. Ignored signals stay ignored; outside the main thread nothing changes.

    Args:
        numbers: the signals.
        message: written to stderr at the first one.
        launched: one of several processes, see `LAUNCHER_SECONDS`.
        kill: whether the second one ends the process at once; else it does what it did before the block.

    Attributes:
        number: the first signal; None as long as there is none.
    """

    def __init__(
        self, numbers: Sequence[int] = STOP_SIGNALS, *, message: str = "", launched: bool = False, kill: bool = True
    ) -> None:
        self.numbers, self.message, self.launched, self.kill = numbers, message, launched, kill
        self.number: int | None = None
        self._noted = 0.0
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal came."""
        return self.number is not None

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in self.numbers:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number, self._noted = number, time.monotonic()
            if self.message:
                # A handler may come in the middle of another print.
                with contextlib.suppress(OSError):
                    os.write(2, f"\n{self.message}\n".encode())
            if not self.launched:
                for each, before in self._before.items():
                    signal.signal(each, signal.SIG_DFL if self.kill else before)
        elif time.monotonic() - self._noted > LAUNCHER_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def leave_signals_to_main(worker: int) -> None:
    """Ignore the signals in a worker process that reads data: Ctrl-C reaches all processes of a terminal."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
