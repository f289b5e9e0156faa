"""The configuration of a translator run, as the YAML files in configs/ have it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from stylize_core.mel import MelConfig
from training.gan import AdversaryConfig
from training.loop_config import LoopConfig
from travelgan.config import DiscriminatorConfig, GeneratorConfig, SiameseConfig, TranslatorConfig


@dataclass(frozen=True)
class TranslatorData:
    """What the translator learns from.

    Args:
        folder: a genre tree: GTZAN, a rendered corpus, or folders of the same form.
        styles: the genres to learn, all that the folder has where none is named; two make the classic TraVeLGAN.
        split_seed: of the split by hash, see :func:`data.folder.index_folder`.
        cache: where mels are kept.
        segment_frames: length of a training segment, mel frames.
        paired: songs of equal number are the same song in every style (a rendered corpus); GTZAN has no pairs.
        gain_db: random gain of a segment, at most this, decibels.
        validation_clips: how many clips a validation translates, spread over the styles; at least one of each. Where
            there are fewer songs, more segments of them are taken.
        validation_frames: length of a validation clip, mel frames.
        unlabeled: folders of recordings, as prepared ones; their training part is music without a style's name.
        unlabeled_share: share of the sources that are taken from there; they meet the losses that need no name, and
            for identity their own embedding is their style.
        classifier: model folder of a genre classifier for validation; without one the siamese network classifies.
        extra: more folders of the form of `folder`, whose training part is added.
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
        if self.validation_clips < 1:
            raise ValueError(f"validation_clips must be at least 1, got {self.validation_clips}")
        if bool(self.unlabeled) != bool(self.unlabeled_share):
            raise ValueError(
                f"unlabeled {list(self.unlabeled)} and unlabeled_share {self.unlabeled_share} mean nothing without "
                "each other; set both or neither"
            )


@dataclass(frozen=True, kw_only=True)
class TranslatorAdversary(AdversaryConfig):
    """The discriminator's part.

    Args:
        discriminator: the network.
        learning_rate, first_step, adversarial: see :class:`training.gan.AdversaryConfig`.
        feature_matching: weight of the L1 of feature maps between a translation and its ground truth.
        mismatched_label: weight of real mels under another style's name among the discriminator's fakes.
    """

    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    mismatched_label: float = 0.5


@dataclass(frozen=True)
class GeneratorWeights:
    """Weights of the losses that teach the generator, beside the discriminator's; a term of weight 0 is not computed.

    Args:
        travel: TraVeL loss.
        style_cosine: 1 - cosine between a translation's style embedding and its target style.
        identity: L1 where source and target style are the same.
        paired: L1 to the ground truth, where there is one.
        harmony: pitch classes of the song and of its translation.
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
    """Those of the siamese network too.

    Args:
        travel, style_cosine, identity, paired, harmony: see :class:`GeneratorWeights`.
        margin: siamese margin on content vectors.
        style: contrastive loss of the style head.
    """

    margin: float = 10.0
    style: float = 1.0


@dataclass(frozen=True, kw_only=True)
class GeneratorMethod:
    """Train the generator and its adversary; the siamese network and all style vectors stay as they are.

    Args:
        weights: of the losses.
        adversary: the discriminator's part; null to train without one.
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
        content_margin: distance that content vectors keep (10 in the published code).
        style_margin: distance that style embeddings of two styles keep; they have length 1.
    """

    kind: Literal["joint"] = "joint"  # type: ignore[assignment]
    weights: JointWeights = field(default_factory=JointWeights)
    content_margin: float = 10.0
    style_margin: float = 1.0


@dataclass(frozen=True, kw_only=True)
class StyleHeadMethod:
    """Train the style head towards prototypes that stay as they are, so that examples of a style are classified better.

    What the generator makes of a named style stays as it is, too.

    Args:
        style_margin: see :class:`JointMethod`.
        content_distillation: weight of content vectors staying where they are.
    """

    kind: Literal["style_head"] = "style_head"
    style_margin: float = 1.0
    content_distillation: float = 1.0


@dataclass(frozen=True)
class TranslatorTraining:
    """The whole configuration of a translator run.

    Args:
        loop: steps, batch, precision.
        data: folder, styles, segments.
        method: what is trained, and by which losses.
        generator, siamese: the networks.
        mel: the front-end.
        learning_rate: of generator and siamese network.
        betas: of every Adam.
        augment_style: the style head, and examples of a style, are given other timbres, pitches and rooms (see
            :func:`training.style_augmentation.augment`), so that a style is more than the instruments of the training
            songs.
        init_from: model folder with the initial weights, to fine-tune.
    """

    loop: LoopConfig
    data: TranslatorData
    method: JointMethod | GeneratorMethod | StyleHeadMethod = field(default_factory=JointMethod)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    siamese: SiameseConfig = field(default_factory=SiameseConfig)
    mel: MelConfig = field(default_factory=MelConfig)
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.9)
    augment_style: bool = False
    init_from: str | None = None

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
