"""The command group `stylize listen`: build a listening test, run it in the browser, read its results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from stylize.evaluate.systems import COPY_CONTENT, TRANSLATOR
from stylize.listening.plan import KNOWN_SYSTEMS, BuildOptions
from stylize.listening.trial import ANSWERS_NAME, MAX_LISTENERS, Trial
from stylize.local_server import LOCAL, HostOption, PortOption, bind, names_of, print_address, run_app
from stylize.mixture import parse_list
from stylize.models import peek_styles
from stylize.options import with_options

DEFAULT_COMMAND = "run"
DEFAULT_SYSTEMS = f"{TRANSLATOR},{COPY_CONTENT}"

TrialArgument = Annotated[Path, typer.Argument(metavar="TRIAL", help="Folder made by `stylize listen build`.")]
AnswersOption = Annotated[Path | None, typer.Option(help="File of the answers; default: TRIAL/answers.sqlite3.")]


class ListenGroup(TyperGroup):
    """`stylize listen TRIAL` is `stylize listen run TRIAL`, and with `--results` `stylize listen results TRIAL`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name in front where arguments name none."""
        args = args or ["--help"]
        if args[0] not in self.commands and args[0] not in ctx.help_option_names:
            command = "results" if "--results" in args else DEFAULT_COMMAND
            args = [command, *(each for each in args if each != "--results")]
        return super().parse_args(ctx, args)


listen_app = typer.Typer(cls=ListenGroup)


@listen_app.callback()
def group() -> None:
    """Make listening tests, let people take them, read the results (`stylize listen TRIAL`: the word run left out)."""


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


@listen_app.command()
@with_options(BuildOptions, required=True)
def build(
    options: dict[str, Any],
    systems: Annotated[
        str, typer.Option(help=f"Separated by commas: {', '.join(KNOWN_SYSTEMS)}, or NAME=FOLDER of sounds or a model.")
    ] = DEFAULT_SYSTEMS,
    songs: Annotated[list[Path] | None, typer.Option("--songs", help="Recordings or folders of them.")] = None,
    more_songs: Annotated[list[Path] | None, typer.Argument(metavar="[SONG]...", help="More of them.")] = None,
    to: Annotated[str, typer.Option(help="Styles, separated by commas; each song is taken to each.")] = "",
    questions: Annotated[str, typer.Option(help="content,style,quality (ab: preference); default: by method.")] = "",
) -> int:
    """Render every system on every song; equal length and loudness, blind names, one manifest."""
    from stylize.listening.build import build_trial

    chosen = BuildOptions(
        songs=(*(songs or ()), *(more_songs or ())),
        systems=_names(systems),
        to=parse_list(to, peek_styles(options["model"])),
        questions=_names(questions),
        **options,
    )
    trial = build_trial(chosen, progress=lambda text: print(text, flush=True))
    print(
        f"{chosen.output}: {len(trial.songs)} songs, {len(trial.compared)} systems, {len(trial.screens)} screens, "
        f"{len(trial.stimuli)} files; take it with: stylize listen run {chosen.output}"
    )
    return 0


@listen_app.command()
def run(
    trial: TrialArgument,
    host: HostOption = LOCAL,
    port: PortOption = 8000,
    answers: AnswersOption = None,
    max_listeners: Annotated[int, typer.Option(min=1, help="No more are taken.")] = MAX_LISTENERS,
) -> int:
    """Let people rate the sounds of a trial in a browser."""
    from stylize.listening.server import make_app
    from stylize.listening.store import Store

    read = Trial.read(trial)
    path = answers or trial / ANSWERS_NAME
    with bind(host, port) as bound, Store(path, read.id, max_listeners) as store:
        print_address(bound, host, f"{len(read.screens)} screens; ", "take the test")
        run_app(make_app(read, trial, store, hosts=names_of(bound, host)), bound, max_connections=1000)
    print(f"stopped; the answers are in {path}")
    return 0


@listen_app.command()
def results(
    trial: TrialArgument,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for CSV files and plots.")] = None,
    unit: Annotated[str, typer.Option(help="What is compared: listener or rating.")] = "listener",
    webmushra: Annotated[list[Path] | None, typer.Option(help="CSV files that webMUSHRA wrote; read too.")] = None,
    answers: AnswersOption = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> int:
    """Print how a trial was rated, and write tables and plots."""
    from stylize.listening.report import print_results

    store = answers or trial / ANSWERS_NAME
    print_results(Trial.read(trial), store, output=output, unit=unit, webmushra=tuple(webmushra or ()), force=force)
    return 0


@listen_app.command()
def webmushra(
    trial: TrialArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder, to be copied over webMUSHRA's.")],
) -> int:
    """Write a webMUSHRA configuration with its sounds."""
    from stylize.listening.webmushra import export_trial

    print(export_trial(Trial.read(trial), trial, output))
    return 0
