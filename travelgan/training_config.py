"""The configuration of a translator run, as the YAML files in configs/ have it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from data.mel import MelConfig
from training.loop import LoopConfig
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
            there are fewer songs, further stretches of them are taken.
        validation_frames: length of a validation clip, mel frames.
        unlabelled: folders of recordings, as prepared ones; their training part is music without a style's name.
        unlabelled_share: share of the sources that are taken from there; they meet the losses that need no name, and
            for identity their own embedding is their style.
        classifier: model folder of a genre classifier for validation; without one the siamese network judges itself.
        further: more folders of the form of `folder`; their training part is learnt from beside its.
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
    unlabelled: tuple[str, ...] = ()
    unlabelled_share: float = 0.0
    classifier: str | None = None
    further: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.unlabelled_share < 1:
            raise ValueError(f"unlabelled_share must be in [0, 1), got {self.unlabelled_share}")
        if self.validation_clips < 1:
            raise ValueError(f"validation_clips must be at least 1, got {self.validation_clips}")
        if self.unlabelled_share and not self.unlabelled:
            raise ValueError(f"unlabelled_share is {self.unlabelled_share}, but unlabelled names no folder")


SIAMESE_ALONE = ("margin", "style")
"""Losses that say nothing to the generator."""


@dataclass(frozen=True)
class TranslatorWeights:
    """Weights of the losses of generator and siamese network; a term of weight 0 is not computed.

    Args:
        adversarial: hinge loss against the discriminator.
        travel: TraVeL loss.
        margin: siamese margin on content vectors.
        style: contrastive loss of the style head.
        pull: translations drawn to their target style.
        identity: L1 where source and target style are the same.
        pair: L1 to the known version, where there is one.
        feature_matching: L1 of the discriminator's features between translation and known version.
        harmony: pitch classes of the song and of its translation.
    """

    adversarial: float = 1.0
    travel: float = 10.0
    margin: float = 10.0
    style: float = 1.0
    pull: float = 1.0
    identity: float = 5.0
    pair: float = 0.0
    feature_matching: float = 0.0
    harmony: float = 0.0


@dataclass(frozen=True)
class TranslatorTraining:
    """The whole configuration of a translator run.

    Args:
        loop: steps, batch, precision.
        data: folder, styles, segments.
        generator, siamese, discriminator: the networks.
        mel: the front-end.
        weights: of the losses.
        generator_lr, discriminator_lr: learning rates of Adam; the siamese network has the generator's.
        beta1, beta2: of Adam.
        content_margin: distance that content vectors keep (10 in the published code).
        style_margin: distance that style embeddings of two styles keep; they have length 1.
        mismatch: weight of real mels under a wrong style's name among the discriminator's fakes.
        example_share: share of translations whose style is given by example instead of by name.
        identity_share: share of the batch that is also translated to its own style.
        augment_style: the style head, and examples of a style, are heard in other tone colours, pitches and rooms (see
            :func:`training.genre.augment`), so that a style is more than the instruments of the training songs.
        pretrain_steps: steps without the discriminator before it joins; useful where there are known pairs.
        start_from: model folder whose weights are the start, to fine-tune.
        style_head_only: train nothing but how the siamese network hears styles, towards prototypes that stay where
            they are: what the generator makes of a named style stays as it is, examples are recognised better.
        held_content: then, weight of content vectors staying where they are.
        generator_only: train nothing but the generator and its adversary: the siamese network stays as it is, and so do
            the style vectors of names and examples.
    """

    loop: LoopConfig
    data: TranslatorData
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    siamese: SiameseConfig = field(default_factory=SiameseConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    mel: MelConfig = field(default_factory=MelConfig)
    weights: TranslatorWeights = field(default_factory=TranslatorWeights)
    generator_lr: float = 2e-4
    discriminator_lr: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.9
    content_margin: float = 10.0
    style_margin: float = 1.0
    mismatch: float = 0.5
    example_share: float = 0.5
    identity_share: float = 0.25
    augment_style: bool = False
    pretrain_steps: int = 0
    start_from: str | None = None
    style_head_only: bool = False
    held_content: float = 1.0
    generator_only: bool = False

    def __post_init__(self) -> None:
        if self.loop.batch_size < 2:
            raise ValueError(f"the TraVeL loss needs batches of at least 2 songs, got {self.loop.batch_size}")
        if not self.counted_weights:
            raise ValueError("all weights are 0; at least one loss must count")
        if self.style_head_only and self.generator_only:
            raise ValueError("style_head_only and generator_only are both true; nothing would be left to train")
        styles = self.data.styles if len(self.data.styles) > 1 else ("found", "in the folder")
        TranslatorConfig(styles, self.data.segment_frames, self.generator, self.siamese)
        least = max(network.least_frames for network in (self.discriminator, self.siamese))
        for name in ("segment_frames", "validation_frames"):
            if getattr(self.data, name) < least:
                raise ValueError(f"{name} is {getattr(self.data, name)}; the networks need at least {least} frames")

    @property
    def counted_weights(self) -> dict[str, float]:
        """Weights of the losses that count: above 0, and not of the siamese network alone where that stays as it is."""
        left_out = SIAMESE_ALONE if self.generator_only else ()
        return {name: weight for name, weight in asdict(self.weights).items() if weight > 0 and name not in left_out}
