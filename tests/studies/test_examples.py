"""How examples are recognized and followed, on a translator and a judge whose answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from studies.examples import WEIGHTS, count_missed, measure, study, timbre
from stylize_core.errors import UserError
from travelgan.translator import ExampleStyle
from travelgan.validation import recognize


class Known:
    """Prototypes are the axes; a recording's embedding is its first frame; the style becomes the whole output."""

    styles = ("blues", "jazz", "metal")

    class siamese:  # noqa: N801
        @staticmethod
        def style_prototypes() -> Tensor:
            return torch.eye(3)

    def style_of(self, mel: Tensor) -> Tensor:
        return torch.nn.functional.normalize(mel[0, :, 0], dim=0)

    def style_by_example(self, mel: Tensor, named_weight: float) -> ExampleStyle:
        embedding = self.style_of(mel)
        named = torch.eye(3)[int(embedding.argmax())]
        return ExampleStyle(torch.nn.functional.normalize(embedding + named_weight * named, dim=0), {})

    def __call__(self, mels: Tensor, styles: Tensor) -> Tensor:
        return styles[:, :, None].expand(-1, -1, mels.shape[-1])


class Judge:
    """Hears a style where its component is over 0.95, else blues."""

    genres = ("blues", "jazz", "metal")

    def __call__(self, mels: Tensor) -> Tensor:
        score = torch.where(mels[:, :, 0] > 0.95, 2.0, 0.0)
        score[:, 0] += 1
        return score


def song(*components: float) -> Tensor:
    return torch.tensor(components, dtype=torch.float32)[:, None].expand(-1, 8).contiguous()


def test_the_nearest_prototype_is_recognized() -> None:
    known: Any = Known()
    assert recognize(known, song(0.2, 0.9, 0.1)) == "jazz"
    assert recognize(known, song(0.2, 0.1, 0.3)) == "metal"


def test_more_of_the_named_style_is_heard_more_and_leaves_the_example() -> None:
    known: Any = Known()
    judge: Any = Judge()
    songs = [("blues", song(1, 0, 0)), ("jazz", song(0, 1, 0))]
    found = measure(known, judge, [("jazz", song(0.5, 0.8, 0.1))], songs, 3)
    assert list(found) == list(WEIGHTS)
    heard, far = zip(*found.values(), strict=True)
    assert heard[0] == 0.0 and heard[-1] == 1.0 and list(heard) == sorted(heard)
    assert list(far) == sorted(far) and far[-1] > far[0]


def test_songs_of_the_examples_own_style_are_no_sources() -> None:
    asked: list[Tensor] = []

    class Listening(Known):
        def __call__(self, mels: Tensor, styles: Tensor) -> Tensor:
            asked.append(mels)
            return super().__call__(mels, styles)

    known: Any = Listening()
    judge: Any = Judge()
    songs = [("blues", song(1, 0, 0)), ("jazz", song(0, 1, 0)), ("metal", song(0, 0, 1))]
    measure(known, judge, [("jazz", song(0, 1, 0)), ("metal", song(0, 0, 1))], songs, 2)
    first, second = asked[0], asked[len(WEIGHTS)]
    assert first[:, 1].max() == 0 and second[:, 2].max() == 0


def test_what_an_example_was_taken_for_is_counted() -> None:
    names = [("jazz", "blues"), ("jazz", "jazz"), ("metal", "rock"), ("jazz", "blues")]
    assert count_missed(names) == "jazz for blues (2), metal for rock (1)"
    assert count_missed(names[1:2]) == "none"


def test_timbre_has_no_level() -> None:
    mel = torch.randn(2, 5, 9)
    torch.testing.assert_close(timbre(mel + 3.0), timbre(mel), atol=1e-5, rtol=0)
    assert timbre(mel).mean(dim=1).abs().max() < 1e-6


def test_what_is_missing_is_said_first(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="folder not found.*prepare corpus"):
        study(corpus=tmp_path / "none")
    with pytest.raises(UserError, match="create it first"):
        study(output=tmp_path / "none" / "table.md")
