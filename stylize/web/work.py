"""The one worker: it takes job after job, so that the models are there once and songs never mix."""

from __future__ import annotations

import logging
import os
import queue
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from data.audio import AudioInfo, AudioReader, AudioWriter, matching_subtype
from data.errors import UserError
from data.mel import mel_filterbank
from stylize.picture import MelHistory
from stylize.report import describe_notes
from stylize.request import Order
from stylize.web.pace import Pace
from stylize.web.shelf import Job, Shelf
from stylize.web.songs import say_without_paths

if TYPE_CHECKING:
    from stylize.pipeline import Stylizer

logger = logging.getLogger(__name__)

RESULT_NAMES = ("output.wav", "output.flac", "input.png", "output.png")
TROUBLE = "something went wrong on the server, and not with the song; try again, or tell whoever runs the server"
PICTURE_COLUMNS = 1200
MEASURED_SECONDS = 3.0
STYLIZING_SHARE = 0.9
"""Of the work; the rest is for pictures and the second format."""
_BLOCK_SAMPLES = 65536
_TICKS = ((500, "500 Hz"), (1000, "1 kHz"), (2000, "2 kHz"), (4000, "4 kHz"), (8000, "8 kHz"))


class StoppedError(Exception):
    """Nobody wants the job any more."""


class Worker(threading.Thread):
    """Works on jobs one after the other, until it is closed.

    Args:
        stylizer: with its models loaded.
        shelf: where jobs are kept.
    """

    def __init__(self, stylizer: Stylizer, shelf: Shelf) -> None:
        super().__init__(name="stylize-web-worker", daemon=True)
        self._stylizer, self._shelf = stylizer, shelf
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()

    def put(self, job: Job) -> None:
        """Let a job wait for its turn."""
        self._queue.put(job)

    def close(self, seconds: float = 20.0) -> None:
        """Stop, after at most one more block of the song in work."""
        self._shelf.stop()
        self._queue.put(None)
        if self.is_alive():
            self.join(seconds)

    def run(self) -> None:
        """Take jobs until None comes."""
        while (job := self._queue.get()) is not None:
            if not job.stop.is_set():
                self._shelf.begin(job)
                self._shelf.finish(job, self._attempt(job))

    def _attempt(self, job: Job) -> str | None:
        """Do a job; the error line if it could not be done."""
        try:
            stylize_job(job, self._stylizer, self._shelf.limits.job_seconds)
        except StoppedError:
            return "stopped"
        except UserError as error:
            songs = [song for song in (job.song, job.like) if song is not None]
            return say_without_paths(error, job.folder, {song.checked.info.path: song.name for song in songs})
        except Exception:
            if job.stop.is_set():  # its folder was taken away under it
                return "stopped"
            logger.exception("a job failed")
            return TROUBLE
        return None


def measure_pace(stylizer: Stylizer, pace: Pace) -> None:
    """Stylize some noise, so that the progress of the first song is right; the networks are warm after that, too."""
    rate = stylizer.mel_config.sample_rate
    style = stylizer.translator.style_vector({stylizer.styles[0]: 1.0}).to(stylizer.device)
    generator = np.random.default_rng(0)

    def work() -> float:
        rest = generator.normal(0.0, 0.1, (1, round(MEASURED_SECONDS * rate))).astype(np.float32)

        def read(samples: int) -> np.ndarray:
            nonlocal rest
            block, rest = rest[:, :samples], rest[:, samples:]
            return block

        started = time.monotonic()
        for _ in stylizer.blocks(read, 1, style):
            pass
        return time.monotonic() - started

    work()  # the first time is slower
    pace.learn(MEASURED_SECONDS, work())


