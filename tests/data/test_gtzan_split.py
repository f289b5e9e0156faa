"""GTZAN's lists: the same names as torchaudio's, by comparison and by checksum."""

from __future__ import annotations

import hashlib

import pytest
from torchaudio.datasets import gtzan

from data.gtzan_split import GENRES, GTZAN_SPLIT, UNREADABLE

CHECKSUMS: dict[str, str] = {
    "train": "82df3d4426e1dc8a15f1dece2ed0d89ce240ecbd9818b6f947488a9f5d581c85",
    "valid": "049e4ab67938aa22901cf0c611958fce0b9b9ff14362f658036bde470a37f71d",
    "test": "54cd6cf4ad283da2fba4c6ab3f4733374983708eeef9ee209d7670a575d8d988",
}
"""SHA-256 of each list's names in order, joined by newlines."""


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_lists_are_torchaudios(split: str) -> None:
    theirs = getattr(gtzan, f"filtered_{split}")
    assert list(GTZAN_SPLIT[split]) == theirs
    assert CHECKSUMS[split] == hashlib.sha256("\n".join(theirs).encode()).hexdigest()


def test_genres_and_the_unreadable_file() -> None:
    assert sorted(gtzan.gtzan_genres) == list(GENRES)
    assert set(GTZAN_SPLIT["train"]) >= UNREADABLE


def test_no_name_is_in_two_splits() -> None:
    names = [name for split in GTZAN_SPLIT.values() for name in split]
    assert len(names) == len(set(names)) == 930
