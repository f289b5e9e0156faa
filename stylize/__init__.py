"""What a user runs: the feed-forward pipeline, the command line, benchmarks.

Three lines are enough::

    from stylize import Stylizer
    stylizer = Stylizer.from_pretrained()
    stylizer.stylize_file("song.mp3", "out.wav", to="jazz")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stylize.pipeline import Stylizer

__all__ = ["Stylizer"]


def __getattr__(name: str) -> Any:
    """Import the pipeline, and PyTorch with it, only when used: `stylize --help` must not wait for it."""
    if name == "Stylizer":
        from stylize.pipeline import Stylizer

        return Stylizer
    raise AttributeError(f"module 'stylize' has no attribute {name!r}")
