"""Checks of options that need files but no network; each sound file is decoded once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stylize.optimize.images import IMAGE_SUFFIXES, check_readable_image
from stylize.optimize.options import (
    INITS,
    MEL_NETWORKS,
    RANDOM_OPTIONS,
    OptimizeOptions,
    check_network,
    check_network_name,
)
from stylize.options import check_choice, flag
from stylize.picture import check_picture
from stylize_core.audio.reader import AudioInfo, AudioReader, check_output, matching_subtype
from stylize_core.errors import UserError

STYLE_SECONDS = 60.0
"""A style is taken from at most so much of a recording: its statistics change little after that, memory does."""


@dataclass(frozen=True)
class Recording:
    """A sound file that was decoded once, to be sure of it."""

    info: AudioInfo  # its header, with the samples really there
    one_signal: bool  # whether all channels hold the same samples
    peak: float  # largest magnitude within the first `STYLE_SECONDS`


@dataclass(frozen=True)
class Plan:
    """Checked options, filled in with what depends on the kind of input, but for the network of a picture."""

    options: OptimizeOptions
    output: Path
    is_picture: bool
    content: Recording | None = None  # None for pictures
    style: Recording | None = None


def plan_optimization(options: OptimizeOptions) -> Plan:
    """Check options without loading a network: first names, then files, each read once."""
    is_picture = _find_kind(options)
    _check_names(options)
    options = _fill_in(options, is_picture)
    _check_network(options, is_picture)
    _check_unused(options, is_picture)
    default = f"{options.content.stem}.like-{options.style.stem}{'.png' if is_picture else '.wav'}"
    output = options.output or Path(default)
    _check_written(options, output)
    if is_picture:
        check_picture(output, options.force)
        for path in _read_files(options):
            check_readable_image(path)
        return Plan(options, output, is_picture)
    return _plan_sound(options, output)


def _find_kind(options: OptimizeOptions) -> bool:
    """Whether content, style and init file are pictures; all must be of one kind."""
    kinds = {path: path.suffix.lower() in IMAGE_SUFFIXES for path in _read_files(options)}
    if len(set(kinds.values())) > 1:
        picture = next(path for path, is_picture in kinds.items() if is_picture)
        sound = next(path for path, is_picture in kinds.items() if not is_picture)
        raise UserError(f"{picture} is a picture and {sound} is not; content, style and init must be of one kind")
    return kinds[options.content]


def _read_files(options: OptimizeOptions) -> list[Path]:
    return [path for path in (options.content, options.style, options.init_file) if path is not None]


def _check_names(options: OptimizeOptions) -> None:
    if options.init_file is not None and not options.init_file.exists():
        check_choice("init", options.init, INITS, ", or an existing file")
    if options.network is not None:
        check_network_name(options.network)
    for name in ("model", "vocoder"):
        folder = getattr(options, name)
        if folder is not None and not folder.is_dir():
            raise UserError(f"model folder not found: {folder}; give an existing one with --{name}")


def _fill_in(options: OptimizeOptions, is_picture: bool) -> OptimizeOptions:
    """Fill in what depends on the kind of input; a picture's network stays open, since it depends on weights."""
    network = options.network
    if network is None and options.weights is not None:
        network = "vgg19"
    elif network is None and _given(options, RANDOM_OPTIONS):
        network = "random"
    elif network is None and not is_picture:
        columns_of_mel = options.representation == "mel" and options.layout in (None, "frequency")
        network = "autoencoder" if columns_of_mel else "random"
    layout = options.layout or ("2d" if is_picture or network == "vgg19" else "frequency")
    unit_scale = options.unit_scale or (network == "vgg19" and not is_picture)
    return dataclasses.replace(options, network=network, layout=layout, unit_scale=unit_scale)


def _check_network(options: OptimizeOptions, is_picture: bool) -> None:
    """Refuse a network of another layout or representation."""
    assert options.layout is not None
    representation = None if is_picture else options.representation
    if options.network is not None:
        check_network(options.network, representation, options.layout, options.weights, options.model)
    if is_picture and options.layout != "2d":
        raise UserError(f"got --layout {options.layout} with a picture; pictures need --layout 2d")


def _check_unused(options: OptimizeOptions, is_picture: bool) -> None:
    """Refuse options that would do nothing beside the others."""
    truncated_normal = ("init_lower", "init_upper", "init_mean", "init_std")
    adam = ("learning_rate", "decayed_learning_rate", "decay_iteration")
    sound = ("representation", "inverse", "vocoder", "unit_scale", "block_seconds", "overlap_seconds")
    for unused, names, reason in (
        (is_picture, sound, "which is for sounds"),
        (not is_picture, ("image_size",), "which is for pictures"),
        (options.network not in ("random", None), RANDOM_OPTIONS, "which is for --network random"),
        (options.network is None, ("model",), f"which is for --network {' or '.join(MEL_NETWORKS)}"),
        (options.init != "truncated-normal", truncated_normal, "which is for --init truncated-normal"),
        (options.optimizer != "adam", adam, "which is for --optimizer adam"),
    ):
        if unused and (given := _given(options, names)):
            raise UserError(f"got {flag(given[0], options)}, {reason}; leave it out")


def _given(options: OptimizeOptions, names: Sequence[str]) -> list[str]:
    """Those that differ from their default."""
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    return [name for name in names if getattr(options, name) != defaults[name]]


def _check_written(options: OptimizeOptions, output: Path) -> None:
    """Every file that is to be written has its own name, of the right kind, and is none of those read."""
    extra = [path for path in (options.history, options.picture, options.curves) if path is not None]
    read = [path for path in _read_files(options) if path.exists()]
    for index, path in enumerate((output, *extra)):
        if path.exists() and any(path.samefile(source) for source in read):
            is_output = " itself; give another name with -o" if index == 0 else "; give another name"
            raise UserError(f"{path} is the input{is_output}")
        if path.resolve() in [other.resolve() for other in (output, *extra)[:index]]:
            raise UserError(f"{path} is named twice among the files to write; give each its own name")
    for picture in (options.picture, options.curves):
        if picture is not None:
            check_picture(picture, options.force)
    if options.history is not None:
        check_picture(options.history, options.force, "CSV")


def _plan_sound(options: OptimizeOptions, output: Path) -> Plan:
    check_output(output, options.force)
    content = scan_recording(options.content)
    subtype = matching_subtype(content.info.subtype, output)
    check_output(output, options.force, content.info.sample_rate, content.info.channels, subtype)
    style = scan_recording(options.style)
    if style.peak == 0.0:
        raise UserError(f"{options.style} is silent for {STYLE_SECONDS:g} s; give a style that sounds")
    if options.init_file is not None:
        init = scan_recording(options.init_file)
        if init.info.seconds < content.info.seconds - 0.01:
            raise UserError(
                f"{options.init_file} is {init.info.seconds:.1f} s long and the content {content.info.seconds:.1f} s; "
                "an init must be as long as the content"
            )
    return Plan(options, output, False, content, style)


def scan_recording(path: Path) -> Recording:
    """Decode a file once; errors as :func:`stylize_core.audio.reader.scan_audio`."""
    with AudioReader(path) as reader:
        left = round(STYLE_SECONDS * reader.info.sample_rate)
        one_signal, peak = True, 0.0
        while (block := reader.read(65536)).size:
            one_signal = one_signal and bool((block == block[:1]).all())
            peak = max(peak, float(np.abs(block[:, : max(left, 0)]).max(initial=0.0)))
            left -= block.shape[1]
        return Recording(dataclasses.replace(reader.info, frames=reader.decoded_frames), one_signal, peak)
