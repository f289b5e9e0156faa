"""Which songs are translated to what: balance, seeds, other songs, excerpts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data.folder import Clip
from stylize.evaluate.benchmarks.pairs import load_pair, ordered_pairs, rendered_pairs, unlabeled_pairs
from stylize.evaluate.excerpts import Excerpts
from stylize.evaluate.systems import Pair
from stylize_core.errors import UserError

STYLES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


def clips(splits: dict[str, int]) -> list[Clip]:
    return [
        Clip(Path(style, f"{style}.{split}{song}.wav"), style, f"{split}{song}", split)
        for split, count in splits.items()
        for song in range(count)
        for style in STYLES
    ]


CORPUS = clips({"train": 5, "test": 4, "test_groove": 3, "test_soundfont": 3})


def test_ninety_pairs_are_all_ordered_pairs_once() -> None:
    pairs = ordered_pairs(STYLES, seed=3)
    assert len(pairs) == len(set(pairs)) == 90
    assert all(source != target for source, target in pairs)
    for part in (10, 30, 50):
        for side in (0, 1):
            assert set(Counter(pair[side] for pair in pairs[:part]).values()) == {part // 10}


@pytest.mark.parametrize("split", ["test", "test_groove", "test_soundfont"])
def test_a_split_is_balanced(split: str) -> None:
    pairs = rendered_pairs(CORPUS, split, STYLES, 90)
    assert len({(pair.source_style, pair.target) for pair in pairs}) == 90
    songs = Counter(pair.song for pair in pairs)
    assert len(songs) == (4 if split == "test" else 3) and max(songs.values()) - min(songs.values()) <= 3
    assert len({pair.name for pair in pairs}) == 90
    everything = rendered_pairs(CORPUS, split, STYLES)
    assert len({pair.name for pair in everything}) == 90 * len(songs)
    assert everything[:90] == pairs


def test_pairs_have_truth_style_and_example_of_the_right_songs() -> None:
    by_path = {clip.path: clip for clip in CORPUS}
    for tier in ("test", "test_groove"):
        for pair in rendered_pairs(CORPUS, tier, STYLES):
            source, truth, style, example = (
                by_path[path] for path in (pair.source, pair.truth, pair.style, pair.example) if path is not None
            )
            assert (source.song, source.genre, source.split) == (pair.song, pair.source_style, tier)
            assert (truth.song, truth.genre, truth.split) == (pair.song, pair.target, tier)
            assert style.song != pair.song and (style.genre, style.split) == (pair.target, tier)
            assert example.song != pair.song and (example.genre, example.split) == (pair.target, "test_groove")


def test_the_seed_decides() -> None:
    pairs = rendered_pairs(CORPUS, "test", STYLES, 20, seed=1)
    assert pairs == rendered_pairs(list(reversed(CORPUS)), "test", STYLES, 20, seed=1)
    assert pairs != rendered_pairs(CORPUS, "test", STYLES, 20, seed=2)


def test_an_unfinished_corpus_gives_what_it_has() -> None:
    part = [clip for clip in CORPUS if (clip.song, clip.genre) != ("test0", "jazz")]
    pairs = rendered_pairs(part, "test", STYLES)
    assert len(pairs) == 360 - 18
    assert not rendered_pairs(CORPUS, "valid", STYLES)


def test_recordings_go_to_styles_that_are_not_heard_in_them() -> None:
    files = [Path("all", folder, f"{number}.mp3") for folder in ("x", "y") for number in range(6)]

    def heard(path: Path) -> str:
        return "rock" if path.parts[1] == "x" else "metal"

    pairs = unlabeled_pairs("mine", Path("all"), files, heard, CORPUS, STYLES, 30)
    assert len({pair.name for pair in pairs}) == 30
    assert max(Counter(pair.target for pair in pairs).values()) <= 4
    assert all(pair.source_style == heard(pair.source) != pair.target for pair in pairs)
    assert len({pair.source for pair in pairs[:12]}) == 12
    assert all(pair.truth is None and pair.style and pair.target in pair.style.name for pair in pairs)
    assert pairs == unlabeled_pairs("mine", Path("all"), files[::-1], heard, CORPUS, STYLES, 30)
    every = unlabeled_pairs("mine", Path("all"), files[:1], heard, [], STYLES, 30)
    assert sorted(pair.target for pair in every) == sorted(set(STYLES) - {"rock"})
    assert all(pair.style is None and pair.example is None for pair in every)


def test_an_excerpt_is_the_middle(tmp_path: Path) -> None:
    ramp = np.linspace(0, 0.5, 5 * 22050, dtype=np.float32)
    soundfile.write(tmp_path / "ramp.wav", ramp, 22050, subtype="FLOAT")
    excerpts = Excerpts(2.0)
    np.testing.assert_array_equal(excerpts.load(tmp_path / "ramp.wav"), ramp[33075 : 33075 + 44100])
    np.testing.assert_array_equal(Excerpts(9.0).load(tmp_path / "ramp.wav"), ramp)
    stereo = np.stack([ramp[::2], np.zeros_like(ramp[::2])], axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, 11025, subtype="FLOAT")
    assert excerpts.load(tmp_path / "stereo.wav") == pytest.approx(ramp[33075 : 33075 + 44100] / 2, abs=1e-3)


def test_what_is_not_audible_is_skipped(tmp_path: Path) -> None:
    tone = 0.1 * np.sin(np.arange(5 * 22050) * 0.1)
    for name, wav in (("good", tone), ("short", tone[:40000]), ("quiet", 0.05 * tone)):
        soundfile.write(tmp_path / f"{name}.wav", wav, 22050)
    (tmp_path / "broken.wav").write_text("no music")
    assert Excerpts(3.0).audible(sorted(tmp_path.iterdir())) == [tmp_path / "good.wav"]


def test_versions_of_a_song_are_equally_long(tmp_path: Path) -> None:
    for name, length in (("a", 50000), ("b", 52000)):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(length), 22050)
    pair = Pair("test", "n", "s", tmp_path / "a.wav", "jazz", "metal", truth=tmp_path / "b.wav")
    with pytest.raises(UserError, match="are not equally long"):
        load_pair(pair, Excerpts(10.0))
    assert len(load_pair(pair, Excerpts(2.0))[0]) == 44100
