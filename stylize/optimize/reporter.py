"""What a run says while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stylize.optimize.engine import Step


@dataclass(frozen=True)
class Place:
    """Which map is being optimised; blocks and channels count from 1."""

    block: int = 1
    blocks: int = 1
    channel: int = 1
    channels: int = 1


class Reporter:
    """Hears of a run; this one keeps silent."""

    def note(self, text: str) -> None:
        """A line about the run."""

    def step(self, place: Place, step: Step) -> None:
        """An iteration is done."""
