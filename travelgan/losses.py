"""Losses of the translator. All are means, so that weights do not depend on sizes of batch and networks."""

from __future__ import annotations

import torch
from torch import Tensor

from stylize_core.mel import MelConfig, mel_filterbank

TINY = 1e-12
"""Added under square roots for finite gradients at zero."""

HARMONY_HERTZ = (300.0, 4000.0)
"""Range of the harmony loss: below, a mel band holds several semitones; above, noise outweighs partials."""

HARMONY_FRAMES = 8
"""Frames over which harmony is averaged, a tenth of a second."""

SILENT_CHROMA = 1e-6
"""Energy below which pitch classes count as silent."""


def travel_loss(source: Tensor, translated: Tensor, distance_weight: float = 1.0, angle_weight: float = 1.0) -> Tensor:
    """TraVeL loss: the vector between two songs is preserved when both are translated.

    TraVeLGAN, arXiv 1902.09631, section 3. With t_ij = S(x_i) - S(x_j) for songs and t'_ij for their
    translations, the mean over all pairs i < j of
    distance_weight * mean((t_ij - t'_ij)^2) + angle_weight * (1 - cos(t_ij, t'_ij)).

    Args:
        source: content vectors of the songs.
        translated: content vectors of their translations, in the same order.
        distance_weight: weight of the squared difference, mean over components.
        angle_weight: weight of the angle.

    Shape:
        (B >= 2, D), (B, D) -> scalar.
    """
    if source.shape != translated.shape:
        raise ValueError(f"expected equal shapes, got {tuple(source.shape)} and {tuple(translated.shape)}")
    before, after = _pair_vectors(source.float()), _pair_vectors(translated.float())
    distance = (before - after).square().mean()
    angle = 1 - torch.cosine_similarity(before, after, dim=1).mean()
    return distance_weight * distance + angle_weight * angle


def siamese_margin(content: Tensor, margin: float) -> Tensor:
    """Margin between songs in the content space, without which one point for all would minimize the TraVeL loss.

    TraVeLGAN, arXiv 1902.09631, section 3: mean over pairs i < j of max(0, margin - |S(x_i) - S(x_j)|).
    """
    return torch.relu(margin - _length(_pair_vectors(content.float()))).mean()


def content_distillation(content: Tensor, before: Tensor) -> Tensor:
    """Content distillation: mean squared distance from the teacher's content vectors, relative to their variance.

    Shape: (B, D), (B, D) -> scalar; 1 for content vectors that are all at the mean.
    """
    spread = (before - before.mean(dim=0)).square().sum(dim=1).mean()
    return (content - before).square().sum(dim=1).mean() / (spread + TINY)


def contrastive_style(style: Tensor, labels: Tensor, prototypes: Tensor, margin: float) -> Tensor:
    """Contrastive loss of style embeddings and prototypes.

    Hadsell et al. 2006, "Dimensionality reduction by learning an invariant mapping", section 2.1, as
    mean(d^2) over pairs of one style, plus mean(max(0, margin - d)^2) over pairs of two.

    Args:
        style: style embeddings of segments, of length 1.
        labels: index of the style of each; below 0 for unlabeled ones, which are ignored.
        prototypes: prototypes of all styles, of length 1.
        margin: distance above which a pair of two styles costs nothing.

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
    """Style cosine loss: mean of 1 - cosine between a translation's style embedding and its target style.

    Shape: (B, D), (B, D) -> scalar in [0, 2].
    """
    return 1 - torch.cosine_similarity(style.float(), target.float(), dim=1).mean()


def pitch_class_folding(mel_config: MelConfig) -> Tensor:
    """Weights of the mel bands in the twelve pitch classes, from C on; bands are divided linearly between semitones.

    Shape: (12, n_mels); columns sum to 1, or 0 outside :data:`HARMONY_HERTZ`.
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
    """1 - cosine between the pitch classes, less their mean, of a song and of its translation.

    Chroma as in Fujishima 1999, "Realtime chord recognition of musical sound", here of mel bands.

    Args:
        output: the translation, log10.
        mel: the song, log10.
        folding: see :func:`pitch_class_folding`.

    Shape:
        (B, n_mels, T), (B, n_mels, T), (12, n_mels) -> scalar in [0, 2]; silence counts as 0.
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


def _pair_vectors(points: Tensor) -> Tensor:
    """All differences point_i - point_j with i < j, (B, D) -> (B * (B - 1) / 2, D)."""
    if len(points) < 2:
        raise ValueError(f"a vector between songs needs a batch of at least 2, got {len(points)}")
    first, second = torch.triu_indices(len(points), len(points), offset=1, device=points.device)
    return points[first] - points[second]


def _length(vectors: Tensor) -> Tensor:
    return torch.sqrt(vectors.square().sum(dim=1) + TINY)
