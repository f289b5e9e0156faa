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
"""The click is noise that fades by this time constant."""
CLICK_LEVEL = 0.5
FADE_SECONDS = 0.3
"""A vocoder may fade out for so long once the sound has ended."""
BLOCK_FRAMES = 150
"""So many frames meet nowhere near the ends of the excerpts of 4 s that the music is put together from."""


def probe(method: Method, music: np.ndarray) -> dict[str, float]:
    """Levels where nothing should sound.

    Returns:
        `silence`, dBFS: peak of what digital silence becomes; `silence_after_sound`, dBFS: the same from 0.3 s after
        the end of music; `pre_echo`, dB: see :func:`pre_echo`, of a click in silence.
    """
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
    """Silence, and from its middle on noise that fades away at once, (samples,)."""
    samples = round(PROBE_SECONDS * sample_rate)
    time = np.arange(samples - samples // 2) / sample_rate
    noise = np.random.default_rng(0).uniform(-1, 1, len(time))
    wav = np.zeros(samples, dtype=np.float32)
    wav[samples // 2 :] = CLICK_LEVEL * noise * np.exp(-time / CLICK_SECONDS)
    return wav


def resynthesize(method: Method, wav: np.ndarray) -> np.ndarray:
    """From a signal to its mel and back, (samples,) -> whole frames of it."""
    with torch.inference_mode():
        mel = LogMel(method.mel_config)(torch.from_numpy(wav)[None])
    return synthesize(method, mel)[0]


@torch.inference_mode()
def synthesize_in_blocks(vocoder: Vocoder, mel: Tensor, block_frames: int = BLOCK_FRAMES) -> Tensor:
    """Synthesize a song block by block, each with the context that the vocoder asks for.

    Shape: (1, n_mels, T) -> (T * hop_length,).
    """
    hop_length, frames = vocoder.mel_config.hop_length, mel.shape[-1]
    pieces = []
    for start in range(0, frames, block_frames):
        stop = min(start + block_frames, frames)
        first, last = max(0, start - vocoder.context_frames), min(frames, stop + vocoder.context_frames)
        wav = vocoder(mel[..., first:last], first)[0, 0]
        pieces.append(wav[(start - first) * hop_length : (stop - first) * hop_length])
    return torch.cat(pieces)


def compare_blocks(vocoder: Vocoder, music: np.ndarray) -> dict[str, Any]:
    """Clicks where the blocks of a song meet, over what the original has at the same places.

    Returns:
        `worst`, dB: highest click over the original's; `difference`, dBFS: largest difference from the song made at
        once; `joins`: how many.
    """
    hop_length = vocoder.mel_config.hop_length
    with torch.inference_mode():
        mel = LogMel(vocoder.mel_config)(torch.from_numpy(music)[None])
        whole = vocoder(mel)[0, 0].numpy()
    joined = synthesize_in_blocks(vocoder, mel).numpy()
    places = range(BLOCK_FRAMES * hop_length, len(joined) - 2 * hop_length + 1, BLOCK_FRAMES * hop_length)
    heights = [click_height(joined, at, hop_length) - click_height(music, at, hop_length) for at in places]
    return {"worst": max(heights), "difference": peak_level(joined - whole), "joins": len(heights)}
