"""Stylize the bundled song: `demo/` gets the result and a picture of the mel spectrogram before and after."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import stylize
from stylize.cli import main as stylize_main

SONG = Path(stylize.__file__).parent / "songs" / "demo_country.ogg"
STYLE = "metal"
FOLDER = Path("demo")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `stylize` on the bundled song; further options go to it as they are.

    Returns:
        exit code of `stylize`.
    """
    extra = list(sys.argv[1:] if arguments is None else arguments)
    FOLDER.mkdir(exist_ok=True)
    result = FOLDER / f"{SONG.stem}.{STYLE}.wav"
    picture = result.with_suffix(".png")
    code = stylize_main([str(SONG), "--to", STYLE, "-o", str(result), "--picture", str(picture), "--force", *extra])
    if code == 0:
        print(f"{picture}: its mel spectrogram before and after")
    return code


if __name__ == "__main__":
    sys.exit(main())
