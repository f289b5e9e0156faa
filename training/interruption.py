"""Ctrl-C, SIGTERM and SIGHUP in a training run: the step is finished and a checkpoint written before it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LAUNCHER_SECONDS = 2.0
"""A launcher of several processes passes on within so long what the terminal has sent to them as well."""


class StopSignals:
    """Within the block the first of these signals is noted, for the loop to act on; a second one ends the process.

    Handlers are put back afterwards. A signal that was ignored before, as SIGHUP is below `nohup`, stays ignored, and
    outside the main thread, where Python allows no handlers, nothing is changed.

    Args:
        speak: whether to say on the terminal what is going to happen.
        launched: one of several processes, see `LAUNCHER_SECONDS`.

    Attributes:
        number: of the first signal; None as long as there is none.
    """

    def __init__(self, speak: bool = True, launched: bool = False) -> None:
        self.speak, self.launched = speak, launched
        self.number: int | None = None
        self._noted = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number, self._noted = number, time.monotonic()
            if self.speak:
                # A handler may come in the middle of another print.
                with contextlib.suppress(OSError):
                    os.write(2, b"\nstopping after this step, with a checkpoint; once more stops at once\n")
            if not self.launched:
                for each in self._before:
                    signal.signal(each, signal.SIG_DFL)  # the system need not wait for the interpreter
        elif time.monotonic() - self._noted > LAUNCHER_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def leave_signals_to_main(worker: int) -> None:
    """In a worker that reads data: a Ctrl-C goes to all processes of a terminal, and main still needs its batches."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