def stylize_job(job: Job, stylizer: Stylizer, most_seconds: float) -> None:
    """Write the result as WAV and FLAC, and pictures of both mels.

    Everything is made in a folder beside, and moved when it is whole.

    Raises:
        UserError: the example is silent, the disk is full, or it took too long.
        StoppedError: the job was taken back.
    """
    started = time.monotonic()
    song, request = job.song.checked.info, job.request
    like = None if job.like is None else job.like.checked.info.path
    order = Order(song.path, to=request.to, like=like, strength=request.strength)

    def check(seconds: float) -> None:
        if job.stop.is_set():
            raise StoppedError
        if time.monotonic() - started > most_seconds:
            raise UserError(f"the work took longer than {most_seconds:g} s and was given up; send a shorter song")
        if job.course is not None:
            job.course.report(STYLIZING_SHARE * min(1.0, seconds / song.seconds))

    check(0.0)
    making = Path(tempfile.mkdtemp(dir=job.folder))
    try:
        style = stylizer.style_for(order)
        check(0.0)
        result = making / "output.wav"
        job.notes = tuple(describe_notes(stylizer.convert(song, result, style, order, check)))
        _write_flac(result, making / "output.flac", song)
        _draw(stylizer, job.song.checked.playable, result, making)
        for name in RESULT_NAMES:
            os.replace(making / name, job.folder / name)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _write_flac(source: Path, output: Path, song: AudioInfo) -> None:
    subtype = matching_subtype(song.subtype, output)
    with AudioReader(source) as reader, AudioWriter(output, song.sample_rate, song.channels, subtype) as writer:
        while (block := reader.read(_BLOCK_SAMPLES)).size:
            writer.write(block)


def _draw(stylizer: Stylizer, before: Path, after: Path, folder: Path) -> None:
    """Mel spectrograms of what went in and what came out, with the same colours for the same magnitude."""
    from matplotlib.image import imsave

    images = [mel_image(stylizer, path) for path in (before, after)]
    low, high = np.percentile(images[0], 2), max(image.max() for image in images)
    for image, name in zip(images, ("input.png", "output.png"), strict=True):
        imsave(folder / name, image, cmap="magma", origin="lower", vmin=low, vmax=max(high, low + 1e-3), format="png")


def mel_ticks(stylizer: Stylizer) -> list[tuple[float, str]]:
    """Where frequencies stand in the pictures: the share of the height below each, and its name."""
    config = stylizer.mel_config
    centres = mel_filterbank(config).argmax(dim=0) * (config.sample_rate / config.n_fft)
    return [(round(float((centres < hz).float().mean()), 3), name) for hz, name in _TICKS if hz < 0.9 * config.f_max]


def mel_image(stylizer: Stylizer, path: Path) -> np.ndarray:
    """The log-mel spectrogram of a file of any length in constant memory, (n_mels, at most so many columns).

    Raises:
        UserError: the file cannot be read.
    """
    config, context = stylizer.mel_config, stylizer.mel_config.context
    history = MelHistory(PICTURE_COLUMNS)
    block_samples = 512 * config.hop_length
    with AudioReader(path, sample_rate=config.sample_rate, mono=True) as reader, torch.inference_mode():
        waiting = np.zeros((1, context), np.float32)
        while (block := reader.read(block_samples)).size:
            waiting = np.concatenate([waiting, block], axis=1)
            frames = (waiting.shape[1] - 2 * context) // config.hop_length
            if frames > 0:
                history.add(_mel(stylizer, waiting[:, : 2 * context + frames * config.hop_length]))
                waiting = waiting[:, frames * config.hop_length :]
        # The end, up to a whole frame, in silence.
        frames = max(1, -(-(waiting.shape[1] - context) // config.hop_length))
        missing = 2 * context + frames * config.hop_length - waiting.shape[1]
        history.add(_mel(stylizer, np.pad(waiting, ((0, 0), (0, max(0, missing))))))
    return history.image()


def _mel(stylizer: Stylizer, wav: np.ndarray) -> np.ndarray:
    return stylizer.log_mel(torch.from_numpy(wav).to(stylizer.device), padded=True)[0].cpu().numpy()
