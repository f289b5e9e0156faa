"""Runs of Weights & Biases that never stop what they report on: online where that works, else offline, else off."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from stylize_core.errors import UserError

PROJECT = "music-style-transfer"
WANDB_MODES = ("auto", "online", "offline", "off")
INIT_SECONDS = 10.0  # timeout of the server, after which a run is offline, unless `WANDB_INIT_TIMEOUT` is set


def check_wandb_mode(wanted: str) -> None:
    """Refuse an unknown mode with a UserError."""
    if wanted not in WANDB_MODES:
        raise UserError(f"wandb mode {wanted!r} is unknown; choose one of {', '.join(WANDB_MODES)}")


def open_wandb_run(wanted: str, **arguments: Any) -> tuple[Any, str]:
    """Start a run: online, else offline, else none.

    Args:
        wanted: one of `WANDB_MODES`; another one is a `UserError`.
        arguments: of `wandb.init`.

    Returns:
        the run, or None; and a clause that says where its metrics go, and why not online.
    """
    mode, reason = choose_wandb_mode(wanted)
    if mode == "off":
        return None, f"W&B: off ({reason})"
    import wandb

    arguments.setdefault("dir", os.environ.get("WANDB_DIR") or os.getcwd())
    for attempt in dict.fromkeys((mode, "offline")):
        try:
            run = wandb.init(
                project=PROJECT,
                mode=attempt,  # type: ignore[arg-type]
                settings=wandb.Settings(console="off", silent=True, init_timeout=_init_seconds()),
                **arguments,
            )
        except (wandb.Error, OSError, ValueError) as error:
            reason = f"{attempt} fails: {_first_line(error)}"
        else:
            if attempt == "online":
                return run, f"W&B: {run.url}"
            folder = Path(run.dir).parent
            return run, f"W&B: offline ({reason}), in {folder}; `wandb sync {folder}` uploads it"
    return None, f"W&B: off ({reason})"


def choose_wandb_mode(wanted: str) -> tuple[str, str]:
    """The mode, and why it is not `online`; `auto` follows W&B's settings and is online where it has a key."""
    check_wandb_mode(wanted)
    if wanted != "auto":
        return wanted, "as configured"
    mode = os.environ.get("WANDB_MODE", "")
    if mode == "disabled":
        return "off", "WANDB_MODE=disabled"
    if mode in ("offline", "dryrun"):
        return "offline", f"WANDB_MODE={mode}"
    import wandb
    from wandb.sdk.lib import wbauth

    try:
        settings = wandb.setup().settings
        if settings.mode == "disabled":
            return "off", "W&B is disabled in its settings"
        if settings.mode in ("offline", "dryrun"):
            return "offline", "W&B is offline in its settings"
        # Environment, netrc and settings, as wandb.init itself looks for a key, but it never asks on the terminal.
        found = wbauth.authenticate_session(
            host=settings.base_url, source="training", prompt=False, update_session=False
        )
    except (wandb.Error, OSError, ValueError) as error:
        return "offline", _first_line(error)
    return ("online", "") if found else ("offline", f"no key for {settings.base_url}: `wandb login` stores one")


def _init_seconds() -> float:
    try:
        return float(os.environ["WANDB_INIT_TIMEOUT"])
    except (KeyError, ValueError):
        return INIT_SECONDS


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if type(error).__module__.startswith("pydantic"):
        lines = [" ".join(lines[1:3])]
    return lines[0][:300] if lines else type(error).__name__
