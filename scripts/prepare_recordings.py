"""Turn free music from Debian packages, or a folder of one's own, into recordings for vocoder training."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path

from data import recordings
from data.debian_packages import package_files, require_packages
from data.errors import UserError
from stylize.program import run_program


def build_parser() -> argparse.ArgumentParser:
    """Command line of this program."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.prepare_recordings",
        description="Write OUT/SOURCE/NAME.flac (22050 Hz, mono, 16 bit) and OUT/manifest.jsonl. "
        "A second run converts only what is missing.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
    parser.add_argument("--package", action="append", default=[], metavar="NAME", help="only these packages")
    parser.add_argument("--folder", action="append", default=[], type=Path, metavar="DIR", help="own recordings")
    parser.add_argument(
        "--folder-split",
        choices=("mixed", "train", "valid", "test"),
        default="mixed",
        help="where recordings of --folder go; mixed: one in ten to valid (default: %(default)s)",
    )
    parser.add_argument("--skip-missing", action="store_true", help="go on without packages not installed")
    parser.add_argument("--max-minutes-per-source", type=float, default=30.0, help="default: %(default)g")
    parser.add_argument("--min-seconds", type=float, default=15.0, help="skip shorter files (default: %(default)g)")
    return parser


def plan(options: argparse.Namespace) -> tuple[list[recordings.Excerpt], list[recordings.Skipped]]:
    """Find and measure everything that was asked for."""
    limits = recordings.Limits(shortest=options.min_seconds, per_source=60 * options.max_minutes_per_source)
    if limits.per_source < limits.shortest:
        raise UserError(f"--max-minutes-per-source {options.max_minutes_per_source:g} is less than --min-seconds")
    packages = options.package or ([] if options.folder else list(recordings.PACKAGES))
    if options.skip_missing:
        packages = [package for package in packages if package_files(package)]
    require_packages(packages)
    sources = [recordings.find_package_recordings(package) for package in packages]
    sources += [recordings.find_folder_recordings(folder, options.folder_split) for folder in options.folder]
    return recordings.plan_sources(sources, limits)


def prepare(options: argparse.Namespace) -> int:
    """Prepare the recordings, name every file that was skipped, and print the minutes per source."""
    minutes: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    excerpts, skipped = plan(options)
    for index, result in enumerate(recordings.prepare(excerpts, options.out), start=1):
        if isinstance(result, recordings.Skipped):
            skipped.append(result)
        else:
            minutes[result.source, result.split, result.licence].append(result.seconds / 60)
        print(f"\r{index}/{len(excerpts)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for one in skipped:
        print(f"skipped {one.path}: {one.reason}")
    for (source, split, licence), lengths in sorted(minutes.items()):
        print(f"{source:24} {split:6} {len(lengths):4} files {sum(lengths):7.1f} min  {licence}")
    print(f"{sum(sum(lengths) for lengths in minutes.values()):.1f} minutes in {options.out}")
    return 0 if minutes else 2


def main(arguments: list[str] | None = None) -> int:
    """Parse and run; the exit code."""
    options = build_parser().parse_args(arguments)
    return run_program(partial(prepare, options))


if __name__ == "__main__":
    sys.exit(main())
