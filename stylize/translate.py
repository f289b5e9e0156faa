"""The mel that a translator makes of an entire recording, block by block, without a vocoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylize.blocks import BlockLayout, iterate_windows
from stylize.silence import find_silent_frames
from stylize_core.audio.reader import AudioReader, probe_audio
from stylize_core.errors import UserError
from stylize_core.mel import LogMel
from travelgan import Translator

BLOCK_FRAMES = 2048
REFERENCE_SECONDS = 120.0
"""A recording's own style is taken from its first so many seconds, as `stylize --like` does."""


@torch.inference_mode()
def translate_recording(audio: Path, translator: Translator, style: str | None) -> np.ndarray:
    """Translate a recording's mel; silence stays silence.

    Args:
        audio: the recording.
        translator: on its device.
        style: name of a style; None for the style of the recording itself.

    Shape: (n_mels, samples // hop_length), float16.
    """
    config, info = translator.mel_config, probe_audio(audio)
    vector = _own_style(audio, translator) if style is None else translator.style_vector({style: 1.0})
    pieces = []
    for mel, first, last in _blocks(audio, translator):
        silent = find_silent_frames(mel, config)[:, None]
        translated = translator(mel, vector[None]).masked_fill(silent, config.log_floor)
        pieces.append(translated[0, :, first:last].half().cpu().numpy())
    # The last frame may be padded; a frame that is not wholly the recording's has no samples to go with it.
    frames = info.frames * config.sample_rate // info.sample_rate // config.hop_length
    return np.concatenate(pieces, axis=1)[:, :frames]


def _blocks(audio: Path, translator: Translator) -> Iterator[tuple[Tensor, int, int]]:
    """Mels of windows (1, n_mels, T), each with the frames of it that count."""
    config = translator.mel_config
    device = next(translator.parameters()).device
    log_mel = LogMel(config).to(device)
    layout = BlockLayout.for_networks(
        hop_length=config.hop_length,
        mel_context=config.context,
        frame_multiple=translator.frame_multiple,
        network_contexts=(translator.context_frames,),
        block_frames=BLOCK_FRAMES,
    )
    with AudioReader(audio, config.sample_rate, mono=True) as reader:
        for window in iterate_windows(reader.read, 1, layout):
            samples = torch.from_numpy(window.samples.copy()).to(device)
            yield log_mel(samples, padded=True), window.start - window.first_frame, window.stop - window.first_frame


def _own_style(audio: Path, translator: Translator) -> Tensor:
    config = translator.mel_config
    with AudioReader(audio, config.sample_rate, mono=True) as reader:
        wav = reader.read(round(REFERENCE_SECONDS * config.sample_rate))
    if wav.shape[1] <= config.context:
        raise UserError(f"it has {wav.shape[1]} samples, at least {config.context + 1} are needed")
    device = next(translator.parameters()).device
    return translator.style_of(LogMel(config).to(device)(torch.from_numpy(wav).to(device)))
