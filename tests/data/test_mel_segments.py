"""Mel segments: pairs that play the same moment, balanced styles, fixed validation, and the gain."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from data.folder import Clip
from data.mel_cache import MelCache, MelCacheError
from data.segments import UNLABELED, MelSegments, choose_validation
from stylize_core.errors import UserError
from stylize_core.mel import MelConfig

STYLES = ("blues", "jazz", "metal")
CONFIG = MelConfig(n_mels=4)
BANDS_STYLE, BANDS_SONG, BANDS_TIME, BANDS_LOUDNESS = range(4)


class WrittenMels(MelCache):
    """Mels that say in their four bands which style and song they are of, which frame it is, and how loud."""

    def __init__(self, frames: dict[str, int], default: int = 400, bad: tuple[str, ...] = ()) -> None:
        super().__init__(Path("unused"), CONFIG)
        self.frames, self.default, self.bad = frames, default, bad

    def load(self, path: Path) -> np.ndarray:
        if path.name in self.bad:
            raise UserError(f"{path} is no audio")
        style, song = path.name.split(".")
        mel = np.zeros((4, self.frames.get(path.name, self.default)), np.float16)
        mel[BANDS_STYLE], mel[BANDS_SONG] = STYLES.index(style) / 16, int(song) / 64
        mel[BANDS_TIME] = np.arange(mel.shape[1]) / 1024
        return mel


def clips_of(**songs: int) -> list[Clip]:
    return [
        Clip(Path(f"{style}.{number}"), style, str(number), "train")
        for style, count in songs.items()
        for number in range(count)
    ]


def make(clips: list[Clip], *, train: bool = True, mels: MelCache | None = None, **more) -> MelSegments:
    arguments = {"styles": STYLES, "frames": 32, "seed": 0, "gain_db": 0.0, "paired": True, **more}
    return MelSegments(clips, train=train, mel_cache=mels or WrittenMels({}), **arguments)


def origin(crop: torch.Tensor) -> tuple[str, int, int]:
    """Style, song and first frame of a crop without gain; fails unless it is a piece of one clip."""
    values = crop.numpy()
    np.testing.assert_allclose(np.diff(values[BANDS_TIME] * 1024), 1.0)
    assert np.ptp(values[BANDS_STYLE]) == np.ptp(values[BANDS_SONG]) == 0
    return (
        STYLES[round(values[BANDS_STYLE, 0] * 16)],
        round(values[BANDS_SONG, 0] * 64),
        round(values[BANDS_TIME, 0] * 1024),
    )


def items_of(dataset: MelSegments, epochs: int = 1) -> list[dict[str, torch.Tensor]]:
    return [dataset[epoch, index] for epoch in range(epochs) for index in range(len(dataset))]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_item_has_the_promised_shapes_and_types() -> None:
    item = make(clips_of(blues=2, jazz=2, metal=2))[0, 0]
    assert {name: (tuple(value.shape), value.dtype) for name, value in item.items()} == {
        **{name: ((4, 32), torch.float32) for name in ("source", "target", "reference", "pair")},
        "source_style": ((), torch.int64),
        "target_style": ((), torch.int64),
        "has_pair": ((), torch.bool),
    }


def test_item_is_a_pure_function_of_seed_epoch_and_index() -> None:
    clips = clips_of(blues=3, jazz=2, metal=4)
    dataset, again = make(clips, gain_db=3.0), make(clips, gain_db=3.0)
    first = items_of(dataset, epochs=2)
    backwards = [again[e, i] for e in (1, 0) for i in reversed(range(len(again)))][::-1]
    assert all(map(same, first, backwards))
    half = len(first) // 2
    assert not any(map(same, first[:half], first[half:]))
    assert not any(map(same, first, items_of(make(clips, gain_db=3.0, seed=1))))


def test_pair_is_the_same_moment_of_the_same_song_in_the_target_style() -> None:
    items = items_of(make(clips_of(blues=5, jazz=5, metal=5)), epochs=3)
    starts = set()
    for item in items:
        style, song, start = origin(item["source"])
        target_style = STYLES[item["target_style"]]
        assert item["has_pair"] and style == STYLES[item["source_style"]]
        assert origin(item["pair"]) == (target_style, song, start)
        assert origin(item["target"])[0] == origin(item["reference"])[0] == target_style
        starts.add(start)
    assert len(starts) > 100 and min(starts) < 20 and 348 < max(starts) <= 368


def test_pair_of_another_length_is_cropped_where_both_play() -> None:
    mels = WrittenMels({"jazz.0": 60, "metal.0": 20}, default=100)
    kinds = set()
    for item in items_of(make(clips_of(blues=1, jazz=1, metal=1), mels=mels), epochs=60):
        kind = STYLES[item["source_style"]], STYLES[item["target_style"]]
        kinds.add((*kind, bool(item["has_pair"])))
        if "metal" not in kind:
            assert origin(item["pair"])[1:] == origin(item["source"])[1:]
            assert kind == ("blues", "blues") or origin(item["source"])[2] <= 60 - 32
        elif kind != ("metal", "metal"):
            assert torch.equal(item["pair"], torch.zeros(4, 32))
    assert len(kinds) == 9
    assert {kind[:2] for kind in kinds if not kind[2]} == {
        ("metal", "blues"), ("metal", "jazz"), ("blues", "metal"), ("jazz", "metal")
    }  # fmt: skip


def test_no_pair_where_the_song_is_missing_or_nothing_is_paired() -> None:
    clips = [*clips_of(blues=2, jazz=1), Clip(Path("metal.7"), "metal", "7", "train")]
    for item in items_of(make(clips), epochs=20):
        style, song, _ = origin(item["source"])
        target_style = STYLES[item["target_style"]]
        exists = style == target_style or (song == 0 and "metal" not in (style, target_style))
        assert bool(item["has_pair"]) == exists
        assert exists or not item["pair"].any()
    unpaired = items_of(make(clips, paired=False), epochs=5)
    assert not any(item["has_pair"] or item["pair"].any() for item in unpaired)


def test_reference_is_another_clip_where_there_is_one() -> None:
    items = items_of(make(clips_of(blues=3, jazz=1, metal=2)), epochs=10)
    for item in items:
        target, reference = origin(item["target"]), origin(item["reference"])
        assert (target[1] != reference[1]) == (target[0] != "jazz")
    assert {origin(item["reference"])[:2] for item in items} == {(c.genre, int(c.song)) for c in clips_of(
        blues=3, jazz=1, metal=2)}  # fmt: skip


def test_sources_are_balanced_over_styles_and_every_clip_has_its_turn() -> None:
    clips = clips_of(blues=20, jazz=2, metal=2)
    dataset = make(clips)
    assert len(dataset) == 24 * (400 // 32)
    for epoch in range(2):
        counts = Counter(int(dataset[epoch, index]["source_style"]) for index in range(len(dataset)))
        assert counts == {0: 96, 1: 96, 2: 96}
    sources = Counter(origin(item["source"])[:2] for item in items_of(dataset, epochs=5))
    assert {sources["blues", song] for song in range(20)} == {24}
    assert {sources["jazz", song] for song in range(2)} == {240}


def test_long_clips_are_drawn_in_proportion() -> None:
    mels = WrittenMels({"blues.0": 320}, default=64)
    dataset = make(clips_of(blues=2, jazz=1, metal=1), mels=mels)
    assert len(dataset) == 10 + 2 + 2 + 2
    sources = Counter(origin(item["source"])[:2] for item in items_of(dataset, epochs=60))
    assert sources["blues", 0] / sources["blues", 1] == pytest.approx(5, rel=0.1)


def test_target_styles_are_uniform_and_include_the_sources_own() -> None:
    items = items_of(make(clips_of(blues=12, jazz=2, metal=2)), epochs=10)
    counts = Counter((int(item["source_style"]), int(item["target_style"])) for item in items)
    assert set(counts) == {(source, target) for source in range(3) for target in range(3)}
    for count in counts.values():
        assert count / len(items) == pytest.approx(1 / 9, rel=0.2)


def test_validation_is_fixed_and_begins_at_the_first_frame() -> None:
    clips = clips_of(blues=4, jazz=4, metal=4)
    dataset = make(clips, train=False, gain_db=3.0)
    items = items_of(dataset)
    assert len(items) == 12
    assert all(map(same, items, (dataset[0, index] for index in range(12))))
    assert {origin(item["source"]) for item in items} == {(c.genre, int(c.song), 0) for c in clips}
    for item in items:
        assert origin(item["target"])[2] == origin(item["reference"])[2] == 0
        assert origin(item["pair"])[1:] == origin(item["source"])[1:]
        assert origin(item["target"])[1] != origin(item["reference"])[1]
    assert [STYLES[item["source_style"]] for item in items[:3]] == list(STYLES)  # styles in turn
    targets = Counter((int(item["source_style"]), int(item["target_style"])) for item in items)
    assert len(targets) == 9 and max(targets.values()) == 2  # every direction, none much more often


def test_later_epochs_of_validation_hear_later_stretches_and_other_directions() -> None:
    mels = WrittenMels({}, default=100)
    dataset = make(clips_of(blues=2, jazz=2, metal=2), mels=mels, train=False, frames=32)
    for epoch, start in enumerate([0, 32, 64, 68, 68]):  # the last crop that fits begins at 68
        for before, item in zip(items_of(dataset), (dataset[epoch, index] for index in range(6)), strict=True):
            assert origin(item["source"]) == (*origin(before["source"])[:2], start)
            assert origin(item["pair"])[1:] == origin(item["source"])[1:]
            assert item["target_style"] == (before["target_style"] + epoch) % 3


def test_gain_moves_source_and_pair_alike_and_others_on_their_own() -> None:
    items = items_of(make(clips_of(blues=5, jazz=5, metal=5), gain_db=3.0), epochs=3)
    gains = {
        name: np.array([float(item[name][BANDS_LOUDNESS, 0]) for item in items]) * 20
        for name in ("source", "pair", "target", "reference")
    }
    np.testing.assert_array_equal(gains["source"], gains["pair"])
    for name in ("source", "target", "reference"):
        assert gains[name].min() == pytest.approx(-3, abs=0.2)
        assert gains[name].max() == pytest.approx(3, abs=0.2)
        assert abs(gains[name].mean()) < 0.4
    assert abs(np.corrcoef(gains["source"], gains["target"])[0, 1]) < 0.2
    for item in items:  # one gain for the whole crop
        assert np.ptp(item["source"][BANDS_LOUDNESS].numpy()) == 0


def test_gain_stays_at_or_above_the_floor_and_silence_silent() -> None:
    class NearFloor(WrittenMels):
        def load(self, path: Path) -> np.ndarray:
            mel = super().load(path)
            mel[BANDS_LOUDNESS], mel[BANDS_TIME] = -4.99, -5.0
            return mel

    items = items_of(make(clips_of(blues=2, jazz=2, metal=2), mels=NearFloor({}), gain_db=3.0))
    near = torch.stack([item["source"][BANDS_LOUDNESS] for item in items])
    assert near.min() == -5.0 and near.max() == pytest.approx(-4.84, abs=0.01)
    assert all((item["source"][BANDS_TIME] == -5.0).all() for item in items)


@pytest.mark.parametrize("train", [True, False])
def test_short_clips_are_continued_by_reflection(train: bool) -> None:
    mels = WrittenMels({}, default=20)
    dataset = make(clips_of(blues=1, jazz=1, metal=1), mels=mels, train=train)
    expected = [*range(20), *range(18, 6, -1)]
    for item in items_of(dataset):
        for name in ("source", "pair", "target", "reference"):
            np.testing.assert_allclose(item[name][BANDS_TIME].numpy() * 1024, expected)


def test_clips_of_other_styles_are_left_out() -> None:
    dataset = make(clips_of(blues=2, jazz=3, metal=2), styles=("metal", "blues"), train=False)
    assert len(dataset) == 4
    assert {origin(item["source"])[0] for item in items_of(dataset)} == {"metal", "blues"}
    assert origin(dataset[0, 0]["source"])[0] == "metal" and dataset[0, 0]["source_style"] == 0


def test_unreadable_clips_are_named_and_left_out(caplog) -> None:
    mels = WrittenMels({}, bad=("jazz.1",))
    assert len(make(clips_of(blues=2, jazz=2, metal=2), mels=mels, train=False)) == 5
    assert "jazz.1 is no audio" in caplog.text


def test_style_without_clips_is_an_error() -> None:
    with pytest.raises(UserError, match="no readable clip of style 'metal'"):
        make(clips_of(blues=2, jazz=2))
    with pytest.raises(UserError, match="style 'jazz'"):
        make(clips_of(blues=2, jazz=1, metal=1), mels=WrittenMels({}, bad=("jazz.0",)))


def folder_of(**songs: tuple[int, int]) -> list[Clip]:
    """Clips of styles with so many songs in `valid` and in `train`."""
    return [
        Clip(Path(f"{style}.{first + n}"), style, str(first + n), split)
        for style, counts in songs.items()
        for split, first, count in zip(("valid", "train"), (0, 100), counts, strict=True)
        for n in range(count)
    ]


@pytest.mark.parametrize(("count", "of_each"), [(45, 15), (6, 2), (3, 1), (1, 1)])
def test_validation_is_bounded_spread_and_the_same_each_time(count: int, of_each: int) -> None:
    clips, mels = folder_of(**dict.fromkeys(STYLES, (60, 10))), WrittenMels({})
    chosen = choose_validation(clips, STYLES, mels, count)
    assert Counter(clip.genre for clip in chosen) == dict.fromkeys(STYLES, of_each)
    assert {clip.split for clip in chosen} == {"valid"} and len(set(chosen)) == len(chosen)
    assert [clip.song for clip in chosen[:of_each]] == [str(rank * 60 // of_each) for rank in range(of_each)]
    assert chosen == choose_validation(clips, STYLES, mels, count)
    assert choose_validation(clips, STYLES, mels, 1000) == [clip for clip in clips if clip.split == "valid"]


def test_a_style_with_nothing_readable_to_validate_on_hears_what_it_trains_on(caplog) -> None:
    clips = folder_of(blues=(3, 5), jazz=(0, 2), metal=(2, 2))
    mels = WrittenMels({}, bad=("metal.0", "metal.1", "metal.100"))
    chosen = choose_validation(clips, STYLES, mels, 9)
    assert [clip.path.name for clip in chosen] == ["blues.0", "blues.1", "blues.2", "jazz.100", "metal.101"]
    for style in ("jazz", "metal"):
        assert f"style {style!r} has no recording to keep back" in caplog.text
    assert "'blues' has no" not in caplog.text
    assert "2 of 2 recordings cannot be read and are left out" in caplog.text


def test_cache_that_cannot_be_written_is_no_fault_of_the_clips(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "blues.0", np.zeros(22050), 22050, format="WAV")
    clips = [Clip(tmp_path / "blues.0", "blues", "0", "train")]
    with pytest.raises(MelCacheError, match="cannot write"):
        make(clips, styles=("blues",), mels=MelCache(tmp_path / "blues.0", CONFIG))


def test_works_with_the_real_cache_in_worker_processes(tmp_path: Path) -> None:
    clips: list[Clip] = []
    for style in STYLES:
        wav = np.random.default_rng(len(clips)).uniform(-0.5, 0.5, 22050)
        soundfile.write(tmp_path / f"{style}.wav", wav, 22050)
        clips.append(Clip(tmp_path / f"{style}.wav", style, "0", "train"))
    dataset = make(clips, mels=MelCache(tmp_path / "cache", CONFIG), gain_db=3.0)
    keys = [(0, index) for index in range(len(dataset))]
    loader = torch.utils.data.DataLoader(dataset, batch_size=2, sampler=keys, num_workers=1)  # type: ignore[arg-type]
    batches = list(loader)
    assert batches[0]["source"].shape == (2, 4, 32)
    for number, batch in enumerate(batches):
        assert torch.equal(batch["pair"][0], dataset[0, 2 * number]["pair"])


def test_unlabeled_recordings_take_their_share_of_the_sources() -> None:
    class WithStrangers(WrittenMels):
        def load(self, path: Path) -> np.ndarray:
            return np.full((4, 50), 9, np.float16) if path.suffix == ".flac" else super().load(path)

    strangers = {"unlabeled": [Path("a.flac"), Path("b.flac")], "unlabeled_share": 0.25}
    clips = clips_of(blues=8, jazz=8, metal=8)
    dataset = make(clips, mels=WithStrangers({}), **strangers)
    items = items_of(dataset, epochs=4)
    strange = [item for item in items if item["source_style"] == UNLABELED]
    # The standard deviation of the share is 0.43 / sqrt(items), about 0.01.
    assert abs(len(strange) / len(items) - 0.25) < 0.05
    for item in strange:
        assert (item["source"] == 9).all() and not item["has_pair"] and (item["pair"] == 0).all()
        assert origin(item["target"])[0] == STYLES[item["target_style"]]
    assert Counter(int(item["target_style"]) for item in strange).keys() == {0, 1, 2}
    named = [item for item in items if item["source_style"] != UNLABELED]
    assert all(origin(item["source"])[0] == STYLES[item["source_style"]] for item in named)
    validation = make(clips, train=False, mels=WithStrangers({}), **strangers)
    assert all(item["source_style"] != UNLABELED for item in items_of(validation))


def test_unlabeled_recordings_that_cannot_be_read_are_missed() -> None:
    mels = WrittenMels({}, bad=("a.flac",))
    with pytest.raises(UserError, match=r"none of 1 unlabeled recordings can be read"):
        make(clips_of(blues=2, jazz=2, metal=2), mels=mels, unlabeled=[Path("a.flac")], unlabeled_share=0.1)
