"""What every program does the same on a terminal: errors in one line, signals, exit codes, unread output."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from types import FrameType
from typing import Any, TextIO

import typer

from stylize_core.errors import UserError

DISTRIBUTION = "travelgan-music-style-transfer"
CHECKOUT_ONLY = ("data", "training", "scripts")
HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
"""What click calls the context settings of a command."""
FAILED = 2
INTERRUPTED = 128 + signal.SIGINT
_ENDING_SIGNALS = ("SIGTERM", "SIGHUP")
_BURST_SECONDS = 1.0


class EarlyStopError(Exception):
    """Ctrl-C ended the work and its partial result was kept; the message names the point."""


class SignalInterrupt(KeyboardInterrupt):
    """TERM or HUP came.

    Python ends with 130 if a KeyboardInterrupt itself has left an import at the wrong moment, even where it was caught.
    """


class ReceivedSignal:
    """Which signal ended the work.

    Attributes:
        number: of the signal; that of Ctrl-C unless another one came.
    """

    def __init__(self) -> None:
        self.number: int = signal.SIGINT
        self._since = -float("inf")
        self._process = os.getpid()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Do what Ctrl-C does; signals that come together, as when a terminal is closed, count once."""
        if os.getpid() != self._process:  # a copy of the process, which has nothing to clean up
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if time.monotonic() - self._since < _BURST_SECONDS:
            return
        self.number, self._since = number, time.monotonic()
        interrupt = signal.getsignal(signal.SIGINT)
        if callable(interrupt) and interrupt is not signal.default_int_handler:
            interrupt(signal.SIGINT, frame)
        else:
            raise SignalInterrupt


def run_program(work: Callable[[], int | None], stopped: str = "stopped") -> int:
    """Run what a command does.

    Args:
        work: gives the exit code, None for 0.
        stopped: what is said after Ctrl-C, TERM and HUP.

    Returns:
        exit code: that of `work`; 2 for what the user can mend, with one line on stderr; 128 and its number after a
        signal, so 130 after Ctrl-C.
    """
    with _steady_output(), _ended_by_signals() as received:
        try:
            code = work() or 0
        except UserError as error:
            code = FAILED
            print_error(error)
        except EarlyStopError as stop:
            code = 128 + received.number
            print(stop, file=sys.stderr)
        except KeyboardInterrupt:
            code = 128 + received.number
            print(stopped, file=sys.stderr)
        except ModuleNotFoundError as error:
            if not (advice := _how_to_install(error.name or "")):
                raise
            code = FAILED
            print_error(advice)
        except OSError as error:  # of the machine; what is known of a file is said where the file is used
            code = FAILED
            where = f"{error.filename}: " if error.filename else ""
            print_error(f"{where}{error.strerror or error}")
        try:
            print(end="", flush=True)
        except UserError as error:
            code = FAILED
            print_error(error)
        return code


def invoke(app: typer.Typer, arguments: Sequence[str] | None = None, name: str | None = None) -> int:
    """Run a Typer application, whose commands may return an exit code, as the work of :func:`run_program`.

    Args:
        app: the application.
        arguments: in place of those of the process.
        name: of the program in its help, in place of that of the process.

    Raises:
        UserError: wrong usage.
        KeyboardInterrupt: Ctrl-C.
    """
    try:
        code = app(args=None if arguments is None else list(arguments), prog_name=name, standalone_mode=False)
    except typer.Abort:  # Ctrl-C in older versions of Typer
        raise KeyboardInterrupt from None
    except Exception as error:
        # Typer's usage errors are those of click or of its own copy of click, by version.
        if not hasattr(error, "format_message"):
            raise
        context = getattr(error, "ctx", None)
        help_call = f"`{context.command_path if context else name} --help`" if name else "--help"
        raise UserError(f"{error.format_message()} ({help_call} shows the options)") from None
    if code == INTERRUPTED:  # Ctrl-C in newer ones
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _how_to_install(module: str) -> str:
    """What to do about a module that is missing; empty for one that no extra of the package brings."""
    if module.partition(".")[0] in CHECKOUT_ONLY:
        return f"this needs {module}, which only a checkout of the repository has; run it there"
    with contextlib.suppress(metadata.PackageNotFoundError):
        for requirement in metadata.requires(DISTRIBUTION) or ():
            found = re.fullmatch(r"([\w.-]+).*extra == .(\w+).", requirement)
            if found and found[1].replace("-", "_") == module.partition(".")[0]:
                return f"this needs {found[1]}; install it with: pip install '{DISTRIBUTION}[{found[2]}]'"
    return ""


def print_error(error: object) -> None:
    """One line on stderr."""
    print("error: " + " ".join(str(error).split()), file=sys.stderr, flush=True)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[ReceivedSignal]:
    """Let TERM and HUP do what Ctrl-C does, unless they are ignored or handled by somebody else."""
    received = ReceivedSignal()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # no other may
        numbers = [getattr(signal, name) for name in _ENDING_SIGNALS if hasattr(signal, name)]
        before = {number: signal.SIG_DFL for number in numbers if signal.getsignal(number) is signal.SIG_DFL}
    try:
        for number in before:
            signal.signal(number, received.handle)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _steady_output() -> Iterator[None]:
    """Output that shows what its encoding lacks as escapes, and that nobody has to read to the end."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = sys.stdout and _SteadyStream(sys.stdout, "the output")
    sys.stderr = sys.stderr and _SteadyStream(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _SteadyStream:
    """A text stream that goes nowhere once its reader is gone."""

    def __init__(self, stream: TextIO, name: str | None = None) -> None:
        self._stream, self._name = stream, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._end(error)
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._end(error)

    def _end(self, error: OSError) -> None:
        """Send the rest, and what is still buffered, nowhere."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        if self._name is not None and error.errno not in (errno.EPIPE, errno.EIO):  # EIO: the terminal was closed
            raise UserError(f"{self._name} cannot be written: {error.strerror}") from None
