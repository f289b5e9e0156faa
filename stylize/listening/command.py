"""The command group `stylize listen`: build a listening test, run it in the browser, read its results."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from data.errors import UserError
from stylize.evaluate.systems import COPY_CONTENT, TRANSLATOR
from stylize.listening.methods import METHODS
from stylize.listening.plan import KNOWN_SYSTEMS, BuildOrder
from stylize.listening.trial import ANSWERS_NAME, Trial
from stylize.local_server import LOCAL, address_of, bind, names_of, run_app
from stylize.mixture import parse_list
from stylize.models import peek_styles

DEFAULT = BuildOrder(songs=(), systems=(), output=Path())
DEFAULT_COMMAND = "run"
DEFAULT_SYSTEMS = (TRANSLATOR, COPY_CONTENT)

TrialArgument = Annotated[Path, typer.Argument(metavar="TRIAL", help="Folder made by `stylize listen build`.")]
AnswersOption = Annotated[Path | None, typer.Option(help="File of the answers; default: TRIAL/answers.sqlite3.")]


class ListenGroup(TyperGroup):
    """`stylize listen TRIAL` is `stylize listen run TRIAL`, and with `--results` `stylize listen results TRIAL`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name in front where arguments name none."""
        args = args or ["--help"]
        if args[0] not in self.commands and args[0] not in ctx.help_option_names:
            if "--results" in args:
                args = ["results", *(each for each in args if each != "--results")]
            else:
                args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)


listen_app = typer.Typer(cls=ListenGroup)


@listen_app.callback()
def group() -> None:
    """Make listening tests, let people take them, read the results (`stylize listen TRIAL`: the word run left out)."""


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


@listen_app.command()
def build(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the trial; made.")],
    systems: Annotated[
        str, typer.Option(help=f"Separated by commas: {', '.join(KNOWN_SYSTEMS)}, or NAME=FOLDER of sounds or a model.")
    ] = ",".join(DEFAULT_SYSTEMS),
    songs: Annotated[list[Path] | None, typer.Option("--songs", help="Recordings or folders of them.")] = None,
    more_songs: Annotated[list[Path] | None, typer.Argument(metavar="[SONG]...", help="More of them.")] = None,
    to: Annotated[str, typer.Option(help="Styles, separated by commas; each song is taken to each.")] = "",
    method: Annotated[str, typer.Option(help=f"{', '.join(METHODS)}.")] = DEFAULT.method,
    questions: Annotated[str, typer.Option(help="content,style,quality (ab: preference); default: by method.")] = "",
    reference: Annotated[str, typer.Option(help="Of mushra: content or ground-truth.")] = DEFAULT.reference,
    style_recordings: Annotated[
        list[Path] | None,
        typer.Option(help="Examples of the styles; default: other songs of the corpus, else the bundled ones."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of the excerpts.")] = DEFAULT.seconds,
    start: Annotated[float | None, typer.Option(help="Of the excerpts; default: the middle.")] = DEFAULT.start,
    title: Annotated[str, typer.Option(help="For the listeners.")] = DEFAULT.title,
    seed: Annotated[int, typer.Option(help="Of orders and labels.")] = DEFAULT.seed,
    loudness: Annotated[float, typer.Option(help="Of every sound, LUFS.")] = DEFAULT.loudness,
    fade_seconds: Annotated[float, typer.Option("--fade", help="At both ends, seconds.")] = DEFAULT.fade_seconds,
    sample_rate: Annotated[int | None, typer.Option(help="Of the files; default: the songs'.")] = DEFAULT.sample_rate,
    model: Annotated[Path | None, typer.Option(help="Translator folder; default: the bundled one.")] = DEFAULT.model,
    vocoder: Annotated[Path | None, typer.Option(help="Vocoder folder; default: the bundled one.")] = DEFAULT.vocoder,
    network: Annotated[str | None, typer.Option(help="Of the baseline.")] = DEFAULT.network,
    content_weight: Annotated[float, typer.Option(help="Of the baseline.")] = DEFAULT.content_weight,
    iterations: Annotated[int, typer.Option(min=1, help="Of the baseline.")] = DEFAULT.iterations,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = DEFAULT.device,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores.")] = DEFAULT.threads,
    force: Annotated[bool, typer.Option("--force", help="Replace a trial without answers.")] = DEFAULT.force,
) -> int:
    """Render every system on every song; equal length and loudness, blind names, one manifest."""
    chosen = (*(songs or ()), *(more_songs or ()))
    examples = tuple(style_recordings or ())
    styles = parse_list(to, peek_styles(model))
    order = BuildOrder(
        chosen, _names(systems), output, styles, method, _names(questions), reference, examples,
        seconds=seconds, start=start, title=title, seed=seed, loudness=loudness, fade_seconds=fade_seconds,
        sample_rate=sample_rate, model=model, vocoder=vocoder, network=network, content_weight=content_weight,
        iterations=iterations, device=device, threads=threads, force=force,
    )  # fmt: skip
    return run_build(order)


def run_build(order: BuildOrder) -> int:
    """Build, and say how to go on.

    Raises:
        UserError: anything about the order that cannot be done.
    """
    from stylize.listening.build import build_trial

    trial = build_trial(order, say=lambda text: print(text, flush=True))
    print(
        f"{order.output}: {len(trial.songs)} songs, {len(trial.compared)} systems, {len(trial.screens)} screens, "
        f"{len(trial.stimuli)} files; take it with: stylize listen run {order.output}"
    )
    return 0


@listen_app.command()
def run(
    trial: TrialArgument,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for every network.")] = LOCAL,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    answers: AnswersOption = None,
    most_listeners: Annotated[int, typer.Option(min=1, help="No more are taken.")] = 10000,
) -> int:
    """Let people rate the sounds of a trial in a browser."""
    serve(Trial.read(trial), trial, answers or trial / ANSWERS_NAME, host, port, most_listeners)
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


@listen_app.command()
def load(
    trial: TrialArgument,
    listeners: Annotated[int, typer.Option(min=1, max=500, help="At once.")] = 50,
    seconds: Annotated[float, typer.Option(min=0.5, max=600, help="Of the run.")] = 20.0,
    pause: Annotated[float, typer.Option(min=0.0, help="Mean time between two answers of a listener.")] = 0.5,
) -> int:
    """Let many listeners answer at once; how long an answer takes, and whether any is lost.

    The trial's own answers are not touched.
    """
    from stylize.listening.load import describe_processors, run_load

    result = run_load(trial, listeners, seconds, pause)
    print(f"{result.describe()}; {describe_processors()}")
    if result.lost or result.failed:
        raise UserError(f"{result.lost} answers were lost, {result.failed} requests failed")
    return 0


def serve(trial: Trial, folder: Path, answers: Path, host: str, port: int, most_listeners: int) -> None:
    """Run the server until Ctrl-C.

    Raises:
        UserError: no such address, the port is taken, the answers cannot be written.
    """
    from stylize.listening.server import make_app
    from stylize.listening.store import Store

    bound = bind(host, port)
    hosts = names_of(bound, host)
    with bound, Store(answers, trial.id, most_listeners) as store:
        print(f"{address_of(bound, host)}  ({len(trial.screens)} screens; Ctrl-C ends it)", flush=True)
        if hosts is None:
            print("everyone who can reach this machine can take the test", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            run_app(make_app(trial, folder, store, hosts=hosts), bound, most_connections=1000)
    print(f"stopped; the answers are in {answers}")
