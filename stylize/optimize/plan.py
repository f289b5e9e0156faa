"""Checks of an order that need no network: values, names, files; each sound file is decoded once."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.audio import AudioInfo, AudioReader, check_output, matching_subtype
from data.errors import UserError
from stylize.models import check_device_name
from stylize.optimize.choices import (
    MEL_NETWORKS,
    ORIENTATIONS,
    STARTS,
    WANDB_MODES,
    check_choice,
    check_network,
    check_network_name,
    check_representation,
)
from stylize.optimize.order import OptimizeOrder
from stylize.optimize.pictures import PICTURE_SUFFIXES, check_readable_picture
from stylize.picture import check_picture

STYLE_SECONDS = 60.0
"""A style is taken from at most so much of a recording: its statistics change little after that, memory does."""
RANDOM_OPTIONS = ("layers", "width", "kernel", "pool", "batchnorm")
"""What is said about a random network and no other."""
LEAST_IMAGE_SIZE = 16
"""Pixels of the longest side of a picture."""
LEAST_BLOCK = 2.0
"""Seconds of the shortest block."""


@dataclass(frozen=True)
class Recording:
    """A sound file that was decoded once, to be sure of it.

    Args:
        info: its header, with the samples really there.
        one_signal: whether all channels hold the same samples.
        peak: largest magnitude within the first `STYLE_SECONDS`.
    """

    info: AudioInfo
    one_signal: bool
    peak: float


@dataclass(frozen=True)
class Plan:
    """An order that was found good.

    Args:
        order: with everything filled in that depends on the kind of input, but for the network of a picture.
        output: the file to write.
        is_picture: pictures, or else sounds.
        content: the recording; None for pictures.
        style: the same.
    """

    order: OptimizeOrder
    output: Path
    is_picture: bool
    content: Recording | None = None
    style: Recording | None = None


def plan_optimization(order: OptimizeOrder) -> Plan:
    """Check an order as far as that goes without a network: first its values, then its files, each read once.

    Raises:
        UserError: anything about it that cannot be done.
    """
    is_picture = _find_kind(order)
    _check_names(order)
    _check_numbers(order)
    order = _fill_in(order, is_picture)
    _check_network(order, is_picture)
    _check_unused(order, is_picture)
    output = order.output or Path(f"{order.content.stem}.like-{order.style.stem}{'.png' if is_picture else '.wav'}")
    _check_written(order, output)
    if is_picture:
        check_picture(output, order.force)
        for path in _read_files(order):
            check_readable_picture(path)
        return Plan(order, output, is_picture)
    return _plan_sound(order, output)


def _find_kind(order: OptimizeOrder) -> bool:
    """Whether content, style and start file are pictures; all must be of one kind."""
    kinds = {path: path.suffix.lower() in PICTURE_SUFFIXES for path in _read_files(order)}
    if len(set(kinds.values())) > 1:
        picture = next(path for path, is_picture in kinds.items() if is_picture)
        sound = next(path for path, is_picture in kinds.items() if not is_picture)
        raise UserError(f"{picture} is a picture and {sound} is not; content, style and start must be of one kind")
    return kinds[order.content]


def _read_files(order: OptimizeOrder) -> list[Path]:
    return [path for path in (order.content, order.style, order.start_file) if path is not None]


def _check_names(order: OptimizeOrder) -> None:
    check_representation(order.representation, order.inverse, order.vocoder)
    check_choice("wandb mode", order.wandb, WANDB_MODES)
    check_device_name(order.device)
    if order.start_file is not None and not order.start_file.exists():
        check_choice("start", order.start, STARTS, ", or an existing file")
    if order.network is not None:
        check_network_name(order.network)
    for option, folder in (("--model", order.model), ("--vocoder", order.vocoder)):
        if folder is not None and not folder.is_dir():
            raise UserError(f"model folder not found: {folder}; give an existing one with {option}")
    _ = order.content_layers, order.style_layers  # refused where they are read, if at all


def _check_numbers(order: OptimizeOrder) -> None:
    _ = order.loss_weights, order.optimizer_config, order.start_config  # each checks itself when it is made
    for name in ("layers", "width", "kernel", "pool", "threads"):
        if (value := getattr(order, name)) is not None and value < 1:
            raise UserError(f"got {_option(name)} {value}; expected a whole number of at least 1")
    if not 0 <= order.seed < 2**63:
        raise UserError(f"got --seed {order.seed}; expected a whole number from 0 to 2^63 - 1")
    if not LEAST_BLOCK <= order.block_seconds < math.inf:
        raise UserError(f"got --block-seconds {order.block_seconds:g}; expected at least {LEAST_BLOCK:g}")
    if not 0 < order.overlap_seconds <= order.block_seconds / 4:
        raise UserError(
            f"got blocks of {order.block_seconds:g} s with --overlap-seconds {order.overlap_seconds:g}; the overlap is "
            "above 0 and a quarter of a block at most"
        )
    if order.image_size < LEAST_IMAGE_SIZE:
        raise UserError(f"got --image-size {order.image_size}; expected at least {LEAST_IMAGE_SIZE} pixels")


def _option(name: str) -> str:
    return "--weights" if name == "weights_file" else "--" + name.replace("_", "-")


def _fill_in(order: OptimizeOrder, is_picture: bool) -> OptimizeOrder:
    """Fill in what depends on the kind of input; a picture's network stays open, since it depends on weights."""
    network = order.network
    if network is None and order.weights_file is not None:
        network = "vgg19"
    elif network is None and _given(order, RANDOM_OPTIONS):
        network = "random"
    elif network is None and not is_picture:
        columns_of_mel = order.representation == "mel" and order.orientation in (None, "frequency")
        network = "autoencoder" if columns_of_mel else "random"
    orientation = order.orientation or ("2d" if is_picture or network == "vgg19" else "frequency")
    unit_scale = order.unit_scale or (network == "vgg19" and not is_picture)
    return dataclasses.replace(order, network=network, orientation=orientation, unit_scale=unit_scale)


