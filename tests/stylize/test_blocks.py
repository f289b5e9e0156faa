"""Windows over a song: together they are the song, their surroundings its own samples or its reflection."""

from __future__ import annotations

import numpy as np
import pytest

from stylize.blocks import BlockLayout, Window, iterate_windows

HOP, MEL_CONTEXT = 4, 14


def make_layout(block_frames: int, contexts: tuple[int, ...] = (2, 3), multiple: int = 2) -> BlockLayout:
    return BlockLayout.for_networks(
        hop_length=HOP,
        mel_context=MEL_CONTEXT,
        frame_multiple=multiple,
        network_contexts=contexts,
        block_frames=block_frames,
    )


def cut(song: np.ndarray, layout: BlockLayout, most_at_once: int = 10**9) -> list[Window]:
    position = 0

    def read(count: int) -> np.ndarray:
        nonlocal position
        count = min(count, most_at_once)
        piece = song[:, position : position + count]
        position += piece.shape[1]
        return piece

    return list(iterate_windows(read, len(song), layout))


def test_layout_rounds_to_the_multiple() -> None:
    layout = make_layout(block_frames=7, contexts=(2, 3), multiple=4)
    assert (layout.block_frames, layout.context_frames, layout.minimum_frames) == (8, 8, 4)
    assert layout.song_frames(1) == 4
    assert layout.song_frames(4 * HOP) == 4
    assert layout.song_frames(4 * HOP + 1) == 8


def test_layout_refuses_empty_blocks() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        make_layout(block_frames=0)


@pytest.mark.parametrize("block_frames", [1, 2, 3, 5, 8, 1000])
@pytest.mark.parametrize("samples", [1, 3, 8, 14, 15, 16, 17, 63, 64, 65, 200, 401])
def test_windows_are_cut_from_the_reflected_song(samples: int, block_frames: int) -> None:
    song = np.random.default_rng(samples).standard_normal((2, samples)).astype(np.float32)
    layout = make_layout(block_frames)
    total = max(-(-samples // (HOP * 2)) * 2, 4)  # whole frames, a multiple of 2, more than 3 of context
    padded = np.pad(song, ((0, 0), (0, total * HOP - samples)))
    reflected = np.pad(padded, ((0, 0), (MEL_CONTEXT, MEL_CONTEXT)), mode="reflect")
    windows = cut(song, layout, most_at_once=7)
    assert [window.start for window in windows[1:]] == [window.stop for window in windows[:-1]]
    assert windows[0].start == 0
    assert windows[-1].stop == total
    assert sum(window.song_samples for window in windows) == samples
    for window in windows:
        last = min(window.stop + layout.context_frames, total) if window.stop < total else total
        assert window.first_frame == max(0, window.start - layout.context_frames)
        assert window.first_frame % 2 == 0
        frames = (window.samples.shape[1] - 2 * MEL_CONTEXT) // HOP
        assert window.first_frame + frames >= last
        start = window.first_frame * HOP
        expected = reflected[:, start : start + window.samples.shape[1]]
        np.testing.assert_array_equal(window.samples, expected)
        assert window.first_frame + frames == last or window.stop < total


def test_context_is_complete_away_from_the_edges() -> None:
    layout = make_layout(block_frames=4)
    windows = cut(np.zeros((1, 400), dtype=np.float32), layout)
    for window in windows:
        frames = (window.samples.shape[1] - 2 * MEL_CONTEXT) // HOP
        before, after = window.start - window.first_frame, window.first_frame + frames - window.stop
        assert before == min(window.start, layout.context_frames)
        assert after == min(100 - window.stop, layout.context_frames)


def test_memory_does_not_grow_with_the_song() -> None:
    layout = make_layout(block_frames=8)
    asked: list[int] = []
    left = 100_000

    def read(count: int) -> np.ndarray:
        nonlocal left
        asked.append(count)
        count = min(count, left)
        left -= count
        return np.zeros((1, count), dtype=np.float32)

    windows = iterate_windows(read, 1, layout)
    longest = max(window.samples.base.size if window.samples.base is not None else 0 for window in windows)
    window_samples = (8 + 2 * layout.context_frames) * HOP + 2 * MEL_CONTEXT
    assert longest <= window_samples + 8 * HOP
    assert max(asked) <= window_samples
