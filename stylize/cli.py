"""The command `stylize`: a song or a folder of songs in, the same music in another style out."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from data.audio import AudioInfo, scan_audio
from data.errors import UserError
from stylize.listening.command import listen_app
from stylize.models import check_device_name, read_pair
from stylize.optimize.command import EarlyStopError, optimize_command
from stylize.optimize.compare_command import compare_command
from stylize.progress import SongProgress
from stylize.report import describe_model, describe_result
from stylize.request import Job, Order, check_known, inspect_song, plan_jobs
from stylize.web.command import web_command

if TYPE_CHECKING:
    from stylize.pipeline import Style, Stylizer

DEFAULT_COMMAND = "song"
INTERRUPTED = 130


class DefaultCommandGroup(TyperGroup):
    """A group of commands in which arguments that name none of them go to the default command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command's name in front, unless a command or the group's own help is asked for."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The commands, and the options of the default one."""
        super().format_help(ctx, formatter)
        command = self.commands[DEFAULT_COMMAND]
        with command.make_context(DEFAULT_COMMAND, [], parent=ctx, resilient_parsing=True) as default:
            command.format_help(default, formatter)


app = typer.Typer(cls=DefaultCommandGroup, add_completion=False, pretty_exceptions_enable=False)

ModelOption = Annotated[Path | None, typer.Option("--model", help="Translator folder; default: the bundled one.")]
VocoderOption = Annotated[Path | None, typer.Option("--vocoder", help="Vocoder folder; default: the bundled one.")]


@app.callback()
def group() -> None:
    """Hear a song in another style: `stylize SONG --to STYLE -o OUTPUT` (the word `song` can be left out)."""


@app.command(DEFAULT_COMMAND)
def stylize_songs(
    source: Annotated[Path, typer.Argument(metavar="SONG", help="An audio file, or a folder of them.")],
    to: Annotated[str | None, typer.Option(help="A style, or a mixture: jazz:0.7,metal:0.3")] = None,
    like: Annotated[Path | None, typer.Option(help="A recording in the wanted style.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Default: SONG.STYLE.wav")] = None,
    strength: Annotated[float, typer.Option(help="From 0 (the song's own sound) to 1 (the style).")] = 1.0,
    sample_rate: Annotated[int | None, typer.Option(help="Of the output, Hz; default: the song's.")] = None,
    loudness: Annotated[str, typer.Option(help="song (as loud as the song), off, or LUFS such as -14.")] = "song",
    picture: Annotated[Path | None, typer.Option(help="PNG of the mel spectrogram before and after.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    model: ModelOption = None,
    vocoder: VocoderOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores.")] = None,
) -> int:
    """Write a song, or each song of a folder, in another style."""
    order = Order(source, output, to, like, strength, sample_rate, picture, force, loudness)
    check_device_name(device)
    jobs = plan_jobs(order)
    if source.is_dir():
        return _stylize_folder(jobs, order, _load(order, model, vocoder, device, threads))
    info = inspect_song(jobs[0], order)
    _stylize_one(jobs[0], info, order, *_load(order, model, vocoder, device, threads))
    return 0


def _load(
    order: Order, model: Path | None, vocoder: Path | None, device: str, threads: int | None
) -> tuple[Stylizer, Style]:
    """Everything cheap is checked by now but the reference and the models; then load them."""
    if order.like is not None:
        scan_audio(order.like)
    pair = read_pair(model, vocoder)
    check_known(order.weights, pair.styles)

    import torch

    from stylize.pipeline import Stylizer

    if threads is not None:
        torch.set_num_threads(threads)
    stylizer = Stylizer.from_pretrained(pair.translator, pair.vocoder, device)
    return stylizer, stylizer.style_for(order)


def _stylize_one(job: Job, info: AudioInfo, order: Order, stylizer: Stylizer, style: Style) -> None:
    with SongProgress(job.source.name, info.seconds) as bar:
        result = stylizer.convert(info, job.output, style, order, bar.update)
    print(describe_result(result), flush=True)


def _stylize_folder(jobs: list[Job], order: Order, loaded: tuple[Stylizer, Style]) -> int:
    failed = 0
    for job in jobs:
        try:
            info = inspect_song(job, order)
            job.output.parent.mkdir(parents=True, exist_ok=True)
            _stylize_one(job, info, order, *loaded)
        except UserError as error:
            _print_error(str(error))
            failed += 1
    if failed:
        raise UserError(f"{failed} of {len(jobs)} songs could not be stylized, for the reasons above")
    return 0


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


def _print_error(message: str) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: in place of those of the process.

    Returns:
        exit code: 0; 2 for what the user can mend, with one line on stderr; 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _quiet_writer():
            code = int(app(args=arguments or ["--help"], prog_name="stylize", standalone_mode=False) or 0)
    except UserError as error:
        _print_error(str(error))
        return 2
    except EarlyStopError as stop:
        print(stop, file=sys.stderr, flush=True)
        return INTERRUPTED
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        # Typer's usage errors are those of click or of its own copy of click, by version.
        if not hasattr(error, "format_message"):
            raise
        _print_error(f"{error.format_message()} (`stylize --help` shows the options)")
        return 2
    if code == INTERRUPTED:  # newer versions of typer return it, older ones raise Abort
        print("stopped; nothing unfinished was kept", file=sys.stderr)
    return code


@contextlib.contextmanager
def _quiet_writer() -> Iterator[None]:
    """Keep back the writer's warning: results are limited and reported, and copies for a player may be turned down."""
    logger = logging.getLogger("data.audio_writer")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


if __name__ == "__main__":
    sys.exit(main())
