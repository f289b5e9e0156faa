"""Stereo: the mid is stylized, and what the channels differ in follows it, band by band and frame by frame.

The mid is the mono mix: the mean of the channels, each times a factor, which is 1 unless the channel is the inverse of
others (`audio.downmix`). What a channel differs by from the mid times its factor is split in every band into the part
that the mid predicts, as where an instrument is panned, and the rest, as of a room. The prediction is applied to the
stylized mid; the rest is turned up and down as the mid was. This is parametric stereo (Breebaart et al., 2005), with
the song's own residual in place of a decorrelator. A downmix of the result by the same factors is the stylized mid.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from stylize.blocks import ReadSamples
from stylize.silence import silence_gain
from stylize_core.audio.downmix import Polarity, cell_samples
from stylize_core.mel import MelConfig, ShortTimeTransform

BANDS = 48
"""Equally wide on the mel scale up to half of the sample rate; below 500 Hz they are about 60 Hz wide."""
SMOOTHING_FRAMES = 2
"""Frames on either side that a band's powers are averaged with."""
WIDTH_FRAMES = 43
"""Frames on either side, half a second, over which each octave keeps its ratio of side to mid."""
LIMIT = 10 ** (12 / 20)
"""The rest is turned up by at most this, and a channel predicted at no more than this times the mid. Nothing limits how
far the rest is turned down: where the mid falls by 30 dB and the rest by 12, the song's own bass would be left over."""
REST_SHARE = 0.01
"""Of the rest's power that is added to the mid's: what is hardly in the mid is left at its level."""


class StereoField(nn.Module):
    """Makes the channels of a song from its stylized mid.

    Args:
        config: the front-end whose transform is used.

    Shape:
        samples (C, T * hop_length + 2 * context), the song with `config.context` samples on either side; factors, the
        same; mid, the mean of their products, (1, ...); stylized (1, T * hop_length) -> (C, T * hop_length), where the
        mean of the result times the factors is `stylized`.
    """

    bands: Tensor
    octaves: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        self.transform = ShortTimeTransform(config)
        frequencies = np.linspace(0, config.sample_rate / 2, config.n_fft // 2 + 1)
        mel = 2595 * np.log10(1 + frequencies / 700)
        self.register_buffer("bands", _triangles(mel, np.linspace(0, mel[-1], BANDS)), persistent=False)
        octave = np.log2(np.maximum(frequencies, 1.0))
        centers = np.arange(np.log2(44.0), octave[-1])
        self.register_buffer("octaves", _triangles(octave, centers), persistent=False)

    @property
    def context_frames(self) -> int:
        """Frames on either side that an output frame can depend on: two windows and what is averaged."""
        return 2 * -(-self.config.win_length // self.config.hop_length) + SMOOTHING_FRAMES + WIDTH_FRAMES

    def forward(self, samples: Tensor, factors: Tensor, mid: Tensor, stylized: Tensor) -> Tensor:
        """Give the channels of a stylized stretch."""
        context = self.config.context
        padded = nn.functional.pad(stylized[:, None], (context, context), mode="reflect")[:, 0]
        before, after = self.transform.analyze(mid), self.transform.analyze(padded)
        is_pair = len(samples) == 2 and bool((factors == 1).all())  # the second's is the first's negated
        difference = self.transform.analyze((samples - factors * mid)[: 1 if is_pair else None])
        spectrum = self._keep_width(before, after, difference, self._follow(before, after, difference))
        wav = self.transform.synthesize(spectrum)[:, context : context + stylized.shape[-1]]
        silent = torch.maximum(difference.abs().amax(dim=(0, 1)), before.abs().amax(dim=(0, 1))) <= self.config.floor
        if silent.any():  # the windows of its neighbors reach into a silent frame
            wav = wav * silence_gain(silent[None], self.config)
        if is_pair:
            return stylized + torch.cat([wav, -wav])
        factors = factors[:, context : context + stylized.shape[-1]]
        wav = factors * stylized + wav
        missing = len(wav) * stylized - (factors * wav).sum(dim=0, keepdim=True)  # of what the factors add up to
        return wav + factors * missing / factors.square().sum(dim=0, keepdim=True)

    def _follow(self, before: Tensor, after: Tensor, difference: Tensor) -> Tensor:
        """What the channels differ by after the mid went from `before` to `after`: as `difference`, (C, bins, T)."""
        tiny = torch.finfo(torch.float32).tiny
        power = _mean_over_time(self.bands.T @ before.abs().square(), SMOOTHING_FRAMES)
        new_power = _mean_over_time(self.bands.T @ after.abs().square(), SMOOTHING_FRAMES)
        rest = REST_SHARE * _mean_over_time(self.bands.T @ difference.abs().square(), SMOOTHING_FRAMES) + tiny
        gain = self.bands @ ((new_power + rest) / (power + rest)).sqrt().clamp(max=LIMIT)
        shared = _mean_over_time(self.bands.T @ (difference * before.conj()).real, SMOOTHING_FRAMES)
        prediction = self.bands @ (shared / power.clamp(min=tiny)).clamp(-LIMIT, LIMIT)
        return prediction * after + gain * (difference - prediction * before)

    def _keep_width(self, before: Tensor, after: Tensor, difference: Tensor, result: Tensor) -> Tensor:
        """Scale the differences so that each octave has the song's ratio of difference to mid.

        A translation moves energy between frames and between bands, which are not all equally wide: without this,
        bass that was in the center is left as wide as the little that surrounded it.
        """

        def power(spectrum: Tensor) -> Tensor:
            return _mean_over_time(self.octaves.T @ spectrum.abs().square(), WIDTH_FRAMES)

        mid, new_mid = power(before), power(after)
        floor = 1e-6 * mid * new_mid + torch.finfo(torch.float32).tiny
        scale = (power(difference) * new_mid + floor) / (power(result) * mid + floor)
        return result * (self.octaves @ scale.sqrt().clamp(max=LIMIT))


def with_factors(read: ReadSamples, channels: int, sample_rate: int) -> ReadSamples:
    """Read the samples of a song, and below them by how much the factors of the mono mix are less than 1."""
    polarity, held, is_over = Polarity(channels, sample_rate), np.zeros((2 * channels, 0), np.float32), False

    def read_both(samples: int) -> np.ndarray:
        nonlocal held, is_over
        while held.shape[1] < samples and not is_over:
            piece = read(max(samples - held.shape[1], cell_samples(sample_rate)))
            is_over = piece.shape[1] == 0
            wav, factors = polarity.finish() if is_over else polarity.push(piece)
            held = np.concatenate([held, np.concatenate([wav, 1 - factors])], axis=1)
        given, held = held[:, :samples], held[:, samples:]
        return given

    return read_both


def _triangles(positions: np.ndarray, centers: np.ndarray) -> Tensor:
    """Triangles that overlap by half and add up to one at every position: (positions, centers)."""
    return torch.from_numpy(np.stack([np.interp(positions, centers, row) for row in np.eye(len(centers))], 1)).float()


def _mean_over_time(bands: Tensor, frames: int) -> Tensor:
    """The mean over neighboring frames, with the first and last ones repeated: (C, bands, T) -> (C, bands, T)."""
    padded = nn.functional.pad(bands, (frames, frames), mode="replicate")
    return nn.functional.avg_pool1d(padded, 2 * frames + 1, stride=1)
