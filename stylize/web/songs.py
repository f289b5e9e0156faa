"""A song that was sent: checked by decoding all of it, and made playable for a browser."""

from __future__ import annotations

import dataclasses
import math
import re
import time
from collections.abc import Mapping
from pathlib import Path

import soundfile
from starlette.exceptions import HTTPException

from stylize.web.limits import Limits
from stylize_core.audio.headers import container_of
from stylize_core.audio.reader import AudioInfo, AudioReader, AudioWriter, probe_audio
from stylize_core.errors import UserError

EXAMPLE_SONG = Path(__file__).parent.parent / "songs" / "demo_country.ogg"
PLAYABLE_NAME = "input.flac"
"""The song as FLAC, which every browser plays."""
SAMPLE_RATES = (4000, 192000)
"""Lowest and highest sample rate of a song, Hz."""
MAX_CHANNELS = 2
_BLOCK_SAMPLES = 65536
_SHELL_ADVICE = re.compile(r", (or keep what is there with|for example): ffmpeg .*", re.DOTALL)


def song_path(folder: Path, name: str) -> Path:
    """Where a song is kept: nothing of the given name but whether it is an MP3, which has no sure mark of its own."""
    return folder / ("song.mp3" if name.lower().endswith(".mp3") else "song")


def check_song(path: Path, name: str, limits: Limits) -> AudioInfo:
    """Decode a song from front to back, write it as FLAC on the way, and count its samples; `name` is for messages.

    Raises:
        HTTPException: 415 for what this program cannot decode but a browser may; 422 for a song that is broken, silent
            of samples, too long, or of a form that is not taken.
    """
    kind = info = None
    try:
        kind = container_of(path)
        info = probe_audio(path)
        _check_form(info, name, limits)
        return copy_playable(info, name, limits)
    except UserError as error:
        is_foreign = kind is None or (info is None and isinstance(error.__cause__, soundfile.LibsndfileError))
        raise HTTPException(415 if is_foreign else 422, without_paths(error, path.parent, {path: name})) from None


def _check_form(info: AudioInfo, name: str, limits: Limits) -> None:
    """Check the header; nothing is decoded yet."""
    lowest, highest = SAMPLE_RATES
    if not lowest <= info.sample_rate <= highest:
        raise HTTPException(422, f"{name} has {info.sample_rate} samples a second; expected {lowest} to {highest} Hz")
    if info.channels > MAX_CHANNELS:
        raise HTTPException(422, f"{name} has {info.channels} channels; mix it to mono or stereo first")
    _check_length(info.seconds, name, limits)


def _check_length(seconds: float, name: str, limits: Limits) -> None:
    if seconds > limits.max_seconds:
        limit, found = f"{limits.max_seconds:g} s", f"{math.ceil(seconds)} s"
        raise HTTPException(422, f"{name} is longer than {limit} of music ({found}); send a part of it")


def copy_playable(info: AudioInfo, name: str, limits: Limits) -> AudioInfo:
    """Decode a song and write it as FLAC beside itself; the length in its header is not trusted."""
    end = time.monotonic() + limits.check_seconds
    with (
        AudioReader(info.path) as reader,
        AudioWriter(info.path.parent / PLAYABLE_NAME, info.sample_rate, info.channels) as writer,
    ):
        while (block := reader.read(_BLOCK_SAMPLES)).size:
            writer.write(block)
            _check_length(reader.decoded_frames / info.sample_rate, name, limits)
            if time.monotonic() > end:
                raise HTTPException(422, f"{name} takes longer than {limits.check_seconds:g} s to decode; send another")
    return dataclasses.replace(info, frames=reader.decoded_frames)


def without_paths(error: UserError, folder: Path, names: Mapping[Path, str]) -> str:
    """An error for somebody who knows neither this machine's folders nor its command line; `names` replace paths."""
    message = _SHELL_ADVICE.sub("", str(error))
    for path, name in names.items():
        message = message.replace(str(path), name)
    return " ".join(message.replace(f"{folder}/", "").split())
