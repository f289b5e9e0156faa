"""The work on a job, and its pictures."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from stylize.local_app import TROUBLE
from stylize.picture import MelHistory, hertz_ticks
from stylize.progress import Pace
from stylize.report import describe_notes
from stylize.request import Request
from stylize.web.songs import without_paths
from stylize.web.store import Job, Store
from stylize_core.audio.reader import AudioInfo, AudioReader, AudioWriter, matching_subtype
from stylize_core.errors import UserError
from stylize_core.mel import band_frequencies

if TYPE_CHECKING:
    from stylize.pipeline import Stylizer

logger = logging.getLogger(__name__)

RESULT_TYPES = {
    "output.wav": "audio/wav",
    "output.flac": "audio/flac",
    "input.png": "image/png",
    "output.png": "image/png",
}
PICTURE_COLUMNS = 1200
MEASURED_SECONDS = 3.0
STYLIZING_SHARE = 0.9
"""Of the work; the rest is for pictures and the second format."""
_BLOCK_SAMPLES = 65536
_BLOCK_FRAMES = 512
MARGIN = 0.05
"""Of the height of a picture, where no frequency is named."""


class StoppedError(Exception):
    """Nobody wants the job any more."""


def work_on(job: Job, stylizer: Stylizer, store: Store) -> None:
    """Do a job, unless it was taken back; what goes wrong is one line in it."""
    if job.stop.is_set():
        return
    store.begin(job)
    error = None
    try:
        stylize_job(job, stylizer, store.limits.job_seconds)
    except StoppedError:
        error = "stopped"
    except UserError as refusal:
        songs = [song for song in (job.song, job.like) if song is not None]
        error = without_paths(refusal, job.folder, {song.info.path: song.name for song in songs})
    except Exception:
        error = "stopped" if job.stop.is_set() else TROUBLE  # its folder was taken away under it, or a bug
        if error == TROUBLE:
            logger.exception("a job failed")
    store.finish(job, error)


def measure_pace(stylizer: Stylizer, pace: Pace) -> None:
    """Stylize some noise, so that the progress of the first song is right; it warms the networks up, too."""
    rate = stylizer.mel_config.sample_rate
    style = stylizer.translator.style_vector({stylizer.styles[0]: 1.0}).to(stylizer.device)
    noise = np.random.default_rng(0).normal(0.0, 0.1, (1, round(MEASURED_SECONDS * rate))).astype(np.float32)

    def work() -> float:
        started, rest = time.monotonic(), noise

        def read(samples: int) -> np.ndarray:
            nonlocal rest
            block, rest = rest[:, :samples], rest[:, samples:]
            return block

        for _ in stylizer.blocks(read, 1, style):
            pass
        return time.monotonic() - started

    work()  # the first time is slower
    pace.learn(MEASURED_SECONDS, work())


def stylize_job(job: Job, stylizer: Stylizer, max_seconds: float) -> None:
    """Write the result as WAV and FLAC, and pictures of both mels; a folder beside holds them until all are there."""
    started = time.monotonic()
    song, wanted = job.song.info, job.request
    like = None if job.like is None else job.like.info.path
    request = Request(song.path, to=wanted.mixture, like=like, strength=wanted.strength)

    def check(seconds: float) -> None:
        if job.stop.is_set():
            raise StoppedError
        if time.monotonic() - started > max_seconds:
            raise UserError(f"the work took longer than {max_seconds:g} s and was given up; send a shorter song")
        if job.course is not None:
            job.course.report(STYLIZING_SHARE * min(1.0, seconds / song.seconds))

    check(0.0)
    making = Path(tempfile.mkdtemp(dir=job.folder))
    try:
        style = stylizer.style_for(request)
        check(0.0)
        result = making / "output.wav"
        job.notes = tuple(describe_notes(stylizer.convert(song, result, style, request, check)))
        _write_flac(result, making / "output.flac", song)
        _draw(stylizer, job.song.playable, result, making)
        for name in RESULT_TYPES:
            os.replace(making / name, job.folder / name)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _write_flac(source: Path, output: Path, song: AudioInfo) -> None:
    subtype = matching_subtype(song.subtype, output)
    with AudioReader(source) as reader, AudioWriter(output, song.sample_rate, song.channels, subtype) as writer:
        while (block := reader.read(_BLOCK_SAMPLES)).size:
            writer.write(block)


def _draw(stylizer: Stylizer, before: Path, after: Path, folder: Path) -> None:
    """Mel spectrograms of what went in and what came out, with the same colors for the same magnitude."""
    from matplotlib.image import imsave

    images = [_mel_image(stylizer, path) for path in (before, after)]
    low, high = np.percentile(images[0], 2), max(image.max() for image in images)
    for image, name in zip(images, ("input.png", "output.png"), strict=True):
        imsave(folder / name, image, cmap="magma", origin="lower", vmin=low, vmax=max(high, low + 1e-3), format="png")


def _mel_image(stylizer: Stylizer, path: Path) -> np.ndarray:
    """The log-mel spectrogram of a file of any length in constant memory, (n_mels, at most so many columns)."""
    config, history = stylizer.mel_config, MelHistory(PICTURE_COLUMNS)
    shortest = config.hop_length * (1 + config.context // config.hop_length)
    with AudioReader(path, sample_rate=config.sample_rate, mono=True) as reader, torch.inference_mode():
        while (block := reader.read(_BLOCK_FRAMES * config.hop_length)).size:
            missing = max(shortest - block.shape[1], -block.shape[1] % config.hop_length)
            wav = torch.from_numpy(np.pad(block, ((0, 0), (0, missing)))).to(stylizer.device)
            history.add(stylizer.log_mel(wav)[0].cpu().numpy())
    return history.image()


def mel_ticks(stylizer: Stylizer) -> list[tuple[float, str]]:
    """Where frequencies stand in the pictures: the share of the height below each, and its name."""
    config = stylizer.mel_config
    shares = [(place / config.n_mels, name) for place, name in hertz_ticks(band_frequencies(config).numpy())]
    return [(round(share, 3), name) for share, name in shares if MARGIN < share < 1 - MARGIN]
