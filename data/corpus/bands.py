"""The bands and melody instruments of the ten genres, from `bands.yaml`, which says what its keys mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stylize_core.plain import build

BANDS_FILE = Path(__file__).with_name("bands.yaml")
_BANDS = ("training", "held_out", "extra")


@dataclass(frozen=True)
class Band:
    """A rhythm section: an MMA groove ("folder/file:Groove"), and MMA tracks added to it under a name."""

    groove: str
    added: str = ""
    tracks: str = ""

    @property
    def name(self) -> str:
        """The name kept in the manifest."""
        return f"{self.groove}+{self.added}" if self.added else self.groove


@dataclass(frozen=True)
class GenreStyle:
    """What makes a genre in this corpus; the attributes are the keys of `bands.yaml`."""

    melody_programs: tuple[int, ...]
    drums_level: float
    melody_level: float
    training: tuple[Band, ...]
    held_out: tuple[Band, ...]
    extra: tuple[Band, ...]


@dataclass(frozen=True)
class _Part:
    """A track of a band."""

    track: str
    program: int
    octave: int
    volume: str
    bars: tuple[str, ...] = ()
    starts: str = ""
    length: str = ""
    plays: tuple[str, ...] = ("85",)

    def mma_text(self) -> str:
        bar = "; ".join(f"{start} {self.length} {played}" for start in self.starts.split() for played in self.plays)
        sequence = " ".join(f"{{ {one} }}" for one in self.bars or (bar,))
        return (
            f"Begin {self.track}\n  Voice {self.program}\n  Octave {self.octave}\n  Volume {self.volume}\n"
            f"  RVolume 8\n  Sequence {sequence}\nEnd\n"
        )


def load_styles(path: Path = BANDS_FILE) -> dict[str, GenreStyle]:
    """Genre to bands and melody instruments."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    parts = document["parts"]

    def track_text(track: str | Mapping[str, Any]) -> str:
        values = parts[track] if isinstance(track, str) else track
        return f"{values['mma']}\n" if "mma" in values else build(_Part, values, path.name).mma_text()

    def band(entry: str | Mapping[str, Any]) -> dict[str, Any]:
        if isinstance(entry, str):
            return {"groove": entry}
        return {**entry, "tracks": "".join(map(track_text, entry["tracks"]))}

    return {
        genre: build(GenreStyle, values | {kind: [band(entry) for entry in values[kind]] for kind in _BANDS}, genre)
        for genre, values in document["genres"].items()
    }


STYLES = load_styles()  # genre to bands and melody instruments
