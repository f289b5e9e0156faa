"""The configuration of a translator run, as the YAML files in configs/ have it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from training.gan import AdversaryConfig
from training.loop_config import TrainingConfig, check_at_least, check_together
from travelgan.config import DiscriminatorConfig, GeneratorConfig, SiameseConfig, TranslatorConfig


@dataclass(frozen=True)
class TranslatorData:
    """Data of the translator.

    Args:
        folder: a genre tree: GTZAN, a rendered corpus, or folders of the same form.
        styles: genres to learn, two or more; empty for all.
        split_seed: seed of the split by hash, see :func:`data.folder.index_folder`.
        cache: folder of cached mels.
        segment_frames: length of a training segment, mel frames.
        paired: songs of equal number are the same song in every style (a rendered corpus).
        gain_db: largest random gain of a segment, decibels.
        validation_clips: number of validation clips, spread over the styles, at least one of each.
        validation_frames: length of a validation clip, mel frames.
        unlabeled: folders of recordings without styles, whose training split is used.
        unlabeled_share: share of the sources that come from there, for the losses that need no style name; for
            identity their own embedding is their style.
        classifier: model folder of a genre classifier for validation; without one the siamese network classifies.
        extra: more folders of the form of `folder`, whose training split is added.
    """

    folder: str
    styles: tuple[str, ...] = ()
    split_seed: int = 0
    cache: str = "cache/mels"
    segment_frames: int = 256
    paired: bool = False
    gain_db: float = 3.0
    validation_clips: int = 40
    validation_frames: int = 512
    unlabeled: tuple[str, ...] = ()
    unlabeled_share: float = 0.0
    classifier: str | None = None
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.unlabeled_share < 1:
            raise ValueError(f"unlabeled_share must be in [0, 1), got {self.unlabeled_share}")
        check_at_least(1, validation_clips=self.validation_clips)
        check_together(unlabeled=self.unlabeled, unlabeled_share=self.unlabeled_share)


@dataclass(frozen=True, kw_only=True)
class TranslatorAdversary(AdversaryConfig):
    """Adversarial part of a translator training.

    Args:
        learning_rate, first_step, adversarial, feature_matching: see :class:`training.gan.AdversaryConfig`.
        discriminator: the network.
        mismatched_label: weight of the mismatched-label loss: real mels with the label of another style as fakes.
    """

    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    mismatched_label: float = 0.5


@dataclass(frozen=True)
class GeneratorWeights:
    """Weights of the generator's non-adversarial losses; a term of weight 0 is not computed.

    Args:
        travel: TraVeL loss.
        style_cosine: style cosine loss.
        identity: L1 where source and target style are the same.
        paired: L1 to the ground truth, where there is one.
        harmony: cosine distance between pitch classes of a song and its translation.
    """

    travel: float = 10.0
    style_cosine: float = 1.0
    identity: float = 5.0
    paired: float = 0.0
    harmony: float = 0.0

    @property
    def positive(self) -> dict[str, float]:
        """The weights above 0, by name."""
        return {name: weight for name, weight in asdict(self).items() if weight > 0}


@dataclass(frozen=True)
class JointWeights(GeneratorWeights):
    """Weights of the losses of generator and siamese network.

    Args:
        travel, style_cosine, identity, paired, harmony: see :class:`GeneratorWeights`.
        margin: siamese margin on content vectors.
        style: contrastive loss of the style head.
    """

    margin: float = 10.0
    style: float = 1.0


@dataclass(frozen=True, kw_only=True)
class GeneratorMethod:
    """Train the generator and the discriminator; the siamese network stays fixed.

    Args:
        weights: weights of the losses.
        adversary: the adversarial part; null to train without it.
        example_share: share of translations whose style is given by example instead of by name.
        identity_share: share of the batch that is also translated to its own style.
    """

    kind: Literal["generator"] = "generator"
    weights: GeneratorWeights = field(default_factory=GeneratorWeights)
    adversary: TranslatorAdversary | None = field(default_factory=TranslatorAdversary)
    example_share: float = 0.5
    identity_share: float = 0.25

    def __post_init__(self) -> None:
        if not self.weights.positive and self.adversary is None:
            raise ValueError("all weights are 0 and there is no adversary; at least one loss must count")


@dataclass(frozen=True, kw_only=True)
class JointMethod(GeneratorMethod):
    """Train generator, siamese network and discriminator together: TraVeLGAN.

    Args:
        weights, adversary, example_share, identity_share: see :class:`GeneratorMethod`.
        content_margin: minimum distance of content vectors (10 in the published code).
        style_margin: minimum distance of style embeddings, of length 1, of two styles.
    """

    kind: Literal["joint"] = "joint"  # type: ignore[assignment]
    weights: JointWeights = field(default_factory=JointWeights)
    content_margin: float = 10.0
    style_margin: float = 1.0


@dataclass(frozen=True, kw_only=True)
class StyleHeadMethod:
    """Train the style head for better classification of examples; prototypes and generator stay fixed.

    Args:
        style_margin: see :class:`JointMethod`.
        content_distillation: weight of the content distillation loss.
    """

    kind: Literal["style_head"] = "style_head"
    style_margin: float = 1.0
    content_distillation: float = 1.0


@dataclass(frozen=True, kw_only=True)
class TranslatorTraining(TrainingConfig):
    """The configuration of a translator run.

    Args:
        loop, mel, learning_rate, init_from: see :class:`training.loop_config.TrainingConfig`.
        data: folder, styles, segments.
        method: networks that are trained, and their losses.
        generator, siamese: the networks.
        betas: betas of every Adam.
        augment_style: augment the inputs of the style head and the examples of a style, see
            :func:`training.style_augmentation.augment`.
    """

    data: TranslatorData
    method: JointMethod | GeneratorMethod | StyleHeadMethod = field(default_factory=JointMethod)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    siamese: SiameseConfig = field(default_factory=SiameseConfig)
    betas: tuple[float, float] = (0.5, 0.9)
    augment_style: bool = False

    def __post_init__(self) -> None:
        if self.loop.batch_size < 2:
            raise ValueError(f"the TraVeL loss needs batches of at least 2 songs, got {self.loop.batch_size}")
        styles = self.data.styles if len(self.data.styles) > 1 else ("found", "in the folder")
        TranslatorConfig(styles, self.data.segment_frames, self.generator, self.siamese)
        needed = self.siamese.min_frames
        if isinstance(self.method, GeneratorMethod):
            self._check_pairs(self.method)
            if adversary := self.method.adversary:
                adversary.check_steps(self.loop.steps)
                needed = max(needed, adversary.discriminator.min_frames)
        for name in ("segment_frames", "validation_frames"):
            if getattr(self.data, name) < needed:
                raise ValueError(f"{name} is {getattr(self.data, name)}; the networks need at least {needed} frames")

    def _check_pairs(self, method: GeneratorMethod) -> None:
        adversary = method.adversary
        weights = {
            "weights.paired": method.weights.paired,
            "adversary.feature_matching": adversary.feature_matching if adversary else 0.0,
        }
        for name, weight in weights.items():
            if weight and not self.data.paired:
                raise ValueError(f"method.{name} is {weight:g}, but without data.paired there is no ground truth")
