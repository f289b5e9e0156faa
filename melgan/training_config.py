"""The configuration of a vocoder run, as the YAML files in configs/ have it."""

from __future__ import annotations

from dataclasses import dataclass, field

from data.mel_augmentation import MelAugmentation
from melgan.config import DiscriminatorConfig, GeneratorConfig, SubbandHeadConfig
from melgan.losses import MAX_SUBBAND_REFLECTION
from stylize_core.mel import MelConfig
from training.gan import AdversaryConfig
from training.loop_config import LoopConfig


@dataclass(frozen=True)
class VocoderData:
    """What the vocoder learns from.

    Args:
        folders: genre trees, prepared recordings or any folders with audio at the mel's sample rate. Each gets the
            same part of the segments; within prepared recordings each package does.
        weights: of the folders, relative to each other, where the parts are not to be the same.
        split_seed: of the split by hash, see :func:`data.sources.list_split`.
        segment_frames: length of a training segment, mel frames.
        gain_db: random gain of a segment, at most this, decibels.
        validation_clips: number of fixed clips, spread evenly over the same sources whatever the weights.
        validation_frames: their length, mel frames.
        augmentation: damage to the mel of a recording that the generator is given; its target stays the recording.
        translated: folders of `scripts.prepare translations`: mels that a translator made of recordings. The generator
            is given them, as they are, and its target is the recording.
        translated_share: of the segments that are such pairs; the best state is then chosen by both kinds in this
            proportion.
    """

    folders: tuple[str, ...]
    split_seed: int = 0
    segment_frames: int = 64
    gain_db: float = 6.0
    validation_clips: int = 12
    validation_frames: int = 344
    weights: dict[str, float] = field(default_factory=dict)
    augmentation: MelAugmentation | None = None
    translated: tuple[str, ...] = ()
    translated_share: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.translated_share <= 1:
            raise ValueError(f"translated_share must be in [0, 1], got {self.translated_share}")
        if bool(self.translated) != bool(self.translated_share):
            raise ValueError(
                f"translated {list(self.translated)} and translated_share {self.translated_share} mean nothing without "
                "each other; set both or neither"
            )
        if self.translated and self.split_seed:
            raise ValueError(f"split_seed is {self.split_seed}, but translated mels are split with seed 0")


@dataclass(frozen=True)
class VocoderWeights:
    """Weights of the generator's spectral losses; a term of weight 0 is not computed.

    Args:
        stft: multi-resolution STFT loss of the refined waveform.
        raw_stft: the same of what the network alone makes.
        mel: L1 of log10 mels of what the network alone makes.
        subband_stft: multi-resolution STFT loss of sub-bands of what the network alone makes, for the head `subbands`.
    """

    stft: float = 1.0
    raw_stft: float = 0.0
    mel: float = 2.0
    subband_stft: float = 0.0


@dataclass(frozen=True, kw_only=True)
class VocoderAdversary(AdversaryConfig):
    """The discriminators' part.

    Args:
        discriminator: the networks.
        learning_rate, first_step, adversarial: see :class:`training.gan.AdversaryConfig`.
        feature_matching: 10 in the paper.
    """

    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    feature_matching: float = 10.0


@dataclass(frozen=True)
class VocoderTraining:
    """The whole configuration of a vocoder run.

    Args:
        loop: steps, batch, precision.
        data: folders and segments.
        generator: the network.
        mel: the front-end.
        weights: of the spectral losses.
        adversary: the discriminators' part; null to train on the spectral losses alone.
        learning_rate: of the generator's Adam (betas 0.5, 0.9 as in the paper).
        stft_sizes: transforms of the multi-resolution loss, samples; hops are a quarter.
        refine_iterations: of the refinement in training; gradients go through it, so that the network learns what the
            refinement cannot mend. Fewer than at inference are enough.
        init_from: model folder with the initial weights, to fine-tune.
    """

    loop: LoopConfig
    data: VocoderData
    generator: GeneratorConfig
    mel: MelConfig = field(default_factory=MelConfig)
    weights: VocoderWeights = field(default_factory=VocoderWeights)
    adversary: VocoderAdversary | None = None
    learning_rate: float = 2e-4
    stft_sizes: tuple[int, ...] = (512, 1024, 2048)
    refine_iterations: int = 0
    init_from: str | None = None

    def __post_init__(self) -> None:
        for name in ("n_mels", "hop_length"):
            network, front_end = getattr(self.generator, name), getattr(self.mel, name)
            if network != front_end:
                raise ValueError(f"{name} is {network} in generator and {front_end} in mel; they must be equal")
        if self.adversary is not None:
            self.adversary.check_steps(self.loop.steps)
        if self.weights.raw_stft and not self.refine_iterations:
            raise ValueError("weights.raw_stft is the same as weights.stft at refine_iterations 0; leave it out")
        samples = self.data.segment_frames * self.mel.hop_length
        needed = 1 + max(self.mel.context, *(size // 2 for size in self.stft_sizes))
        if samples < needed:
            raise ValueError(
                f"segments of {self.data.segment_frames} frames are {samples} samples; the transforms of mel and "
                f"stft_sizes need at least {needed}"
            )
        if self.weights.subband_stft:
            self._check_subbands(samples)

    def _check_subbands(self, samples: int) -> None:
        head = self.generator.head
        if not isinstance(head, SubbandHeadConfig):
            raise ValueError(f"weights.subband_stft is for the head subbands, got the head {head.kind}")
        if samples % head.subbands or samples // head.subbands <= MAX_SUBBAND_REFLECTION:
            raise ValueError(
                f"segments of {samples} samples are too short for {head.subbands} sub-bands, or no multiple of them; "
                f"subband_stft needs more than {MAX_SUBBAND_REFLECTION} samples in each"
            )
