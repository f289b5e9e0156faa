"""Generates the reference pages: the commands from the command line itself, and the model cards from their folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY_LINK = re.compile(r"\[([^\]]*)\]\((?:\.\./)+(docs/)?([^)]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace the markers `<!-- commands -->` and `<!-- model cards -->`."""
    if "<!-- commands -->" in markdown:
        from stylize.cli import app

        lines = command_reference(typer.main.get_command(app), "stylize")
        markdown = markdown.replace("<!-- commands -->", "\n".join(lines))
    if "<!-- model cards -->" in markdown:
        markdown = markdown.replace("<!-- model cards -->", "\n\n".join(model_cards()))
    return markdown


def command_reference(command: Any, name: str, level: int = 2) -> Iterator[str]:
    """A section for a command, with a table for each group of its options, and those of its sub-commands."""
    yield f"{'#' * level} {name}\n"
    arguments = " ".join(f"{p.metavar or p.name}" for p in command.params if p.param_type_name == "argument")
    subcommands = getattr(command, "commands", {})
    yield f"```\n{name} {'COMMAND ' if subcommands else ''}[OPTIONS] {arguments}".rstrip() + "\n```\n"
    yield f"{(command.help or '').strip()}\n"
    groups: dict[str, list[Any]] = {}
    for parameter in command.params:
        groups.setdefault(getattr(parameter, "rich_help_panel", None) or "", []).append(parameter)
    for title, parameters in groups.items():
        if title:
            yield f"**{title}**\n"
        yield "| option | default | |\n| --- | --- | --- |"
        yield from map(_row, parameters)
        yield ""
    for child, subcommand in subcommands.items():
        yield from command_reference(subcommand, f"{name} {child}", level + 1)


def _row(parameter: Any) -> str:
    names = parameter.opts if parameter.param_type_name == "option" else [(parameter.metavar or parameter.name)]
    default = parameter.default
    shown = "" if default is None or callable(default) or default in (False, ()) else f"`{default}`"
    text = (getattr(parameter, "help", None) or "").replace("|", "\\|").replace("\n", " ")
    return f"| {', '.join(f'`{one}`' for one in names)} | {shown} | {text} |"


def model_cards() -> Iterator[str]:
    """Each shipped model's card, one heading level down, with links relative to the site."""
    for card in sorted((ROOT / "stylize" / "models").glob("*/README.md")):
        text = re.sub(r"^#", "##", card.read_text(encoding="utf-8"), flags=re.M)
        yield REPOSITORY_LINK.sub(lambda match: f"[{match[1]}](../{match[3]})" if match[2] else f"`{match[3]}`", text)
