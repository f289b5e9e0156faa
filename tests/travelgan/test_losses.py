"""Losses against values computed by hand and against plain loops in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stylize_core.mel import LogMel, MelConfig
from travelgan import losses


def travel_in_loops(source: np.ndarray, translated: np.ndarray, distance_weight: float, angle_weight: float) -> float:
    """The TraVeL loss written pair by pair and component by component."""
    total, pairs = 0.0, 0
    for i in range(len(source)):
        for j in range(i + 1, len(source)):
            squares, dot, length, other_length = 0.0, 0.0, 0.0, 0.0
            for k in range(source.shape[1]):
                before = source[i, k] - source[j, k]
                after = translated[i, k] - translated[j, k]
                squares += (before - after) ** 2
                dot += before * after
                length += before**2
                other_length += after**2
            total += distance_weight * squares / source.shape[1]
            total += angle_weight * (1 - dot / math.sqrt(length * other_length))
            pairs += 1
    return total / pairs


def test_travel_loss_by_hand() -> None:
    source = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    translated = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    # The vector (1, 0) became (0, 2): squared difference (1 + 4) / 2, and a right angle.
    assert losses.travel_loss(source, translated).item() == pytest.approx(2.5 + 1)
    assert losses.travel_loss(source, translated, 2.0, 0.0).item() == pytest.approx(5.0)
    assert losses.travel_loss(source, translated, 0.0, 3.0).item() == pytest.approx(3.0)


@pytest.mark.parametrize(("batch", "size"), [(2, 3), (5, 7)])
def test_travel_loss_equals_plain_loops(batch: int, size: int) -> None:
    random = np.random.default_rng(0)
    source, translated = random.normal(size=(2, batch, size))
    expected = travel_in_loops(source, translated, 0.3, 1.7)
    value = losses.travel_loss(torch.tensor(source), torch.tensor(translated), 0.3, 1.7)
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_travel_loss_is_zero_when_all_move_alike() -> None:
    source = torch.randn(4, 6)
    assert losses.travel_loss(source, source + torch.randn(6)).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("loss", [lambda x: losses.travel_loss(x, x), lambda x: losses.siamese_margin(x, 1.0)])
def test_one_song_has_no_vector_to_another(loss) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="at least 2, got 1"):
        loss(torch.zeros(1, 3))


def test_travel_loss_refuses_shapes_that_differ() -> None:
    with pytest.raises(ValueError, match=r"got \(3, 2\) and \(2, 2\)"):
        losses.travel_loss(torch.zeros(3, 2), torch.zeros(2, 2))


def test_siamese_margin_by_hand() -> None:
    content = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    # Distances 5, 1 and sqrt(9 + 9); with a margin of 4.5 they cost 0, 3.5 and 4.5 - 4.2426.
    assert losses.siamese_margin(content, 4.5).item() == pytest.approx((3.5 + 4.5 - math.sqrt(18)) / 3, rel=1e-5)


def test_siamese_margin_pushes_apart() -> None:
    content = torch.tensor([[0.0, 0.0], [1.0, 0.0]], requires_grad=True)
    losses.siamese_margin(content, 2.0).backward()
    assert content.grad is not None
    assert content.grad[1, 0] < 0 < content.grad[0, 0]  # descent moves the second right, the first left
    same = torch.zeros(2, 2, requires_grad=True)
    losses.siamese_margin(same, 2.0).backward()
    assert same.grad is not None and same.grad.isfinite().all()


def test_content_distillation_by_hand() -> None:
    before = torch.tensor([[0.0, 0.0], [2.0, 4.0]])
    # Mean (1, 2), squared distances to it 5 and 5; the second song moved by (3, -4), 25 over two songs.
    after = before + torch.tensor([[0.0, 0.0], [3.0, -4.0]])
    assert losses.content_distillation(after, before).item() == pytest.approx(2.5)
    assert losses.content_distillation(before.mean(dim=0).expand(2, 2), before).item() == pytest.approx(1.0)
    assert losses.content_distillation(before, before).item() == 0


def test_contrastive_style_by_hand() -> None:
    prototypes = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    style = torch.tensor([[0.6, 0.8]])
    # One pair of one style: distance to (1, 0), squared 0.16 + 0.64. Two pairs of two styles: the prototypes
    # at sqrt(2), past the margin, and the embedding at sqrt(0.36 + 0.04) from (0, 1).
    expected = 0.8 + (1.2 - math.sqrt(0.4)) ** 2 / 2
    value = losses.contrastive_style(style, torch.tensor([0]), prototypes, margin=1.2)
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_contrastive_style_leaves_out_what_nobody_named() -> None:
    """A point of an unknown style changes nothing, wherever it lies, and learns nothing."""
    prototypes = torch.eye(2)
    style = torch.tensor([[0.6, 0.8], [-1.0, 0.0]], requires_grad=True)
    value = losses.contrastive_style(style, torch.tensor([0, -1]), prototypes, margin=1.2)
    assert value.item() == losses.contrastive_style(style[:1], torch.tensor([0]), prototypes, margin=1.2).item()
    value.backward()
    assert style.grad is not None
    assert style.grad[1].abs().sum() == 0 < style.grad[0].abs().sum()


def test_contrastive_style_teaches_prototypes_too() -> None:
    prototypes = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    losses.contrastive_style(torch.tensor([[0.6, 0.8]]), torch.tensor([0]), prototypes, 1.2).backward()
    assert prototypes.grad is not None
    assert prototypes.grad[0].any() and prototypes.grad[1].any()


def test_style_cosine_by_hand() -> None:
    style = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    target = torch.tensor([[0.6, 0.8], [0.0, -1.0]])
    assert losses.style_cosine(style, target).item() == pytest.approx((0.4 + 2.0) / 2)


def mel_of_chord(*frequencies: float, frames: int = 40) -> torch.Tensor:
    time = torch.arange(frames * MelConfig().hop_length) / MelConfig().sample_rate
    return LogMel(MelConfig())(sum(0.2 * torch.sin(2 * math.pi * f * time) for f in frequencies)[None])


def test_folding_puts_tones_into_their_pitch_classes() -> None:
    folding = losses.pitch_class_folding(MelConfig())
    for frequency, place in ((523.25, 0), (440.0, 9), (1108.7, 1), (1975.5, 11), (880.0, 9)):
        chroma = folding @ 10 ** mel_of_chord(frequency)[0, :, 20]
        assert int(chroma.argmax()) == place
    columns = folding.sum(dim=0)
    assert ((columns - 1).abs() < 1e-5).sum() + (columns == 0).sum() == len(columns)
    assert folding.min() >= 0


def test_harmony_is_kept_by_loudness_and_octave_and_lost_by_another_chord() -> None:
    folding = losses.pitch_class_folding(MelConfig())
    c_major, higher = mel_of_chord(523.25, 659.26, 783.99), mel_of_chord(1046.5, 1318.5, 1568.0)
    f_sharp = mel_of_chord(739.99, 932.33, 1108.7)  # shares no tone with C major

    def loss(output: torch.Tensor, mel: torch.Tensor) -> float:
        return losses.harmony_loss(output, mel, folding).item()

    assert loss(c_major, c_major) == pytest.approx(0.0, abs=1e-5)
    assert loss(c_major - 0.3, c_major) == pytest.approx(0.0, abs=1e-3)
    assert loss(higher, c_major) < 0.25
    assert loss(f_sharp, c_major) > 1.2
    louder = torch.log10(10**c_major + 0.5)  # noise that fills all bands alike
    assert loss(louder, c_major) < 0.1


def test_harmony_of_silence_costs_nothing_and_has_no_nan_in_its_gradient() -> None:
    folding = losses.pitch_class_folding(MelConfig())
    silence = torch.full((1, 192, 40), -5.0)
    output = mel_of_chord(440.0).requires_grad_()
    assert losses.harmony_loss(output, silence, folding).item() == 0.0
    quiet = silence.clone().requires_grad_()
    losses.harmony_loss(quiet, mel_of_chord(440.0), folding).backward()
    assert quiet.grad is not None and torch.isfinite(quiet.grad).all()


def test_harmony_can_be_learnt() -> None:
    """Gradient descent on the mel of one chord brings the pitch classes of another."""
    folding = losses.pitch_class_folding(MelConfig())
    wanted, output = mel_of_chord(523.25, 659.26), mel_of_chord(739.99, 932.33).requires_grad_()
    optimizer = torch.optim.Adam([output], lr=0.05)
    start = losses.harmony_loss(output, wanted, folding).item()
    for _ in range(60):
        optimizer.zero_grad()
        losses.harmony_loss(output, wanted, folding).backward()
        optimizer.step()
    assert losses.harmony_loss(output, wanted, folding).item() < 0.2 * start
