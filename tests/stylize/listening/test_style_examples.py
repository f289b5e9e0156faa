"""The bundled examples of the styles: one for each, that sounds, and sounds like its style."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from stylize.likeness import Likeness, Sound
from stylize.listening.plan import STYLE_EXAMPLES, BuildOptions
from stylize.models import read_pair


def test_every_bundled_style_has_an_example_that_sounds_like_it() -> None:
    styles = read_pair().styles
    assert sorted(path.stem for path in STYLE_EXAMPLES.glob("*.ogg")) == sorted(styles)
    assert sum(path.stat().st_size for path in STYLE_EXAMPLES.iterdir()) < 600_000
    likeness = Likeness.from_pretrained()
    for style in styles:
        wav, rate = soundfile.read(STYLE_EXAMPLES / f"{style}.ogg", dtype="float32")
        assert (wav.ndim, rate) == (1, 22050)
        assert len(wav) / rate >= BuildOptions(songs=(), systems=(), output=Path()).seconds
        assert np.abs(wav).max() < 0.99
        for second in np.array_split(wav, 8):
            assert np.sqrt(np.mean(second**2)) > 0.02
        probabilities = likeness.genre_probabilities(Sound(wav, rate))
        assert max(probabilities, key=probabilities.__getitem__) == style
