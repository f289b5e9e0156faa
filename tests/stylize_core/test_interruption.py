"""Signals that are noted, and those that end the process; handlers are put back as they were."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from stylize_core.interruption import STOP_SIGNALS, StopSignals, leave_signals_to_main


def test_a_second_signal_is_left_to_the_system() -> None:
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.number == signal.SIGTERM
        assert {signal.getsignal(each) for each in STOP_SIGNALS} == {signal.SIG_DFL}


def test_a_second_ctrl_c_can_do_what_it_always_does() -> None:
    with StopSignals([signal.SIGINT], kill=False) as signals:
        before = signal.getsignal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert signals.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGTERM) is before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_a_launcher_passes_on_is_no_second_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = []
    with StopSignals(launched=True) as signals:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.number == signal.SIGINT
        monkeypatch.setattr("stylize_core.interruption.LAUNCHER_SECONDS", -1.0)
        monkeypatch.setattr("stylize_core.interruption.os.kill", lambda *arguments: killed.append(arguments))
        signal.raise_signal(signal.SIGTERM)
        assert killed == [(os.getpid(), signal.SIGTERM)]


def test_what_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.number is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_change_no_handlers() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def enter() -> None:
        with StopSignals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def test_workers_that_read_data_take_no_notice() -> None:
    before = {each: signal.getsignal(each) for each in STOP_SIGNALS}
    try:
        leave_signals_to_main(0)
        for each in STOP_SIGNALS:
            os.kill(os.getpid(), each)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