def _check_network(order: OptimizeOrder, is_picture: bool) -> None:
    """Refuse a network of another orientation or representation."""
    assert order.orientation is not None
    representation = None if is_picture else order.representation
    if order.network is not None:
        check_network(order.network, representation, order.orientation, order.weights_file, order.model)
    else:
        check_choice("orientation", order.orientation, ORIENTATIONS)
    if is_picture and order.orientation != "2d":
        raise UserError(f"got --orientation {order.orientation} with a picture; pictures need --orientation 2d")


def _check_unused(order: OptimizeOrder, is_picture: bool) -> None:
    """Refuse options that would do nothing beside the others."""
    truncated_normal = ("start_lower", "start_upper", "start_mean", "start_deviation")
    adam = ("learning_rate", "decayed_learning_rate", "decay_iteration")
    sound = ("representation", "inverse", "vocoder", "unit_scale", "block_seconds", "overlap_seconds")
    for unused, names, reason in (
        (is_picture, sound, "which is for sounds"),
        (not is_picture, ("image_size",), "which is for pictures"),
        (order.network not in ("random", None), RANDOM_OPTIONS, "which is for --network random"),
        (order.network is None, ("model",), f"which is for --network {' or '.join(MEL_NETWORKS)}"),
        (order.start != "truncated-normal", truncated_normal, "which is for --start truncated-normal"),
        (order.optimizer != "adam", adam, "which is for --optimizer adam"),
    ):
        if unused and (given := _given(order, names)):
            raise UserError(f"got {_option(given[0])}, {reason}; leave it out")


def _given(order: OptimizeOrder, names: Sequence[str]) -> list[str]:
    """Those that differ from their default."""
    defaults = {field.name: field.default for field in dataclasses.fields(order)}
    return [name for name in names if getattr(order, name) != defaults[name]]


def _check_written(order: OptimizeOrder, output: Path) -> None:
    """Every file that is to be written has its own name, of the right kind, and is none of those read."""
    extra = [path for path in (order.history, order.picture, order.curves) if path is not None]
    read = [path for path in _read_files(order) if path.exists()]
    for index, path in enumerate((output, *extra)):
        if path.exists() and any(path.samefile(source) for source in read):
            is_output = " itself; give another name with -o" if index == 0 else "; give another name"
            raise UserError(f"{path} is the input{is_output}")
        if path.resolve() in [other.resolve() for other in (output, *extra)[:index]]:
            raise UserError(f"{path} is named twice among the files to write; give each its own name")
    for picture in (order.picture, order.curves):
        if picture is not None:
            check_picture(picture, order.force)
    if order.history is not None:
        _check_history(order.history, order.force)


def _check_history(path: Path, force: bool) -> None:
    if path.suffix.lower() != ".csv":
        raise UserError(f"{path} does not end in .csv; the history is a CSV file")
    if not path.parent.is_dir():
        raise UserError(f"folder not found: {path.parent}; create it first")
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the name of a CSV file in it")
    if path.exists() and not force:
        raise UserError(f"{path} exists; use --force to overwrite it")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"folder is not writable: {path.parent}")


def _plan_sound(order: OptimizeOrder, output: Path) -> Plan:
    check_output(output, order.force)
    content = scan_recording(order.content)
    subtype = matching_subtype(content.info.subtype, output)
    check_output(output, order.force, content.info.sample_rate, content.info.channels, subtype)
    style = scan_recording(order.style)
    if style.peak == 0.0:
        raise UserError(f"{order.style} is silent for {STYLE_SECONDS:g} s; give a style that sounds")
    if order.start_file is not None:
        start = scan_recording(order.start_file)
        if start.info.seconds < content.info.seconds - 0.01:
            raise UserError(
                f"{order.start_file} is {start.info.seconds:.1f} s long and the content {content.info.seconds:.1f} s; "
                "a start must be as long as the content"
            )
    return Plan(order, output, False, content, style)


def scan_recording(path: Path) -> Recording:
    """Decode a whole file once.

    Raises:
        UserError: as :func:`data.audio.scan_audio`.
    """
    with AudioReader(path) as reader:
        left = round(STYLE_SECONDS * reader.info.sample_rate)
        one_signal, peak = True, 0.0
        for block in _iterate(reader):
            one_signal = one_signal and bool((block == block[:1]).all())
            peak = max(peak, float(np.abs(block[:, : max(left, 0)]).max(initial=0.0)))
            left -= block.shape[1]
        return Recording(dataclasses.replace(reader.info, frames=reader.decoded_frames), one_signal, peak)


def _iterate(reader: AudioReader) -> Iterable[np.ndarray]:
    while (block := reader.read(65536)).size:
        yield block
