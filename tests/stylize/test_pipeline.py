"""The pipeline: block-wise equals whole, lengths and channels are kept, silence stays silence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import soxr
import torch
from torch import Tensor, nn

from stylize import Stylizer
from stylize.listening.stimuli import measure_loudness
from stylize.silence import find_silent_frames, silence_gain
from stylize_core.audio.limiter import true_peaks
from stylize_core.audio.reader import ExactLengthResampler, read_audio
from stylize_core.errors import UserError
from stylize_core.mel import MelConfig

if TYPE_CHECKING:
    from tests.conftest import TinyModels
    from tests.stylize.conftest import Songs

HOP = 256


class IdentityTranslator(nn.Module):
    """Gives the mel back."""

    mel_config = MelConfig(n_mels=12)
    styles = ("same",)
    style_size = 1
    context_frames = 0
    frame_multiple = 1

    def forward(self, mel: Tensor, style: Tensor) -> Tensor:
        assert style.shape == (len(mel), 1)
        return mel


class LoudnessVocoder(nn.Module):
    """Every sample of a frame is the mean of its bins, so that the place of each output sample is known."""

    mel_config = MelConfig(n_mels=12)
    context_frames = 0

    def forward(self, mel: Tensor, first_frame: int = 0) -> Tensor:
        return (mel.mean(dim=1, keepdim=True) / 5).repeat_interleave(HOP, dim=-1)


def with_blocks(stylizer: Stylizer, block_frames: int) -> Stylizer:
    return Stylizer(stylizer.translator, stylizer.vocoder, "cpu", block_frames)


def reader_of(song: np.ndarray) -> Callable[[int], np.ndarray]:
    position = 0

    def read(count: int) -> np.ndarray:
        nonlocal position
        piece = song[:, position : position + count]
        position += piece.shape[1]
        return piece

    return read


def run(stylizer: Stylizer, song: np.ndarray, style: Tensor, strength: float = 1.0) -> np.ndarray:
    blocks = stylizer.blocks(reader_of(song), len(song), style, strength)
    return np.concatenate([block.wav for block in blocks], axis=1)


@torch.inference_mode()
def run_whole(stylizer: Stylizer, song: np.ndarray, style: Tensor, strength: float = 1.0) -> np.ndarray:
    """The definition: pad to whole frames, then each network once over the mean of the channels of the whole song."""
    samples, multiple = song.shape[1], stylizer.translator.frame_multiple
    least = max(stylizer.translator.context_frames, stylizer.vocoder.context_frames, 896 // HOP) + 1
    frames = -(-max(-(-samples // HOP), least) // multiple) * multiple
    padded = torch.from_numpy(np.pad(song, ((0, 0), (0, frames * HOP - samples))))
    mel = stylizer.log_mel(padded.mean(dim=0, keepdim=True))
    silent = find_silent_frames(mel, stylizer.mel_config)
    translated = stylizer.translator(mel, style.expand(len(mel), -1))
    blend = (1 - strength) * mel + strength * translated
    blend = torch.where(silent[:, None], torch.tensor(-5.0), blend)
    wav = stylizer.vocoder(blend)[:, 0] * silence_gain(silent, stylizer.mel_config)
    if len(song) > 1:
        context = stylizer.mel_config.context
        reflected = nn.functional.pad(padded[:, None], (context, context), mode="reflect")[:, 0]
        wav = stylizer.stereo(reflected, torch.ones_like(reflected), reflected.mean(dim=0, keepdim=True), wav)
    return wav[:, :samples].numpy()


def test_every_sample_is_in_its_place(songs: Songs) -> None:
    translator: Any = IdentityTranslator()
    vocoder: Any = LoudnessVocoder()
    song = songs.make(20 * HOP + 77)
    stylizer = Stylizer(translator, vocoder, block_frames=3)
    output = run(stylizer, song, torch.zeros(1))
    mel = stylizer.log_mel(torch.from_numpy(np.pad(song, ((0, 0), (0, HOP - 77)))))
    expected = (mel.mean(dim=1) / 5).numpy().repeat(HOP, axis=1)[:, : song.shape[1]]
    np.testing.assert_allclose(output, expected, atol=1e-6)


@pytest.mark.parametrize("block_frames", [4, 24, 1024])
@pytest.mark.parametrize("samples", [1, 2, 255, 257, 896, 897, 4001, 24 * HOP, 24 * HOP + 1, 40_003])
def test_blocks_equal_the_whole(tiny_stylizer: Stylizer, songs: Songs, samples: int, block_frames: int) -> None:
    song = songs.make(samples, channels=2)
    style = tiny_stylizer.named_style("jazz")
    whole = run_whole(tiny_stylizer, song, style)
    output = run(with_blocks(tiny_stylizer, block_frames), song, style)
    assert output.shape == song.shape
    np.testing.assert_allclose(output, whole, atol=1e-4)


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_blocks_equal_the_whole_at_any_strength(tiny_stylizer: Stylizer, songs: Songs, strength: float) -> None:
    song = songs.make(30_000)
    style = tiny_stylizer.named_style("jazz:0.7,metal:0.3")
    output = run(with_blocks(tiny_stylizer, 16), song, style, strength)
    np.testing.assert_allclose(output, run_whole(tiny_stylizer, song, style, strength), atol=1e-4)
    assert np.std(output) > 0.01


def test_no_click_at_a_join(tiny_stylizer: Stylizer, songs: Songs) -> None:
    song = songs.make(60_000)
    style = tiny_stylizer.named_style("metal")
    stylizer = with_blocks(tiny_stylizer, 32)
    joins = np.arange(32 * HOP, 60_000, 32 * HOP)
    steps = np.diff(run(stylizer, song, style)[0])[joins - 1]
    expected = np.diff(run_whole(tiny_stylizer, song, style)[0])[joins - 1]
    assert len(joins) == 7
    np.testing.assert_allclose(steps, expected, atol=1e-4)


def test_without_context_blocks_do_differ(tiny_stylizer: Stylizer, songs: Songs) -> None:
    """The tests above would notice: these networks do look at their neighbourhood."""
    song = songs.make(60_000)
    style = tiny_stylizer.named_style("metal")
    stylizer = with_blocks(tiny_stylizer, 32)
    stylizer.layout = dataclasses.replace(stylizer.layout, context_frames=0)
    difference = np.abs(run(stylizer, song, style) - run_whole(tiny_stylizer, song, style))
    assert difference.max() > 1e-2


@pytest.mark.parametrize("channels", [2, 3])
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_downmix_of_the_result_is_the_result_of_a_downmix(
    tiny_stylizer: Stylizer, songs: Songs, channels: int, strength: float
) -> None:
    song = songs.make(12_345, channels=channels)
    style = tiny_stylizer.named_style("blues")
    mono = run(tiny_stylizer, song.mean(axis=0, keepdims=True), style, strength)
    error = run(tiny_stylizer, song, style, strength).mean(axis=0) - mono[0]
    assert 20 * np.log10(error.std() / mono.std()) < -60


def test_identical_channels_stay_identical(tiny_stylizer: Stylizer, songs: Songs) -> None:
    song = songs.make(20_000)
    style = tiny_stylizer.named_style("blues")
    output = run(tiny_stylizer, np.repeat(song, 2, axis=0), style)
    assert np.array_equal(output[0], output[1])
    np.testing.assert_allclose(output[:1], run(tiny_stylizer, song, style), atol=1e-5)


def test_strength_zero_is_the_vocoder_on_the_songs_own_mel(tiny_stylizer: Stylizer, songs: Songs) -> None:
    song = songs.make(64 * HOP)
    output = run(tiny_stylizer, song, tiny_stylizer.named_style("metal"), strength=0.0)
    with torch.inference_mode():
        expected = tiny_stylizer.vocoder(tiny_stylizer.log_mel(torch.from_numpy(song)))[:, 0].numpy()
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_styles_differ_and_a_mixture_of_one_is_that_one(tiny_stylizer: Stylizer, songs: Songs) -> None:
    song = songs.make(20_000)
    jazz, metal, mixed = (run(tiny_stylizer, song, tiny_stylizer.named_style(to)) for to in ("jazz", "metal", "jazz:1"))
    assert np.array_equal(jazz, mixed)
    assert np.abs(jazz - metal).max() > 1e-3


def test_silence_stays_exactly_silent(tiny_stylizer: Stylizer) -> None:
    output = run(tiny_stylizer, np.zeros((2, 30_001), dtype=np.float32), tiny_stylizer.named_style("jazz"))
    assert output.shape == (2, 30_001)
    assert not output.any()


@pytest.mark.parametrize("block_frames", [8, 1024])
def test_a_silent_stretch_stays_silent_and_the_rest_sounds(
    tiny_stylizer: Stylizer, songs: Songs, block_frames: int
) -> None:
    song = songs.make(60_000)
    song[:, 20_000:40_000] = 0
    style = tiny_stylizer.named_style("jazz")
    output = run(with_blocks(tiny_stylizer, block_frames), song, style)
    assert not output[:, 21_100:38_900].any()
    assert np.std(output[:, :20_000]) > 0.01
    assert np.std(output[:, 40_000:]) > 0.01
    np.testing.assert_allclose(output, run_whole(tiny_stylizer, song, style), atol=1e-4)


def test_mels_of_the_blocks_are_the_mels_of_the_song(tiny_stylizer: Stylizer, songs: Songs) -> None:
    song = songs.make(64 * HOP)
    style = tiny_stylizer.named_style("jazz")
    blocks = list(with_blocks(tiny_stylizer, 16).blocks(reader_of(song), 1, style))
    before = torch.cat([block.mel_before for block in blocks], dim=-1)
    after = torch.cat([block.mel_after for block in blocks], dim=-1)
    expected = tiny_stylizer.log_mel(torch.from_numpy(song))
    torch.testing.assert_close(before, expected, atol=1e-4, rtol=0)
    assert after.shape == before.shape
    assert (after - before).abs().max() > 0.01


@pytest.mark.parametrize(("rate", "other"), [(22050, 44100), (22050, 48000), (22050, 8000), (22050, 22050)])
def test_resampling_gives_the_length_asked_for(songs: Songs, rate: int, other: int) -> None:
    song = songs.make(30_001, channels=2)
    true_length = -(-30_001 * other // rate)
    whole = soxr.resample(np.pad(song, ((0, 0), (0, 50))).T, rate, other, quality="HQ").T
    for length in (true_length - 1, true_length, true_length + 3):
        resampler = ExactLengthResampler(rate, other, 2, length)
        pieces = [resampler.push(song[:, start : start + 777]) for start in range(0, 30_001, 777)]
        result = np.concatenate([*pieces, resampler.finish()], axis=1)
        assert result.shape == (2, length)
        np.testing.assert_allclose(result[:, :true_length], whole[:, : min(length, true_length)], atol=1e-3)


def test_reference_gives_its_style(tiny_stylizer: Stylizer, songs: Songs, tmp_path: Path) -> None:
    style, weights = tiny_stylizer.style_like(songs.write(tmp_path / "a.wav", 40_000, channels=2, rate=44100))
    other, _ = tiny_stylizer.style_like(songs.write(tmp_path / "b.ogg", 60_000))
    assert tuple(weights) == tiny_stylizer.styles and sum(weights.values()) == pytest.approx(1.0)
    assert style.shape == (tiny_stylizer.translator.style_size,)
    assert float(style.norm()) == pytest.approx(1.0, abs=1e-5)
    assert not torch.allclose(style, other, atol=1e-6)


def test_silent_reference_is_refused(tiny_stylizer: Stylizer, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(30_000), 22050)
    with pytest.raises(UserError, match="is silent"):
        tiny_stylizer.style_like(tmp_path / "silent.wav")


def test_three_lines_of_python(tiny_models: TinyModels, songs: Songs, tmp_path: Path) -> None:
    source = songs.write(tmp_path / "song.wav", 30_001, channels=2, rate=44100)
    stylizer = Stylizer.from_pretrained(tiny_models.translator, tiny_models.vocoder, device="cpu")
    done: list[float] = []
    result = stylizer.stylize_file(source, tmp_path / "out.wav", to="jazz", progress=done.append)
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.frames, info.channels, info.samplerate) == (30_001, 2, 44100)
    assert result.seconds == pytest.approx(30_001 / 44100)
    assert result.real_time_factor == pytest.approx(result.seconds / result.elapsed)
    assert done[-1] == pytest.approx(result.seconds, abs=1e-3)
    with pytest.raises(UserError, match="exists already"):
        stylizer.stylize_file(source, tmp_path / "out.wav", to="jazz")
    with pytest.raises(UserError, match="unknown style 'polka'"):
        stylizer.stylize_file(source, tmp_path / "new.wav", to="polka")
    with pytest.raises(UserError, match="is a folder"):
        stylizer.stylize_file(tmp_path, tmp_path / "new", to="jazz")


@pytest.mark.parametrize(("loudness", "expected"), [("song", None), ("-30", -30.0), ("off", None)])
def test_the_output_is_as_loud_as_the_song_or_as_asked(
    tiny_stylizer: Stylizer, songs: Songs, tmp_path: Path, loudness: str, expected: float | None
) -> None:
    source = songs.write(tmp_path / "song.wav", 44_100, channels=2)
    style = tiny_stylizer.named_style("jazz")
    result = tiny_stylizer.stylize_file(source, tmp_path / "out.wav", to="jazz", loudness=loudness)
    wav, rate = soundfile.read(tmp_path / "out.wav")
    song, _ = soundfile.read(source)
    own = run(tiny_stylizer, song.T.astype(np.float32), style).T
    own_loudness, song_loudness = (measure_loudness(sound.T, rate) for sound in (own, song))
    assert own_loudness is not None and song_loudness is not None and abs(own_loudness - song_loudness) > 1.0
    wanted = {"song": song_loudness, "off": own_loudness}.get(loudness, expected)
    assert measure_loudness(wav.T, rate) == pytest.approx(wanted, abs=0.5)
    assert (result.gain == 1.0) == (loudness == "off")
    assert true_peaks(wav.T).max() <= 10 ** (-0.95 / 20)


def test_the_result_says_what_changed(tiny_stylizer: Stylizer, songs: Songs, tmp_path: Path) -> None:
    source = songs.write(tmp_path / "song.wav", 44_100)
    unchanged = tiny_stylizer.stylize_file(source, tmp_path / "0.wav", to="jazz:0.7,metal:0.3", strength=0.0)
    changed = tiny_stylizer.stylize_file(source, tmp_path / "1.wav", like=source)
    assert unchanged.change_db == 0.0 and not unchanged.by_example
    assert unchanged.styles == {"jazz": pytest.approx(0.7), "metal": pytest.approx(0.3)}
    song = soundfile.read(source, dtype="float32")[0][None]
    (block,) = tiny_stylizer.blocks(reader_of(song), 1, tiny_stylizer.style_like(source).vector)
    difference = 20 * float((block.mel_after - block.mel_before)[..., : 44_100 // HOP].abs().mean())
    assert changed.change_db == pytest.approx(difference, rel=0.02) and changed.by_example


def test_networks_of_different_mels_do_not_join() -> None:
    translator: Any = IdentityTranslator()
    vocoder: Any = LoudnessVocoder()
    vocoder.mel_config = MelConfig(n_mels=80)
    with pytest.raises(UserError, match="n_mels: 12 / 80"):
        Stylizer(translator, vocoder)


def test_modes_of_the_networks_are_left_alone(tiny_stylizer: Stylizer, songs: Songs) -> None:
    run(tiny_stylizer, songs.make(5_000), tiny_stylizer.named_style("jazz"))
    assert not tiny_stylizer.translator.training
    assert not tiny_stylizer.vocoder.training


def test_a_song_with_an_inverted_channel_is_heard(tiny_stylizer: Stylizer, songs: Songs, tmp_path: Path) -> None:
    wav = songs.make(20_000)[0]
    made = {}
    for sign in (1, -1):
        soundfile.write(tmp_path / "song.wav", np.stack([wav, sign * wav], axis=1), 22050, subtype="FLOAT")
        tiny_stylizer.stylize_file(tmp_path / "song.wav", tmp_path / "out.wav", to="jazz", force=True)
        made[sign] = read_audio(tmp_path / "out.wav", mono=False)[0]
    assert np.abs(made[1]).max() > 0.01
    np.testing.assert_allclose(made[-1], made[1] * [[1], [-1]], atol=1e-3)


@pytest.mark.parametrize("channels", [2, 3])
def test_a_part_with_an_inverted_channel_keeps_its_sound(tiny_stylizer: Stylizer, songs: Songs, channels: int) -> None:
    rate, style = tiny_stylizer.mel_config.sample_rate, tiny_stylizer.named_style("jazz")
    wav = songs.make(7 * rate)[0]
    signs = np.where(np.arange(len(wav)) < 4 * rate, 1, -1).astype(np.float32)
    song = np.stack([wav, *[wav * signs] * (channels - 1)])
    mono = run(tiny_stylizer, wav[None], style)[0]
    output = run(with_blocks(tiny_stylizer, 256), song, style)
    np.testing.assert_allclose(output, run(with_blocks(tiny_stylizer, 1024), song, style), atol=1e-4)
    for part, sign in ((slice(0, 2 * rate), 1), (slice(6 * rate, None), -1)):
        np.testing.assert_allclose(output[:, part], mono[part] * [[1], *[[sign]] * (channels - 1)], atol=1e-3)
    level = mono[2 * rate : 6 * rate].std()
    for start in range(2 * rate, 6 * rate, rate // 4):  # where the factor changes
        assert (output[:, start : start + rate // 4].std(axis=1) > 0.3 * level).all()
    assert np.abs(np.diff(output)).max() < 4 * np.abs(np.diff(mono)).max()
