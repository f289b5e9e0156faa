"""Free music from Debian packages, or folders of one's own, as recordings for training."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from data import recordings as prepared
from data.debian_packages import installed, require_packages
from data.vocoder_data import count, list_files
from scripts.prepare.console import print_table, track
from stylize_core.errors import UserError

SkipMissing = Annotated[bool, typer.Option("--skip-missing", help="Go on without packages that are not installed.")]
MaxMinutes = Annotated[float, typer.Option(help="Of each package or folder.")]
MinSeconds = Annotated[float, typer.Option(help="Shorter recordings are left out.")]
COLUMNS = ("source", "split", "license", "files", "minutes")


class FolderSplit(StrEnum):
    """Where recordings of one's own go."""

    MIXED, TRAIN, VALID, TEST = "mixed", "train", "valid", "test"


def recordings(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder; an unfinished one is completed.")] = Path(
        "recordings"
    ),
    package: Annotated[list[str] | None, typer.Option(help="Only this package; may be repeated.")] = None,
    folder: Annotated[list[Path] | None, typer.Option(help="Recordings of one's own; may be repeated.")] = None,
    folder_split: Annotated[FolderSplit, typer.Option(help="Of --folder; mixed: one in ten to valid.")] = (
        FolderSplit.MIXED
    ),
    skip_missing: SkipMissing = False,
    max_minutes_per_source: MaxMinutes = 30.0,
    min_seconds: MinSeconds = 15.0,
) -> None:
    """Write SOURCE/NAME.flac (22050 Hz, mono, 16 bit) and manifest.jsonl; a second run converts what is missing."""
    limits = prepared.Limits(shortest=min_seconds, per_source=60 * max_minutes_per_source)
    packages = package or ([] if folder else list(prepared.PACKAGES))
    packages = installed(packages) if skip_missing else packages
    require_packages(packages)
    sources = [prepared.find_package_recordings(name) for name in packages]
    sources += [prepared.find_folder_recordings(path, folder_split) for path in folder or ()]
    excerpts, skipped = prepared.plan_sources(sources, limits)
    done = list(track(prepared.prepare(excerpts, output), "converting", len(excerpts)))
    for one in [*skipped, *(result for result in done if isinstance(result, prepared.Skipped))]:
        typer.echo(f"skipped {one.path}: {one.reason}")
    files = list_files(output)
    if not any(isinstance(result, prepared.Entry) for result in done):
        raise UserError(f"nothing to put into {output}: no recording could be used")
    print_table(COLUMNS, count(files), ("all", "", "", len(files), sum(file.seconds for file in files) / 60))
