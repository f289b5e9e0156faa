"""The command `stylize`: songs and folders of songs in, the same music in another style out."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from stylize.evaluate.compare import compare_command
from stylize.listening.command import listen_app
from stylize.mixture import check_known
from stylize.models import check_device_name, peek_styles, read_pair
from stylize.optimize.command import optimize_command
from stylize.options import DeviceOption, ModelOption, ThreadsOption, VocoderOption, with_options
from stylize.program import DISTRIBUTION, FAILED, HELP_OPTIONS, invoke, print_error, run_program
from stylize.progress import Pace, SongProgress
from stylize.report import Reporter, describe_model
from stylize.request import Request, inspect_song, plan_jobs
from stylize.web.command import web_command
from stylize_core.atomic import disk_errors
from stylize_core.audio.reader import scan_audio
from stylize_core.errors import UserError

if TYPE_CHECKING:
    from stylize.pipeline import Style, Stylizer

DEFAULT_COMMAND = "song"
PARTLY_FAILED = 1


class DefaultCommandGroup(TyperGroup):
    """A group of commands in which arguments that name none of them go to the default command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command's name in front, unless a command or an option of the group is asked for."""
        own = {name for option in self.get_params(ctx) for name in option.opts}
        if args and args[0] not in self.commands and args[0].partition("=")[0] not in own:
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The commands, and the options of the default one."""
        super().format_help(ctx, formatter)
        with self._default_context(ctx) as default:
            default.command.format_help(default, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The commands, and the options of the default one."""
        with self._default_context(ctx) as default:
            return [*super().shell_complete(ctx, incomplete), *default.command.shell_complete(default, incomplete)]

    def _default_context(self, ctx: Any) -> Any:
        return self.commands[DEFAULT_COMMAND].make_context(DEFAULT_COMMAND, [], parent=ctx, resilient_parsing=True)


app = typer.Typer(cls=DefaultCommandGroup, pretty_exceptions_enable=False, context_settings=HELP_OPTIONS)

TALK = "What is printed"


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            print(f"stylize {metadata.version(DISTRIBUTION)}")
        except metadata.PackageNotFoundError:
            print("stylize, not installed")
        raise typer.Exit


@app.callback()
def group(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Hear songs in another style: `stylize SONG --to STYLE -o OUTPUT` (the word `song` can be left out)."""


@app.command(DEFAULT_COMMAND)
@with_options(Request)
def stylize_songs(
    options: dict[str, Any],
    songs: Annotated[list[Path], typer.Argument(metavar="SONG", help="Audio files, or folders of them.")],
    model: ModelOption = None,
    vocoder: VocoderOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only errors.", rich_help_panel=TALK)] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Models, device and formats, on stderr.", rich_help_panel=TALK)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON object for each song, one a line.", rich_help_panel=TALK)
    ] = False,
) -> int:
    """Write songs, or each song of a folder, in another style."""
    machine = Machine(model, vocoder, device, threads)
    return _run(Request(songs[0], **options), songs[1:], machine, quiet=quiet, verbose=verbose, as_json=as_json)


@dataclass(frozen=True)
class Machine:
    """What works on the songs, and where; see the options of the same names."""

    model: Path | None
    vocoder: Path | None
    device: str
    threads: int | None


def _run(request: Request, more: Sequence[Path], machine: Machine, *, quiet: bool, verbose: bool, as_json: bool) -> int:
    """Check everything that is cheap, then load the models and make what can be made."""
    if quiet and verbose:
        raise UserError("got both --quiet and --verbose; give one of them")
    check_device_name(machine.device)
    known = peek_styles(machine.model)
    jobs = plan_jobs(request, known, more)
    reporter = Reporter(request, quiet=quiet, verbose=verbose, as_json=as_json)
    todo = []
    for job in jobs:
        if request.skip_existing and job.output.exists():
            reporter.skipped(job)
        else:
            todo.append(job)
    if not todo:
        return 0
    single = None
    if not more and not request.source.is_dir():  # no model needs to be loaded for a song that is none
        try:
            single = inspect_song(todo[0], request)
        except UserError as error:
            reporter.failed(todo[0], error)
            return FAILED
    stylizer, style = _load(request, machine, reporter)
    failed, pace = 0, Pace()
    for number, job in enumerate(todo, 1):
        name = job.source.name if len(todo) == 1 else f"{number}/{len(todo)} {job.source.name}"
        try:
            info = single or inspect_song(job, request)
            reporter.begun(job, info)
            with disk_errors(job.output):
                job.output.parent.mkdir(parents=True, exist_ok=True)
            with SongProgress(name, request.seconds(info), pace, hidden=quiet) as bar:
                result = stylizer.convert(info, job.output, style, request, bar.report)
        except UserError as error:
            reporter.failed(job, error)
            failed += 1
        else:
            reporter.finished(job, result)
    if failed and len(jobs) > 1:
        print_error(f"{failed} of {len(jobs)} songs could not be stylized, for the reasons above")
    return 0 if not failed else FAILED if failed == len(jobs) else PARTLY_FAILED


def _load(request: Request, machine: Machine, reporter: Reporter) -> tuple[Stylizer, Style]:
    """The models, and the style that an request asks for."""
    if request.like is not None:
        scan_audio(request.like)
    pair = read_pair(machine.model, machine.vocoder)
    check_known(request.weights(pair.styles), pair.styles)

    import torch

    from stylize.pipeline import Stylizer

    if machine.threads is not None:
        torch.set_num_threads(machine.threads)
    stylizer = Stylizer.from_pretrained(pair.translator, pair.vocoder, machine.device)
    reporter.detail(f"translator: {pair.translator}")
    reporter.detail(f"vocoder: {pair.vocoder}")
    reporter.detail(f"device: {stylizer.device}, {torch.get_num_threads()} CPU threads")
    return stylizer, stylizer.style_for(request)


app.command("optimize")(optimize_command)
app.command("compare")(compare_command)
app.add_typer(listen_app, name="listen")
app.command("web")(web_command)


@app.command("styles")
def list_styles(model: ModelOption = None, vocoder: VocoderOption = None) -> int:
    """List the styles that a model knows."""
    for style in read_pair(model, vocoder).styles:
        print(style)
    return 0


@app.command("info")
def show_model(model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder.")]) -> int:
    """Say what a model folder holds: kind, mel spectrogram, networks, training, size."""
    print(describe_model(model))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: in place of those of the process.

    Returns:
        exit code: 0; 1 where some of the songs could not be made; 2 for what the user can mend, with one line on
        stderr; 128 and its number after a signal, so 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    with _quiet_writer():
        return run_program(lambda: invoke(app, arguments, "stylize"), "stopped; nothing unfinished was kept")


@contextlib.contextmanager
def _quiet_writer() -> Iterator[None]:
    """Keep back the writer's warning: results are limited and reported, and copies for a player may be turned down."""
    logger = logging.getLogger("stylize_core.audio.writer")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


if __name__ == "__main__":
    sys.exit(main())
