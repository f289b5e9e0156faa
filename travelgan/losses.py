"""Losses of the translator, as pure functions of what the networks return.

All are means, so that a weight keeps its meaning when the batch or the networks grow.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stylize_core.mel import MelConfig, mel_filterbank
from training.gan import masked_l1

TINY = 1e-12
"""Added under square roots, whose slope at zero is infinite."""

HARMONY_HERTZ = (300.0, 4000.0)
"""Below, a mel band holds several semitones; above, noise outweighs partials."""

HARMONY_FRAMES = 8
"""Harmony is compared over so many frames, a tenth of a second: notes may begin a little sooner or later."""

SILENT_CHROMA = 1e-6
"""Pitch classes of less energy have no harmony."""


def travel_loss(source: Tensor, translated: Tensor, distance_weight: float = 1.0, angle_weight: float = 1.0) -> Tensor:
    """TraVeL loss: the vector between two songs stays the same when both are translated.

    TraVeLGAN, arXiv 1902.09631, section 3. With t_ij = S(x_i) - S(x_j) for songs and t'_ij for their
    translations, the mean over all pairs i < j of
    distance_weight * mean((t_ij - t'_ij)^2) + angle_weight * (1 - cos(t_ij, t'_ij)).

    Args:
        source: content vectors of the songs.
        translated: content vectors of their translations, in the same order.
        distance_weight: of the squared difference, mean over components.
        angle_weight: of the angle.

    Shape:
        (B, D), (B, D) -> scalar.

    Raises:
        ValueError: fewer than two songs, which have no vector between them, or shapes that differ.
    """
    if source.shape != translated.shape:
        raise ValueError(f"expected equal shapes, got {tuple(source.shape)} and {tuple(translated.shape)}")
    before, after = _pair_vectors(source.float()), _pair_vectors(translated.float())
    distance = (before - after).square().mean()
    angle = 1 - torch.cosine_similarity(before, after, dim=1).mean()
    return distance_weight * distance + angle_weight * angle


def siamese_margin(content: Tensor, margin: float) -> Tensor:
    """Keep songs apart in the content space, or the TraVeL loss is met by mapping all to one point.

    TraVeLGAN, arXiv 1902.09631, section 3: mean over pairs i < j of max(0, margin - |S(x_i) - S(x_j)|).

    Args:
        content: content vectors of songs, (B, D).
        margin: distance from which on a pair costs nothing.

    Raises:
        ValueError: fewer than two songs.
    """
    return torch.relu(margin - _length(_pair_vectors(content.float()))).mean()


def content_distillation(content: Tensor, before: Tensor) -> Tensor:
    """Content vectors stay where they were: mean squared distance, in squared standard deviations of the batch.

    Args:
        content: content vectors now.
        before: of the same songs, from the network that is distilled.

    Shape:
        (B, D), (B, D) -> scalar; 1 for content vectors that are all at the mean.
    """
    spread = (before - before.mean(dim=0)).square().sum(dim=1).mean()
    return (content - before).square().sum(dim=1).mean() / (spread + TINY)


def contrastive_style(style: Tensor, labels: Tensor, prototypes: Tensor, margin: float) -> Tensor:
    """Same style near, other style at least a margin apart; prototypes take part as points of their style.

    Hadsell et al. 2006, "Dimensionality reduction by learning an invariant mapping", section 2.1, with the
    two kinds of pairs averaged apart, because pairs of the same style are few: mean(d^2) over pairs of one
    style, plus mean(max(0, margin - d)^2) over pairs of two.

    Args:
        style: style embeddings of segments, of length 1, so distances are at most 2.
        labels: index of the style of each; below 0 where it is not known, and then the point does not count.
        prototypes: of all styles, of length 1, in the order of the indices.
        margin: distance from which on a pair of two styles costs nothing.

    Shape:
        (B, D), (B,), (styles, D) -> scalar.
    """
    known = labels >= 0
    points = torch.cat([style.float()[known], prototypes.float()])
    kinds = torch.cat([labels[known], torch.arange(len(prototypes), device=labels.device)])
    first, second = torch.triu_indices(len(points), len(points), offset=1, device=points.device)
    distance = _length(points[first] - points[second])
    same = (kinds[first] == kinds[second]).float()
    together = (distance.square() * same).sum() / same.sum().clamp(min=1)
    apart = (torch.relu(margin - distance).square() * (1 - same)).sum() / (1 - same).sum().clamp(min=1)
    return together + apart


def style_cosine(style: Tensor, target: Tensor) -> Tensor:
    """Style cosine loss: mean of 1 - cosine between a translation's embedding and its target style.

    Args:
        style: style embeddings of the translations.
        target: the style vectors that the generator was given.

    Shape:
        (B, D), (B, D) -> scalar in [0, 2].
    """
    return 1 - torch.cosine_similarity(style.float(), target.float(), dim=1).mean()


def identity_loss(output: Tensor, mel: Tensor) -> Tensor:
    """Mean absolute change of a song that was translated to the style it already has.

    CycleGAN, arXiv 1703.10593, section 5.2.

    Args:
        output: what the generator made of it, (B, n_mels, T) log10.
        mel: the song.
    """
    return (output - mel).abs().mean()


def pitch_class_folding(mel_config: MelConfig) -> Tensor:
    """How much each mel band tells of each of the twelve pitch classes, from C on.

    A band between two semitones is shared by both in proportion to its distance; see :data:`HARMONY_HERTZ`.

    Shape: (12, n_mels), each column a sum of 1, or 0 where the band does not count.
    """
    filters = mel_filterbank(mel_config).double()
    hertz = torch.linspace(0, mel_config.sample_rate / 2, len(filters), dtype=torch.float64)
    center = (hertz @ filters) / filters.sum(dim=0).clamp(min=1e-12)
    lowest, highest = HARMONY_HERTZ
    counts = ((center >= lowest) & (center <= highest)).double()
    pitch = 12 * torch.log2(center.clamp(min=1.0) / 440.0) + 9  # 0 is C
    below = pitch.floor()
    upper = (pitch - below) * counts
    folding = torch.zeros(12, len(center), dtype=torch.float64)
    bands = torch.arange(len(center))
    folding[(below.long() % 12), bands] += counts - upper
    folding[((below.long() + 1) % 12), bands] += upper
    return folding.float()


def harmony_loss(output: Tensor, mel: Tensor, folding: Tensor) -> Tensor:
    """Chords and melody stay: 1 - cosine between the pitch classes of a song and of its translation.

    The part that all classes share, which drums and noise fill, is taken off first. Chroma as in Fujishima 1999,
    "Realtime chord recognition of musical sound", here of mel bands.

    Args:
        output: what the generator made, log10.
        mel: the song, log10.
        folding: see :func:`pitch_class_folding`.

    Shape:
        (B, n_mels, T), (B, n_mels, T), (12, n_mels) -> scalar in [0, 2]. Silent stretches count as kept.
    """
    classes = []
    for each in (output, mel):
        chroma = folding @ torch.pow(10.0, each.float())
        frames = min(HARMONY_FRAMES, chroma.shape[-1])
        pooled = torch.nn.functional.avg_pool1d(chroma, frames, max(1, frames // 2))
        classes.append(pooled - pooled.mean(dim=1, keepdim=True))
    made, wanted = classes
    sounding = wanted.square().sum(dim=1) > SILENT_CHROMA
    difference = (1 - torch.cosine_similarity(made, wanted, dim=1, eps=1e-6)) * sounding
    return difference.mean()


def paired_loss(output: Tensor, target: Tensor, has_pair: Tensor) -> Tensor:
    """Mean absolute difference from the ground truth, the song in the target style, where there is one.

    Args:
        output: translations, (B, n_mels, T) log10.
        target: the ground truth; whatever stands where there is none is not read.
        has_pair: (B,) bool. Zero when none has one.
    """
    return masked_l1(output, target, has_pair)


def _pair_vectors(points: Tensor) -> Tensor:
    """All differences point_i - point_j with i < j, (B, D) -> (B * (B - 1) / 2, D)."""
    if len(points) < 2:
        raise ValueError(f"a vector between songs needs a batch of at least 2, got {len(points)}")
    first, second = torch.triu_indices(len(points), len(points), offset=1, device=points.device)
    return points[first] - points[second]


def _length(vectors: Tensor) -> Tensor:
    return torch.sqrt(vectors.square().sum(dim=1) + TINY)
