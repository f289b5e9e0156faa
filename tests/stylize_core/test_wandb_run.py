"""W&B in every state that a user's machine can have: no key, a key of any kind and place, no network, odd settings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from stylize_core.wandb_run import choose_wandb_mode, open_wandb_run

KEY = "0123456789" * 4
OWN_SERVER = {"WANDB_BASE_URL": "https://wandb.example.org"}
NETRC = "machine {host}\n  login user\n  password {key}\n"


@pytest.fixture(autouse=True)
def fresh_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home folder of its own, and settings that are read anew."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.mark.parametrize(
    ("wanted", "environment", "netrc", "chosen"),
    [
        ("auto", {}, "", "offline"),
        ("auto", {"WANDB_API_KEY": KEY}, "", "online"),
        ("auto", {"WANDB_API_KEY": "mistyped"}, "", "offline"),
        ("auto", {}, NETRC.format(host="api.wandb.ai", key=KEY), "online"),
        ("auto", {}, NETRC.format(host="api.wandb.ai", key="short"), "offline"),
        ("auto", {}, NETRC.format(host="example.org", key=KEY), "offline"),
        ("auto", OWN_SERVER, NETRC.format(host="wandb.example.org", key=KEY), "online"),
        ("auto", OWN_SERVER, NETRC.format(host="api.wandb.ai", key=KEY), "offline"),
        ("auto", {"WANDB_BASE_URL": "nonsense", "WANDB_API_KEY": KEY}, "", "offline"),
        ("auto", {}, "this is no netrc", "offline"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": "offline"}, "", "offline"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": "dryrun"}, "", "offline"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": "disabled"}, "", "off"),
        ("auto", {"WANDB_API_KEY": KEY, "WANDB_MODE": "nonsense"}, "", "offline"),
        ("off", {"WANDB_API_KEY": KEY}, "", "off"),
        ("offline", {"WANDB_API_KEY": KEY}, "", "offline"),
        ("online", {}, "", "online"),
    ],
)  # fmt: skip
def test_which_mode_is_chosen(
    wanted: str,
    environment: dict[str, str],
    netrc: str,
    chosen: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if netrc:
        (tmp_path / ".netrc").write_text(netrc + "\n")
        (tmp_path / ".netrc").chmod(0o600)
    assert choose_wandb_mode(wanted)[0] == chosen


def test_a_key_that_wandb_login_has_stored_is_seen(tmp_path: Path) -> None:
    """Whatever host W&B writes: it is the one that it asks for afterwards."""
    assert choose_wandb_mode("auto")[0] == "offline"
    assert wandb.login(key=KEY, verify=False)
    wandb.teardown()
    assert (tmp_path / ".netrc").is_file()
    assert choose_wandb_mode("auto")[0] == "online"


@pytest.mark.parametrize("wanted", ["auto", "online"])
def test_without_a_network_the_run_is_offline_within_seconds(
    wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")
    run, place = open_wandb_run(wanted, name="x", dir=str(tmp_path / "run"), config={"a": 1})
    (folder,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    assert place.startswith("W&B: offline (online fails: ") and place.endswith(
        f"), in {folder}; `wandb sync {folder}` uploads it"
    )
    assert "\n" not in place
    run.log({"loss": 1.0})
    run.finish()
    file = next(folder.glob("*.wandb"))
    deadline = time.monotonic() + 20
    while file.stat().st_size < 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert b"loss" in file.read_bytes()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"WANDB_API_KEY": "mistyped"}, "W&B: offline (WANDB_API_KEY invalid: API key must have "),
        ({}, "W&B: offline (no key for https://"),
        ({"WANDB_MODE": "dryrun", "WANDB_API_KEY": KEY}, "W&B: offline (WANDB_MODE=dryrun)"),
        ({"WANDB_MODE": "disabled"}, "W&B: off (WANDB_MODE=disabled)"),
        ({"WANDB_MODE": "nonsense"}, "W&B: off (offline fails: mode Input should be 'online', 'offline', "),
        ({"WANDB_BASE_URL": "nonsense"}, "W&B: off (offline fails: base_url Input should be a valid URL"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line_and_training_goes_on(
    environment: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run, place = open_wandb_run("auto", dir=str(tmp_path))
    assert place.startswith(said) and "\n" not in place
    assert (run is None) == place.startswith("W&B: off (")
    if run is not None:
        run.finish()


def test_online_without_a_key_and_a_terminal_is_offline(tmp_path: Path) -> None:
    run, place = open_wandb_run("online", dir=str(tmp_path))
    assert place.startswith("W&B: offline (online fails: No API key configured.")
    run.finish()
