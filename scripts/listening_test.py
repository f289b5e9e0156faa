"""Make listening tests: build a trial, exchange it with webMUSHRA, load a server with many listeners.

python -m scripts.listening_test build --songs song.wav --to metal --systems feedforward,copy-content -o trial
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from data.errors import UserError
from stylize.listening.methods import METHODS
from stylize.listening.plan import KNOWN_SYSTEMS, BuildOrder

DEFAULT = BuildOrder(songs=(), systems=(), output=Path())

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


@app.callback()
def group() -> None:
    """Make and exchange listening tests; `stylize listen TRIAL` runs them."""


@app.command()
def build(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the trial; made.")],
    systems: Annotated[
        str, typer.Option(help=f"Separated by commas: {', '.join(KNOWN_SYSTEMS)}, or NAME=FOLDER of sounds or a model.")
    ],
    songs: Annotated[list[Path] | None, typer.Option("--songs", help="Recordings or folders of them.")] = None,
    more_songs: Annotated[list[Path] | None, typer.Argument(metavar="[SONG]...", help="More of them.")] = None,
    to: Annotated[str, typer.Option(help="Styles, separated by commas; each song is taken to each.")] = "",
    method: Annotated[str, typer.Option(help=f"{', '.join(METHODS)}.")] = DEFAULT.method,
    questions: Annotated[str, typer.Option(help="content,style,quality (ab: preference); default: by method.")] = "",
    reference: Annotated[str, typer.Option(help="Of mushra: content or ground-truth.")] = DEFAULT.reference,
    style_recordings: Annotated[
        list[Path] | None, typer.Option(help="Examples of the styles; default: other songs of the corpus.")
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
    network: Annotated[str, typer.Option(help="Of the baseline.")] = DEFAULT.network,
    content_weight: Annotated[float, typer.Option(help="Of the baseline.")] = DEFAULT.content_weight,
    iterations: Annotated[int, typer.Option(min=1, help="Of the baseline.")] = DEFAULT.iterations,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = DEFAULT.device,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores.")] = DEFAULT.threads,
    force: Annotated[bool, typer.Option("--force", help="Replace a trial without answers.")] = DEFAULT.force,
) -> None:
    """Render every system on every song; equal length and loudness, blind names, one manifest."""
    arguments = dict(locals())  # all of them, and nothing else yet
    from stylize.listening.build import build_trial

    arguments["songs"] = (*(songs or ()), *(arguments.pop("more_songs") or ()))
    arguments["style_recordings"] = tuple(style_recordings or ())
    for name in ("to", "systems", "questions"):
        arguments[name] = _names(arguments[name])
    trial = build_trial(BuildOrder(**arguments), say=lambda text: print(text, flush=True))
    print(
        f"{output}: {len(trial.songs)} songs, {len(trial.compared)} systems, {len(trial.screens)} screens, "
        f"{len(trial.stimuli)} files; take it with: stylize listen {output}"
    )


@app.command()
def webmushra(
    trial: Annotated[Path, typer.Argument(help="Folder of a trial.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder, to be copied over webMUSHRA's.")],
) -> None:
    """Write a webMUSHRA configuration with its sounds."""
    from stylize.listening.trial import Trial
    from stylize.listening.webmushra import export_trial

    print(export_trial(Trial.read(trial), trial, output))


@app.command()
def load(
    trial: Annotated[Path, typer.Argument(help="Folder of a trial; its own answers are not touched.")],
    listeners: Annotated[int, typer.Option(min=1, max=500, help="At once.")] = 50,
    seconds: Annotated[float, typer.Option(min=0.5, max=600, help="Of the run.")] = 20.0,
    pause: Annotated[float, typer.Option(min=0.0, help="Mean time between two answers of a listener.")] = 0.5,
) -> None:
    """Let many listeners answer at once; how long an answer takes, and whether any is lost."""
    from stylize.listening.load import describe_processors, run_load

    result = run_load(trial, listeners, seconds, pause)
    print(f"{result.describe()}; {describe_processors()}")
    if result.lost or result.failed:
        raise UserError(f"{result.lost} answers were lost, {result.failed} requests failed")


def main() -> None:
    """Run the command; a :class:`UserError` is one line on stderr and exit code 2."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        app()
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
