"""Oscillators: phases run on in absolute time, the height of a partial is kept, and any block can stand alone."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from melgan import GeneratorConfig, Vocoder
from melgan.config import OscillatorHeadConfig
from melgan.oscillators import OscillatorBank, line_frequencies
from stylize_core.mel import LogMel, MelConfig

MEL = MelConfig()
HEAD = OscillatorHeadConfig()
CONFIG = GeneratorConfig(
    n_mels=192, width=16, ratios=(), residual_layers=0, frame_layers=2, head=HEAD, scale_input=True
)
FRAMES = 172
RATE = MEL.sample_rate


def tone(frequency: float, frames: int = FRAMES, amplitude: float = 0.3) -> Tensor:
    time = torch.arange(frames * MEL.hop_length, dtype=torch.float64) / RATE
    return (amplitude * torch.sin(2 * math.pi * frequency * time)).float()[None]


@pytest.fixture(scope="module")
def untrained() -> Vocoder:
    torch.manual_seed(0)
    vocoder = Vocoder(CONFIG, MEL).eval()
    torch.nn.init.zeros_(vocoder.generator.head.last.conv.weight)  # type: ignore[union-attr,arg-type]
    return vocoder.requires_grad_(False)


def spectrum_of(wav: Tensor) -> Tensor:
    middle = wav.flatten()[8192 : 8192 + 32768].double()
    return torch.fft.rfft(middle * torch.hann_window(len(middle), dtype=torch.float64)).abs()


@pytest.mark.parametrize("frequency", [110.3, 440.0, 1234.5, 3000.0])
def test_a_tone_keeps_its_height_and_its_loudness(untrained: Vocoder, frequency: float) -> None:
    wav = tone(frequency)
    made = untrained(LogMel(MEL)(wav))
    loudest = int(spectrum_of(made).argmax()) * RATE / 32768
    assert abs(1200 * math.log2(loudest / frequency)) < 6 or abs(loudest - frequency) < 1.0
    ratio = float(made[..., 8192:-8192].square().mean().sqrt() / wav[..., 8192:-8192].square().mean().sqrt())
    assert 0.3 < ratio < 2.0


def test_a_steady_tone_does_not_repeat_with_the_frames(untrained: Vocoder) -> None:
    """A network that sees only the mel has nearly all its energy at multiples of the frame rate."""
    mel = LogMel(MEL)(tone(473.7))  # midway between two multiples
    steady = mel[..., 86:87].expand(-1, -1, FRAMES)
    power = spectrum_of(untrained(steady)).square()
    frame_rate = RATE / MEL.hop_length
    on_lines = sum(power[round(n * frame_rate * 32768 / RATE) + d] for n in range(1, 60) for d in range(-3, 4))
    assert float(on_lines / power.sum()) < 0.02


def test_phases_are_exact_after_hours() -> None:
    bank = OscillatorBank(HEAD, MEL)
    frame = 600_000_011
    phases = bank._phases(3, torch.tensor([frame]))[0]
    for line in (0, 100, len(bank.steps) - 1):
        step, offset = int(bank.steps[line]), int(bank.offsets[line])
        for index in range(3):
            turns = Fraction(step * (frame + index) + offset, 2**32) % 1
            assert float(phases[line, index]) == pytest.approx(float(turns) * 2 * math.pi, abs=1e-5)


def test_lines_have_the_frequencies_they_say() -> None:
    bank = OscillatorBank(HEAD, MEL)
    lines = line_frequencies(HEAD, RATE / 2)
    assert float(lines[0]) == 25.0 and RATE / 2 * 0.98 < float(lines[-1]) < RATE / 2
    gaps = lines[1:] - lines[:-1]
    assert float(gaps.min()) == pytest.approx(1.0)
    assert float((1200 * torch.log2(lines[1:] / lines[:-1]))[-1]) == pytest.approx(12.0)
    phases = bank._phases(2, torch.tensor([0])).double()[0]
    advance = (phases[:, 1] - phases[:, 0]) / (2 * math.pi)
    wanted = lines * MEL.hop_length / RATE
    difference = (advance - wanted + 0.5) % 1 - 0.5
    assert float(difference.abs().max()) < 1e-6


def test_each_song_of_a_batch_has_its_own_place(untrained: Vocoder) -> None:
    mel = LogMel(MEL)(tone(440.0, 40)).expand(2, -1, -1)
    both = untrained(mel, torch.tensor([7, 1000]))
    torch.testing.assert_close(both[:1], untrained(mel[:1], 7), atol=1e-6, rtol=0)
    torch.testing.assert_close(both[1:], untrained(mel[:1], 1000), atol=1e-6, rtol=0)
    assert float((both[0] - both[1]).abs().max()) > 0.01


def test_blocks_with_context_equal_the_whole() -> None:
    torch.manual_seed(1)
    vocoder = Vocoder(CONFIG, MEL).eval()
    torch.nn.init.normal_(vocoder.generator.head.last.conv.weight, std=0.05)  # type: ignore[union-attr,arg-type]
    vocoder.refine_iterations = 2
    mel = LogMel(MEL)(tone(523.0, 150) + tone(1500.0, 150)) + 0.05 * torch.randn(1, 192, 150)
    hop, context = MEL.hop_length, vocoder.context_frames
    with torch.inference_mode():
        whole = vocoder(mel, 5000)
        for start, stop in ((0, 50), (50, 120), (120, 150)):
            first, last = max(0, start - context), min(150, stop + context)
            part = vocoder(mel[..., first:last], 5000 + first)[..., (start - first) * hop : (stop - first) * hop]
            torch.testing.assert_close(part, whole[..., start * hop : stop * hop], atol=2e-5, rtol=0)
        elsewhere = vocoder(mel[..., 10:], 5000)[..., 60 * hop : 90 * hop]
        assert float((elsewhere - whole[..., 70 * hop : 100 * hop]).abs().max()) > 0.01


def test_the_context_is_reached_and_not_exceeded() -> None:
    torch.manual_seed(2)
    vocoder = Vocoder(CONFIG, MEL).eval()
    torch.nn.init.normal_(vocoder.generator.head.last.conv.weight, std=0.05)  # type: ignore[union-attr,arg-type]
    mel = torch.rand(1, 192, 61) * 3 - 3
    changed = mel.clone()
    changed[..., 30] += 0.5
    with torch.inference_mode():
        touched = ((vocoder(mel) - vocoder(changed)).abs() > 1e-7).flatten().nonzero()[:, 0] // MEL.hop_length
    assert 30 - vocoder.context_frames <= int(touched.min()) <= 30 - vocoder.context_frames + 3
    assert 30 + vocoder.context_frames - 3 <= int(touched.max()) <= 30 + vocoder.context_frames


def test_a_small_change_of_the_mel_changes_little(untrained: Vocoder) -> None:
    generator = torch.Generator().manual_seed(3)
    mel = LogMel(MEL)(tone(440.0, 60) + 0.1 * torch.randn(1, 60 * 256, generator=generator))
    nearly = mel + 1e-6 * torch.randn(mel.shape, generator=generator)
    assert float((untrained(mel) - untrained(nearly)).abs().max()) < 1e-4


def test_silence_is_nearly_silent(untrained: Vocoder) -> None:
    silent = torch.full((1, 192, 40), MEL.log_floor)
    assert float(untrained(silent).abs().max()) < 10 ** (-70 / 20)


def test_the_transform_must_divide_the_front_ends() -> None:
    with pytest.raises(ValueError, match="n_fft 1536 must divide the front-end's n_fft 2048"):
        OscillatorBank(OscillatorHeadConfig(n_fft=1536), MEL)
    with pytest.raises(ValueError, match=r"ratios must be \[\] for the head oscillators, got \[2\]"):
        GeneratorConfig(ratios=(2,), head=HEAD)


DRIFTING = replace(HEAD, drift=0.2)


def test_low_lines_do_not_drift_and_high_ones_do_by_what_is_written() -> None:
    """Against the sum of sines in plain doubles, at the start and after hours."""
    pure, drifting = OscillatorBank(HEAD, MEL), OscillatorBank(DRIFTING, MEL)
    lines = line_frequencies(HEAD, RATE / 2)
    first_drifting = int((lines > 1500.0).nonzero()[0])
    frame = 90_000_017
    extra = (drifting._phases(4, torch.tensor([frame])) - pure._phases(4, torch.tensor([frame])))[0].double()
    assert float(extra[:first_drifting].abs().max()) == 0.0
    for line in (first_drifting, first_drifting + 40, len(lines) - 1):
        height = 1.6 * min(float(lines[line]) / 1500.0 - 1, 1.0)
        place = line - first_drifting
        for index in range(4):
            expected = 0.0
            for term in range(3):
                step = int(drifting.drift_steps[term, place])
                turns = Fraction(step * (frame + index) + int(drifting.drift_offsets[term, place]), 2**32) % 1
                expected += height * math.sin(float(turns) * 2 * math.pi)
            assert float(extra[line, index]) == pytest.approx(expected, abs=1e-4)
    gap = lines[first_drifting:] * (2 ** (12 / 1200) - 1)
    rates = drifting.drift_steps.double() / 2**32 * RATE / MEL.hop_length
    assert bool((rates <= 0.2 * gap * 1.0001).all()) and bool((rates >= 0.3 * 0.2 * gap * 0.999).all())


def test_noise_is_no_chord_of_the_lines() -> None:
    """Pure lines stand 10 dB and more out of what is made of the mel of noise; drifting ones hardly."""
    torch.manual_seed(2)
    noise = 0.1 * torch.randn(1, 8 * RATE)
    made = {}
    for name, head in (("pure", HEAD), ("drifting", DRIFTING)):
        vocoder = Vocoder(replace(CONFIG, head=head), MEL).eval().requires_grad_(False)
        torch.nn.init.zeros_(vocoder.generator.head.last.conv.weight)  # type: ignore[union-attr,arg-type]
        made[name] = vocoder(LogMel(MEL)(noise)).flatten()

    def height(wav: Tensor) -> float:
        """Mean height over their surroundings of the lines from 4 to 10 kHz, dB."""
        power = wav[: 6 * RATE].double().unfold(0, RATE, RATE // 2)
        power = torch.fft.rfft(power * torch.hann_window(RATE, dtype=torch.float64)).abs().square().mean(dim=0)
        lines = line_frequencies(HEAD, RATE / 2)
        heights = []
        for line in lines[(lines > 4000) & (lines < 10000)].tolist():
            at, gap = round(line), round(line * 0.00695 / 2)
            heights.append(power[at - 1 : at + 2].max() / power[at - gap : at + gap].median())
        return float(10 * torch.log10(torch.stack(heights)).mean())

    assert height(made["pure"]) > height(noise.flatten()) + 10
    assert height(made["drifting"]) < height(noise.flatten()) + 4


def test_blocks_of_drifting_lines_equal_the_whole() -> None:
    bank = OscillatorBank(DRIFTING, MEL)
    whole = bank._phases(50, torch.tensor([1000]))
    torch.testing.assert_close(bank._phases(20, torch.tensor([1030])), whole[..., 30:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("values", [{"drift": -0.1}, {"drift_hz": 0.0}])
def test_a_drift_that_means_nothing_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="drift"):
        replace(HEAD, **values)
