"""From a song to the same song in another style: audio, mel, translator, vocoder, audio, block by block."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from melgan import Vocoder
from stylize.blocks import BlockLayout, ReadSamples, Window, iterate_windows, read_excerpt
from stylize.mixture import check_known, parse_styles
from stylize.models import ModelPair, check_same_mel, find_device, read_pair
from stylize.picture import MelHistory, save_picture
from stylize.request import Request, inspect_song, plan_jobs, target_loudness
from stylize.silence import find_silent_frames, ramp_frames, silence_gain
from stylize.stereo import StereoField, with_factors
from stylize_core.audio.loudness import LoudnessMeter, Mastering
from stylize_core.audio.reader import (
    AudioInfo,
    AudioReader,
    AudioWriter,
    ExactLengthResampler,
    matching_subtype,
    resampled_length,
    scan_audio,
)
from stylize_core.errors import UserError
from stylize_core.mel import LogMel, MelConfig, band_frequencies
from travelgan import Translator
from travelgan.translator import ExampleStyle

BLOCK_FRAMES = 2048
REFERENCE_SECONDS = 120.0
"""A style is taken from at most so much of a reference recording."""

Progress = Callable[[float], None]
"""Called with the seconds of the song that are done."""


@dataclass(frozen=True)
class Block:
    """A stylized stretch of a song."""

    wav: np.ndarray  # (channels, samples) at the models' rate; together the blocks are as long as the song
    mel_before: Tensor  # of the mono mix, (1, n_mels, frames), log10
    mel_after: Tensor  # the same, as the vocoder saw it


@dataclass(frozen=True)
class Style:
    """Target style of a song."""

    vector: Tensor  # (style_size,)
    weights: Mapping[str, float]  # of the named styles in it
    by_example: bool = False  # whether it is that of a recording


@dataclass(frozen=True)
class Result:
    """Result of a song.

    Args:
        path: of the file written.
        seconds: its duration.
        elapsed: seconds of work.
        styles: weight of each style that was asked for, or that was classified in the reference; they add up to 1.
        by_example: whether a reference gave the style.
        strength: as it was asked for.
        change_db: mean difference that the translator made to the mel spectrogram where the song sounds, dB.
        gain: factor that brought the output to its loudness.
        limited_db: by how much the highest peak was turned down after that, dB; see `stylize_core.audio.limiter`.
        missing: by how much the output is quieter than it was to be, LU; see `stylize_core.audio.loudness`.
    """

    path: Path
    seconds: float
    elapsed: float
    styles: Mapping[str, float]
    by_example: bool = False
    strength: float = 1.0
    change_db: float = 0.0
    gain: float = 1.0
    limited_db: float = 0.0
    missing: float = 0.0

    @property
    def real_time_factor(self) -> float:
        """Seconds of music for a second of work; above 1 is faster than real time."""
        return self.seconds / max(self.elapsed, 1e-9)


class Stylizer:
    """A translator and a vocoder joined to a pipeline for songs of any length.

    Args:
        translator: mel to mel of another style.
        vocoder: mel to waveform, of the same `MelConfig`.
        device: where they run.
        block_frames: mel frames worked on at once; memory grows with it, the result does not depend on it.

    Raises:
        UserError: the two use different mel spectrograms.
    """

    def __init__(
        self,
        translator: Translator,
        vocoder: Vocoder,
        device: torch.device | str = "cpu",
        block_frames: int = BLOCK_FRAMES,
    ) -> None:
        check_same_mel(translator.mel_config, vocoder.mel_config)
        self.mel_config = translator.mel_config
        self.device = torch.device(device)
        self.translator = translator.eval().to(self.device)
        self.vocoder = vocoder.eval().to(self.device)
        self.log_mel = LogMel(self.mel_config).to(self.device)
        self.stereo = StereoField(self.mel_config).to(self.device)
        self.layout = BlockLayout.for_networks(
            hop_length=self.mel_config.hop_length,
            mel_context=self.mel_config.context,
            frame_multiple=translator.frame_multiple,
            network_contexts=(translator.context_frames, vocoder.context_frames),
            block_frames=block_frames,
            further_context=ramp_frames(self.mel_config) + self.stereo.context_frames,
        )

    @classmethod
    def from_pretrained(
        cls, model: Path | str | None = None, vocoder: Path | str | None = None, device: str = "auto"
    ) -> Stylizer:
        """Load two model folders, the bundled ones where none is named.

        Raises:
            UserError: missing, foreign or corrupted models, models that do not fit together, no such device.
        """
        pair = read_pair(Path(model) if model else None, Path(vocoder) if vocoder else None)
        chosen = find_device(device)
        stylizer = cls(Translator.from_pretrained(pair.translator), Vocoder.from_pretrained(pair.vocoder), chosen)
        stylizer._check_finite(pair)
        return stylizer

    @torch.inference_mode()
    def _check_finite(self, pair: ModelPair) -> None:
        """Try the networks on a few frames: finite weights may be large enough to overflow."""
        bands, frames = self.mel_config.n_mels, max(4, self.translator.frame_multiple)
        mel = torch.linspace(self.mel_config.log_floor, 1.0, bands * frames, device=self.device).view(1, bands, frames)
        style = self.translator.style_vector({self.styles[0]: 1.0}).to(self.device)[None]
        for folder, output in ((pair.translator, self.translator(mel, style)), (pair.vocoder, self.vocoder(mel))):
            if not output.isfinite().all():
                raise UserError(f"the model {folder} makes NaN or infinite values: its weights are damaged; "
                                f"fetch or export it again")  # fmt: skip

    @property
    def styles(self) -> tuple[str, ...]:
        """Names that `to` understands."""
        return self.translator.styles

    def named_style(self, to: str) -> Tensor:
        """The style vector of `jazz` or `jazz:0.7,metal:0.3`, (style_size,).

        Raises:
            UserError: unknown styles, weights that do not add up.
        """
        weights = parse_styles(to, self.styles)
        check_known(weights, self.styles)
        return self.translator.style_vector(weights).to(self.device)

    @torch.inference_mode()
    def style_like(self, reference: Path | str) -> ExampleStyle:
        """The style of a recording, from its first two minutes, and the named styles classified in it.

        Raises:
            UserError: unreadable or silent recording.
        """
        rate = self.mel_config.sample_rate
        with AudioReader(reference, sample_rate=rate, mono=True) as reader:
            wav = reader.read(round(REFERENCE_SECONDS * rate))
        length = self.layout.song_frames(wav.shape[1]) * self.layout.hop_length
        padded = np.pad(wav, ((0, 0), (0, length - wav.shape[1])))
        mel = self.log_mel(torch.from_numpy(padded).to(self.device))
        sounding = ~find_silent_frames(mel, self.mel_config)[0]
        if not sounding.any():
            raise UserError(f"{reference} is silent for {REFERENCE_SECONDS:g} s; give a recording that sounds")
        return self.translator.style_by_example(mel[..., : int(sounding.nonzero()[-1]) + 1])

    def stylize_file(
        self,
        source: Path | str,
        output: Path | str | None = None,
        *,
        to: str | None = None,
        like: Path | str | None = None,
        strength: float = 1.0,
        loudness: str = "song",
        sample_rate: int | None = None,
        picture: Path | str | None = None,
        force: bool = False,
        offset: float = 0.0,
        duration: float | None = None,
        bits: str | None = None,
        quality: float | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Check a song, stylize it and write the result.

        `progress` is called with the seconds done; the other options are those of :class:`stylize.request.Request`.

        Raises:
            UserError: anything about these that cannot be done; nothing is written then.
        """
        request = Request(
            Path(source), _path(output), to, _path(like), strength, force, offset, duration,
            sample_rate=sample_rate, bits=bits, quality=quality, loudness=loudness, picture=_path(picture),
        )  # fmt: skip
        if request.source.is_dir():
            raise UserError(f"{source} is a folder; give one song")
        (job,) = plan_jobs(request, self.styles)
        info = inspect_song(job, request)
        if request.like is not None:
            scan_audio(request.like)
        return self.convert(info, job.output, self.style_for(request), request, progress)

    def style_for(self, request: Request) -> Style:
        """The style that an request asks for."""
        if request.to is not None:
            return Style(self.named_style(request.to), request.weights(self.styles))
        return Style(*self.style_like(str(request.like)), by_example=True)

    def convert(
        self, info: AudioInfo, output: Path, style: Style, request: Request, progress: Progress | None = None
    ) -> Result:
        """Stylize a song that :func:`stylize.request.inspect_song` has checked.

        Args:
            info: the song.
            output: the file to write.
            style: see :meth:`style_for`.
            request: for strength, sample rate, loudness, picture and force.
            progress: called with the seconds done.

        Raises:
            UserError: the song has changed since, the disk is full.
        """
        started = time.perf_counter()
        rate, output_rate = self.mel_config.sample_rate, request.sample_rate or info.sample_rate
        first, frames = request.excerpt(info)
        length = resampled_length(frames, info.sample_rate, output_rate)
        subtype = matching_subtype(info.subtype, output, request.bits)
        histories = (MelHistory(), MelHistory())
        done = 0
        change, mastering, song = _Change(self.mel_config), Mastering(), LoudnessMeter(rate, info.channels)
        with (
            AudioReader(info.path, sample_rate=rate) as reader,
            AudioWriter(
                output, output_rate, info.channels, subtype, request.force, mastering, request.quality, info.path
            ) as writer,
        ):
            part = read_excerpt(
                reader.read,
                resampled_length(first, info.sample_rate, rate),
                resampled_length(frames, info.sample_rate, rate) if frames < info.frames else None,
            )

            def read(samples: int) -> np.ndarray:
                piece = part(samples)
                song.push(piece)
                return piece

            resampler = ExactLengthResampler(rate, output_rate, info.channels, length)
            for block in self.blocks(read, info.channels, style.vector, request.strength):
                writer.write(resampler.push(block.wav))
                done += block.wav.shape[1]
                change.add(block)
                if request.picture is not None:
                    for history, mel in zip(histories, (block.mel_before, block.mel_after), strict=True):
                        history.add(mel.mean(dim=0).cpu().numpy())
                if progress is not None:
                    progress(done / rate)
            writer.write(resampler.finish())
            mastering.loudness = target_loudness(request.loudness, song.integrated)
        elapsed = time.perf_counter() - started
        if request.picture is not None:
            before, after = (history.image() for history in histories)
            frequencies = band_frequencies(self.mel_config).numpy()
            title, seconds = request.label(self.styles), length / output_rate
            save_picture(request.picture, before, after, frequencies=frequencies, seconds=seconds, title=title)
        return Result(
            output,
            length / output_rate,
            elapsed,
            style.weights,
            style.by_example,
            request.strength,
            change.decibels,
            mastering.gain,
            mastering.limited_db,
            mastering.missing,
        )

    def blocks(self, read: ReadSamples, channels: int, style: Tensor, strength: float = 1.0) -> Iterator[Block]:
        """Stylize a stream of samples at the models' rate, in constant memory.

        Whatever the length of a block, together they equal, to rounding, what the networks make of the whole
        song at once, padded with zeros at its end to whole frames and reflected where the mel needs more.

        Args:
            read: gives the samples in order, (channels, <= n).
            channels: of the song; their mono mix is stylized, and what they differ in follows it (`stylize.stereo`).
            style: (style_size,).
            strength: see :class:`stylize.request.Request`.
        """
        both = with_factors(read, channels, self.mel_config.sample_rate)
        for window in iterate_windows(both, 2 * channels, self.layout):
            yield self._stylize_window(window, style, strength)

    @torch.inference_mode()
    def _stylize_window(self, window: Window, style: Tensor, strength: float) -> Block:
        samples, less = torch.from_numpy(np.ascontiguousarray(window.samples)).to(self.device).chunk(2)
        mid = (samples * (1 - less)).mean(dim=0, keepdim=True)
        mel_before = self.log_mel(mid, padded=True)
        silent = find_silent_frames(mel_before, self.mel_config)
        mel_after = self._translate(mel_before, style, strength)
        mel_after = mel_after.masked_fill(silent[:, None], self.mel_config.log_floor)
        wav = self.vocoder(mel_after, window.first_frame)[:, 0]
        if silent.any():
            wav = wav * silence_gain(silent, self.mel_config)
        if (samples != samples[:1]).any():
            wav = self.stereo(samples, 1 - less, mid, wav.float())
        first, last = window.start - window.first_frame, window.stop - window.first_frame
        begin = first * self.layout.hop_length
        wav = wav[:, begin : begin + window.song_samples].float().expand(len(samples), -1)
        return Block(wav.cpu().numpy(), mel_before[..., first:last], mel_after[..., first:last])

    def _translate(self, mel: Tensor, style: Tensor, strength: float) -> Tensor:
        """Blend the mel and its translation in the log domain."""
        if strength == 0.0:
            return mel
        translated = self.translator(mel, style.to(mel).expand(len(mel), -1))
        return translated if strength == 1.0 else torch.lerp(mel, translated, strength)


class _Change:
    """How much the translator changed, over the frames of a song that sound."""

    def __init__(self, config: MelConfig) -> None:
        self._config = config
        self._total, self._frames = 0.0, 0

    def add(self, block: Block) -> None:
        """Take in a block."""
        difference = (block.mel_after - block.mel_before).abs().mean(dim=1)  # none in silent frames
        self._total += float(difference.sum())
        self._frames += int((~find_silent_frames(block.mel_before, self._config)).sum())

    @property
    def decibels(self) -> float:
        """The mean over all bands and frames so far; 0 for silence."""
        return 20 * self._total / max(1, self._frames)


def _path(value: Path | str | None) -> Path | None:
    return None if value is None else Path(value)
