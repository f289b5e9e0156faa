"""GTZAN's lists: the same names as torchaudio's, by comparison and by checksum."""

from __future__ import annotations

import hashlib

import pytest
from torchaudio.datasets import gtzan

from data.gtzan_split import CHECKSUMS, GENRES, GTZAN_SPLIT, UNREADABLE


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
