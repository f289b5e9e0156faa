"""A song that was sent: received in pieces, checked by decoding all of it, and made playable for a browser."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import re
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import soundfile

from data.audio import AudioInfo, AudioReader, AudioWriter, probe_audio
from data.audio_headers import container_of
from data.errors import UserError
from stylize.json_requests import RefusedError
from stylize.web.limits import Limits

PLAYABLE_NAME = "input.flac"
SAMPLE_RATES = (4000, 192000)
"""Lowest and highest sample rate of a song, Hz."""
MOST_CHANNELS = 2
_BLOCK_SAMPLES = 65536
_SHELL_ADVICE = re.compile(r", (or keep what is there with|for example): ffmpeg .*", re.DOTALL)


@dataclass(frozen=True)
class CheckedSong:
    """A song whose every sample was decoded once.

    Args:
        info: with the number of samples really there.
        playable: the same as FLAC, which every browser plays.
    """

    info: AudioInfo
    playable: Path


def song_path(folder: Path, name: str) -> Path:
    """Where a song is kept: nothing of the given name but whether it is an MP3, which has no sure mark of its own."""
    return folder / ("song.mp3" if name.lower().endswith(".mp3") else "song")


async def receive(parts: AsyncIterator[bytes], path: Path, limits: Limits) -> None:
    """Write what comes, as long as it is not too much.

    Raises:
        RefusedError: too large, too slow, or nothing came; the file is left for the caller to remove.
    """
    received = 0
    now = asyncio.get_running_loop().time
    end = now() + limits.upload_seconds
    try:
        async with asyncio.timeout(limits.stall_seconds) as patience:
            with path.open("xb") as file:
                async for part in parts:
                    received += len(part)
                    if received > limits.max_bytes:
                        raise too_large(limits)
                    file.write(part)
                    patience.reschedule(min(end, now() + limits.stall_seconds))
    except TimeoutError:
        took = f"{limits.upload_seconds:g} s" if now() >= end else f"{limits.stall_seconds:g} s without anything"
        raise RefusedError(408, f"the file stopped coming ({took}); send it again") from None
    if received == 0:
        raise RefusedError(422, "the file is empty (0 bytes); choose a recording")


def too_large(limits: Limits) -> RefusedError:
    """The refusal of a file of too many bytes."""
    return RefusedError(413, f"the file has more than {limits.megabytes}; send a shorter one, or an mp3 or ogg of it")


def check_song(path: Path, name: str, limits: Limits) -> CheckedSong:
    """Decode a song from front to back, and write it as FLAC on the way.

    Args:
        path: of the file as it came.
        name: for messages.
        limits: how long it may be.

    Raises:
        RefusedError: 415 for what this program cannot decode but a browser may; 422 for a song that is broken, silent
            of samples, too long, or of a form that is not taken.
    """
    try:
        info = _check_header(path, name, limits)
        return copy_playable(info, name, limits)
    except UserError as error:
        raise RefusedError(422, say_without_paths(error, path.parent, {path: name})) from None


def _check_header(path: Path, name: str, limits: Limits) -> AudioInfo:
    """Everything that is known before samples are decoded."""
    try:
        container_of(path)
    except UserError as error:
        raise RefusedError(415, say_without_paths(error, path.parent, {path: name})) from None
    try:
        info = probe_audio(path)
    except UserError as error:
        is_foreign = isinstance(error.__cause__, soundfile.LibsndfileError)
        raise RefusedError(415 if is_foreign else 422, say_without_paths(error, path.parent, {path: name})) from None
    lowest, highest = SAMPLE_RATES
    if not lowest <= info.sample_rate <= highest:
        raise RefusedError(422, f"{name} has {info.sample_rate} samples a second; expected {lowest} to {highest} Hz")
    if info.channels > MOST_CHANNELS:
        raise RefusedError(422, f"{name} has {info.channels} channels; mix it to mono or stereo first")
    if info.seconds > limits.max_seconds:
        raise _too_long(name, info.seconds, limits)
    return info


def copy_playable(info: AudioInfo, name: str, limits: Limits) -> CheckedSong:
    """Decode a song and write it as FLAC beside itself.

    Args:
        info: from its header, which is not believed.
        name: for messages.
        limits: how long it, and decoding it, may be.

    Raises:
        RefusedError: too long, or too slow.
        UserError: broken.
    """
    playable = info.path.parent / PLAYABLE_NAME
    end = time.monotonic() + limits.check_seconds
    with (
        AudioReader(info.path) as reader,
        AudioWriter(playable, info.sample_rate, info.channels) as writer,
    ):
        while (block := reader.read(_BLOCK_SAMPLES)).size:
            writer.write(block)
            if reader.decoded_frames > limits.max_seconds * info.sample_rate:  # the header said less than there is
                raise _too_long(name, reader.decoded_frames / info.sample_rate, limits)
            if time.monotonic() > end:
                raise RefusedError(422, f"{name} takes longer than {limits.check_seconds:g} s to decode; send another")
    return CheckedSong(dataclasses.replace(info, frames=reader.decoded_frames), playable)


def _too_long(name: str, seconds: float, limits: Limits) -> RefusedError:
    return RefusedError(
        422, f"{name} is longer than {limits.max_seconds:g} s of music ({math.ceil(seconds)} s); send a part of it"
    )


def say_without_paths(error: UserError, folder: Path, names: Mapping[Path, str]) -> str:
    """An error for somebody who knows neither this machine's folders nor its command line.

    Args:
        error: as a command would print it.
        folder: what else lies in it is named without it.
        names: what people call these files.
    """
    message = _SHELL_ADVICE.sub("", str(error))
    for path, name in names.items():
        message = message.replace(str(path), name)
    return " ".join(message.replace(f"{folder}/", "").split())


def example_song() -> Path:
    """The song that comes with the program."""
    return Path(__file__).parent.parent / "songs" / "demo_country.ogg"


def copy_example(folder: Path) -> Path:
    """Put the bundled song in a folder, as if it had been sent."""
    path = song_path(folder, "")
    shutil.copyfile(example_song(), path)
    return path
