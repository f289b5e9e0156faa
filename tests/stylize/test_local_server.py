"""Where pages listen, under which names they answer, and what address is told to people."""

from __future__ import annotations

import contextlib
import socket

import pytest

from stylize import local_server
from stylize.local_app import security_headers
from stylize.local_server import LOCAL_NAMES, address_of, bind, names_of
from stylize_core.errors import UserError


def test_a_local_server_answers_to_local_names_only() -> None:
    with bind("127.0.0.1", 0) as bound:
        assert set(LOCAL_NAMES) <= set(names_of(bound, "127.0.0.1") or ())
        assert address_of(bound, "127.0.0.1") == f"http://127.0.0.1:{bound.getsockname()[1]}/"
        assert address_of(bound, "localhost") == f"http://localhost:{bound.getsockname()[1]}/"
    with bind("0.0.0.0", 0) as bound:
        assert names_of(bound, "0.0.0.0") is None  # any: under which names others reach it cannot be known


def test_the_address_that_is_told_can_be_opened_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's phone finds a page at 0.0.0.0."""
    with bind("0.0.0.0", 0) as bound:
        port = bound.getsockname()[1]
        monkeypatch.setattr(local_server, "_own_address", lambda: "192.168.1.7")
        assert address_of(bound, "0.0.0.0") == f"http://192.168.1.7:{port}/"
        monkeypatch.setattr(local_server, "_own_address", lambda: None)
        assert address_of(bound, "0.0.0.0") == f"http://0.0.0.0:{port}/"


def test_the_own_address_belongs_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    own = local_server._own_address()
    if own is not None:
        with bind(own, 0) as bound:  # an address of another machine could not be bound
            assert bound.getsockname()[0] == own

    def refuse(*_: object) -> None:
        raise OSError(101, "Network is unreachable")

    class Unplugged(socket.socket):
        connect = refuse  # type: ignore[assignment]

    monkeypatch.setattr(socket, "socket", Unplugged)
    assert local_server._own_address() is None


def test_ipv6_addresses_stand_in_brackets() -> None:
    with contextlib.ExitStack() as stack:
        try:
            bound = stack.enter_context(bind("::1", 0))
        except UserError:
            pytest.skip("this machine has no IPv6")
        assert address_of(bound, "::1") == f"http://[::1]:{bound.getsockname()[1]}/"


def test_a_port_that_is_taken_is_named() -> None:
    with bind("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen at 127.0.0.1:{port} .*try another --port"):
            bind("127.0.0.1", port)


def test_only_what_a_page_needs_is_allowed() -> None:
    plain, full = security_headers(), security_headers(media=True, microphone=True)
    for headers in (plain, full):
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "*" not in policy
    assert "media-src" not in plain["Content-Security-Policy"] and "microphone=()" in plain["Permissions-Policy"]
    assert "media-src 'self'" in full["Content-Security-Policy"]
    assert "microphone=(self)" in full["Permissions-Policy"]
