"""Blocks: the layout, maps equal to those of the whole, joining, decoding without a seam, bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from stylize.optimize.blocks import DECODE_CONTEXT_SECONDS, BlockDecoder, BlockGrid, BlockJoiner, iterate_blocks
from stylize.optimize.representations import Representation


class Loudness(Representation):
    """A map whose one row is the mean magnitude around each frame; back to a constant signal per frame.

    A frame sees half a hop beyond itself on both sides, as a window would.
    """

    name, sample_rate, hop_length, rows = "loudness", 100, 4, 1
    device = torch.device("cpu")
    _encode = _decode = None  # type: ignore[assignment]

    def __init__(self, seam: float = 0.0) -> None:
        self.seam = seam
        self.encoded: list[int] = []
        self.decoded: list[int] = []
        self.first_frames: list[int] = []

    @property
    def context_samples(self) -> int:
        return self.hop_length // 2

    def frames(self, length: int) -> int:
        return -(-length // self.hop_length)

    def encode(self, wav: Tensor) -> Tensor:
        self.encoded.append(len(wav))
        half = self.hop_length // 2
        padded = torch.nn.functional.pad(wav.abs(), (half, half + -len(wav) % self.hop_length))
        return padded.unfold(0, 2 * self.hop_length, self.hop_length).mean(dim=1)[None, None]

    def decode(self, map_: Tensor, length: int, start_wav: Tensor | None = None, first_frame: int = 0) -> Tensor:
        """Each window has an offset of its own (`seam`) times how often it was called; the start fades into it."""
        self.decoded.append(map_.shape[-1])
        self.first_frames.append(first_frame)
        wav = map_[0, 0].repeat_interleave(self.hop_length)[:length] + self.seam * len(self.decoded)
        if start_wav is not None:
            fade = torch.linspace(1, 0, len(start_wav))
            wav[: len(start_wav)] = fade * start_wav + (1 - fade) * wav[: len(start_wav)]
        return wav


@pytest.mark.parametrize("total", [1, 5, 40, 41, 69, 70, 71, 99, 100, 101, 1000, 12_345])
def test_layout_covers_everything_with_enough_overlap_and_no_three_blocks_anywhere(total: int) -> None:
    layout = BlockGrid.for_total(total, block=40, overlap=10)
    assert layout.start(0) == 0
    assert layout.stop(layout.count - 1) == total
    assert layout.length <= 40
    if total <= 40:
        assert (layout.count, layout.length) == (1, total)
    for block in range(1, layout.count):
        assert layout.start(block) > layout.start(block - 1)
        assert layout.shared_before(block) == layout.stop(block - 1) - layout.start(block) >= 10
    for block in range(2, layout.count):
        assert layout.start(block) >= layout.stop(block - 2)


def test_layout_by_hand() -> None:
    # 100 columns in blocks of 40 that share 10: 30 new ones each, 10 + 3 * 30 = 100.
    layout = BlockGrid.for_total(100, block=40, overlap=10)
    assert (layout.count, layout.length) == (3, 40)
    assert [(layout.start(block), layout.stop(block)) for block in range(3)] == [(0, 40), (30, 70), (60, 100)]


@pytest.mark.parametrize(("total", "block", "overlap"), [(0, 40, 10), (100, 40, 11), (100, 40, 0)])
def test_layout_refuses_nonsense(total: int, block: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        BlockGrid.for_total(total, block, overlap)


def reader(wav: np.ndarray, most: int = 10**9):
    """A stream of samples that gives at most so many at once."""
    position = 0

    def read(count: int) -> np.ndarray:
        nonlocal position
        piece = wav[:, position : position + min(count, most)]
        position += piece.shape[1]
        return piece

    return read


@pytest.mark.parametrize("samples", [30, 400, 403, 1001])
@pytest.mark.parametrize("most", [7, 10**9])
def test_maps_of_blocks_are_those_parts_of_the_whole_map(samples: int, most: int) -> None:
    wav = np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)
    loudness = Loudness()
    whole = [loudness.encode(torch.from_numpy(channel)) for channel in wav]
    layout = BlockGrid.for_total(loudness.frames(samples), block=20, overlap=5)
    loudness.encoded.clear()
    blocks = list(iterate_blocks(reader(wav, most), 2, samples, loudness, layout))
    assert len(blocks) == layout.count
    for block, maps in enumerate(blocks):
        for map_, expected in zip(maps, whole, strict=True):
            torch.testing.assert_close(map_, expected[..., layout.start(block) : layout.stop(block)])
    assert max(loudness.encoded) <= (layout.length + 2) * loudness.hop_length  # never more than a block is encoded


def test_maps_of_real_representations_do_not_depend_on_blocks() -> None:
    from stylize.optimize.representations import make_representation

    wav = (0.3 * np.sin(np.arange(60_000) * 0.05) * np.linspace(0, 1, 60_000)).astype(np.float32)[None]
    for name in ("mel", "stft"):
        representation = make_representation(name, inverse="griffin-lim")
        whole = representation.encode(torch.from_numpy(wav[0]))
        layout = BlockGrid.for_total(whole.shape[-1], block=whole.shape[-1] // 3, overlap=5)
        for block, (map_,) in enumerate(iterate_blocks(reader(wav), 1, wav.shape[1], representation, layout)):
            expected = whole[..., layout.start(block) : layout.stop(block)]
            torch.testing.assert_close(map_, expected, atol=1e-4, rtol=1e-4)


def test_a_recording_that_is_shorter_than_announced_ends_in_silence() -> None:
    layout = BlockGrid.for_total(10, block=10, overlap=2)
    ((map_,),) = iterate_blocks(reader(np.ones((1, 20), np.float32)), 1, 40, Loudness(), layout)
    assert map_[0, 0, 0] > 0
    assert not map_[0, 0, 6:].any()


def test_joining_cross_fades_linearly_what_is_shared() -> None:
    layout = BlockGrid(total=10, length=7, count=2)  # columns 0 to 6 and 3 to 9: four are shared
    joiner = BlockJoiner(layout)
    first = joiner.push(torch.zeros(1, 1, 7))
    second = joiner.push(torch.ones(1, 1, 7))
    joined = torch.cat([first, second], dim=-1)
    assert joined.flatten().tolist() == [0, 0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1, 1]


def test_joining_equal_parts_gives_the_whole() -> None:
    whole = torch.rand(1, 3, 97)
    layout = BlockGrid.for_total(97, block=20, overlap=5)
    joiner = BlockJoiner(layout)
    blocks = range(layout.count)
    joined = [joiner.push(whole[..., layout.start(block) : layout.stop(block)]) for block in blocks]
    torch.testing.assert_close(torch.cat(joined, dim=-1), whole)


def test_joining_refuses_another_length_and_too_many_blocks() -> None:
    joiner = BlockJoiner(BlockGrid(total=5, length=5, count=1))
    with pytest.raises(ValueError, match="4 columns"):
        joiner.push(torch.zeros(1, 1, 4))
    joiner.push(torch.zeros(1, 1, 5))
    with pytest.raises(ValueError, match="block 1"):
        joiner.push(torch.zeros(1, 1, 5))


CONTEXT = round(DECODE_CONTEXT_SECONDS * Loudness.sample_rate / Loudness.hop_length)
"""Columns that a window keeps back."""


def test_the_bundled_vocoder_sees_no_further_than_a_window_reaches() -> None:
    from melgan import Vocoder
    from stylize.models import BUNDLED_VOCODER
    from stylize.optimize.griffin_lim import JOIN_SAMPLES

    vocoder = Vocoder.from_pretrained(BUNDLED_VOCODER)
    kept_back = DECODE_CONTEXT_SECONDS * vocoder.mel_config.frames_per_second
    assert vocoder.context_frames + JOIN_SAMPLES / vocoder.mel_config.hop_length < kept_back


@pytest.mark.parametrize("pieces", [(300,), (150, 150), (100, 1, 99, 100), (10,) * 30])
def test_decoding_in_pieces_gives_every_sample_once(pieces: tuple[int, ...]) -> None:
    loudness, map_ = Loudness(), torch.rand(1, 1, 300)
    samples = 300 * 4 - 3
    decoder = BlockDecoder(loudness, samples)
    parts = map_.split(list(pieces), dim=-1)
    wavs = [decoder.push(part, last=index == len(parts) - 1) for index, part in enumerate(parts)]
    assert np.allclose(np.concatenate(wavs), map_[0, 0].repeat_interleave(4)[:samples].numpy(), atol=1e-6)
    assert max(loudness.decoded) <= max(pieces) + 2 * CONTEXT + 1  # memory does not grow with the song


def test_windows_that_disagree_are_joined_without_a_click() -> None:
    """Each window is 0.5 higher than the last one: the step must be spread over what is kept back."""
    decoder = BlockDecoder(Loudness(seam=0.5), samples=2400)
    parts = torch.ones(1, 1, 600).split(200, dim=-1)
    wav = np.concatenate([decoder.push(part, last=index == 2) for index, part in enumerate(parts)])
    assert wav[0] == pytest.approx(1.5)
    assert wav[-1] == pytest.approx(2.5)
    assert np.abs(np.diff(wav)).max() <= 0.5 / (CONTEXT * 4 - 1) + 1e-6


def test_windows_know_where_they_begin() -> None:
    loudness = Loudness()
    decoder = BlockDecoder(loudness, samples=1200)
    for index, part in enumerate(torch.ones(1, 1, 300).split(150, dim=-1)):
        decoder.push(part, last=index == 1)
    assert loudness.first_frames == [0, 150 - 2 * CONTEXT]


def test_windows_of_the_bundled_vocoder_give_the_waveform_of_the_whole() -> None:
    from stylize.optimize.representations import make_representation

    representation = make_representation("mel")
    samples = 8 * 22050
    time = np.arange(samples) / 22050
    wav = 0.3 * np.sin(2 * np.pi * (220 + 20 * time) * time) + 0.02 * np.random.default_rng(0).standard_normal(samples)
    map_ = representation.encode(torch.from_numpy(wav))
    whole = representation.decode(map_, samples).numpy()
    decoder = BlockDecoder(representation, samples)
    parts = map_.split(400, dim=-1)
    pieces = [decoder.push(part, last=index == len(parts) - 1) for index, part in enumerate(parts)]
    # The refinement magnifies rounding, which depends on the shape of a block where oneDNN has SSE4.1 only.
    difference = np.concatenate(pieces) - whole
    assert np.abs(difference).max() < 1e-3
    assert np.sqrt(np.mean(difference**2)) < 2e-5


def test_silence_stays_silence() -> None:
    loudness = Loudness(seam=0.5)
    decoder = BlockDecoder(loudness, samples=800)
    wav = np.concatenate([decoder.push(torch.zeros(1, 1, 100), last) for last in (False, True)])
    assert len(wav) == 800
    assert not wav.any()
    assert not loudness.decoded
