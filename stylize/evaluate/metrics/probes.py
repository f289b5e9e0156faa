"""Probes of vocoders with known answers: silence, a click, and a song synthesized block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from melgan import Vocoder
from stylize.evaluate.metrics.artifacts import click_height, peak_level, pre_echo
from stylize.evaluate.metrics.vocoder import Method, synthesize
from stylize_core.mel import LogMel

PROBE_SECONDS = 2.0
CLICK_SECONDS = 0.02
"""Time constant of the decaying noise of a click."""
CLICK_LEVEL = 0.5
FADE_SECONDS = 0.3
"""A vocoder may fade out for this long after a sound."""
BLOCK_FRAMES = 150
"""Chosen so that block boundaries are far from those of 4 s excerpts."""


def probe(method: Method, music: np.ndarray) -> dict[str, float]:
    """Peak level of digital silence, and from 0.3 s after the end of music (dBFS); :func:`pre_echo` of a click (dB)."""
    sample_rate = method.mel_config.sample_rate
    fade = round(FADE_SECONDS * sample_rate)
    silence = np.zeros(round(PROBE_SECONDS * sample_rate), dtype=np.float32)
    half = music[: len(silence) // 2].astype(np.float32)
    ending = np.concatenate([half, silence])
    click = make_click(sample_rate)
    made = [resynthesize(method, signal) for signal in (silence, ending, click)]
    return {
        "silence": peak_level(made[0]),
        "silence_after_sound": peak_level(made[1][len(half) + fade :]),
        "pre_echo": pre_echo(made[2], click[: len(made[2])], len(click) // 2, sample_rate),
    }


def make_click(sample_rate: int) -> np.ndarray:
    """Silence with decaying noise from its middle on, (samples,)."""
    samples = round(PROBE_SECONDS * sample_rate)
    time = np.arange(samples - samples // 2) / sample_rate
    noise = np.random.default_rng(0).uniform(-1, 1, len(time))
    wav = np.zeros(samples, dtype=np.float32)
    wav[samples // 2 :] = CLICK_LEVEL * noise * np.exp(-time / CLICK_SECONDS)
    return wav


def resynthesize(method: Method, wav: np.ndarray) -> np.ndarray:
    """Synthesize the mel of a signal, (samples,), cut to complete frames."""
    with torch.inference_mode():
        mel = LogMel(method.mel_config)(torch.from_numpy(wav)[None])
    return synthesize(method, mel)[0]


@torch.inference_mode()
def synthesize_in_blocks(vocoder: Vocoder, mel: Tensor, block_frames: int = BLOCK_FRAMES) -> Tensor:
    """Synthesize a mel, (1, n_mels, T), in blocks with the vocoder's context, (T * hop_length,)."""
    hop_length, frames = vocoder.mel_config.hop_length, mel.shape[-1]
    pieces = []
    for start in range(0, frames, block_frames):
        stop = min(start + block_frames, frames)
        first, last = max(0, start - vocoder.context_frames), min(frames, stop + vocoder.context_frames)
        wav = vocoder(mel[..., first:last], first)[0, 0]
        pieces.append(wav[(start - first) * hop_length : (stop - first) * hop_length])
    return torch.cat(pieces)


def compare_blocks(vocoder: Vocoder, music: np.ndarray) -> dict[str, Any]:
    """Compare synthesis in blocks with that of the whole song.

    Returns:
        `worst`: highest click at a block boundary over the original's, dB; `difference`: largest difference from the
        whole song, dBFS; `joins`: their number.
    """
    hop_length = vocoder.mel_config.hop_length
    with torch.inference_mode():
        mel = LogMel(vocoder.mel_config)(torch.from_numpy(music)[None])
        whole = vocoder(mel)[0, 0].numpy()
    joined = synthesize_in_blocks(vocoder, mel).numpy()
    places = range(BLOCK_FRAMES * hop_length, len(joined) - 2 * hop_length + 1, BLOCK_FRAMES * hop_length)
    heights = [click_height(joined, at, hop_length) - click_height(music, at, hop_length) for at in places]
    return {"worst": max(heights), "difference": peak_level(joined - whole), "joins": len(heights)}
