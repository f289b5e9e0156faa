"""Whose ratings count: the rules that BS.1534-3 gives for leaving out assessors after a MUSHRA test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stylize.listening.methods import MID_ANCHOR, REFERENCE
from stylize.listening.ratings import Rating

GOOD_ENOUGH = 90.0
"""The hidden reference must get this, and the mid anchor no more."""
MOST_FAILURES = 0.15
"""In at most this part of the items may a listener fail."""


@dataclass(frozen=True)
class Screened:
    """A listener who was left out.

    Args:
        listener: who.
        reason: in words.
    """

    listener: str
    reason: str


def screen_listeners(ratings: Sequence[Rating]) -> tuple[list[Rating], list[Screened]]:
    """Leave out listeners by BS.1534-3, section 4.1.2 (post-screening).

    Out is who rates the hidden reference below 90 in more than 15 % of the items, or the mid-range anchor above 90 in
    more than 15 % of them. An item is a song of which the listener has rated that sound. Tests without a hidden
    reference (BS.2132, paired comparison) have no such rule, and nobody is left out of them.

    Returns:
        the ratings that stay, and who was left out.
    """
    screened = []
    for listener in dict.fromkeys(rating.listener for rating in ratings):
        own = [rating for rating in ratings if rating.listener == listener]
        references = [rating.value for rating in own if rating.system == REFERENCE]
        anchors = [rating.value for rating in own if rating.system == MID_ANCHOR]
        low = sum(value < GOOD_ENOUGH for value in references)
        high = sum(value > GOOD_ENOUGH for value in anchors)
        reasons = []
        if low > MOST_FAILURES * len(references):
            reasons.append(f"hidden reference below {GOOD_ENOUGH:g} in {low} of {len(references)} items")
        if high > MOST_FAILURES * len(anchors):
            reasons.append(f"7 kHz anchor above {GOOD_ENOUGH:g} in {high} of {len(anchors)} items")
        if reasons:
            screened.append(Screened(listener, "; ".join(reasons)))
    out = {entry.listener for entry in screened}
    return [rating for rating in ratings if rating.listener not in out], screened
